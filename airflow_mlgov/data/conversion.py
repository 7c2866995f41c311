"""Converts JSON lines and Arrow files to parquet, which every reader reads. Refuses lines that are no object, a key
twice, columns without one type, and Arrow batches that need more memory than the limit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from airflow_mlgov.data import _arrow_child
from airflow_mlgov.data.file_kinds import is_json_lines
from airflow_mlgov.data.limits import deadline
from airflow_mlgov.data.memory import MemoryLimitError
from airflow_mlgov.data.relation import bytes_of
from airflow_mlgov.data.row_writer import write_rows
from airflow_mlgov.errors import ConfigurationError

_LONGEST_LINE = 16 << 20
_MANY_COLUMNS = 10_000


def as_parquet(path: Path, target: Path, shown: str, memory_limit: str) -> None:
    """The rows of a file at ``target``.

    :param path: of JSON lines or Arrow, by its name
    :param shown: as messages name it
    :param memory_limit: what a batch of an Arrow file may need
    :raises ConfigurationError: it is not what its name says, or a column has no one type
    :raises TimeLimitError: it takes too long
    """
    if is_json_lines(path.name):
        _json_lines(path, target, shown)
    else:
        _arrow(path, target, shown, memory_limit)


def _json_lines(path: Path, target: Path, shown: str) -> None:
    """A number without a fraction is a whole number of up to 38 digits; what is nested is JSON text; a key that a line
    lacks is missing there."""
    columns: dict[str, None] = {}
    for row in _objects(path, shown):
        columns.update(dict.fromkeys(row))
        if len(columns) > _MANY_COLUMNS:
            raise ConfigurationError(
                f"the lines of {shown} have more than {_MANY_COLUMNS} different keys", code="data.unreadable"
            )
    names = tuple(columns)
    rows: Iterator[Sequence[Any]] = (tuple(map(row.get, names)) for row in _objects(path, shown))
    write_rows(shown, names, rows, target)


def _objects(path: Path, shown: str) -> Iterator[dict[str, Any]]:
    until = deadline()
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE + 1):
            number += 1
            if number % 4096 == 0:
                until.check(f"reading {shown}")
            if len(line) > _LONGEST_LINE:
                raise _unreadable(shown, number, f"has more than {_LONGEST_LINE >> 20} MiB")
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield _object(line, shown, number)


def _object(line: bytes, shown: str, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{shown} is not UTF-8 text (line {number}, byte {error.start}); convert it first", code="file.not_text"
        ) from None
    except RecursionError:
        raise _unreadable(shown, number, "is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _unreadable(shown, number, f"is not JSON: {error.msg} at column {error.colno}") from None
    except ValueError as error:  # ours; or a number of more digits than Python reads
        raise _unreadable(shown, number, str(error).partition(";")[0]) from None
    if not isinstance(found, dict):
        raise _unreadable(shown, number, "is no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("has a key twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"holds {name}, which is not JSON")


def _unreadable(shown: str, line: int, why: str) -> ConfigurationError:
    return ConfigurationError(f"line {line} of {shown} {why}", code="data.unreadable")


def _arrow(path: Path, target: Path, shown: str, memory_limit: str) -> None:
    """By a process of its own, because what a batch unpacks to is known only to Arrow, which asks for that much at
    once."""
    until = deadline()
    command = [sys.executable, "-I", str(_arrow_child.__file__), str(path), str(target), str(bytes_of(memory_limit))]
    try:
        done = subprocess.run(
            command, env=_arrow_child.ENVIRONMENT, capture_output=True, text=True, errors="replace", check=False,
            timeout=None if until.left == float("inf") else until.left,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise until.error(f"reading {shown}") from None
    if done.returncode == _arrow_child.TOO_LARGE or done.returncode < 0:
        raise MemoryLimitError(
            f"a batch of {shown} needs more memory than the limit: write it in smaller batches, or raise memory_limit",
            code="memory_limit.exceeded",
        )
    if done.returncode:
        why = (done.stdout.strip() or "Arrow's reader crashed").splitlines()[0][:200]
        raise ConfigurationError(f"{shown} is not a readable Arrow file: {why}", code="data.unreadable")
