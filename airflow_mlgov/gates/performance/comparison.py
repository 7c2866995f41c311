"""The candidate against the champion on the same rows: the change of a metric with a paired interval, McNemar's test,
and the churn of decisions. Refuses to compare where either side has no number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_mlgov.gates.performance.estimates import (
    Estimate,
    agrees,
    bootstrap_interval,
    by_formulas,
    draw,
    point,
)
from airflow_mlgov.gates.performance.predictions import Sample
from airflow_mlgov.gates.performance.resampling import Draws, resample_rows
from airflow_mlgov.gates.statistics.delong import difference_interval
from airflow_mlgov.gates.statistics.intervals import Interval, wilson
from airflow_mlgov.results import Outcome

FEW_DISCORDANT = 25
"""Below this many rows that one model alone has right, McNemar's test is exact."""


@dataclass(frozen=True)
class Change:
    """The candidate's value less the champion's."""

    candidate: float | None
    champion: float | None
    value: float | None
    reason: str = ""
    outcome: Outcome = Outcome.INCONCLUSIVE
    """How a check on it ends when there is no number."""
    interval: Interval | None = None
    rows: int = 0
    weighted: bool = False
    """Of a churn: whether it is a share of the rows' weight."""

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        interval = None if self.interval is None else self.interval.as_dict()
        return {"candidate": self.candidate, "champion": self.champion, "change": self.value, "interval": interval}


@dataclass(frozen=True)
class McNemar:
    """Whether one of two models is right more often than the other, on the same rows."""

    candidate_only: int
    """Rows that the candidate alone has right."""
    champion_only: int
    p_value: float
    """1 where they are right on the same rows."""
    rule: str

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "candidate_alone_right": self.candidate_only,
            "champion_alone_right": self.champion_only,
            "p_value": self.p_value,
            "rule": self.rule,
        }


def compare_all(
    candidate: Sample,
    champion: Sample,
    of_candidate: Mapping[str, Estimate],
    of_champion: Mapping[str, Estimate],
    draws: Mapping[str, Draws],
    confidence: float,
) -> dict[str, Change]:
    """The change of every metric.

    :param candidate: its rows are in the champion's order
    :param draws: of both, as :func:`paired_draws` gives them
    """
    found = {}
    for metric, mine in of_candidate.items():
        theirs = of_champion[metric]
        if mine.value is None or theirs.value is None:
            blame = mine if mine.value is None else theirs
            found[metric] = Change(mine.value, theirs.value, None, blame.reason, blame.outcome, rows=len(candidate))
            continue
        interval: Interval | None = None
        if _identical(candidate, champion):
            interval = Interval(0.0, 0.0, confidence, "identical predictions")
        elif (
            metric == "roc_auc"
            and candidate.weight is None
            and candidate.score is not None
            and champion.score is not None
        ):
            interval = difference_interval(candidate.label, candidate.score, champion.score, confidence)
        elif metric in draws and _are_of(draws[metric], mine.value, theirs.value):
            interval = bootstrap_interval(draws[metric].values[0] - draws[metric].values[1], confidence)
        change = mine.value - theirs.value
        found[metric] = Change(mine.value, theirs.value, change, interval=interval, rows=len(candidate))
    return found


def paired_draws(candidate: Sample, champion: Sample, of_champion: Mapping[str, Estimate]) -> dict[str, Draws]:
    """Resampled values of both on the same resampled rows.

    :param of_champion: without a number, a metric is not drawn
    """
    if candidate.problems or champion.problems:
        return {}
    mine = {metric: point(metric, candidate) for metric, found in of_champion.items() if found.value is not None}
    known = [metric for metric, found in mine.items() if found.value is not None]
    return draw([candidate, champion], known, by_formulas([mine, of_champion]))


def churn(candidate: Sample, champion: Sample, confidence: float) -> Estimate:
    """The share of rows (or of their weight) whose decision differs, with Wilson's interval; resampled if weighted."""
    if candidate.weight is not None:  # the accuracy of who takes the champion's decisions for the truth
        agreeing = replace(candidate, label=champion.prediction)
        same = resample_rows([agreeing], ["accuracy"])["accuracy"]
        return Estimate(
            float(1 - same.whole[0]), interval=bootstrap_interval(1 - same.values[0], confidence), rows=len(candidate)
        )
    differing = int((candidate.prediction != champion.prediction).sum())
    rows = len(candidate)
    return Estimate(differing / rows, interval=wilson(differing, rows, confidence), rows=rows)


def mcnemar(candidate: Sample, champion: Sample) -> McNemar:
    """McNemar's test that both are right equally often: the exact binomial one where one model alone is right on fewer
    than 25 rows, else chi squared with the continuity correction.

    Source: McNemar, Psychometrika 12 (1947) 153-157; Edwards, Psychometrika 13 (1948) 185-187 for the correction.
    """
    mine, theirs = candidate.label == candidate.prediction, champion.label == champion.prediction
    return mcnemar_of(int((mine & ~theirs).sum()), int((~mine & theirs).sum()))


def mcnemar_of(candidate_only: int, champion_only: int) -> McNemar:
    """The test on its two counts, see :func:`mcnemar`."""
    differing = candidate_only + champion_only
    if differing < FEW_DISCORDANT:
        tail = sum(math.comb(differing, k) for k in range(min(candidate_only, champion_only) + 1))
        p_value = min(1.0, 2 * tail / 2**differing)
        return McNemar(candidate_only, champion_only, p_value, "exact binomial")
    statistic = max(0, abs(candidate_only - champion_only) - 1) ** 2 / differing
    # the upper tail of chi squared with one degree of freedom
    p_value = math.erfc(math.sqrt(statistic / 2))
    return McNemar(candidate_only, champion_only, p_value, "chi squared with continuity correction")


def _are_of(draws: Draws, mine: float, theirs: float) -> bool:
    return agrees(float(draws.whole[0]), mine) and agrees(float(draws.whole[1]), theirs)


def _identical(candidate: Sample, champion: Sample) -> bool:
    import numpy as np

    one, two = candidate.score, champion.score
    same_scores = (one is None and two is None) or (one is not None and two is not None and np.array_equal(one, two))
    return same_scores and np.array_equal(candidate.prediction, champion.prediction)
