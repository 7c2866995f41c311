"""Whether the failure of a command in a shell script reaches whoever started the script, and what must have succeeded
before each command starts. Reads the script; runs nothing.

What a construct does with an exit code is bash's (GNU Bash manual, "The Set Builtin" and "Compound Commands").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_mlgov.pipelines.manifest import Command, ExitCode

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_SCRIPT = 200_000
"""Characters of a script that is read."""
MAX_COMMANDS = 5_000
_DEEP = 60
_EXPRESSIONS = re.compile(
    r"\$\{\{.*?\}\}|\$\[\[.*?\]\]|\{\{.*?\}\}|\$\((?:params|tasks|context|workspaces|inputs)[.\[][^)]*\)", re.S
)
"""What a platform puts in before the shell reads: GitHub's, GitLab's, Argo's and KFP's, Tekton's."""
_STAND_IN = "EXPRESSION"
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh"})
_RUNNERS: dict[str, int] = {
    "sudo": 0, "env": 0, "time": 0, "nice": 0, "nohup": 0, "exec": 0, "command": 0, "timeout": 1, "stdbuf": 0,
    "ionice": 0, "setsid": 0, "xvfb-run": 0, "dumb-init": 0, "tini": 0,
}  # fmt: skip
"""Programs that run the rest of their line and end as it ends -> words of their own besides options."""
_TAKES_VALUE = frozenset({"-u", "-g", "-n", "-k", "-s", "-c", "--signal", "--kill-after", "--user", "--name", "--with"})
_TOOLS = (
    ("uv", "run"), ("poetry", "run"), ("pipenv", "run"), ("pdm", "run"), ("hatch", "run"), ("rye", "run"),
    ("conda", "run"), ("mamba", "run"), ("micromamba", "run"), ("pixi", "run"), ("uvx",), ("pipx", "run"),
)  # fmt: skip


@dataclass(frozen=True)
class Shell:
    """How a platform starts a script."""

    program: str = "bash"
    errexit: bool = True
    """``-e``: the first command that fails ends it."""
    pipefail: bool = False


@dataclass(frozen=True)
class Script:
    """What was read of a script."""

    commands: tuple[Command, ...] = ()
    problem: str = ""
    """Why not all of it could be read; empty if it could."""
    line: int | None = None
    """Of the problem."""


@dataclass
class _State:
    """What a script has said so far."""

    errexit: bool
    pipefail: bool
    may_end: str = ""
    """Why the script may already have ended well before what follows."""
    trap: str = ""
    functions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    """Where a command stands."""

    lost: str = ""
    """Why its exit code is lost."""
    unknown: str = ""
    last: bool = True
    """Whether its status is that of the script."""
    tested: bool = False
    """Whether its status is asked for, as before ``||``: ``-e`` does not hold within."""
    after: frozenset[int] = frozenset()
    depth: int = 0

    def losing(self, why: str) -> _Place:
        """Where a failure counts for nothing."""
        return replace(self, lost=self.lost or why, last=False, tested=True, depth=self.depth + 1)

    def asked(self) -> _Place:
        """Where the script ends with a failure if the whole part has failed."""
        return replace(self, last=True, tested=True, depth=self.depth + 1)

    def inner(self, *, last: bool | None = None, after: frozenset[int] | None = None) -> _Place:
        return replace(
            self,
            depth=self.depth + 1,
            last=self.last if last is None else last and self.last,
            after=self.after if after is None else after,
        )


@dataclass(frozen=True)
class _Result:
    """What is known of commands once a part of a script is behind one."""

    passed: frozenset[int] = frozenset()
    """These have succeeded, if the script goes on."""
    good: frozenset[int] = frozenset()
    """These have succeeded, if the part has."""
    bad_ends: bool = False
    """Whether the part always ends the script with a failure."""
    failed: frozenset[int] = frozenset()
    """These have succeeded, if the part has failed: of ``! command``."""


_NOTHING = _Result()


