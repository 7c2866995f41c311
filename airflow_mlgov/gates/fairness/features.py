"""Names the groups of people: sensitive features as declared, their groups as found, intersections. Refuses groups that
nobody declared, and rows without a group unless the policy gives them one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from airflow_mlgov.errors import ConfigurationError

MISSING = "(missing)"
"""The group of rows whose sensitive value is missing, under ``missing_sensitive: group``."""

OnMissing = Literal["error", "group"]
Declared = Mapping[str, tuple[str, ...] | None]
"""Feature -> the names of the groups that it must have, or None to take them as they come."""

_SHOWN = 10


@dataclass(frozen=True)
class Feature:
    """One sensitive feature of the rows that were counted, or why nothing can be said about it."""

    name: str
    groups: tuple[str, ...] = ()
    """Sorted; also those that are declared and have no row."""
    members: tuple[int, ...] = ()
    """For each counted cell, the position of its group in ``groups``."""
    problem: str = ""

    def positions(self, values: Sequence[Sequence[Any]]) -> list[int]:
        """The positions of the groups that values stand for.

        :param values: for each of the feature's columns, as stored
        """
        at = {group: position for position, group in enumerate(self.groups)}
        return [at["*".join(group_name(value) or MISSING for value in row)] for row in zip(*values, strict=True)]


def declared_features(features: Mapping[str, Sequence[Any] | None] | Sequence[str]) -> dict[str, Any]:
    """Sensitive features as names, each with the names of the groups it must have, or None.

    :raises ConfigurationError: none is given, or the groups are not a list of different names
    """
    if isinstance(features, str):
        features = [features]
    named = dict(features) if isinstance(features, Mapping) else dict.fromkeys(features)
    if not named:
        raise ConfigurationError("name at least one sensitive feature", code="setting.missing")
    for name in named:
        if not isinstance(name, str) or not all(columns_of(name)):
            raise ConfigurationError(
                f"a sensitive feature is a column, or columns joined by *, not {name!r}", code="setting.wrong"
            )
    return {name: None if groups is None else _declared_groups(name, groups) for name, groups in named.items()}


def columns_of(name: str) -> list[str]:
    """The columns of a feature: two and more of an intersection."""
    return [part.strip() for part in name.split("*")]


def group_name(value: Any) -> str | None:
    """One name for 1, 1.0 and "1" because a csv column of whole numbers comes as either; None for a missing value."""
    value = value.item() if hasattr(value, "item") else value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() or None


def find_groups(
    name: str, found: Mapping[str, Sequence[str | None]], rows: Sequence[int], declared: Declared, on_missing: OnMissing
) -> Feature:
    """The groups of one feature among the counted cells.

    :param found: column -> the group's name in each cell
    :param rows: how many rows each cell stands for
    """
    parts = columns_of(name)
    columns = {part: list(found[part]) for part in parts}
    if on_missing == "group":
        columns = {part: [MISSING if group is None else group for group in groups] for part, groups in columns.items()}
    problems = [_missing(part, columns[part], rows) for part in parts]
    if any(problems):
        return Feature(name, problem="; ".join(problem for problem in problems if problem))
    names = _joined(columns)  # type: ignore[arg-type]  # no name is missing any more
    seen = set(names)
    expected = declared[name]
    unknown: Iterable[str] = sorted(seen - set(expected) - {MISSING}) if expected is not None else ()
    if expected is None and len(parts) > 1:
        expected, unknown = _crossed(columns, declared)  # type: ignore[arg-type]
    if unknown:
        return Feature(name, problem=f"{name} has undeclared groups: {listed(list(unknown))}; declare or repair them")
    groups = tuple(sorted({*seen, *(expected or ())}))
    at = {group: position for position, group in enumerate(groups)}
    return Feature(name, groups, tuple(at[group] for group in names))


def listed(texts: Sequence[str]) -> str:
    """The first ten, and how many more there are."""
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def _declared_groups(name: str, groups: Any) -> tuple[str, ...]:
    if isinstance(groups, str | bytes) or not isinstance(groups, Sequence) or not groups:
        raise ConfigurationError(
            f"the groups of {name} must be a list such as [female, male], not {groups!r}", code="setting.wrong"
        )
    names = tuple(group_name(group) or "" for group in groups)
    if len(set(names)) < len(names):
        raise ConfigurationError(f"the groups of {name} name one twice: {', '.join(names)}", code="setting.wrong")
    return names


def _missing(column: str, groups: Sequence[str | None], rows: Sequence[int]) -> str:
    count = sum(n for group, n in zip(groups, rows, strict=True) if group is None)
    if not count:
        return ""
    return (
        f'sensitive column "{column}" has {count} missing values in {sum(rows)} rows; '
        f'repair them, or set missing_sensitive to "group" to judge them as a group of their own'
    )


def _joined(columns: Mapping[str, Sequence[str]]) -> list[str]:
    if len(columns) > 1:
        for part, groups in columns.items():
            if any("*" in group for group in set(groups)):
                raise ConfigurationError(
                    f'a group of "{part}" has * in its name, which joins the names of intersections', code="group.star"
                )
    return ["*".join(names) for names in zip(*columns.values(), strict=True)]


def _crossed(columns: Mapping[str, Sequence[str]], declared: Declared) -> tuple[tuple[str, ...], list[str]]:
    """The intersections that must exist when none are declared: every declared (or seen) group with every other."""
    seen = {part: sorted(set(groups)) for part, groups in columns.items()}
    known = {part: declared.get(part) or tuple(seen[part]) for part in columns}
    unknown = [f"{part} {group}" for part in columns for group in seen[part] if group not in (*known[part], MISSING)]
    return tuple("*".join(combination) for combination in product(*known.values())), unknown
