"""Scores and regressions against the champion, and AUCs against all rows: numbers held against scikit-learn and
Fairlearn on the rows, intervals against the bootstrap of the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from airflow_mlgov.data.database import SqlSource
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness import evaluate_fairness, scores
from airflow_mlgov.gates.fairness.joint import Joint, Whole, joint_means
from airflow_mlgov.gates.statistics.delong import delong
from airflow_mlgov.results import Outcome
from tests.codes import raises_code
from tests.fixtures.postgres import PASSWORD
from tests.worlds.counted import MODEL, Judge, by_name

pytestmark = pytest.mark.slow

Statistic = Callable[[pd.DataFrame], float]
LOOSE = {"min_change": -9}


@pytest.fixture
def rows() -> pd.DataFrame:
    """Scores s and, of the champion, t, that err alike; groups of unlike sizes."""
    generator = np.random.default_rng(11)
    frame = pd.DataFrame({"sex": generator.choice(["a", "b", "c"], 3000, p=[0.5, 0.3, 0.2])})
    frame["id"] = np.arange(3000)
    frame["y"] = generator.integers(0, 2, 3000)
    shared, shift = generator.normal(0, 0.2, 3000), frame.sex.map({"a": 0.3, "b": 0.2, "c": 0.1})
    frame["s"] = np.clip(0.35 + shift * frame.y + shared + generator.normal(0, 0.1, 3000), 0, 1).round(2)
    frame["t"] = np.clip(0.4 + 0.8 * shift * frame.y + shared + generator.normal(0, 0.1, 3000), 0, 1).round(2)
    frame["p"] = (frame.s > 0.5).astype(int)
    return frame


@pytest.fixture
def errors() -> pd.DataFrame:
    """A label y, predictions p and c that err alike."""
    generator = np.random.default_rng(12)
    frame = pd.DataFrame({"sex": generator.choice(["a", "b", "c"], 2000, p=[0.5, 0.3, 0.2]), "id": np.arange(2000)})
    frame["y"] = generator.normal(10, 3, 2000)
    shared = generator.normal(0, 1, 2000)
    off = frame.sex.map({"a": 0.5, "b": 0.1, "c": 0.0}) + shared * frame.sex.map({"a": 1.5, "b": 1.0, "c": 0.8})
    frame["p"] = frame.y + off + generator.normal(0, 0.3, 2000)
    frame["c"] = frame.y + 0.8 * off + generator.normal(0, 0.3, 2000)
    return frame


def _spread(of: Callable[[pd.DataFrame], float], frame: pd.DataFrame) -> float:
    by_group = [of(group) for _, group in frame.groupby("sex")]
    return max(by_group) - min(by_group)


def _to_overall(of: Callable[[pd.DataFrame], float], frame: pd.DataFrame) -> float:
    whole = of(frame)
    return max(abs(of(group) - whole) for _, group in frame.groupby("sex"))


def _bootstrap(frame: pd.DataFrame, statistic: Statistic, times: int = 300) -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(0)
    return np.array([statistic(frame.iloc[generator.integers(0, len(frame), len(frame))]) for _ in range(times)])


def _agrees(interval: Mapping[str, float], drawn: np.ndarray[Any, Any]) -> None:
    """Ends within a fifth of the interval's length: 300 resamples of the rows know them no better."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    within = 0.2 * (high - low)
    assert interval["low"] == pytest.approx(low, abs=within)
    assert interval["high"] == pytest.approx(high, abs=within)
    assert interval["high"] - interval["low"] == pytest.approx(high - low, rel=0.25)


def _auc(column: str) -> Statistic:
    """Mann & Whitney's: scikit-learn's is slow to repeat."""

    def of(frame: pd.DataFrame) -> float:
        label, ranks = frame.y.to_numpy(), rankdata(frame[column].to_numpy())
        positives = label.sum()
        below = ranks[label == 1].sum() - positives * (positives + 1) / 2
        return float(below / (positives * (len(label) - positives)))

    return of


# --- AUC


@pytest.mark.parametrize(("method", "how"), [("between_groups", _spread), ("to_overall", _to_overall)])
def test_change_of_auc_is_the_row_bootstraps(rows: pd.DataFrame, judge: Judge, method: str, how: Any) -> None:
    result = judge(
        rows, {"roc_auc_difference_vs_champion": LOOSE}, prediction=None, score="s", champion_score="t", method=method
    )
    check = by_name(result)["roc_auc_difference_vs_champion[sex]"]

    def change(frame: pd.DataFrame) -> float:
        return float(how(_auc("s"), frame) - how(_auc("t"), frame))

    assert check.observed == pytest.approx(change(rows), abs=1e-12)
    assert check.values["champion"] == pytest.approx(how(lambda frame: roc_auc_score(frame.y, frame.t), rows))
    _agrees(check.values["interval"], _bootstrap(rows, change))


