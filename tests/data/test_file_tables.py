"""Files as one table of an embedded DuckDB: what is read, as what, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pytest

from airflow_mlgov.data import files
from airflow_mlgov.data.file_tables import Files, open_table
from airflow_mlgov.data.files import dataset_subject, opened
from airflow_mlgov.data.memory import MemoryLimitError
from airflow_mlgov.data.pandas_files import read_table
from airflow_mlgov.data.quoting import identifier, literal
from airflow_mlgov.data.source import open_together
from airflow_mlgov.errors import AccessError, ConfigurationError
from tests.codes import raises_code
from tests.worlds.suites import write_names

ROWS = "SELECT * FROM data ORDER BY ALL"


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"age": [31, 44, 58], "sex": ["f", "m", "f"], "score": [0.25, 0.5, 0.75]})


def rows(data: str, **options: Any) -> list[tuple[Any, ...]]:
    with open_table(data, **options) as table:
        return table.rows(ROWS)


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.csv", bytes),
        ("a.CSV", bytes),
        ("a.csv.gz", gzip.compress),
        ("a.csv.bz2", bz2.compress),
        ("a.csv.xz", lzma.compress),
    ],
)
def test_reads_csv_however_it_is_packed(
    tmp_path: Path, frame: pd.DataFrame, name: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / name
    path.write_bytes(pack(frame.to_csv(index=False).encode()))
    with open_table(str(path)) as table:
        assert table.types == {"age": "BIGINT", "sex": "VARCHAR", "score": "DOUBLE"}
        assert table.rows(ROWS) == [(31, "f", 0.25), (44, "m", 0.5), (58, "f", 0.75)]
        assert table.subject == dataset_subject(str(path))
        assert table.subject.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_reads_parquet_and_hands_out_arrays(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.to_parquet(tmp_path / "a.parquet")
    with open_table(str(tmp_path / "a.parquet")) as table:
        assert table.types == {"age": "BIGINT", "sex": "VARCHAR", "score": "DOUBLE"}
        assert table.arrays("SELECT age FROM data ORDER BY age")["age"].tolist() == [31, 44, 58]
        table.require("age", "sex")
        with raises_code(ConfigurationError, "column.missing", match=r'no column "aeg" \(did you mean "age"\?\)'):
            table.require("aeg")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2", ""], "BIGINT"),
        (["1", "2.5", "1E+5"], "DOUBLE"),
        ([".5", "5.", "-inf"], "DOUBLE"),
        (["1.10", "0.500", "-0.0"], "DOUBLE"),
        (["1e-05", "0.000000e+00", "1e16", "1.0E10"], "DOUBLE"),
        (["true", "FALSE", "True"], "BOOLEAN"),
        (["9223372036854775807", "-9223372036854775808"], "BIGINT"),
        (["1", "99999999999999999999"], "HUGEINT"),
        (["9" * 38, "-" + "9" * 38], "HUGEINT"),
        (["9" * 39, "1"], "VARCHAR"),
        (["1234567890123456789", "1.5"], "DECIMAL(20,1)"),
        (["1"] * 2000 + ["12345678901234567890", "0.25"], "DECIMAL(22,2)"),
        (["1234567890123456789", "1.5e-05"], "VARCHAR"),
        (["1"] * 2000 + ["word"], "VARCHAR"),
        (["1"] * 2000 + ["1.5"], "DOUBLE"),
        (["", ""], "VARCHAR"),
        *((["1"] * 2000 + [value], "DOUBLE") for value in ("1.", ".5", "1e-400", "-inf")),
        *((["1"] * 2000 + [value], "BIGINT") for value in ("", "1234567890123456789")),
        *(
            ([*beside, value], "VARCHAR")
            for beside in (["1"], ["0.5"] * 1100, ["true"] * 1100)
            for value in (
                "01", "-01", "00", "-0", "+1", "1_0", "1_0.5", "+.5", " 1", "1 ", "0x1F", "0b11", "1E5", "0E1", "1e400",
                "NA", "N/A", "None", "null", "NULL", "nan", "NaN", "-nan", "#N/A", "1.#IND", "?", "-", "Infinity", "t",
                "yes", "tRue", "true ", "1e0005",
            )
        ),
    ],
    ids=lambda given: given if isinstance(given, str) else " ".join(given[-3:]),
)  # fmt: skip
def test_a_csv_column_has_the_type_that_loses_nothing_of_its_values(
    tmp_path: Path, values: list[str], kind: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("v,id\n" + "".join(f"{value},{at}\n" for at, value in enumerate(values)))
    with open_table(str(path)) as table:
        assert table.types == {"v": kind, "id": "BIGINT"}
        read = [value for (value,) in table.rows("SELECT v FROM data ORDER BY id")]
    assert read == [{"VARCHAR": _text, "BOOLEAN": _truth, "DOUBLE": float}.get(kind, _exact)(text) for text in values]


def _exact(text: str) -> Decimal | None:
    return Decimal(text) if text else None


def _text(text: str) -> str | None:
    return text or None


def _truth(text: str) -> bool:
    return text.lower() == "true"


def test_texts_are_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbfv,w\r\n"x, ""y""\r\nz", a \r\n\r\n\'q,#\r\n')
    assert rows(str(tmp_path / "a.csv")) == [("'q", "#"), ('x, "y"\r\nz', " a ")]


def test_a_glob_and_a_folder_are_one_table_matched_by_name(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.iloc[:1].to_csv(tmp_path / "part-0.csv", index=False)
    frame.iloc[1:][["score", "sex", "age"]].to_csv(tmp_path / "part-1.csv", index=False)
    (tmp_path / "_SUCCESS").touch()
    for data in (str(tmp_path), str(tmp_path / "part-*.csv")):
        assert rows(data) == [(31, "f", 0.25), (44, "m", 0.5), (58, "f", 0.75)]
    frame.to_parquet(tmp_path / "part-2.parquet")
    assert len(rows(str(tmp_path))) == 6


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_keys_of_partitions_are_columns_for_both_readers(tmp_path: Path, kind: str) -> None:
    home = tmp_path / "outside=1" / "data"
    for folder in ("year=2024/town=Köln%20am%20Rhein", "year=2025/town=__HIVE_DEFAULT_PARTITION__"):
        (home / folder).mkdir(parents=True)
        part = pd.DataFrame({"age": [1, 2]})
        part.to_csv(home / folder / "p.csv", index=False) if kind == "csv" else part.to_parquet(home / folder / "p.pq")
    expected = [(1, 2024, "Köln am Rhein"), (1, 2025, None), (2, 2024, "Köln am Rhein"), (2, 2025, None)]
    with open_table(str(home)) as table:
        assert table.types == {"age": "BIGINT", "year": "BIGINT", "town": "VARCHAR"}
        assert table.rows(ROWS) == expected
    read = read_table(str(home))
    assert list(read.columns) == ["age", "year", "town"]
    found = sorted(read.astype(object).where(read.notna(), None).itertuples(index=False), key=str)
    assert [tuple(row) for row in found] == sorted(expected, key=str)
    assert read_table(str(home), ["town", "year"])["year"].tolist() == [2024, 2024, 2025, 2025]
    (file,) = (home / "year=2024").rglob("p.*")
    with open_table(str(file)) as table:  # a folder above the set is no part of it
        assert list(table.columns) == list(read_table(str(file)).columns) == ["age"]


def test_the_keys_of_partitions_are_those_of_each_file(tmp_path: Path) -> None:
    """Many files are one scan; a column of the name by which DuckDB tells files apart does not move rows elsewhere."""
    for name in ("size", "file_index", "FILE_INDEX"):
        home = tmp_path / name
        for day in range(9):
            (home / f"day={day}" / "hour=__HIVE_DEFAULT_PARTITION__").mkdir(parents=True)
            part = pd.DataFrame({"place": [day, day], name: [8 - day, 0]})
            part.to_parquet(home / f"day={day}" / "hour=__HIVE_DEFAULT_PARTITION__" / "p.parquet")
        with open_table(str(home)) as table:
            assert list(table.types) == ["place", name, "day", "hour"]
            wrong = "count(CASE WHEN place <> day THEN 1 END)"
            assert table.rows(f"SELECT count(*), {wrong}, count(hour) FROM data") == [(18, 0, 0)]


@pytest.mark.parametrize("keys", [("a=1", "a=2"), ("a=1/x", "a=1/y"), ("a=1", "a=x")])
def test_files_whose_types_differ_are_read_as_the_wider_type(tmp_path: Path, keys: tuple[str, str]) -> None:
    columns = [pd.DataFrame({"n": pd.array([1], dtype="int32"), "t": ["x"]}), pd.DataFrame({"t": ["y"], "n": [2.5]})]
    for folder, part in zip(keys, columns, strict=True):
        (tmp_path / folder).mkdir(parents=True)
        part.to_parquet(tmp_path / folder / "p.parquet")
    with open_table(str(tmp_path)) as table:
        assert table.types["n"] == "DOUBLE"
        assert table.rows("SELECT n, t FROM data ORDER BY n") == [(1.0, "x"), (2.5, "y")]


def test_partitions_that_can_be_read_two_ways_are_refused(tmp_path: Path, frame: pd.DataFrame) -> None:
    (tmp_path / "sex=f").mkdir()
    frame.to_parquet(tmp_path / "sex=f" / "a.parquet")
    for read in (rows, read_table):
        with raises_code(ConfigurationError, "column.twice"):
            read(str(tmp_path))
    (tmp_path / "sex=f").rename(tmp_path / "year=1")
    (tmp_path / "month=1").mkdir()
    frame.to_parquet(tmp_path / "month=1" / "a.parquet")
    for read in (rows, read_table):
        with raises_code(ConfigurationError, "folder.unlike"):
            read(str(tmp_path))


def test_a_url_is_fetched_into_a_folder_that_goes_away(
    tmp_path: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = fsspec.filesystem("memory")
    store.pipe("/loans/year=1/a.csv", frame.to_csv(index=False).encode())
    store.pipe("/loans/year=2/b.csv", frame.to_csv(index=False).encode())
    try:
        with open_table("memory://loans") as table:
            assert table.name == "memory://loans"
            assert len(list(tmp_path.iterdir())) == 2
            assert table.rows("SELECT count(*), min(year), max(year) FROM data") == [(6, 1, 2)]
        assert len(rows("memory://loans/*/a.csv")) == 3
        assert (
            dataset_subject("memory://loans/year=1/a.csv").digest
            == hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()
        )
        with raises_code(ConfigurationError, "file.missing"):
            rows("memory://loans/none.csv")
        with raises_code(ConfigurationError, "file.kind"):
            store.pipe("/loans/notes.txt", b"x")
            rows("memory://loans")
    finally:
        store.rm("/loans", recursive=True)
    assert list(tmp_path.iterdir()) == []


def test_several_sets_of_files_can_be_joined(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_csv(tmp_path / "b.csv", index=False)
    with open_together({"one": Files(str(tmp_path / "a.parquet")), "two": Files(str(tmp_path / "b.csv"))}) as tables:
        joined = "SELECT count(*) FROM one JOIN two USING (age, sex, score)"
        assert tables["one"].rows(joined) == [(3,)]
        assert tables["two"].subject.digest == dataset_subject(str(tmp_path / "b.csv")).digest


def test_files_that_are_open_already_are_read_where_they_are(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(tmp_path / "a.csv", index=False)
    with opened(str(tmp_path / "a.csv")) as files, open_table(files) as table:
        assert table.files is files
        assert list(table.sources) == [files.root]
        assert table.rows(f"SELECT count(*) FROM ({table.sources[files.root]})") == [(3,)]


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "data.empty", ""),
        (b"\n\na,b\n1,2\n", "data.no_header", ""),
        (b"a,b\n1,2,3\n", "data.dialect", "row 2 has 3 fields where the header names 2"),
        (b"a,b\n1\n", "data.dialect", "row 2 has 1 field where the header names 2"),
        (b"a,b\n1,'x,2'\n", "data.dialect", "row 2 has 3 fields"),
        (b"a,b\n" + b"1,2\n" * 9000 + b"1\n", "data.dialect", "line 9002 has 1 fields where the header names 2"),
        (b'a,b\n"secret,2\n', "data.dialect", ""),
        (b'a,b\n1,"x"y\n', "data.unreadable", ""),
        (b"a,a\n1,2\n", "column.twice", "more than one column named 'a'"),
        (b"a,A\n1,2\n", "column.twice", ""),
        (b"a,\xff\n1,2\n", "file.not_text", "not UTF-8"),
        (b"a,b\n1,\xff\n", "file.not_text", "not UTF-8"),
        (b"a,b\n" + b"1,2\n" * 90000 + b"1,\xff\n", "file.not_text", "in line 90002.*encoding: cp1252"),
    ],
)
def test_refuses_a_csv_that_could_be_read_two_ways(tmp_path: Path, content: bytes, code: str, words: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with raises_code(ConfigurationError, code, words) as caught:
        rows(str(tmp_path / "a.csv"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.parquet", "a.csv.gz", "a.csv.xz", "a.csv.bz2"])
def test_refuses_what_is_not_what_its_name_says(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"neither this nor that")
    with raises_code(ConfigurationError, "data.unreadable"):
        rows(str(tmp_path / name))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_refuses_files_with_unlike_columns(tmp_path: Path, frame: pd.DataFrame, kind: str) -> None:
    for name, part in (("a", frame), ("b", frame.drop(columns="sex"))):
        target = tmp_path / f"{name}.{kind}"
        part.to_csv(target, index=False) if kind == "csv" else part.to_parquet(target)
    with raises_code(ConfigurationError, "column.unlike"):
        rows(str(tmp_path))


def test_a_column_without_a_name_is_called_as_pandas_calls_it(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(tmp_path / "a.csv")
    with open_table(str(tmp_path / "a.csv")) as table:
        assert list(table.columns) == list(read_table(str(tmp_path / "a.csv")).columns)


def test_a_file_that_changes_while_it_is_open_is_judged_as_it_was(tmp_path: Path, frame: pd.DataFrame) -> None:
    path = tmp_path / "a.csv"
    frame.to_csv(path, index=False)
    before = dataset_subject(str(path))
    with open_table(str(path)) as table:
        path.write_text("age\n1\n")
        assert len(table.rows(ROWS)) == len(table.frame_as_stored()) == 3
        assert table.subject == before != dataset_subject(str(path))


def test_a_file_that_may_not_be_read(tmp_path: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    frame.to_csv(tmp_path / "a.csv", index=False)

    def refuse(*_args: Any, **_kwargs: Any) -> None:  # root, who runs CI containers, may read everything
        raise PermissionError

    monkeypatch.setattr(Path, "is_file", refuse)
    with raises_code(AccessError, "file.refused"):
        rows(str(tmp_path / "a.csv"))
    monkeypatch.undo()
    monkeypatch.setattr(files, "_sha256", lambda path: (_ for _ in ()).throw(AccessError(f"may not read {path}")))
    with open_table(str(tmp_path / "a.csv")) as table, raises_code(AccessError, "access.refused"):
        table.subject  # noqa: B018 - the digest is asked for


@pytest.mark.slow
def test_what_does_not_fit_spills_to_a_folder_that_goes_away(tmp_path: Path) -> None:
    path = str(tmp_path / "many.parquet")
    write_names(path, rows=2_000_000, different=2_000_000)
    with open_table(path, memory_limit="160MB") as table:
        (spill,) = table.rows("SELECT current_setting('temp_directory')")[0]
        assert table.rows("SELECT count(*) FROM (SELECT name FROM data GROUP BY name)") == [(2_000_000,)]
        scratch = Path(spill).parent
        assert scratch.is_dir()
    assert not scratch.exists()


def test_what_cannot_spill_is_told_as_a_limit_and_bad_limits_are_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "many.parquet")
    write_names(path, rows=500_000, different=500_000)
    with (
        open_table(path, memory_limit="16MB") as table,
        raises_code(MemoryLimitError, "memory_limit.exceeded"),
    ):
        table.rows("SELECT list(name) FROM data")
    for wrong in ("", "much", "1 apple", "-1GB"):
        with raises_code(ConfigurationError, "memory_limit.form"):
            rows(path, memory_limit=wrong)


def test_no_extension_is_loaded_and_nothing_is_fetched(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(tmp_path / "a.csv", index=False)
    with open_table(str(tmp_path / "a.csv")) as table:
        settings = dict(
            table.rows("SELECT name, value FROM duckdb_settings() WHERE name LIKE 'auto%_known_extensions'")
        )
        assert settings == {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
        for query in ("SELECT * FROM 'https://127.0.0.1:1/a.csv'", "SELECT * FROM read_xlsx('a.xlsx')"):
            with raises_code(ConfigurationError, "data.unreadable"):
                table.rows(query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT CAST(a AS INTEGER) FROM data",
        "SELECT CAST(a || b AS DATE) FROM data",
        "SELECT CAST(CAST(b AS DOUBLE) * 1e9 AS TINYINT) FROM data",
        "SELECT error(a) FROM data",
        "SELECT a.x.y FROM data",
        "SELECT from_json(a, '[\"INTEGER\"]') FROM data",
    ],
)
def test_an_error_quotes_no_value(tmp_path: Path, query: str) -> None:
    pd.DataFrame({"a": ["Mustermann 4711"], "b": ["815"]}).to_parquet(tmp_path / "a.parquet")
    with (
        open_table(str(tmp_path / "a.parquet")) as table,
        raises_code(ConfigurationError, "data.unreadable") as caught,
    ):
        table.rows(query)
    assert not any(value in str(caught.value) for value in ("Muster", "4711", "815"))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_name_with_brackets_is_a_file_and_not_a_pattern(tmp_path: Path, frame: pd.DataFrame, kind: str) -> None:
    """DuckDB would read ``a1.csv`` for ``a[1].csv``, and another file than was hashed would be judged."""
    for name, part in (("a[1]", frame.iloc[:1]), ("a1", frame.iloc[1:2]), ("b*", frame.iloc[2:]), ("b2", frame)):
        target = tmp_path / f"{name}.{kind}"
        part.to_csv(target, index=False) if kind == "csv" else part.to_parquet(target)
    assert rows(str(tmp_path / f"a[1].{kind}")) == [(31, "f", 0.25)]
    assert rows(str(tmp_path / f"b*.{kind}")) == [(58, "f", 0.75)]
    assert len(rows(str(tmp_path / f"?[*].{kind}"))) == 1
    assert len(rows(str(tmp_path))) == 6


def test_names_and_texts_are_quoted(tmp_path: Path) -> None:
    odd = """it's "a" name; DROP"""
    pd.DataFrame({odd: ["x'y"], "b": [1]}).to_csv(tmp_path / "it's.csv", index=False)
    with open_table(str(tmp_path / "it's.csv")) as table:
        assert list(table.columns) == [odd, "b"]
        found = table.rows(f"SELECT b FROM data WHERE {identifier(odd)} = {literal(chr(120) + chr(39) + chr(121))}")
        assert found == [(1,)]
