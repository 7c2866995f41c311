"""Gates that are asked for less, asked until they pass, or fed what libraries wave through: none of it becomes a PASS
that a promotion rests on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlgov import catalogue
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.statements import GateStatement
from airflow_mlgov.gates.data_validation import validate_data
from airflow_mlgov.gates.fairness import evaluate_fairness
from airflow_mlgov.gates.fairness.spec import FairnessSettings
from airflow_mlgov.gates.performance import evaluate_performance
from airflow_mlgov.gates.strictness import held_to, merge_settings
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity, Subject
from tests.codes import raises_code
from tests.worlds.guarded import Guarded
from tests.worlds.release import people

ANY = Subject("model", "any", "a" * 64, "1", "http://mlflow")


# -- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gate", "bounds"),
    [
        ("performance", {"roc_auc": {"min": 0.1}}),
        ("performance", {"roc_auc": {"min": 0.75, "severity": "info"}}),
        ("performance", ["roc_auc>=0.1"]),
        ("fairness", {"demographic_parity_ratio": {"min": 0.79}}),
        ("fairness", {"demographic_parity_ratio": {"max": 2}}),
    ],
)
def test_a_bound_loosened_by_whoever_calls_the_gate(guarded: Guarded, gate: str, bounds: Any) -> None:
    model = load_policy(guarded.policy_file).model(guarded.model)
    with pytest.raises(ConfigurationError, match="may tighten a bound, never loosen it: the policy says") as caught:
        held_to(catalogue.load(gate), model, {}, bounds, "the DAG")
    assert f"{guarded.policy_file}:" in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"min_group_size": 1},
        {"sensitive_features": {"sex": ["male"]}},
        {"sensitive_features": ["age"]},
        {"label": "prediction"},
        {"positive_label": 0},
    ],
)
def test_a_setting_of_the_policy_replaced(guarded: Guarded, given: dict[str, Any]) -> None:
    guarded.change_policy("label: y\n", "label: y\n        min_group_size: 30\n        positive_label: 1\n")
    settings = load_policy(guarded.policy_file).model(guarded.model).settings("fairness")
    with pytest.raises(ConfigurationError, match="the governance policy says"):
        merge_settings(FairnessSettings, settings, given)


PARITY = "demographic_parity_ratio[sex]"
LOOSER: dict[str, tuple[Check, str]] = {
    "held to less": (Check(PARITY, Outcome.PASS, 0.5, Bound(0.1, 2)), "bound.not_met"),
    "left out": (Check("groups", Outcome.PASS), "bound.not_checked"),
    "made a warning": (Check(PARITY, Outcome.FAIL, 0.5, Bound(0.8, 1.25), Severity.WARNING), "bound.not_met"),
    "observed nothing": (Check(PARITY, Outcome.PASS, None, Bound(0.8, 1.25)), "bound.not_met"),
    "observed a word": (Check(PARITY, Outcome.PASS, "0.9", Bound(0.8, 1.25)), "bound.not_met"),
    "observed a yes": (Check(PARITY, Outcome.PASS, True, Bound(0.8, 1.25)), "bound.not_met"),
}


def test_a_pass_that_was_held_to_less_than_the_policy(guarded: Guarded) -> None:
    """Signed with the gate's own key: the decision holds what was observed against the policy."""
    version = guarded.gated()
    subject = guarded.subject(version)
    for name, (check, code) in LOOSER.items():
        result = GateResult("fairness", subject, (check, Check("rows", Outcome.PASS, 600)))
        assert result.verdict is Outcome.PASS
        guarded.attest("fairness", GateStatement.of(result, guarded.context()))
        assert guarded.refused(version) == {code, "approval.missing"}, name


@pytest.mark.parametrize(
    "looser",
    [
        {"decide": "point"},
        {"confidence": 0.6},
        {"min_group_size": 5},
        {"max_share_left_out": 0.5},
        {"missing_sensitive": "group"},
    ],
)
def test_a_gate_made_easier_than_the_policy_says(guarded: Guarded, looser: dict[str, Any]) -> None:
    """The same numbers, from a worker that the policy did not reach: signed, and still no PASS of this policy's."""
    strict = {"decide": "interval", "confidence": 0.95, "min_group_size": 30, "max_share_left_out": 0.0}
    strict["missing_sensitive"] = "error"
    lines = "".join(f"        {name}: {value}\n" for name, value in strict.items())
    guarded.change_policy("prediction: prediction\n", f"prediction: prediction\n{lines}")
    version = guarded.gated()
    good = str(guarded.folder / "good.parquet")
    people().to_parquet(good)

    def weighed(**settings: Any) -> set[str]:
        result = evaluate_fairness(
            good,
            subject=guarded.subject(version),
            label="y",
            prediction="prediction",
            sensitive_features={"sex": ["female", "male"]},
            bounds={"demographic_parity_ratio": {"min": 0.8, "max": 1.25}},
            **settings,
        )
        assert result.verdict is Outcome.PASS
        guarded.attest("fairness", GateStatement.of(result, guarded.context()))
        return guarded.refused(version)

    assert "settings.looser" in weighed(**{**strict, **looser})
    assert "settings.looser" not in weighed(**strict)


