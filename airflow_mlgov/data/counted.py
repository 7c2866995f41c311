"""Rows of a database or of Spark as counts: which values come together, and how often, by one GROUP BY where the rows
are. Says that it cannot where the different rows are many: those are copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.fingerprint import aggregate_subject
from airflow_mlgov.data.memory import require_memory

if TYPE_CHECKING:
    import pandas as pd

    from airflow_mlgov.data.relation import Relation
    from airflow_mlgov.results import Subject

MOST = 200_000
"""Different rows up to which counts leave a database."""


@dataclass(frozen=True)
class Counted:
    """What was counted."""

    name: str
    columns: tuple[str, ...]
    cells: Sequence[tuple[Any, ...]]
    """The columns' values as stored, and how many rows have them."""

    @property
    def subject(self) -> Subject:
        """The data set as far as it was counted."""
        return aggregate_subject(self.name, self.cells)

    def frame(self) -> pd.DataFrame:
        """All the rows again, equal ones beside each other; their own order nobody knows.

        :raises MemoryLimitError: they do not fit into memory
        """
        import numpy as np
        import pandas as pd

        counts = [row[-1] for row in self.cells]
        require_memory(8 * len(self.columns) * sum(counts), self.name)
        ordered = sorted(range(len(self.cells)), key=lambda at: [_key(value) for value in self.cells[at][:-1]])
        place = np.repeat(ordered, [counts[at] for at in ordered])
        held = {name: pd.Series([row[at] for row in self.cells]) for at, name in enumerate(self.columns)}
        return pd.DataFrame({name: values.take(place).reset_index(drop=True) for name, values in held.items()})


def count_rows(relation: Relation, columns: Sequence[str]) -> Counted | None:
    """The rows of a database or of Spark as counts; None of what lies here, and where different rows are many or none.

    :raises ConfigurationError: a column is missing
    """
    if relation.is_local:
        return None
    relation.require(*columns)
    listing = ", ".join(f"c.{relation.quote(name)}" for name in columns)
    cells = relation.rows(
        f"SELECT {listing}, COUNT(*) FROM {relation.sql} c GROUP BY {listing} LIMIT {MOST + 1}"  # noqa: S608 - quoted
    )
    return Counted(relation.name, tuple(columns), cells) if 0 < len(cells) <= MOST else None


def _key(value: Any) -> tuple[str, str]:
    return type(value).__name__, str(value)
