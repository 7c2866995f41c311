"""Intervals, significance, groups left out: how sure the gate is, and what it does where it is not."""

from __future__ import annotations

import math
from typing import Any

import fairlearn.metrics as fm
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness.four_fifths import fisher, significance
from airflow_mlgov.gates.fairness.resampling import closed_form, resample
from airflow_mlgov.results import Outcome
from tests.codes import raises_code
from tests.worlds.counted import Judge, by_name, rows_of


def _sexes(female: tuple[int, int, int, int], male: tuple[int, int, int, int]) -> pd.DataFrame:
    return rows_of({("female",): female, ("male",): male}, "sex")


# --- intervals


@pytest.mark.slow
def test_the_interval_is_fairlearns_row_bootstrap(judge: Judge) -> None:
    """The same distribution: Fairlearn's quantiles of 300 resamples of the rows, within their Monte Carlo error."""
    frame = rows_of({("a",): (60, 40, 30, 70), ("b",): (80, 30, 40, 50), ("c",): (50, 20, 30, 40)}, "sex")
    frames = fm.MetricFrame(
        metrics=fm.selection_rate,
        y_true=frame.y,
        y_pred=frame.p,
        sensitive_features=frame.sex,
        n_boot=300,
        ci_quantiles=[0.025, 0.975],
        random_state=7,
    )
    check = by_name(judge(frame, ["demographic_parity_difference<=0.5"]))["demographic_parity_difference[sex]"]
    low, high = frames.difference_ci(method="between_groups")
    assert check.values["percentiles"] == pytest.approx([float(low), float(high)], abs=0.03)
    assert check.values["bias"] > 0
    assert check.values["interval"]["low"] < check.values["percentiles"][0]


def test_resamples_have_the_moments_of_the_multinomial() -> None:
    counts = np.array([[[30, 20], [10, 40]], [[100, 50], [25, 25]]])
    drawn = resample(counts)
    share = counts / counts.sum()
    assert drawn.shape == (2000, 2, 2, 2)
    assert set(drawn.sum((1, 2, 3))) == {300}
    spread = np.sqrt(300 * share * (1 - share))
    assert np.abs(drawn.mean(0) - counts).max() < (5 * spread / math.sqrt(2000)).max()
    assert drawn.std(0) == pytest.approx(spread, rel=0.08)
    assert (resample(counts) == drawn).all()


@pytest.mark.parametrize("how", ["difference", "ratio"])
def test_the_bootstrap_agrees_with_the_closed_form(judge: Judge, how: str) -> None:
    frame = _sexes((900, 300, 300, 900), (600, 700, 300, 1100))
    check = by_name(judge(frame, {f"demographic_parity_{how}": {"min": 0.01}}))[f"demographic_parity_{how}[sex]"]
    exact = check.values["closed_form"]
    assert check.values["interval"]["low"] == pytest.approx(exact["low"], abs=0.006)
    assert check.values["interval"]["high"] == pytest.approx(exact["high"], abs=0.006)


def test_closed_forms_are_the_textbooks() -> None:
    """Difference: Wald. Ratio: Katz."""
    difference = closed_form((50, 200), (90, 200), "difference")
    half = 1.959964 * math.sqrt(0.25 * 0.75 / 200 + 0.45 * 0.55 / 200)
    assert (difference.low, difference.high) == pytest.approx((0.2 - half, 0.2 + half), abs=1e-6)
    ratio = closed_form((50, 200), (90, 200), "ratio")
    spread = 1.959964 * math.sqrt(0.75 / 50 + 0.55 / 90)
    expected = (50 / 90 * math.exp(-spread), 50 / 90 * math.exp(spread))
    assert (ratio.low, ratio.high) == pytest.approx(expected, abs=1e-6)
    assert not closed_form((0, 200), (90, 200), "ratio").is_defined


