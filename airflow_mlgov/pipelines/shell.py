"""Whether the failure of a command in a shell script reaches whoever started the script, and what must have succeeded
before each command starts. Reads the script; runs nothing.

What a construct does with an exit code is bash's (GNU Bash manual, "The Set Builtin" and "Compound Commands").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_mlgov.pipelines.manifest import Command, ExitCode
from airflow_mlgov.pipelines.shell_nodes import (
    branches,
    ends_so,
    first_error,
    first_word,
    here_document,
    may_end_well,
    parsed,
    short,
    status_asked,
    strings,
    substitutions,
    walked,
)
from airflow_mlgov.pipelines.shell_words import (
    NO_WORDS,
    SHELLS,
    SWAYING,
    Shell,
    Word,
    filled,
    shebang,
    shell_of,
    text_of,
    unwrapped,
    word_of,
)

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["Script", "Shell", "read_script", "read_words"]

MAX_SCRIPT = 200_000
"""Characters of a script that is read."""
MAX_COMMANDS = 2_000
_DEEP = 60
_HOOKS = re.compile(
    r"(?:/(?:bin|Scripts)/)?activate\b.*|.*/etc/profile\.d/\w+\.sh|/etc/(?:profile|environment|os-release)|"
    r"(?:~|\$HOME|/root|/home/\w+)/\.(?:bashrc|profile|bash_profile|cargo/env)"
)
"""Files that people source, and that change no more than where programs are found."""
_MAKERS = frozenset(
    {"conda", "mamba", "micromamba", "ssh-agent", "pyenv", "minikube", "docker-machine", "brew", "direnv"}
)
"""Programs whose output people hand to ``eval``."""
_PLAIN_FIRST = frozenset({"install", "run", "build", "apply", "push", "pull", "login", "-m", "--version", "upgrade"})
"""First words that no builtin takes which ends a script or changes how it goes on."""
_STRING_RUNNERS = frozenset(
    {"ssh", "su", "script", "watch", "parallel", "flock", "docker", "podman", "kubectl", "xargs"}
)
"""Programs that may hand a text to a shell."""


@dataclass(frozen=True)
class Script:
    """What was read of a script."""

    commands: tuple[Command, ...] = ()
    problem: str = ""
    """Why not all of it could be read; empty if it could."""
    line: int | None = None
    """Of the problem."""


@dataclass(frozen=True)
class _Function:
    bodies: tuple[Node, ...]
    sure: bool
    """Whether it is certain that it is this one: not where it was written under a condition."""


@dataclass
class _State:
    """What a script has said so far."""

    errexit: bool
    pipefail: bool
    may_end: str = ""
    """Why the script may already have ended well before what follows."""
    left: str = ""
    """The same of the function, the loop or the subshell that is being read."""
    left_at: int | None = None
    """How many commands had been read then."""
    doubt: str = ""
    """Why it cannot be told what follows does."""
    functions: dict[str, _Function] = field(default_factory=dict)
    variables: dict[str, tuple[str, ...] | None] = field(default_factory=dict)
    in_script: bool = True
    """Whether ``exit`` ends the script, and no subshell alone."""
    exit_kept: bool = True
    """Whether an ``exit`` with a failure here makes the script fail."""
    return_kept: bool = False

    def copy(self) -> _State:
        """Of a subshell: what it changes stays in it."""
        return replace(self, functions=dict(self.functions), variables=dict(self.variables))


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
    sure: bool = True
    """Whether it runs wherever what is before it has run."""
    final: bool = True
    """Whether nothing of the script, or of the subshell, comes after it."""

    def losing(self, why: str) -> _Place:
        """Where a failure counts for nothing."""
        return replace(
            self, lost=self.lost or why, last=False, tested=True, depth=self.depth + 1, sure=False, final=False
        )  # fmt: skip

    def asked(self) -> _Place:
        """Where the script ends with a failure if the whole part has failed."""
        return replace(self, last=True, tested=True, depth=self.depth + 1)

    def inner(self, *, last: bool | None = None, after: frozenset[int] | None = None) -> _Place:
        return replace(
            self,
            depth=self.depth + 1,
            last=self.last if last is None else last and self.last,
            final=self.final if last is None else last and self.final,
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

    def before(self, position: int | None) -> _Result:
        """What is known of the commands up to a position."""
        if position is None:
            return self
        kept = (frozenset(at for at in one if at < position) for one in (self.passed, self.good, self.failed))
        passed, good, failed = kept
        return _Result(passed, good, failed=failed)


_NOTHING = _Result()


def read_script(text: str, shell: Shell, first_line: int | None = None) -> Script:
    """The commands of a script.

    :param first_line: of the script in its file; None if lines cannot be told
    """
    if len(text) > MAX_SCRIPT:
        return Script((), f"the script has more than {MAX_SCRIPT} characters", first_line)
    shell = shebang(text, shell)
    if shell.program not in SHELLS:
        return Script((), f"a script of {shell.program} cannot be judged", first_line)
    return _Reader(first_line).read(filled(text, shell.fills), shell)


def read_words(words: Sequence[str], line: int | None = None, fills: str = "") -> Script:
    """The commands of a program with its arguments, as containers have them: ``["sh", "-c", "…"]``.

    :param fills: the platform that puts values in
    """
    told = [Word(text, open=_is_filled(text), literal=text == word) for word in words for text in [filled(word, fills)]]
    found = unwrapped(told)
    if not found:
        return Script()
    if found[0].text in SHELLS:
        shell, rest = shell_of([word.text for word in found], fills)
        if rest[:1] == ["-c"] and len(rest) > 1:
            original = next((word for word in words if filled(word, fills) == rest[1]), rest[1])
            return read_script(original, shell, line)
    return Script((_command(found, line),))


def _is_filled(text: str) -> bool:
    """Whether a whole word is put in by the platform."""
    return text == "EXPRESSION" or bool(re.fullmatch(r"\$\(\w+\)", text))


def _command(words: Sequence[Word], line: int | None, **more: object) -> Command:
    at = tuple(position for position, word in enumerate(words) if word.open)
    return replace(Command(tuple(word.text for word in words), line, open=at), **more)  # type: ignore[arg-type]


class _Reader:
    def __init__(self, first_line: int | None) -> None:
        self._first = first_line
        self._found: list[Command] = []
        self._seen: set[int] = set()
        self._traps: list[tuple[str, str]] = []
        self._known: dict[str, list[Node]] = {}
        self._problem = ""

    def read(self, text: str, shell: Shell) -> Script:
        """The script's commands; exit codes are unknown where it cannot be read."""
        root = parsed(text)
        state = _State(shell.errexit, shell.pipefail)
        broken = first_error(root) if root.has_error else None
        problem = shell.problem or ("" if broken is None else "the script cannot be read as shell")
        if shell.fills == "jinja" and "{%" in text:
            problem = problem or "Jinja decides which of its lines run ({% … %})"
        self._statements(root.children, state, _Place(unknown=problem))
        self._unseen(root, state)
        why = next((at + said for at, action in self._traps if (said := self._sways(action))), "")
        commands = tuple(_trapped(command, why) for command in self._found)
        problem = problem or self._problem
        if self._problem:
            commands = tuple(
                replace(one, exit_code=ExitCode.UNKNOWN, why=self._problem) if one.exit_code is ExitCode.KEPT else one
                for one in commands
            )
        return Script(commands, problem, self._line(broken) if broken is not None else None)

    def _line(self, node: Node) -> int | None:
        return None if self._first is None else self._first + int(node.start_point[0])

    def _at(self, node: Node) -> str:
        """``line 7: ``; nothing if lines cannot be told."""
        line = self._line(node)
        return f"line {line}: " if line else ""

    def _unseen(self, root: Node, state: _State) -> None:
        """Commands that stand where none was looked for: in a text, a redirection, a function that nobody calls."""
        place = _Place().losing("it stands where it is not known to run")
        for node in walked(root):
            if node.type == "command" and node.id not in self._seen and len(self._found) < MAX_COMMANDS:
                self._seen.add(node.id)
                words = unwrapped(self._words(node, state))
                if words and words[0].text not in ("set", "trap", "exit", "return"):
                    self._add(words, node, state, place)

    # -- lists of statements ----------------------------------------------------------------------------------------

    def _statements(self, nodes: Sequence[Node], state: _State, place: _Place) -> _Result:
        """One after the other; the last one's status is the whole's."""
        parts = [node for node in nodes if node.is_named and node.type not in ("comment", "heredoc_body")]
        background = {
            node.prev_named_sibling.id for node in nodes if node.type == "&" and node.prev_named_sibling is not None
        }
        passed, result = place.after, _NOTHING
        asked_later: dict[int, frozenset[int]] = {}
        for at, node in enumerate(parts):
            if len(self._found) >= MAX_COMMANDS:
                self._problem = self._problem or f"the script has more than {MAX_COMMANDS} commands"
                break
            here = place.inner(last=at == len(parts) - 1, after=passed)
            if node.id in background:
                self._statement(node, state.copy(), here.losing("it runs in the background (&)"))
                result = _NOTHING
                continue
            if (kept := status_asked(parts, at)) and state.exit_kept and not here.lost:
                target, until = kept
                good = self._asked_of(target, node, state, replace(here.asked(), after=passed)).good
                asked_later[until] = asked_later.get(until, frozenset()) | good
                result = _NOTHING
                continue
            result = self._statement(node, state, here)
            passed = passed | result.passed | asked_later.get(at, frozenset())
            if result.bad_ends:
                break
        return replace(result, passed=(passed - place.after) | result.passed, good=(passed - place.after) | result.good)

    def _asked_of(self, target: Node, node: Node, state: _State, place: _Place) -> _Result:
        """A command whose status is kept in a variable and asked for further down."""
        if node.type == "pipeline":
            for part in node.named_children[1:]:
                self._statement(part, state.copy(), place.losing("it stands in a pipe"))
        return self._statement(target, state, place)

    def _statement(self, node: Node, state: _State, place: _Place) -> _Result:
        if place.depth > _DEEP:
            self._problem = self._problem or f"{self._at(node)}the script is nested too deeply"
            return _NOTHING
        reader: Callable[[Node, _State, _Place], _Result] | None = getattr(self, f"_read_{node.type}", None)
        if reader is not None:
            return reader(node, state, place)
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

    def _in_subshell(self, nodes: Sequence[Node], state: _State, place: _Place) -> _Result:
        """What changes nothing outside of itself, and which ``exit`` leaves."""
        inner = replace(
            state.copy(), may_end="", left="", left_at=None, exit_kept=self._stops(state, place), in_script=False
        )
        inner.left = state.left or state.may_end
        found = self._statements(nodes, inner, replace(place, last=self._stops(state, place), final=True))
        return found.before(inner.left_at)

    def _read_subshell(self, node: Node, state: _State, place: _Place) -> _Result:
        found = self._in_subshell(node.children, state, place)
        return found if self._stops(state, place) else _Result(good=found.good)

    def _read_redirected_statement(self, node: Node, state: _State, place: _Place) -> _Result:
        body = node.child_by_field_name("body")
        script, rest = here_document(node)
        if rest is not None:  # ``gate <<EOF || true``
            place = place.losing(f"{self._at(node)}what follows its here document decides ({short(rest)})")
        if script is not None:
            self._here(script, node, body, rest, state, place)
            if body is not None and first_word(body) in SHELLS:
                self._seen.update(one.id for one in walked(body))
                return _NOTHING
        found = self._statement(body, state, place) if body is not None else _NOTHING
        if rest is not None:
            self._statement(rest, state.copy(), place)
        return found

    def _here(
        self, script: str, node: Node, body: Node | None, rest: Node | None, state: _State, place: _Place
    ) -> None:  # fmt: skip
        """What a shell or ``ssh`` reads from a here document, if one does."""
        words = set(text_of(body).split()) if body is not None else set()
        words |= set(text_of(rest).split()) if rest is not None else set()
        if {word.rpartition("/")[2] for word in words} & (SHELLS | {"ssh", "su"}):
            unknown = replace(place.inner(), unknown=place.unknown or "it stands in a here document")
            self._nested(script, Shell("bash"), node, state, unknown)

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
        second = place.inner(after=place.after | one.good)
        if not place.last:
            second = second.losing(
                f"{self._at(right)}the script goes on where what stands before && has failed, without it"
            )
        two = self._statement(right, state, replace(second, sure=False))
        both = one.good | two.good
        return _Result(passed=both if place.last else frozenset(), good=both)

    def _either(self, left: Node, right: Node, state: _State, place: _Place) -> _Result:
        """``left || right``: the left one's failure counts only if the right one is sure to fail too."""
        if self._fails(right, state, place):
            one = self._statement(left, state, place.asked())
            self._statement(right, state, place.losing("it runs only after a failure"))
            return _Result(passed=one.good, good=one.good)
        self._statement(left, state, place.losing(f"{self._at(right)}|| {short(right)}"))
        self._statement(right, state, place.losing("it runs only after a failure"))
        return _NOTHING

    def _read_pipeline(self, node: Node, state: _State, place: _Place) -> _Result:
        parts = node.named_children
        passed: frozenset[int] = frozenset()
        for at, part in enumerate(parts):
            last = at == len(parts) - 1
            here = place if last or state.pipefail else place.losing("it stands in a pipe without pipefail (| …)")
            found = self._in_subshell([part], state, replace(here, after=place.after))
            passed |= found.good if last or state.pipefail else frozenset()
        if first_word(parts[-1]) in SHELLS:  # ``echo … | sh``
            texts = [text for part in parts[:-1] for text in strings(part)]
            unknown = replace(place.inner(), unknown="a shell reads it from a pipe")
            for text in texts:
                self._nested(text, Shell("bash"), node, state, unknown)
        return _Result(passed=passed if self._stops(state, place) else frozenset(), good=passed)

    def _read_if_statement(self, node: Node, state: _State, place: _Place) -> _Result:
        conditions, then, others = branches(node)
        for condition in conditions[:-1]:
            self._statement(condition, state, place.losing(f"{self._at(condition)}it stands in a condition (if)"))
        tested = _NOTHING
        else_fails = bool(others) and others[-1].type == "else_clause" and self._fails(others[-1], state, place)
        then_fails = self._all_fail(then, state, place)
        if conditions:
            condition = conditions[-1]
            negated = condition.type == "negated_command"
            kept = then_fails if negated else else_fails
            here = place.asked() if kept else place.losing(f"{self._at(condition)}it is asked by an if")
            if negated and kept:
                tested = _Result(failed=self._statement(condition.named_children[-1], state, here).good)
            else:
                tested = self._statement(condition, state, replace(here, after=place.after))
        conditional = place.losing(f"{self._at(node)}it runs under a condition (if)")
        self._statements(then, state, replace(conditional, after=place.after | tested.good))
        for other in others:
            self._statements(other.children, state, replace(conditional, after=place.after | tested.failed))
        if then_fails and tested.failed:
            return _Result(passed=tested.failed, good=tested.failed)
        return _Result(passed=tested.good, good=tested.good) if else_fails else _NOTHING

    def _read_for_statement(self, node: Node, state: _State, place: _Place) -> _Result:
        """A loop over words that stand there runs for each of them; any other may run no time."""
        listed = [one for child in node.children_by_field_name("value") for one in word_of(child, state.variables)]
        name, body = node.child_by_field_name("variable"), node.child_by_field_name("body")
        if name is not None:
            state.variables[text_of(name)] = None
        start, errexit = len(self._found), state.errexit
        if (
            not listed
            or any(one.open or not one.literal for one in listed)
            or body is None
            or text_of(node)[:3] != "for"
        ):
            why = f"{self._at(node)}it stands in a loop, which may run no time"
            self._statements(node.children, state, replace(place.losing(why), after=place.after))
            return _NOTHING
        before = state.left, state.left_at
        found = self._statements(body.children, state, replace(place.inner(), last=False))
        found = found.before(state.left_at if not before[0] else None)
        state.left, state.left_at = before
        if state.errexit != errexit:  # the next round goes on otherwise
            why = f"{self._at(node)}set -e is changed in the loop"
            self._found[start:] = [_trapped(one, why) for one in self._found[start:]]
            return _NOTHING
        return found if self._stops(state, replace(place, last=False)) else _NOTHING

    def _read_function_definition(self, node: Node, state: _State, place: _Place) -> _Result:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is not None and body is not None:
            known = state.functions.get(text_of(name))
            others = known.bodies if known is not None and not place.sure else ()
            state.functions[text_of(name)] = _Function((*others, body), sure=place.sure)
            self._known.setdefault(text_of(name), []).append(body)
        return _NOTHING

    def _read_unset_command(self, node: Node, state: _State, place: _Place) -> _Result:  # noqa: ARG002
        for name in text_of(node).split()[1:]:
            state.functions.pop(name, None)
            state.variables[name] = None
        return _NOTHING

    def _read_variable_assignment(self, node: Node, state: _State, place: _Place) -> _Result:
        found = [self._in_subshell(inner.children, state, place.inner(last=True)) for inner in substitutions(node)]
        passed = frozenset[int]().union(*(one.good for one in found[-1:]))
        self._assigned(node, state, place)
        return _Result(passed=passed if self._stops(state, place) else frozenset(), good=passed)

    def _assigned(self, node: Node, state: _State, place: _Place) -> None:
        """Remember what a variable holds, where it is certain."""
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is None:
            return
        own = text_of(name).partition("[")[0]
        if SWAYING.fullmatch(own):
            self._doubt(node, f"{own} runs something before, or otherwise", state)
        parts = value.named_children if value is not None and value.type == "array" else [value] if value else []
        words = [word for part in parts if part is not None for word in word_of(part, state.variables)]
        sure = place.sure and not any(word.open or not word.literal for word in words) and "[" not in text_of(name)
        sure = sure and "+=" not in text_of(node).partition(own)[2][:3] and state.variables.get(own, ()) is not None
        state.variables[own] = tuple(word.text for word in words) if sure else None

    def _read_declaration_command(self, node: Node, state: _State, place: _Place) -> _Result:
        word = text_of(node).split(None, 1)[0]
        for inner in substitutions(node):
            self._in_subshell(
                inner.children, state, place.losing(f"{self._at(node)}{word} X=$(…) has a status of its own")
            )
        for child in node.named_children:
            if child.type == "variable_assignment":
                self._assigned(child, state, place)
            elif SWAYING.fullmatch(text_of(child)):
                self._doubt(node, f"{text_of(child)} runs something before, or otherwise", state)
        return _NOTHING

    # -- commands ---------------------------------------------------------------------------------------------------

    def _words(self, node: Node, state: _State) -> list[Word]:
        parts = [child for child in node.named_children if child.type not in NO_WORDS]
        return [
            word
            for child in parts
            for word in (
                [Word(text_of(child))] if child.type == "variable_assignment" else word_of(child, state.variables)
            )
        ]

    def _read_command(self, node: Node, state: _State, place: _Place) -> _Result:
        self._seen.add(node.id)
        for inner in substitutions(node):
            why = "its output is an argument, its status is not looked at"
            self._in_subshell(inner.children, state, place.losing(why))
        given = self._words(node, state)
        words = unwrapped(given)
        if not words:
            return _NOTHING
        for word in given[: len(given) - len(words)]:
            if SWAYING.fullmatch(word.text.partition("=")[0]) and "=" in word.text:
                place = replace(place, unknown=place.unknown or f"{word.text.partition('=')[0]} is set for it")
        name = words[0].text
        if words[0].open or not words[0].literal:
            return self._unnamed(words, node, state, place)
        own = next((word.text for word in given if "=" not in word.text), "")
        if name in state.functions and own == name:
            return self._called(name, words, node, state, place)
        if (reader := _BUILTINS.get(name)) is not None:
            return reader(self, words, node, state, place)
        if own == "exec":
            found = self._run(words, node, state, replace(place.asked(), lost=place.lost))
            state.may_end = state.may_end or f"{self._at(node)}exec ends the script"
            return found
        return self._run(words, node, state, place)

    def _run(self, words: tuple[Word, ...], node: Node, state: _State, place: _Place) -> _Result:
        """A program."""
        if words[0].text in SHELLS:
            shell, rest = shell_of([word.text for word in words])
            if rest[:1] == ["-c"] and len(rest) > 1:
                sure = next((word for word in words if word.text == rest[1]), Word("", open=True))
                if sure.open:
                    place = replace(place, unknown=place.unknown or "what the shell runs is put in from elsewhere")
                return self._nested(rest[1], shell, node, state, place)
        if words[0].text in ("xargs", "parallel", "find"):
            return self._add(words, node, state, place.losing(f"{words[0].text} may run it no time"))
        if words[0].text in _STRING_RUNNERS:
            unknown = replace(place.inner(), unknown=place.unknown or f"{words[0].text} runs it elsewhere")
            for word in words[1:]:
                if " " in word.text:
                    self._nested(word.text, Shell("bash"), node, state, unknown)
        return self._add(words, node, state, place)

    def _unnamed(self, words: tuple[Word, ...], node: Node, state: _State, place: _Place) -> _Result:
        """A command whose name is put in: it may be ``exit``, or ``set +e``."""
        first = words[1].text if len(words) > 1 else ""
        found = self._add(words, node, state, place)
        if "/" not in words[0].text and first not in _PLAIN_FIRST:
            self._doubt(node, f"{short(node)} may be any command, such as exit", state)
        return found

    def _called(self, name: str, words: tuple[Word, ...], node: Node, state: _State, place: _Place) -> _Result:
        """A function of the script."""
        function = state.functions[name]
        outer = {key: state.variables.get(key) for key in (*map(str, range(1, 10)), "@", "*")}
        args = words[1:]
        told = not any(word.open or not word.literal for word in args)
        state.variables |= dict.fromkeys(outer)
        if told:
            state.variables |= {str(at + 1): (word.text,) for at, word in enumerate(args[:9])}
            state.variables |= {key: tuple(word.text for word in args) for key in ("@", "*")}
        before = state.left, state.left_at, state.return_kept
        del state.functions[name]
        if not function.sure:
            place = place.losing(f"{self._at(node)}which {name} it is cannot be told")
        state.return_kept = self._stops(state, place)
        found = _NOTHING
        for body in function.bodies:
            found = self._statement(body, state, replace(place.inner(), last=self._stops(state, place)))
        found = found.before(state.left_at if not before[0] else None)
        state.left, state.left_at, state.return_kept = before
        state.functions.setdefault(name, function)
        state.variables |= outer
        return found if function.sure else _NOTHING

    def _doubt(self, node: Node, why: str, state: _State) -> None:
        """From here on it cannot be told how the script goes on."""
        state.doubt = state.doubt or f"{self._at(node)}{why}"
        state.errexit = state.pipefail = False

    def _builtin_set(self, words: tuple[Word, ...], node: Node, state: _State, place: _Place) -> _Result:
        rest = [word.text for word in words[1:]]
        if any(word.open for word in words[1:]) and rest[:1] != ["--"]:
            state.errexit = state.pipefail = False
            return _NOTHING
        while rest and rest[0][:1] in ("-", "+") and rest[0] not in ("-", "--"):
            word = rest.pop(0)
            on = word.startswith("-")
            for letter in word[1:]:
                name = (rest.pop(0) if rest else "") if letter == "o" else ""
                self._switch(name or letter, node, state, on=on, sure=place.sure)
        return _NOTHING

    def _switch(self, option: str, node: Node, state: _State, *, on: bool, sure: bool) -> None:
        """An option of the shell; what is switched on under a condition may not be on."""
        if option in ("e", "errexit"):
            state.errexit = (on and (sure or state.errexit)) if on else False
        elif option == "pipefail":
            state.pipefail = (on and (sure or state.pipefail)) if on else False
        elif option in ("n", "noexec", "t", "onecmd") and on:
            state.may_end = state.may_end or f"{self._at(node)}set -{option} runs nothing that follows"

    def _builtin_shopt(self, words: tuple[Word, ...], node: Node, state: _State, place: _Place) -> _Result:
        flags = "".join(word.text[1:] for word in words[1:] if word.text.startswith("-"))
        if "o" in flags:
            for word in words[1:]:
                if not word.text.startswith("-"):
                    self._switch(word.text, node, state, on="s" in flags, sure=place.sure)
        return _NOTHING

    def _builtin_trap(self, words: tuple[Word, ...], node: Node, state: _State, place: _Place) -> _Result:
        given = [word for word in words[1:] if word.text != "--"]
        if not given or given[0].text in ("-p", "-l", "-"):
            return _NOTHING
        signals = {word.text.upper().removeprefix("SIG") for word in given[1:]}
        if any(word.open for word in given[1:]) or signals & {"EXIT", "ERR", "0", "DEBUG", "RETURN"}:
            if given[0].open or not given[0].literal:
                told = given[0].text
                if re.fullmatch(r"[^$`]*(?:\$(?:\?|\w+)[^$`]*)*", told) is None or given[0].open:
                    self._doubt(node, "a trap runs what cannot be told", state)
            self._traps.append((self._at(node), given[0].text))
        lost = place.losing("it stands in a trap")
        self._nested(given[0].text, Shell("bash"), node, state, lost)
        return _NOTHING

    def _builtin_exit(self, words: tuple[Word, ...], node: Node, state: _State, place: _Place) -> _Result:
        if ends_so(words) == "exit":
            return _Result(bad_ends=True)
        if not place.final or place.lost:
            self._leave(node, state, "the script has ended before", script=True)
        return _NOTHING

    def _leave(self, node: Node, state: _State, why: str, *, script: bool) -> None:
        if script and state.in_script:
            state.may_end = state.may_end or f"{self._at(node)}{why}"
        if not state.left:
            state.left, state.left_at = f"{self._at(node)}{why}", len(self._found)

    def _builtin_return(self, words: tuple[Word, ...], node: Node, state: _State, place: _Place) -> _Result:
        if ends_so(words) == "exit" and words[0].text == "return":
            return _Result(bad_ends=state.return_kept)
        if not place.last or place.lost:
            self._leave(node, state, f"{words[0].text} may have left it before", script=False)
        return _NOTHING

    def _builtin_eval(self, words: tuple[Word, ...], node: Node, state: _State, place: _Place) -> _Result:
        told = all(word.literal and not word.open for word in words[1:])
        text = " ".join(word.text for word in words[1:])
        if words[0].text == "eval" and told and len(words) > 1:
            return self._statements(parsed(text).children, state, place.inner())
        if words[0].text == "eval":
            inner = list(substitutions(node))
            programs = {first_word(one.named_children[0]) for one in inner if one.named_children}
            if re.fullmatch(r"\$\(.*\)|`.*`", text.strip(), re.S) and programs and programs <= _MAKERS:
                return _NOTHING
        elif len(words) > 1 and re.search(rf"(?:^|/)(?:{_HOOKS.pattern})$", text):
            return _NOTHING
        self._doubt(node, f"{words[0].text} runs what is not here", state)
        return self._add(words, node, state, place)

    def _builtin_renaming(self, words: tuple[Word, ...], node: Node, state: _State, place: _Place) -> _Result:
        """``alias``, ``enable``, ``hash -p``: what a name means from here on."""
        if len(words) > 1 and not (words[0].text == "hash" and all(word.text in ("-r", "-d") for word in words[1:])):
            self._doubt(node, f"{words[0].text} changes what names mean", state)
        return self._add(words, node, state, place)

    def _nested(self, text: str, shell: Shell, node: Node, state: _State, place: _Place) -> _Result:
        """The script that a command of this one runs."""
        if place.depth > _DEEP:
            self._problem = self._problem or f"{self._at(node)}the script is nested too deeply"
            return _NOTHING
        reader = _Reader(None if self._first is None else (self._line(node) or 1))
        script = reader.read(text, shell)
        start, known = len(self._found), set[int]()
        for command in script.commands:
            own = self._judged(command, node, state, place)
            worse = own if own.exit_code is not ExitCode.KEPT else command
            position = len(self._found)
            shifted = tuple(sorted({*place.after, *(start + one for one in command.after)}))
            self._found.append(replace(command, exit_code=worse.exit_code, why=worse.why, after=shifted))
            if command.exit_code is ExitCode.KEPT:
                known.add(position)
        good = frozenset(known)
        return _Result(passed=good if self._stops(state, place) else frozenset(), good=good)

    # -- one command ------------------------------------------------------------------------------------------------

    def _add(self, words: Sequence[Word], node: Node, state: _State, place: _Place) -> _Result:
        command = self._judged(_command(words, self._line(node)), node, state, place)
        self._found.append(command)
        here = frozenset({len(self._found) - 1})
        stops = self._stops(state, place)
        return _Result(passed=here if stops else frozenset(), good=here)

    def _stops(self, state: _State, place: _Place) -> bool:
        """Whether a failure here ends the script before what follows."""
        return not place.lost and (place.last or (state.errexit and not place.tested))

    def _judged(self, command: Command, node: Node, state: _State, place: _Place) -> Command:
        told = replace(command, line=self._line(node), after=tuple(sorted(place.after)))
        if place.lost:
            return replace(told, exit_code=ExitCode.LOST, why=place.lost)
        if why := place.unknown or state.doubt:
            return replace(told, exit_code=ExitCode.UNKNOWN, why=why)
        if not self._stops(state, place):
            return replace(told, exit_code=ExitCode.LOST, why="the script goes on after it (no set -e)")
        if why := state.may_end or state.left:
            return replace(told, exit_code=ExitCode.LOST, why=why)
        return told

    # -- what always fails ------------------------------------------------------------------------------------------

    def _fails(self, node: Node, state: _State, place: _Place) -> bool:
        """Whether a part, once it runs, is sure to end the script with a failure."""
        ending = self._ending(node, state, 0)
        if ending == "exit":
            return state.exit_kept
        if ending == "return":
            return state.return_kept
        return ending == "fails" and self._stops(state, place)

    def _all_fail(self, nodes: Sequence[Node], state: _State, place: _Place) -> bool:
        ending = self._last_ending(nodes, state, 0)
        kept = {"exit": state.exit_kept, "return": state.return_kept, "fails": self._stops(state, place)}
        return kept.get(ending, False)

    def _ending(self, node: Node, state: _State, depth: int, *, first: bool = True) -> str:
        """How a part always ends: ``exit`` or ``return`` with a failure, ``fails``; empty if it may end otherwise."""
        if depth > _DEEP:
            return ""
        if node.type == "command":
            return self._command_ending(node, state, depth, first=first)
        if node.type in ("compound_statement", "else_clause"):
            return self._last_ending([one for one in node.named_children if one.type != "comment"], state, depth + 1)
        if node.type == "subshell":
            return "fails" if self._last_ending(node.named_children, state, depth + 1) else ""
        if node.type == "redirected_statement":
            body = node.child_by_field_name("body")
            return self._ending(body, state, depth + 1) if body is not None and here_document(node)[1] is None else ""
        if node.type == "list" and any(child.type == "&&" for child in node.children):
            return "fails" if self._ending(node.named_children[-1], state, depth + 1, first=False) else ""
        return ""

    def _command_ending(self, node: Node, state: _State, depth: int, *, first: bool) -> str:
        words = self._words(node, state)
        if not words or words[0].open:
            return ""
        name = words[0].text
        if function := state.functions.get(name):
            endings = {self._ending(body, state, depth + 10) for body in function.bodies} if function.sure else {""}
            return ("exit" if endings == {"exit"} else "fails") if "" not in endings else ""
        if name == "false":
            return "fails"
        if name in ("exit", "return"):
            status = ends_so(words, first=first)
            return name if status == "exit" else ""
        return ""

    def _last_ending(self, nodes: Sequence[Node], state: _State, depth: int) -> str:
        """That of the last of several, if none before it may end well."""
        parts = [node for node in nodes if node.is_named and node.type != "comment"]
        if not parts or any(may_end_well(node) for node in parts[:-1]):
            return ""
        return self._ending(parts[-1], state, depth, first=len(parts) == 1)

    def _sways(self, action: str, depth: int = 0) -> str:
        """Why the action of a trap may end the script with success, or change how it goes on."""
        kept = set(re.findall(r"(?:^|[;\s])(\w+)=\$\?", action.lstrip()[:60]))
        first = True
        for node in walked(parsed(action)):
            if node.type != "command":
                continue
            words = [text_of(child) for child in node.named_children if child.type not in NO_WORDS]
            name = words[0].strip("\\\"'") if words else ""
            status = words[1].strip('"{}') if len(words) > 1 else ""
            if name in ("exit", "return"):
                number = status.isascii() and status.isdigit() and len(status) < 5 and int(status) % 256 != 0
                good = not status or number or (status == "$?" and first) or status.strip("${}") in kept
                if not good:
                    return f"a trap ends the script with success ({name} {status})"
            elif name in ("set", "shopt", "exec", "eval", "source", ".", "trap", "enable", "alias") or name[:1] == "$":
                return f"a trap may end the script with success ({name})"
            elif name in self._known and depth < 5:
                said = next(
                    (why for body in self._known[name] if (why := self._sways(text_of(body).strip("{}()"), depth + 1))),
                    "",
                )
                if said:
                    return said
            first = False
        return ""


_BUILTINS: dict[str, Callable[[_Reader, tuple[Word, ...], Node, _State, _Place], _Result]] = {
    "set": _Reader._builtin_set,
    "shopt": _Reader._builtin_shopt,
    "trap": _Reader._builtin_trap,
    "exit": _Reader._builtin_exit,
    "logout": _Reader._builtin_exit,
    **dict.fromkeys(("return", "break", "continue"), _Reader._builtin_return),
    **dict.fromkeys(("eval", "source", "."), _Reader._builtin_eval),
    **dict.fromkeys(("alias", "enable", "hash"), _Reader._builtin_renaming),
}
_UNCERTAIN = {
    "while_statement": "it stands in a loop, which may run no time",
    "c_style_for_statement": "it stands in a loop, which may run no time",
    "case_statement": "it runs under a condition (case)",
    "case_item": "it runs under a condition (case)",
    "elif_clause": "it runs under a condition (elif)",
    "else_clause": "it runs under a condition (else)",
}


def _trapped(command: Command, why: str) -> Command:
    if why and command.exit_code is ExitCode.KEPT:
        return replace(command, exit_code=ExitCode.LOST, why=why)
    return command
