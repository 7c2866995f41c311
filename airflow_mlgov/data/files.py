"""Finds the csv and parquet files that a path, glob, folder or URL stands for, and names them by the SHA-256 of their
bytes. Refuses files of other kinds, and files that change while they are read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, MlgovError
from airflow_mlgov.results import Subject

_CSV = (".csv", ".csv.gz", ".csv.bz2", ".csv.xz")
_PARQUET = (".parquet", ".pq")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_WHOLE_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")


@dataclass(frozen=True)
class FileSet:
    """The files that one ``data`` argument stands for, on this machine."""

    data: str
    """As it is named in evidence: the path or URL, without credentials."""
    root: Path
    """What names in the digest are relative to."""
    files: tuple[Path, ...]
    """Sorted; never empty."""

    @property
    def subject(self) -> Subject:
        """The dataset bound to its bytes, see :func:`dataset_subject`; reads every byte."""
        if self.files == (self.root,):
            return Subject("dataset", self.data, _sha256(self.root))
        lines = [f"{_sha256(path)}  {path.relative_to(self.root).as_posix()}\n" for path in self.files]
        return Subject("dataset", self.data, hashlib.sha256("".join(lines).encode()).hexdigest())

    @property
    def stamps(self) -> tuple[tuple[int, ...], ...]:
        """What the file system changes when somebody writes a file or puts another in its place."""
        try:
            found = [path.stat() for path in self.files]
        except FileNotFoundError as error:
            raise DependencyError(
                f"{error.filename} went away while {self.data} was being read; try again", code="data.changed"
            ) from None
        return tuple((one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in found)

    @property
    def partitions(self) -> dict[Path, dict[str, int | str | None]]:
        """What the ``key=value`` folders above each file, within the set, say of its rows. A key's values are whole
        numbers where all of them are, else text.

        :raises ConfigurationError: the files have unlike keys
        """
        texts = {path: _keys_of(path.relative_to(self.root)) for path in self.files}
        first = next(iter(texts.values()))
        for path, found in texts.items():
            if found.keys() != first.keys():
                raise ConfigurationError(
                    f"the files of {self.data} lie in unlike key=value folders: {', '.join(found) or 'none'} above "
                    f"{path.name}, {', '.join(first) or 'none'} above {self.files[0].name}",
                    code="folder.unlike",
                )
        numbers = {
            key
            for key in first
            if all(v is None or _WHOLE_NUMBER.fullmatch(v) for v in (f[key] for f in texts.values()))
        }
        return {
            path: {key: int(v) if v is not None and key in numbers else v for key, v in found.items()}
            for path, found in texts.items()
        }


def dataset_subject(data: str) -> Subject:
    """What ``data`` is, bound to its bytes: the SHA-256 of one file, or for a glob or folder the SHA-256 of the sorted
    ``<sha256>  <relative name>`` lines (the format of in-toto's ``dirHash``).

    :raises ConfigurationError: no such file, or an unknown extension
    :raises AccessError: the file system refuses to read it
    """
    with opened(data) as file_set:
        return file_set.subject


@contextmanager
def opened(data: str) -> Iterator[FileSet]:
    """The files of ``data``; those of a URL are fetched first into a folder that goes away at the end, so that what is
    hashed is what is read.

    :raises ConfigurationError: no such file, an unknown extension or an unknown kind of URL
    :raises AccessError: the file system or the object store refuses
    :raises DependencyError: the object store cannot be reached
    """
    text = str(data)
    if "://" not in text:
        yield _resolve(text)
        return
    with TemporaryDirectory(prefix="mlgov-data-") as folder:
        yield _fetched(text, Path(folder))


@contextmanager
def unchanged(file_set: FileSet) -> Iterator[None]:
    """Refuses to end where a file was written to in between.

    :raises DependencyError: a file changed while it was being read
    """
    before = file_set.stamps
    yield
    if file_set.stamps != before:
        raise DependencyError(
            f"{file_set.data} changed while it was being read; try again when its writer has finished",
            code="data.changed",
        )


def _fetched(url: str, folder: Path) -> FileSet:
    """The files at a URL, copied into ``folder``."""
    import fsspec

    shown = public_name(url)
    scheme = shown.partition("://")[0]
    try:
        store, path = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise ConfigurationError(
            f"data is a {scheme}:// URL, and fsspec cannot open it here ({first_line(error)}): install what it asks "
            "for, or mount the files; a database goes in a SqlSource",
            code="store.unknown",
        ) from None
    try:
        return _copied(store, path, shown, folder)
    except PermissionError:
        raise AccessError(
            f"may not read {shown}: give the worker's identity read access", code="file.refused"
        ) from None
    except FileNotFoundError:
        raise ConfigurationError(f"no such file: {shown}", code="file.missing") from None
    except MlgovError:
        raise
    except Exception as error:  # each store has exceptions of its own; their words may hold a signed URL
        raise DependencyError(f"{shown} cannot be read: {type(error).__name__}", code="store.down") from None


def _copied(store: Any, path: str, shown: str, folder: Path) -> FileSet:
    if any(sign in path for sign in "*?["):
        found, base = sorted(store.glob(path)), re.split(r"[*?\[]", path)[0].rpartition("/")[0]
    elif store.isdir(path):
        found, base = sorted(store.find(path)), path.rstrip("/")
        found = [name for name in found if not _is_marker(Path(name[len(base) :].lstrip("/")))]
    else:
        found, base = [path], path.rpartition("/")[0]
    if not found:
        raise ConfigurationError(f"no csv or parquet file at {shown}", code="file.missing")
    local = []
    for name in found:
        relative = PurePosixPath(name[len(base) :].lstrip("/"))
        if ".." in relative.parts:
            raise ConfigurationError(
                f"{shown} holds a file whose name leaves its folder: {relative}", code="file.outside"
            )
        target = folder / relative
        _require_known(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        store.get_file(name, str(target))
        local.append(target)
    return FileSet(shown, local[0] if found == [path] else folder, tuple(local))


def _resolve(text: str) -> FileSet:
    path = Path(text)
    try:
        if path.is_file():
            _require_known(path)
            return FileSet(text, path, (path,))
        if path.is_dir():
            return _folder(text, path)
        if any(sign in text for sign in "*?["):
            return _glob(text, path)
    except PermissionError as error:
        raise AccessError(
            f"may not read {text}: permission denied; give the worker's user read access", code="file.refused"
        ) from error
    raise ConfigurationError(f"no such file: {text} (looked in {path.absolute().parent})", code="file.missing")


def _folder(text: str, folder: Path) -> FileSet:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_marker(path.relative_to(folder)))
    if not files:
        raise ConfigurationError(f"the folder {text} holds no csv or parquet file", code="folder.empty")
    for path in files:
        _require_known(path)
    return FileSet(text, folder, tuple(files))


def _glob(text: str, pattern: Path) -> FileSet:
    parts = pattern.parts
    magic = next(at for at, part in enumerate(parts) if any(sign in part for sign in "*?["))
    root = Path(*parts[:magic])
    files = sorted(path for path in root.glob(str(Path(*parts[magic:]))) if path.is_file())
    if not files:
        raise ConfigurationError(f"no file matches {text} (looked in {root.absolute()})", code="file.missing")
    for path in files:
        _require_known(path)
    return FileSet(text, root, tuple(files))


def _is_marker(relative: Path) -> bool:
    """``_SUCCESS``, ``.part-0.crc``, ``.ipynb_checkpoints/…``: what writers leave beside the data."""
    return any(part.startswith((".", "_")) for part in relative.parts)


def _require_known(path: Path) -> None:
    if not path.name.lower().endswith(_CSV + _PARQUET):
        kinds = ", ".join(_CSV + _PARQUET)
        raise ConfigurationError(
            f"{path} is of a kind that is not read here; known extensions: {kinds}", code="file.kind"
        )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except PermissionError as error:
        raise AccessError(
            f"may not read {path}: permission denied; give the worker's user read access", code="file.refused"
        ) from error
    except FileNotFoundError as error:
        raise ConfigurationError(f"no such file: {path} (it was there a moment ago)", code="file.missing") from error


def _keys_of(relative: Path) -> dict[str, str | None]:
    pairs = [part.partition("=") for part in relative.parts[:-1] if "=" in part]
    return {unquote(key): None if value == _NO_VALUE else unquote(value) for key, _, value in pairs}


def public_name(data: str) -> str:
    """A path or URL as evidence names it: without credentials and parameters."""
    return re.sub(r"://[^/@]*@", "://", data.partition("?")[0]) if "://" in data else data


def is_csv(path: Path) -> bool:
    """Whether a file is read as csv, by its name."""
    return path.name.lower().endswith(_CSV)


def first_line(error: BaseException) -> str:
    """What an exception says, without what follows."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
