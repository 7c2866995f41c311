"""Files that people write: whatever two readers could read in two ways is refused, with its line."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.strict_files import MAX_BYTES, MAX_DEPTH, nearest, parse_json, parse_yaml, read_json, read_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdef", "bcdefg", strict=True)
)


def refused(text: str, *, json: bool = False, plain: bool = False) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        if json:
            parse_json(text, "f", "settings")
        else:
            parse_yaml(text, "f", "settings", plain=plain)
    return caught.value


@pytest.mark.parametrize(
    ("text", "code", "where"),
    [
        ("a: 1\nb: {c: 1, c: 2}\n", "file.key_twice", "f:2"),
        ("a: 1\n'a': 2\n", "file.key_twice", "f:2"),
        ("a: 1\nb: .nan\n", "file.not_finite", "f:2"),
        ("a: 1\nb: [-.inf]\n", "file.not_finite", "f:2"),
        ("a: 1.0e+400\n", "file.not_finite", "f:1"),
        ("a:\n- [\n", "file.not_yaml", "f:3"),
        ("a: !!python/object:os.system {}\n", "file.not_yaml", "f:1"),
        ("a: \x01", "file.not_yaml", "f"),
        ("a: 2024-13-45\n", "file.not_yaml", "f"),
        ("? [a]\n: b\n", "file.key_not_text", "f:1"),
        ("a: &a [*a]\n", "file.too_deep", "f"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "file.too_deep", "f:1"),
        ("[" * 100_000, "file.too_deep", "f:1"),
        (BOMB, "file.too_many", "f"),
    ],
)
def test_yaml_that_is_not_strict(text: str, code: str, where: str) -> None:
    error = refused(text)
    assert error.code == code
    assert str(error).startswith(f"{where}: ")


def test_a_tab_is_named_where_it_indents() -> None:
    error = refused("models:\n\tloans: 1\n")
    assert (error.code, "f:2: " in str(error), "indent with spaces" in str(error)) == ("file.not_yaml", True, True)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"a": 1, "a": 2}', "file.key_twice"),
        ('{"b": [{"a": 1, "a": 1}]}', "file.key_twice"),
        ('{"a": NaN}', "file.not_finite"),
        ("[-Infinity]", "file.not_finite"),
        ("[1e400]", "file.not_finite"),
        ("", "file.not_json"),
        ("{'a': 1}", "file.not_json"),
        ("[" + "1" * 5000 + "]", "file.not_finite"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "file.too_deep"),
        ("[" * 200_000, "file.too_deep"),
    ],
)
def test_json_that_is_not_strict(text: str, code: str) -> None:
    assert refused(text, json=True).code == code


@pytest.mark.parametrize(
    ("text", "usual", "plain"),
    [("no", False, "no"), ("010", 8, "010"), ("2024-01-01", None, "2024-01-01"), ("~", None, None), ("1.5", 1.5, 1.5)],
)
def test_plain_yaml_means_what_json_would(text: str, usual: Any, plain: Any) -> None:
    assert parse_yaml(text, "f", "settings", plain=True) == plain
    if usual is not None:
        assert parse_yaml(text, "f", "settings") == usual


def test_every_part_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_bytes(b"\xef\xbb\xbfmodels:\n  a: {b: 1}\n  c:\n  - d\n  - {e: &x 2, f: *x}\n")
    read = read_yaml(path, "settings")
    assert read.content == {"models": {"a": {"b": 1}, "c": ["d", {"e": 2, "f": 2}]}}
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read.where("models", "c", "1", "e") == f"{path}:5"
    assert read.where("models", "a", "gone") == f"{path}:2"


def test_lines_of_json_that_is_no_yaml_are_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text('{\n "a": [1,\n 2]}')
    assert read_json(path, "settings").where("a", "1") == f"{path}:3"
    path.write_text('{\n "a": [1,\n 2], "b": "\\ud83d\\ude00"}')
    found = read_json(path, "settings")
    assert found.where("a", "1") in (f"{path}:3", str(path)), "halves of a character are no YAML"
    assert found.content["b"] == "😀"


@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_files_that_cannot_be_read(tmp_path: Path, read: Any) -> None:
    def code(path: Path) -> str:
        with pytest.raises(ConfigurationError) as caught:
            read(path, "settings")
        return caught.value.code

    (tmp_path / "latin").write_bytes(b"\xe9")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert code(tmp_path / "gone") == "file.missing"
    assert code(tmp_path) == "file.unreadable"
    assert code(tmp_path / "latin") == "file.not_text"
    assert code(tmp_path / "huge") == "file.too_large"


def test_the_nearest_word() -> None:
    assert nearest("alais", ["alias", "stage"]) == "; did you mean 'alias'?"
    assert nearest("x", ["alias", "stage"]) == "; known: alias, stage"
