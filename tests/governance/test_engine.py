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


def test_rules_that_do_not_end_are_stopped() -> None:
    endless = RULES + "n := numbers.range(1, 5000)\nx := count([1 | some i in n; some j in n; some k in n; i + j == k])"
    with pytest.raises(RulesError, match=r"did not come to an end in 0\.5 s"):
        evaluate([Job({"a.rego": endless}, ["data.a.x"])], {}, timeout=0.5)


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
