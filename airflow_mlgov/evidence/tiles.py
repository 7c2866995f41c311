"""The log as a folder of static files, C2SP ``tlog-tiles``, which anybody can host and tools that are not ours read.

A leaf's data is an entry's ``hash`` in the ledger, 32 bytes, and nothing else of the entry leaves the ledger here. The
folder only ever goes on from what is in it: where it holds anything else, nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, EvidenceError
from airflow_mlgov.evidence.chain import Head, walk
from airflow_mlgov.evidence.hash_tree import WIDTH, HashTree
from airflow_mlgov.evidence.notes import MAX_NOTE, Note, note_fits, read_note, require_origin, sign_note
from airflow_mlgov.strict_files import regular

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from airflow_mlgov.evidence.chain import Entry
    from airflow_mlgov.evidence.ledger import Ledger

_TILE = 256
"""Hashes or entries of a full tile; each level of tiles is eight of the tree's."""
_BATCH = 2_000
_CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class Exported:
    """What a folder holds now."""

    head: Head
    origin: str
    """As its checkpoint has it."""
    written: int
    """Files that were not there before, the checkpoint not counted."""


def export_tiles(ledger: Ledger, folder: Path, signer: Signer, origin: str | None = None) -> Exported:
    """Walk the chain and bring a folder up to what the ledger is: tiles, bundles of entries, and the checkpoint last.

    What is there already is compared and not written again. A partial tile goes once the full one is there. A folder
    that was left half way is gone on with.

    :param folder: made if absent
    :param signer: with an Ed25519 key of the duty ``checkpoint``
    :param origin: how tools are to know the ledger; its own id if omitted
    :raises ConfigurationError: the ledger is empty, its folder cannot be made, the signer's key is of another type, or
        the folder is of another log (``tiles.other_log``)
    :raises EvidenceError: the chain does not hold; or the folder has published more than the ledger has
        (``tiles.longer``), another history (``tiles.forked``), or holds a tile of something else or a link
        (``tiles.differs``)
    :raises DependencyError: another export is at it, or the disk is full
    :raises AccessError: the folder may not be written
    """
    with _writing(folder), _locked(folder):
        now, log = _read_log(ledger)
        ledger.settle()
        name = require_origin(origin or now.origin)
        note = sign_note(now, signer, name)
        published = _published(folder)
        if published is not None:
            _require_same_log(published, name, now, log, folder)
        _require_own_folders(folder, [path for path, _ in log.files()])
        missing = [path for path, content in log.files() if not _is_there(folder / path, content)]
        wanted = set(missing)
        for path, content in log.files():
            if path in wanted:
                _put(folder / path, content)
        # one that is there may have been cosigned
        if published is None or published.size != now.size or not note_fits(published, signer.public_key):
            _put(folder / _CHECKPOINT, note.encode())
        log.clear_partial(folder)
    return Exported(now, name, len(missing))


