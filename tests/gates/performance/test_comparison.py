from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from airflow_mlgov.gates.performance.comparison import churn, compare_all, mcnemar, mcnemar_of, paired_draws
from airflow_mlgov.gates.performance.estimates import estimate_all
from airflow_mlgov.gates.performance.predictions import Sample
from airflow_mlgov.gates.statistics.delong import area_interval, delong, difference_interval, midranks

# DeLong, DeLong & Clarke-Pearson (1988): 43 patients with all three tests, as SAS/STAT's documentation has them
ALBUMIN = [
    3.0, 3.2, 3.9, 2.8, 3.2, 0.9, 2.5, 1.6, 3.8, 3.7, 3.2, 3.8, 4.1, 3.6, 4.3, 3.6, 2.3, 4.2, 4.0, 3.5, 3.8,
    3.0, 4.5, 3.7, 3.1, 4.1, 4.3, 4.3, 3.2, 2.6, 3.3, 1.7, 3.7, 3.3, 4.2, 3.5, 2.9, 2.1, 2.8, 4.0, 3.3, 3.7, 3.6,
]  # fmt: skip
PROTEIN = [
    5.8, 6.3, 6.8, 4.8, 5.8, 4.0, 5.7, 5.6, 5.7, 6.7, 5.4, 6.6, 6.6, 5.7, 7.0, 6.7, 4.4, 7.6, 6.6, 5.8, 6.8,
    4.7, 7.4, 7.4, 6.6, 8.2, 7.0, 6.5, 5.1, 4.7, 6.8, 4.0, 6.1, 6.3, 7.7, 6.2, 5.7, 4.8, 6.2, 7.0, 5.7, 6.9, 6.6,
]  # fmt: skip
KG_SCORE = [10, 5, 3, 6, 3, 5, 8, 5, 5, 6, 4, 6, 5, 5, 4, 4, 6, 4, 6, 6, 7, 8,
            5, 5, 6, 6, 5, 4, 5, 6, 6, 7, 5, 7, 6, 5, 9, 7, 8, 7, 6, 5, 5]  # fmt: skip
SURGERY = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 1, 1, 0,
                    1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1, 1, 1, 1])  # fmt: skip
TESTS = [np.array(ALBUMIN), 10 - np.array(KG_SCORE, dtype=float), np.array(PROTEIN)]


def _sample(skill: float, rows: int = 500, seed: int = 0) -> Sample:
    label = np.random.default_rng(9).integers(0, 2, rows)
    noise = np.random.default_rng(seed).normal(size=rows)
    score = 1 / (1 + np.exp(-(skill * (label - 0.5) + noise)))
    return Sample("binary", label, (score >= 0.5).astype(int), score, ("negative", "positive"))


def test_delongs_own_data() -> None:
    """Areas, standard errors and 95 % limits as SAS prints them for this data, to its four digits."""
    areas, covariance = delong(SURGERY, TESTS)
    assert areas == pytest.approx([0.7366, 0.7258, 0.6478], abs=5e-5)
    assert np.sqrt(np.diag(covariance)) == pytest.approx([0.0927, 0.1028, 0.1000], abs=5e-5)
    limits = [(one.low, one.high) for one in (area_interval(SURGERY, test, 0.95) for test in TESTS)]
    assert np.array(limits) == pytest.approx(np.array([(0.5549, 0.9182), (0.5243, 0.9273), (0.4518, 0.8439)]), abs=5e-5)
    albumin, protein = (difference_interval(SURGERY, TESTS[at], TESTS[1], 0.95) for at in (0, 2))
    assert (albumin.low, albumin.high) == pytest.approx((-0.1761, 0.1976), abs=5e-5)
    assert (protein.low, protein.high) == pytest.approx((-0.2830, 0.1271), abs=5e-5)


def test_delong_is_its_definition() -> None:
    """The structural components of the paper, pair by pair, without midranks."""
    rng = np.random.default_rng(3)
    label = rng.integers(0, 2, 40)
    scores = [np.round(rng.normal(size=40) + skill * label, 1) for skill in (1.0, 0.3)]
    kernel = []
    for score in scores:
        up, down = score[label == 1][:, None], score[label == 0][None, :]
        kernel.append((up > down) + 0.5 * (up == down))
    ten, one = (np.array([k.mean(axis) for k in kernel]) for axis in (1, 0))
    areas, covariance = delong(label, scores)
    assert areas == pytest.approx([metrics.roc_auc_score(label, score) for score in scores])
    assert covariance == pytest.approx(np.cov(ten) / ten.shape[1] + np.cov(one) / one.shape[1])
    assert midranks(scores[0]) == pytest.approx(stats.rankdata(scores[0]))


