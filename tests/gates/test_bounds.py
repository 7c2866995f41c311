from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import MetricBound, parse_bound, parse_bounds, parse_expression, tighten, tighten_all
from airflow_mlgov.results import Bound, Outcome, Severity
from tests.codes import raises_code

KNOWN = ("roc_auc", "log_loss", "demographic_parity_ratio", "roc_auc_vs_champion")


def test_reads_settings_from_yaml() -> None:
    roc, change = parse_bounds(
        {"roc_auc": {"min": 0.75, "severity": "warning"}, "roc_auc_vs_champion": {"min_change": -0.01}},
        KNOWN,
        source="mlgov.yaml:12",
    )
    assert roc == MetricBound("roc_auc", Bound(min=0.75, source="mlgov.yaml:12"), False, Severity.WARNING)
    assert change == MetricBound("roc_auc_vs_champion", Bound(min=-0.01, source="mlgov.yaml:12"), True)
    assert change.base_metric == "roc_auc"
    assert str(change) == "change of roc_auc >= -0.01 [critical] (mlgov.yaml:12)"


def test_takes_bounds_and_parsed_bounds_as_they_are() -> None:
    parsed = parse_bound("roc_auc", Bound(min=0.75), KNOWN)
    assert parse_bounds({"roc_auc": parsed}, KNOWN) == (parsed,)
    assert parse_bounds([parsed], KNOWN) == (parsed,)
    assert parse_bounds("roc_auc>=0.75", KNOWN)[0].bound.min == 0.75


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("roc_auc>=0.75", Bound(min=0.75, source="command line")),
        (" log_loss <= 6e-1 ", Bound(max=0.6, source="command line")),
        ("roc_auc_vs_champion>=-0.01", Bound(min=-0.01, source="command line")),
    ],
)
def test_reads_expressions(text: str, bound: Bound) -> None:
    parsed = parse_expression(text, KNOWN)
    assert parsed.bound == bound
    assert parsed.relative_to_champion is parsed.metric.endswith("_vs_champion")


@pytest.mark.parametrize("text", ["roc_auc", "roc_auc>0.75", "roc_auc==1", ">=0.8", "roc_auc=>0.8", ""])
def test_refuses_what_is_no_expression(text: str) -> None:
    with raises_code(ConfigurationError, "bound.form", match=r"must look like roc_auc>=0.75"):
        parse_expression(text, KNOWN)


def test_two_expressions_on_one_metric_make_an_interval() -> None:
    ratio = "demographic_parity_ratio"
    (joined,) = parse_bounds([f"{ratio}>=0.8", f"{ratio}<=1.25"], KNOWN)
    assert (joined.bound.min, joined.bound.max) == (0.8, 1.25)
    with raises_code(ConfigurationError, "bound.twice"):
        parse_bounds([f"{ratio}>=0.8", f"{ratio}>=0.7"], KNOWN)
    with raises_code(ConfigurationError, "bound.form"):
        parse_bounds([f"{ratio}<=0.7", f"{ratio}>=0.8"], KNOWN)


def test_unknown_metric_names_the_nearest_and_all() -> None:
    with raises_code(
        ConfigurationError, "bound.unknown", match=r'"rocauc".*Did you mean "roc_auc".*Known metrics: .*log_loss'
    ):
        parse_bounds({"rocauc": {"min": 0.8}}, KNOWN, source="mlgov.yaml:3")
    with raises_code(ConfigurationError, "bound.unknown"):
        parse_bounds([parse_bound("roc_auc", {"min": 0.8}, KNOWN)], ["accuracy"])
    with raises_code(ConfigurationError, "bound.unknown"):
        parse_bounds({"log_loss_vs_champion": {"max_change": 0}}, KNOWN)


@pytest.mark.parametrize("value", ["0.8", None, True, [0.8], float("nan"), float("inf")])
def test_refuses_a_bound_that_is_no_number(value: object) -> None:
    with raises_code(ConfigurationError, "bound.not_a_number"):
        parse_bounds({"roc_auc": {"min": value}}, KNOWN)


def test_refuses_a_bound_that_is_no_number_on_the_command_line() -> None:
    with raises_code(ConfigurationError, "bound.not_a_number", match=r"roc_auc is not a number: 'high'"):
        parse_expression("roc_auc>=high", KNOWN)
    with raises_code(ConfigurationError, "bound.not_a_number"):
        parse_expression("roc_auc>=nan", KNOWN)


