"""Unpacks gzip, bz2, xz, zstd and zip files as a stream into a private copy, and hashes what was packed on the way.
Refuses what unpacks to far more than it is (a decompression bomb), and archives of several files."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from airflow_mlgov.data.limits import deadline
from airflow_mlgov.data.private_copies import writing
from airflow_mlgov.errors import ConfigurationError

EXPANSION, ALWAYS = 200, 1 << 30
"""How many times its size a file may unpack to, and how many bytes it may in any case."""
_CHUNK = 1 << 20
_XZ_MEMORY = 128 << 20
"""``xz -9`` needs half of it."""


def _gzip(raw: BinaryIO) -> Any:
    return gzip.open(raw, "rb")


def _bz2(raw: BinaryIO) -> Any:
    return bz2.open(raw, "rb")


def _zstd(raw: BinaryIO) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(_KeptOpen(raw), mode="r"), "zstd")


class _KeptOpen:
    """A file that PyArrow does not close, because its end is still to be hashed."""

    closed = False

    def __init__(self, raw: BinaryIO) -> None:
        self.read = raw.read

    def close(self) -> None:
        """Nothing."""


class _Xz(io.RawIOBase):
    """What an xz file holds, with a bound on the memory that its header asks for; Python's own has none."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._packed = raw.read(_CHUNK)
        self._one = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)

    def read(self, size: int = -1) -> bytes:
        while True:
            if self._one.eof:  # another stream may follow, behind padding
                self._packed = (self._one.unused_data or self._raw.read(_CHUNK)).lstrip(b"\0")
                if not self._packed:
                    return b""
                self._one = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
            elif self._one.needs_input and not self._packed:
                self._packed = self._raw.read(_CHUNK)
                if not self._packed:
                    raise EOFError("the file ends in the middle")
            found = self._one.decompress(self._packed, size)
            self._packed = b""
            if found:
                return found


_OPENERS: dict[str, Callable[[BinaryIO], Any]] = {".gz": _gzip, ".bz2": _bz2, ".xz": _Xz, ".zst": _zstd}
PACKED = (*_OPENERS, ".zip")
_FAULTS = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""What the libraries raise at files that are none; a zip with a password is a RuntimeError."""


class _Hashing(io.RawIOBase):
    """A file whose bytes are hashed as they are read from it."""

    def __init__(self, raw: BinaryIO) -> None:
        self.digest = hashlib.sha256()
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self.digest.update(data)
        return len(data)


def member_of(name: str, raw: BinaryIO, shown: str) -> str:
    """The name of what is packed: of the one member of a zip, else the name without the last extension.

    :param shown: the file, as messages name it
    :raises ConfigurationError: a zip that holds no file, or several
    """
    stem, _, ending = name.rpartition(".")
    if ending.lower() != "zip":
        return stem
    with _faults(shown), zipfile.ZipFile(raw) as archive:
        return Path(_only(shown, archive).filename).name


def unpack(name: str, raw: BinaryIO, size: int, target: Path) -> str:
    """Write what is packed in an open file to ``target``; returns the SHA-256 of the packed bytes.

    :param name: as messages name it; its extension says how it is packed
    :param size: of the packed file in bytes
    :raises ConfigurationError: it is not what its name says, or unpacks to more than it may
    :raises TimeLimitError: it takes too long
    :raises DependencyError: no room in the temporary folder
    """
    ending = Path(name).suffix.lower()
    with writing(target, Path(name).name) as file:
        if ending == ".zip":
            return _unzip(name, raw, size, file)
        hashing = _Hashing(raw)
        buffered = io.BufferedReader(hashing, _CHUNK)
        with _faults(name):
            _write(name, _OPENERS[ending](buffered), size, file)
            while buffered.read(_CHUNK):  # what a reader leaves behind the end is hashed too
                pass
        return hashing.digest.hexdigest()


def _unzip(name: str, raw: BinaryIO, size: int, file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := raw.read(_CHUNK):
        digest.update(chunk)
    raw.seek(0)  # a zip is read from its end
    with _faults(name), zipfile.ZipFile(raw) as archive, archive.open(_only(name, archive)) as packed:
        _write(name, packed, size, file)
    return digest.hexdigest()


def _only(name: str, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        raise ConfigurationError(
            f"{name} holds {len(members)} files, and a zip of data holds one: unpack it and name the folder",
            code="archive.members",
        )
    return members[0]


def _write(name: str, packed: Any, size: int, file: BinaryIO) -> None:
    until, most, written = deadline(), max(ALWAYS, size * EXPANSION), 0
    while chunk := packed.read(_CHUNK):
        until.check(f"unpacking {name}")
        written += len(chunk)
        if written > most:
            raise ConfigurationError(
                f"{name} has {size:,} bytes and unpacks to more than {most:,}, which no honest file of that size does: "
                "unpack it by hand and name the result",
                code="archive.bomb",
            )
        _written(file, chunk)


def _written(file: BinaryIO, chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        raise _Full(error) from None


class _Full(Exception):
    """The temporary folder is full; not a fault of the packed file."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error


@contextmanager
def _faults(name: str) -> Iterator[None]:
    try:
        yield
    except _Full as full:
        raise full.error from None
    except _FAULTS as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigurationError(
            f"{name} is not what its name says, or is damaged: it cannot be unpacked ({said})", code="data.unreadable"
        ) from None