class _Log:
    """The leaves, and what stands in which file."""

    def __init__(self) -> None:
        self.tree, self._data = HashTree(), bytearray()

    def add(self, data: bytes) -> None:
        self.tree.add(data)
        self._data += data

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Path and content of each tile and bundle."""
        level, count = 0, self.tree.size
        while count:
            for path, first, width in _tiles(f"tile/{level}", count):
                yield path, self.tree.nodes(8 * level, first, width)
                if level == 0:
                    yield f"tile/entries{path.removeprefix('tile/0')}", self._bundle(first, width)
            level, count = level + 1, count // _TILE

    def clear_partial(self, folder: Path) -> None:
        """Take away partial tiles whose full one is there."""
        for path, _ in self.files():
            place = folder / f"{path}.p"
            if ".p/" not in path and place.is_dir():
                for part in place.iterdir():
                    part.unlink()
                place.rmdir()

    def _bundle(self, first: int, width: int) -> bytes:
        rows = (self._data[WIDTH * row : WIDTH * (row + 1)] for row in range(first, first + width))
        return b"".join(WIDTH.to_bytes(2, "big") + row for row in rows)


def _tiles(under: str, count: int) -> Iterator[tuple[str, int, int]]:
    """Path, first hash and width of each tile of a level of ``count`` hashes."""
    for number in range(count // _TILE):
        yield f"{under}/{_numbered(number)}", number * _TILE, _TILE
    if rest := count % _TILE:
        yield f"{under}/{_numbered(count // _TILE)}.p/{rest}", count - rest, rest


def _numbered(number: int) -> str:
    """``1234067`` as ``x001/x234/067``."""
    parts = [f"{number % 1000:03d}"]
    while number := number // 1000:
        parts.append(f"x{number % 1000:03d}")
    return "/".join(reversed(parts))


def _read_log(ledger: Ledger) -> tuple[Head, _Log]:
    """Walk the ledger in batches, and keep the hashes alone."""
    log = _Log()

    def rows() -> Iterator[Entry]:
        while batch := ledger.since(log.tree.size, _BATCH):
            for entry in batch:
                yield entry
                log.add(bytes.fromhex(entry.hash))  # the walk has taken it, and asks for the next

    now = walk(rows())
    if not now.size:
        raise ConfigurationError(f"the ledger {ledger.url} is empty: there is no log to publish", code="ledger.empty")
    return now, log


def _published(folder: Path) -> Note | None:
    """The folder's checkpoint; its signatures are not asked for, for it is compared with the ledger."""
    if not os.path.lexists(folder / _CHECKPOINT):
        return None
    with regular(folder / _CHECKPOINT, "checkpoint") as file:
        raw = file.read(4 * MAX_NOTE + 1)
    try:
        return read_note(raw.decode())
    except (UnicodeDecodeError, EvidenceError) as error:
        raise ConfigurationError(
            f"{folder} holds a file {_CHECKPOINT} that is none of a log ({error}): name another folder",
            code="tiles.other_log",
        ) from error


def _require_same_log(published: Note, origin: str, now: Head, log: _Log, folder: Path) -> None:
    if published.origin != origin:
        raise ConfigurationError(
            f"{folder} holds the log {published.origin}, and this one is {origin}: name another folder, or the origin "
            "that it was published under",
            code="tiles.other_log",
        )
    if published.size > now.size:
        raise EvidenceError(
            f"{folder} has published {published.size} entries of {origin}, and the ledger has {now.size}: its tail was "
            "cut, or it is another ledger; nothing was written",
            code="tiles.longer",
        )
    if published.root != log.tree.root(published.size).hex():
        raise EvidenceError(
            f"the first {published.size} entries of the ledger are not those that {folder} has published of {origin}: "
            "they were rewritten, or it is another ledger; nothing was written",
            code="tiles.forked",
        )


def _require_own_folders(folder: Path, paths: Iterable[str]) -> None:
    """Refuse links among the folders of tiles: what lies behind one is not of the log, and would be written, or be
    taken away as partial tiles."""
    places = {Path(f"{path}.p") for path in paths if ".p/" not in path}
    places |= {Path(path).parent for path in paths}
    links = (folder / place for place in {*places, *(up for place in places for up in place.parents[:-1])})
    link = next((place for place in links if place.is_symlink()), None)
    if link is not None:
        raise EvidenceError(
            f"{link} is a link, and tiles lie in folders of the log alone: take it away; nothing was written",
            code="tiles.differs",
        )


def _is_there(path: Path, content: bytes) -> bool:
    if not os.path.lexists(path):
        return False
    with regular(path, "tile") as file:
        found = file.read(len(content) + 1)
    if found != content:
        raise EvidenceError(
            f"{path} holds something else than the ledger has there: somebody has changed it, or it is of another log; "
            "nothing was written",
            code="tiles.differs",
        )
    return True


def _put(path: Path, content: bytes) -> None:
    """Write a file whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)  # of an export that was killed; a link in its place is not followed
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    import fcntl

    folder.mkdir(exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise DependencyError(f"another export is writing {folder}: try again", code="tiles.busy") from None
    finally:
        os.close(handle)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise AccessError(f"may not write {error.filename or folder}", code="file.refused") from error
    except (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ConfigurationError(
            f"cannot write {error.filename or folder}: {error.strerror}", code="file.not_writable"
        ) from error
    except OSError as error:
        raise DependencyError(f"cannot write {folder} now: {error.strerror}", code="store.down") from error