@pytest.mark.parametrize(
    ("bounds", "code", "words"),
    [
        ({}, "bound.missing", ""),
        ([], "bound.missing", ""),
        (None, "bound.form", ""),
        ([3], "bound.form", ""),
        ({"roc_auc": 0.8}, "bound.form", r'must look like \{"min": 0.75\}'),
        ({"roc_auc_vs_champion": 0.8}, "bound.form", ""),
        ({"roc_auc": {}}, "bound.form", ""),
        ({"roc_auc": {"min": 0.9, "max": 0.8}}, "bound.form", ""),
        ({"roc_auc": {"minimum": 0.8}}, "bound.form", "unknown keys minimum"),
        ({"roc_auc": {"min_change": -0.1}}, "bound.form", ""),
        ({"roc_auc_vs_champion": {"min": -0.1}}, "bound.form", "known keys: min_change, max_change, severity"),
        ({"roc_auc": {"min": 0.8, "severity": "fatal"}}, "bound.severity", "known severities: critical, warning, info"),
        ({"roc_auc": MetricBound("log_loss", Bound(max=1))}, "bound.form", ""),
    ],
)
def test_refuses_what_bounds_nothing(bounds: object, code: str, words: str) -> None:
    with raises_code(ConfigurationError, code, words):
        parse_bounds(bounds, KNOWN)  # type: ignore[arg-type]


def _ratio(source: str, severity: str = "critical", **ends: float) -> MetricBound:
    return parse_bound("demographic_parity_ratio", {**ends, "severity": severity}, KNOWN, source=source)


def test_a_dag_may_tighten() -> None:
    policy = _ratio("mlgov.yaml:20", min=0.8, max=1.25)
    tightened = tighten(policy, _ratio("dag", min=0.85))
    assert (tightened.bound.min, tightened.bound.max) == (0.85, 1.25)
    assert tightened.bound.source == "dag, within mlgov.yaml:20"
    assert tighten(policy, policy).bound == policy.bound
    stricter = tighten(_ratio("policy", "warning", min=0.8), _ratio("dag", max=1.2))
    assert (stricter.bound.min, stricter.bound.max, stricter.severity) == (0.8, 1.2, Severity.CRITICAL)


@pytest.mark.parametrize("looser", [{"min": 0.7}, {"max": 1.3}, {"min": 0.8, "severity": "warning"}])
def test_a_dag_may_not_loosen(looser: dict[str, object]) -> None:
    policy = _ratio("mlgov.yaml:20", min=0.8, max=1.25)
    dag = parse_bound("demographic_parity_ratio", looser, KNOWN, source="dag credit")
    with raises_code(
        ConfigurationError, "bound.looser", match=r"policy says .*0\.8 to 1\.25.*mlgov.yaml:20.*DAG says .*dag credit"
    ):
        tighten(policy, dag)


def test_tightening_what_cannot_be_met_or_compared() -> None:
    with raises_code(ConfigurationError, "bound.unsatisfiable"):
        tighten(_ratio("policy", max=0.5), _ratio("dag", min=0.6))
    with pytest.raises(ValueError, match=r"two metrics"):
        tighten(_ratio("policy", max=0.5), parse_bound("roc_auc", {"min": 0.6}, KNOWN))


def test_tightens_each_and_adds_the_dags_own() -> None:
    policy = parse_bounds({"roc_auc": {"min": 0.7}, "log_loss": {"max": 0.6}}, KNOWN)
    dag = parse_bounds({"roc_auc": {"min": 0.8}, "demographic_parity_ratio": {"min": 0.9}}, KNOWN)
    merged = {item.metric: item.bound for item in tighten_all(policy, dag)}
    assert [merged["roc_auc"].min, merged["log_loss"].max, merged["demographic_parity_ratio"].min] == [0.8, 0.6, 0.9]


_ends = st.one_of(st.none(), st.floats(-1, 1))


@given(st.tuples(_ends, _ends), st.tuples(_ends, _ends), st.floats(-1.5, 1.5))
def test_tightened_never_passes_what_the_policy_fails(
    one: tuple[float | None, float | None], two: tuple[float | None, float | None], observed: float
) -> None:
    try:
        policy, dag = (MetricBound("roc_auc", Bound(*ends)) for ends in (one, two))
        both = tighten(policy, dag)
    except ValueError:
        return
    if policy.bound.judge(observed) is Outcome.FAIL or dag.bound.judge(observed) is Outcome.FAIL:
        assert both.bound.judge(observed) is Outcome.FAIL
