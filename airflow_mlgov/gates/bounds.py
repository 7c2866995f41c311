"""Reads the bounds that people write (policy YAML, operator arguments, command line) and merges a DAG's into the
policy's. Refuses unknown metrics, bounds that are not numbers, and a DAG that loosens what the policy says."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.results import Bound, Severity, is_finite

VS_CHAMPION = "_vs_champion"
"""A metric with this ending is bounded by its change against the champion: ``{"min_change": -0.01}``."""
WORST_SLICE = "_worst_slice"
"""A metric with this ending is bounded on every slice of the rows, so on the worst."""

_EXPRESSION = re.compile(r"\s*(\S.*?)\s*(>=|<=|==|>|<|=)\s*([^<>=]*?)\s*")
"""A metric may be named after a column and a value, so it may hold spaces and signs; a number holds none."""
_ABSOLUTE = {"min": "min", "max": "max"}
_CHANGE = {"min_change": "min", "max_change": "max"}
_ENDINGS = (VS_CHAMPION, WORST_SLICE)
_LOOSENESS = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)


@dataclass(frozen=True)
class MetricBound:
    """One metric, the interval it must lie in, and how much that weighs."""

    metric: str
    """As written, so with ``_vs_champion`` where the change is bounded."""
    bound: Bound
    """On the metric itself, or on (candidate - champion) where ``relative_to_champion``."""
    relative_to_champion: bool = False
    severity: Severity = Severity.CRITICAL

    @property
    def base_metric(self) -> str:
        """The metric without ``_vs_champion``."""
        return self.metric.removesuffix(VS_CHAMPION)

    def __str__(self) -> str:
        what = "change of " + self.base_metric if self.relative_to_champion else self.metric
        return f"{what} {self.bound} [{self.severity}] ({self.bound.source})"


BoundsLike = Mapping[str, Any] | Iterable["MetricBound | str"]
"""``{"roc_auc": {"min": 0.75}}``, ``{"roc_auc": Bound(min=0.75)}``, ``["roc_auc>=0.75"]`` or parsed bounds."""


def parse_bounds(bounds: BoundsLike, known: Collection[str], *, source: str = "operator") -> tuple[MetricBound, ...]:
    """Every bound of ``bounds``, with two one-sided expressions on one metric joined into an interval.

    :param known: the names of the gate's metrics; one that ends in ``_vs_champion`` allows that change to be bounded
    :param source: where the bounds were written, for messages
    :raises ConfigurationError: nothing is bounded, a metric is unknown or bounded twice, or a bound is not a number
    """
    if isinstance(bounds, str):
        bounds = [bounds]
    if isinstance(bounds, Mapping):
        parsed = [parse_bound(metric, settings, known, source=source) for metric, settings in bounds.items()]
    elif isinstance(bounds, Iterable):
        parsed = [_parse_item(item, known, source) for item in bounds]
    else:
        raise ConfigurationError(f"bounds must map metrics to bounds, not {bounds!r} ({source})", code="bound.form")
    if not parsed:
        raise ConfigurationError(
            f"no bounds at all ({source}): a gate without a bound decides nothing; "
            f'write one such as {{"{min(known, default="metric")}": {{"min": 0.8}}}}, or --bound '
            f"'{min(known, default='metric')}>=0.8' to a command",
            code="bound.missing",
        )
    joined: dict[str, MetricBound] = {}
    for item in parsed:
        joined[item.metric] = _join(joined[item.metric], item) if item.metric in joined else item
    return tuple(joined.values())


def parse_bound(metric: str, settings: Any, known: Collection[str], *, source: str = "operator") -> MetricBound:
    """One bound as the policy file or an operator gives it.

    :param settings: ``{"min": 0.75, "max": 1, "severity": "warning"}``, ``{"min_change": -0.01}``, or a ``Bound``
    :raises ConfigurationError: the metric is unknown, a key is unknown, or a bound is not a finite number
    """
    _require_known(metric, known, source)
    relative = metric.endswith(VS_CHAMPION)
    if isinstance(settings, MetricBound) and settings.metric == metric:
        return settings
    if isinstance(settings, Bound):
        return MetricBound(metric, settings, relative)
    if not isinstance(settings, Mapping):
        example = '{"min_change": -0.01}' if relative else '{"min": 0.75}'
        raise ConfigurationError(
            f"the bound of {metric} must look like {example}, not {settings!r} ({source})", code="bound.form"
        )
    ends = _read_ends(metric, settings, relative, source)
    return MetricBound(metric, _make_bound(metric, ends, source), relative, _read_severity(metric, settings, source))


def parse_expression(expression: str, known: Collection[str], *, source: str = "command line") -> MetricBound:
    """One bound as the command line gives it: ``roc_auc>=0.75``, ``log_loss<=0.6``, ``roc_auc_vs_champion>=-0.01``.

    :raises ConfigurationError: it is not ``METRIC>=NUMBER`` or ``METRIC<=NUMBER``, or the metric is unknown
    """
    match = _EXPRESSION.fullmatch(expression)
    if not match or match[2] not in (">=", "<="):
        raise ConfigurationError(
            f"the bound {expression!r} must look like roc_auc>=0.75 or log_loss<=0.6 ({source})", code="bound.form"
        )
    metric, sign, text = match.groups()
    _require_known(metric, known, source)
    try:
        number = float(text)
    except ValueError:
        raise ConfigurationError(
            f"the bound of {metric} is not a number: {text!r} in {expression!r} ({source})", code="bound.not_a_number"
        ) from None
    ends = {"min" if sign == ">=" else "max": number}
    return MetricBound(metric, _make_bound(metric, ends, source), metric.endswith(VS_CHAMPION))


def tighten(policy_bound: MetricBound, dag_bound: MetricBound) -> MetricBound:
    """The policy's bound narrowed by the DAG's; an end that the DAG leaves open stays the policy's.

    :raises ConfigurationError: the DAG's bound lets through what the policy's does not, or weighs less
    """
    if policy_bound.metric != dag_bound.metric:
        raise ValueError(f"bounds of two metrics: {policy_bound.metric} and {dag_bound.metric}")
    policy, dag = policy_bound.bound, dag_bound.bound
    looser_min = policy.min is not None and dag.min is not None and dag.min < policy.min
    looser_max = policy.max is not None and dag.max is not None and dag.max > policy.max
    looser_severity = _LOOSENESS.index(dag_bound.severity) > _LOOSENESS.index(policy_bound.severity)
    if looser_min or looser_max or looser_severity:
        raise ConfigurationError(
            f"a DAG may tighten a bound, never loosen it: the policy says {policy_bound}, the DAG says {dag_bound}; "
            f"drop the DAG's bound or have the policy changed",
            code="bound.looser",
        )
    low = policy.min if dag.min is None else dag.min
    high = policy.max if dag.max is None else dag.max
    if low is not None and high is not None and low > high:
        raise ConfigurationError(
            f"nothing can satisfy both: the policy says {policy_bound}, the DAG says {dag_bound}",
            code="bound.unsatisfiable",
        )
    source = policy.source if (low, high) == (policy.min, policy.max) else f"{dag.source}, within {policy.source}"
    return MetricBound(
        policy_bound.metric, Bound(low, high, source), policy_bound.relative_to_champion, dag_bound.severity
    )


def tighten_all(policy: Iterable[MetricBound], dag: Iterable[MetricBound]) -> tuple[MetricBound, ...]:
    """The policy's bounds, each narrowed where the DAG bounds the same metric, then what only the DAG bounds.

    :raises ConfigurationError: one of the DAG's bounds is looser than the policy's
    """
    extra = {item.metric: item for item in dag}
    merged = [tighten(item, extra.pop(item.metric)) if item.metric in extra else item for item in policy]
    return (*merged, *extra.values())


def settle(value: float) -> float:
    """``value`` without floating point's last bits, so that 0.72 / 0.9 meets a bound of 0.8."""
    return round(value, 12)


