"""What callers give is told apart in one place, and answers alike wherever it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa

from airflow_mlgov.data.database import SqlSource, fingerprint
from airflow_mlgov.data.files import dataset_subject
from airflow_mlgov.data.fingerprint import fingerprint_frame
from airflow_mlgov.data.source import ColumnKind, open_beside, open_together, source_of, subject_of
from airflow_mlgov.errors import ConfigurationError
from tests.codes import raises_code

FRAME = pd.DataFrame({"id": [1, 2, 3], "name": ["a", "b", None], "rate": [0.5, None, 2.5], "yes": [True, False, True]})
KINDS = {"id": "integer", "name": "text", "rate": "float", "yes": "boolean"}


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Any]:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    FRAME.to_sql("t", sa.create_engine(url), index=False)
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    FRAME.to_parquet(tmp_path / "a.parquet", index=False)
    return {
        "csv": str(tmp_path / "a.csv"),
        "parquet": tmp_path / "a.parquet",
        "table": SqlSource(url, table="t"),
        "query": SqlSource(url, query="SELECT * FROM t"),
        "pandas": FRAME,
        "arrow": pa.Table.from_pandas(FRAME, preserve_index=False),
    }


@pytest.mark.parametrize("kind", ["csv", "parquet", "table", "query", "pandas", "arrow"])
def test_every_kind_answers_alike(sources: dict[str, Any], kind: str) -> None:
    with source_of(sources[kind]).open() as relation:
        assert list(relation.columns) == list(KINDS)
        if relation.is_local:
            assert dict(relation.columns) == KINDS
            found = relation.arrays(f"SELECT id FROM {relation.sql} ORDER BY id")
            assert found is not None
            assert list(found["id"]) == [1, 2, 3]
        else:
            assert set(relation.columns.values()) == {ColumnKind.UNKNOWN}
            assert relation.arrays("SELECT 1") is None
        name = relation.quote("name")
        asked = f"SELECT {name}, COUNT(*) FROM {relation.sql} c WHERE id < 3 GROUP BY {name} ORDER BY {name}"
        assert relation.rows(asked) == [("a", 1), ("b", 1)]
        table = relation.in_duckdb()
        assert table.rows("SELECT sum(id)::INTEGER FROM data") == [(6,)]
        pd.testing.assert_frame_equal(
            relation.frame(["rate", "id"]).astype({"id": "int64", "rate": "float64"}), FRAME[["rate", "id"]]
        )
        assert relation.subject == table.subject == subject_of(sources[kind])
        with raises_code(ConfigurationError, "column.missing", match='did you mean "name"') as refused:
            relation.require("names")
        assert refused.value.code == "column.missing"


def test_what_a_subject_is_bound_to(sources: dict[str, Any]) -> None:
    assert subject_of(sources["csv"]) == dataset_subject(sources["csv"])
    assert subject_of(sources["table"]).digest == fingerprint(sources["table"]).digest
    assert subject_of(FRAME) == fingerprint_frame(FRAME).subject("pandas DataFrame")
    assert subject_of(sources["arrow"]).name == "pyarrow Table"


def test_all_kinds_are_joined_in_one_place(sources: dict[str, Any]) -> None:
    with open_together({name: source_of(data) for name, data in sources.items()}) as tables:
        joined = " JOIN ".join(f"{table.sql} AS t{at}" for at, table in enumerate(tables.values()))
        asked = joined.replace(" JOIN ", " JOIN ").split(" JOIN ")
        sql = asked[0] + "".join(f" JOIN {each} USING (id)" for each in asked[1:])
        assert tables["csv"].rows(f"SELECT count(*) FROM {sql}") == [(3,)]
        with open_beside(tables["csv"], {"more": source_of(FRAME)}) as more:
            assert more["more"].rows('SELECT count(*) FROM more JOIN "csv" USING (id)') == [(3,)]


def test_frames_that_no_table_holds() -> None:
    with source_of(pd.DataFrame({"a": [1, "x"]})).open() as relation, pytest.raises(ConfigurationError) as refused:
        relation.rows("SELECT * FROM data")
    assert refused.value.code == "column.mixed"
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with (
        source_of(twice).open() as relation,
        raises_code(ConfigurationError, "column.twice", match="more than one column named 'a'"),
    ):
        relation.require("a")


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us")])
def test_moments_that_python_has_not_are_refused_by_name(kind: pa.DataType) -> None:
    far = pa.array([5_000_000, 1], pa.int32()).cast(pa.date32()).cast(kind)  # the year 15659
    with (
        source_of(pa.table({"n": [1, 2], "due": far})).open() as relation,
        raises_code(ConfigurationError, "data.unreadable", match='"due"'),
    ):
        relation.subject  # noqa: B018 - it is computed


def test_a_frame_with_columns_of_a_sources_own_words() -> None:
    prices = pd.DataFrame({"open": [1.0], "open_in": ["x"], "name": ["y"]})
    with source_of(prices).open() as relation:
        assert relation.name == "pandas DataFrame"
    with pytest.raises(ConfigurationError) as refused:
        source_of(3)
    assert refused.value.code == "data.kind"


def test_telling_imports_nothing_heavy() -> None:
    script = (
        "import sys; from airflow_mlgov.data.source import source_of; source_of('a.csv'); "
        "print([m for m in ('pandas', 'numpy', 'duckdb', 'pyarrow', 'sqlalchemy', 'pyspark') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
