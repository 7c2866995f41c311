"""Aequitas' own numbers, from an environment that has it (it needs pandas < 3): for teams whose reports are in its
terms, and as a reference for the fairness gate. Refuses counts that hold no people, or one group alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.children.environment import Backend, ExternalError, ask

CELLS = ("tp", "fp", "fn", "tn")
"""Predicted and true; predicted and false; not predicted and true; not predicted and false."""

_MOST_ROWS = 50_000_000
_NUMBERS = {"type": "object", "additionalProperties": {"type": ["number", "null"]}}
_TRUTHS = {"type": "object", "additionalProperties": {"type": ["boolean", "null"]}}
_GROUP = {
    "type": "object",
    "required": ["group", "reference", "metrics", "disparities", "parities"],
    "properties": {
        "group": {"type": "string"},
        "reference": {"type": "string"},
        "metrics": _NUMBERS,
        "disparities": {**_NUMBERS, "minProperties": 1},
        "parities": {**_TRUTHS, "minProperties": 1},
    },
    "additionalProperties": False,
}
AEQUITAS = Backend(
    name="Aequitas",
    script="aequitas_audit.py",
    libraries=("aequitas", "pandas"),
    requirements="'aequitas>=1.1' 'pandas<3'",
    schema={
        "type": "object",
        "required": ["groups", "overall"],
        "properties": {"groups": {"type": "array", "items": _GROUP}, "overall": _TRUTHS},
        "additionalProperties": False,
    },
)


@dataclass(frozen=True)
class GroupAudit:
    """What Aequitas says of one group. A number that it does not define is None."""

    metrics: Mapping[str, float | None]
    """``fpr``, ``fnr``, ``ppr``, ``pprev``, ``precision`` … and counts, by Aequitas' names."""
    disparities: Mapping[str, float | None]
    """``fpr_disparity`` …: the group's metric divided by that of the reference group; Aequitas writes 10 for a
    division by 0, and None for 0 by 0."""
    parities: Mapping[str, bool | None]
    """``FPR Parity`` …: whether the disparity lies between tau and 1/tau."""


@dataclass(frozen=True)
class AequitasAudit:
    """Aequitas' Group, Bias and Fairness over one attribute."""

    reference: str
    tau: float
    groups: Mapping[str, GroupAudit]
    overall: Mapping[str, bool | None]
    """``Supervised Fairness`` … of all groups together."""
    libraries: Mapping[str, str]
    """Name -> version in the other environment."""
    child: Mapping[str, Any]
    """How it was with the network there, and with credentials."""


def aequitas_disparities(
    counts: Mapping[str, Mapping[str, int]],
    *,
    python: str | Path,
    reference: str | None = None,
    tau: float = 0.8,
    timeout: float = 600,
) -> AequitasAudit:
    """Let Aequitas audit counts of outcomes.

    :param counts: group -> how many people are in each of :data:`CELLS`; see :func:`count_outcomes`
    :param python: interpreter of an environment with Aequitas
    :param reference: the group that others are held against; the largest if omitted
    :param tau: a disparity from tau to 1/tau counts as parity; above 0, up to 1
    :param timeout: seconds
    :raises ConfigurationError: the counts, the reference or tau is not what it should be, or Aequitas is missing there
    :raises ExternalError: Aequitas crashed, took too long, or gave another number of people than it was told
    """
    table = _sound(counts)
    if reference is not None and reference not in table:
        raise ConfigurationError(
            f"the reference group {reference!r} is not among {', '.join(table)}", code="group.unknown"
        )
    if isinstance(tau, bool) or not isinstance(tau, int | float) or not 0 < tau <= 1:
        raise ConfigurationError(f"tau must be above 0 and at most 1, not {tau!r}", code="setting.wrong")
    request = {"counts": list(table.items()), "reference": reference, "tau": float(tau)}
    answer = ask(AEQUITAS, python, request, timeout=timeout)
    found = {item["group"]: item for item in answer.content["groups"]}
    for group, cells in table.items():
        seen = {cell: found.get(group, {}).get("metrics", {}).get(cell) for cell in CELLS}
        if seen != cells:
            raise ExternalError(
                f"Aequitas counted other people than it was told in the group {group}", code="child.answer"
            )
    references = {item["reference"] for item in found.values()}
    if len(found) != len(table) or len(references) != 1:
        raise ExternalError(
            "Aequitas gave other groups than it was told, or more than one reference group", code="child.answer"
        )
    groups = {name: GroupAudit(item["metrics"], item["disparities"], item["parities"]) for name, item in found.items()}
    return AequitasAudit(
        references.pop(), float(tau), groups, answer.content["overall"], answer.libraries, answer.child
    )


def count_outcomes(data: str | Path, *, attribute: str, label: str, prediction: str) -> dict[str, dict[str, int]]:
    """The counts of a csv or parquet table of predictions, by the values of ``attribute``.

    :param attribute: column of the groups
    :param label: column of the truth, 0 and 1
    :param prediction: column of the predicted class, 0 and 1
    :raises ConfigurationError: a column is missing, or holds something else
    :raises AccessError: the file system refuses to read it
    """
    from airflow_mlgov.data.quoting import identifier
    from airflow_mlgov.data.source import source_of

    group, truth, predicted = (identifier(name) for name in (attribute, label, prediction))
    binary = " OR ".join(
        f"{column} IS NULL OR try_cast({column} AS DOUBLE) IS NULL OR try_cast({column} AS DOUBLE) NOT IN (0, 1)"
        for column in (truth, predicted)
    )
    cells = ", ".join(
        f"count(*) FILTER (CAST({predicted} AS DOUBLE) = {selected} AND CAST({truth} AS DOUBLE) = {true})"
        for selected, true in ((1, 1), (1, 0), (0, 1), (0, 0))
    )
    with source_of(data).open() as relation:
        table = relation.in_duckdb()
        table.require(attribute, label, prediction)
        bad = f"SELECT count(*) FILTER ({group} IS NULL), count(*) FILTER ({binary}) FROM data"  # noqa: S608 - quoted
        ((missing, unclear),) = table.rows(bad)
        if missing:
            raise ConfigurationError(
                f"{missing} rows have no {attribute}; give them a group of their own, or drop them",
                code="group.missing",
            )
        if unclear:
            raise ConfigurationError(
                f"{unclear} rows have a {label} or a {prediction} that is neither 0 nor 1", code="label.not_binary"
            )
        found = table.rows(f"SELECT CAST({group} AS VARCHAR) AS g, {cells} FROM data GROUP BY g ORDER BY g")  # noqa: S608
    return {name: dict(zip(CELLS, map(int, values), strict=True)) for name, *values in found}


def _sound(counts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    for group, cells in counts.items():
        sound = set(cells) == set(CELLS) and all(
            isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in cells.values()
        )
        if not isinstance(group, str) or not sound or not sum(cells.values()):
            raise ConfigurationError(
                f"the group {group!r} needs {', '.join(CELLS)} as whole numbers, not all 0, not {dict(cells)}",
                code="group.counts",
            )
    if len(counts) < 2:
        raise ConfigurationError(f"a disparity needs at least 2 groups, not {len(counts)}", code="group.too_few")
    total = sum(sum(cells.values()) for cells in counts.values())
    if total > _MOST_ROWS:
        raise ConfigurationError(
            f"Aequitas works on rows, and {total} are more than {_MOST_ROWS}; the fairness gate works on counts",
            code="data.too_many_rows",
        )
    return {group: dict(cells) for group, cells in counts.items()}
