import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydantic_core
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.digests import canonical_json, hash_file, hash_tree, parse_json
from tests.codes import raises_code


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    (root / "data" / "deep").mkdir(parents=True)
    (root / "MLmodel").write_text("flavors: {}\n")
    (root / "data" / "model.skops").write_bytes(bytes(range(256)))
    (root / "data" / "deep" / "a b.txt").write_text("x")
    return root


def test_tree_digest_equals_the_shell_recipe(tree: Path) -> None:
    recipe = "find . -type f | cut -c3- | LC_ALL=C sort | tr '\\n' '\\0' | xargs -0 -r sha256sum | sha256sum"
    shell = subprocess.run(["bash", "-c", recipe], cwd=tree, capture_output=True, text=True, check=True)
    assert hash_tree(tree) == shell.stdout.split()[0]


@pytest.mark.parametrize("change", ["content", "rename", "add", "hidden"])
def test_any_change_of_the_tree_changes_its_digest(tree: Path, change: str) -> None:
    before = hash_tree(tree)
    if change == "content":
        (tree / "MLmodel").write_text("flavors: {x: 1}\n")
    elif change == "rename":
        (tree / "data" / "model.skops").rename(tree / "data" / "model2.skops")
    elif change == "add":
        (tree / "evil.py").write_text("")
    else:
        (tree / ".git").mkdir()
        (tree / ".git" / "config").write_text("")
    assert hash_tree(tree) != before


def test_excluded_files_do_not_count(tree: Path) -> None:
    before = hash_tree(tree)
    (tree / "registered_model_meta").write_text("name: x")
    assert hash_tree(tree, {"registered_model_meta"}) == before


@pytest.mark.parametrize("name", ["link", "pipe", "line\nbreak", "back\\slash"])
def test_what_cannot_be_bound_is_refused(tree: Path, name: str) -> None:
    if name == "link":
        (tree / name).symlink_to(tree / "MLmodel")
    elif name == "pipe":
        os.mkfifo(tree / name)
    else:
        (tree / name).write_text("")
    with pytest.raises(EvidenceError):
        hash_tree(tree)


def test_missing_things_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    with raises_code(EvidenceError, "folder.empty"):
        hash_tree(tmp_path / "empty")
    with raises_code(ConfigurationError, "file.missing", match=r"gone\.csv"):
        hash_file(tmp_path / "gone.csv")
    with raises_code(ConfigurationError, "folder.missing"):
        hash_tree(tmp_path / "gone")


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 1}}', '{"a": NaN}', "{", '{"a": Infinity}'])
def test_ambiguous_json_is_refused(text: str) -> None:
    with pytest.raises(EvidenceError):
        parse_json(text)


def test_canonical_json_is_one_form_and_finite() -> None:
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()
    for value in (float("nan"), "\ud800"):
        with raises_code(EvidenceError, "json.not_plain"):
            canonical_json({"a": value})
    with raises_code(EvidenceError, "json.too_deep"):
        parse_json("[" * 200_000)


def read_slowly(text: str) -> Any:
    """Without pydantic's reader; the error's code where it is refused."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pydantic_core", None)
        return read(text)


def read(text: str) -> Any:
    try:
        return repr(parse_json(text))
    except EvidenceError as error:
        return error.code


class Raw(str):
    """What stands in an object."""


def pairs(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects as text, which may give a key twice."""
    said = st.lists(st.tuples(st.sampled_from(["a", "b", "é"]), inner), max_size=3)
    return said.map(lambda items: Raw(",".join(f"{json.dumps(key)}:{written(value)}" for key, value in items)))


def written(value: Any) -> str:
    if isinstance(value, Raw):
        return f"{{{value}}}"
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    return json.dumps(value, ensure_ascii=False)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | pairs(inner)
)


@given(VALUES)
def test_json_is_read_alike_whatever_reads_it(value: Any) -> None:
    assert pydantic_core.__name__ in sys.modules
    text = written(value)
    assert read(text) == read_slowly(text)


@pytest.mark.parametrize(
    "text",
    [
        "1e999",
        "-0",
        "1E5",
        "1.0",
        "12345678901234567890123",
        "[1,]",
        '"\\ud800"',
        '"\\u00e9"',
        "\ufeff1",
        "[" * 500,
        '{"a":1,"a":1}',
        "NaN",
        '{"a":-Infinity}',
        '"\x01"',
        " 1",
        '{"a":{"b":1,"b":2}}',
        "9" * 5000,
    ],
)
def test_json_that_two_readers_could_read_otherwise(text: str) -> None:
    assert read(text) == read_slowly(text)
