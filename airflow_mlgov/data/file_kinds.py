"""Tells kinds of files by their names, and holds what is in them against that. Refuses other kinds, with the way out
where there is one."""

from __future__ import annotations

from pathlib import Path

from airflow_mlgov.data.packed import PACKED
from airflow_mlgov.errors import ConfigurationError

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".psv": "|"}
"""Extension of a text file -> what stands between its fields, if nobody says otherwise."""
_TEXT = tuple(DELIMITERS)
_PARQUET = (".parquet", ".pq")
_LINES, _ARROW = (".jsonl", ".ndjson"), (".arrow", ".feather", ".ipc")
_CONVERTED = _LINES + _ARROW
_EXCEL = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
KNOWN = _TEXT + _PARQUET + _CONVERTED

_MAGIC = {
    b"\x1f\x8b": ("gzip", ".gz"),
    b"BZh91AY&SY": ("bz2", ".bz2"),
    b"\xfd7zXZ\x00": ("xz", ".xz"),
    b"\x28\xb5\x2f\xfd": ("zstd", ".zst"),
    b"PK\x03\x04": ("zip (or Excel)", ".zip"),
    b"PAR1\x15": ("parquet", ".parquet"),
    b"ARROW1\x00": ("Arrow", ".arrow"),
    b"\xd0\xcf\x11\xe0": ("Excel", ""),
    b"%PDF": ("PDF", ""),
    b"SQLite format 3\x00": ("SQLite", ""),
}
"""First bytes -> what the file is, and the extension that says so."""


def is_csv(path: Path) -> bool:
    """Whether a file is read as text with one row on a line, by its name."""
    return path.name.lower().endswith(_TEXT)


def is_packed(name: str) -> bool:
    """Whether it is to be unpacked."""
    return name.lower().endswith(PACKED)


def is_converted(name: str) -> bool:
    """Whether it is to be converted to parquet."""
    return name.lower().endswith(_CONVERTED)


def is_json_lines(name: str) -> bool:
    """Whether each of its lines is a JSON object."""
    return name.lower().endswith(_LINES)


def require_known(name: str, shown: str, *, packed: bool = True) -> None:
    """Refuse kinds that nothing here reads.

    :param name: the file's
    :param shown: as the message names it
    :param packed: whether it may be packed
    :raises ConfigurationError: it is of another kind
    """
    lower = name.lower()
    inner = lower.removesuffix(next((end for end in PACKED if packed and lower.endswith(end)), ""))
    if lower.endswith(KNOWN) or (inner != lower and (inner.endswith(KNOWN) or lower.endswith(".zip"))):
        return
    if lower.endswith(_EXCEL):
        raise ConfigurationError(
            f"{shown} is an Excel file, whose cells have types, formulas and dates of their own: save the sheet as csv "
            '(UTF-8), or write it once with pandas.read_excel("…", dtype=str).to_parquet("….parquet")',
            code="file.excel",
        )
    way = "; JSON is read with one object on each line, as .jsonl" if lower.endswith(".json") else ""
    raise ConfigurationError(
        f"{shown} is of a kind that is not read here; known extensions: {', '.join(KNOWN)}, "
        f"each also with {', '.join(PACKED)}{way}",
        code="file.kind",
    )


def require_content(path: Path, name: str, shown: str) -> None:
    """Refuse a file whose first bytes say that it is of another kind than its name says.

    :param path: where it is
    :param name: its name without the extension of what it was packed with
    :param shown: as the message names it
    :raises ConfigurationError: it is
    """
    with path.open("rb") as file:
        beginning = file.read(16)
    for magic, (kind, ending) in _MAGIC.items():
        if beginning.startswith(magic) and not _fits(kind, name):
            way = f"name it {name}{ending}" if ending in PACKED else f"name it …{ending}" if ending else "export it"
            raise ConfigurationError(
                f"{shown} is a {kind} file by its first bytes, and {name!r} says something else: {way}",
                code="file.other_kind",
            )


def _fits(kind: str, name: str) -> bool:
    lower = name.lower()
    return (kind == "parquet" and lower.endswith(_PARQUET)) or (kind == "Arrow" and lower.endswith(_ARROW))
