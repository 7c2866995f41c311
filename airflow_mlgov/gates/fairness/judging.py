"""Holds the groups of one feature against one bound: what is observed, how sure that is, who was left out and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import MetricBound, settle
from airflow_mlgov.gates.fairness import four_fifths
from airflow_mlgov.gates.fairness.disparity import Method, Values, compare, disparities
from airflow_mlgov.gates.fairness.estimates import MOST_LISTED, Estimates, Measured
from airflow_mlgov.gates.fairness.features import Feature, columns_of, listed
from airflow_mlgov.gates.fairness.metrics import DENOMINATORS, FAIRNESS_METRICS, FairnessMetric, is_binary
from airflow_mlgov.gates.fairness.resampling import chance_allows, closed_form, widened
from airflow_mlgov.gates.statistics.intervals import Decide, Interval, judge, percentile
from airflow_mlgov.results import WORST_FIRST, Bound, Check, Outcome, Severity

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

OnNoChampion = Literal["record", "fail"]


@dataclass(frozen=True)
class Rules:
    """How a comparison is made and judged; see ``evaluate_fairness``."""

    decide: Decide = "interval"
    confidence: float = 0.95
    max_share_left_out: float = 0.0
    method: Method = "between_groups"
    reference: Mapping[str, str] = field(default_factory=dict)
    on_no_champion: OnNoChampion = "record"

    def reference_of(self, feature: Feature) -> int | None:
        """The position of the declared reference in the feature's groups; None if there is no declared one.

        :raises ConfigurationError: the feature has no such group
        """
        name = self.reference.get(feature.name)
        if name is None or name in feature.groups:
            return None if name is None else feature.groups.index(name)
        raise ConfigurationError(
            f"the reference of {feature.name} is {name!r}, which is not among its groups: {', '.join(feature.named)}",
            code="group.unknown",
        )


def judge_bound(item: MetricBound, estimates: Estimates, rules: Rules) -> Check:
    """One bound on one feature."""
    import numpy as np

    metric, feature = FAIRNESS_METRICS[item.base_metric], estimates.feature
    check = Check(f"{item.metric}[{feature.name}]", Outcome.ERROR, None, item.bound, item.severity, feature.problem)
    if feature.problem:
        return check
    measured = [each for measure in metric.measures for each in estimates.measures[measure]]
    values: dict[str, Any] = {"by_group": _by_group(metric, estimates, rules)}
    reason, left_out = _left_out(measured, estimates, rules)
    reason = _only_one(feature) or reason or _nobody_selected(metric, estimates)
    if left_out and not reason:
        values["left_out"] = dict(list(left_out.items())[:MOST_LISTED])
        values |= {"left_out_groups": len(left_out)} if len(left_out) > MOST_LISTED else {}
    check = replace(check, outcome=Outcome.INCONCLUSIVE, detail=reason, values=values)
    if item.relative_to_champion:
        return check if reason else _change(check, item, metric, measured, feature, rules)
    if metric.how == "disparity":
        return check if reason else _disparity(check, item, measured[0], estimates, rules)
    observed = float(compare([_against(each.values, feature, rules) for each in measured], metric.how))
    if reason:
        known = {"over_estimable_groups": settle(observed)} if math.isfinite(observed) else {}
        return replace(check, values={**values, **known})
    if not math.isfinite(observed):
        return replace(check, detail=_undefined(metric))
    samples = compare([_against(each.samples, feature, rules) for each in measured], metric.how)
    plain, bias = percentile(samples, rules.confidence), float(samples[np.isfinite(samples)].mean()) - observed
    interval = widened(plain, bias, metric.how)
    if len(feature.groups) > 2 and metric.how in ("difference", "ratio") and _between_groups(feature, rules):
        interval = _reaching(interval, metric, measured)
    extra = {**_certainty(interval, len(samples)), "percentiles": [plain.low, plain.high], "bias": settle(bias)}
    extra |= _closed_form(metric, estimates, rules)
    detail = _extremes(metric, measured, feature, rules)
    if left_out:
        detail += f"; left out: {listed(list(dict.fromkeys(left_out.values())))}"
    return _judged(replace(check, values={**values, **extra}), item.bound, observed, interval, rules, detail)


def judge_four_fifths(estimates: Estimates, rules: Rules) -> Check:
    """The four-fifths rule on the lowest and the highest selection rate, with its significance test."""
    feature = estimates.feature
    check = Check(
        f"four_fifths[{feature.name}]", Outcome.ERROR, None, four_fifths.BOUND, Severity.INFO, feature.problem
    )
    if feature.problem:
        return check
    metric = FAIRNESS_METRICS["demographic_parity_ratio"]
    (measured,) = estimates.measures["selection_rate"]
    reason, _ = _left_out([measured], estimates, rules)
    reason = _only_one(feature) or reason or _nobody_selected(metric, estimates)
    if reason:
        return replace(check, outcome=Outcome.INCONCLUSIVE, detail=reason)
    ratio = settle(float(compare([Values(measured.values.groups)], "ratio")))
    low, high = _ends(measured.values.groups)
    selected, rows = estimates.counts["selected"], estimates.counts["rows"]
    tested = four_fifths.significance((int(selected[low]), int(selected[high])), (int(rows[low]), int(rows[high])))
    outcome = four_fifths.BOUND.judge(ratio)
    if outcome is Outcome.FAIL and not tested.is_significant:
        outcome = Outcome.INCONCLUSIVE
    word = "significant" if tested.is_significant else "not significant"
    detail = (
        f"{feature.labels[low]} against {feature.labels[high]}: {word} at 5 % "
        f"({tested.test}, p = {tested.p_value:.2g}, {abs(tested.deviations):.2f} standard deviations)"
    )
    values = {"test": tested.test, "p_value": tested.p_value, "standard_deviations": tested.deviations}
    return replace(check, outcome=outcome, observed=ratio, detail=detail, values=values)


def _judged(check: Check, bound: Bound, observed: float, interval: Interval, rules: Rules, detail: str) -> Check:
    observed = settle(observed)
    held = replace(interval, low=settle(interval.low), high=settle(interval.high)) if interval.is_defined else interval
    outcome = judge(bound, observed, held, rules.decide)
    if not interval.is_defined:
        why = "too few resamples have a value, so no interval can be given"
        detail = f"{detail}; {why}" if detail else why
    else:
        straddles = outcome is Outcome.INCONCLUSIVE
        detail = f"{detail}; {interval}" + (" straddles the bound: more rows would tell" if straddles else "")
    return replace(check, outcome=outcome, observed=observed, detail=detail)


def _reaching(interval: Interval, metric: FairnessMetric, measured: Sequence[Measured]) -> Interval:
    """The interval, reaching at least as far as chance allows."""
    ends = [
        chance_allows(each.values.groups, each.samples.groups, metric.how, interval.confidence) for each in measured
    ]
    if metric.how == "difference":
        return replace(interval, low=min(interval.low, max(ends)))
    return replace(interval, high=max(interval.high, min(ends)))


def _between_groups(feature: Feature, rules: Rules) -> bool:
    return rules.method == "between_groups" and rules.reference_of(feature) is None


def _change(
    check: Check,
    item: MetricBound,
    metric: FairnessMetric,
    measured: Sequence[Measured],
    feature: Feature,
    rules: Rules,
) -> Check:
    """Candidate less champion, on the same rows and the same resamples."""
    if any(each.champion is None for each in measured):
        return _no_champion(check, rules)
    candidate = compare([_against(each.values, feature, rules) for each in measured], metric.how)
    theirs = [each.champion for each in measured if each.champion is not None]
    champion = compare([_against(values, feature, rules) for values, _ in theirs], metric.how)
    observed = float(candidate - champion)
    values = {**check.values, "candidate": float(candidate), "champion": float(champion)}
    if not math.isfinite(observed):
        return replace(check, detail=_undefined(metric), values=values)
    samples = compare([_against(each.samples, feature, rules) for each in measured], metric.how)
    samples = samples - compare([_against(drawn, feature, rules) for _, drawn in theirs], metric.how)
    interval = percentile(samples, rules.confidence)
    detail = f"candidate {float(candidate):.4g}, champion {float(champion):.4g} on the same rows"
    values |= _certainty(interval, len(samples))
    return _judged(replace(check, values=values), item.bound, observed, interval, rules, detail)


def _no_champion(check: Check, rules: Rules) -> Check:
    detail = "no champion yet: nothing to compare with"
    if rules.on_no_champion == "fail":
        mend = 'give the champion\'s predictions, or set on_no_champion to "record"'
        return replace(check, outcome=Outcome.FAIL, detail=f"{detail}; {mend}")
    return replace(check, severity=Severity.INFO, detail=detail)


def _disparity(check: Check, item: MetricBound, measured: Measured, estimates: Estimates, rules: Rules) -> Check:
    """Every group's value by the reference's; the group that is furthest from 1 is shown, and the worst counts."""
    feature = estimates.feature
    at = rules.reference_of(feature)
    at = int((estimates.weights or estimates.counts)["rows"].argmax()) if at is None else at
    ratios = disparities(Values(measured.values.groups, measured.values.groups[..., at]))
    samples = disparities(Values(measured.samples.groups, measured.samples.groups[..., at]))
    others = [
        position for position in range(len(feature.groups)) if position != at and position not in measured.too_few
    ]
    values = {**check.values, "reference": feature.labels[at]}
    if not others:
        detail = f"no group but the reference {feature.labels[at]} can be estimated: nothing to compare with it"
        return replace(check, detail=detail, values=values)
    if at in measured.too_few or not all(math.isfinite(ratios[position]) for position in others):
        detail = f"the reference {feature.labels[at]} has no rate to divide by"
        return replace(check, detail=detail, values=values)
    judged = {}
    listed = {at for at, _ in estimates.listed(at)} if len(feature.groups) > MOST_LISTED else None
    for position in others:
        interval = percentile(samples[:, position], rules.confidence)
        judged[position] = _judged(check, item.bound, float(ratios[position]), interval, rules, "")
    values["disparities"] = {
        feature.labels[position]: {"value": each.observed, "outcome": str(each.outcome)}
        for position, each in judged.items()
        if listed is None or position in listed
    }
    outcome = next(worst for worst in WORST_FIRST if worst in {each.outcome for each in judged.values()})
    worst_groups = [position for position in others if judged[position].outcome is outcome]
    shown = max(worst_groups, key=lambda position: abs(math.log(ratios[position])) if ratios[position] else math.inf)
    detail = f"{feature.labels[shown]} against {feature.labels[at]}{judged[shown].detail}"
    return replace(check, outcome=outcome, observed=judged[shown].observed, detail=detail, values=values)


def _against(values: Values, feature: Feature, rules: Rules) -> Values:
    at = rules.reference_of(feature)
    if at is not None:
        return Values(values.groups, values.groups[..., at])
    return values if rules.method == "to_overall" else Values(values.groups)


def _left_out(measured: Sequence[Measured], estimates: Estimates, rules: Rules) -> tuple[str, dict[str, str]]:
    """Why a number would mean nothing (empty where it means something), and the groups that it says nothing of."""
    reasons: dict[int, str] = {}
    for each in measured:
        for at, why in each.too_few.items():
            reasons.setdefault(at, why)
    if not reasons:
        return "", {}
    rows = estimates.counts["rows"]
    share = sum(int(rows[at]) for at in reasons) / int(rows.sum())
    left_out = {estimates.feature.labels[at]: why for at, why in sorted(reasons.items())}
    empty = [at for at in reasons if not rows[at]]
    why = f"cannot be estimated: {listed(list(dict.fromkeys(left_out.values())))}"
    if empty and len(columns_of(estimates.feature.name)) > 1:
        why += (
            f"; if there are no such people, declare the groups of {estimates.feature.name} that there are, under "
            "sensitive_features, without those"
        )
    if not rules.max_share_left_out or any(not rows[at] for at in reasons):
        return why, left_out
    if share > rules.max_share_left_out:
        allowed = f"{100 * share:.3g} % of the rows, {100 * rules.max_share_left_out:.3g} % may be left out"
        return f"{why}; these groups hold {allowed}", left_out
    return "", left_out


def _only_one(feature: Feature) -> str:
    if len(feature.groups) > 1:
        return ""
    return f"only one group in {feature.name} ({feature.labels[0]}): nothing to compare with"


def _nobody_selected(metric: FairnessMetric, estimates: Estimates) -> str:
    selected = estimates.counts.get("selected")
    of_the_others = {"accuracy", *(rate for rate, counted in DENOMINATORS.items() if counted == "unselected")}
    counts = selected is not None and all(
        is_binary(measure) and measure not in of_the_others for measure in metric.measures
    )
    if counts and selected is not None and not selected.any():
        return "nobody is predicted positive in any group, so the groups cannot differ"
    return ""


def _undefined(metric: FairnessMetric) -> str:
    names = " or ".join(metric.measures)
    if metric.how == "ratio":
        return f"{names} is 0 in every group, so the ratio is undefined; bound the difference instead"
    return f"fewer than two groups have {names}, so they cannot be compared"


def _extremes(metric: FairnessMetric, measured: Sequence[Measured], feature: Feature, rules: Rules) -> str:
    texts, at = [], rules.reference_of(feature)
    names = [measure for measure in metric.measures for _ in range(len(measured) // len(metric.measures))]
    for name, each in zip(names, measured, strict=True):
        low, high = _ends(each.values.groups)
        of_class = f" of {each.of_class}" if each.of_class else ""
        values = each.values.groups
        texts.append(
            f"{name}{of_class} from {values[low]:.4g} ({feature.labels[low]}) to {values[high]:.4g} "
            f"({feature.labels[high]})" + ("" if at is None else f", against {values[at]:.4g} ({feature.labels[at]})")
        )
    return ", ".join(texts[:6])


def _ends(values: Array) -> tuple[int, int]:
    import numpy as np

    return int(np.nanargmin(values)), int(np.nanargmax(values))


def _by_group(metric: FairnessMetric, estimates: Estimates, rules: Rules) -> dict[str, dict[str, float | None]]:
    listed = estimates.listed(rules.reference_of(estimates.feature))
    found: dict[str, dict[str, float | None]] = {group: {} for _, group in listed}
    for measure in metric.measures:
        for each in estimates.measures[measure]:
            name = f"{measure} of {each.of_class}" if each.of_class else measure
            for at, group in listed:
                value = float(each.values.groups[at])
                found[group][name] = value if math.isfinite(value) else None
    return found


def _certainty(interval: Interval, resamples: int) -> dict[str, Any]:
    return {"interval": interval.as_dict(), "resamples": resamples}


def _closed_form(metric: FairnessMetric, estimates: Estimates, rules: Rules) -> dict[str, Any]:
    """Of two groups, the delta method's interval beside the bootstrap's."""
    feature, confusion = estimates.feature, estimates.confusion
    if metric.measures != ("selection_rate",) or metric.how not in ("difference", "ratio"):
        return {}
    if (
        confusion is None
        or estimates.weights is not None
        or len(feature.groups) != 2
        or not _between_groups(feature, rules)
    ):
        return {}
    shares = [
        (int(selected), int(rows))
        for selected, rows in zip(estimates.counts["selected"], estimates.counts["rows"], strict=True)
    ]
    low, high = sorted(shares, key=lambda share: share[0] / share[1])
    return {"closed_form": closed_form(low, high, metric.how, rules.confidence).as_dict()}
