"""Delta and Iceberg tables at one version: the rows that the libraries give, bound to the files' bytes."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest

from airflow_mlgov.data.source import source_of, subject_of
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness import evaluate_fairness
from airflow_mlgov.results import Outcome
from tests.codes import raises_code

deltalake = pytest.importorskip("deltalake")
pytest.importorskip("pyiceberg")

ROWS = "SELECT a, g FROM data ORDER BY a"


def rows(data: str, select: str = ROWS) -> list[tuple[Any, ...]]:
    with source_of(data).open() as relation:
        return relation.rows(select)


# -- Delta ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def delta(tmp_path: Path) -> str:
    """Version 0 has three rows in three folders, 1 a row and a column more, 2 lacks the first row."""
    place = str(tmp_path / "delta")
    days = pa.array([1, 2, 3], pa.date32())
    deltalake.write_deltalake(
        place, pa.table({"a": [1, 2, 3], "g": ["x", "y z", "ü/="], "d": days}), partition_by=["g"]
    )
    more = pa.table({"a": [4], "g": ["x"], "d": days[:1], "n": [1.5]})
    deltalake.write_deltalake(place, more, mode="append", schema_mode="merge")
    deltalake.DeltaTable(place).delete("a = 1")
    return place


def test_each_version_of_a_delta_table(delta: str) -> None:
    assert rows(f"delta:{delta}@0") == [(1, "x"), (2, "y z"), (3, "ü/=")]
    assert rows(f"delta:{delta}@1") == [(1, "x"), (2, "y z"), (3, "ü/="), (4, "x")]
    assert rows(f"delta:{delta}@2") == rows(f"delta:{delta}") == [(2, "y z"), (3, "ü/="), (4, "x")]
    assert rows(f"delta:{delta}@1", "SELECT sum(n), count(d) FROM data") == [(1.5, 4)]
    names = {version: subject_of(f"delta:{delta}@{version}") for version in range(3)}
    assert len({subject.digest for subject in names.values()}) == 3
    assert subject_of(f"delta:{delta}") == names[2], "the newest is named by its number"
    assert names[2].name == f"delta:{delta}@2"


def test_a_delta_version_is_bound_to_its_files_and_not_to_what_comes_later(delta: str) -> None:
    before = subject_of(f"delta:{delta}@1")
    deltalake.write_deltalake(delta, pa.table({"a": [9], "g": ["x"]}), mode="append", schema_mode="merge")
    deltalake.DeltaTable(delta).create_checkpoint()
    assert subject_of(f"delta:{delta}@1") == before
    moved = Path(delta).with_name("moved")
    shutil.copytree(delta, moved)
    assert subject_of(f"delta:{moved}@1").digest == before.digest, "wherever it lies"
    file = next(Path(uri) for uri in deltalake.DeltaTable(str(moved), version=1).file_uris() if "g=x" in uri)
    file.write_bytes(file.read_bytes() + b" ")
    try:
        assert subject_of(f"delta:{moved}@1").digest != before.digest
    except ConfigurationError as error:
        assert error.code == "data.unreadable"  # noqa: PT017 - either is right


def test_a_delta_table_in_an_object_store(delta: str) -> None:
    store = fsspec.filesystem("memory")
    store.put(delta, "/lake/delta", recursive=True)
    try:
        assert rows("delta:memory://lake/delta@1") == rows(f"delta:{delta}@1")
        assert subject_of("delta:memory://lake/delta@1").digest == subject_of(f"delta:{delta}@1").digest
    finally:
        store.rm("/lake", recursive=True)


def z85(data: bytes) -> str:
    """As Delta's protocol writes inline deletion vectors (ZeroMQ's RFC 32)."""
    letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    found = ""
    for start in range(0, len(data), 4):
        (value,) = struct.unpack(">I", data[start : start + 4])
        found += "".join(letters[value // 85**power % 85] for power in (4, 3, 2, 1, 0))
    return found


def test_rows_that_a_deletion_vector_deletes(tmp_path: Path) -> None:
    from pyroaring import BitMap

    place = tmp_path / "deleted"
    deltalake.write_deltalake(str(place), pa.table({"a": [1, 2, 3, 4], "g": ["x"] * 4}))
    before = subject_of(f"delta:{place}@0")
    (commit,) = (place / "_delta_log").glob("*.json")
    add = next(json.loads(line)["add"] for line in commit.read_text().splitlines() if '"add"' in line)
    bitmap = BitMap([1, 3]).serialize()
    vector = struct.pack("<Iq", 1681511377, 1) + struct.pack("<I", 0) + bitmap
    vector += b"\0" * (-len(vector) % 4)
    described = {"storageType": "i", "pathOrInlineDv": z85(vector), "sizeInBytes": len(vector), "cardinality": 2}
    features = ["deletionVectors"]
    actions = [
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features,
                      "writerFeatures": features}},
        {"remove": {"path": add["path"], "deletionTimestamp": 1, "dataChange": True}},
        {"add": {**add, "deletionVector": described}},
    ]  # fmt: skip
    (place / "_delta_log" / f"{1:020}.json").write_text("\n".join(map(json.dumps, actions)))
    assert rows(f"delta:{place}@0") == [(1, "x"), (2, "x"), (3, "x"), (4, "x")]
    assert rows(f"delta:{place}@1") == [(1, "x"), (3, "x")]
    assert subject_of(f"delta:{place}@1").digest != before.digest


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("delta:{place}@99", "data.unreadable"),
        ("delta:{place}/nowhere", "table.missing"),
        ("iceberg:{place}", "table.missing"),
        ("delta:nosuch://x/y", "store.unknown"),
    ],
)
def test_tables_that_are_not_there(delta: str, text: str, code: str) -> None:
    with raises_code(ConfigurationError, code):
        rows(text.format(place=delta))


def test_a_file_that_was_vacuumed_away(delta: str) -> None:
    next(Path(delta).glob("g=y*/*.parquet")).unlink()
    with raises_code(ConfigurationError, "table.missing", match="vacuumed"):
        rows(f"delta:{delta}@1")


def test_a_gate_over_a_delta_table(tmp_path: Path) -> None:
    place = str(tmp_path / "scored")
    deltalake.write_deltalake(place, pa.table({"y": [1, 0] * 100, "p": [1, 0] * 100, "sex": ["f"] * 100 + ["m"] * 100}))
    result = evaluate_fairness(
        f"delta:{place}",
        label="y",
        prediction="p",
        sensitive_features=["sex"],
        bounds=["demographic_parity_ratio>=0.7"],
    )
    assert result.verdict is Outcome.PASS
    assert result.inputs[0].name == f"delta:{place}@0"


# -- Iceberg ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def iceberg(tmp_path: Path) -> Any:
    """Snapshots of three rows, of four, and of those without the first."""
    from pyiceberg.catalog.memory import InMemoryCatalog

    catalog = InMemoryCatalog("here", warehouse=f"file://{tmp_path}/warehouse")
    catalog.create_namespace("ns")
    schema = pa.schema([("a", pa.int64()), ("g", pa.string())])
    table = catalog.create_table("ns.t", schema=schema)
    table.append(pa.table({"a": [1, 2, 3], "g": ["x", "y", "z"]}, schema=schema))
    table.append(pa.table({"a": [4], "g": ["x"]}, schema=schema))
    table.delete("a = 1")
    return table


def test_each_snapshot_of_an_iceberg_table(iceberg: Any) -> None:
    place = iceberg.location().removeprefix("file://")
    history = [entry.snapshot_id for entry in iceberg.history()]
    assert rows(f"iceberg:{place}@{history[0]}") == [(1, "x"), (2, "y"), (3, "z")]
    assert rows(f"iceberg:{place}@{history[1]}") == [(1, "x"), (2, "y"), (3, "z"), (4, "x")]
    assert rows(f"iceberg:{place}") == [(2, "y"), (3, "z"), (4, "x")]
    first = subject_of(f"iceberg:{place}@{history[0]}")
    assert first.name == f"iceberg:{place}@{history[0]}"
    assert first.digest != subject_of(f"iceberg:{place}@{history[1]}").digest
    assert subject_of(f"iceberg:{iceberg.metadata_location}@{history[0]}").digest == first.digest
    iceberg.append(pa.table({"a": [9], "g": ["q"]}))
    assert subject_of(f"iceberg:{place}@{history[0]}").digest == first.digest
    with raises_code(ConfigurationError, "table.no_version", match="has no snapshot 7"):
        rows(f"iceberg:{place}@7")


def test_an_iceberg_file_that_is_not_what_it_was(iceberg: Any) -> None:
    place = iceberg.location().removeprefix("file://")
    before = subject_of(f"iceberg:{place}")
    for file in Path(place, "data").glob("*.parquet"):
        file.unlink()
    with raises_code(ConfigurationError, "table.missing"):
        subject_of(f"iceberg:{place}")
    assert before.digest