def read_script(text: str, shell: Shell, first_line: int | None = None) -> Script:
    """The commands of a script.

    :param first_line: of the script in its file; None if lines cannot be told
    """
    if shell.program not in _SHELLS:
        return Script((), f"a script of {shell.program} cannot be judged", first_line)
    if len(text) > MAX_SCRIPT:
        return Script((), f"the script has more than {MAX_SCRIPT} characters", first_line)
    shell = _shebang(text, shell)
    if shell.program not in _SHELLS:
        return Script((), f"a script of {shell.program} cannot be judged", first_line)
    return _Reader(first_line).read(_EXPRESSIONS.sub(_same_lines, text), shell)


def read_words(words: Sequence[str], line: int | None = None) -> Script:
    """The commands of a program with its arguments, as containers have them: ``["sh", "-c", "…"]``."""
    told = tuple(_EXPRESSIONS.sub(_STAND_IN, word) for word in words)
    found = _unwrapped(told)
    if found and (inner := _inline(found)) is not None:
        return read_script(inner[0], inner[1], line)
    return Script((Command(found, line),)) if found else Script()


def _same_lines(match: re.Match[str]) -> str:
    return _STAND_IN + "\n" * 0 if "\n" not in match.group() else _STAND_IN + "\\\n" * match.group().count("\n")


def _shebang(text: str, shell: Shell) -> Shell:
    """A script that names its own interpreter is run by that, with its flags alone."""
    if not text.startswith("#!"):
        return shell
    words = text.splitlines()[0][2:].split()
    if words and words[0].endswith("/env"):
        words = [word for word in words[1:] if not word.startswith("-S")]
    program = words[0].rpartition("/")[2] if words else ""
    flags = "".join(word.lstrip("-") for word in words[1:] if word.startswith("-") and not word.startswith("--"))
    return Shell(program, errexit="e" in flags, pipefail="pipefail" in words)


def _unwrapped(words: tuple[str, ...]) -> tuple[str, ...]:
    """The program that really runs: without ``sudo``, ``env A=b``, ``timeout 60``, ``uv run``."""
    for _ in range(20):
        while words and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=.*", words[0], re.S):
            words = words[1:]
        if not words:
            return ()
        name = words[0].rpartition("/")[2]
        tool = next((one for one in _TOOLS if tuple([name, *words[1:]][: len(one)]) == one), None)
        if tool:
            rest = _past_options(words[len(tool) :], 0)
        elif name in _RUNNERS:
            rest = _past_options(words[1:], _RUNNERS[name])
        else:
            break
        if not rest:
            break
        words = rest
    name = words[0].rpartition("/")[2]
    return (name, *words[1:])


def _past_options(words: tuple[str, ...], own: int) -> tuple[str, ...]:
    while words and words[0].startswith("-"):
        if words[0] == "--":
            words = words[1:]
            break
        words = words[2:] if words[0] in _TAKES_VALUE else words[1:]
    return words[own:]


def _inline(words: tuple[str, ...]) -> tuple[str, Shell] | None:
    """The script that ``bash -ec '…'`` runs, and how."""
    if words[0] not in _SHELLS:
        return None
    errexit = pipefail = False
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if word in ("-o", "+o") and rest:
            option = rest.pop(0)
            pipefail, errexit = pipefail or option == "pipefail", errexit or option == "errexit"
        elif word.startswith("--"):
            continue
        elif word.startswith("-"):
            errexit = errexit or "e" in word
            if word.endswith("o") and rest:
                pipefail = pipefail or rest.pop(0) == "pipefail"
            if "c" in word:
                return (rest[0], Shell(words[0], errexit, pipefail)) if rest else None
        else:
            return None
    return None