@pytest.mark.slow
def test_delong_against_a_paired_bootstrap() -> None:
    candidate, champion = _sample(1.0), _sample(1.3, seed=1)
    rng, found = np.random.default_rng(0), []
    for _ in range(600):
        rows = rng.integers(0, 500, 500)
        found.append(
            metrics.roc_auc_score(candidate.label[rows], candidate.score[rows])  # type: ignore[index]
            - metrics.roc_auc_score(champion.label[rows], champion.score[rows])  # type: ignore[index]
        )
    interval = difference_interval(candidate.label, candidate.score, champion.score, 0.95)  # type: ignore[arg-type]
    low, high = np.quantile(found, [0.025, 0.975])
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.15 * (high - low))


def test_delong_claims_nothing_without_spread() -> None:
    label = np.array([0, 0, 1, 1])
    assert not area_interval(label, np.array([1.0, 1, 1, 1]), 0.95).is_defined
    assert not difference_interval(label, np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 4, 5]), 0.95).is_defined
    assert not area_interval(np.array([0, 0, 1]), np.array([1.0, 3, 2]), 0.95).is_defined


def test_classes_wholly_apart_are_as_sure_as_their_disjoint_pairs() -> None:
    label = np.repeat([0, 1], [50, 20])
    interval = area_interval(label, label.astype(float), 0.95)
    assert (interval.low, interval.high) == pytest.approx((1 / (1 + 1.959964**2 / 20), 1))
    assert area_interval(label, -label.astype(float), 0.95).high == pytest.approx(1 - interval.low)


@pytest.mark.parametrize("metric", ["roc_auc", "accuracy", "f1", "log_loss", "average_precision"])
def test_a_change_is_paired(metric: str) -> None:
    """The interval of the change is narrower than two unpaired ones would make it, for the models share their rows; and
    holds what a plain paired bootstrap holds."""
    one = _sample(1.0)
    assert one.score is not None
    score = np.clip(one.score + np.random.default_rng(5).normal(scale=0.05, size=500), 0.001, 0.999)
    two = Sample("binary", one.label, (score >= 0.5).astype(int), score, one.classes)
    mine, theirs = (estimate_all(sample, [metric], 0.95) for sample in (one, two))
    change = compare_all(one, two, mine, theirs, paired_draws(one, two, theirs), 0.95)[metric]
    assert change.value == pytest.approx(mine[metric].value - theirs[metric].value)  # type: ignore[operator]
    assert change.interval is not None
    alone = mine[metric].interval
    assert alone is not None
    assert change.interval.low < change.value < change.interval.high  # type: ignore[operator]
    assert change.interval.high - change.interval.low < 0.6 * (alone.high - alone.low)


def test_the_same_predictions_change_nothing() -> None:
    sample = _sample(1.0)
    mine = estimate_all(sample, ["roc_auc", "f1"], 0.95)
    changes = compare_all(sample, sample, mine, mine, {}, 0.95)
    for change in changes.values():
        assert change.interval is not None
        assert (change.value, change.interval.low, change.interval.high) == (0, 0, 0)


def test_mcnemar_published() -> None:
    """The worked example of mlxtend's documentation: 25 and 15 discordant, chi squared 2.025, p 0.155."""
    test = mcnemar_of(25, 15)
    assert test.p_value == pytest.approx(stats.chi2.sf(2.025, 1)) == pytest.approx(0.155, abs=5e-4)
    assert test.rule == "chi squared with continuity correction"


@pytest.mark.parametrize(("one", "two"), [(0, 0), (1, 0), (11, 1), (12, 12), (3, 21)])
def test_mcnemar_is_exact_where_few_rows_differ(one: int, two: int) -> None:
    expected = stats.binomtest(one, one + two).pvalue if one + two else 1.0
    assert mcnemar_of(one, two).p_value == pytest.approx(expected)
    assert mcnemar_of(one, two).rule == "exact binomial"


def test_mcnemar_and_churn_count_rows() -> None:
    label = np.array([1, 1, 0, 0, 1, 0])
    candidate = Sample("binary", label, np.array([1, 1, 0, 1, 0, 0]), None, ("n", "p"))
    champion = Sample("binary", label, np.array([1, 0, 0, 0, 0, 1]), None, ("n", "p"))
    test = mcnemar(candidate, champion)
    assert (test.candidate_only, test.champion_only) == (2, 1)
    differing = churn(candidate, champion, 0.95)
    assert differing.value == 0.5
    assert differing.interval is not None
    assert differing.interval.method == "wilson"
