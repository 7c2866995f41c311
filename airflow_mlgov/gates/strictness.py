"""What a gate is held to: the governance policy's settings and bounds, with what a DAG or a command line adds.

A caller may tighten a bound and fill what the policy leaves open; it may never loosen or replace what the policy says.
Which settings have a strict side is said by their marks, see :mod:`airflow_mlgov.gates.protocol`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import BoundsLike, MetricBound, parse_bound, parse_bounds, tighten_all
from airflow_mlgov.gates.protocol import Gate, GateSettings, Local, Merge, S, Strict, Tightens, mark_of


class GovernedModel(Protocol):
    """The part of ``governance.policy.ModelPolicy`` that a gate reads."""

    @property
    def source(self) -> str:
        """The policy file's path."""

    def settings(self, gate: str) -> dict[str, Any]:
        """Columns, labels, groups, minimum counts."""

    def bounds(self, gate: str) -> dict[str, dict[str, Any]]:
        """Metric -> bound as written."""

    def where(self, *path: str) -> str:
        """``file:line`` of a part of the policy."""


def held_to(
    gate: Gate[S], policy: GovernedModel | None, given: Mapping[str, Any], bounds: BoundsLike, source: str
) -> tuple[S, tuple[MetricBound, ...]]:
    """The settings and the bounds that a gate is run with.

    :param policy: None if no policy governs; then the caller's settings and bounds alone apply
    :param given: the caller's settings by name; one that is None counts as not given
    :param source: who the caller is, for messages
    :raises ConfigurationError: a looser or contrary setting, a looser bound, an unknown metric, or no bound at all
    """
    stated = stated_settings(gate, policy)
    governed = policy is not None and bool(policy.bounds(gate.name) if gate.metrics else stated)
    merged = merge_settings(gate.Settings, stated, given, governed=governed)
    settings: Any = gate.Settings.read(merged, f"the gate {gate.name}")
    return settings, gate_bounds(gate, policy, bounds, source)


def gate_bounds(
    gate: Gate[Any], policy: GovernedModel | None, bounds: BoundsLike, source: str
) -> tuple[MetricBound, ...]:
    """The policy's bounds and the gate's own, tightened by the caller's; nothing of a gate that has no metrics.

    :raises ConfigurationError: a looser bound, an unknown metric, or no bound at all
    """
    if not gate.metrics:
        if bounds:
            raise ConfigurationError(f"the gate {gate.name} takes no bounds ({source})", code="bound.unknown")
        return ()
    governed = policy.bounds(gate.name) if policy else {}
    if policy is None or not governed:
        return gate.completed(parse_bounds(bounds, gate.metrics, source=source))
    written = tuple(
        parse_bound(metric, settings, gate.metrics, source=policy.where("gates", gate.name, metric))
        for metric, settings in governed.items()
    )
    added = parse_bounds(bounds, gate.metrics, source=source) if bounds else ()
    return tighten_all(gate.completed(written), added)


def stated_settings(gate: Gate[Any], policy: GovernedModel | None) -> dict[str, Any]:
    """What the policy says of a gate's settings; a path in it is relative to the policy file."""
    if policy is None:
        return {}
    stated = policy.settings(gate.name)
    for name, mark in gate.Settings.marks(Local).items():
        if mark.in_policy and isinstance(stated.get(name), str):
            stated[name] = str(Path(policy.source).parent / stated[name])
        if mark.policy_folder and stated:
            stated[name] = str(Path(policy.source).parent)
    return stated


def merge_settings(
    settings: type[GateSettings], policy: Mapping[str, Any], given: Mapping[str, Any], *, governed: bool = False
) -> dict[str, Any]:
    """The policy's settings, and what the caller gives (None counts as not given) where the policy is silent.

    :param governed: whether a policy bounds the gate: what it is silent about may then be made stricter than the
        default, never looser
    :raises ConfigurationError: the caller says something else than the policy, or is looser than the default
    """
    merged = dict(policy)
    for name, value in given.items():
        if value is None:
            continue
        info = settings.model_fields.get(name)
        if info is None or mark_of(info, Local) is not None:
            merged[name] = value  # an unknown one is told of when the settings are read
            continue
        if name not in policy:
            strict = mark_of(info, Strict)
            if governed and strict is not None and not strict.allows(value, info.default):
                if strict.larger_is == "same":
                    raise ConfigurationError(
                        f"{name} is {value!r} here, and the governance policy names none: it changes what is "
                        "judged, so only the policy may say so; leave it out, or have the policy changed",
                        code="setting.not_the_policys",
                    )
                raise ConfigurationError(
                    f"{name} is {value!r} here, which is looser than the default of {info.default!r}: only the "
                    "governance policy may say so; leave it out, or have the policy changed",
                    code="setting.looser",
                )
            how = mark_of(info, Merge)
            merged[name] = how.added(name, value) if governed and how is not None else value
            continue
        merged[name] = agreed(name, policy[name], value, mark_of(info, Merge))
    return merged


def agreed(name: str, stated: Any, given: Any, how: Merge | None = None) -> Any:
    """What the policy says, if the caller says the same, or what its mark makes of both.

    :raises ConfigurationError: the caller says something else
    """
    if _plain(stated) == _plain(given):
        return stated
    if how is not None:
        return how.merge(name, stated, given)
    raise ConfigurationError(
        f"{name} is {given!r} here, but the governance policy says {stated!r}: leave it out, or have the "
        "policy changed",
        code="setting.not_the_policys",
    )


def limits_of(settings: GateSettings, stated: Mapping[str, Any], who: str) -> dict[str, Any]:
    """What the gate may take, by the settings that carry the mark :class:`Tightens`; None where nobody says.

    :param stated: what somebody says whom the settings may not exceed, by name; None and the empty text are nothing
    :param who: that is, for messages
    :raises ConfigurationError: the settings exceed it
    """
    found = {}
    for name, mark in type(settings).marks(Tightens).items():
        mine, most = getattr(settings, name), stated.get(name) or None
        found[name] = most if mine is None else mine if most is None else mark.tighter(name, most, mine, who)
    return found


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
