"""One name for the rows that a model is judged on, wherever they are and however they are stored."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlgov.data import cases, ranks
from airflow_mlgov.data.cases import digest_of_counts
from airflow_mlgov.data.database import SqlSource
from airflow_mlgov.data.reading import Reading
from airflow_mlgov.data.source import evaluation_digest, source_of
from airflow_mlgov.errors import ConfigurationError


def digest(data: Any, *columns: str) -> str:
    with source_of(data).open() as relation:
        return evaluation_digest(relation, columns)


FRAME = pd.DataFrame({"id": range(1000), "y": [0, 1] * 500, "who": [f"n{at % 7}" for at in range(1000)]})


@pytest.mark.parametrize(
    "cast", ["int8", "float64", "float32", "bool", "Int64", "boolean", "uint64", "int64[pyarrow]", "double[pyarrow]"]
)
def test_a_cast_of_the_numbers_is_the_same_rows(tmp_path: Path, cast: str) -> None:
    FRAME.astype({"y": cast}).to_parquet(tmp_path / "a.parquet")
    expected = digest(FRAME, "y", "id")
    assert digest(str(tmp_path / "a.parquet"), "y", "id") == expected
    assert digest(FRAME.astype({"y": cast}), "y", "id") == expected
    assert digest(FRAME.astype({"id": "float64"}), "y", "id") == expected


def test_wherever_the_rows_are_and_in_whatever_order(tmp_path: Path) -> None:
    shuffled = FRAME.sample(frac=1, random_state=3)
    shuffled.to_csv(tmp_path / "a.csv", index=False)
    url = f"sqlite:///{tmp_path / 'a.db'}"
    shuffled.to_sql("t", sa.create_engine(url), index=False)
    for columns in (["y", "who"], ["y", "id"], ["y"]):
        expected = digest(FRAME, *columns)
        assert digest(str(tmp_path / "a.csv"), *columns) == expected
        assert digest(SqlSource(url, table="t"), *columns) == expected
        counts = Counter(FRAME[columns].itertuples(index=False, name=None))
        assert digest_of_counts(counts.items()) == expected


def test_rows_that_come_often_are_counted_first() -> None:
    values = [(y, x, who) for y in (0, 1) for x in (0.0, -0.0, 0.5, float("nan"), None) for who in ("a", "1.0", None)]
    often = pd.DataFrame(values * 40, columns=["y", "x", "who"]).convert_dtypes()
    once = pd.DataFrame([(*row, at) for at, row in enumerate(values * 40)], columns=["y", "x", "who", "id"])
    for frame, columns in ((often, ["y", "x", "who"]), (once, ["y", "x", "who", "id"])):
        counts = Counter(
            frame[columns].astype(object).where(frame[columns].notna(), None).itertuples(index=False, name=None)
        )
        assert digest(frame, *columns) == digest_of_counts(counts.items())


ODD: dict[str, list[Any]] = {
    "text": ["a", "ab", "a b", "a\tb", "a\nb", "1.10", "1.1", "01", "TRUE", "", "é", "\U0001f600", "\\", None],
    "low": ["a", "a\x01", "a\x08b", None],
    "float": [0.0, -0.0, 0.5, 1e38, 1e300, float("inf"), float("nan"), None],
    "whole": [0, 1, -7, 10**15, None],
    "truth": [True, False, None],
    "moment": [datetime(2026, 1, 2, 3, 4, 5, 6), datetime(1969, 1, 1), None],
}


@pytest.mark.parametrize(
    "columns", [["text", "whole"], ["float", "truth", "text"], ["moment", "text"], ["low", "text"]]
)
@pytest.mark.parametrize("few", [1, 50, 1 << 14])
def test_ranks_of_values_name_the_same_rows(
    columns: list[str], few: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    random = np.random.default_rng(5)
    rows = [tuple(ODD[name][random.integers(len(ODD[name]))] for name in columns) for _ in range(600)]
    frame = pd.DataFrame(
        {name: pd.Series(values, dtype=object) for name, values in zip(columns, zip(*rows, strict=True), strict=True)}
    )
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "a.parquet")
    expected = digest(str(tmp_path / "a.parquet"), *columns)
    counted = []
    right = cases.count_by_ranks
    monkeypatch.setattr(ranks, "_WORTH", 1)
    monkeypatch.setattr(ranks, "_MANY", 1)
    monkeypatch.setattr(ranks, "_FEW", few)
    monkeypatch.setattr(cases, "count_by_ranks", lambda *given: counted.append(right(*given)) or counted[-1])
    assert digest(str(tmp_path / "a.parquet"), *columns) == expected
    assert (counted[0] is None) == ("low" in columns)
    monkeypatch.setattr(ranks, "_CELLS", 5)
    assert digest(str(tmp_path / "a.parquet"), *columns) == expected
    assert counted[1] is None


def test_many_rows_of_a_database_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    FRAME.to_sql("t", sa.create_engine(url), index=False)
    monkeypatch.setattr(cases, "_FEW", 10)
    assert digest(SqlSource(url, table="t"), "y", "id") == digest(FRAME, "y", "id")


def test_other_rows_have_another_name() -> None:
    first = digest(FRAME, "y", "who")
    assert digest(FRAME.assign(y="0" + FRAME.y.astype(str)), "y", "who") != first  # text as written
    assert digest(FRAME.head(999), "y", "who") != first
    assert digest(pd.concat([FRAME, FRAME.head(1)]), "y", "who") != first
    assert digest(FRAME.assign(who=FRAME.who + " "), "y", "who") != first
    pair = pd.DataFrame({"a": ["x\ty", "x"], "b": ["z", "y\tz"]})
    assert digest(pair.iloc[:1], "a", "b") != digest(pair.iloc[1:], "a", "b")
    assert digest(pd.DataFrame({"a": ["x\n'y"]}), "a") != digest(pd.DataFrame({"a": ["x", "y"]}), "a")
    with pytest.raises(ConfigurationError) as refused:
        digest(FRAME, "yy")
    assert refused.value.code == "column.missing"


PLAIN = ["0", "-1", "12", "1.0", "-0.0", "0.50", "37.5", "-2.25", "9" * 38, "true", "False", "123456789012345.125"]
TEXTS = [
    "01",
    "+1",
    "1e5",
    "-0",
    "1_0",
    "1.",
    ".5",
    "",
    " 1",
    "1\n",
    "9" * 39,
    "NaN",
    "t",
    "1234567890123456.5",
    "-",
    "é",
]


def test_a_text_that_is_plainly_a_number_is_written_as_one(tmp_path: Path) -> None:
    numbers = [0, -1, 12, 1.0, -0.0, Decimal("0.5"), 37.5, -2.25, int("9" * 38), True, False, 123456789012345.125]
    for text, number in zip(PLAIN, numbers, strict=True):
        assert digest(pd.DataFrame({"v": [text]}), "v") == digest_of_counts([((number,), 1)]), text
    pd.DataFrame({"v": ["1", "0", "2.50"], "w": ["TRUE", "false", "true"]}).to_csv(tmp_path / "a.csv", index=False)
    declared = [{}, {"v": "text", "w": "text"}, {"v": "float64"}, {"w": "boolean"}, {"v": "decimal(9,2)"}]
    found = set()
    for types in declared:
        with source_of(str(tmp_path / "a.csv"), Reading(types=types)).open() as relation:
            found.add(evaluation_digest(relation, ["v", "w"]))
    assert len(found) == 1


def test_duckdb_writes_texts_like_numbers_as_python_does() -> None:
    found = {text: digest(pd.DataFrame({"v": [text]}), "v") for text in (*PLAIN, *TEXTS)}
    for text, made in found.items():
        assert made == digest_of_counts([((text,), 1)]), text
    assert len({found[text] for text in TEXTS}) == len(TEXTS)


VALUES = st.one_of(
    st.floats(width=64),
    st.integers(-(2**60), 2**60),
    st.floats(-1e6, 1e6).map(lambda value: round(value, 2)),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats()), min_size=1, max_size=60))
def test_duckdb_writes_floats_as_python_does(values: list[float | None]) -> None:
    frame = pd.DataFrame({"v": np.array([np.nan if value is None else value for value in values])})
    assert digest(frame, "v") == digest_of_counts(((value,), 1) for value in values)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))))
def test_duckdb_writes_texts_as_python_does(values: list[str | None]) -> None:
    frame = pd.DataFrame({"v": pd.array([*values, "end"], dtype="string[pyarrow]")})
    assert digest(frame, "v") == digest_of_counts(((value,), 1) for value in [*values, "end"])


def test_duckdb_writes_other_types_as_python_does() -> None:
    moment = datetime(2024, 3, 1, 12, 30, 5, 250, tzinfo=UTC)
    columns: dict[str, list[Any]] = {
        "decimal": [Decimal("1.10"), Decimal("-0.00001"), Decimal("12345678901234567890.5"), None],
        "whole": [Decimal("1.00"), Decimal("99999999999999999999"), Decimal(0), None],
        "day": [date(1969, 12, 31), date(9999, 1, 1), date(1, 1, 1), None],
        "moment": [moment, datetime(1900, 1, 1, tzinfo=UTC), datetime(2300, 1, 1, tzinfo=UTC), None],
        "large": [2**63 - 1, -(2**63), 2**53 + 1, None],
    }
    import pyarrow as pa

    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    for name, values in columns.items():
        assert digest(table, name) == digest_of_counts(((value,), 1) for value in values), name
    assert digest(pd.DataFrame({"v": [1.1, 3.0]}), "v") == digest_of_counts([((Decimal("1.10"),), 1), ((3,), 1)])