def test_weights_are_what_the_policy_says(guarded: Guarded) -> None:
    """A weight for each row can make any number: only the policy says whose weights count, or that none do."""
    gate, good = catalogue.load("fairness"), str(guarded.folder / "good.parquet")
    people().assign(w=1.0, v=2.0).to_parquet(good)

    def held(**given: Any) -> Any:
        return held_to(gate, load_policy(guarded.policy_file).model(guarded.model), given, {}, "the DAG")[0]

    def weighed(version: ModelVersion, weight: str | None) -> set[str]:
        result = evaluate_fairness(
            good,
            subject=guarded.subject(version),
            label="y",
            prediction="prediction",
            sensitive_features={"sex": ["female", "male"]},
            bounds={"demographic_parity_ratio": {"min": 0.8, "max": 1.25}},
            sample_weight=weight,
        )
        assert result.verdict is Outcome.PASS
        guarded.attest("fairness", GateStatement.of(result, guarded.context()))
        return guarded.refused(version)

    version = guarded.gated()
    with raises_code(ConfigurationError, "setting.not_the_policys", match="policy names none"):
        held(sample_weight="w")
    assert "settings.other" in weighed(version, "w")
    assert "settings.other" not in weighed(version, None)
    guarded.change_policy("prediction: prediction\n", "prediction: prediction\n        sample_weight: w\n")
    assert held().sample_weight == held(sample_weight="w").sample_weight == "w"
    with raises_code(ConfigurationError, "setting.not_the_policys"):
        held(sample_weight="v")
    version = guarded.gated()
    assert "settings.other" in weighed(version, None)
    assert "settings.other" in weighed(version, "v")
    assert "settings.other" not in weighed(version, "w")


# -- trying until it passes -------------------------------------------------------------------------------------------


def tried(guarded: Guarded, version: ModelVersion, seed: int = 7, salt: int = 0) -> None:
    """The performance gate, really, over the predictions of one more candidate."""
    frame = people(seed=seed)
    frame["score"] = np.clip(frame["score"] + np.random.default_rng(salt).normal(0, 0.01, len(frame)), 0, 1)
    path = guarded.folder / f"predictions-{seed}-{salt}.parquet"
    frame.to_parquet(path)
    subject = guarded.subject(version)
    result = evaluate_performance(str(path), subject=subject, label="y", score="score", bounds=["roc_auc>=0.75"])
    assert result.verdict is Outcome.PASS
    guarded.attest("performance", GateStatement.of(result, guarded.context()))


def test_many_models_tried_on_the_same_evaluation_data(guarded: Guarded) -> None:
    guarded.change_policy("roc_auc: {min: 0.75}", "roc_auc: {min: 0.75}, max_tries: {same_data: 2}")
    for weight in (1.0, 2.0):
        tried(guarded, guarded.server.register(guarded.model, weight), salt=int(weight))
    version = guarded.gated(3.0)
    tried(guarded, version, salt=3)
    guarded.approve(version)
    assert guarded.refused(version) == {"tries.exceeded"}
    tried(guarded, version, seed=8)
    guarded.approve(version)
    guarded.promote(version)  # fresh data


def test_one_model_tried_on_one_evaluation_data_after_another(guarded: Guarded) -> None:
    guarded.change_policy("roc_auc: {min: 0.75}", "roc_auc: {min: 0.75}, max_tries: {same_model: 2}")
    version = guarded.register()
    guarded.validate()
    guarded.weigh(version)
    for seed in (7, 8):
        tried(guarded, version, seed=seed)
    guarded.approve(version)
    assert guarded.decisions() == []
    tried(guarded, version, seed=9)
    guarded.approve(version)
    assert guarded.refused(version) == {"tries.exceeded"}


# -- what fails open in libraries -------------------------------------------------------------------------------------


def spoilt(**columns: Any) -> pd.DataFrame:
    return people().assign(**columns)


def nowhere(column: str) -> pd.DataFrame:
    frame = people()
    frame[column] = frame[column].astype(float)
    frame.loc[0, column] = np.nan
    return frame


