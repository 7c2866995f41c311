"""What evidence shows people beside a value: the data that was judged, what the champion has on the same rows, and the
rates of each group. The same in the approval form, in reports and on the board."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_mlgov.measured import number, observed
from airflow_mlgov.results import Check, GateResult, Severity, Subject, is_finite

if TYPE_CHECKING:
    from airflow_mlgov.evidence.statements import GateStatement

_VS_CHAMPION = "_vs_champion"


@dataclass(frozen=True)
class Judged:
    """The data that a gate has judged, or judged a model on."""

    name: str
    digest: str
    rows: int | None

    def __str__(self) -> str:
        rows = "" if self.rows is None else f", {self.rows:,} rows"
        return f"{self.name}{rows}, sha256:{self.digest[:12]}"


@dataclass(frozen=True)
class Champion:
    """What a gate has measured of the version that holds the target."""

    same: Mapping[str, str] = field(default_factory=dict)
    """Check -> the champion's value on the same rows."""
    elsewhere: GateResult | None = None
    """Its newest result, if that is about other data: nothing in it can be compared."""


def judged_on(result: GateResult) -> Judged | None:
    """The data that a result is about; None if it is about none."""
    read: Iterable[Subject] = (result.subject, *result.inputs)
    data = next((item for item in read if item.kind == "dataset"), None)
    rows = result.details.get("rows")
    return None if data is None else Judged(data.name, data.digest, rows if isinstance(rows, int) else None)


def champion_of(said: GateStatement, rivals: Iterable[GateStatement]) -> Champion:
    """What the champion has of each check.

    :param rivals: what gates have said of the champion, oldest first
    """
    theirs = [item for item in rivals if item.gate == said.gate]
    alike = [item for item in theirs if item.evaluation_data == said.evaluation_data]
    same = {check.name: observed(check) for check in alike[-1].result.checks} if alike else {}
    for check in said.result.checks:  # the gate has measured it itself, on the very rows
        value = check.values.get("champion", check.values.get("baseline"))
        value = value.get("value", value.get("observed")) if isinstance(value, Mapping) else value
        if is_finite(value):
            same[check.name] = number(value)
            same[check.name.removesuffix(_VS_CHAMPION)] = number(value)
    return Champion(same, theirs[-1].result if theirs and not alike else None)


def in_order(checks: Iterable[Check]) -> tuple[list[Check], list[Check]]:
    """The checks as people read them: what was held to a bound, critical first; and what was only recorded."""
    every = list(checks)
    bounded = [check for check in every if check.bound is not None or check.severity is Severity.CRITICAL]
    recorded = [check for check in every if check not in bounded]
    return sorted(bounded, key=lambda check: list(Severity).index(check.severity)), recorded


def selection_rates(result: GateResult) -> dict[str, dict[str, str]]:
    """Feature -> group -> its selection rate, with how many are in it where that may be told."""
    found: dict[str, dict[str, str]] = {}
    rates, sizes = result.details.get("rates"), group_sizes(result)
    for feature, groups in (rates if isinstance(rates, Mapping) else {}).items():
        for group, of in (groups if isinstance(groups, Mapping) else {}).items():
            value = of.get("selection_rate") if isinstance(of, Mapping) else None
            if is_finite(value):
                size = sizes.get(feature, {}).get(group)
                found.setdefault(feature, {})[group] = number(value) + ("" if size is None else f" of {size:,}")
    return found


def group_sizes(result: GateResult) -> dict[str, dict[str, int]]:
    """Feature -> group -> rows in it; without those that have a cell which is too small to be told."""
    found: dict[str, dict[str, int]] = {}
    counts = result.details.get("counts")
    for feature, cells in (counts if isinstance(counts, Mapping) else {}).items():
        sums: dict[str, int | None] = {}
        for cell in cells if isinstance(cells, list | tuple) else ():
            group, n = str(cell.get("group")), cell.get("n")
            before = sums.get(group, 0)
            sums[group] = before + n if isinstance(n, int) and before is not None else None
        found[feature] = {group: size for group, size in sums.items() if size is not None}
    return found
