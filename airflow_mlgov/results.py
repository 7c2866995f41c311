"""What a gate says: a subject, its checks, their outcomes, one verdict. Plain frozen data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from airflow_mlgov import measured, words


class Outcome(StrEnum):
    """How one check, or a whole gate, ended. Only ``PASS`` is green."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    """Cannot be estimated: a group too small, an interval that straddles the bound, NaN."""
    ERROR = "ERROR"
    """The check could not run, so nothing is known."""


class Severity(StrEnum):
    """How much a check weighs. Only ``critical`` checks make the verdict; the others are recorded."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


WORST_FIRST = (Outcome.ERROR, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)

Scalar = float | int | str | bool | None
Json: TypeAlias = "Scalar | Sequence[Json] | Mapping[str, Json]"
"""What JSON can carry, as it is read: nothing may be changed in it."""


@dataclass(frozen=True)
class Subject:
    """What is judged, bound to its exact bytes."""

    kind: str
    """``model``, ``dataset`` or ``pipeline``; of what no gate judges also ``policy``, ``ledger`` or ``run``."""
    name: str
    """The registered model's name, the dataset's URI without credentials, or the manifest's id."""
    digest: str
    """Lower-case hex SHA-256: of a file, a tree (in-toto ``dirHash``) or a table's fingerprint."""
    version: str | None = None
    """The model version; None for datasets and pipelines."""
    registry: str | None = None
    """The registry's URI without credentials; None for datasets and pipelines."""

    def __str__(self) -> str:
        version = f"/{self.version}" if self.version else ""
        return words.line(f"{self.kind} {self.name}{version} (sha256:{self.digest[:12]})")


@dataclass(frozen=True)
class Bound:
    """A closed interval that an observed value must lie in; an end that is None is open.

    :raises ValueError: no end is given, an end is not a finite number, or ``min`` is above ``max``
    """

    min: float | None = None
    max: float | None = None
    source: str = "operator"
    """Where the bound was written, for messages: ``mlgov.yaml:12``, ``operator``, ``command line``."""

    def __post_init__(self) -> None:
        for end, value in (("min", self.min), ("max", self.max)):
            if value is None:
                continue
            if not is_finite(value):
                raise ValueError(f"the bound's {end} must be a finite number, not {value!r} ({self.source})")
        if self.min is None and self.max is None:
            raise ValueError(f"a bound needs a min or a max ({self.source})")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"the bound's min {self.min} is above its max {self.max} ({self.source})")

    def judge(self, observed: float | None) -> Outcome:
        """PASS inside, FAIL outside; INCONCLUSIVE where the value is missing or not finite (``nan < 0.8`` is false,
        so a plain comparison would let it through)."""
        if observed is None or not math.isfinite(observed):
            return Outcome.INCONCLUSIVE
        if self.min is not None and observed < self.min:
            return Outcome.FAIL
        if self.max is not None and observed > self.max:
            return Outcome.FAIL
        return Outcome.PASS

    def __str__(self) -> str:
        if self.min is not None and self.max is not None:
            return f"{self.min:g} to {self.max:g}"
        return f">= {self.min:g}" if self.min is not None else f"<= {self.max:g}"


@dataclass(frozen=True)
class Check:
    """One assertion and how it ended."""

    name: str
    outcome: Outcome
    observed: Scalar = None
    """The measured value: an aggregate, never a row's value."""
    bound: Bound | str | None = None
    """What it was held against; a sentence where an interval cannot say it."""
    severity: Severity = Severity.CRITICAL
    detail: str = ""
    """One sentence for people: why it ended so, and the mend where there is one."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Further aggregates as JSON values: rates by group, counts, what was left out and why."""

    def as_dict(self) -> dict[str, Any]:
        """JSON form, NaN-free (a value that is not finite becomes None)."""
        bound: Any = self.bound
        if isinstance(bound, Bound):
            bound = {"min": bound.min, "max": bound.max, "source": bound.source}
        return {
            "name": self.name,
            "outcome": str(self.outcome),
            "severity": str(self.severity),
            "observed": json_number(self.observed),
            "bound": bound,
            "detail": self.detail,
            "values": json_safe(self.values),
        }

    def __str__(self) -> str:
        why = measured.detail(self)
        return words.line(f"{self.outcome} {self.name} = {measured.sentence(self)}{f': {why}' if why else ''}")


