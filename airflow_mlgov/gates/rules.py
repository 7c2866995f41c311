"""What a gate is held to: the governance policy's settings and bounds, with what a DAG or a command line adds.

A caller may tighten a bound and fill what the policy leaves open; it may never loosen or replace what the policy says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import BoundsLike, MetricBound, parse_bound, parse_bounds, tighten_all


@dataclass(frozen=True)
class Strictness:
    """A setting that decides how hard a gate is to pass."""

    default: Any
    stricter: Literal["more", "less"] = "more"
    """Whether a larger value is stricter."""

    def allows(self, value: Any, held: Any) -> bool:
        """Whether ``value`` is at least as strict as ``held``; what is no value of the setting is left to the gate."""
        mine, theirs = rank(value), rank(held)
        if mine is None or theirs is None:
            return True
        return mine >= theirs if self.stricter == "more" else mine <= theirs


STRICTNESS: Mapping[str, Mapping[str, Strictness]] = {
    "fairness": {
        "decide": Strictness("interval"),
        "confidence": Strictness(0.95),
        "min_group_size": Strictness(30),
        "min_positives": Strictness(10),
        "min_negatives": Strictness(10),
        "max_share_left_out": Strictness(0.0, "less"),
        "missing_sensitive": Strictness("error"),
        "suppress_below": Strictness(5),
    },
    "performance": {
        "decide": Strictness("point"),
        "confidence": Strictness(0.95),
        "min_slice_size": Strictness(30),
        "max_share_left_out": Strictness(0.05, "less"),
        "suppress_below": Strictness(5),
    },
}
"""Gate -> setting. Evidence names these as they were applied, under ``details.settings``."""

_RANKS = {"point": 0, "interval": 1, "group": 0, "error": 1}


def rank(value: Any) -> float | None:
    """A setting's value as a number that can be compared; None where it is none."""
    if isinstance(value, str):
        return _RANKS.get(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


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
    for name, setting in STRICTNESS.get(governed_gate or "", {}).items():
        value = given.get(name)
        if value is not None and name not in policy and not setting.allows(value, setting.default):
            raise ConfigurationError(
                f"{name} is {value!r} here, which is looser than the default of {setting.default!r}: only the "
                "governance policy may say so; leave it out, or have the policy changed"
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
        from airflow_mlgov.gates.performance.scorers import KNOWN_METRICS

        return KNOWN_METRICS
    from airflow_mlgov.gates.fairness.metrics import METRICS

    return METRICS
