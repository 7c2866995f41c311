"""Reading csv and parquet, and naming them by their bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from airflow_mlgov.data import private_copies
from airflow_mlgov.data.files import dataset_subject
from airflow_mlgov.data.names import require_columns
from airflow_mlgov.data.pandas_files import read_dataset, read_table
from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError
from tests.codes import raises_code


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"age": [31, 44, 58], "sex": ["f", "m", "f"], "score": [0.25, 0.5, 0.75]})


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.CSV"])
def test_reads_csv(tmp_path: Path, frame: pd.DataFrame, name: str) -> None:
    path = tmp_path / name
    frame.to_csv(path, index=False)
    pd.testing.assert_frame_equal(read_table(str(path)), frame)
    assert list(read_table(str(path), ["score", "age", "score"]).columns) == ["score", "age"]


@pytest.mark.parametrize("index", [None, "age"])
def test_reads_parquet_with_its_index_as_a_column(tmp_path: Path, frame: pd.DataFrame, index: str | None) -> None:
    path = str(tmp_path / "a.parquet")
    (frame.set_index(index) if index else frame).to_parquet(path)
    assert sorted(read_table(path)) == ["age", "score", "sex"]
    assert list(read_table(path, ["age"])["age"]) == [31, 44, 58]


def test_reads_an_index_that_parquet_keeps_only_in_its_metadata(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    pd.DataFrame({"b": [1, 2]}, index=pd.RangeIndex(5, 7, name="a")).to_parquet(path)
    assert list(read_table(path, ["a"])["a"]) == [5, 6]


def test_reads_a_glob_and_a_folder_in_the_order_of_names(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.iloc[:1].to_csv(tmp_path / "part-0.csv", index=False)
    frame.iloc[1:][["score", "sex", "age"]].to_csv(tmp_path / "part-1.csv", index=False)
    (tmp_path / "_SUCCESS").touch()
    for data in (str(tmp_path / "part-*.csv"), str(tmp_path)):
        pd.testing.assert_frame_equal(read_table(data), frame)


def test_a_name_with_brackets_is_a_file_before_it_is_a_glob(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(tmp_path / "a[1].csv", index=False)
    assert len(read_table(str(tmp_path / "a[1].csv"))) == 3


def test_digest_of_one_file_is_the_hash_of_its_bytes(tmp_path: Path, frame: pd.DataFrame) -> None:
    path = tmp_path / "a.csv"
    frame.to_csv(path, index=False)
    subject = dataset_subject(str(path))
    assert (subject.kind, subject.name) == ("dataset", str(path))
    assert subject.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_digest_of_many_files_binds_names_and_bytes_but_not_the_place(tmp_path: Path, frame: pd.DataFrame) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for name in ("a.csv", "b.csv"):
            frame.to_csv(tmp_path / folder / name, index=False)
    first = dataset_subject(str(tmp_path / "one")).digest
    assert first == dataset_subject(str(tmp_path / "two" / "*.csv")).digest
    (tmp_path / "two" / "b.csv").rename(tmp_path / "two" / "c.csv")
    assert first != dataset_subject(str(tmp_path / "two")).digest
    listing = "".join(
        f"{hashlib.sha256((tmp_path / 'one' / n).read_bytes()).hexdigest()}  {n}\n" for n in ("a.csv", "b.csv")
    )
    assert first == hashlib.sha256(listing.encode()).hexdigest()


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "data.empty", ""),
        (b"\n\n", "data.empty", ""),
        (b"a,b\n1,2,3\n4,5,6\n", "data.unreadable", ""),
        (b"a,b\n1,2\n4,5,6\n", "data.unreadable", "Expected 2 fields in line 3"),
        (b"a,a\n1,2\n", "column.twice", "more than one column named 'a'"),
        (b"a,b\n1,\xff\n", "file.not_text", "not UTF-8"),
        (b'a,b\n"1,2\n', "data.unreadable", ""),
    ],
)
def test_refuses_a_csv_that_pandas_would_bend(tmp_path: Path, content: bytes, code: str, words: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with raises_code(ConfigurationError, code, words) as caught:
        read_table(str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("name", "kind"), [("a.parquet", "parquet"), ("a.csv.gz", "csv")])
def test_refuses_what_is_not_what_its_name_says(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_bytes(b"neither this nor that")
    with raises_code(ConfigurationError, "data.unreadable"):
        read_table(str(tmp_path / name))


def test_a_header_alone_is_a_table_of_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n")
    assert read_table(str(tmp_path / "a.csv"), ["b"]).shape == (0, 1)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("missing.csv", "file.missing"),
        ("missing-*.csv", "file.missing"),
        ("notes.txt", "file.kind"),
        ("*.txt", "file.kind"),
        ("hollow", "folder.empty"),
        ("mixed", "file.kind"),
        ("postgresql://me:pw@host/db", "store.unknown"),
    ],
)
def test_refuses_what_is_not_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, code: str) -> None:
    (tmp_path / "notes.txt").write_text("a,b")
    (tmp_path / "hollow").mkdir()
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "a.csv.lz4").write_text("a")
    monkeypatch.chdir(tmp_path)
    with raises_code(ConfigurationError, code) as caught:
        dataset_subject(data)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_missing_column_names_what_is_there_and_what_is_near(tmp_path: Path, frame: pd.DataFrame, name: str) -> None:
    path = str(tmp_path / name)
    frame.to_csv(path, index=False) if name.endswith("csv") else frame.to_parquet(path)
    with raises_code(
        ConfigurationError, "column.missing", match=r'"scores" \(did you mean "score"\?\); it has: age, sex, score'
    ):
        read_table(path, ["age", "scores"])


def test_a_long_list_of_columns_is_cut() -> None:
    with raises_code(ConfigurationError, "column.missing", match="and 40 more"):
        require_columns([f"c{number}" for number in range(100)], ["zzz"], "the table")


def test_refuses_files_with_unlike_columns(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.drop(columns="sex").to_csv(tmp_path / "b.csv", index=False)
    with raises_code(ConfigurationError, "column.unlike"):
        read_table(str(tmp_path))


def test_refuses_a_file_that_is_written_to_while_it_is_copied(
    tmp_path: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    frame.to_csv(path, index=False)
    table, subject = read_dataset(str(path))
    assert len(table) == 3
    assert subject == dataset_subject(str(path))

    def copy_then_append(*given: Any) -> None:
        copy(*given)
        with path.open("a") as file:
            file.write("1,f,0.1\n")

    copy = private_copies.copy
    monkeypatch.setattr(private_copies, "copy", copy_then_append)
    with raises_code(DependencyError, "data.changed", match=str(path)):
        read_dataset(str(path))


@pytest.mark.parametrize("fault", [errno.EXDEV, errno.ENOSYS, errno.EINVAL, None])
def test_a_copy_is_whole_where_the_kernel_does_not_copy(
    tmp_path: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, fault: int | None
) -> None:
    path = tmp_path / "a.csv"
    frame.to_csv(path, index=False)
    real = os.copy_file_range

    def some(source: int, target: int, count: int) -> int:
        if fault is None:
            return 0  # as some file systems have said
        real(source, target, 7)
        raise OSError(fault, "not here")

    monkeypatch.setattr(os, "copy_file_range", some)
    assert dataset_subject(str(path)).digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(read_table(str(path))) == 3


def test_no_room_for_a_copy_can_be_tried_again(
    tmp_path: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame.to_csv(tmp_path / "a.csv", index=False)
    full = shutil.disk_usage(tmp_path)._replace(free=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with raises_code(DependencyError, "scratch.unusable", match="TMPDIR"):
        dataset_subject(str(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [(PermissionError, AccessError, "file.refused"), (FileNotFoundError, DependencyError, "data.changed")],
)
def test_a_file_that_may_not_be_read_or_goes_away(
    tmp_path: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, fault: type[OSError], error: type, code: str
) -> None:
    frame.to_csv(tmp_path / "a.csv", index=False)
    real = os.open

    def refuse(path: Any, *given: Any, **named: Any) -> int:  # root, who runs CI containers, may read everything
        if str(path).endswith("a.csv"):
            raise fault
        return real(path, *given, **named)

    monkeypatch.setattr(os, "open", refuse)
    for data in (str(tmp_path / "a.csv"), str(tmp_path)):
        with raises_code(error, code):
            read_table(data)
        with raises_code(error, code):
            dataset_subject(data)


def test_a_folder_that_may_not_be_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "is_file", refuse)
    with raises_code(AccessError, "file.refused"):
        dataset_subject(str(tmp_path / "a.csv"))
