"""csv as it is declared, and what is told where it is not read as it was meant."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_mlgov.data.aggregates import count_where
from airflow_mlgov.data.csv_files import begins_as_number, look_of
from airflow_mlgov.data.description import as_text, describe
from airflow_mlgov.data.file_tables import open_table
from airflow_mlgov.data.reading import Reading
from airflow_mlgov.data.source import compared_together, require_declared, source_of
from airflow_mlgov.errors import ConfigurationError
from tests.codes import raises_code

ROWS = "SELECT * FROM data ORDER BY ALL"
NUMBERS = ("", "1", ".5", ",5", "'000", ".000,5", "e5", "5e-05", "e+300", "1.2.3", "x")


def write(folder: Path, content: str | bytes, name: str = "a.csv") -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


@pytest.mark.parametrize(
    ("content", "declared", "expected"),
    [
        ("zip,n\n00501,1\n10001,2\n", {"types": {"zip": "text"}}, [("00501", 1), ("10001", 2)]),
        ("zip,n\n10001,1\n", {"types": {"zip": "str"}}, [("10001", 1)]),
        ("id,n\n007,+1\n", {"types": {"id": "int64", "n": "Int64"}}, [(7, 1)]),
        ("a,b\n1.10,2\n", {"types": {"a": "decimal(10,2)", "b": "float64"}}, [(Decimal("1.10"), 2.0)]),
        (
            "a,b\nyes,2026-01-02\nNO,\n",
            {"types": {"a": "bool", "b": "date"}},
            [(False, None), (True, date(2026, 1, 2))],
        ),
        ("a,b\nNA,1\n,2\nx,NA\n", {"missing_values": ["", "NA"]}, [("x", None), (None, 1), (None, 2)]),
        ('a,b\n"NA",1\n"",2\n', {"missing_values": ["", "NA"]}, [("NA", 1), (None, 2)]),
        ("a,b\n,1\n-,2\n", {"missing_values": ["-"]}, [("", 1), (None, 2)]),
        ("a;b\n1;3,5\n2;10,25\n", {"delimiter": ";", "decimal": ","}, [(1, 3.5), (2, 10.25)]),
        ("a;b\n1;1.234,5\n2;10,25\n", {"delimiter": ";", "decimal": ",", "thousands": "."}, [(1, 1234.5), (2, 10.25)]),
        ('a,b\n1,"1,234"\n2,"1,234,567"\n', {"delimiter": ";"}, None),
        ("a\tb\n1\t2\n", {"delimiter": "\\t"}, [(1, 2)]),
        ("a,b\n'x,y',2\n", {"quote": "'"}, [("x,y", 2)]),
        ('a,b\n"x,2\n', {"quote": ""}, [('"x', 2)]),
        ("1,2\n3,4\n", {"header": False}, [(1, 2), (3, 4)]),
        ("1,2\n3,4\n", {"header": ["p", "q"]}, [(1, 2), (3, 4)]),
        ('# of "today\n\na,b\n1,2\n', {"skip_rows": 2}, [(1, 2)]),
        ("a,b\nJos\xe9,1\n".encode("cp1252"), {"encoding": "cp1252"}, [("José", 1)]),
        ("a,b\nJosé,1\n".encode("utf-16"), {"encoding": "utf-16"}, [("José", 1)]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_csv_is_read_as_declared(tmp_path: Path, content: Any, declared: dict[str, Any], expected: Any) -> None:
    data, reading = write(tmp_path, content), Reading.of(declared, "here")
    if expected is None:
        with open_table(data, reading=reading) as table:
            assert len(table.types) == 1
        return
    with open_table(data, reading=reading) as table:
        assert table.rows(ROWS) == expected
        assert table.read_as["declared"] == reading.said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id;amount\n1;3,5\n2;10,25\n", r'separated by ";".*delimiter: ";", and decimal: ","'),
        ("id;amount\n1;3\n2;10\n", r'separated by ";".*delimiter: ";" \(--delimiter'),
        ("id\tamount\n1\t3\n2\t10\n", r"separated by a tab.*--delimiter '\\t'"),
        ("id|amount\n1|3\n2|10\n", r'separated by "\|"'),
        ("# export of 2024\n# user x\na,b\n1,2\n", r"2 lines stand before .* skip_rows: 2"),
        ("report\n\na,b\n1,2\n3,4\n", r"2 lines stand before .* skip_rows: 2"),
        ("a,b\n1,2,\n3,4,\n", r'each row ends with ","'),
        ("a,b,c\n1,2\n3,4,5\n", r"row 2 has 2 fields where the header names 3"),
        ("a,b\n1,2\n" + "3,4\n" * 9000 + "5\n", r"line 9003 has 1 fields where the header names 2"),
    ],
)
def test_what_a_file_seems_to_be_instead_is_named(tmp_path: Path, content: str, words: str) -> None:
    with raises_code(ConfigurationError, "data.dialect", words), open_table(write(tmp_path, content)):
        pass


def test_a_text_with_other_signs_in_it_is_no_other_dialect(tmp_path: Path) -> None:
    for content in ("note\na;b\nc\n", "note\na;b\nc;d\n", "a,b\nx;y,1\nz;w,2\n", "a;x\n1\n2\n"):
        with open_table(write(tmp_path, content)) as table:
            assert table.rows("SELECT count(*) FROM data") == [(2,)]


@pytest.mark.parametrize(
    ("content", "encoding", "words"),
    [
        ("a,b\nJos\xe9,1\n".encode("cp1252"), {}, "name its encoding, such as encoding: cp1252"),
        ("a,b\nJosé,1\n".encode("utf-16"), {}, "such as encoding: utf-16"),
        ("a,b\nJosé,1\n".encode(), {"encoding": "ascii"}, None),
        (b"a,b\n\x81,1\n", {"encoding": "cp1252"}, "is not cp1252 text"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, content: bytes, encoding: dict[str, str], words: str | None) -> None:
    data, reading = write(tmp_path, content), Reading.of(encoding, "here")
    if words is None:
        with open_table(data, reading=reading) as table:
            assert table.rows(ROWS) == [("José", 1)]  # ASCII is UTF-8
        return
    with raises_code(ConfigurationError, "file.not_text", words), open_table(data, reading=reading):
        pass


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        (["1.6"], "int64", "1 value is none"),
        (["1", "-", "-"], "int64", r'2 values are none, such as "-" \(2 times\)'),
        (["1_000"], "int64", "1 value is none"),
        (["0x1F"], "int64", "1 value is none"),
        (["99999999999999999999"], "int64", "1 value is none"),
        (["1.234"], "decimal(10,2)", "1 value is none"),
        (["1 "], "float64", "1 value is none"),
        (["maybe"], "bool", "1 value is none"),
        (["2026-02-30"], "date", "1 value is none"),
        (["Miller-Anders"], "int64", r"1 value is none: mend"),
    ],
)
def test_values_that_are_not_of_their_declared_type_are_refused(
    tmp_path: Path, values: list[str], kind: str, words: str
) -> None:
    data = write(tmp_path, "v,n\n" + "".join(f"{value},1\n" for value in values))
    reading = Reading.of({"types": {"v": kind}}, "here")
    with raises_code(ConfigurationError, "column.not_declared_type", words), open_table(data, reading=reading):
        pass


@pytest.mark.parametrize(
    "given",
    [
        {"types": {"a": "wrd"}},
        {"delimiter": ";;"},
        {"delimiter": ";", "decimal": ";"},
        {"encoding": "klingon"},
        {"quote": "ab"},
        {"skip_rows": -1},
        {"decimal": ",", "thousands": ","},
    ],
)
def test_declarations_that_could_be_taken_two_ways_are_refused(given: dict[str, Any]) -> None:
    with raises_code(ConfigurationError, "setting.wrong"):
        Reading.of(given, "here")


@pytest.mark.parametrize("word", ["NA", "null", "?", "-"])
def test_one_word_among_numbers_is_named_with_the_declaration_to_type(tmp_path: Path, word: str) -> None:
    data = write(tmp_path, "id,age\n" + "".join(f"{at},{word if at % 4 == 0 else at}\n" for at in range(40)))
    with open_table(data) as table:
        assert table.types == {"id": "BIGINT", "age": "VARCHAR"}
        assert f'"{word}" stands 10 times among 30 numbers' in table.remark("age")
        assert f'missing_values: ["", "{word}"]' in table.remark("age")
        assert table.remark("id") == ""
    with open_table(data, reading=Reading.of({"missing_values": ["", word]}, "here")) as table:
        assert table.types["age"] == "BIGINT"
        assert table.rows("SELECT count(age) FROM data") == [(30,)]


@pytest.mark.parametrize("declared", [{}, {"decimal": ","}, {"thousands": "'"}, {"decimal": ",", "thousands": "."}])
def test_every_number_begins_as_one(declared: dict[str, Any]) -> None:
    reading = Reading.of(declared, "here") if declared else Reading()
    texts = [sign + start + rest for sign in ("", "-") for start in ("0", "7", ".", ",", "inf") for rest in NUMBERS]
    with source_of(pd.DataFrame({"v": [*texts, "word", "", "Infinity"]})).open() as table:
        number, begin = look_of('"v"', reading), begins_as_number('"v"')
        asked = [f"{number} AND NOT ({begin})", number, f"NOT ({begin})"]
        missed, numbers, others = table.rows(f"SELECT {', '.join(map(count_where, asked))} FROM data")[0]
    assert missed == 0
    assert numbers > 20
    assert others >= 3


def test_different_values_are_counted_without_keeping_the_rows(tmp_path: Path) -> None:
    with open_table(write(tmp_path, "id,city\n1,Wien\n2,Graz\n")) as table:
        ((_, plan),) = table.rows(
            "EXPLAIN SELECT bitstring_agg(id, 0::BIGINT, 9::BIGINT), count(DISTINCT city) FROM data"
        )
    assert "CTE" not in plan


def test_two_files_of_one_data_set_get_one_type(tmp_path: Path) -> None:
    write(tmp_path, "zip,n\n10001,1\n", "a.csv")
    write(tmp_path, "zip,n\n00501,1.5\n", "b.csv")
    with open_table(str(tmp_path)) as table:
        assert table.types == {"zip": "VARCHAR", "n": "DOUBLE"}
        assert table.rows(ROWS) == [("00501", 1.5), ("10001", 1.0)]


def test_quotes_are_a_declaration_where_a_file_has_them_around_some_columns_only(tmp_path: Path) -> None:
    with open_table(write(tmp_path, '"g","y"\n"1",1\n"2",0\n')) as table:
        assert table.types == {"g": "VARCHAR", "y": "BIGINT"}
    with open_table(write(tmp_path, '"g","y"\n"1","1"\n"2","0"\n')) as table:
        assert table.types == {"g": "BIGINT", "y": "BIGINT"}
    with open_table(write(tmp_path, '"g","y"\n"1",1\n2,0\n')) as table:
        assert table.types == {"g": "BIGINT", "y": "BIGINT"}


def test_whole_numbers_are_exact_beside_missing_ones_in_every_hand_over(tmp_path: Path) -> None:
    data = write(tmp_path, f"id,big\n1577134800018226901,{'9' * 38}\n1577134800018226902,1\n,\n")
    with open_table(data) as table:
        frame = table.frame()
        assert frame["id"].dropna().tolist() == [1577134800018226901, 1577134800018226902]
        assert [value for value in frame["big"] if value is not None] == [int("9" * 38), 1]
        assert table.rows("SELECT count(DISTINCT id), count(*) FROM data") == [(2, 3)]
        assert str(table.frame_as_stored(["id"]).dtypes["id"]) == "float64"  # as a model has seen it in training


def _columns_alike(folder: Path) -> dict[str, Any]:
    pq.write_table(pa.table({"Id": [1], "ID": [7]}), folder / "a.parquet")
    return {
        "csv": write(folder, "Id,ID\n1,7\n"),
        "parquet": str(folder / "a.parquet"),
        "frame": pd.DataFrame({"Id": [1], "ID": [7]}),
        "arrow": pa.table({"Id": [1], "ID": [7]}),
    }


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame", "arrow"])
def test_columns_that_differ_in_case_alone_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    data = _columns_alike(tmp_path)[kind]
    with (
        raises_code(ConfigurationError, "column.twice", "differ in case alone, or not at all: Id, ID"),
        source_of(data).open() as relation,
    ):
        relation.require("ID")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_of_another_case_is_another_column(tmp_path: Path, kind: str) -> None:
    frame = pd.DataFrame({"sex": ["f"]})
    path = tmp_path / f"a.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    with source_of(str(path)).open() as relation, raises_code(ConfigurationError, "column.missing", 'mean "sex"'):
        relation.require("SEX")


def test_names_count_as_written_where_the_number_tells_less_apart(tmp_path: Path) -> None:
    data = write(tmp_path, "version,level,y,p\n1.10,1.0,1,1.0\n1.1,2.0,0,0.0\n")
    with source_of(data).open() as relation:
        for name in ("version", "level"):
            compared_together([(relation, name)])
        compared_together([(relation, "y"), (relation, "p")], "labels")
        assert relation.rows("SELECT version, level, y, p FROM data ORDER BY ALL") == [
            ("1.1", 2.0, 0, 0.0),
            ("1.10", 1.0, 1, 1.0),
        ]


def test_labels_that_write_one_number_in_two_ways_are_refused(tmp_path: Path) -> None:
    data = write(tmp_path, "y,p\n1,1\n1.0,1\n0.0,0\n")
    with (
        source_of(data).open() as relation,
        raises_code(ConfigurationError, "value.spellings", r"types: \{y: text\} or \{y: float64\}"),
    ):
        compared_together([(relation, "y"), (relation, "p")], "labels")
    with source_of(data, Reading.of({"types": {"y": "float64"}}, "here")).open() as relation:
        compared_together([(relation, "y"), (relation, "p")], "labels")
        assert relation.rows("SELECT DISTINCT y FROM data ORDER BY 1") == [(0.0,), (1.0,)]


def test_what_is_text_on_one_side_is_text_on_the_other(tmp_path: Path) -> None:
    one, other = write(tmp_path, "id\n01\n11\n"), write(tmp_path, "id\n11\n12\n", "b.csv")
    with source_of(one).open() as mine, source_of(other).open() as theirs:
        compared_together([(mine, "id"), (theirs, "id")])
        assert theirs.rows("SELECT id FROM data ORDER BY 1") == [("11",), ("12",)]


def test_a_declared_type_is_held_against_data_that_has_types(tmp_path: Path) -> None:
    pd.DataFrame({"zip": [501]}).to_parquet(tmp_path / "a.parquet")
    with source_of(str(tmp_path / "a.parquet")).open() as relation:
        require_declared(relation, Reading.of({"types": {"zip": "float64"}}, "here"))
        with raises_code(ConfigurationError, "column.not_declared_type", "holds integer, and is declared as text"):
            require_declared(relation, Reading.of({"types": {"zip": "text"}}, "here"))
        with raises_code(ConfigurationError, "column.missing"):
            require_declared(relation, Reading.of({"types": {"zp": "text"}}, "here"))


def test_a_data_set_is_described_and_its_declaration_drafted(tmp_path: Path) -> None:
    data = write(tmp_path, "id,zip,age,yes\n1,00501,34,1.5\n2,10001,?,\n3,10002,36,2.5\n4,10003,?,\n5,10004,37,\n")
    found = describe(data)
    assert [(column.name, column.type, column.missing) for column in found.columns] == [
        ("id", "int64", 0),
        ("zip", "text", 0),
        ("age", "text", 0),
        ("yes", "float64", 3),
    ]
    assert '"?" stands 2 times among 3 numbers' in as_text(found)
    assert found.draft.splitlines()[-1] == '  "yes": float64'
    again = describe(data, Reading.of({**found.declaration, "missing_values": ["", "?"]}, "here"))
    assert again.columns[2].missing == 2
    assert again.declaration == {**found.declaration, "missing_values": ["", "?"]}
    pd.DataFrame({"a": [1, None]}).to_parquet(tmp_path / "a.parquet")
    assert describe(str(tmp_path / "a.parquet")).draft == ""


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (["Miller"], "not all its values are numbers (10 are)"),
        (["Miller", "Miller"], '"Miller" stands 2 times'),
        (["-"], '"-" stands once'),
        (["n/a"], '"n/a" stands once'),
        (["007"] * 2, 'no plain numbers, such as "007" (2 times): if they mean numbers, declare types: {v: int64}'),
        (["word"] * 20, ""),
    ],
)
def test_a_remark_shows_no_value_that_could_be_a_persons(tmp_path: Path, odd: list[str], words: str) -> None:
    with open_table(write(tmp_path, "v,w\n" + "".join(f"{value},1\n" for value in [*range(10), *odd]))) as table:
        remark = table.remark("v")
    assert words in remark
    assert bool(remark) == bool(words)
    assert "Miller" not in remark or odd.count("Miller") > 1