def test_auc_to_overall_is_the_row_bootstraps(rows: pd.DataFrame, judge: Judge) -> None:
    bounds = {"roc_auc_difference": {"max": 1}, "roc_auc_ratio": {"min": 0}}
    checks = by_name(judge(rows, bounds, prediction=None, score="s", method="to_overall"))
    check = checks["roc_auc_difference[sex]"]
    assert check.observed == pytest.approx(_to_overall(_auc("s"), rows), abs=1e-12)
    drawn = _bootstrap(rows, lambda frame: _to_overall(_auc("s"), frame))
    _agrees(dict(zip(("low", "high"), check.values["percentiles"], strict=True)), drawn)
    whole = roc_auc_score(rows.y, rows.s)
    ratios = [roc_auc_score(group.y, group.s) / whole for _, group in rows.groupby("sex")]
    assert checks["roc_auc_ratio[sex]"].observed == pytest.approx(min(min(r, 1 / r) for r in ratios), abs=1e-12)


_ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(-3, 3), st.floats(-2, 2).map(lambda x: round(x, 1))),
    min_size=8,
)


@settings(max_examples=60, deadline=None)
@given(rows=_ROWS)
def test_covariances_are_delongs(rows: list[tuple[int, int, int, float]]) -> None:
    """Of each group as if it stood alone, and of all rows as one group; draws exist for whatever is known."""
    group, label, one, other = (np.array(column) for column in zip(*rows, strict=True))
    models = [one.astype(float), other]
    joint = scores._place_in_memory(group, label, models, 3, True)
    assert joint.whole is not None
    parts = [(joint.values[:, at], joint.covariance[at], group == at) for at in range(3)]
    parts.append((joint.whole.values, joint.whole.covariance, np.ones(len(rows), dtype=bool)))
    for values, covariance, mine in parts:
        if 0 < label[mine].sum() < mine.sum():
            areas, expected = delong(label[mine], [model[mine] for model in models])
            assert values == pytest.approx(areas, abs=1e-12)
            if not np.isnan(expected).any():
                assert covariance == pytest.approx(expected, abs=1e-12)
        elif values is not joint.whole.values:
            assert np.isnan(values).all()
    for at, (_, drawn) in enumerate(joint.measured()):
        assert np.isfinite(drawn.groups[:, np.isfinite(joint.covariance[:, at, at])]).all()


def test_one_group_is_its_own_whole() -> None:
    """Then the two are one number in every draw."""
    generator = np.random.default_rng(3)
    label = generator.integers(0, 2, 400)
    models = [generator.normal(label, 1.0), generator.normal(label, 2.0)]
    joint = scores._place_in_memory(np.zeros(400, dtype=int), label, models, 1, True)
    for _, drawn in joint.measured():
        assert drawn.against == pytest.approx(drawn.groups[:, 0], abs=1e-9)