@pytest.mark.parametrize(
    ("rows", "interval", "point"),
    [
        (1, Outcome.INCONCLUSIVE, Outcome.PASS),
        (100, Outcome.PASS, Outcome.PASS),
    ],
)
def test_more_rows_decide(judge: Judge, rows: int, interval: Outcome, point: Outcome) -> None:
    """The same rates, 0.5 and 0.44, of 200 and of 20,000 rows."""
    frame = _sexes((40 * rows, 10 * rows, 10 * rows, 40 * rows), (46 * rows, 10 * rows, 10 * rows, 34 * rows))
    for decide, outcome in (("interval", interval), ("point", point)):
        check = by_name(judge(frame, ["demographic_parity_ratio>=0.8"], decide=decide))["demographic_parity_ratio[sex]"]
        assert check.observed == pytest.approx(0.88)
        assert check.outcome is outcome
    straddling = by_name(judge(frame, ["demographic_parity_ratio>=0.8"]))["demographic_parity_ratio[sex]"]
    assert ("straddles the bound" in straddling.detail) is (interval is Outcome.INCONCLUSIVE)
    assert straddling.values["resamples"] == 2000


def test_clearly_unfair_fails(judge: Judge) -> None:
    result = judge(_sexes((900, 20, 60, 20), (100, 400, 100, 400)), ["demographic_parity_ratio>=0.8"])
    assert result.verdict is Outcome.FAIL


def test_a_perfect_model_on_many_small_groups_does_not_fail(judge: Judge) -> None:
    """The spread between 60 groups of 60 is 0.3 by chance alone: it says nothing."""
    generator = np.random.default_rng(5)
    frame = pd.DataFrame({"sex": np.repeat([f"g{at:02}" for at in range(60)], 60)})
    frame["y"] = generator.integers(0, 2, len(frame))
    frame["p"] = frame.y
    result = judge(frame, ["demographic_parity_difference<=0.15", "accuracy_difference<=0.05"])
    check = by_name(result)["demographic_parity_difference[sex]"]
    assert check.observed > 0.2
    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.values["bias"] > 0.05
    assert by_name(result)["accuracy_difference[sex]"].outcome is Outcome.PASS


def test_the_same_counts_give_the_same_interval(judge: Judge) -> None:
    frame = _sexes((50, 12, 9, 33), (41, 30, 15, 60))
    first, second = (judge(order, ["equalized_odds_difference<=0.1"]) for order in (frame, frame[::-1]))
    assert [check.as_dict() for check in first.checks] == [check.as_dict() for check in second.checks]


@pytest.mark.parametrize("settings", [{"decide": "maybe"}, {"confidence": 1}, {"confidence": True}, {"confidence": 95}])
def test_bad_settings(judge: Judge, settings: dict[str, Any]) -> None:
    with raises_code(ConfigurationError, "setting.wrong"):
        judge(_sexes((40, 10, 10, 40), (40, 10, 10, 40)), ["demographic_parity_ratio>=0.8"], **settings)


# --- the four-fifths rule


def test_a_ratio_that_chance_explains_is_not_adverse_impact(judge: Judge) -> None:
    for times, outcome, word in ((1, Outcome.INCONCLUSIVE, "not significant"), (50, Outcome.FAIL, "significant")):
        frame = _sexes((14 * times, 6 * times, 6 * times, 10 * times), (10 * times, 8 * times, 6 * times, 16 * times))
        screened = by_name(judge(frame, ["accuracy_difference<=0.9"]))["four_fifths[sex]"]
        assert screened.observed == pytest.approx((16 / 36) / (24 / 40))
        assert screened.outcome is outcome
        assert f": {word} at 5 %" in screened.detail


@pytest.mark.parametrize(("a", "n", "b", "m"), [(1, 12, 9, 14), (0, 5, 5, 5), (3, 9, 4, 8), (2, 40, 11, 52)])
def test_fishers_exact_test_is_scipys(a: int, n: int, b: int, m: int) -> None:
    expected = stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue
    assert fisher(a, n, b, m) == pytest.approx(expected, rel=1e-9)


def test_the_z_test_is_the_pooled_one() -> None:
    tested = significance((218, 1527), (308, 1681))
    chi_square = stats.chi2_contingency([[218, 90], [1527, 154]], correction=False)
    assert tested.test == "two-proportion z-test"
    assert tested.deviations**2 == pytest.approx(chi_square.statistic)
    assert tested.p_value == pytest.approx(chi_square.pvalue, rel=1e-6)
    assert significance((1, 9), (12, 14)).test == "Fisher's exact test"
    assert significance((100, 900), (1000, 1000)).p_value == pytest.approx(
        stats.chi2_contingency([[100, 900], [900, 100]], correction=False).pvalue, rel=1e-6
    )


