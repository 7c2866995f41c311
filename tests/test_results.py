import math

import numpy as np
import pytest

from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity, Subject, json_safe

SUBJECT = Subject("model", "credit_risk", "a" * 64, "3", "http://mlflow")


def result(*checks: Check) -> GateResult:
    return GateResult("fairness", SUBJECT, checks)


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        (["PASS", "PASS"], "PASS"),
        (["PASS", "INCONCLUSIVE"], "INCONCLUSIVE"),
        (["INCONCLUSIVE", "FAIL"], "FAIL"),
        (["FAIL", "ERROR"], "ERROR"),
        ([], "ERROR"),
    ],
)
def test_verdict_is_the_worst_critical_outcome(outcomes: list[str], verdict: str) -> None:
    checks = [Check(f"check{i}", Outcome(outcome)) for i, outcome in enumerate(outcomes)]
    assert result(*checks).verdict == verdict


def test_warnings_are_recorded_but_do_not_decide() -> None:
    judged = result(Check("a", Outcome.PASS), Check("b", Outcome.FAIL, 0.1, severity=Severity.WARNING))
    assert judged.verdict is Outcome.PASS
    assert [check.name for check in judged.failed] == ["b"]


def test_only_warnings_decide_nothing_and_that_is_an_error() -> None:
    judged = result(Check("a", Outcome.PASS, severity=Severity.WARNING))
    assert judged.verdict is Outcome.ERROR
    assert "no critical check" in judged.summary()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_a_value_that_is_no_number_never_passes(value: float | None) -> None:
    assert Bound(min=0.8).judge(value) is Outcome.INCONCLUSIVE


def test_bounds_are_closed() -> None:
    bound = Bound(min=0.8, max=1.25)
    assert [bound.judge(x) for x in (0.79, 0.8, 1.25, 1.26)] == ["FAIL", "PASS", "PASS", "FAIL"]
    assert str(bound) == "0.8 to 1.25"
    assert str(Bound(max=0.1)) == "<= 0.1"


@pytest.mark.parametrize(
    "ends", [{}, {"min": math.nan}, {"min": True}, {"max": "0.8"}, {"min": 2, "max": 1}, {"max": math.inf}]
)
def test_a_bound_that_cannot_fail_is_refused(ends: dict) -> None:
    with pytest.raises(ValueError, match="bound"):
        Bound(**ends)


def test_checks_become_plain_json() -> None:
    check = Check("x", Outcome.FAIL, math.nan, Bound(min=0.5), values={"rate": np.float64(0.25), "n": np.int64(3)})
    assert check.as_dict()["observed"] is None
    assert check.as_dict()["values"] == {"rate": 0.25, "n": 3}
    assert json_safe({"s": {2, 1}, "o": Outcome.PASS, "x": math.inf}) == {"s": [1, 2], "o": "PASS", "x": None}


def test_a_summary_names_value_and_bound() -> None:
    text = result(Check("demographic_parity_ratio[sex]", Outcome.FAIL, 0.61234, Bound(min=0.8))).summary()
    assert "demographic_parity_ratio[sex] = 0.6123 (bound >= 0.8)" in text
    assert "models" not in text
    assert "credit_risk/3" in text


def test_what_the_decision_reads_is_said_in_one_place() -> None:
    result = GateResult(
        "fairness", SUBJECT, (), details={"rows": 7}, settings={"decide": "interval"}, evaluation_digest="e" * 64
    )
    assert result.all_details == {"rows": 7, "settings": {"decide": "interval"}, "evaluation_sha256": "e" * 64}
    with pytest.raises(ValueError, match="evaluation_digest"):
        GateResult("fairness", SUBJECT, (), details={"evaluation_sha256": "e" * 64})
