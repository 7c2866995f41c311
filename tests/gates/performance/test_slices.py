from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.performance import evaluate_performance
from airflow_mlgov.gates.slices import positions
from airflow_mlgov.results import Check, GateResult, Outcome, Subject
from tests.codes import raises_code

MODEL = Subject("model", "credit_risk", "ab" * 32, version="7", registry="http://mlflow")


def _frame(rows: int = 1200, weak: str = "north") -> pd.DataFrame:
    """Rows of three regions and two sexes; one region's scores say little."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, rows)
    region, sex = rng.choice(["north", "south", "west"], rows), rng.choice(["f", "m"], rows)
    skill = np.where(region == weak, 0.3, 2.5)
    score = 1 / (1 + np.exp(-(skill * (label - 0.5) + rng.normal(size=rows))))
    return pd.DataFrame({"y": label, "s": score, "region": region, "sex": sex})


def _judge(frame: pd.DataFrame, tmp_path: Path, bounds: Any, **settings: Any) -> GateResult:
    frame.to_parquet(tmp_path / "test.parquet", index=False)
    given = {"label": "y", "score": "s", "slices": ["region"], **settings}
    return evaluate_performance(str(tmp_path / "test.parquet"), subject=MODEL, bounds=bounds, **given)


def _first(result: GateResult) -> Check:
    return result.checks[0]


def test_the_worst_slice_is_held_against_the_bound(tmp_path: Path) -> None:
    frame = _frame()
    by_region = {name: metrics.roc_auc_score(part.y, part.s) for name, part in frame.groupby("region")}
    result = _judge(frame, tmp_path, {"roc_auc_worst_slice": {"min": 0.7}, "roc_auc": {"min": 0.7}})
    check = _first(result)
    assert check.name == "roc_auc_worst_slice"
    assert check.observed == pytest.approx(min(by_region.values())) == pytest.approx(by_region["north"])
    assert check.outcome is result.verdict is Outcome.FAIL
    assert result.checks[1].outcome is Outcome.PASS  # on the whole it is good enough
    assert check.detail == f"region=north, {(frame.region == 'north').sum()} rows, the worst of 3 slices"
    assert check.values["interval"]["method"] == "delong"
    shown = {one["slice"]: one["value"] for one in check.values["slices"]["region"]["values"]}
    assert shown == pytest.approx({f"region={name}": value for name, value in by_region.items()})


def test_a_maximum_is_of_the_largest_slice(tmp_path: Path) -> None:
    frame = _frame()
    losses = {name: metrics.log_loss(part.y, part.s) for name, part in frame.groupby("region")}
    check = _first(_judge(frame, tmp_path, {"log_loss_worst_slice": {"max": 2.0}}))
    assert check.observed == pytest.approx(max(losses.values()))
    assert check.outcome is Outcome.PASS


def test_columns_are_crossed(tmp_path: Path) -> None:
    frame = _frame()
    check = _first(_judge(frame, tmp_path, ["accuracy_worst_slice>=0"], slices=["region", "sex * region"]))
    crossed = {one["slice"] for one in check.values["slices"]["sex * region"]["values"]}
    assert crossed == {f"sex={sex}*region={region}" for sex in "fm" for region in ("north", "south", "west")}
    assert check.detail.endswith("the worst of 9 slices")


def _named(**columns: list[Any]) -> dict[str, list[int]]:
    return {name: rows.tolist() for name, rows in positions(pd.DataFrame(columns, dtype=object), "*".join(columns))}


def test_different_crossings_have_different_names() -> None:
    assert _named(a=["x*b=y", "x"], b=["z", "y*b=z"]) == {r"a=x\*b=y*b=z": [0], r"a=x*b=y\*b=z": [1]}
    assert _named(a=["x\\", "x"], b=["y", "y"]) == {r"a=x\\*b=y": [0], "a=x*b=y": [1]}
    assert _named(a=["(missing)", None], b=["y", "y"]) == {r"a=\(missing)*b=y": [0], "a=(missing)*b=y": [1]}
    assert _named(a=["(missing)", None, "\\(missing)"]) == {
        r"a=\(missing)": [0],
        "a=(missing)": [1],
        r"a=\\(missing)": [2],
    }
    assert _named(a=["x*y", "C:\\x"]) == {"a=x*y": [0], "a=C:\\x": [1]}  # of one column nothing else is escaped


@given(
    st.lists(
        st.tuples(*[st.none() | st.text(r"x*\\=b", max_size=5) | st.just("(missing)")] * 2), min_size=1, unique=True
    )
)
def test_as_many_slices_as_crossings(rows: list[tuple[str | None, str | None]]) -> None:
    assert len(_named(a=[row[0] for row in rows], b=[row[1] for row in rows])) == len(rows)


def test_rows_without_a_value_are_a_slice_of_their_own(tmp_path: Path) -> None:
    frame = _frame()
    frame.loc[frame.region == "west", "region"] = None
    check = _first(_judge(frame, tmp_path, ["roc_auc_worst_slice>=0.5"]))
    names = [one["slice"] for one in check.values["slices"]["region"]["values"]]
    assert "region=(missing)" in names
    assert sum(one["n"] for one in check.values["slices"]["region"]["values"]) == len(frame)


def test_small_slices_are_left_out_and_too_many_rows_in_them_decide_nothing(tmp_path: Path) -> None:
    frame = _frame(weak="nowhere")
    frame.loc[:19, "region"] = "island"
    check = _first(_judge(frame, tmp_path, ["roc_auc_worst_slice>=0.5"]))
    left = check.values["slices"]["region"]
    assert check.outcome is Outcome.PASS
    assert left["left_out"] == [{"slice": "region=island", "n": 20, "why": "fewer than 30 rows"}]
    strict = _first(_judge(frame, tmp_path, ["roc_auc_worst_slice>=0.5"], max_share_left_out=0.01))
    assert strict.outcome is Outcome.INCONCLUSIVE
    assert "20 of 1200 rows are in slices of region that cannot be estimated" in strict.detail
    failing = _first(_judge(frame, tmp_path, ["roc_auc_worst_slice>=0.999"], max_share_left_out=0.01))
    assert failing.outcome is Outcome.FAIL  # what is known fails, whatever is left out


@pytest.mark.parametrize(
    ("metric", "label", "why"),
    [
        ("roc_auc", 1, "fewer than 10 rows with a negative label"),
        ("roc_auc", 0, "fewer than 10 rows with a positive label"),
        ("recall", 0, "fewer than 10 rows with a positive label"),
    ],
)
def test_a_slice_with_few_of_a_class_is_left_out_with_the_reason(
    tmp_path: Path, metric: str, label: int, why: str
) -> None:
    frame = _frame()
    west = frame.index[frame.region == "west"]
    frame.loc[west[3:], "y"] = label
    frame.loc[west[:3], "y"] = 1 - label
    check = _first(_judge(frame, tmp_path, [f"{metric}_worst_slice>=0"]))
    assert check.outcome is Outcome.INCONCLUSIVE  # a third of the rows
    assert check.values["slices"]["region"]["left_out"] == [{"slice": "region=west", "n": len(west), "why": why}]


def test_precision_needs_rows_that_are_predicted_positive(tmp_path: Path) -> None:
    frame = _frame()
    frame.loc[frame.region == "west", "s"] = 0.1
    check = _first(_judge(frame, tmp_path, ["precision_worst_slice>=0"]))
    (left,) = check.values["slices"]["region"]["left_out"]
    assert left["why"] == "fewer than 10 rows predicted positive"


@pytest.mark.parametrize("value", ["everywhere", None])
def test_one_slice_alone_decides_nothing(tmp_path: Path, value: str | None) -> None:
    check = _first(_judge(_frame().assign(region=value), tmp_path, ["accuracy_worst_slice>=0.1"]))
    assert check.outcome is Outcome.INCONCLUSIVE
    assert "region has one slice only" in check.detail


def test_no_slice_is_large_enough(tmp_path: Path) -> None:
    check = _first(_judge(_frame(60), tmp_path, ["accuracy_worst_slice>=0.1"], min_slice_size=500))
    assert (check.outcome, check.observed) == (Outcome.INCONCLUSIVE, None)
    assert "no slice of region can be estimated" in check.detail


def test_the_evidence_names_no_slice_of_a_few_people(tmp_path: Path) -> None:
    frame = _frame()
    frame.loc[:3, "region"] = "Little Hamlet"
    result = _judge(frame, tmp_path, ["accuracy_worst_slice>=0.1"], min_slice_size=1)
    said = json.dumps([check.as_dict() for check in result.checks]) + json.dumps(dict(result.details))
    assert "Hamlet" not in said
    assert _first(result).values["slices"]["region"]["unnamed"] == {"slices": 1, "why": "fewer than 5 rows each"}


def test_an_interval_that_straddles_decides_nothing(tmp_path: Path) -> None:
    frame = _frame(300, weak="nowhere")
    accuracy = {name: (part.y == (part.s >= 0.5)).mean() for name, part in frame.groupby("region")}
    bound = {"accuracy_worst_slice": {"min": round(min(accuracy.values()) - 0.01, 3)}}
    assert _first(_judge(frame, tmp_path, bound)).outcome is Outcome.PASS
    assert _first(_judge(frame, tmp_path, bound, decide="interval")).outcome is Outcome.INCONCLUSIVE


def test_a_regression_is_sliced_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"y": rng.normal(size=400), "region": rng.choice([1, 2], 400)})
    frame["p"] = frame.y + np.where(frame.region == 1, 0.1, 2.0) * rng.normal(size=400)
    settings = {"score": None, "prediction": "p"}
    check = _first(_judge(frame, tmp_path, ["rmse_worst_slice<=1"], **settings))
    part = frame[frame.region == 2]
    assert check.observed == pytest.approx(metrics.root_mean_squared_error(part.y, part.p))
    assert check.values["worst"] == "region=2"
    assert check.outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"slices": None}, "setting.missing", ""),
        ({"slices": ["regoin"]}, "column.missing", 'no column "regoin"'),
        ({"slices": ["region*"]}, "setting.wrong", ""),
        ({"slices": ["s"]}, "slice.too_many", "s makes 1200 slices, more than 1000"),
        ({"min_slice_size": 0}, "setting.wrong", "min_slice_size should be greater than or equal to 1"),
        ({"suppress_below": True}, "setting.wrong", ""),
        ({"max_share_left_out": 1}, "setting.wrong", "max_share_left_out should be less than 1"),
    ],
)
def test_bad_slices(tmp_path: Path, settings: dict[str, Any], code: str, words: str) -> None:
    with raises_code(ConfigurationError, code, words):
        _judge(_frame(), tmp_path, ["accuracy_worst_slice>=0.1"], **settings)


def test_missing_labels_are_an_error_on_slices_too(tmp_path: Path) -> None:
    frame = _frame().astype({"y": float})
    frame.loc[0, "y"] = np.nan
    result = _judge(frame, tmp_path, ["accuracy_worst_slice>=0.1"])
    assert {check.outcome for check in result.checks[:2]} == {Outcome.ERROR}


def test_scores_that_are_no_probabilities_are_an_error_on_slices_too(tmp_path: Path) -> None:
    check = _first(_judge(_frame().assign(s=lambda f: 2 * f.s), tmp_path, ["log_loss_worst_slice<=9"]))
    assert check.outcome is Outcome.ERROR
    assert "region=north: " in check.detail
    assert "not within 0 to 1" in check.detail


def test_a_ranking_of_many_classes_needs_rows_of_each_in_a_slice(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"y": rng.integers(0, 3, 300), "region": ["north", "south"] * 150})
    frame.loc[(frame.region == "south") & (frame.y == 2), "y"] = 1
    scores = np.exp(np.eye(3)[frame.y] + rng.normal(size=(300, 3)))
    frame[["p0", "p1", "p2"]] = scores / scores.sum(1, keepdims=True)
    settings = {"score": None, "class_scores": {0: "p0", 1: "p1", 2: "p2"}}
    check = _first(_judge(frame, tmp_path, ["roc_auc_ovr_worst_slice>=0.1"], **settings))
    (left,) = check.values["slices"]["region"]["left_out"]
    assert left == {"slice": "region=south", "n": 150, "why": "fewer than 10 rows of a class"}
    assert check.outcome is Outcome.INCONCLUSIVE
