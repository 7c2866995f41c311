"""Takes private copies of files, each opened once, so that what is hashed is what is read whatever happens to the path
or the file meanwhile. Refuses links that lead out of the data set, and whatever is no regular file."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from airflow_mlgov.data.limits import deadline
from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError
from airflow_mlgov.progress import counting

_CHUNK = 1 << 26
_NOT_HERE = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}
"""What ``copy_file_range`` says where a file system or kernel has none."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


class Origin:
    """A folder whose files are taken; it stays the same folder, wherever its path leads later.

    :param root: the folder; a link to it is followed, because it was named
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real = Path(os.path.realpath(root))
        self._handle = -1

    def __enter__(self) -> Origin:
        self._handle = os.open(self._real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    @contextmanager
    def opened(self, path: Path) -> Iterator[BinaryIO]:
        """One of its files, open to be read.

        :param path: within :attr:`root`; it may be a link to another place in it
        :raises ConfigurationError: it leads out of the folder, or is no regular file
        :raises AccessError: the file system refuses to read it
        :raises DependencyError: it, or a folder above it, changed under our hands
        """
        try:
            real = Path(os.path.realpath(path))
        except OSError:  # it was a link, and is none any more
            raise _changed(path) from None
        if not real.is_relative_to(self._real):
            raise ConfigurationError(
                f"{path} is a link that leads out of the data set, to {real}: name the folder that it leads to, or put "
                "the file itself there",
                code="file.outside",
            )
        with _read(self._open(real.relative_to(self._real), path), path) as file:
            yield file

    def files(self, wanted: Callable[[str, os.DirEntry[str]], bool]) -> Iterator[tuple[str, BinaryIO]]:
        """Every file below that is wanted, by its name in the folder, open to be read. Each folder and file is reached
        from the one above it and never by a path, so that no link is followed.

        :param wanted: told of each name that is no folder's
        :raises ConfigurationError: it is no regular file any more
        :raises AccessError: the file system refuses to read it
        :raises DependencyError: it, or a folder above it, changed under our hands
        """
        return self._below(self._handle, "", wanted)

    def _below(
        self, folder: int, prefix: str, wanted: Callable[[str, os.DirEntry[str]], bool]
    ) -> Iterator[tuple[str, BinaryIO]]:
        with os.scandir(folder) as found:
            entries = list(found)
        for entry in entries:
            name = f"{prefix}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                inner = _within(folder, entry.name, os.O_DIRECTORY, self.root / name)
                try:
                    yield from self._below(inner, f"{name}/", wanted)
                finally:
                    os.close(inner)
            elif wanted(name, entry):
                with _read(_within(folder, entry.name, os.O_NONBLOCK, self.root / name), self.root / name) as file:
                    yield name, file

    def _open(self, relative: Path, path: Path) -> int:
        """A handle, without following a link on the way."""
        folder = self._handle
        try:
            for part in relative.parts[:-1]:
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                if folder != self._handle:
                    os.close(folder)
                folder = inner
            return os.open(relative.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except PermissionError as error:
            raise _refused(path) from error
        except OSError:
            raise _changed(path) from None
        finally:
            if folder != self._handle:
                os.close(folder)


def _within(folder: int, name: str, kind: int, path: Path) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=folder)
    except PermissionError as error:
        raise _refused(path) from error
    except OSError:
        raise _changed(path) from None


@contextmanager
def opened_alone(path: Path) -> Iterator[BinaryIO]:
    """A file that was named by itself, open to be read; a link to it is followed.

    :raises ConfigurationError: no regular file
    :raises AccessError: the file system refuses to read it
    :raises DependencyError: it went away
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError as error:
        raise _refused(path) from error
    except OSError:
        raise _changed(path) from None
    with _read(handle, path) as file:
        yield file


def copy(source: BinaryIO, target: Path, name: str) -> None:
    """The bytes of an open file at ``target``; shared with it where the file system can do that.

    :param name: of the file, for messages
    :raises DependencyError: no room in the temporary folder
    :raises TimeLimitError: it takes too long
    """
    until, taken = deadline(), source.fileno()
    size, free = os.fstat(taken).st_size, shutil.disk_usage(target.parent).free
    if size > free:
        raise no_room(name, OSError(errno.ENOSPC, ""))
    with writing(target, name) as file, counting("GB are copied", size) as more:
        try:
            while copied := os.copy_file_range(taken, file.fileno(), _CHUNK):
                more(copied)
                until.check(f"copying {name}")
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
        if os.fstat(file.fileno()).st_size != size:  # there is none here, or one that ends too early, as some have
            source.seek(0)
            file.seek(0)
            file.truncate()
            while chunk := source.read(_CHUNK):
                until.check(f"copying {name}")
                file.write(chunk)


@contextmanager
def writing(target: Path, name: str = "") -> Iterator[BinaryIO]:
    """A new file in a private folder.

    :param name: for messages; its own if omitted
    :raises DependencyError: it cannot be written
    """
    name = name or target.name
    try:
        file = _new(target)
    except OSError as error:
        raise no_room(name, error) from None
    with file:
        try:
            yield file
        except OSError as error:
            if error.errno in _FULL:
                raise no_room(name, error) from None
            raise


def _new(target: Path) -> BinaryIO:
    try:
        return target.open("xb")
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.open("xb")


def no_room(name: str, error: OSError) -> DependencyError:
    """What is told if a private copy cannot be kept."""
    why = os.strerror(error.errno or errno.EIO)
    return DependencyError(
        f"a private copy of {name} cannot be kept in the temporary folder ({why}): let TMPDIR name a folder with room "
        "for the data",
        code="scratch.unusable",
    )


@contextmanager
def _read(handle: int, path: Path) -> Iterator[BinaryIO]:
    """The file behind a handle, which must be the same file, of the same size and times, at the end."""
    with open(handle, "rb", buffering=0) as file:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise ConfigurationError(f"{path} is no regular file", code="file.kind")
        os.set_blocking(handle, True)
        yield file
        after = os.fstat(handle)
        if _stamp(before) != _stamp(after):
            raise _changed(path)


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_size, found.st_mtime_ns)


def _refused(path: Path) -> AccessError:
    return AccessError(
        f"may not read {path}: permission denied; give the worker's user read access", code="file.refused"
    )


def _changed(path: Path) -> DependencyError:
    return DependencyError(
        f"{path} changed or went away while it was being read; try again when its writer has finished",
        code="data.changed",
    )
