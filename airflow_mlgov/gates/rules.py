"""What a gate is held to: the governance policy's settings and bounds, with what a DAG or a command line adds.

A caller may tighten a bound and fill what the policy leaves open; it may never loosen or replace what the policy says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import BoundsLike, MetricBound, parse_bound, parse_bounds, tighten_all


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


def merge_settings(policy: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The policy's settings, and what the caller gives (None counts as not given) where the policy is silent.

    A caller may leave out the groups of a sensitive feature that the policy declares, but may name no other feature.

    :raises ConfigurationError: the caller says something else than the policy
    """
    merged = dict(policy)
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
        from airflow_mlgov.gates.performance import KNOWN_METRICS

        return KNOWN_METRICS
    from airflow_mlgov.gates.fairness import METRICS

    return METRICS
