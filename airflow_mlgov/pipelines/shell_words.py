"""The words of a shell command as the shell makes them, the program that a command really runs, and how a shell is told
to run a script.

What is not on a list is not followed: an unknown option of ``sudo`` or ``bash`` may run nothing at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

STAND_IN = "EXPRESSION"
"""The word for what a platform puts into a script before the shell reads it."""
SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh"})
_FILLED: Mapping[str, re.Pattern[str]] = {
    "github": re.compile(r"\$\{\{(?:'[^']*'|[^'}]|\}(?!\}))*\}\}", re.S),
    "gitlab": re.compile(r"\$\[\[.*?\]\]", re.S),
    "argo": re.compile(r"\{\{.*?\}\}", re.S),
    "jinja": re.compile(r"\{\{.*?\}\}|\{#.*?#\}", re.S),
    "tekton": re.compile(r"\$\((?:params|tasks|context|workspaces|inputs|outputs|results|steps|finally)[.\[][^)]*\)"),
}
_FILLED = {**_FILLED, "kubeflow": _FILLED["argo"]}
"""Platform -> what it puts in before the shell reads. No other platform puts anything there, whatever it looks like."""
NO_WORDS = frozenset({"file_redirect", "heredoc_redirect", "herestring_redirect", "comment"})
SWAYING = re.compile(r"(?:BASH_ENV|ENV|SHELLOPTS|BASHOPTS|LD_PRELOAD|BASH_FUNC_.*)")
"""Names of environment variables by which a shell runs something before, or otherwise."""


@dataclass(frozen=True)
class Shell:
    """How a platform starts a script."""

    program: str = "bash"
    errexit: bool = True
    """``-e``: the first command that fails ends it."""
    pipefail: bool = False
    fills: str = ""
    """The platform that puts values into the script before the shell reads it."""
    problem: str = ""
    """Why it cannot be told how the script is run."""


@dataclass(frozen=True)
class Word:
    """One word."""

    text: str
    open: bool = False
    """Whether it may become several words, or none, or any one: an expansion without quotes, braces, a pattern."""
    literal: bool = True


@dataclass(frozen=True)
class _Runner:
    """A program that runs the rest of its line and ends as that ends."""

    flags: frozenset[str] = frozenset()
    values: frozenset[str] = frozenset()
    """Options that take the next word, or what is attached."""
    own: int = 0
    """Words of its own besides options."""


def _runner(flags: str = "", values: str = "", own: int = 0) -> _Runner:
    return _Runner(frozenset(flags.split()), frozenset(values.split()), own)


_RUNNERS: Mapping[tuple[str, ...], _Runner] = {
    ("sudo",): _runner(
        "-E -H -n -S --preserve-env --set-home --non-interactive --stdin",
        "-u -g -h -C -p -r -t -D -T --user --group --host --chdir --prompt --preserve-env",
    ),
    ("doas",): _runner("-n", "-u"),
    ("env",): _runner("- -i --ignore-environment", "-u -C --unset --chdir"),
    ("time",): _runner("-p -v", "-f -o"),
    ("nice",): _runner("", "-n --adjustment"),
    ("nohup",): _runner(),
    ("exec",): _runner("-c -l", "-a"),
    ("command",): _runner("-p"),
    ("builtin",): _runner(),
    ("timeout",): _runner("--foreground -v --verbose", "-k -s --signal --kill-after", 1),
    ("stdbuf",): _runner("", "-i -o -e --input --output --error"),
    ("ionice",): _runner("-t", "-c -n"),
    ("setsid",): _runner("-w --wait -c"),
    ("xvfb-run",): _runner("-a --auto-servernum", "-n -s -e -f --server-num --server-args --error-file"),
    ("dumb-init",): _runner("-v --verbose -c --single-child"),
    ("tini",): _runner("-s -g -v -vv"),
    ("gosu",): _runner("", "", 1),
    ("su-exec",): _runner("", "", 1),
    ("uv", "run"): _runner(
        "--frozen --locked --no-sync --no-dev --dev --all-extras --all-groups --active --isolated --quiet -q --offline "
        "--no-project --no-cache --exact --no-editable --all-packages --verbose -v",
        "--with --with-requirements --with-editable --python -p --extra --group --only-group --no-group --project "
        "--package --directory --env-file --index --index-url --extra-index-url",
    ),
    ("uvx",): _runner("--isolated --offline --quiet -q --no-cache", "--from --with --python -p --index --index-url"),
    ("uv", "tool", "run"): _runner("--isolated --offline --quiet -q", "--from --with --python -p --index"),
    ("poetry", "run"): _runner(),
    ("pipenv", "run"): _runner(),
    ("pdm", "run"): _runner("-s --site-packages", "-p --project"),
    ("hatch", "run"): _runner(),
    ("rye", "run"): _runner(),
    ("pixi", "run"): _runner("--frozen --locked", "-e --environment --manifest-path"),
    ("pipx", "run"): _runner("--no-cache", "--spec --python"),
    **{
        (one, "run"): _runner("--no-capture-output --live-stream -v", "-n --name -p --prefix --cwd")
        for one in ("conda", "mamba", "micromamba")
    },
}
_SHORT_SHELL = frozenset("euxvlhpafBETbCmo")
_LONG_SHELL = frozenset({"--norc", "--noprofile", "--posix", "--login"})
_NAMED_SHELL = frozenset({
    "errexit", "pipefail", "nounset", "xtrace", "verbose", "errtrace", "functrace", "noclobber", "posix", "allexport",
    "noglob", "hashall", "braceexpand", "monitor", "notify", "physical", "privileged",
})  # fmt: skip
_BUILTINS = frozenset({
    "set", "shopt", "trap", "exit", "logout", "return", "break", "continue", "eval", "source", ".", "alias", "enable",
    "hash", "false",
})  # fmt: skip
"""What a shell does itself; a file of that name is any program."""
_INSTALLED = re.compile(
    r"(?:/(?:usr|opt|home|root|app|venv|conda|miniconda3?|databricks|local)|~|\$\{?\w+\}?)(?:/[\w.$@{}-]+)*/bin/mlgov"
    r"|(?:[\w./-]+/)?[\w.-]*(?:env|conda)[\w.-]*/bin/mlgov"
)
"""Where an installed ``mlgov`` lies; one beside the pipeline's own files may be anybody's."""


def filled(text: str, platform: str) -> str:
    """A script with a word in place of what a platform puts in, on the same lines."""
    pattern = _FILLED.get(platform)
    if pattern is None:
        return text
    return pattern.sub(
        lambda match: (
            ("" if match.group().startswith("{#") else STAND_IN)
            + ("\n" if match.group().startswith("{#") else "\\\n") * match.group().count("\n")
        ),
        text,
    )


# -- words -------------------------------------------------------------------------------------------------------------


def word_of(node: Node, variables: Mapping[str, tuple[str, ...] | None]) -> list[Word]:
    """What a part of a command becomes.

    :param variables: those of the script -> their words; None where they cannot be told
    """
    if node.type == "command_name" and node.named_children:
        return word_of(node.named_children[0], variables)
    if node.type in ("simple_expansion", "expansion"):
        return _expanded(node, variables, quoted=False)
    if node.type == "string":
        return _string(node, variables)
    if node.type == "concatenation":
        return _joined(node, variables)
    text = text_of(node)
    if node.type == "raw_string":
        return [Word(text[1:-1])]
    if node.type == "ansi_c_string":
        inner = text[2:-1]
        return [Word(inner, open="\\" in inner, literal="\\" not in inner)]
    if node.type == "number" and not node.named_children:
        return [Word(text)]
    if node.type == "word" and not node.named_children:
        opens = bool(re.search(r"(?<!\\)[*?]|(?<!\\)\[.*\]|(?<!\\)\{[^}]*(?:,|\.\.)", text)) or STAND_IN in text
        return [Word(re.sub(r"\\(.)", r"\1", text.replace("\\\n", ""), flags=re.S), opens, not opens)]
    return [Word(text.replace("\\\n", ""), open=True, literal=False)]


def _expanded(node: Node, variables: Mapping[str, tuple[str, ...] | None], *, quoted: bool) -> list[Word]:
    text = text_of(node)
    match = re.fullmatch(r"\$\{?(\w+|@|\*)(?:\[[@*]\])?\}?", text)
    known = variables.get(match.group(1)) if match else None
    if known is None:
        several = bool(match and (match.group(1) in "@*" or "[" in text))
        return [Word(text, open=not quoted or several, literal=False)]
    if quoted and "[" not in text and match and match.group(1) not in ("@", "*"):
        return [Word(" ".join(known))]
    if not quoted:
        return [Word(one, open=bool(re.search(r"[*?\[]", one))) for word in known for one in word.split()]
    return [Word(one) for one in known]


def _string(node: Node, variables: Mapping[str, tuple[str, ...] | None]) -> list[Word]:
    inner = [child for child in node.named_children if child.type != "string_content"]
    if len(inner) == 1 and text_of(node)[1:-1] == text_of(inner[0]) and inner[0].type in (
        "expansion", "simple_expansion"
    ):  # fmt: skip
        return _expanded(inner[0], variables, quoted=True)
    text = re.sub(r"\\(?:\n|([\"\\$`]))", lambda match: match.group(1) or "", text_of(node)[1:-1])
    return [Word(text, literal=not inner and STAND_IN not in text)]


def _joined(node: Node, variables: Mapping[str, tuple[str, ...] | None]) -> list[Word]:
    """``he''lp`` is one word; one whose parts begin with braces may be several."""
    text = text_of(node)
    parts = [word for child in node.named_children for word in word_of(child, variables)]
    braces = any(child.type == "word" and text_of(child) in ("{", "}") for child in node.named_children)
    opens = braces or any(part.open for part in parts)
    # an expansion in the middle of a word that begins plainly stays the value of that word: --data=$X
    plain = bool(parts) and parts[0].literal and not parts[0].open and bool(re.match(r"-*\w[^=]*=|[^-$]", text))
    return [
        Word("".join(part.text for part in parts), opens and (braces or not plain), all(part.literal for part in parts))
    ]


def text_of(node: Node) -> str:
    """What stands there."""
    return (node.text or b"").decode(errors="replace")


# -- programs ----------------------------------------------------------------------------------------------------------


def unwrapped(words: Sequence[Word]) -> tuple[Word, ...]:
    """The program that really runs: without ``sudo``, ``env A=b``, ``timeout 60``, ``uv run``.

    Its name is the last part of its path, unless another ``mlgov`` than an installed one may lie there.
    """
    found = tuple(words)
    for _ in range(20):
        while found and re.match(r"[A-Za-z_]\w*=", found[0].text):
            found = found[1:]
        if not found or (found[0].open and not _path(found[0])):
            return found
        name = found[0].text.rpartition("/")[2]
        texts = (name, *(word.text for word in found[1:4]))
        known = next((key for key in _RUNNERS if texts[: len(key)] == key), None)
        rest = _rest(found[len(known) :], _RUNNERS[known]) if known else None
        if rest is None:
            break
        found = rest
    if not found:
        return ()
    if "/" in found[0].text and not _path(found[0]):
        return found
    return (Word(_program(found[0].text), literal=found[0].literal or _path(found[0])), *found[1:])


def _path(word: Word) -> bool:
    """Whether it is a path whose last part stands there."""
    return bool(re.fullmatch(r".*/[\w.+-]+", word.text, re.S))


def _program(path: str) -> str:
    """The name of a program; the whole path of one that is named like what a path cannot be."""
    name = path.rpartition("/")[2]
    if "/" in path and (name in _BUILTINS or (name == "mlgov" and not _INSTALLED.fullmatch(path))):
        return path
    return name


def _rest(words: tuple[Word, ...], runner: _Runner) -> tuple[Word, ...] | None:
    """What a runner runs; None if one of its options is not known, or it runs nothing."""
    while words and words[0].text.startswith("-"):
        option, equals, _ = words[0].text.partition("=")
        if words[0].open and not equals:
            return None
        if option == "--":
            words = words[1:]
            break
        if option in ("-m", "--module") and "--with" in runner.values:
            return (Word("python"), Word("-m"), *words[1:])
        taken = _taken(option, bool(equals), runner)
        if taken is None:
            return None
        words = words[taken:]
    if runner.own and any(word.text.startswith("-") for word in words[: runner.own]):
        return None
    return words[runner.own :] or None


def _taken(option: str, equals: bool, runner: _Runner) -> int | None:
    """How many words an option takes, itself among them; None if it is not known."""
    if option in runner.values:
        return 1 if equals else 2
    if option in runner.flags:
        return 1
    if option.startswith("--") or equals:
        return None
    if re.fullmatch(r"-\d+", option):
        return 1 if "--adjustment" in runner.values else None
    for at, letter in enumerate(option[1:]):
        if f"-{letter}" in runner.values:
            return 2 if at == len(option) - 2 else 1
        if f"-{letter}" not in runner.flags:
            return None
    return 1


# -- shells ------------------------------------------------------------------------------------------------------------


def shell_of(words: Sequence[str], fills: str = "") -> tuple[Shell, list[str]]:
    """How a shell with options runs what it is given, and the words after its options.

    :param words: the program and what follows; ``-c`` ends the options, and is the first word that is given back
    """
    program = words[0].rpartition("/")[2] if words else ""
    errexit = pipefail = False
    problem = ""
    rest = list(words[1:])
    script = False
    while rest and rest[0][:1] in ("-", "+") and rest[0] not in ("-", "--"):
        word = rest.pop(0)
        on = word.startswith("-")
        if word.startswith("--"):
            problem = problem or ("" if word in _LONG_SHELL else f"{program} {word} may run nothing")
            continue
        for letter in word[1:]:
            if letter == "c" and on:
                script = True
            elif letter == "o":
                name = rest.pop(0) if rest else ""
                errexit = on if name == "errexit" else errexit
                pipefail = on if name == "pipefail" else pipefail
                problem = problem or ("" if name in _NAMED_SHELL else f"{program} -o {name} may run nothing")
            elif letter not in _SHORT_SHELL:
                problem = problem or f"{program} {word} may run nothing"
            errexit = on if letter == "e" else errexit
    if rest[:1] == ["--"]:
        rest.pop(0)
    return Shell(program, errexit, pipefail, fills, problem), ["-c", *rest] if script else rest


def shebang(text: str, shell: Shell) -> Shell:
    """A script that names its own interpreter is run by that, with its flags alone."""
    if not text.startswith("#!"):
        return shell
    words = text.splitlines()[0][2:].split()
    if words and words[0].endswith("/env"):
        words = words[1:]
        if words and words[0].startswith("-S"):
            words = [words[0][2:], *words[1:]] if words[0] != "-S" else words[1:]
    found, rest = shell_of(words, shell.fills)
    return Shell(
        found.program, found.errexit, found.pipefail, shell.fills,
        found.problem or (f"{' '.join(words)} does not run the script" if rest else ""),
    )  # fmt: skip
