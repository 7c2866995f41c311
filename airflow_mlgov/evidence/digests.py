"""Digests of exact bytes: a file, a tree, a JSON value. Refuses whatever could make two trees look like one."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any, BinaryIO

from airflow_mlgov.data.listing import listing_digest, require_bindable
from airflow_mlgov.data.private_copies import Origin
from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.progress import counting, followed
from airflow_mlgov.strict_files import regular

_BYTES = "GB are hashed"
_SMALL = 1 << 14
_LARGE = 1 << 20
"""Bytes that are read at once: at first, and of what is larger."""


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes as lower-case hex, read as a stream.

    :raises ConfigurationError: the file is not there, cannot be read, or is not regular
    :raises AccessError: the file system refuses
    """
    try:
        with regular(path, "file") as stream, counting(_BYTES, os.fstat(stream.fileno()).st_size) as more:
            return _sha256(stream, more)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror or error}", code="file.unreadable") from error


def hash_tree(root: str | Path, exclude: Set[str] = frozenset()) -> str:
    """The in-toto ``dirHash`` of a directory: SHA-256 over the sorted ``sha256sum`` listing of its files.

    Equal to ``find . -type f | cut -c3- | LC_ALL=C sort | xargs -r sha256sum | sha256sum``. Empty directories are
    not bound.

    :param exclude: relative paths of files that do not count
    :raises EvidenceError: a symbolic link, a special file, a name that cannot stand in a listing, or no file at all
    """
    return listing_digest(tree_files(root, exclude), error=EvidenceError)


def tree_files(root: str | Path, exclude: Set[str] = frozenset()) -> list[tuple[str, str]]:
    """Name and SHA-256 of each file of a directory, in the order of the listing; parameters and errors as of
    :func:`hash_tree`."""
    base = Path(root)
    if not base.is_dir():
        raise ConfigurationError(f"{base} is not a directory", code="folder.missing")

    def counts(name: str, entry: os.DirEntry[str]) -> bool:
        if not entry.is_file(follow_symlinks=False):
            raise EvidenceError(
                f"{name!r} is not a regular file: links and special files cannot be bound to a digest",
                code="file.not_bindable",
            )
        if name in exclude:
            return False
        require_bindable(name, error=EvidenceError)
        return True

    total = sum(path.lstat().st_size for path in base.rglob("*")) if followed() else 0
    with Origin(base) as origin, counting(_BYTES, total) as more:  # which follows no link out of the tree
        files = [(name, _sha256(file, more)) for name, file in origin.files(counts)]
    if not files:
        raise EvidenceError(f"{base.name!r} holds no files, so its digest would bind nothing", code="folder.empty")
    return sorted(files, key=lambda entry: entry[0].encode())


def _sha256(file: BinaryIO, more: Callable[[int], None]) -> str:
    digest, size = hashlib.sha256(), _SMALL
    while piece := file.read(size):
        digest.update(piece)
        more(len(piece))
        size = _LARGE
    return digest.hexdigest()


def canonical_json(value: Any) -> bytes:
    """``value`` as UTF-8 JSON with sorted keys and no spaces: the same value gives the same bytes.

    :raises EvidenceError: NaN or infinity, which JSON cannot carry
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError) as error:  # also a lone surrogate, which UTF-8 cannot carry; a key that is no text
        raise EvidenceError(f"evidence must be plain finite JSON: {error}", code="json.not_plain") from error


def hash_json(value: Any) -> str:
    """SHA-256 of :func:`canonical_json`, as lower-case hex."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def parse_json(text: str | bytes) -> Any:
    """JSON, strictly: a key given twice or a NaN is refused, because two readers would read two things.

    :raises EvidenceError: it is not JSON, or it is ambiguous
    """
    found = _read_at_once(text)
    if found is not None:
        return found

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if len(keys) != len(set(keys)):
            raise EvidenceError(
                f"the JSON repeats the key {next(key for key in keys if keys.count(key) > 1)!r}", code="json.key_twice"
            )
        return dict(pairs)

    def no_constant(name: str) -> Any:
        raise EvidenceError(f"the JSON holds {name}", code="json.not_plain")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=no_constant)
    except ValueError as error:
        if isinstance(error, EvidenceError):
            raise
        raise EvidenceError(f"not JSON: {error}", code="json.malformed") from error
    except RecursionError as error:
        raise EvidenceError("the JSON is nested too deeply", code="json.too_deep") from error


def _read_at_once(text: str | bytes) -> Any:
    """JSON by pydantic's reader in Rust, where that is loaded already. What it writes again byte for byte repeats no
    key and holds no NaN; of any other text None, which :func:`parse_json` then reads itself."""
    core = sys.modules.get("pydantic_core")
    read, write = getattr(core, "from_json", None), getattr(core, "to_json", None)
    if read is None or write is None:
        return None
    try:
        raw = text.encode() if isinstance(text, str) else text
        found = read(raw, allow_inf_nan=False)
        return found if write(found, inf_nan_mode="null") == raw else None
    except ValueError:  # not JSON, nested too deeply, or of what Rust cannot hold
        return None
