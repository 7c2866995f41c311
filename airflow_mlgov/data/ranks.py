"""Counts rows by combinations of few values: each value is its rank among those of its column, a combination one whole
number, so that rows are counted by adding and come in the order of their lines. Leaves to others what is too wide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.arrow_numbers import array_of, numbers_of
from airflow_mlgov.data.quoting import identifier

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from airflow_mlgov.data.duck import DuckTable

    Numbers = np.ndarray[Any, Any]

_CELLS = 1 << 21
"""Combinations that can be, each of which takes 8 bytes."""
_WORTH = 500_000
"""Rows of which fewer are counted as fast by their texts."""
_MANY = 1 << 16
"""Combinations of which fewer are counted as fast by their texts."""
_ROWS = 1 << 20
_LINES = 1 << 14
_FEW = 1 << 14
_VALUES, _RANKS = "mlgov_values", "mlgov_ranks"
_LOW = "regexp_matches(t, '[\\x00-\\x08]')"
"""What sorts before a tab, with which a text is followed by what is more than it."""


def count_by_ranks(table: DuckTable, written: Mapping[str, str]) -> Iterator[tuple[pa.Array, Numbers]] | None:
    """The lines of all rows in the order of their bytes and how many rows have each, some at a time; a line is a row's
    texts with tabs between them and an end. None where they are to be counted otherwise.

    :param written: column -> SQL for the text of a value ``v`` of its: never NULL, without tab and line end
    """
    named = [identifier(column) for column in written]
    about = ", ".join(f"approx_count_distinct({name})" for name in named)
    ((rows, *about_each),) = table.rows(f"SELECT count(*), {about} FROM {table.sql}")  # noqa: S608 - quoted
    if rows < _WORTH or not _MANY <= _product(about_each) <= 2 * _CELLS:
        return None
    keys = [f"k{at}" for at in range(len(named))]
    inner = ", ".join(f"{name} AS {key}" for name, key in zip(named, keys, strict=True))
    sets = ", ".join(f"({key})" for key in keys)
    table.rows(
        f"CREATE OR REPLACE TEMP TABLE {_VALUES} AS SELECT {', '.join(keys)}, GROUPING_ID({', '.join(keys)}) AS g "  # noqa: S608
        f"FROM (SELECT {inner} FROM {table.sql}) GROUP BY GROUPING SETS ({sets})"
    )
    texts = []
    for at, (key, text) in enumerate(zip(keys, written.values(), strict=True)):
        only = (1 << len(keys)) - 1 - (1 << (len(keys) - 1 - at))
        table.rows(
            f"CREATE OR REPLACE TEMP TABLE {_RANKS}_{at} AS SELECT v, t, dense_rank() OVER (ORDER BY t) - 1 AS r "  # noqa: S608
            f"FROM (SELECT v, {text} AS t FROM (SELECT {key} AS v FROM {_VALUES} WHERE g = {only}))"
        )
        found = table.rows(f"SELECT DISTINCT r, t, {_LOW} FROM {_RANKS}_{at} ORDER BY r")  # noqa: S608 - ours
        if any(is_low for _, _, is_low in found):
            return None
        texts.append([each for _, each, _ in found])
    if _product(map(len, texts)) > _CELLS:
        return None
    return _lines(_counted(table, named, texts), texts)


def _counted(table: DuckTable, named: list[str], texts: list[list[str]]) -> Numbers:
    """How many rows each combination has, by its number."""
    import numpy as np

    place, size = "0", 1
    joined = [f"(SELECT {', '.join(f'{name} AS k{at}' for at, name in enumerate(named))} FROM {table.sql})"]  # noqa: S608
    for at, each in enumerate(texts):
        place, size = f"({place} * {len(each)} + r{at}.r)", size * len(each)
        joined.append(f"LEFT JOIN {_RANKS}_{at} r{at} ON k{at} IS NOT DISTINCT FROM r{at}.v")
    counts = np.zeros(size, np.int64)
    for batch in table.batches(f"SELECT {place}::BIGINT FROM {' '.join(joined)}", _ROWS):  # noqa: S608 - quoted
        counts += np.bincount(numbers_of(batch.column(0)), minlength=size)
    return counts


def _lines(counts: Numbers, texts: list[list[str]]) -> Iterator[tuple[pa.Array, Numbers]]:
    import numpy as np
    import pyarrow.compute as pc

    there, parts = np.flatnonzero(counts), _joined(texts)
    arrays, empty = [_texts(each) for each in parts], _texts([""])[0]  # pyarrow.scalar imports pandas
    for start in range(0, len(there), _LINES):
        some = there[start : start + _LINES]
        ranks, rest = [], some
        for each in reversed(parts):
            rest, rank = np.divmod(rest, len(each))
            ranks.append(array_of(rank))
        taken = [array.take(rank) for array, rank in zip(arrays, reversed(ranks), strict=True)]
        yield pc.binary_join_element_wise(*taken, empty), counts[some]


def _joined(texts: list[list[str]]) -> list[list[str]]:
    """The texts with what is behind them; neighbouring columns whose combinations are few are one."""
    parts = [[""]]
    for at, each in enumerate(texts):
        ended = [text + ("\t" if at + 1 < len(texts) else "\n") for text in each]
        if len(parts[-1]) * len(ended) <= _FEW:
            parts[-1] = [before + text for before in parts[-1] for text in ended]
        else:
            parts.append(ended)
    return parts


def _texts(values: list[str]) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    held = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, held)]).astype("<i8")
    return pa.Array.from_buffers(pa.large_string(), len(held), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(held))])


def _product(numbers: Any) -> int:
    found = 1
    for number in numbers:
        found *= max(int(number), 1)
    return found
