"""Generates the tables that every contender reads: the same bytes for the same number of rows and version of DuckDB.
Refuses nothing and downloads nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

COUNTRIES = ("AT", "BE", "CH", "DE", "DK", "ES", "FR", "IT")
EMAIL = r"[a-z0-9.]+@[a-z]+\.(com|org)$"

# draw(i, k) is a number that nothing but i and k decides: the k-th of row i.
_PREDICTIONS = """
SELECT 'group ' || draw(i, 1) % 20 AS race,
       'district ' || draw(i, 2) % 200 AS district,
       CASE WHEN draw(i, 3) % 2 = 0 THEN 'female' ELSE 'male' END AS sex,
       CAST(draw(i, 4) % 100 < 45 + draw(i, 1) % 20 % 5 AS BIGINT) AS label,
       CAST(CASE WHEN draw(i, 5) % 10 < 8 THEN draw(i, 4) % 100 < 45 + draw(i, 1) % 20 % 5
                 ELSE draw(i, 6) % 100 < 48 + 2 * (draw(i, 3) % 2) END AS BIGINT) AS prediction,
       round(0.3 * (draw(i, 4) % 100 < 45)::INTEGER + 0.7 * (draw(i, 7) % 1000003) / 1000003.0, 6)::DOUBLE AS score
FROM range({rows}) numbers(i)
"""
_CROWD = _PREDICTIONS.replace(
    "FROM range",
    ", 'cell ' || draw(i, 8) % 1000 AS cell, 'street ' || draw(i, 9) % 100 AS street, 'house ' || draw(i, 10) % 100 "
    'AS house, (xor(i, 1234567)::DOUBLE + 0.5) / {rows} AS "distinct", (draw(i, 11) % 50)::BIGINT AS kind, '
    "(draw(i, 12) % 50)::BIGINT AS said\nFROM range",
)
_PEOPLE = f"""
SELECT xor(i, 1234567) AS id,
       CASE WHEN draw(i, 1) % 500 > 0 THEN 18 + draw(i, 2) % 73 END::BIGINT AS age,
       (CASE WHEN draw(i, 3) % 1000 > 0 THEN 1 ELSE -1 END * (draw(i, 4) % 200000))::DOUBLE AS income,
       'u' || draw(i, 5) % 100000000
           || CASE WHEN draw(i, 6) % 1000 > 0 THEN '@mail.com' ELSE ' at mail' END AS email,
       {list(COUNTRIES)}[1 + (draw(i, 7) % {len(COUNTRIES)})::INTEGER] AS country,
       (draw(i, 8) % 1000003)::DOUBLE / 1000003 AS score,
       (draw(i, 9) % 1000003 + draw(i, 10) % 1000003)::DOUBLE / 1000 AS amount,
       'city ' || draw(i, 11) % 500 AS city,
       draw(i, 12) % 3 = 0 AS active
