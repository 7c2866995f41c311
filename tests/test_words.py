"""Said things within lines of ours; that each is said through :mod:`airflow_mlgov.words` is held here too."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlgov import words
from tests.worlds.hostile import blocks, unruly

PACKAGE = Path(words.__file__).parent
LOGS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
SAFE = {"line", "lines", "plain", "summary"}
"""What makes an argument of a log's message fit; a gate's ``summary`` is made of lines already."""
LOGGED = re.compile(r"log\s*\.\s*\w+\s*\(", re.IGNORECASE)
FAILURE = re.compile(r"\bAirflow(?:Fail)?Exception\b")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a\r\n\x0b\x0c\x1c\x85\u2028\u2029\t b", "a b"),
        ("\x1b[31mred\x9b0m", "\\x1b[31mred\\x9b0m"),
        ("abc\u202edef\u2066\u200b\ufeff", "abc\\u202edef\\u2066\\u200b\\ufeff"),
        ("data\udce9.csv", "data\\udce9.csv"),
        ("Zoë Müller-Łukasz 山田 עברית", "Zoë Müller-Łukasz 山田 עברית"),
        ("a" + "\u0301" * 40, "a" + "\u0301" * 4 + "\\u0301" * 36),
        ("\u3164x\ufe0f", "\\u3164x\\ufe0f"),
        ("x" * 2_010, "x" * 2_000 + "… (10 more characters)"),
        (None, "None"),
    ],
)
def test_a_said_thing_in_a_line(said: object, shown: str) -> None:
    assert words.plain(said) == shown


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("credit_risk", "credit_risk"),
        ("few applicants in August (0.81), see RISK-7: fine.", "few applicants in August (0.81), see RISK-7: fine."),
        ("demographic_parity_ratio[sex]", "`demographic_parity_ratio[sex]`"),
        ("- a list", "`- a list`"),
        ("1. a list", "`1. a list`"),
        ("=", "`=`"),
        ("www.evil.example", "`www.evil.example`"),
        ("eve@evil.example", "`eve@evil.example`"),
        ("a `tick` and ``two``", "``` a `tick` and ``two`` ```"),
        ("a|b", "`a¦b`"),
        ("_it_", "`_it_`"),
        ("", ""),
    ],
)
def test_a_said_thing_in_markdown(said: str, written: str) -> None:
    assert words.markdown(said) == written


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_text_is_markup(text: str) -> None:
    """In a paragraph, in emphasis, in a list, in a cell of a table and alone."""
    said, fine = words.markdown(text + "x"), "x"
    frame = "- Reason: {0} of **{0}**\n\n| a | b |\n|---|---|\n| {0} | {0} |\n\n{0}\n"
    assert unruly(said) == []
    assert blocks(frame.format(said)) == blocks(frame.format(fine))


@settings(deadline=None)
@given(st.text(max_size=200))
def test_what_is_shown_is_seen_and_is_one_line(text: str) -> None:
    for shown in (words.plain(text), words.line(text)):
        assert unruly(shown) == []
        assert "\n" not in shown
    assert words.plain(words.plain(text)) == words.plain(text)
    assert unruly(words.screened(text).replace("\t", " ")) == []


@cache
def sources() -> dict[str, str]:
    """Each module of the package -> its text."""
    paths = [path for path in sorted(PACKAGE.rglob("*.py")) if not {"demo", "scripts"} & set(path.parts)]
    return {str(path.relative_to(PACKAGE)): path.read_text() for path in paths}


def calls(where: re.Pattern[str]) -> Iterator[tuple[str, ast.Call, str]]:
    """Where each call stands, and what it calls; a call of what a call gives has no name.

    :param where: only modules that have this in their text are parsed
    """
    for path, text in sources().items():
        for node in ast.walk(ast.parse(text)) if where.search(text) else ():
            if isinstance(node, ast.Call):
                yield f"{path}:{node.lineno}", node, called(node.func)


def called(item: ast.expr) -> str:
    if isinstance(item, ast.Attribute):
        return f"{called(item.value)}.{item.attr}"
    return item.id if isinstance(item, ast.Name) else ""


def is_made(item: ast.expr) -> bool:
    return isinstance(item, ast.Call) and called(item.func).rpartition(".")[2] in SAFE


def test_what_goes_to_a_log_was_made_a_line() -> None:
    wrong = []
    for where, call, name in calls(LOGGED):
        owner, _, method = name.rpartition(".")
        if method in LOGS and owner.lower().rpartition(".")[2] in ("log", "_log"):
            form, *said = call.args
            if not (isinstance(form, ast.Constant) and all(map(is_made, said))):
                wrong.append(f"{where} {ast.unparse(call)}")
    assert wrong == []


def test_a_task_fails_by_the_functions_that_make_lines() -> None:
    errors = ("AirflowFailException", "AirflowException")
    made = {where.partition(":")[0] for where, _, name in calls(FAILURE) if name.rpartition(".")[2] in errors}
    assert made <= {"operators/base.py"}