class _Reader:
    def __init__(self, first_line: int | None) -> None:
        self._first = first_line
        self._found: list[Command] = []

    def read(self, text: str, shell: Shell) -> Script:
        """The script's commands; exit codes are unknown where it cannot be read."""
        import tree_sitter_bash
        from tree_sitter import Language, Parser

        tree = Parser(Language(tree_sitter_bash.language())).parse(text.encode())
        state = _State(shell.errexit, shell.pipefail)
        broken = _first_error(tree.root_node) if tree.root_node.has_error else None
        problem = "" if broken is None else "the script cannot be read as shell"
        self._statements(tree.root_node.children, state, _Place(unknown=problem))
        commands = tuple(self._trapped(command, state) for command in self._found)
        return Script(commands, problem, self._line(broken) if broken is not None else None)

    def _trapped(self, command: Command, state: _State) -> Command:
        if state.trap and command.exit_code is ExitCode.KEPT:
            return replace(command, exit_code=ExitCode.LOST, why=state.trap)
        return command

    def _line(self, node: Node) -> int | None:
        return None if self._first is None else self._first + int(node.start_point[0])

    def _at(self, node: Node) -> str:
        """``line 7: ``; nothing if lines cannot be told."""
        line = self._line(node)
        return f"line {line}: " if line else ""

    # -- lists of statements ----------------------------------------------------------------------------------------

    def _statements(self, nodes: Sequence[Node], state: _State, place: _Place) -> _Result:
        """One after the other; the last one's status is the whole's."""
        parts = [node for node in nodes if node.is_named and node.type not in ("comment", "heredoc_body")]
        background = {
            node.prev_named_sibling.id for node in nodes if node.type == "&" and node.prev_named_sibling is not None
        }
        passed, result = place.after, _NOTHING
        for at, node in enumerate(parts):
            if len(self._found) >= MAX_COMMANDS:
                break
            here = place.inner(last=at == len(parts) - 1, after=passed)
            if node.id in background:
                self._statement(node, state, here.losing("it runs in the background (&)"))
                result = _NOTHING
                continue
            result = self._statement(node, state, here)
            passed = passed | result.passed
            if result.bad_ends:
                break
        return replace(result, passed=(passed - place.after) | result.passed, good=(passed - place.after) | result.good)

    def _statement(self, node: Node, state: _State, place: _Place) -> _Result:
        if place.depth > _DEEP:
            return _NOTHING
        reader = getattr(self, f"_read_{node.type}", None)
        if reader is not None:
            found: _Result = reader(node, state, place)
            return found
        if node.type in _UNCERTAIN:
            why = f"{self._at(node)}{_UNCERTAIN[node.type]}"
            self._statements(node.children, state, replace(place.losing(why), after=place.after))
            return _NOTHING
        if node.type == "ERROR" or node.named_children:
            self._statements(node.children, state, place.losing("it stands where it cannot be read"))
        return _NOTHING

    # -- constructs -------------------------------------------------------------------------------------------------

    def _read_compound_statement(self, node: Node, state: _State, place: _Place) -> _Result:
        return self._statements(node.children, state, place)

    _read_do_group = _read_program = _read_compound_statement

    def _read_subshell(self, node: Node, state: _State, place: _Place) -> _Result:
        inner = replace(state, functions=dict(state.functions))
        found = self._statements(node.children, inner, place)
        return found if self._stops(state, place) else _Result(good=found.good)

    def _read_redirected_statement(self, node: Node, state: _State, place: _Place) -> _Result:
        body = node.child_by_field_name("body")
        script = _here_document(node)
        if body is not None and script is not None and _text(body).split(None, 1)[:1] in (["bash"], ["sh"]):
            reading = place.inner()
            unknown = replace(reading, unknown=reading.unknown or "it stands in a here document")
            self._nested(script, Shell("bash", errexit="-e" in _text(body).split()), node, state, unknown)
            return _NOTHING
        return self._statement(body, state, place) if body is not None else _NOTHING

    def _read_negated_command(self, node: Node, state: _State, place: _Place) -> _Result:
        inner = node.named_children[-1]
        found = self._statement(inner, state, place.losing("! turns its status around"))
        return _Result(failed=found.good)

    def _read_list(self, node: Node, state: _State, place: _Place) -> _Result:
        left, right = node.named_children[0], node.named_children[-1]
        if any(child.type == "||" for child in node.children):
            return self._either(left, right, state, place)
        why = f"{self._at(left)}it stands before && in a line that is not the script's last"
        first = place.asked() if place.last else place.losing(why)
        one = self._statement(left, state, replace(first, after=place.after))
        two = self._statement(right, state, place.inner(after=place.after | one.good))
        both = one.good | two.good
        return _Result(passed=both if place.last else frozenset(), good=both)

    def _either(self, left: Node, right: Node, state: _State, place: _Place) -> _Result:
        """``left || right``: the left one's failure counts only if the right one is sure to end the script with one."""
        if _ends_badly(right):
            one = self._statement(left, state, place.asked())
            self._statement(right, state, place.losing("it runs only after a failure"))
            return _Result(passed=one.good, good=one.good)
        if _ends_well(right):
            state.may_end = state.may_end or f"{self._at(right)}{_short(right)} may have ended the script"
        self._statement(left, state, place.losing(f"{self._at(right)}|| {_short(right)}"))
        self._statement(right, state, place.losing("it runs only after a failure"))
        return _NOTHING

    def _read_pipeline(self, node: Node, state: _State, place: _Place) -> _Result:
        parts = node.named_children
        passed: frozenset[int] = frozenset()
        for at, part in enumerate(parts):
            last = at == len(parts) - 1
            here = place if last or state.pipefail else place.losing("it stands in a pipe without pipefail (| …)")
            found = self._statement(part, state, replace(here, after=place.after))
            passed |= found.good if last or state.pipefail else frozenset()
        return _Result(passed=passed if self._stops(state, place) else frozenset(), good=passed)

    def _read_if_statement(self, node: Node, state: _State, place: _Place) -> _Result:
        conditions, then, others = _branches(node)
        tested = _NOTHING
        else_ends = bool(others) and others[-1].type == "else_clause" and _ends_badly(others[-1])
        then_ends = _ends_badly_all(then)
        for condition in conditions:
            negated = condition.type == "negated_command"
            kept = then_ends if negated else else_ends
            here = place.asked() if kept else place.losing(f"{self._at(condition)}it is asked by an if")
            if negated and kept:
                inner = self._statement(condition.named_children[-1], state, here)
                tested = _Result(failed=inner.good)
            else:
                tested = self._statement(condition, state, replace(here, after=place.after))
        why = f"{self._at(node)}it runs under a condition (if)"
        conditional = place.losing(why)
        self._statements(then, state, replace(conditional, after=place.after | tested.good))
        for other in others:
            self._statements(other.children, state, replace(conditional, after=place.after | tested.failed))
        if any(_may_end_well(part) for part in (*then, *others)):
            state.may_end = state.may_end or f"{self._at(node)}the script may have ended before, under a condition (if)"
        if then_ends and tested.failed:
            return _Result(passed=tested.failed, good=tested.failed)
        return _Result(passed=tested.good, good=tested.good) if else_ends else _NOTHING

    def _read_function_definition(self, node: Node, state: _State, place: _Place) -> _Result:  # noqa: ARG002
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is not None and body is not None:
            state.functions[_text(name)] = body
        return _NOTHING

    def _read_variable_assignment(self, node: Node, state: _State, place: _Place) -> _Result:
        found = [self._statements(inner.children, state, place.inner(last=True)) for inner in _substitutions(node)]
        passed = frozenset[int]().union(*(one.good for one in found[-1:]))
        return _Result(passed=passed if self._stops(state, place) else frozenset(), good=passed)

    def _read_declaration_command(self, node: Node, state: _State, place: _Place) -> _Result:
        word = _text(node).split(None, 1)[0]
        for inner in _substitutions(node):
            self._statements(
                inner.children, state, place.losing(f"{self._at(node)}{word} X=$(…) has a status of its own")
            )
        return _NOTHING

    def _read_command(self, node: Node, state: _State, place: _Place) -> _Result:
        for inner in _substitutions(node):
            self._statements(
                inner.children, state, place.losing("its output is an argument, its status is not looked at")
            )
        words = tuple(_word(child) for child in node.named_children if child.type not in _NO_WORDS)
        words = _unwrapped(words)
        if not words:
            return _NOTHING
        if words[0] in ("set", "trap", "exit"):
            return self._builtin(words, node, state, place)
        if words[0] in state.functions:
            body = state.functions[words[0]]
            inner_state = replace(state, functions={k: v for k, v in state.functions.items() if k != words[0]})
            return self._statement(body, inner_state, place)
        if (inner_script := _inline(words)) is not None:
            return self._nested(*inner_script, node, state, place)
        if words[0] in ("eval", "source", "."):
            state.may_end = state.may_end or f"{self._at(node)}{words[0]} runs what is not here"
        if words[0] in ("xargs", "parallel", "find"):
            return self._add(words[1:], node, state, place.losing(f"{words[0]} may run it no time"))
        return self._add(words, node, state, place)

    def _builtin(self, words: tuple[str, ...], node: Node, state: _State, place: _Place) -> _Result:
        """``set``, ``trap``, ``exit``: they change what becomes of the commands that follow."""
        if words[0] == "set":
            _set(words[1:], state)
            return _NOTHING
        if words[0] == "trap":
            return _trap(words, self._at(node), state)
        ends = _ends_badly(node)
        if not ends and not place.last:
            state.may_end = state.may_end or f"{self._at(node)}the script has ended before"
        return _Result(bad_ends=ends)

    def _nested(self, text: str, shell: Shell, node: Node, state: _State, place: _Place) -> _Result:
        """The script that a command of this one runs."""
        reader = _Reader(None if self._first is None else (self._line(node) or 1))
        script = reader.read(text, shell)
        start, known = len(self._found), set[int]()
        for command in script.commands:
            own = self._judged(command.words, node, state, place)
            worse = own if own.exit_code is not ExitCode.KEPT else command
            position = len(self._found)
            shifted = tuple(sorted({*place.after, *(start + one for one in command.after)}))
            self._found.append(replace(command, exit_code=worse.exit_code, why=worse.why, after=shifted))
            if command.exit_code is ExitCode.KEPT:
                known.add(position)
        good = frozenset(known)
        return _Result(passed=good if self._stops(state, place) else frozenset(), good=good)

    # -- one command ------------------------------------------------------------------------------------------------

    def _add(self, words: tuple[str, ...], node: Node, state: _State, place: _Place) -> _Result:
        command = self._judged(words, node, state, place)
        self._found.append(command)
        here = frozenset({len(self._found) - 1})
        stops = self._stops(state, place)
        return _Result(passed=here if stops else frozenset(), good=here)

    def _stops(self, state: _State, place: _Place) -> bool:
        """Whether a failure here ends the script before what follows."""
        return not place.lost and (place.last or (state.errexit and not place.tested))

    def _judged(self, words: tuple[str, ...], node: Node, state: _State, place: _Place) -> Command:
        after = tuple(sorted(place.after))
        line = self._line(node)
        if place.lost:
            return Command(words, line, ExitCode.LOST, place.lost, after)
        if place.unknown:
            return Command(words, line, ExitCode.UNKNOWN, place.unknown, after)
        if not self._stops(state, place):
            return Command(words, line, ExitCode.LOST, "the script goes on after it (no set -e)", after)
        if state.may_end:
            return Command(words, line, ExitCode.LOST, state.may_end, after)
        return Command(words, line, ExitCode.KEPT, "", after)


