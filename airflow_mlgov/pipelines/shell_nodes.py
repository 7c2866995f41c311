"""Parts of a shell script as its parser gives them: what they hold, and how they end.

What is asked of a part here needs no more than the part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from airflow_mlgov.pipelines.shell_words import NO_WORDS, Word, text_of, unwrapped, word_of

if TYPE_CHECKING:
    from tree_sitter import Node


def parsed(text: str) -> Node:
    """The parts of a script."""
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language())).parse(text.encode()).root_node


def short(node: Node) -> str:
    """A part as messages show it."""
    text = " ".join(text_of(node).split())
    word = text.split(" ")[0]
    return text if len(text) <= 12 else word


def first_word(node: Node) -> str:
    """The program of a part, as far as it can be told."""
    command = next((one for one in walked(node) if one.type == "command"), None)
    words = unwrapped([word for child in command.named_children if child.type not in NO_WORDS
                       for word in word_of(child, {})]) if command is not None else ()  # fmt: skip
    return words[0].text if words else ""


def strings(node: Node) -> list[str]:
    """The texts of a part that prints."""
    return [word.text for one in walked(node) if one.type in ("string", "raw_string") for word in word_of(one, {})]


def walked(node: Node) -> Iterator[Node]:
    """A part and all within it, in the order of the text."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting.extend(reversed(one.children))


def first_error(node: Node) -> Node | None:
    """The first part that is no shell."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one.type == "ERROR" or one.is_missing:
            return one
        waiting.extend(child for child in reversed(one.children) if child.has_error or child.is_missing)
    return node


def substitutions(node: Node) -> Iterator[Node]:
    """``$(…)``, backticks and ``<(…)`` within a part."""
    waiting = list(node.named_children)
    while waiting:
        one = waiting.pop(0)
        if one.type in ("command_substitution", "process_substitution"):
            yield one
        elif one.type not in ("heredoc_redirect",):
            waiting[:0] = one.named_children


def here_document(node: Node) -> tuple[str | None, Node | None]:
    """The text of a here document, and what follows it on its line: ``| tee log``, ``|| true``."""
    for redirect in node.named_children:
        if redirect.type == "heredoc_redirect":
            body = next((child for child in redirect.named_children if child.type == "heredoc_body"), None)
            known = ("heredoc_start", "heredoc_body", "heredoc_end", "file_redirect", "herestring_redirect")
            rest = next((child for child in redirect.named_children if child.type not in known), None)
            signs = {child.type for child in redirect.children if not child.is_named}
            rest = rest or next((child for child in redirect.children if child.type in signs & {"&", "||", "|"}), None)
            return (text_of(body) if body is not None else ""), rest
    return None, None


def branches(node: Node) -> tuple[list[Node], list[Node], list[Node]]:
    """Conditions, what follows ``then``, and the ``elif`` and ``else`` clauses."""
    conditions: list[Node] = []
    then: list[Node] = []
    others: list[Node] = []
    place = conditions
    for child in node.children:
        if child.type == "then":
            place = then
        elif child.type in ("elif_clause", "else_clause"):
            others.append(child)
        elif child.is_named and child.type != "comment":
            place.append(child)
    return conditions, then, others


def ends_so(words: Sequence[Word], *, first: bool = False) -> str:
    """``exit`` if ``exit …`` is one with a failure.

    :param first: whether it is the first after a failure, so that ``exit`` alone is one too
    """
    if len(words) == 1 or (len(words) == 2 and words[1].text == "$?"):
        return "exit" if first else ""
    status = words[1].text
    number = status.isascii() and status.isdigit() and len(status) < 10
    return "exit" if len(words) == 2 and number and int(status) % 256 != 0 else ""


def may_end_well(node: Node) -> bool:
    """Whether a part holds an ``exit`` or ``return`` that may be one of success."""
    for one in walked(node):
        if one.type == "command":
            words = [word for child in one.named_children if child.type not in NO_WORDS for word in word_of(child, {})]
            if words and words[0].text in ("exit", "return", "exec", "break", "continue") and not ends_so(words):
                return True
    return False


_STATUS = r"\$(?:\?|\{PIPESTATUS\[0\]\}|PIPESTATUS)"


def status_asked(parts: Sequence[Node], at: int) -> tuple[Node, int] | None:
    """The command whose status a variable keeps, and the position of what fails by it: ``gate || rc=$?; exit $rc``."""
    node = parts[at]
    following = text_of(parts[at + 1]) if at + 1 < len(parts) else ""
    target, begin = node, at + 2
    if node.type == "list" and (match := re.fullmatch(rf"(\w+)={_STATUS}", text_of(node.named_children[-1]))):
        if not any(child.type == "||" for child in node.children):
            return None
        target, begin = node.named_children[0], at + 1
    elif match := re.fullmatch(rf"(\w+)=\"?{_STATUS}\"?", following):
        if node.type == "pipeline":
            if "PIPESTATUS" not in following:
                return None
            target = node.named_children[0]
    elif node.type == "pipeline" and re.fullmatch(r"exit \"?\$\{PIPESTATUS\[0\]\}\"?", following):
        return node.named_children[0], at + 1
    else:
        return None
    name = match.group(1)
    for until in range(begin, len(parts)):
        text = text_of(parts[until])
        if fails_by(name, text):
            return target, until
        if re.search(rf"\b{name}=|\bread\b|\bunset\b|\bexit\b|\breturn\b|\beval\b", text):
            return None
    return None


def fails_by(name: str, text: str) -> bool:
    """Whether a statement ends the script with a failure wherever a status is not 0."""
    value = rf"\"?\$\{{?{name}\}}?\"?"
    bad = rf"(?:exit|return) (?:{value}|[1-9]\d?)"
    unequal = rf"(?:\[\[?|test) {value} (?:-ne|-gt|!=) \"?0\"?(?: \]\]?)?|\(\( ?\$?{name} (?:!=|>) 0 ?\)\)"
    equal = rf"(?:\[\[?|test) {value} (?:-eq|==?) \"?0\"?(?: \]\]?)?"
    flat = " ".join(text.split())
    if re.fullmatch(rf"exit {value}", flat):
        return True
    if re.fullmatch(rf"(?:{unequal}) && {bad}|(?:{equal}) \|\| {bad}", flat):
        return True
    return bool(
        re.fullmatch(rf"if (?:{unequal}) ?; ?then (?:echo [^;&|`$]*; ?|echo [^;&|`]* )?{bad} ?;? fi", flat)
    ) or bool(
        re.fullmatch(
            rf"if (?:{unequal}) ?;? then (?:echo (?:'[^']*'|\"[^\"`]*\"|[^;&|`\"']*?) ?;? )?{bad} ?;? fi", flat
        )
    )
