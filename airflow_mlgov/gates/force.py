"""How much a rule weighs: the one answer for packs, an organisation's own rules and those of promotion.

A rule's METADATA says its severity, from when on it is in force, and below what it never falls (``mildest``); a policy
says ``enforce``, ``warn`` or ``observe``. A date that cannot be read is none: the rule is in force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from airflow_mlgov.results import Severity

Mode = Literal["enforce", "warn", "observe"]
MODES: Mapping[str, Severity] = {"observe": Severity.INFO, "warn": Severity.WARNING, "enforce": Severity.CRITICAL}
"""From mild to strict."""
_ORDER = tuple(MODES.values())


@dataclass(frozen=True, kw_only=True)
class Force:
    """What a rule says of its own weight."""

    severity: Severity = Severity.CRITICAL
    effective_on: datetime | None = None
    """From when on it is in force; before it warns. None: from ever, also where the date cannot be read."""
    mildest: Severity = Severity.INFO
    """What no mode makes it milder than."""

    def weight(
        self, names: Sequence[str], modes: Mapping[str, str], now: datetime, *, most: Severity = Severity.CRITICAL
    ) -> tuple[Severity, str]:
        """How much it weighs now, and why if that is not what it says itself.

        :param names: what modes may call it, the word that goes before first
        :param most: what the policy lets any rule weigh
        """
        said = next((modes[name] for name in names if name in modes), None)
        severity, why = (MODES[said], f" ({said}, by the policy)") if said else (self.severity, "")
        severity = milder(severity, most)
        if severity != stricter(severity, self.mildest):
            severity, why = self.mildest, " (no milder, by its METADATA)"
        if self.effective_on is not None and self.effective_on > now:
            severity, why = milder(severity, Severity.WARNING), f" (in force from {self.effective_on.date()} on)"
        return severity, why

    def with_another(self, other: Force) -> Force:
        """What holds where two rules have one code: the stricter of each."""
        dates = (self.effective_on, other.effective_on)
        return Force(
            severity=stricter(self.severity, other.severity),
            effective_on=None if None in dates else min(date for date in dates if date),
            mildest=stricter(self.mildest, other.mildest),
        )


def milder(one: Severity, other: Severity) -> Severity:
    """The milder of two."""
    return min(one, other, key=_ORDER.index)


def stricter(one: Severity, other: Severity) -> Severity:
    """The stricter of two."""
    return max(one, other, key=_ORDER.index)


def in_force_from(said: Any) -> datetime | None:
    """The beginning of a rule's force; None, so from ever, if nothing is said or what is said cannot be read."""
    try:
        found = datetime.fromisoformat(str(said))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
