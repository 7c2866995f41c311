"""What a gate is held to: the governance policy's settings and bounds, with what a DAG or a command line adds.

A caller may tighten a bound and fill what the policy leaves open; it may never loosen or replace what the policy says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from operator import eq, ge, le
from typing import Any, Protocol

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import BoundsLike, MetricBound, parse_bound, parse_bounds, tighten_all

_AS_STRICT: Mapping[str, Mapping[str, tuple[Any, Callable[[Any, Any], bool]]]] = {
    "fairness": {
        "decide": ("interval", eq),
        "confidence": (0.95, ge),
        "min_group_size": (30, ge),
        "min_positives": (10, ge),
        "min_negatives": (10, ge),
        "max_share_left_out": (0.0, le),
        "missing_sensitive": ("error", eq),
        "suppress_below": (5, ge),
    },
    "performance": {
        "confidence": (0.95, ge),
        "min_slice_size": (30, ge),
        "max_share_left_out": (0.05, le),
        "suppress_below": (5, ge),
    },
}
"""Gate -> setting -> its default, and when another value is as strict."""


class GovernedModel(Protocol):
    """The part of ``governance.policy.ModelPolicy`` that a gate reads."""

    def settings(self, gate: str) -> dict[str, Any]:
        """Columns, labels, groups, minimum counts."""

    def bounds(self, gate: str) -> dict[str, dict[str, Any]]:
        """Metric -> bound as written."""

    def where(self, *path: str) -> str:
        """``file:line`` of a part of the policy."""


def gate_rules(
    gate: str, policy: GovernedModel | None, bounds: BoundsLike, source: str
) -> tuple[dict[str, Any], tuple[MetricBound, ...]]:
    """The policy's settings of a gate, and its bounds tightened by the caller's.

    :param policy: None where no policy governs; then the caller's bounds alone apply
    :param source: who the caller is, for messages
    :raises ConfigurationError: a looser bound, an unknown metric, or no bound at all
    """
    known = _known_metrics(gate)
    governed = policy.bounds(gate) if policy else {}
    if policy is None or not governed:
        return (policy.settings(gate) if policy else {}), parse_bounds(bounds, known, source=source)
    written = [
        parse_bound(metric, settings, known, source=policy.where("gates", gate, metric))
        for metric, settings in governed.items()
    ]
    added = parse_bounds(bounds, known, source=source) if bounds else ()
    return policy.settings(gate), tighten_all(written, added)


def merge_settings(
    policy: Mapping[str, Any], given: Mapping[str, Any], governed_gate: str | None = None
) -> dict[str, Any]:
    """The policy's settings, and what the caller gives (None counts as not given) where the policy is silent.

    A caller may leave out the groups of a sensitive feature that the policy declares, but may name no other feature.

    :param governed_gate: the gate, where a policy bounds it: what the policy is silent about may then be made stricter
        than the gate's default, never looser
    :raises ConfigurationError: the caller says something else than the policy, or is looser than the default
    """
    merged = dict(policy)
    for name, (default, is_as_strict) in _AS_STRICT.get(governed_gate or "", {}).items():
        value = given.get(name)
        if value is not None and name not in policy and not is_as_strict(value, default):
            raise ConfigurationError(
                f"{name} is {value!r} here, which is looser than the default of {default!r}: only the governance "
                "policy may say so; leave it out, or have the policy changed"
            )
    for name, value in given.items():
        if value is None or (name in policy and policy[name] == value):
            continue
        if name not in policy:
            merged[name] = value
        elif name != "sensitive_features" or set(value) - set(policy[name]) or isinstance(value, Mapping):
            raise ConfigurationError(
                f"{name} is {value!r} here, but the governance policy says {policy[name]!r}: leave it out, or have the "
                f"policy changed"
            )
    return merged


def _known_metrics(gate: str) -> Collection[str]:
    if gate == "performance":
        from airflow_mlgov.gates.scorers import KNOWN_METRICS

        return KNOWN_METRICS
    from airflow_mlgov.gates.fairness import METRICS

    return METRICS
