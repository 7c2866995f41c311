"""The evaluation gate: scores of examples against bounds, on slices of them, and against the champion on the same
examples. Refuses to take a missing score for a good one, to pair examples by their order, and to put any of their
values into the evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import VS_CHAMPION, WORST_SLICE, MetricBound, settle
from airflow_mlgov.gates.evaluation.changes import Change, Pairs, change, pair
from airflow_mlgov.gates.evaluation.estimates import RESAMPLES, SEED, Estimate, estimate, examples_for, hold
from airflow_mlgov.gates.evaluation.grammar import Statistic, compared_columns, judged_columns, statistic_of
from airflow_mlgov.gates.evaluation.scores import Scores, measured, never_seen, probably_meant, read_scores
from airflow_mlgov.gates.slices import Estimated, SliceRules, cut_by, worst_slice_check
from airflow_mlgov.gates.statistics.weights import SOURCE, effective_size, sound_weights
from airflow_mlgov.results import Bound, Check, Outcome, Severity

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from airflow_mlgov.gates.evaluation.spec import EvaluationSettings

    Array = np.ndarray[Any, Any]


def judge_scores(
    table: pd.DataFrame, champion: pd.DataFrame | None, bounds: Sequence[MetricBound], settings: EvaluationSettings
) -> tuple[tuple[Check, ...], dict[str, Any]]:
    """The gate without its files: scores in, checks and details out.

    :param table: one row for each example
    :param champion: the champion's scores of the same examples, in columns of the same names
    :raises ConfigurationError: a column holds no scores, or the examples have no names to be paired by
    """
    compared, weight = compared_columns(bounds), settings.sample_weight
    judging = Judging(
        table,
        read_scores(table, judged_columns(bounds), settings),
        settings,
        _champion(table, champion, compared, settings) if champion is not None and compared else None,
        None if weight is None else sound_weights(table[weight], weight),
    )
    return tuple(judging.check(item) for item in bounds), judging.details


@dataclass(frozen=True)
class Champion:
    """The champion's scores, and which examples are the candidate's too."""

    scores: Mapping[str, Scores]
    pairs: Pairs


@dataclass(frozen=True)
class Judging:
    """Scores that are held against bounds, one after the other."""

    table: pd.DataFrame
    scores: Mapping[str, Scores]
    settings: EvaluationSettings
    champion: Champion | None = None
    weights: Array | None = None
    """How much each example counts; None: once."""

    def check(self, item: MetricBound) -> Check:
        """How one bound ends."""
        wanted = statistic_of(item.metric)
        check = Check(item.metric, Outcome.ERROR, None, item.bound, item.severity)
        problem = self._problem(self.scores, wanted)
        if problem:
            return replace(check, detail=problem)
        numbers = self._measured(self.scores, wanted)
        how = {VS_CHAMPION: self._relative, WORST_SLICE: self._worst}.get(wanted.ending, self._absolute)
        return self._noticed(how(check, item.bound, wanted, numbers), wanted)

    @property
    def details(self) -> dict[str, Any]:
        """What belongs to no single check."""
        found: dict[str, Any] = {
            "examples": len(self.table),
            "columns": {name: _described(scores) for name, scores in self.scores.items()},
            "intervals": {
                "confidence": self.settings.confidence,
                "decide": self.settings.decide,
                "resamples": RESAMPLES,
                "seed": SEED,
            },
        }
        for name in ("slices", "missing", "categories", "ranges"):
            if declared := getattr(self.settings, name):
                found[name] = _plain(declared)
        if self.weights is not None:
            found["sample_weight"] = {
                "column": self.settings.sample_weight,
                "sum": float(self.weights.sum()),
                "effective_sample_size": effective_size(self.weights),
                "method": SOURCE,
            }
        if self.champion is not None:
            found["comparison"] = self.champion.pairs.as_dict()
        return found

    @cached_property
    def _rules(self) -> SliceRules:
        settings = self.settings
        return SliceRules(
            settings.slices, settings.min_slice_size, settings.max_share_left_out, settings.suppress_below
        )

    def _problem(self, scores: Mapping[str, Scores], wanted: Statistic) -> str:
        """Why nothing is computed; empty if it can be."""
        found = [one.problem for name, one in scores.items() if one.problem and wanted.column in (None, name)]
        return f"{'; '.join(found)}: mend how the examples are scored, or what is declared of it" if found else ""

    def _measured(self, scores: Mapping[str, Scores], wanted: Statistic) -> Array:
        """What a statistic is made of; of all columns together 1 where an example lacks any of its scores."""
        import numpy as np

        if wanted.column is not None:
            return measured(scores[wanted.column], wanted)
        return np.asarray(np.any([one.missing for one in scores.values()], axis=0), dtype=float)

    def _range(self, wanted: Statistic) -> tuple[float, float] | None:
        return self.settings.ranges.get(wanted.column) if wanted.column is not None else None

    def _estimate(self, numbers: Array, wanted: Statistic, at_least: int, weights: Array | None = None) -> Estimate:
        return estimate(numbers, wanted, self.settings.confidence, at_least, self._range(wanted), weights)

    def _hold(self, wanted: Statistic) -> Callable[[Bound, Estimated], Outcome]:
        """How bounds are held. Abstentions are counted, not estimated: they say how much of these very examples the
        other numbers leave out."""
        counted = wanted.how == "abstention" and wanted.ending != VS_CHAMPION
        return lambda bound, found: hold(bound, found, "point" if counted else self.settings.decide)

    def _absolute(self, check: Check, bound: Bound, wanted: Statistic, numbers: Array) -> Check:
        found = self._estimate(numbers, wanted, self.settings.min_examples, self.weights)
        values = {**_values(found), "missing": len(numbers) - found.rows}
        if found.value is None:
            return replace(check, outcome=found.outcome, detail=found.reason, values=values)
        outcome = self._hold(wanted)(bound, found)
        detail = self._straddling(outcome, bound, found, wanted)
        return replace(check, outcome=outcome, observed=settle(found.value), detail=detail, values=values)

    def _noticed(self, check: Check, wanted: Statistic) -> Check:
        """Say so if no example has the bounded category; a slip of its name is no evidence of its absence."""
        scores = self.scores.get(wanted.column or "")
        said = never_seen(scores, wanted) if scores is not None else ""
        if scores is None or not said:
            return check
        meant = None
        if wanted.column not in self.settings.categories:
            meant = probably_meant(scores, wanted, self.settings.suppress_below)
        if meant is None:
            return replace(check, detail="; ".join(filter(None, [said, check.detail])))
        said += f'; did you mean "{meant}"? declare the categories of {wanted.column} if the name is right'
        outcome = Outcome.INCONCLUSIVE if check.outcome is Outcome.PASS else check.outcome
        return replace(check, outcome=outcome, detail="; ".join(filter(None, [said, check.detail])))

    def _worst(self, check: Check, bound: Bound, wanted: Statistic, numbers: Array) -> Check:
        """Every slice against the bound."""

        def estimates(rows: Array) -> dict[str, Estimate]:
            weights = None if self.weights is None else self.weights[rows]
            return {wanted.name: self._estimate(numbers[rows], wanted, self.settings.min_slice_size, weights)}

        cuts = [cut_by(self.table, by, self._rules, estimates) for by in self.settings.slices]
        return worst_slice_check(check.name, wanted.name, bound, check.severity, cuts, self._rules, self._hold(wanted))

    def _relative(self, check: Check, bound: Bound, wanted: Statistic, numbers: Array) -> Check:
        if self.champion is None:
            return self._no_champion(check, self._estimate(numbers, wanted, self.settings.min_examples))
        pairs = self.champion.pairs
        problem = self._problem(self.champion.scores, wanted)
        if problem:
            return replace(check, detail=problem)
        theirs = self._measured(self.champion.scores, wanted)
        found = change(
            numbers[pairs.candidate],
            theirs[pairs.champion],
            wanted,
            self.settings.confidence,
            self.settings.min_examples,
            self._range(wanted),
        )
        return self._changed(check, bound, wanted, found, pairs)

    def _changed(self, check: Check, bound: Bound, wanted: Statistic, found: Change, pairs: Pairs) -> Check:
        ends = {"candidate": found.candidate, "champion": found.champion}
        values = {**_values(found.estimate), **ends, **pairs.as_dict(), "without_a_score": found.left_out}
        problem = self._too_unlike(found, pairs)
        if found.estimate.value is None:
            detail = "; ".join(filter(None, [found.estimate.reason, problem]))
            return replace(check, outcome=found.estimate.outcome, detail=detail, values=values)
        outcome = self._hold(wanted)(bound, found.estimate)
        if outcome is Outcome.PASS and problem:
            outcome = Outcome.INCONCLUSIVE
        said = f"candidate {found.candidate:.4g}, champion {found.champion:.4g} on {found.estimate.rows} same examples"
        straddling = "" if problem else self._straddling(outcome, bound, found.estimate, wanted)
        detail = "; ".join(filter(None, [said, problem, straddling]))
        return replace(check, outcome=outcome, observed=settle(found.estimate.value), detail=detail, values=values)

    def _too_unlike(self, found: Change, pairs: Pairs) -> str:
        """Why the pairs say too little about the examples."""
        matched = len(pairs.candidate)
        if pairs.unmatched > self.settings.max_share_unmatched:
            return (
                f"{pairs.candidate_only} examples are the candidate's alone and {pairs.champion_only} the champion's, "
                f"{matched} are both's: more than the share of {self.settings.max_share_unmatched:g} that may be "
                "unmatched"
            )
        if found.left_out > self.settings.max_share_left_out * matched:
            return (
                f"{found.left_out} of {matched} pairs lack a score, more than the share of "
                f"{self.settings.max_share_left_out:g} that may be left out"
            )
        return ""

    def _no_champion(self, check: Check, candidate: Estimate) -> Check:
        values = {"candidate": candidate.value, "champion": None}
        detail = "no champion yet: nothing to compare with"
        if self.settings.on_no_champion == "fail":
            detail += '; give the champion\'s scores as baseline, or set on_no_champion to "record"'
            return replace(check, outcome=Outcome.FAIL, detail=detail, values=values)
        return replace(check, outcome=Outcome.INCONCLUSIVE, severity=Severity.INFO, detail=detail, values=values)

    def _straddling(self, outcome: Outcome, bound: Bound, found: Estimate, wanted: Statistic) -> str:
        """Why an estimate decides nothing; empty if it does."""
        interval = found.interval
        if outcome is not Outcome.INCONCLUSIVE or interval is None:
            return ""
        if math.isnan(interval.low):
            mend = f"declare ranges of {wanted.column}" if wanted.how == "mean" else 'set decide to "point"'
            return f"all {found.rows} scores are the same, so nothing is known of their spread: {mend}"
        open_low = bound.min is not None and math.isinf(interval.low)
        open_high = bound.max is not None and math.isinf(interval.high)
        if wanted.quantile is not None and (open_low or open_high):
            least = examples_for(wanted.quantile, self.settings.confidence)
            return f"{found.rows} scores are too few for an interval of it that has both ends: {least} are not"
        return f"the {interval} straddles the bound: judge it on more examples"


def _champion(
    table: pd.DataFrame, champion: pd.DataFrame, compared: Sequence[str], settings: EvaluationSettings
) -> Champion:
    if settings.row_id is None:
        raise ConfigurationError(
            "a comparison with the champion pairs examples by their names: name the column as row_id",
            code="setting.missing",
        )
    return Champion(
        read_scores(champion, compared, settings, "the champion's"),
        pair(table[settings.row_id], champion[settings.row_id]),
    )


def _values(found: Estimate) -> dict[str, Any]:
    interval = None if found.interval is None else found.interval.as_dict()
    return {"interval": interval, "n": found.rows}


def _plain(declared: Any) -> Any:
    if isinstance(declared, Mapping):
        return {name: _plain(value) for name, value in declared.items()}
    return list(declared) if isinstance(declared, tuple) else declared


def _described(scores: Scores) -> dict[str, Any]:
    missing = int(scores.missing.sum())
    found: dict[str, Any] = {"holds": scores.kind, "scored": len(scores.values) - missing, "missing": missing}
    if scores.kind == "categories":
        found["categories"] = len(scores.categories)
    return found
