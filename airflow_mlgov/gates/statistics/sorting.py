"""Scores of a table sorted by side (a label, a label of a group): in memory, or by DuckDB into a mapped file where the
memory limit says so. Both give the same numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.arrow_numbers import numbers_of

if TYPE_CHECKING:
    import numpy as np

    from airflow_mlgov.data.duck import DuckTable

    Array = np.ndarray[Any, Any]


def sorted_in_memory(table: DuckTable, query: str, sizes: Array) -> list[Array]:
    """The scores of each side, ascending.

    :param query: gives ``score`` and ``side`` of each row
    :param sizes: rows of each side
    """
    import numpy as np

    ends = np.cumsum(sizes)
    found, filled = np.empty(int(ends[-1])), ends - sizes
    kind = np.uint8 if len(sizes) < 1 << 8 else np.uint16 if len(sizes) < 1 << 16 else np.int64
    for batch in table.batches(query):
        scores, side = map(numbers_of, batch.columns)
        order = np.argsort(side.astype(kind), kind="stable")  # of 16 bits, a stable sort is a radix sort
        counts = np.bincount(side, minlength=len(sizes))
        place = np.arange(len(order)) + np.repeat(filled - (np.cumsum(counts) - counts), counts)
        found[place] = scores[order]
        filled = filled + counts
    parts = np.split(found, ends[:-1])
    for part in parts:
        part.sort()
    return parts


def sorted_in_file(table: DuckTable, query: str, sizes: Array) -> list[Array]:
    """The same in a file that goes away with the table's DuckDB."""
    import numpy as np

    path = table.duck.scratch / f"scores-{len(list(table.duck.scratch.iterdir()))}"
    with path.open("wb") as file:
        for batch in table.batches(f"SELECT score FROM ({query}) ORDER BY side, score"):  # noqa: S608 - ours
            file.write(numbers_of(batch.column(0)).tobytes())
    found = np.memmap(path, dtype=np.float64, mode="r")
    return np.split(found, np.cumsum(sizes)[:-1])