def _parse_item(item: Any, known: Collection[str], source: str) -> MetricBound:
    if isinstance(item, MetricBound):
        _require_known(item.metric, known, item.bound.source)
        return item
    if isinstance(item, str):
        return parse_expression(item, known, source=source)
    raise ConfigurationError(
        f"a bound must be an expression such as 'roc_auc>=0.75', not {item!r} ({source})", code="bound.form"
    )


def _join(first: MetricBound, second: MetricBound) -> MetricBound:
    one, two = first.bound, second.bound
    same_end_twice = (one.min is not None and two.min is not None) or (one.max is not None and two.max is not None)
    if same_end_twice or first.severity is not second.severity:
        raise ConfigurationError(f"{first.metric} is bounded twice: {first} and {second}", code="bound.twice")
    ends = {
        "min": one.min if one.min is not None else two.min,
        "max": one.max if one.max is not None else two.max,
    }
    bound = _make_bound(first.metric, ends, one.source)
    return MetricBound(first.metric, bound, first.relative_to_champion, first.severity)


def _require_known(metric: Any, known: Collection[str], source: str) -> None:
    if metric in known:
        return
    near = difflib.get_close_matches(str(metric), sorted(known), n=1)
    hint = f' Did you mean "{near[0]}"?' if near else ""
    shown = sorted(name for name in known if not (name.endswith(_ENDINGS) and name.rsplit("_", 2)[0] in known))
    raise ConfigurationError(
        f'unknown metric "{metric}" ({source}).{hint} Known metrics: {", ".join(shown)}', code="bound.unknown"
    )


def _read_ends(metric: str, settings: Mapping[str, Any], relative: bool, source: str) -> dict[str, Any]:
    keys = _CHANGE if relative else _ABSOLUTE
    unknown = sorted(str(key) for key in settings if key not in keys and key != "severity")
    if unknown and not relative and set(unknown) <= set(_CHANGE):
        raise ConfigurationError(
            f"{metric} has {' and '.join(unknown)} ({source}): a change is bounded under {metric}{VS_CHAMPION}",
            code="bound.form",
        )
    if unknown:
        raise ConfigurationError(
            f"the bound of {metric} has unknown keys {', '.join(unknown)} ({source}); "
            f"known keys: {', '.join([*keys, 'severity'])}",
            code="bound.form",
        )
    return {keys[key]: value for key, value in settings.items() if key in keys}


def _make_bound(metric: str, ends: Mapping[str, Any], source: str) -> Bound:
    for end, value in ends.items():
        if not is_finite(value):
            raise ConfigurationError(
                f"the bound of {metric} is not a finite number: {end} is {value!r} ({source})",
                code="bound.not_a_number",
            )
    try:
        return Bound(ends.get("min"), ends.get("max"), source)
    except ValueError as error:
        raise ConfigurationError(f"the bound of {metric}: {error}", code="bound.form") from None


def _read_severity(metric: str, settings: Mapping[str, Any], source: str) -> Severity:
    severity = settings.get("severity", Severity.CRITICAL)
    if severity not in list(Severity):
        words = ", ".join(Severity)
        raise ConfigurationError(
            f"the severity of {metric} is {severity!r} ({source}); known severities: {words}", code="bound.severity"
        )
    return Severity(severity)
