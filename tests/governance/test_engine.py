"""Embedded Rego in its child process: right answers, and an error for everything else."""

import io
import json
import sys

import pytest

from airflow_mlgov.governance import rego_child
from airflow_mlgov.governance.engine import Job, RulesError, evaluate

RULES = "package a\nimport rego.v1\n"


def test_jobs_are_apart_and_answers_in_order() -> None:
    paths = ["data.a.x", "data.a.y"]
    jobs = [
        Job({"a.rego": RULES + "x := input.n + 1", "b.rego": RULES + "y contains v if some v in input.list"}, paths),
        Job({"a.rego": RULES + "x := 7"}, ["data.a.x"]),
    ]
    assert evaluate(jobs, {"n": 1, "list": [1, 2, 3]}) == [[2, [1, 2, 3]], [7]]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("x := ", "error"),
        ("y := 1", "not a valid rule path"),
        ("x := y", "unsafe"),
        ("x := to_number(input.text)", "to_number"),
        ('x := time["now_ns"]()', "time.now_ns"),
        ('x := opa["runtime"]().env', "opa.runtime"),
        ('n := "now_ns"\nx := time[n]()', "expecting"),
        ("x := y if { some n in [`now_ns`]; y := time[n]() }", "expecting"),
        ("x := input.f(1)", "input.f"),
        ("x := data.time.now_ns()", "data.time.now_ns"),
        ("import data.time as clock\nx := clock.now_ns()", "clock.now_ns"),
        ("x := y if { y := count([1]) with count as sum }", "replace count"),
        ("f(a) := a\nx := y if { y := f(1) with data.a.f as time.now_ns }", "replace data.a.f"),
        ("x := y if { y := data.a.z with data.a.z as 1 }\nz := 2", "replace data.a.z"),
        ("default x := time.now_ns()", "time.now_ns"),
        ("x := [y | y := time.now_ns()]", "time.now_ns"),
        ("x := {`a`: time.now_ns()}", "time.now_ns"),
        ("f(a) := time.now_ns()\nx := f(1)", "time.now_ns"),
        ("x if { every n in [1] { time.now_ns() > n } }", "time.now_ns"),
        ("x if not time.now_ns() == 1", "time.now_ns"),
        ("x := 1 if false else := time.now_ns()", "time.now_ns"),
        ('x := io.jwt.decode("a")', "io.jwt.decode"),
        ('x := net.cidr_contains("10.0.0.0/8", "10.0.0.1")', "net.cidr_contains"),
        ("x := rego.metadata.rule()", "rego.metadata.rule"),
        ('x := uuid.rfc4122("")', "uuid.rfc4122"),
        ("x contains v if { [p, v] := walk(input) }", "walk"),
        ("x := {y | y := walk(input)}", "walk"),
        ("x if not {1 == 2}", "not"),
        ('x if {"a", "b" in input.s}', "pair"),
        ("import future.keywords.not\nx := 1", "future.keywords.not"),
        ("import time.now_ns as now\nx := now()", "import"),
        ('x := http.send({"method": "get", "url": "http://127.0.0.1"})', "http.send"),
        ("x := y if { y := time.now_ns() with input as {} }", "time.now_ns"),
        ("x := opa.runtime().env", "opa.runtime"),
        ("x contains rand.intn(`a`, 9)", "rand.intn"),
    ],
)
def test_what_cannot_be_answered_or_replayed_is_an_error(rules: str, message: str) -> None:
    with pytest.raises(RulesError) as caught:
        evaluate([Job({"a.rego": RULES + rules}, ["data.a.x"])], {"text": "no number"})
    assert message in str(caught.value)


def test_rules_call_their_own_functions_and_what_is_a_function_of_its_input() -> None:
    lib = "package lib.texts\nimport rego.v1\nlong(t) if count(t) > input.most\nmade[`x`](t) := upper(t)\n"
    rules = (
        "import data.lib.texts\nimport data.lib.texts.long as is_long\nsame(t) := t\n"
        "x contains t if { some t in input.texts; is_long(t); texts.long(same(t)); data.lib.texts.long(t) }\n"
        "x contains v if { walk(input.deep, [path, v]); count(path) == 2; is_string(v) }\n"
        "y := t if { t := sprintf(`%s`, [object.get(input, `most`, 0)]) with input.most as 9 }\n"
        'z := data["a"]["same"](regex["match"](`^a`, `ab`))'
    )
    document = {"texts": ["a", "abc"], "most": 2, "deep": {"a": {"b": "c"}}}
    modules = {"a.rego": RULES + rules, "lib.rego": lib}
    assert evaluate([Job(modules, ["data.a.x", "data.a.y", "data.a.z"])], document) == [[["abc", "c"], "9", True]]


def doubled(times: int) -> str:
    """A text of sixteen letters, doubled so often."""
    steps = "".join(f"t{n + 1} := concat(``, [t{n}, t{n}])\n" for n in range(times))
    return f"{RULES}t0 := `aaaaaaaaaaaaaaaa`\n{steps}x := t{times}"


def test_rules_that_take_all_memory_end_alone() -> None:
    """A gigabyte and no more, well before the time-out."""
    with pytest.raises(RulesError, match="more than 1024 MiB end so"):
        evaluate([Job({"a.rego": doubled(28)}, ["data.a.x"])], {}, timeout=60)


def test_an_answer_without_measure_is_refused() -> None:
    with pytest.raises(RulesError, match="more than 16 MiB"):
        evaluate([Job({"a.rego": doubled(21)}, ["data.a.x"])], {}, timeout=60)


def test_rules_that_do_not_end_are_stopped() -> None:
    endless = RULES + "n := numbers.range(1, 5000)\nx := count([1 | some i in n; some j in n; some k in n; i + j == k])"
    with pytest.raises(RulesError, match=r"did not come to an end in 0\.5 s"):
        evaluate([Job({"a.rego": endless}, ["data.a.x"])], {}, timeout=0.5)


@pytest.mark.slow
def test_a_stack_that_overflows_takes_only_the_child_with_it() -> None:
    deep = RULES + "x := " + "[" * 20000 + "]" * 20000
    with pytest.raises(RulesError):
        evaluate([Job({"a.rego": deep}, ["data.a.x"])], {})


def test_a_panic_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import regorus

    class Panic(BaseException):
        pass

    def explode() -> None:
        raise Panic("rust")

    monkeypatch.setattr(regorus, "Engine", explode)
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({"jobs": [{"modules": {}, "rules": []}], "input": "{}"})))
    rego_child.main()
    assert json.loads(capsys.readouterr().out) == {"error": "Panic: rust"}


def test_the_child_sees_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SECRET", "geheim")
    seen: dict[str, str] = {}

    def run(*_: object, env: dict[str, str], **__: object) -> None:
        seen.update(env)
        raise OSError(2, "stop here")

    monkeypatch.setattr("subprocess.run", run)
    with pytest.raises(RulesError, match="cannot be started"):
        evaluate([], {})
    assert "geheim" not in seen.values()
