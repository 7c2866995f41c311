"""Rates of weighted rows: Fairlearn's numbers, Kish's sizes, intervals that hold the truth, weights that are
refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from fairlearn import metrics as fl
from sklearn.metrics import accuracy_score, precision_score

from airflow_mlgov.data.database import SqlSource
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness import evaluate_fairness
from airflow_mlgov.results import Check, GateResult, Outcome
from tests.codes import raises_code


def case_39() -> pd.DataFrame:
    """Both groups have half their rows selected; by weight it is 0.2 and 0.5."""
    return pd.DataFrame(
        {"g": ["a"] * 200 + ["b"] * 200, "y": [1, 0] * 200, "p": [1, 0] * 200, "w": [1.0, 4.0] * 100 + [1.0] * 200}
    )


def drawn(seed: int, rows: int = 2000, classes: int = 2) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    group = random.choice(["a", "b", "c"], rows, p=[0.5, 0.3, 0.2])
    label = random.integers(0, classes, rows)
    prediction = np.where(random.uniform(size=rows) < 0.7, label, random.integers(0, classes, rows))
    weight = random.gamma(1 + 2 * label, 2, rows) * np.where(group == "c", 3, 1)
    weight[::50] = 0
    return pd.DataFrame({"g": group, "y": label, "p": prediction, "w": weight, "id": range(rows)})


def judge(data: Any, bounds: list[str], **settings: Any) -> GateResult:
    given = {"label": "y", "prediction": "p", "sensitive_features": ["g"], "sample_weight": "w", **settings}
    return evaluate_fairness(data, bounds=bounds, **given)


def checks_of(result: GateResult) -> dict[str, Check]:
    return {check.name: check for check in result.checks}


def precision(y: Any, p: Any, sample_weight: Any = None) -> float:
    return float(precision_score(y, p, sample_weight=sample_weight))


FUNCTIONS = {
    "selection_rate": fl.selection_rate, "true_positive_rate": fl.true_positive_rate,
    "false_positive_rate": fl.false_positive_rate, "false_negative_rate": fl.false_negative_rate,
    "accuracy": accuracy_score, "precision": precision,
}  # fmt: skip


@pytest.mark.parametrize("engine", ["counts", "fairlearn"])
@pytest.mark.parametrize("seed", range(3))
def test_fairlearns_numbers(seed: int, engine: str) -> None:
    frame = drawn(seed)
    expected = fl.MetricFrame(
        metrics=FUNCTIONS, y_true=frame["y"], y_pred=frame["p"], sensitive_features=frame["g"],
        sample_params={name: {"sample_weight": frame["w"]} for name in FUNCTIONS},
    )  # fmt: skip
    bounds = ["demographic_parity_ratio>=0", "equalized_odds_difference<=1", "demographic_parity_difference<=1"]
    result = judge(frame, bounds, engine=engine)
    rates = result.details["rates"]["g"]
    for group in "abc":
        for name in FUNCTIONS:
            assert rates[group][name] == pytest.approx(expected.by_group.loc[group, name], abs=1e-12), (group, name)
    given = {"y_true": frame["y"], "y_pred": frame["p"], "sensitive_features": frame["g"], "sample_weight": frame["w"]}
    checks = checks_of(result)
    for name in ("demographic_parity_ratio", "equalized_odds_difference", "demographic_parity_difference"):
        observed = checks[f"{name}[g]"].observed
        assert observed == pytest.approx(getattr(fl, name)(**given), abs=1e-9), name
    assert result.details["sample_weight"]["sum"] == pytest.approx(frame["w"].sum())
    kish = frame["w"].sum() ** 2 / (frame["w"] ** 2).sum()
    assert result.details["sample_weight"]["effective_sample_size"] == pytest.approx(kish)
    assert not any(name.startswith("four_fifths") for name in checks), "its test takes no weights"


def test_weights_decide() -> None:
    bound = ["demographic_parity_ratio>=0.8"]
    assert checks_of(judge(case_39(), bound, sample_weight=None, decide="point"))[
        "demographic_parity_ratio[g]"
    ].observed == pytest.approx(1)
    check = checks_of(judge(case_39(), bound))["demographic_parity_ratio[g]"]
    assert (check.outcome, check.observed) == (Outcome.FAIL, pytest.approx(0.4))
    assert check.values["interval"]["low"] < 0.4 < check.values["interval"]["high"] < 0.8


def test_every_source_gives_the_same(tmp_path: Path) -> None:
    frame = drawn(4)
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'a.db'}")
    frame.to_sql("t", engine, index=False)
    engine.dispose()
    sources = [frame, str(tmp_path / "a.csv"), str(tmp_path / "a.parquet"),
               SqlSource(f"sqlite:///{tmp_path / 'a.db'}", table="t")]  # fmt: skip
    first, *others = [judge(source, ["demographic_parity_ratio>=0.5"]) for source in sources]
    for other in others:
        assert checks_of(other)["demographic_parity_ratio[g]"].observed == pytest.approx(
            checks_of(first)["demographic_parity_ratio[g]"].observed, abs=1e-12
        )
        assert other.evaluation_digest == first.evaluation_digest
    assert (
        first.evaluation_digest == judge(frame, ["demographic_parity_ratio>=0.5"], sample_weight=None).evaluation_digest
    )


def test_equal_weights_change_no_number() -> None:
    frame = drawn(5).assign(w=2.0)
    plain, same = (judge(frame, ["demographic_parity_ratio>=0.5"], sample_weight=w) for w in (None, "w"))
    assert plain.details["rates"] == same.details["rates"]
    assert plain.details["counts"] == same.details["counts"]
    mine, theirs = (checks_of(each)["demographic_parity_ratio[g]"].values["interval"] for each in (plain, same))
    assert mine["low"] == pytest.approx(theirs["low"], abs=0.02)


def test_a_group_is_large_enough_by_its_weights() -> None:
    frame = case_39().assign(w=[1000.0] + [1.0] * 399)
    check = checks_of(judge(frame, ["demographic_parity_ratio>=0.1"]))["demographic_parity_ratio[g]"]
    assert check.outcome is Outcome.INCONCLUSIVE
    assert "a has 200 rows that are worth 1.4 by their weights, 30 needed" in check.detail


def test_several_classes_and_the_champion() -> None:
    frame = drawn(6, classes=3)
    result = judge(frame, ["demographic_parity_difference<=1"], task="multiclass")
    expected = max(
        fl.MetricFrame(
            metrics=fl.selection_rate, y_true=frame["y"] == one, y_pred=frame["p"] == one,
            sensitive_features=frame["g"], sample_params={"sample_weight": frame["w"]},
        ).difference()
        for one in range(3)
    )  # fmt: skip
    assert checks_of(result)["demographic_parity_difference[g]"].observed == pytest.approx(expected)
    champion = drawn(7)[["id", "p"]].assign(y=drawn(6)["y"])
    two = judge(drawn(6), ["demographic_parity_ratio_vs_champion>=-1"], baseline=champion, row_id="id")
    change = checks_of(two)["demographic_parity_ratio_vs_champion[g]"]
    mine, theirs = (
        fl.demographic_parity_ratio(
            drawn(6)["y"], predicted, sensitive_features=drawn(6)["g"], sample_weight=drawn(6)["w"]
        )
        for predicted in (drawn(6)["p"], champion["p"])
    )
    assert change.observed == pytest.approx(mine - theirs, abs=1e-9)


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(3)
    size, tries, held = 100_000, 120, 0
    group = random.choice(["a", "b"], size)
    label = random.integers(0, 2, size)
    prediction = (random.uniform(size=size) < np.where(group == "a", 0.3, 0.4) + 0.3 * label).astype(int)
    chance = np.where(label, 0.9, 0.2) * random.uniform(0.5, 1.5, size)
    truth = abs(prediction[group == "a"].mean() - prediction[group == "b"].mean())
    for _ in range(tries):
        rows = random.choice(size, 500, p=chance / chance.sum())
        frame = pd.DataFrame({"g": group[rows], "y": label[rows], "p": prediction[rows], "w": 1 / chance[rows]})
        interval = checks_of(judge(frame, ["demographic_parity_difference<=1"]))["demographic_parity_difference[g]"]
        found = interval.values["interval"]
        held += found["low"] <= truth <= found["high"]
    assert 0.88 <= held / tries <= 1


@pytest.mark.parametrize(
    "bad", [[-1.0], [None], [math.inf], [-math.inf], [0.0] * 400, ["1"] * 400, [True] * 400, [math.nan]]
)
@pytest.mark.parametrize("how", ["frame", "parquet"])
def test_weights_that_are_none(tmp_path: Path, bad: list[Any], how: str) -> None:
    frame = case_39().assign(w=bad + [1.0] * (400 - len(bad)))
    data: Any = frame
    if how == "parquet":
        data = str(tmp_path / "a.parquet")
        frame.to_parquet(data)
    with raises_code(ConfigurationError, "weight.unsound", match='"w"'):
        judge(data, ["demographic_parity_ratio>=0.1"])


def test_what_takes_no_weights_refuses_by_name() -> None:
    frame = case_39().assign(s=0.5)
    with raises_code(ConfigurationError, "weight.no_metric", match="roc_auc_difference"):
        judge(frame, ["roc_auc_difference<=1"], score="s")
    with raises_code(ConfigurationError, "weight.no_metric", match="mean_error_difference"):
        judge(frame, ["mean_error_difference<=1"], task="regression")
    for column in ("y", "p", "g"):
        with raises_code(ConfigurationError, "setting.contradiction"):
            judge(frame, ["demographic_parity_ratio>=0.1"], sample_weight=column)
    with raises_code(ConfigurationError, "column.missing"):
        judge(frame, ["demographic_parity_ratio>=0.1"], sample_weight="v")