@pytest.mark.parametrize("method", ["between_groups", "to_overall"])
def test_wherever_the_scores_are(
    rows: pd.DataFrame, judge: Judge, tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A column or a baseline; in memory, by window functions in DuckDB, SQLite and PostgreSQL."""
    bounds = {
        "roc_auc_difference_vs_champion": LOOSE,
        "roc_auc_group_min": {"min": 0},
        "expected_calibration_error_difference_vs_champion": LOOSE,
        "calibration_in_the_large_difference_vs_champion": LOOSE,
    }
    options: dict[str, Any] = {"label": "y", "prediction": "p", "sensitive_features": ["sex"], "score": "s"}
    options |= {"method": method}
    champion = rows.assign(s=rows.t).sample(frac=1, random_state=2)
    champion.drop(columns=["t", "sex"]).to_parquet(tmp_path / "champion.parquet")
    apart = {**options, "baseline": str(tmp_path / "champion.parquet"), "row_id": "id"}
    beside = {**options, "champion_score": "t"}
    rows.to_sql("paired", sa.create_engine(f"sqlite:///{tmp_path / 'a.db'}"), index=False)
    server = sa.create_engine(sa.make_url(postgres).set(password=PASSWORD))
    rows.to_sql("paired", server, index=False, if_exists="replace")
    found = [judge(rows, bounds, **apart), judge(rows, bounds, **beside)]
    for source in (
        SqlSource(f"sqlite:///{tmp_path / 'a.db'}", table="paired"),
        SqlSource(postgres, table="paired", password=PASSWORD),
    ):
        found.append(evaluate_fairness(source, subject=MODEL, bounds=bounds, **beside))
    monkeypatch.setattr(scores, "_fits", lambda *_: False)
    found += [judge(rows, bounds, **apart), judge(rows, bounds, **beside)]
    first = by_name(found[0])
    assert first["roc_auc_difference_vs_champion[sex]"].outcome is Outcome.PASS
    for other in map(by_name, found[1:]):
        for name in (f"{metric}[sex]" for metric in bounds):
            assert other[name].observed == pytest.approx(first[name].observed, abs=1e-9)
            assert other[name].values["interval"] == pytest.approx(first[name].values["interval"], abs=1e-9)


# --- calibration


def _in_the_large(column: str) -> Statistic:
    return lambda frame: float(frame[column].mean() - frame.y.mean())


def _expected_error(column: str) -> Statistic:
    def of(frame: pd.DataFrame) -> float:
        gaps = (frame[column] - frame.y).groupby(np.maximum(np.ceil(frame[column] * 10 - 1e-9), 1)).sum()
        return float(gaps.abs().sum() / len(frame))

    return of


@pytest.mark.parametrize(
    ("measure", "of"),
    [("calibration_in_the_large", _in_the_large), ("expected_calibration_error", _expected_error)],
)
def test_change_of_calibration_is_the_row_bootstraps(
    rows: pd.DataFrame, judge: Judge, measure: str, of: Callable[[str], Statistic]
) -> None:
    bounds = {f"{measure}_{how}_vs_champion": LOOSE for how in ("difference", "group_max")}
    checks = by_name(judge(rows, bounds, prediction=None, score="s", champion_score="t"))

    def change(frame: pd.DataFrame) -> float:
        return _spread(of("s"), frame) - _spread(of("t"), frame)

    check = checks[f"{measure}_difference_vs_champion[sex]"]
    assert check.observed == pytest.approx(change(rows), abs=1e-9)
    _agrees(check.values["interval"], _bootstrap(rows, change))
    worst = [max(of(column)(group) for _, group in rows.groupby("sex")) for column in ("s", "t")]
    assert checks[f"{measure}_group_max_vs_champion[sex]"].observed == pytest.approx(worst[0] - worst[1], abs=1e-9)


# --- regressions


def _mean_error(column: str) -> Statistic:
    return lambda frame: float((frame[column] - frame.y).mean())


def _absolute(column: str) -> Statistic:
    return lambda frame: float((frame[column] - frame.y).abs().mean())


def _prediction(column: str) -> Statistic:
    return lambda frame: float(frame[column].mean())


@pytest.mark.parametrize(("method", "how"), [("between_groups", _spread), ("to_overall", _to_overall)])
@pytest.mark.parametrize(
    ("measure", "of"),
    [("mean_error", _mean_error), ("mean_absolute_error", _absolute), ("mean_prediction", _prediction)],
)
def test_change_of_errors_is_the_row_bootstraps(
    errors: pd.DataFrame, judge: Judge, measure: str, of: Callable[[str], Statistic], method: str, how: Any
) -> None:
    bounds = {f"{measure}_difference_vs_champion": LOOSE, f"{measure}_difference": {"max": 99}}
    checks = by_name(judge(errors, bounds, task="regression", champion_prediction="c", method=method))

    def change(frame: pd.DataFrame) -> float:
        return float(how(of("p"), frame) - how(of("c"), frame))

    check = checks[f"{measure}_difference_vs_champion[sex]"]
    assert check.observed == pytest.approx(change(errors), abs=1e-9)
    _agrees(check.values["interval"], _bootstrap(errors, change))
    alone = dict(zip(("low", "high"), checks[f"{measure}_difference[sex]"].values["percentiles"], strict=True))
    _agrees(alone, _bootstrap(errors, lambda frame: how(of("p"), frame)))


def test_a_regressions_baseline(errors: pd.DataFrame, judge: Judge, tmp_path: Path) -> None:
    bounds = {"mean_absolute_error_ratio_vs_champion": LOOSE}
    errors.assign(p=errors.c).sample(frac=1, random_state=3).to_parquet(tmp_path / "champion.parquet")
    options: dict[str, Any] = {"task": "regression", "row_id": "id", "baseline": str(tmp_path / "champion.parquet")}
    beside = by_name(judge(errors, bounds, task="regression", champion_prediction="c"))
    apart = judge(errors, bounds, **options)
    name = "mean_absolute_error_ratio_vs_champion[sex]"
    assert by_name(apart)[name].observed == pytest.approx(beside[name].observed, abs=1e-12)
    assert by_name(apart)[name].values["interval"] == pytest.approx(beside[name].values["interval"], abs=1e-9)
    assert len(apart.inputs) == 2
    itself = by_name(judge(errors, bounds, **{**options, "baseline": str(tmp_path / "test.parquet")}))[name]
    assert (itself.observed, itself.outcome) == (0.0, Outcome.PASS)
    errors.assign(y=errors.y + 1).to_parquet(tmp_path / "champion.parquet")
    with raises_code(
        ConfigurationError, "baseline.other_rows", match="differs from the candidate's in 2000 of 2000 rows"
    ):
        judge(errors, bounds, **options)
    errors.assign(p=errors.c.where(errors.id > 4)).to_parquet(tmp_path / "champion.parquet")
    missing = judge(errors, bounds, **options)
    assert missing.verdict is Outcome.ERROR
    assert 'prediction column "p of the baseline" has 5 missing values in 2000 rows' in missing.checks[0].detail


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.tuples(st.integers(0, 2), st.floats(-9, 9), st.floats(-9, 9)), min_size=6, max_size=40),
)
def test_means_and_their_covariances(values: list[tuple[int, float, float]]) -> None:
    group, *pair = (np.array(column) for column in zip(*values, strict=True))
    here = [group == at for at in range(3)]
    sums = np.array([[model[mine].sum() for mine in here] for model in pair])
    products = np.array([[[(one * other)[mine].sum() for mine in here] for other in pair] for one in pair])
    joint = joint_means(np.array([mine.sum() for mine in here]), sums, products)
    assert joint.whole is not None
    for at, mine in enumerate(here):
        if mine.sum() > 1:
            expected = np.cov([model[mine] for model in pair]) / mine.sum()
            assert joint.covariance[at] == pytest.approx(expected, abs=1e-9)
            assert joint.whole.across[at] == pytest.approx(expected * mine.mean(), abs=1e-9)
    assert joint.whole.covariance == pytest.approx(np.cov(pair) / len(group), abs=1e-9)


def test_draws_have_the_moments_of_the_estimates() -> None:
    generator = np.random.default_rng(4)
    factors = generator.normal(size=(4, 2, 2))
    covariance = factors @ np.swapaxes(factors, 1, 2)
    share = np.array([0.4, 0.3, 0.2, 0.1])
    whole = np.einsum("g,gab->ab", share**2, covariance) + np.eye(2)
    joint = Joint(np.zeros((2, 4)), covariance, Whole(np.zeros(2), whole, covariance * share[:, None, None]))
    draws = [np.column_stack([drawn.groups, np.asarray(drawn.against)]) for _, drawn in joint.measured()]
    found = np.cov(np.column_stack(draws).T)
    for at in range(4):
        assert found[np.ix_([at, at + 5], [at, at + 5])] == pytest.approx(covariance[at], abs=0.25)
        assert found[np.ix_([at, at + 5], [4, 9])] == pytest.approx(covariance[at] * share[at], abs=0.25)
    assert found[np.ix_([4, 9], [4, 9])] == pytest.approx(whole, abs=0.25)
    assert abs(found[0, 1]) < 0.15


# --- what is refused, and what is only noted


def test_a_champion_without_scores(rows: pd.DataFrame, judge: Judge, tmp_path: Path) -> None:
    bounds = {"roc_auc_difference_vs_champion": {"max_change": 0.1}}
    alone = by_name(judge(rows, bounds, score="s"))["roc_auc_difference_vs_champion[sex]"]
    assert (alone.outcome, str(alone.severity)) == (Outcome.INCONCLUSIVE, "info")
    with raises_code(ConfigurationError, "setting.missing", match="needs the champion's scores: name champion_score"):
        judge(rows.assign(c=rows.p), bounds, score="s", champion_prediction="c")
    rows.drop(columns="s").to_parquet(tmp_path / "champion.parquet")
    with raises_code(ConfigurationError, "column.missing", match='no column "s"'):
        judge(rows, bounds, score="s", baseline=str(tmp_path / "champion.parquet"), row_id="id")


@pytest.mark.parametrize("metric", ["roc_auc_group_min_vs_champion", "calibration_in_the_large_group_max_vs_champion"])
@pytest.mark.parametrize("column", ["s", "t"])
@pytest.mark.parametrize("bad", [None, np.inf])
def test_scores_that_are_missing(rows: pd.DataFrame, judge: Judge, metric: str, column: str, bad: Any) -> None:
    rows.loc[[3, 5], column] = bad
    with pytest.raises(ConfigurationError, match=f'"{column}" ') as refused:
        judge(rows, {metric: LOOSE}, score="s", champion_score="t")
    assert refused.value.code in {"score.missing", "score.not_a_probability"}