# --- groups left out


def test_small_groups_may_be_left_out_up_to_a_share(judge: Judge) -> None:
    frame = rows_of({("a",): (400, 100, 100, 400), ("b",): (400, 100, 100, 400), ("c",): (12, 2, 1, 6)}, "sex")
    bounds = ["demographic_parity_ratio>=0.8"]
    none = by_name(judge(frame, bounds))["demographic_parity_ratio[sex]"]
    assert none.outcome is Outcome.INCONCLUSIVE
    some = by_name(judge(frame, bounds, max_share_left_out=0.02))["demographic_parity_ratio[sex]"]
    assert some.outcome is Outcome.PASS
    assert some.observed == 1.0
    assert some.values["left_out"] == {"c": "c has 21 rows, 30 needed"}
    assert some.values["by_group"]["c"] == {"selection_rate": None}
    assert "left out: c has 21 rows, 30 needed" in some.detail
    fewer = by_name(judge(frame, bounds, max_share_left_out=0.01))["demographic_parity_ratio[sex]"]
    assert fewer.outcome is Outcome.INCONCLUSIVE
    assert "these groups hold 1.04 % of the rows, 1 % may be left out" in fewer.detail


def test_a_declared_group_without_rows_is_never_left_out(judge: Judge) -> None:
    frame = _sexes((400, 100, 100, 400), (400, 100, 100, 400))
    result = judge(
        frame,
        ["demographic_parity_ratio>=0.8"],
        sensitive_features={"sex": ["female", "male", "diverse"]},
        max_share_left_out=0.5,
    )
    assert result.verdict is Outcome.INCONCLUSIVE
    assert "diverse has no rows" in result.checks[0].detail


def test_leaving_out_all_but_one_group_decides_nothing(judge: Judge) -> None:
    frame = _sexes((400, 100, 100, 400), (8, 2, 2, 8))
    for bound in ("demographic_parity_ratio>=0.8", "pprev_disparity>=0.8"):
        result = judge(frame, [bound], max_share_left_out=0.3)
        assert result.verdict is Outcome.INCONCLUSIVE


# --- what groups are compared with


def test_a_declared_reference(judge: Judge) -> None:
    frame = rows_of({("a",): (500, 100, 200, 200), ("b",): (400, 100, 100, 400), ("c",): (300, 200, 100, 400)}, "sex")
    rates = {"a": 0.3, "b": 0.5, "c": 0.6}
    bounds = ["demographic_parity_ratio>=0.1", "demographic_parity_difference<=0.9"]
    checks = by_name(judge(frame, bounds, reference={"sex": "b"}))
    assert checks["demographic_parity_ratio[sex]"].observed == pytest.approx(min(0.3 / 0.5, 0.5 / 0.6))
    assert "from 0.3 (a) to 0.6 (c), against 0.5 (b)" in checks["demographic_parity_ratio[sex]"].detail
    assert checks["demographic_parity_difference[sex]"].observed == pytest.approx(
        max(rates["b"] - 0.3, 0.6 - rates["b"])
    )
    with raises_code(
        ConfigurationError, "group.unknown", match="reference of sex is 'z', which is not among its groups: a, b, c"
    ):
        judge(frame, bounds, reference={"sex": "z"})
    with raises_code(ConfigurationError, "group.unknown", match="reference names 'age'"):
        judge(frame, bounds, reference={"age": "z"})


COMPAS = {
    "African-American": (990, 805, 532, 1369),
    "Asian": (21, 2, 3, 6),
    "Caucasian": (1139, 349, 461, 505),
    "Hispanic": (318, 87, 129, 103),
    "Native American": (5, 3, 1, 9),
    "Other": (208, 36, 90, 43),
}
"""TN, FP, FN, TP by race: the table of Aequitas' COMPAS example."""


