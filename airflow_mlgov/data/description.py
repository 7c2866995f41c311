"""What a data set's columns are read as, how many values are missing, and what stands in the way of a number; with a
draft of the declaration that says so. Shows no values but words that stand again and again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from airflow_mlgov.data.reading import PLAIN, Reading, word_of
from airflow_mlgov.data.source import require_declared, source_of

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS_OF_YAML = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


@dataclass(frozen=True)
class DescribedColumn:
    """One column."""

    name: str
    type: str
    """As a declaration calls it."""
    missing: int
    declared: bool = False
    remark: str = ""
    """Why it is text though nearly all its values are numbers, and what mends it."""


@dataclass(frozen=True)
class Description:
    """A data set's columns."""

    name: str
    rows: int
    columns: tuple[DescribedColumn, ...]
    reading: Reading
    is_text: bool
    """Whether it is csv, so that types can be declared."""

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        columns = [vars(column) for column in self.columns]
        return {"data": self.name, "rows": self.rows, "columns": columns, "declaration": self.declaration}

    @property
    def declaration(self) -> dict[str, Any]:
        """What would fix the reading as it is, by the names of policy, suite, operators and command line; nothing of
        data that has types."""
        if not self.is_text:
            return {}
        others = {name: value for name, value in self.reading.said.items() if name != "types"}
        return {"types": {column.name: column.type for column in self.columns}, **others}

    @property
    def draft(self) -> str:
        """The declaration in YAML, with the remarks as comments."""
        found = self.declaration
        if not found:
            return ""
        remarks = {column.name: column.remark for column in self.columns}
        lines = ["types:"]
        for name, kind in found["types"].items():
            lines += [f"  # {remarks[name]}"] if remarks[name] else []
            lines.append(f"  {_key(name)}: {kind}")
        lines += [
            f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in found.items() if name != "types"
        ]
        return "\n".join(lines) + "\n"


def describe(data: Any, reading: Reading = PLAIN) -> Description:
    """The columns of a data set.

    :param data: whatever :func:`airflow_mlgov.data.source.source_of` takes
    :raises ConfigurationError: it cannot be read as it is declared; the message says what it seems to be instead
    :raises AccessError: the file system or the database refuses
    :raises DependencyError: it changed while it was read
    """
    with source_of(data, reading).open() as relation:
        if reading.types:
            require_declared(relation, reading)
        table = relation.in_duckdb()
        files = table.as_files()
        counted = ", ".join(f"count(*) - count({table.quote(name)})" for name in table.types)
        rows, *missing = table.rows(f"SELECT count(*), {counted} FROM {table.sql}")[0]  # noqa: S608 - quoted
        columns = tuple(
            DescribedColumn(name, word_of(stored), count, name in reading.types, table.remark(name))
            for (name, stored), count in zip(table.types.items(), missing, strict=True)
        )
        return Description(relation.name, int(rows), columns, reading, files is not None and files.is_text)


def as_text(found: Description) -> str:
    """The columns as a table for a terminal."""
    rows = [("column", "type", "missing", "")]
    rows += [
        (column.name, column.type + (" (declared)" if column.declared else ""), str(column.missing), column.remark)
        for column in found.columns
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(3)]
    lines = [f"{found.name}: {found.rows} rows, {len(found.columns)} columns"]
    lines += ["  ".join([*(row[at].ljust(widths[at]) for at in range(3)), row[3]]).rstrip() for row in rows]
    return "\n".join(lines)


def _key(name: str) -> str:
    plain = _PLAIN_KEY.fullmatch(name) and name.lower() not in _WORDS_OF_YAML
    return name if plain else json.dumps(name, ensure_ascii=False)
