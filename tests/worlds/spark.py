"""The same rows in a file and in Spark, and what a gate says of both."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_mlgov.data.spark import SparkSource
from airflow_mlgov.results import Check, GateResult

NFC, NFD = "\u00e9", "e\u0301"
MOMENT = datetime(2020, 2, 29, 23, 59, 59, 999_999)
AWKWARD = pa.table(
    {
        "whole": pa.array([2**53 + 1, 2**53, -(2**63), 2**63 - 1, 0, None, 7, 7], pa.int64()),
        "small": pa.array([1, -128, 127, None, 0, 1, 2, 3], pa.int8()),
        "real": pa.array([math.nan, math.inf, -math.inf, -0.0, 1e300, 5e-324, None, 0.1], pa.float64()),
        "even": pa.array([0.1, 0.2, 0.3, 1e9 + 0.125, -2.5, 1e-9, None, math.nan], pa.float64()),
        "single": pa.array([0.1, 0.2, math.nan, None, 3.5, -1.0, 16_777_216.0, 0.7], pa.float32()),
        "cost": pa.array([Decimal("0.10"), Decimal("-3.35"), None, *[Decimal("99999999.9")] * 5], pa.decimal128(10, 2)),
        "wide": pa.array([Decimal("1234567890123456789012345678.1234567891"), None, *[Decimal(1)] * 6],
                         pa.decimal128(38, 10)),
        "text": pa.array([NFC, NFD, "", "o'n\"e \\ `two`", "line\n", None, "日本 😀", "2020-02-29"]),
        "word": pa.array(["a", "A", "12", " 1.5 ", "-", "1e400", "NaN", None]),
        "flag": pa.array([True, False, None, True, True, True, False, True]),
        "day": pa.array([date(2020, 2, 29), date(1, 1, 1), date(9999, 12, 31), None, *[date(1970, 1, 1)] * 4]),
        "time": pa.array([MOMENT, datetime(1, 1, 1), None, *[datetime(2024, 3, 31, 2, 30)] * 5], pa.timestamp("us")),
        "zoned": pa.array(
            [MOMENT.replace(tzinfo=UTC), None, *[datetime(2024, 3, 31, 1, 30, tzinfo=UTC)] * 6],
            pa.timestamp("us", "UTC"),
        ),
    }
)  # fmt: skip
"""What engines read differently: NULL, NaN, infinities, numbers beyond 2**53, decimals, text that is spelt in two
ways, empty text, quotes, moments with a zone."""


def in_both(table: pa.Table, folder: Path, server: str, name: str = "rows") -> tuple[str, SparkSource]:
    """A table as a file, and as what Spark reads of it."""
    path = folder / f"{name}.parquet"
    pq.write_table(table, path)
    return str(path), SparkSource(server, path=str(path))


def same(one: Any, other: Any) -> bool:
    """Floats to the ninth digit, because sums of them have an order; everything else exactly."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


def _told(check: Check) -> dict[str, Any]:
    values = {name: value for name, value in check.values.items() if name != "engine"}
    return {"name": check.name, "outcome": str(check.outcome), "observed": check.observed, "values": values,
            "detail": check.detail, "severity": str(check.severity)}  # fmt: skip


def differing(mine: Iterable[Check], theirs: Iterable[Check], names: tuple[str, str] = ("", "")) -> list[str]:
    """Every check that does not say the same of both.

    :param names: of the two data sets, which details may tell
    """
    found = []
    for one, other in zip(mine, theirs, strict=True):
        here, there = _told(one), _told(other)
        if names[0]:
            here["detail"], there["detail"] = (
                said["detail"].replace(name, "DATA") for said, name in zip((here, there), names, strict=True)
            )
        if not same(here, there):
            found.append(f"{here}\n  and not {there}")
    return found


def require_same(there: GateResult, here: GateResult, names: tuple[str, str] = ("", "")) -> None:
    """Both results say the same, to the outcome of each check and the digest of the cases."""
    problems = differing(there.checks, here.checks, names)
    assert not problems, "\n".join(problems)
    assert len(here.checks) > 0
    assert there.evaluation_digest == here.evaluation_digest
