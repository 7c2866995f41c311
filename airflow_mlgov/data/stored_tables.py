"""Delta and Iceberg tables at one version, by ``deltalake`` and ``pyiceberg``: every file of theirs is fetched once
into a private copy, hashed, and read there. Refuses to read a version that cannot be had whole."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow_mlgov.data.duck import Duck
from airflow_mlgov.data.file_tables import Files, FileTable
from airflow_mlgov.data.files import FileSet, first_line, public_name, why_not_opened
from airflow_mlgov.data.limits import deadline
from airflow_mlgov.data.private_copies import writing
from airflow_mlgov.data.relation import MEMORY_LIMIT
from airflow_mlgov.data.scratch import scratch_folder
from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, MlgovError, not_installed
from airflow_mlgov.extras import opening
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    import pyarrow as pa

_TEXT = re.compile(r"(?P<kind>delta|iceberg):(?P<place>.+?)(?:@(?P<version>[0-9]+))?")
_CHUNK = 1 << 24
_ROWS = "rows.parquet"


def names_stored_table(text: str) -> bool:
    """Whether a text is ``delta:PLACE@VERSION`` or ``iceberg:PLACE@SNAPSHOT``."""
    return _TEXT.fullmatch(text) is not None


@dataclass(frozen=True)
class StoredTable:
    """A Delta or Iceberg table as a source.

    :param text: ``delta:PLACE@VERSION`` or ``iceberg:PLACE@SNAPSHOT``, the newest without the number. A place is the
        table's folder, also at a URL that fsspec knows; of Iceberg also a metadata file, or ``CATALOG.NAMESPACE.TABLE``
        of a catalogue that pyiceberg is configured for
    """

    text: str

    @property
    def name(self) -> str:
        """As it was named, without credentials."""
        kind, place, version = self._parts
        return f"{kind}:{public_name(place)}" + ("" if version is None else f"@{version}")

    @contextmanager
    def open(self, *, memory_limit: str = MEMORY_LIMIT) -> Iterator[FileTable]:
        """The rows of that version, copied to a file that goes away at the end."""
        with Duck(memory_limit) as duck, self.open_in(duck, "data") as table:
            yield table

    @contextmanager
    def open_in(self, duck: Duck, view: str) -> Iterator[FileTable]:
        """The same as a view beside others."""
        kind, place, version = self._parts
        with scratch_folder("table") as folder:
            read = _read_delta if kind == "delta" else _read_iceberg
            with _errors(self.name):
                held = read(place, version, folder)
            rows = folder / _ROWS
            subject = Subject("dataset", f"{kind}:{public_name(place)}@{held.version}", held.digest)
            files = _Held(subject.name, rows, (rows,), bound=subject)
            with Files(files).open_in(duck, view) as table:
                yield table

    @property
    def _parts(self) -> tuple[str, str, int | None]:
        found = _TEXT.fullmatch(self.text)
        if found is None:
            raise ConfigurationError(
                f"{self.text!r} is no table: write delta:PLACE@VERSION or iceberg:PLACE@SNAPSHOT", code="table.form"
            )
        return found["kind"], found["place"], None if found["version"] is None else int(found["version"])


@dataclass(frozen=True, kw_only=True)
class _Held(FileSet):
    """The rows in a file that is not what is bound."""

    bound: Subject

    @property
    def subject(self) -> Subject:
        """The version, bound to the bytes of its files."""
        return self.bound


@dataclass(frozen=True)
class _Version:
    version: int
    digest: str


def _digest(kind: str, version: int, schema: Any, files: Mapping[str, Any]) -> str:
    """``sha256("mlgov-<kind>-v1" || JSON)`` of the version, its schema, and what is known of each file by name."""
    parts = json.dumps([version, schema, files], sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return hashlib.sha256(f"mlgov-{kind}-v1{parts}".encode()).hexdigest()


def _write(batches: pa.RecordBatchReader, target: Path, name: str) -> None:
    import pyarrow.parquet as pq

    until = deadline()
    with pq.ParquetWriter(target, batches.schema) as writer:
        for batch in batches:
            until.check(f"reading {name}")
            writer.write_batch(batch)


def _read_delta(place: str, version: int | None, folder: Path) -> _Version:
    """The log is fetched whole, and of the data the files of that version."""
    deltalake = _library("deltalake", "a table of Delta")
    import pyarrow as pa

    store, base = _store(place)
    root = folder / "delta"
    logs = [name for name in store.find(f"{base}/_delta_log") if "/." not in name]
    if not logs:
        raise ConfigurationError(f"{public_name(place)} is no Delta table: it has no _delta_log", code="table.missing")
    for name in logs:
        _fetch(store, name, root / PurePosixPath(name).relative_to(PurePosixPath(base)))
    table = deltalake.DeltaTable(str(root), version=version)
    if deletions := [name for name in store.find(base) if PurePosixPath(name).name.startswith("deletion_vector_")]:
        for name in deletions:
            _fetch(store, name, root / PurePosixPath(name).relative_to(PurePosixPath(base)))
    actions = pa.table(table.get_add_actions(flatten=False))
    partitions = actions.column("partition").to_pylist() if "partition" in actions.column_names else []
    files: dict[str, Any] = {}
    for at, path in enumerate(actions.column("path").to_pylist()):
        relative = PurePosixPath(unquote(path))
        if relative.is_absolute() or "://" in path or ".." in relative.parts:
            raise ConfigurationError(
                f"version {table.version()} of {public_name(place)} has a file outside of its folder, as a shallow "
                "clone has: clone it deeply",
                code="file.outside",
            )
        files[path] = {"sha256": _fetch(store, f"{base}/{relative}", root / relative)}
        files[path] |= {"partition": partitions[at]} if partitions else {}
    for batch in table.deletion_vectors():
        for uri, kept in zip(*(pa.record_batch(batch).column(at).to_pylist() for at in (0, 1)), strict=True):
            files.setdefault(f"deleted of {PurePosixPath(uri).name}", hashlib.sha256(bytes(kept)).hexdigest())
    digest = _digest("delta", table.version(), json.loads(table.schema().to_json()), files)
    _write(pa.RecordBatchReader.from_stream(table.scan()), folder / _ROWS, place)
    return _Version(table.version(), digest)


def _read_iceberg(place: str, snapshot: int | None, folder: Path) -> _Version:
    _library("pyiceberg", "a table of Iceberg")
    table = _iceberg_table(place)
    copies = _private_io(table.io, folder / "iceberg")
    table.io = copies
    found = table.current_snapshot() if snapshot is None else table.snapshot_by_id(snapshot)
    if found is None:
        known = ", ".join(str(one.snapshot_id) for one in table.snapshots()[-5:]) or "it has none"
        raise ConfigurationError(
            f"{public_name(place)} has no snapshot {snapshot or ''}: {known}", code="table.no_version"
        )
    scan = table.scan(snapshot_id=found.snapshot_id)
    _write(scan.to_arrow_batch_reader(), folder / _ROWS, place)  # every file that counts has been fetched then
    files = {location: sha256 for location, (_, sha256) in copies.copies.items()}
    schema = scan.projection().model_dump(mode="json")
    return _Version(found.snapshot_id, _digest("iceberg", found.snapshot_id, schema, files))


def _iceberg_table(place: str) -> Any:
    from pyiceberg.catalog import load_catalog
    from pyiceberg.table import StaticTable

    if "/" not in place:
        catalog, _, name = place.partition(".")
        return load_catalog(catalog).load_table(name)
    if not place.endswith(".metadata.json"):
        store, base = _store(place)
        names = [name for name in store.find(f"{base}/metadata") if name.endswith(".metadata.json")]
        if not names:
            raise ConfigurationError(
                f"{public_name(place)} is no Iceberg table: it has no metadata/*.metadata.json", code="table.missing"
            )
        newest = max(names, key=lambda name: (_number(name), name))
        place = store.unstrip_protocol(newest) if "://" in place else newest
    return StaticTable.from_metadata(place)


def _number(name: str) -> int:
    """``00003-….metadata.json`` and ``v3.metadata.json`` are the third."""
    found = re.match(r"v?([0-9]+)", PurePosixPath(name).name)
    return int(found[1]) if found else -1


def _private_io(inner: Any, folder: Path) -> Any:
    """What hands out private copies of files, each fetched once; it writes nothing."""
    from pyiceberg.io import FileIO, InputFile, OutputFile
    from pyiceberg.io.pyarrow import PyArrowFileIO

    class PrivateIO(FileIO):  # type: ignore[misc]  # pyiceberg is untyped here
        def __init__(self) -> None:
            super().__init__(dict(inner.properties))
            self.copies: dict[str, tuple[Path, str]] = {}
            self._local, self._lock = PyArrowFileIO(), Lock()

        def new_input(self, location: str) -> InputFile:
            with self._lock:
                if location not in self.copies:
                    target = folder / f"{len(self.copies)}-{PurePosixPath(location).name}"
                    with inner.new_input(location).open() as remote:
                        self.copies[location] = target, _copied(remote, target)
            return self._local.new_input(str(self.copies[location][0]))

        def new_output(self, location: str) -> OutputFile:
            raise PermissionError(location)

        def delete(self, location: Any) -> None:
            raise PermissionError(location)

    return PrivateIO()


def _store(place: str) -> tuple[Any, str]:
    import fsspec

    try:
        store, base = fsspec.core.url_to_fs(place)
    except (ValueError, ImportError) as error:
        raise ConfigurationError(
            f"fsspec cannot open {public_name(place)} here ({why_not_opened(error)}): "
            f"{opening(place.partition('://')[0])}",
            code="store.unknown",
        ) from None
    return store, base.rstrip("/")


def _fetch(store: Any, name: str, target: Path) -> str:
    with store.open(name, "rb") as remote:
        return _copied(remote, target)


def _copied(remote: Any, target: Path) -> str:
    """Write what is read, and return its SHA-256."""
    until, digest = deadline(), hashlib.sha256()
    with writing(target) as file:
        while chunk := remote.read(_CHUNK):
            until.check(f"fetching {target.name}")
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _library(name: str, what: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise not_installed(error, what) from None


@contextmanager
def _errors(name: str) -> Iterator[None]:
    """Both libraries' errors as ours: they have dozens, in Rust and in Python."""
    try:
        yield
    except MlgovError:
        raise
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{name} cannot be read: a file of that version is gone (vacuumed or expired?): "
            f"{PurePosixPath(str(error.filename or error)).name}",
            code="table.missing",
        ) from None
    except PermissionError:
        raise AccessError(f"may not read {name}: give the worker's identity read access", code="file.refused") from None
    except OSError as error:
        raise DependencyError(f"{name} cannot be read: {type(error).__name__}", code="store.down") from None
    except Exception as error:
        raise ConfigurationError(
            f"{name} cannot be read: {type(error).__name__}: {first_line(error)[:200]}", code="data.unreadable"
        ) from None