FAILS_OPEN: dict[str, tuple[str, Callable[[], pd.DataFrame]]] = {
    "a score that is NaN": ("performance", lambda: nowhere("score")),
    "a score that is infinite": ("performance", lambda: spoilt(score=np.inf)),
    "a label that is NaN": ("performance", lambda: nowhere("y")),
    "one class alone": ("performance", lambda: spoilt(y=1)),
    "one group alone": ("fairness", lambda: spoilt(sex="male")),
    "a group of three people": ("fairness", lambda: spoilt(sex=["female"] * 3 + ["male"] * 1197)),
    "a group nobody declared": ("fairness", lambda: spoilt(sex=["other", "male"] * 600)),
    "a group that is missing": ("fairness", lambda: spoilt(sex=[None, "male"] * 600)),
    "nobody is selected": ("fairness", lambda: spoilt(prediction=0)),
    "a prediction that is NaN": ("fairness", lambda: nowhere("prediction")),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILS_OPEN)
def test_what_cannot_be_judged_never_passes(tmp_path: Path, name: str) -> None:
    gate, make = FAILS_OPEN[name]
    path = str(tmp_path / "predictions.parquet")
    make().to_parquet(path)
    verdict: object
    try:
        if gate == "performance":
            result = evaluate_performance(path, subject=ANY, label="y", score="score", bounds=["roc_auc>=0.75"])
        else:
            result = evaluate_fairness(
                path,
                subject=ANY,
                label="y",
                prediction="prediction",
                sensitive_features={"sex": ["female", "male"]},
                bounds={"demographic_parity_ratio": {"min": 0.8}},
            )
        verdict = result.verdict
    except ConfigurationError:
        verdict = "refused"
    assert verdict in {Outcome.INCONCLUSIVE, Outcome.ERROR, "refused"}


def test_a_nan_that_was_signed_as_a_pass_is_no_pass(guarded: Guarded) -> None:
    version = guarded.gated()
    guarded.weigh(version, ratio=float("nan"))
    guarded.approve(version)
    assert guarded.refused(version) == {"gate.not_passed", "bound.not_met"}


def test_a_gate_without_a_critical_check_decides_nothing(guarded: Guarded) -> None:
    version = guarded.gated()
    good = GateResult("fairness", guarded.subject(version), (Check(PARITY, Outcome.PASS, 0.9, Bound(0.8)),))
    for checks in ((), (replace(good.checks[0], severity=Severity.INFO),)):
        result = replace(good, checks=checks)
        assert result.verdict is Outcome.ERROR
        guarded.attest("fairness", GateStatement.of(result, guarded.context()))
        assert "gate.not_passed" in guarded.refused(version)


@pytest.mark.slow
@pytest.mark.parametrize(
    "expectations",
    [
        [],
        [{"type": "expect_the_best", "kwargs": {}}],
        [{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "no_such_column"}}],
        [{"type": "expect_column_values_to_be_between", "kwargs": {"column": "age", "minimum": 18}}],
    ],
)
def test_an_expectation_that_is_not_evaluated_is_no_pass(tmp_path: Path, expectations: list[dict[str, Any]]) -> None:
    path = tmp_path / "train.csv"
    people().to_csv(path, index=False)
    try:
        verdict = str(validate_data(path, {"name": "s", "expectations": expectations}).verdict)
    except ConfigurationError:
        verdict = "refused"
    assert verdict != "PASS"


# -- rules ------------------------------------------------------------------------------------------------------------


RULES = (
    "rules",
    "",
    "package elsewhere\nimport rego.v1\ndeny := []",
    "package mlgov.custom\nimport rego.v1\ndeny := input.nothing",
    "package mlgov.custom\nimport rego.v1\ndeny contains x if { x := http.send({}) }",
    "package mlgov.custom\nimport rego.v1\ndeny := false",
    "package mlgov.custom\nimport rego.v1\ndeny contains 1 / 0",
)


def test_a_rule_that_says_nothing_allows_nothing(guarded: Guarded) -> None:
    version = guarded.green()
    guarded.change_policy("version: 1\n", "version: 1\nrules: [own.rego]\n")
    for rules in RULES:
        (guarded.folder / "own.rego").write_text(rules)
        assert guarded.refused(version) == {"engine.error"}, rules


def test_a_rule_of_ones_own_takes_no_shipped_one_away(guarded: Guarded) -> None:
    version = guarded.register()
    guarded.change_policy("version: 1\n", "version: 1\nrules: [own.rego, shadow.rego]\n")
    (guarded.folder / "own.rego").write_text(
        "package mlgov.custom\nimport rego.v1\ndeny contains x if { some x in [] }\n"
    )
    shadow = (
        'package mlgov.promotion\nimport rego.v1\ncounted contains "olga"\nabout_model contains input.evidence[_]\n'
    )
    (guarded.folder / "shadow.rego").write_text(shadow)
    assert guarded.refused(version) == {"evidence.missing", "approval.missing"}
