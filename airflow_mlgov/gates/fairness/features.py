"""Names the groups of people: sensitive features as declared, their groups as found, intersections. Refuses groups that
nobody declared, and rows without a group unless the policy gives them one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlgov.data.values import Sort, key_of, keys_of
from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np

MISSING = "(missing)"
"""The group of rows whose sensitive value is missing, under ``missing_sensitive: group``."""

UNNAMED = "a group that is not named"
"""One with so few rows that its name could point at a person."""
MOST_NUMBERS = 20
"""A sensitive column with more different numbers holds a quantity."""

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
    hidden: frozenset[int] = frozenset()
    """Positions of groups that nobody declared and that have so few rows that a name could point at a person."""

    @cached_property
    def places(self) -> np.ndarray[Any, Any]:
        """``members`` as an array."""
        import numpy as np

        return np.asarray(self.members, dtype=np.int64)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """What texts call the groups, by position."""
        return tuple(UNNAMED if at in self.hidden else group for at, group in enumerate(self.groups))

    @cached_property
    def positioned(self) -> list[tuple[int, str]]:
        """Position and name of the groups that may be named."""
        return [(at, group) for at, group in enumerate(self.groups) if at not in self.hidden]

    @property
    def named(self) -> list[str]:
        """The groups that may be named."""
        return [group for _, group in self.positioned]

    def positions(self, values: Sequence[Sequence[Any]]) -> list[int]:
        """The positions of the groups that values stand for.

        :param values: for each of the feature's columns, as stored
        """
        at = {group: position for position, group in enumerate(self.groups)}
        columns = [[name or MISSING for name in group_names(column)] for column in values]
        return [at["*".join(row)] for row in zip(*columns, strict=True)]


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
    """Text as written; one name for the numbers 1, 1.0 and Decimal 1; None for a missing value and for text
    of nothing but blanks, which names nobody."""
    key = key_of(value)
    return None if key is None or not key.written.strip() else key.written


def group_names(values: Sequence[Any]) -> tuple[str | None, ...]:
    """The names of one column's values. Text of one length that ends in blanks is a database's CHAR, which fills up
    what it holds: the blanks are not the name's."""
    try:
        keys = keys_of({(type(value), value): value for value in values}.values())
    except TypeError:  # a list or a dictionary, which is refused by name
        keys = keys_of(values)
    texts = {key.value for key in keys.values() if key.sort is Sort.TEXT}
    padded = len({len(text) for text in texts}) == 1 and any(text.endswith(" ") for text in texts)
    padded = padded and len({text.rstrip(" ") for text in texts}) == len(texts)
    names = {value: key.written.rstrip(" ") if padded else key.written for value, key in keys.items()}
    return tuple(map({value: name for value, name in names.items() if name.strip()}.get, values))


def find_groups(
    name: str,
    found: Mapping[str, Sequence[str | None]],
    rows: Sequence[int],
    declared: Declared,
    on_missing: OnMissing,
    *,
    suppress_below: int = 1,
    numbers: Collection[str] = (),
) -> Feature:
    """The groups of one feature among the counted cells.

    :param found: column -> the group's name in each cell
    :param rows: how many rows each cell stands for
    :param suppress_below: rows below which a group that nobody declared is not named
    :param numbers: columns that hold numbers, which are a quantity if they are many
    """
    parts = columns_of(name)
    columns = {part: list(found[part]) for part in parts}
    if on_missing == "group":
        columns = {part: [MISSING if group is None else group for group in groups] for part, groups in columns.items()}
    problems = [_missing(part, columns[part], rows) for part in parts]
    if any(problems):
        return Feature(name, problem="; ".join(problem for problem in problems if problem))
    if declared[name] is None:
        problems = [_quantity(part, columns[part], declared) for part in parts if part in numbers]
        if any(problems):
            return Feature(name, problem="; ".join(filter(None, problems)))
    names = _joined(columns)  # type: ignore[arg-type]  # no name is missing any more
    seen = set(names)
    expected = declared[name]
    unknown: Iterable[str] = sorted(seen - set(expected) - {MISSING}) if expected is not None else ()
    if expected is None and len(parts) > 1:
        expected, unknown = _crossed(columns, declared)  # type: ignore[arg-type]
    size = _sizes(names, rows)
    if unknown:
        few = [group for group in unknown if size.get(group, suppress_below) < suppress_below]
        shown = listed([group for group in unknown if group not in few])
        more = f"{' and ' if shown else ''}{len(few)} of fewer than {suppress_below} rows each" if few else ""
        return Feature(name, problem=f"{name} has undeclared groups: {shown}{more}; declare or repair them")
    groups = tuple(sorted({*seen, *(expected or ())}))
    at = {group: position for position, group in enumerate(groups)}
    hidden = frozenset[int]()
    if declared[name] is None:
        rare = {part: _rare(columns[part], rows, declared.get(part), suppress_below) for part in parts}  # type: ignore[arg-type]
        hidden = frozenset(
            at[group] for group in groups if 0 < size.get(group, 0) < suppress_below or _has_rare(group, parts, rare)
        )
    return Feature(name, groups, tuple(at[group] for group in names), hidden=hidden)


def listed(texts: Sequence[str]) -> str:
    """The first ten, and how many more there are."""
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def _sizes(names: Sequence[str], rows: Sequence[int]) -> Counter[str]:
    sizes = Counter[str]()
    for group, count in zip(names, rows, strict=True):
        sizes[group] += count
    return sizes


def _rare(names: Sequence[str], rows: Sequence[int], declared: Sequence[str] | None, below: int) -> set[str]:
    """The groups of one column that have few rows and that nobody declared."""
    known = {*(declared or ()), MISSING}
    return {group for group, count in _sizes(names, rows).items() if count < below and group not in known}


def _has_rare(group: str, parts: Sequence[str], rare: Mapping[str, Collection[str]]) -> bool:
    each = group.split("*") if len(parts) > 1 else [group]
    return any(name in rare[part] for part, name in zip(parts, each, strict=True))


def _quantity(column: str, names: Sequence[str | None], declared: Declared) -> str:
    """Why a column of numbers is no column of groups; empty if it is one."""
    many = len(set(names) - {MISSING})
    if many <= MOST_NUMBERS or declared.get(column) is not None:
        return ""
    return (
        f'"{column}" holds {many} different numbers: a quantity is no group, so cut it by bins, at its edges '
        f"(bins: {{{column}: [25, 45, 65]}}, --bins {column}=25,45,65) or into so many of equal size "
        f"(bins: {{{column}: 4}}); if the numbers are codes of groups, declare the groups"
    )


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
    if None not in groups:
        return ""
    count = sum(n for group, n in zip(groups, rows, strict=True) if group is None)
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