def test_aequitas_compas_table(judge: Judge) -> None:
    """Aequitas' published disparities, reference Hispanic, to six digits."""
    frame = rows_of({(race,): cells for race, cells in COMPAS.items()}, "sex")
    bounds = {f"{short}_disparity": {"min": 0.8, "max": 1.25} for short in ("fpr", "fnr", "pprev")}
    settings = {"reference": {"sex": "Hispanic"}, "min_group_size": 1, "min_positives": 1, "min_negatives": 1}
    checks = by_name(judge(frame, bounds, decide="point", **settings))
    shown = {
        name: {group: round(of["value"], 6) for group, of in check.values["disparities"].items()}
        for name, check in checks.items()
        if "disparities" in check.values
    }
    assert shown["fpr_disparity[sex]"] == {
        "African-American": 2.087696,
        "Asian": 0.404798,
        "Caucasian": 1.091838,
        "Native American": 1.745690,
        "Other": 0.686829,
    }
    assert shown["fnr_disparity[sex]"] == {
        "African-American": 0.503301,
        "Asian": 0.599483,
        "Caucasian": 0.858266,
        "Native American": 0.179845,
        "Other": 1.216996,
    }
    assert shown["pprev_disparity[sex]"]["African-American"] == 1.972030
    fpr = checks["fpr_disparity[sex]"]
    assert fpr.outcome is Outcome.FAIL
    assert fpr.values["disparities"]["Caucasian"]["outcome"] == "PASS"
    assert fpr.values["disparities"]["African-American"]["outcome"] == "FAIL"
    assert fpr.values["reference"] == "Hispanic"
    small = by_name(judge(frame, bounds, reference={"sex": "Hispanic"}, decide="point"))["fpr_disparity[sex]"]
    assert small.outcome is Outcome.INCONCLUSIVE  # nine Asian positives, eight Native American negatives


def test_the_largest_group_is_aequitas_reference_where_none_is_declared(judge: Judge) -> None:
    frame = rows_of({(race,): COMPAS[race] for race in ("Caucasian", "African-American")}, "sex")
    check = by_name(judge(frame, {"fpr_disparity": {"min": 0.8, "max": 1.25}}))["fpr_disparity[sex]"]
    assert check.values["reference"] == "African-American"
    assert check.observed == pytest.approx((349 / 1488) / (805 / 1795))
    assert check.outcome is Outcome.FAIL


# --- missing sensitive values


def test_missing_values_as_a_group_of_their_own(judge: Judge) -> None:
    frame = _sexes((400, 100, 100, 400), (400, 100, 100, 400)).astype({"sex": object})
    frame.loc[frame.index[::4], "sex"] = None
    result = judge(frame, ["demographic_parity_ratio>=0.8"], missing_sensitive="group")
    check = by_name(result)["demographic_parity_ratio[sex]"]
    assert set(check.values["by_group"]) == {"(missing)", "female", "male"}
    declared = judge(
        frame,
        ["demographic_parity_ratio>=0.8"],
        missing_sensitive="group",
        sensitive_features={"sex": ["female", "male"]},
    )
    assert declared.verdict is Outcome.PASS
    assert judge(frame, ["demographic_parity_ratio>=0.8"]).verdict is Outcome.ERROR


@pytest.mark.parametrize(
    ("bounds", "options"),
    [
        (["demographic_parity_difference<=1"], {"sample_weight": "w"}),
        (["expected_calibration_error_difference<=1", "calibration_in_the_large_difference<=1"], {"score": "s"}),
        (["mean_error_difference<=9"], {"task": "regression", "label": "w", "prediction": "s"}),
    ],
)
def test_the_same_rows_in_another_order_are_the_same_evidence(
    judge: Judge, bounds: list[str], options: dict[str, Any]
) -> None:
    generator, size = np.random.default_rng(11), 5_000
    frame = pd.DataFrame(
        {
            "sex": generator.choice(["f", "m"], size),
            "race": generator.choice(["a", "b", "c"], size),
            "y": generator.integers(0, 2, size),
            "p": generator.integers(0, 2, size),
            "s": generator.random(size),
            "w": generator.lognormal(size=size),
        }
    )
    said = set()
    for seed in range(3):
        result = judge(frame.sample(frac=1, random_state=seed), bounds, sensitive_features=["sex", "race"], **options)
        said.add(repr((result.checks, result.details)))
    assert len(said) == 1