_FIELDS_IN_DETAILS = {
    "settings": "settings",
    "evaluation_sha256": "evaluation_digest",
    "suite_sha256": "suite_digest",
    "dataset_checks": "dataset_checks",
}
"""Name in the evidence's ``details`` -> field of :class:`GateResult`."""


@dataclass(frozen=True)
class GateResult:
    """A named set of checks over one subject."""

    gate: str
    """``data_validation``, ``performance``, ``fairness`` …: the word that the policy's ``requires`` uses."""
    subject: Subject
    checks: tuple[Check, ...]
    inputs: tuple[Subject, ...] = ()
    """The datasets (and suites) that were read to judge the subject."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Aggregates for the evidence that belong to no single check, such as the table of counts. What the decision reads
    has a field of its own."""
    libraries: Mapping[str, str] = field(default_factory=dict)
    """Name -> version of the libraries that computed it."""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    reports: Mapping[str, str] = field(default_factory=dict)
    """Title -> path of reports that were written; not part of the verdict."""
    settings: Mapping[str, Json] = field(default_factory=dict, kw_only=True)
    """How strictly it was judged, by name, as applied: the decision refuses what is looser than the policy."""
    evaluation_digest: str | None = field(default=None, kw_only=True)
    """SHA-256 of the rows that a model was judged on, whatever it predicted for them: tries on the same rows are
    counted. None if the gate judges no model."""
    suite_digest: str | None = field(default=None, kw_only=True)
    """SHA-256 of the suite or schema that the data was held against; the decision compares it with the policy's."""
    purpose: Literal["gate", "what_if"] = field(default="gate", kw_only=True)
    """``what_if``: it was asked for out of curiosity. It is signed and counted as a try; it makes no decision better,
    and where its values fail the policy it denies as any result does."""
    dataset_checks: Mapping[str, Json] | None = field(default=None, kw_only=True)
    """Drift, overlap, leakage and the like -> settings as applied; None if none was asked for."""

    def __post_init__(self) -> None:
        said_twice = sorted(_FIELDS_IN_DETAILS.keys() & self.details.keys())
        if said_twice:
            fields = ", ".join(_FIELDS_IN_DETAILS[name] for name in said_twice)
            raise ValueError(f"details may not say {', '.join(said_twice)}: a GateResult has fields for it ({fields})")

    @property
    def all_details(self) -> dict[str, Any]:
        """``details`` and the fields that the decision reads, under the names that evidence has for them."""
        fields = {name: getattr(self, field) for name, field in _FIELDS_IN_DETAILS.items()}
        return {**self.details, **{name: value for name, value in fields.items() if value is not None and value != {}}}

    @property
    def verdict(self) -> Outcome:
        """The worst outcome of the critical checks; ERROR where there is none, for nothing was decided."""
        outcomes = {check.outcome for check in self.checks if check.severity is Severity.CRITICAL}
        return next((outcome for outcome in WORST_FIRST if outcome in outcomes), Outcome.ERROR)

    @property
    def failed(self) -> tuple[Check, ...]:
        """Every check that is not green, critical ones first."""
        not_green = [check for check in self.checks if check.outcome is not Outcome.PASS]
        return tuple(sorted(not_green, key=lambda check: check.severity is not Severity.CRITICAL))

    def summary(self) -> str:
        """A few lines for a log or an exception: the verdict, then each check that is not green."""
        lines = [f"gate {self.gate}: {self.verdict} on {self.subject}"]
        if not any(check.severity is Severity.CRITICAL for check in self.checks):
            lines.append("  no critical check was evaluated, so nothing was decided")
        lines += [f"  [{check.severity}] {check}" for check in self.failed]
        return words.lines(lines)


def is_finite(value: Any) -> bool:
    """Whether it is a number that a floating-point number can hold; True and False are none."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def json_number(value: Any) -> Any:
    """``value``, or None where it is a float that JSON cannot carry (NaN, infinity)."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_safe(value: Any) -> Any:
    """A copy of nested mappings and sequences with only JSON values in it: NumPy scalars become Python's, NaN None."""
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [json_safe(item) for item in items]
    if isinstance(value, StrEnum | datetime):
        return value.isoformat() if isinstance(value, datetime) else str(value)
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return json_number(value)
    return str(value)
