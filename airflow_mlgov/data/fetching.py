"""Rows some at a time: as many as a small part of the memory limit holds, whatever their length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from airflow_mlgov.data.limits import deadline
from airflow_mlgov.data.memory import allowed_memory

_MOST_ROWS = 5_000
_FIRST = 16
_GROWS = 4
_SHARE = 16
"""What part of the limit rows take that are fetched at a time: each is held several times on its way."""
_VALUE = 56
"""Bytes of an object beside what it holds."""


def fetched(fetch: Callable[[int], Sequence[Sequence[Any]]]) -> Iterator[Sequence[Any]]:
    """The rows of a cursor.

    :param fetch: the next rows, at most so many
    :raises TimeLimitError: the deadline came
    """
    until, most, at_once = deadline(), allowed_memory() // _SHARE, _FIRST
    while rows := fetch(at_once):
        until.check("reading the rows of a table")
        size = max(1, sum(map(size_of, rows)) // len(rows))
        at_once = max(1, min(_MOST_ROWS, _GROWS * at_once, most // size))
        yield from rows


def batched(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    """The same of rows that come one by one."""
    most, batch, size = allowed_memory() // _SHARE, [], 0
    for row in rows:
        batch.append(row)
        size += size_of(row)
        if len(batch) >= _MOST_ROWS or size >= most:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def size_of(row: Sequence[Any]) -> int:
    """About how many bytes a row takes."""
    return sum(_VALUE + (len(value) if isinstance(value, str | bytes) else 0) for value in row)
