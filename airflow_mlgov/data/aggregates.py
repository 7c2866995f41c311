"""Aggregates over some of the rows as SQL. They are written as CASE: DuckDB keeps a selection and a copy of its columns
for each FILTER, so that the time and the memory of a query grow with the square of their number."""

from __future__ import annotations


def count_where(condition: str) -> str:
    """How many rows meet a condition."""
    return f"count({where(condition, '1')})"


def where(condition: str, value: str) -> str:
    """The value where the condition holds, else NULL, which aggregates leave out."""
    return f"CASE WHEN {condition} THEN {value} END"
