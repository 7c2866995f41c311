"""Looks for secrets wherever people, other tasks and auditors may read: files, databases, archives, command lines and
environments; plain, or as a URL, JSON, HTML, a number in hex or a header's base64 would have them."""

from __future__ import annotations

import gzip
import html
import io
import json
import os
import threading
import zipfile
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, quote_plus

import psutil
import sqlalchemy as sa

SHORTEST = 12
"""Characters of a secret that is looked for: a shorter one would be found by chance."""
_OFTEN = 0.2
_MUCH = 8 * 1024**2
Text = tuple[str, bytes]
"""Where something stands, and what."""


def forms(value: str) -> set[bytes]:
    """What a secret may look like, in the middle of something else too."""
    raw = value.encode()
    said = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], html.escape(value)}
    said |= {repr(value)[1:-1], quote(value), quote(value, safe=""), quote_plus(value), raw.hex(), raw.hex().upper()}
    said |= {quote(quote(value, safe=""), safe="")}
    for before in range(3):  # bytes that stand before it in the same base64
        whole = b64encode(bytes(before) + raw).decode()[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
        said |= {whole, whole.translate(str.maketrans("+/", "-_"))}
    return {text.encode() for text in said} | {text.lower().encode() for text in said if "%" in text}


def leaks(secrets: Mapping[str, str], texts: Iterable[Text]) -> dict[str, set[str]]:
    """Secret -> where it stands; what is not found is not named.

    :param secrets: what it is -> its value
    """
    assert all(len(value) >= SHORTEST for value in secrets.values()), sorted(secrets)
    return found(secrets, texts)


def found(values: Mapping[str, str], texts: Iterable[Text]) -> dict[str, set[str]]:
    """The same of values that need not be secret."""
    wanted = {name: forms(value) for name, value in values.items()}
    there: dict[str, set[str]] = {}
    for where, text in _at_once(texts):
        for name, ways in wanted.items():
            if where not in there.get(name, ()) and any(way in text for way in ways):
                there.setdefault(name, set()).add(where)
    return there


def _at_once(texts: Iterable[Text]) -> Iterator[Text]:
    """Short texts of one place as a long one, which is searched a hundred times as fast."""
    waiting: dict[str, list[bytes]] = {}
    sizes: Counter[str] = Counter()
    for where, text in texts:
        waiting.setdefault(where, []).append(text)
        sizes[where] += len(text)
        if sizes[where] > _MUCH:
            yield where, b"\0\n".join(waiting.pop(where))
            del sizes[where]
    yield from ((where, b"\0\n".join(parts)) for where, parts in waiting.items())


def of_files(where: str, paths: Iterable[Path]) -> Iterator[Text]:
    """What files hold, and what the archives among them hold."""
    for path in paths:
        try:
            content = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:  # a database's journal, say
            continue
        yield where, content
        if content.startswith(b"\x1f\x8b"):
            with suppress(OSError, EOFError):
                yield where, gzip.decompress(content)
        if content.startswith(b"PK"):
            with suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(content)) as archive:
                yield from ((where, archive.read(name)) for name in archive.namelist())


def of_database(whose: str, url: str) -> Iterator[Text]:
    """Every value of every table of a database, by its table."""
    engine = sa.create_engine(url)
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        for name, table in tables.tables.items():
            for row in connection.execute(sa.select(table)):
                for cell in row:
                    yield f"{whose} {name}", bytes(cell) if isinstance(cell, bytes) else str(cell).encode()
    engine.dispose()


def of_processes(chosen: Callable[[], Iterable[int]]) -> Iterator[Text]:
    """Command line and environment of processes that are there now.

    :param chosen: their ids
    """
    for pid in chosen():
        with suppress(OSError):
            yield "a command line", Path(f"/proc/{pid}/cmdline").read_bytes()
            yield "an environment", Path(f"/proc/{pid}/environ").read_bytes()


def mentioning(*places: str) -> Callable[[], Iterator[int]]:
    """Every other process that has one of some words in its command line or environment."""
    words = [place.encode() for place in places]

    def look() -> Iterator[int]:
        for folder in Path("/proc").glob("[0-9]*"):
            pid = int(folder.name)
            if pid != os.getpid() and any(word in text for _, text in of_processes(lambda: [pid]) for word in words):  # noqa: B023
                yield pid

    return look


def children() -> Iterator[int]:
    """Every process that this one has started, and theirs."""
    return (child.pid for child in psutil.Process().children(recursive=True))


@contextmanager
def watched(chosen: Callable[[], Iterable[int]]) -> Iterator[set[Text]]:
    """Each command line and environment that such processes have had during the block, complete when it has ended.

    :param chosen: their ids now
    """
    seen: set[Text] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(_OFTEN):
            seen.update(of_processes(chosen))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
