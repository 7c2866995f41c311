"""Names the rows of a table in Spark by one digest, in whatever order they come; Spark hashes them where they are.
Refuses values without a canonical form."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_mlgov.data.fingerprint import TableFingerprint
from airflow_mlgov.data.spark_sql import Source, quoted
from airflow_mlgov.errors import ConfigurationError

_HEAD = "mlgov-spark-v1"
_AS_IT_IS = "CAST(@ AS STRING)"
_FLOAT = "CASE WHEN @ IS NOT NULL THEN CAST(xxhash64(CAST(@ AS DOUBLE)) AS STRING) END"
_TEXT = "concat(CAST(octet_length(@) AS STRING), ':', @)"
_NESTED = _TEXT.replace("@", "to_json(@, map('ignoreNullFields', 'false'))")
_FORMS = {
    "BOOLEAN": _AS_IT_IS,
    "TINYINT": _AS_IT_IS,
    "SMALLINT": _AS_IT_IS,
    "INTEGER": _AS_IT_IS,
    "BIGINT": _AS_IT_IS,
    "DECIMAL": _AS_IT_IS,
    "FLOAT": _FLOAT,
    "DOUBLE": _FLOAT,
    "VARCHAR": _TEXT,
    "BLOB": "hex(@)",
    "DATE": "CAST(unix_date(@) AS STRING)",
    "TIMESTAMP": "CAST(unix_micros(CAST(@ AS TIMESTAMP)) AS STRING)",
    "TIMESTAMP WITH TIME ZONE": "CAST(unix_micros(@) AS STRING)",
    "NULL": "CAST(NULL AS STRING)",
}
"""DuckDB's type -> Spark's SQL for the text of a column ``@``, NULL where it is."""


def fingerprint_query(source: Source) -> str:
    """What Spark is asked for to bind a table to its rows, in whatever order they come.

    A row's text is its values, joined by commas: ``-`` for a missing one, a number or a truth value as it is written, a
    float as the 64 bits of ``xxhash64`` of it (one to one of 64 bits; one NaN, one zero), a day or a moment as the days
    or microseconds since 1970, a text with its length in bytes and a colon before it. Its SHA-256 is counted in one of
    65,536 parts, each part's hashes are sorted and hashed together, and so are the parts. Nothing is added up: hashes
    that are can be made to collide (Wagner's generalised birthday attack).
    """
    values = ", ".join(_canonical(name, stored) for name, stored in source.columns.items())
    hashed = f"SELECT sha2(concat_ws(',', {values}), 256) AS h FROM {source.sql}"  # noqa: S608 - quoted
    counted = (
        f"SELECT substr(h, 1, 4) AS part, h, count(*) AS n FROM ({hashed}) "  # noqa: S608 - ours
        "GROUP BY substr(h, 1, 4), h"
    )
    parts = (
        "SELECT part, sum(n) AS n, sha2(array_join(array_sort(collect_list(concat(h, ':', n))), ','), 256) AS d "  # noqa: S608
        f"FROM ({counted}) GROUP BY part"
    )
    return (
        "SELECT substr(part, 1, 2) AS part, sum(n) AS n, "  # noqa: S608 - ours
        f"sha2(array_join(array_sort(collect_list(concat(part, ':', d))), ','), 256) AS d FROM ({parts}) "
        "GROUP BY substr(part, 1, 2)"
    )


def fingerprint_of_parts(columns: Mapping[str, str], parts: Sequence[Mapping[str, Any]]) -> TableFingerprint:
    """``sha256("mlgov-spark-v1" || JSON [[[column, type], …], row count] || each part)`` of what
    :func:`fingerprint_query` gives."""
    rows = sum(int(part["n"]) for part in parts)
    digest = hashlib.sha256(_HEAD.encode())
    digest.update(json.dumps([list(columns.items()), rows], separators=(",", ":")).encode())
    for line in sorted(f"{part['part']}:{part['d']}" for part in parts):
        digest.update(f"\n{line}".encode())
    return TableFingerprint(digest.hexdigest(), tuple(columns), rows)


def _canonical(name: str, stored: str) -> str:
    column = quoted(name)
    form = _FORMS.get(stored.partition("(")[0])
    if stored.endswith("]") or stored.startswith("STRUCT"):
        form = None if re.search(r"MAP\(|map<", stored) else _NESTED
    if form is not None:
        return f"coalesce({form.replace('@', column)}, '-')"
    raise ConfigurationError(
        f'column "{name}" holds values of type {stored[:60]}, which have no canonical form to hash; select it as text '
        "in a query",
        code="column.kind",
    )