FROM range({{rows}}) numbers(i)
"""

SUITE: dict[str, Any] = {
    "name": "people",
    "expectations": [
        {"type": kind, "kwargs": kwargs, "severity": "critical"}
        for kind, kwargs in (
            (
                "expect_table_columns_to_match_set",
                {"column_set": ["id", "age", "income", "email", "country", "score", "amount", "city", "active"]},
            ),
            ("expect_table_row_count_to_be_between", {"min_value": 1000, "max_value": 1_000_000_000}),
            ("expect_column_values_to_not_be_null", {"column": "id"}),
            ("expect_column_values_to_not_be_null", {"column": "age", "mostly": 0.99}),
            ("expect_column_values_to_be_unique", {"column": "id"}),
            ("expect_column_values_to_be_between", {"column": "age", "min_value": 18, "max_value": 90}),
            ("expect_column_values_to_be_between", {"column": "income", "min_value": 0, "mostly": 0.99}),
            ("expect_column_values_to_match_regex", {"column": "email", "regex": EMAIL, "mostly": 0.99}),
            ("expect_column_values_to_be_in_set", {"column": "country", "value_set": list(COUNTRIES)}),
            ("expect_column_mean_to_be_between", {"column": "score", "min_value": 0.45, "max_value": 0.55}),
            ("expect_column_stdev_to_be_between", {"column": "amount", "min_value": 350, "max_value": 450}),
            ("expect_column_proportion_of_unique_values_to_be_between", {"column": "city", "max_value": 0.6}),
        )
    ],
}
"""Twelve expectations, of every kind that a suite commonly has."""


def predictions(folder: Path, rows: int) -> Path:
    """Predictions: ``race`` (20 groups), ``district`` (200), ``sex``, ``label``, ``prediction``, ``score``."""
    return _written(folder / f"predictions-{rows}.parquet", _PREDICTIONS.format(rows=rows))


def crowd(folder: Path, rows: int) -> Path:
    """Predictions with further columns: ``cell`` (1,000 slices), ``street`` and ``house`` (100 groups each),
    ``distinct`` scores, ``kind`` and ``said`` (label and prediction of 50 classes)."""
    return _written(folder / f"crowd-{rows}.parquet", _CROWD.format(rows=rows))


def people(folder: Path, rows: int) -> Path:
    """A table of nine columns that meets :data:`SUITE`, with some nulls and bad values that it allows."""
    return _written(folder / f"people-{rows}.parquet", _PEOPLE.format(rows=rows))


def wide(folder: Path, rows: int, columns: int) -> Path:
    """Numbers, whole numbers and words by turns: ``c0``, ``c1``, ``c2`` …"""
    kinds = ("(draw(i, {0}) % 1000003) / 1000.0", "(draw(i, {0}) % 1000)::BIGINT", "'v' || draw(i, {0}) % 50")
    listing = ", ".join(f"{kinds[at % 3].format(at)} AS c{at}" for at in range(columns))
    return _written(folder / f"wide-{rows}-{columns}.parquet", f"SELECT {listing} FROM range({rows}) numbers(i)")


def numbers(folder: Path, rows: int, columns: int, name: str, shift: float = 0.0) -> Path:
    """Floats: ``c0``, ``c1`` …, moved by ``shift``."""
    listing = ", ".join(f"(draw(i, {at}) % 1000003) / 1000003.0 + {shift} AS c{at}" for at in range(columns))
    path = folder / f"numbers-{name}-{rows}-{columns}.parquet"
    return _written(path, f"SELECT {listing} FROM range({rows}) numbers(i)")


def addresses(folder: Path, rows: int, name: str, begin: int) -> Path:
    """Four columns of text, no row of which stands twice."""
    listing = (
        "md5(i::VARCHAR) AS name, 'street ' || draw(i, 1) % 100000 AS street, 'city ' || draw(i, 2) % 500 AS city, "
        "'country ' || draw(i, 3) % 9 AS country"
    )
    path = folder / f"addresses-{name}-{rows}.parquet"
    return _written(path, f"SELECT {listing} FROM range({begin}, {begin + rows}) numbers(i)")


def people_as_csv(folder: Path, rows: int, packed: str = "") -> Path:
    """:func:`people` as csv: without its texts, whose quotes and signs are not what is measured.

    :param packed: ``.gz`` or nothing
    """
    query = (
        f"SELECT id, age, income, country, round(score, 6) AS score, city FROM read_parquet('{people(folder, rows)}')"
    )
    return _written(folder / f"people-{rows}.csv{packed}", query, "csv, HEADER" + ", COMPRESSION gzip" * bool(packed))


def in_folders(folder: Path, files: int) -> Path:
    """Parquet files of 1,000 rows in ``day=…`` folders."""
    home = folder / f"folders-{files}"
    for day in range(files):
        listing = f"i AS id, draw(i, {day}) % 1000 / 10.0 AS amount, 'w' || draw(i, 3) % 9 AS word"
        _written(home / f"day={day}" / "part.parquet", f"SELECT {listing} FROM range(1000) numbers(i)")
    return home


def _written(path: Path, query: str, form: str = "parquet") -> Path:
    if path.exists():
        return path
    import duckdb

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with duckdb.connect() as connection:
        connection.execute("CREATE MACRO draw(i, k) AS hash(i * 16 + k)")
        connection.execute(f"COPY ({query}) TO '{part}' (FORMAT {form})")
    part.rename(path)
    return path