_UNCERTAIN = {
    "while_statement": "it stands in a loop, which may run no time",
    "for_statement": "it stands in a loop, which may run no time",
    "c_style_for_statement": "it stands in a loop, which may run no time",
    "case_statement": "it runs under a condition (case)",
    "case_item": "it runs under a condition (case)",
    "elif_clause": "it runs under a condition (elif)",
    "else_clause": "it runs under a condition (else)",
}
_NO_WORDS = frozenset({"file_redirect", "heredoc_redirect", "herestring_redirect", "comment"})


def _text(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")


def _short(node: Node) -> str:
    text = " ".join(_text(node).split())
    word = text.split(" ")[0]
    return text if len(text) <= 12 else word


def _word(node: Node) -> str:
    if node.type == "command_name" and node.named_children:
        return _word(node.named_children[0])
    text = _text(node)
    if node.type in ("raw_string", "ansi_c_string"):
        return text.removeprefix("$")[1:-1]
    if node.type == "string":
        return re.sub(r'\\(["\\$`])', r"\1", text[1:-1])
    return text.replace("\\\n", "")


def _first_error(node: Node) -> Node | None:
    """The first part that is no shell."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one.type == "ERROR" or one.is_missing:
            return one
        waiting.extend(child for child in reversed(one.children) if child.has_error or child.is_missing)
    return node


def _substitutions(node: Node) -> Iterator[Node]:
    waiting = list(node.named_children)
    while waiting:
        one = waiting.pop(0)
        if one.type in ("command_substitution", "process_substitution"):
            yield one
        elif one.type not in ("heredoc_redirect",):
            waiting[:0] = one.named_children


def _here_document(node: Node) -> str | None:
    for redirect in node.named_children:
        if redirect.type == "heredoc_redirect":
            body = next((child for child in redirect.named_children if child.type == "heredoc_body"), None)
            return _text(body) if body is not None else ""
    return None


def _branches(node: Node) -> tuple[list[Node], list[Node], list[Node]]:
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


def _ends_badly(node: Node) -> bool:
    """Whether a part always ends the script with a failure: ``exit 1``, ``{ …; exit 1; }``."""
    if node.type == "command":
        words = [_word(child) for child in node.named_children if child.type not in _NO_WORDS]
        if words[:1] == ["exit"]:
            return len(words) == 2 and words[1].isdigit() and int(words[1]) % 256 != 0
        return False
    if node.type in ("compound_statement", "else_clause"):
        return _ends_badly_all([child for child in node.named_children if child.type != "comment"])
    if node.type == "redirected_statement":
        body = node.child_by_field_name("body")
        return body is not None and _ends_badly(body)
    return False


def _ends_badly_all(nodes: Sequence[Node]) -> bool:
    """Whether the last of them does, and none before it may end the script well."""
    return bool(nodes) and _ends_badly(nodes[-1]) and not any(_may_end_well(node) for node in nodes[:-1])


def _ends_well(node: Node) -> bool:
    if node.type == "command":
        words = [_word(child) for child in node.named_children if child.type not in _NO_WORDS]
        return words[:1] == ["exit"] and not _ends_badly(node)
    return False


def _may_end_well(node: Node) -> bool:
    """Whether a part holds an ``exit`` that may be one of success."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if _ends_well(one):
            return True
        if one.type not in ("function_definition", "subshell", "command_substitution"):
            waiting.extend(one.named_children)
    return False


def _set(words: tuple[str, ...], state: _State) -> None:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        on = word.startswith("-")
        if not word.startswith(("-", "+")):
            return
        letters = word[1:]
        if "e" in letters:
            state.errexit = on
        if letters.endswith("o") and rest:
            option = rest.pop(0)
            if option == "errexit":
                state.errexit = on
            if option == "pipefail":
                state.pipefail = on


def _trap(words: tuple[str, ...], at: str, state: _State) -> _Result:
    signals = {word.upper() for word in words[2:]}
    if signals & {"EXIT", "ERR", "0"} and re.search(r"\bexit(?!\s+[1-9$])", words[1] if len(words) > 1 else ""):
        state.trap = f"{at}a trap ends the script with success"
    return _NOTHING
