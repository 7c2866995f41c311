"""Every format that is read gives the same rows; every other is refused by name, with the way out."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest

from airflow_mlgov.data.file_tables import open_table
from airflow_mlgov.data.files import dataset_subject
from airflow_mlgov.data.memory import MemoryLimitError
from airflow_mlgov.errors import ConfigurationError
from tests.codes import raises_code

ROWS = [(31, "f", 0.25), (44, "m, or f", 0.5), (None, "ü|x", 0.75)]
NAMES = ["age", "sex", "score"]
FRAME = pd.DataFrame(ROWS, columns=NAMES).astype({"age": "Int64"})


def text(delimiter: str) -> bytes:
    return FRAME.to_csv(index=False, sep=delimiter).encode()


def zipped(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("inner")
        for name, content in members.items():
            archive.writestr(f"inner/{name.replace('__', '.')}", content)


def lines() -> bytes:
    return b"".join(json.dumps(dict(zip(NAMES, row, strict=True))).encode() + b"\n" for row in ROWS)


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


CONTENTS = {
    "a.csv": text(","),
    "a.TSV": text("\t"),
    "a.tab": text("\t"),
    "a.psv": text("|"),
    "a.csv.gz": gzip.compress(text(",")),
    "a.tsv.bz2": bz2.compress(text("\t")),
    "a.psv.xz": lzma.compress(text("|")),
    "a.csv.zst": zstd(text(",")),
    "a.jsonl": lines(),
    "a.ndjson": b"\xef\xbb\xbf" + lines() + b"\n",
    "a.jsonl.gz": gzip.compress(lines()),
}


def found(data: str | Path) -> list[tuple[Any, ...]]:
    with open_table(str(data)) as table:
        rows = table.rows(f"SELECT {', '.join(NAMES)} FROM data ORDER BY score")
        frame = table.frame_as_stored(NAMES).astype(object)
        assert [tuple(None if pd.isna(value) else value for value in row) for row in frame.to_numpy()] == rows
        return rows


@pytest.mark.parametrize("name", CONTENTS)
def test_text_and_what_it_is_packed_with(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(CONTENTS[name])
    assert found(tmp_path / name) == ROWS


def test_a_zip_of_one_file(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", a__tsv=text("\t"), **{})
    zipped(tmp_path / "two.zip", a__csv=text(","), b__csv=text(","))
    zipped(tmp_path / "none.zip")
    zipped(tmp_path / "nested.zip", a__csv__gz=gzip.compress(text(",")))
    assert found(tmp_path / "a.zip") == ROWS
    for name, code in (("two", "archive.members"), ("none", "archive.members"), ("nested", "file.kind")):
        with raises_code(ConfigurationError, code):
            found(tmp_path / f"{name}.zip")


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_arrow_files(tmp_path: Path, compression: str) -> None:
    table = pa.table(FRAME.assign(sex=FRAME["sex"].astype("category")))
    pyarrow.feather.write_feather(table, str(tmp_path / "a.feather"), compression=compression)
    with pa.ipc.new_stream(str(tmp_path / "b.arrow"), table.schema) as stream:
        stream.write_table(table)
    assert found(tmp_path / "a.feather") == found(tmp_path / "b.arrow") == ROWS


@pytest.mark.slow
def test_a_batch_that_unpacks_to_more_than_the_memory_limit(tmp_path: Path) -> None:
    table = pa.table({"a": pa.array([0], pa.int64()).take(pa.array([0] * 1, pa.int64()))})
    big = pa.table({"a": pa.nulls(250_000_000, pa.int64()).fill_null(0)})
    pyarrow.feather.write_feather(big, str(tmp_path / "a.arrow"), compression="zstd", chunksize=250_000_000)
    del big
    assert (tmp_path / "a.arrow").stat().st_size < 1_000_000 > table.nbytes
    with raises_code(MemoryLimitError, "memory_limit.exceeded"), open_table(str(tmp_path / "a.arrow")):
        pass


def test_the_bytes_that_are_bound_are_those_of_the_file_as_it_is(tmp_path: Path) -> None:
    import hashlib

    for name in ("a.csv.gz", "a.jsonl", "a.csv.zst"):
        (tmp_path / name).write_bytes(CONTENTS[name])
        assert dataset_subject(str(tmp_path / name)).digest == hashlib.sha256(CONTENTS[name]).hexdigest()
    (tmp_path / "a.csv").write_bytes(CONTENTS["a.csv"])
    entries = sorted(path for path in tmp_path.iterdir())
    listing = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in entries)
    assert dataset_subject(str(tmp_path)).digest == hashlib.sha256(listing.encode()).hexdigest()
    with open_table(str(tmp_path)) as table:
        assert table.rows("SELECT count(*) FROM data") == [(12,)], "a.csv and a.csv.gz are two files"


def test_json_lines_keep_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"id": 12345678901234567890123, "code": "01", "day": "2024-01-01", "tags": ["a", {"b": 1}], "yes": true}\n'
        '{"id": 1, "code": "1", "more": 1.5}\n'
    )
    with open_table(str(tmp_path / "a.jsonl")) as table:
        assert table.types["code"] == table.types["day"] == "VARCHAR"
        assert table.rows("SELECT id::VARCHAR, code, day, tags, yes, more FROM data ORDER BY code") == [
            ("12345678901234567890123", "01", "2024-01-01", '["a", {"b": 1}]', True, None),
            ("1", "1", None, None, None, 1.5),
        ]


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b'{"a": 1}\n[1]\n', "data.unreadable", "line 2 of .*a.jsonl is no JSON object"),
        (b'{"a": 1, "a": 2}\n', "data.unreadable", "a key twice"),
        (b'{"a": NaN}\n', "data.unreadable", "NaN"),
        (b'{"a": 1}\n{"a": \n', "data.unreadable", "line 2 .*is not JSON"),
        (b'{"a": "\xff"}\n', "file.not_text", "UTF-8"),
        (b'{"a": 1}\n{"a": "x"}\n', "column.mixed", "several types"),
        (b'{"a": 1, "A": 1}\n', "column.twice", "case alone"),
        (b'{"a": ' + b"1" * 5000 + b"}\n", "data.unreadable", "line 1"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "data.unreadable", "nested too deeply"),
    ],
)
def test_json_lines_that_are_none(tmp_path: Path, content: bytes, code: str, words: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with raises_code(ConfigurationError, code, match=words) as caught, open_table(str(tmp_path / "a.jsonl")):
        pass
    assert "mlgov-work-" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("a.csv", gzip.compress(text(",")), "file.other_kind", "gzip file by its first bytes.*name it a.csv.gz"),
        ("a.csv", bz2.compress(text(",")), "file.other_kind", "bz2"),
        ("a.tsv", zstd(text(",")), "file.other_kind", "zstd"),
        ("a.csv", b"PK\x03\x04rest", "file.other_kind", "Excel"),
        ("a.csv.gz", gzip.compress(gzip.compress(text(","))), "file.other_kind", "gzip"),
        ("a.csv", b"PAR1\x15\x00", "file.other_kind", "parquet"),
        ("a.parquet", gzip.compress(b"x"), "file.other_kind", "gzip"),
        ("a.csv.gz", text(","), "data.unreadable", "not what its name says"),
        ("a.csv.gz", gzip.compress(text(","))[:-9], "data.unreadable", "damaged"),
        ("a.zip", text(","), "data.unreadable", "not what its name says"),
        ("a.arrow", text(","), "data.unreadable", "not a readable Arrow file"),
        ("a.feather", b"FEA1....", "data.unreadable", "Feather version 1"),
        ("a.xlsx", b"PK\x03\x04", "file.excel", "read_excel"),
        ("a.json", b"{}", "file.kind", "jsonl"),
        ("a.csv.lz4", b"", "file.kind", "known extensions"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # what gzip makes has the time in it
)  # fmt: skip
def test_what_is_not_what_its_name_says(tmp_path: Path, name: str, content: bytes, code: str, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with raises_code(ConfigurationError, code, match=words) as caught, open_table(str(tmp_path / name)):
        pass
    assert str(tmp_path / name) in str(caught.value)


def test_two_members_of_gzip_are_all_rows(tmp_path: Path) -> None:
    first, second = text(",").splitlines(keepends=True)[:2], text(",").splitlines(keepends=True)[2:]
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"".join(first)) + gzip.compress(b"".join(second)))
    assert found(tmp_path / "a.csv.gz") == ROWS


@pytest.mark.parametrize("kind", ["_delta_log", ".hoodie", "metadata"])
def test_folders_that_are_tables(tmp_path: Path, kind: str) -> None:
    (tmp_path / kind).mkdir()
    (tmp_path / "data").mkdir()
    FRAME.to_parquet(tmp_path / "data" / "a.parquet")
    with raises_code(ConfigurationError, "folder.table"):
        dataset_subject(str(tmp_path))
