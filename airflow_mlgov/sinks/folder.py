"""A folder, here or in an object store, in which each batch is a file of JSON lines that is never written again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from airflow_mlgov.data.files import public_name
from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, EvidenceError
from airflow_mlgov.sinks.protocol import Arrived, Message

_FILE = re.compile(r"(\d{12})-(\d{12})\.jsonl")


@dataclass(frozen=True)
class FolderSink:
    """Files ``<first>-<last>.jsonl``, numbers of twelve digits, an entry in each line."""

    url: str
    """A path, or a URL that fsspec knows (``s3://``, ``gs://``, ``abfs://`` …)."""
    batch: int = 1_000

    @property
    def place(self) -> str:
        """The path or the URL, without user and parameters."""
        return public_name(self.url)

    def last(self) -> Arrived | None:
        """The last line of the last file.

        :raises EvidenceError: a file is missing between others, or the last one is not whole
        """
        with _errors(self.place), self._store() as (store, folder):
            if not store.exists(folder):
                return None
            names = [str(path).rpartition("/")[2] for path in store.ls(folder, detail=False)]
            found = sorted((int(one[1]), int(one[2]), one[0]) for name in names if (one := _FILE.fullmatch(name)))
            if not found:
                return None
            for (_, end, name), (start, _, following) in pairwise(found):
                if start != end + 1:
                    raise EvidenceError(
                        f"{self.place}: {following} does not follow {name}: files were removed or put in",
                        code="sink.not_as_delivered",
                    )
            first, last, name = found[-1]
            lines = store.cat_file(f"{folder}/{name}").decode().splitlines()
        try:
            seen = [json.loads(line) for line in lines]
            numbers = [entry["seq"] for entry in seen]
            arrived = Arrived(last, str(seen[-1]["hash"]))
        except (ValueError, TypeError, KeyError, IndexError):
            numbers, arrived = [], Arrived(0, "")
        if numbers != list(range(first, last + 1)):
            raise EvidenceError(f"{self.place}: {name} is not as it was delivered", code="sink.not_as_delivered")
        return arrived

    def deliver(self, messages: Sequence[Message]) -> None:
        """Write one file; one that is there is left as it is."""
        name = f"{messages[0].entry.seq:012}-{messages[-1].entry.seq:012}.jsonl"
        content = "".join(message.as_line() for message in messages).encode()
        with _errors(self.place), self._store() as (store, folder):
            store.makedirs(folder, exist_ok=True)
            part = f"{folder}/.{name}.part"
            store.pipe_file(part, content)  # so that a file with the name is whole, also if this process is killed
            if store.exists(f"{folder}/{name}"):
                store.rm_file(part)
                raise EvidenceError(
                    f"{self.place}/{name} is there already: two deliver at once, or it was put in",
                    code="sink.not_as_delivered",
                )
            store.mv(part, f"{folder}/{name}")

    @contextmanager
    def _store(self) -> Iterator[tuple[Any, str]]:
        import fsspec

        store, folder = fsspec.core.url_to_fs(self.url)
        store.invalidate_cache()
        yield store, str(folder).rstrip("/")


@contextmanager
def _errors(place: str) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        raise AccessError(f"the sink {place} may not be written or read", code="sink.refused") from None
    except (ImportError, ValueError, NotADirectoryError) as error:
        # a URL that cannot be read is quoted in parts by what has tried, with the password in them
        plain = isinstance(error, ImportError) or str(error).startswith("Protocol not known")
        said = str(error) if plain else type(error).__name__
        raise ConfigurationError(f"the sink {place} cannot be opened: {said}", code="sink.unusable") from None
    except OSError as error:
        raise DependencyError(f"the sink {place} cannot be reached: {type(error).__name__}", code="sink.down") from None
