"""What a value is when two are compared: its sort, and its value within it. Text is text as written, a number is its
exact value whatever holds it, and a truth value is no number. Refuses lists and structs, which are no one value."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from airflow_mlgov.data.relation import ColumnKind
from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_mlgov.data.relation import Relation

_ONE = {"sensitive": "group", "row_id": "row's name"}
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][-+]?[0-9]{1,3})?")
_SHOWN = 10
_EXACT_FLOAT = 1e15
"""Whole floats below it are written without a point."""


class Sort(StrEnum):
    """Values of two sorts are never the same."""

    NUMBER = "numbers"
    TRUTH = "truth values"
    TEXT = "text"
    MOMENT = "points in time"
    OTHER = "values of another type"


_CLASSES: tuple[tuple[Any, Sort], ...] = (
    (bool, Sort.TRUTH),
    ((int, float, Decimal), Sort.NUMBER),
    ((str, UUID), Sort.TEXT),
    ((date, time, timedelta), Sort.MOMENT),
    (bytes, Sort.OTHER),
)


class Key(NamedTuple):
    """A value as it is compared: equal keys are one label, group, slice or name of a row."""

    sort: Sort
    value: Any

    @property
    def written(self) -> str:
        """As evidence and messages name it; different keys of one sort are written differently."""
        return written(self)


_OF_VALUES = (
    "label.not_binary", "label.positive_undeclared", "label.positive_unknown", "score.kind", "score.not_yes_or_no",
    "value.types",
)  # fmt: skip
"""Refusals that one word in a column of numbers may have brought about."""

_SORTS = {
    ColumnKind.BOOLEAN: Sort.TRUTH,
    ColumnKind.INTEGER: Sort.NUMBER,
    ColumnKind.DECIMAL: Sort.NUMBER,
    ColumnKind.FLOAT: Sort.NUMBER,
    ColumnKind.TEXT: Sort.TEXT,
    ColumnKind.DATE: Sort.MOMENT,
    ColumnKind.TIME: Sort.MOMENT,
    ColumnKind.TIMESTAMP: Sort.MOMENT,
}


def key_of(value: Any) -> Key | None:
    """The value as it is compared; None for a missing one.

    :raises ConfigurationError: it is a list or a struct
    """
    value = value.item() if hasattr(value, "item") and hasattr(value, "dtype") and not _is_array(value) else value
    if value is None or type(value).__name__ == "NAType":
        return None
    for classes, sort in _CLASSES:
        if isinstance(value, classes):
            missing = value.is_nan() if isinstance(value, Decimal) else value != value  # as NaN and NaT are
            return None if missing else Key(sort, str(value) if isinstance(value, UUID) else value)
    if not isinstance(value, Hashable) or isinstance(value, tuple | frozenset) or _is_array(value):
        raise ConfigurationError(
            f"a value is a list or a struct ({type(value).__name__}), which is no label, group or slice: name a "
            "column of single values",
            code="column.nested",
        )
    return Key(Sort.OTHER, value)


def keys_of(values: Iterable[Any]) -> dict[Any, Key]:
    """Value of one column as stored -> as it is compared, of those that are not missing."""
    keys = ((value, key_of(value)) for value in values)
    return {value: key for value, key in keys if key is not None}


def written(key: Key) -> str:
    """See :attr:`Key.written`."""
    value = key.value
    if key.sort is Sort.TRUTH:
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if abs(value) < _EXACT_FLOAT and value.is_integer() else repr(value)
    if isinstance(value, Decimal) and value.is_finite():
        return str(int(value)) if value == value.to_integral_value() else f"{value.normalize():f}"
    return value.hex() if isinstance(value, bytes) else str(value)


def shown(keys: Iterable[Key]) -> str:
    """The first ten for a message, in order, and how many more there are."""
    texts = [quoted(key) for key in in_order(set(keys))]
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def quoted(key: Key) -> str:
    """As written; in quotes where its ends could not be seen otherwise."""
    text = key.written
    return repr(text) if key.sort is Sort.TEXT and (text != text.strip() or not text) else text


def in_order(keys: Iterable[Key]) -> list[Key]:
    """Numbers by value, then the others as written."""
    numbers: list[Key] = []
    others: list[Key] = []
    for key in keys:
        (numbers if key.sort is Sort.NUMBER else others).append(key)
    return [*sorted(numbers, key=lambda key: key.value), *sorted(others, key=lambda key: (key.sort, key.written))]


def meant(given: Any, among: Collection[Key]) -> Key | None:
    """What a person's word (of a policy, a suite, a command line) means beside the values of a column: it is read as
    their sort. A number in quotes is that number among numbers, and ``01`` is none; ``true`` is a truth value among
    truth values, and so are 1 and 0, because somebody says so.

    :param among: the column's values; of one sort if it is a sound column
    """
    key = key_of(given)
    if key is None or key in among:
        return key
    sorts = {each.sort for each in among}
    if key.sort in sorts or not sorts:
        return key
    text = key.written
    if Sort.TRUTH in sorts and text.casefold() in ("true", "false", "1", "0"):
        return Key(Sort.TRUTH, text.casefold() in ("true", "1"))
    if Sort.NUMBER in sorts and text.casefold() in ("true", "false"):
        return Key(Sort.NUMBER, int(text.casefold() == "true"))
    if Sort.NUMBER in sorts and key.sort is Sort.TEXT and (number := number_in(text)) is not None:
        return Key(Sort.NUMBER, number)
    same = [each for each in among if each.written == text]
    if not same and key.sort is Sort.TRUTH:
        same = [each for each in among if each.written.casefold() == text]
    if len(same) == 1:
        return same[0]
    return Key(Sort.TEXT, text) if sorts == {Sort.TEXT} else key


def number_in(text: str) -> int | Decimal | None:
    """The number that a text is, written plainly; None for ``01``, ``1_0``, ``+1`` and whatever else is text."""
    if not _PLAIN_NUMBER.fullmatch(text):
        return None
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() and abs(number) < Decimal(10) ** 60 else number


def require_one_sort(columns: Mapping[str, Collection[Key]], what: str) -> Sort | None:
    """The sort that the values of several columns share; None if there is no value at all.

    :param columns: how messages call a column -> its values
    :param what: what they are compared as: ``labels``
    :raises ConfigurationError: they are of two sorts
    """
    found: dict[Sort, str] = {}
    for name, keys in columns.items():
        for sort in sorted({key.sort for key in keys}):
            found.setdefault(sort, f"{name} holds {sort} ({shown(key for key in keys if key.sort is sort)})")
    if len(found) > 1:
        raise ConfigurationError(
            f"{' and '.join(found.values())}: {what} are compared as the type of their column, so these are never the "
            f"same; give both one type, by {_mend(found)}",
            code="value.types",
        )
    return next(iter(found), None)


def _mend(found: Mapping[Sort, str]) -> str:
    if Sort.TEXT in found and Sort.NUMBER in found:
        return "types of the csv's column (types: {column: text}, or int64), or a cast where the data is made"
    return "a cast where the data is made, or types of the csv's column"


def require_plain(relation: Relation, columns: Mapping[str, str]) -> None:
    """Refuse columns of lists and structs.

    :param columns: column -> what it serves as, such as ``label``
    :raises ConfigurationError: one is
    """
    kinds = relation.columns
    for name, role in columns.items():
        if kinds.get(name) is ColumnKind.NESTED:
            raise ConfigurationError(
                f'the {role} column "{name}" of {relation.name} holds lists or structs, and a '
                f"{_ONE.get(role, role)} is one value: name a column of single values, or take them apart in a query",
                code="column.nested",
            )


def require_numbers(relation: Relation, columns: Mapping[str, str]) -> None:
    """Refuse columns that hold something else than numbers, with what stands in the way where that can be told.

    :param columns: column -> what it serves as, such as ``score``
    :raises ConfigurationError: one does
    """
    kinds = relation.columns
    for name, role in columns.items():
        if _SORTS.get(kinds.get(name, ColumnKind.UNKNOWN), Sort.NUMBER) is not Sort.NUMBER or (
            kinds.get(name) is ColumnKind.NESTED
        ):
            if not relation.rows(f"SELECT 1 FROM {relation.sql} LIMIT 1"):  # noqa: S608 - ours
                raise ConfigurationError(f"{relation.name} has a header and no rows", code="data.empty")
            remark = relation.remark(name)
            raise ConfigurationError(
                f'{role} column "{name}" must hold numbers, not {kinds[name]}' + (f": {remark}" if remark else ""),
                code="column.not_numeric",
            )


@contextmanager
def explained(relation: Relation, columns: Iterable[str | None]) -> Iterator[None]:
    """Refusals of labels and scores say too which word makes a csv's column text, if one does.

    :raises ConfigurationError: as it came, with the remark behind it
    """
    try:
        yield
    except ConfigurationError as error:
        if error.code not in _OF_VALUES:
            raise
        named = [name for name in dict.fromkeys(columns) if name is not None and name in relation.columns]
        remarks = [remark for name in named if (remark := relation.remark(name))]
        if not remarks:
            raise
        raise type(error)("; ".join([str(error), *remarks]), code=error.code) from None


def require_comparable(one: Relation, other: Relation, column: str, role: str) -> None:
    """Refuse a column that two data sets hold as different sorts: an engine would cast one of them.

    :raises ConfigurationError: one holds text and the other numbers, say
    """
    sorts = [_SORTS.get(each.columns.get(column, ColumnKind.UNKNOWN)) for each in (one, other)]
    text_and_time = {Sort.TEXT, Sort.MOMENT}  # csv holds dates as text
    if None not in sorts and len(set(sorts)) > 1 and set(sorts) != text_and_time:
        raise ConfigurationError(
            f'the {role} column "{column}" holds {sorts[0]} in {one.name} and {sorts[1]} in {other.name}, which are '
            f"never the same; give both one type, by types of the csv's column (types: {{{column}: text}}) or a cast "
            "where the data is made",
            code="value.types",
        )


def _is_array(value: Any) -> bool:
    return getattr(value, "ndim", 0) > 0
