"""Finds the files that a path, glob, folder or URL stands for, takes private copies of them, and names them by the
SHA-256 of their bytes. Refuses files of other kinds, and whatever is not what its name says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from airflow_mlgov.data import file_kinds, packed, private_copies
from airflow_mlgov.data.file_kinds import is_csv, require_known
from airflow_mlgov.data.limits import deadline
from airflow_mlgov.data.listing import listing_digest, looks_like_a_listing, require_bindable
from airflow_mlgov.data.relation import MEMORY_LIMIT
from airflow_mlgov.data.scratch import scratch_folder
from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, MlgovError
from airflow_mlgov.extras import opening
from airflow_mlgov.results import Subject
from airflow_mlgov.urls import without_password

__all__ = [
    "FileSet",
    "dataset_subject",
    "first_line",
    "is_csv",
    "opened",
    "parquet_errors",
    "public_name",
    "why_not_opened",
]

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_WHOLE_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_CHUNK = 1 << 24
Store = tuple[Any, str]
"""A file system of fsspec, and a path in it."""


@dataclass(frozen=True)
class Original:
    """What a private copy was made from."""

    name: str
    """In the listing."""
    sha256: str | None = None
    """If its bytes are not those of the copy, because it was unpacked or converted."""


@dataclass(frozen=True)
class FileSet:
    """The files that one ``data`` argument stands for: private copies, which nobody else writes to."""

    data: str
    """As it is named in evidence: the path or URL, without credentials."""
    root: Path
    """What names in the digest are relative to; the one file itself if one was named."""
    files: tuple[Path, ...]
    """In the order of the originals' names; never empty."""
    originals: Mapping[Path, Original] = field(default_factory=dict)

    @property
    def subject(self) -> Subject:
        """The dataset bound to its bytes, see :func:`dataset_subject`; reads every byte."""
        entries = [(self._original(path).name, self._original(path).sha256 or _sha256(path)) for path in self.files]
        single = self.files == (self.root,)
        return Subject("dataset", self.data, entries[0][1] if single else listing_digest(entries))

    def _original(self, path: Path) -> Original:
        return self.originals.get(path) or Original(path.relative_to(self.root).as_posix())

    def shown(self, path: Path) -> str:
        """The name of what a file was made from, without its folders."""
        return PurePosixPath(self._original(path).name).name

    @cached_property
    def partitions(self) -> dict[Path, dict[str, int | str | None]]:
        """What the ``key=value`` folders above each file, within the set, say of its rows. A key's values are whole
        numbers where all of them are, else text.

        :raises ConfigurationError: the files have unlike keys
        """
        texts = {path: _keys_of(self._original(path).name) for path in self.files}
        first = next(iter(texts.values()))
        for path, found in texts.items():
            if found.keys() != first.keys():
                raise ConfigurationError(
                    f"the files of {self.data} lie in unlike key=value folders: {', '.join(found) or 'none'} above "
                    f"{self.shown(path)}, {', '.join(first) or 'none'} above {self.shown(self.files[0])}",
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
def opened(data: str, *, memory_limit: str = MEMORY_LIMIT, store: Store | None = None) -> Iterator[FileSet]:
    """Private copies of the files of ``data``, each opened once, in a folder that goes away at the end: what is hashed
    is what is read, whatever happens to the path meanwhile. What is packed is unpacked.

    Errors name the files as the caller does, and not the copies.

    :param memory_limit: what converting a file may hold in memory
    :param store: of a URL the file system of fsspec that has it, and the path in it; made from the URL if omitted
    :raises ConfigurationError: no such file, an unknown extension or an unknown kind of URL, a file that is not what
        its name says, or a link that leads out of the data set
    :raises AccessError: the file system or the object store refuses
    :raises DependencyError: the object store cannot be reached, a file changed while it was copied, or the temporary
        folder has no room
    """
    text = str(data)
    if not text.strip():
        raise ConfigurationError(
            "the data is named by an empty text: name a file, a folder or a URL", code="data.missing"
        )
    with scratch_folder("data") as folder:
        copies = _Copies(folder, memory_limit)
        with copies.named_as_given():
            if "://" in text:
                yield _fetched(text, copies, store)
            else:
                yield _taken(text, _resolve(text), copies)


class _Copies:
    """Private copies in a folder, side by side whatever folders the originals lie in, and what each was made from."""

    def __init__(self, folder: Path, memory_limit: str) -> None:
        self._folder, self._memory_limit = folder, memory_limit
        self._originals: dict[Path, Original] = {}
        self._shown: dict[str, str] = {}

    @contextmanager
    def adding(self, relative: PurePosixPath, shown: str) -> Iterator[Path]:
        """A place for a copy, to be written to while the block runs.

        :param relative: its name within the data set
        :param shown: as errors name it
        """
        require_bindable(str(relative))
        require_known(relative.name, shown)
        target = self._place(relative.name, shown)
        yield target
        place, sha256 = self._settled(target, relative.name, shown)
        self._originals[place] = Original(str(relative), sha256)

    def file_set(self, data: str, *, single: bool) -> FileSet:
        """The copies, in the order in which they were added."""
        files = tuple(self._originals)
        if single and looks_like_a_listing(_beginning(files[0])):
            raise ConfigurationError(
                f"{data} begins like the listing of files or rows that a digest is made of, so its own digest could be "
                "taken for that of another data set: it is no data",
                code="file.not_bindable",
            )
        return FileSet(data, files[0] if single else self._folder, files, self._originals)

    @contextmanager
    def named_as_given(self) -> Iterator[None]:
        """Errors of the block name the originals."""
        try:
            yield
        except MlgovError as error:
            text = str(error)
            for copy in sorted(self._shown, key=len, reverse=True):
                text = text.replace(copy, self._shown[copy])
            error.args = (text,)
            raise

    def _settled(self, taken: Path, name: str, shown: str) -> tuple[Path, str | None]:
        """The copy, unpacked and converted if no reader reads it as it is; then with the SHA-256 of what was taken."""
        sha256 = None
        if file_kinds.is_packed(name):
            with taken.open("rb", buffering=0) as raw:
                name = packed.member_of(name, raw, shown)
                raw.seek(0)
                require_bindable(name)
                require_known(name, f"what is packed in {shown}", packed=False)
                inner = self._place(name, shown)
                sha256 = packed.unpack(shown, raw, taken.stat().st_size, inner)
            taken.unlink()
            taken = inner
        file_kinds.require_content(taken, name, shown)
        if file_kinds.is_converted(name):
            from airflow_mlgov.data.conversion import as_parquet

            sha256, place = sha256 or _sha256(taken), self._place(".parquet", shown)
            as_parquet(taken, place, shown, self._memory_limit)
            taken.unlink()
            return place, sha256
        return taken, sha256

    def _place(self, name: str, shown: str) -> Path:
        """A path for a file of this kind."""
        path = self._folder / f"{len(self._shown)}.{name.rpartition('.')[2]}"
        self._shown[str(path)] = shown
        return path


def _taken(text: str, found: _Found, copies: _Copies) -> FileSet:
    """Copies of what is on this machine."""
    with ExitStack() as stack:
        if found.root is None:
            (path,) = found.files
            with copies.adding(PurePosixPath(path.name), str(path)) as target, private_copies.opened_alone(path) as raw:
                private_copies.copy(raw, target, path.name)
            return copies.file_set(text, single=True)
        origin = stack.enter_context(private_copies.Origin(found.root))
        for path in found.files:
            relative = PurePosixPath(path.relative_to(found.root).as_posix())
            with copies.adding(relative, str(path)) as target, origin.opened(path) as raw:
                private_copies.copy(raw, target, path.name)
    return copies.file_set(text, single=False)


def _fetched(url: str, copies: _Copies, given: Store | None) -> FileSet:
    """Copies of the files at a URL."""
    import fsspec

    shown = public_name(url)
    scheme = shown.partition("://")[0]
    try:
        store, path = fsspec.core.url_to_fs(url) if given is None else given
        path = store._strip_protocol(path)
    except (ValueError, ImportError) as error:
        raise ConfigurationError(
            f"data is a {scheme}:// URL, and fsspec cannot open it here ({why_not_opened(error)}): {opening(scheme)}, "
            "or mount the files; a database goes in a SqlSource",
            code="store.unknown",
        ) from None
    try:
        return _copied(store, path, shown, copies)
    except PermissionError:
        raise AccessError(
            f"may not read {shown}: give the worker's identity read access", code="file.refused"
        ) from None
    except FileNotFoundError:
        raise ConfigurationError(f"no such file: {shown}", code="file.missing") from None
    except MlgovError:
        raise
    except Exception as error:  # each store has exceptions of its own; their words may hold a signed URL
        raise _told(error, shown) from None


def _told(error: Exception, shown: str) -> MlgovError:
    """What is wrong at a store, by the class of its error alone."""
    names = {type(one).__name__ for one in (error, error.__cause__, error.__context__) if one is not None}
    scheme = shown.partition("://")[0]
    if "ParamValidationError" in names:
        return ConfigurationError(
            f"{shown} names no bucket and key that a store of {scheme}:// can have: write {scheme}://bucket/key, or "
            f"{scheme}://conn_id@bucket/key with the id of an Airflow connection",
            code="store.name",
        )
    if "NoCredentialsError" in names:
        return AccessError(
            f"may not read {shown}: this machine has no credentials for it; name an Airflow connection, "
            f"{scheme}://conn_id@bucket/key, or set those of the store",
            code="file.refused",
        )
    return DependencyError(f"{shown} cannot be read: {type(error).__name__}", code="store.down")


def _copied(store: Any, path: str, shown: str, copies: _Copies) -> FileSet:
    if any(sign in path for sign in "*?["):
        found, base = sorted(store.glob(path)), re.split(r"[*?\[]", path)[0].rpartition("/")[0]
    elif store.isdir(path):
        everything, base = sorted(store.find(path)), path.rstrip("/")
        _refuse_table_formats(shown, {PurePosixPath(name[len(base) :].lstrip("/")).parts[0] for name in everything})
        found = [name for name in everything if not _is_marker(PurePosixPath(name[len(base) :].lstrip("/")))]
    else:
        found, base = [path], path.rpartition("/")[0]
    if not found:
        raise ConfigurationError(f"no file of data at {shown}", code="file.missing")
    for name in found:
        relative = PurePosixPath(name[len(base) :].lstrip("/"))
        if ".." in relative.parts:
            raise ConfigurationError(
                f"{shown} holds a file whose name leaves its folder: {relative}", code="file.outside"
            )
        single = found == [path]
        with copies.adding(relative, shown if single else f"{shown.rstrip('/')}: {relative}") as target:
            _fetch(store, name, target)
    return copies.file_set(shown, single=found == [path])


def _fetch(store: Any, name: str, target: Path) -> None:
    until, shown = deadline(), PurePosixPath(name).name
    with store.open(name, "rb") as remote, private_copies.writing(target, shown) as file:
        while chunk := remote.read(_CHUNK):
            until.check(f"fetching {shown}")
            file.write(chunk)


@dataclass(frozen=True)
class _Found:
    files: tuple[Path, ...]
    root: Path | None = None
    """The folder that holds them; None if one file was named."""


def _resolve(text: str) -> _Found:
    path = Path(text)
    try:
        if path.is_file():
            return _Found((path,))
        if path.is_dir():
            return _folder(text, path)
        if any(sign in text for sign in "*?["):
            return _glob(text, path)
    except PermissionError as error:
        raise AccessError(
            f"may not read {text}: permission denied; give the worker's user read access", code="file.refused"
        ) from error
    except MlgovError:
        raise
    except (OSError, ValueError) as error:  # too long a name, a loop of links, a NUL
        raise ConfigurationError(f"{text!r} cannot be a file: {first_line(error)}", code="file.unreadable") from None
    raise ConfigurationError(f"no such file: {text} (looked in {path.absolute().parent})", code="file.missing")


def _folder(text: str, folder: Path) -> _Found:
    _refuse_table_formats(text, {path.name for path in folder.iterdir()})
    found = [path for path in folder.rglob("*") if not _is_marker(path.relative_to(folder))]
    files = sorted(path for path in found if path.is_file())
    for path in found:
        if not path.is_file() and (path.is_symlink() or not path.is_dir()):
            raise ConfigurationError(
                f"{path} is a link to a folder or to nothing, or a special file, so its rows would be left out: put "
                "the files themselves there",
                code="file.kind",
            )
    if not files:
        raise ConfigurationError(f"the folder {text} holds no file of data", code="folder.empty")
    return _Found(tuple(files), folder)


def _glob(text: str, pattern: Path) -> _Found:
    parts = pattern.parts
    magic = next(at for at, part in enumerate(parts) if any(sign in part for sign in "*?["))
    root = Path(*parts[:magic])
    files = sorted(path for path in root.glob(str(Path(*parts[magic:]))) if path.is_file())
    if not files:
        raise ConfigurationError(f"no file matches {text} (looked in {root.absolute()})", code="file.missing")
    return _Found(tuple(files), root)


def _refuse_table_formats(text: str, names: set[str]) -> None:
    """Refuse folders whose files are not all of the table: old versions and deleted rows lie beside it."""
    formats = {"_delta_log": f"a Delta table: name it as delta:{text}@VERSION", ".hoodie": "a Hudi table: export it"}
    formats |= {"metadata": f"an Iceberg table: name it as iceberg:{text}@SNAPSHOT"} if "data" in names else {}
    for name, what in formats.items():
        if name in names:
            raise ConfigurationError(
                f"the folder {text} is {what}, because its files hold rows that are not in the table any more",
                code="folder.table",
            )


def _is_marker(relative: PurePosixPath | Path) -> bool:
    """``_SUCCESS``, ``.part-0.crc``, ``.ipynb_checkpoints/…``: what writers leave beside the data."""
    return any(part.startswith((".", "_")) for part in relative.parts)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(80)


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


def _keys_of(name: str) -> dict[str, str | None]:
    pairs = [part.partition("=") for part in name.split("/")[:-1] if "=" in part]
    return {unquote(key): None if value == _NO_VALUE else unquote(value) for key, _, value in pairs}


def public_name(data: str) -> str:
    """A path or URL as evidence names it: without credentials and parameters."""
    scheme, separator, rest = data.partition("://")
    if not separator:
        return data
    return f"{scheme}://{re.sub('^[^/]*@', '', without_password(rest, scheme).partition('?')[0])}"


@contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """Turn what PyArrow says of a parquet file into this package's error.

    :raises ConfigurationError: it is no parquet file, or a damaged one
    """
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, PermissionError | FileNotFoundError):
            raise
        raise ConfigurationError(
            f"{path} is not a readable parquet file: {first_line(error)}", code="data.unreadable"
        ) from None


def why_not_opened(error: Exception) -> str:
    """What fsspec says of a scheme. What is wrong in a URL is not shown: it may be a part of a password."""
    said = first_line(error)
    return (
        said if isinstance(error, ImportError) or said.startswith("Protocol not known") else "no URL that it can read"
    )


def first_line(error: BaseException) -> str:
    """What an exception says, without what follows."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
