"""A ledger that is too long to be held: walked once from its first entry, gone on with as it grows, and read again
entry by entry. What is read again must be what was walked, so that the database can neither change nor hide one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from sys import intern
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.chain import Entry, Trail, Verified
from airflow_mlgov.evidence.headlines import model_in

if TYPE_CHECKING:
    from airflow_mlgov.evidence.ledger import Ledger

_MOST_KEPT = 8192


class Index:
    """The hashes of a walk, and where what stands: numbers by digest, by model and by kind."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.trail = ledger, Trail()
        self._digests: dict[str, list[int]] = {}
        self._models: dict[str, list[int]] = {}
        self._kinds: dict[str, list[int]] = {}
        self._kept: dict[int, Entry] = {}

    @property
    def size(self) -> int:
        """How many entries were walked."""
        return self.trail.tree.size

    def take(self, entry: Entry) -> Mapping[str, Any]:
        """The next entry; its statement, its signature unchecked.

        :raises EvidenceError: it does not follow
        """
        statement = self.trail.take(entry)
        for kept, key in (
            (self._digests, entry.subject_digest),
            (self._models, model_in(entry.subject_name)),
            (self._kinds, entry.kind),
        ):
            kept.setdefault(intern(key), []).append(entry.seq)
        return statement or {}

    def walked(self) -> Walked:
        """What was walked until now."""
        return Walked(self)

    def numbers(self, digests: Iterable[str] | None, kind: str | None, model: str | None, size: int) -> list[int]:
        """Of the entries that fit, in order; the parameters of :meth:`Walked.entries`."""
        sets = []
        if digests is not None:
            sets.append({number for digest in set(digests) for number in self._digests.get(digest, ())})
        if model is not None:
            sets.append(set(self._models.get(model, ())))
        if kind is not None:
            sets.append(set(self._kinds.get(kind, ())))
        fitting = set.intersection(*sets) if sets else set(range(1, size + 1))
        numbers = sorted(fitting)
        return numbers[: bisect_right(numbers, size)]

    def load(self, numbers: list[int]) -> list[Entry]:
        """Entries by their numbers, each confirmed to be the one that was walked.

        :raises EvidenceError: one is not, or is not there any more
        """
        missing = [number for number in numbers if number not in self._kept]
        fresh = {entry.seq: self.trail.confirm(entry) for entry in self.ledger.read(missing)}
        gone = next((number for number in missing if number not in fresh), None)
        if gone is not None:
            raise EvidenceError(f"ledger entry {gone} was removed after it was read", code="ledger.entry_missing")
        found = [fresh.get(number) or self._kept[number] for number in numbers]
        if len(self._kept) + len(fresh) > _MOST_KEPT:
            self._kept = {}
        self._kept.update(fresh)
        return found


class Walked(Verified):
    """What was walked of a ledger at one time, each entry read when it is asked for."""

    def __init__(self, index: Index) -> None:
        super().__init__(index.trail, ())
        object.__setattr__(self, "_index", index)
        object.__setattr__(self, "size", index.size)

    _index: Index
    size: int

    def entries(
        self, digests: Iterable[str] | None = None, *, kind: str | None = None, model: str | None = None
    ) -> list[Entry]:
        """Entries in order; parameters as for :meth:`Verified.entries`."""
        return self._index.load(self._index.numbers(digests, kind, model, self.size))

    def load(self, numbers: Iterable[int]) -> list[Entry]:
        """Entries by their numbers, which were walked; errors as of :meth:`Index.load`."""
        return self._index.load(list(numbers))

    def get(self, seq: int) -> Entry:
        """One entry; errors as of :meth:`Verified.get`."""
        if not 1 <= seq <= self.size:
            return super().get(0)
        return self._index.load([seq])[0]

    def text(self, sha256: str) -> tuple[str, str] | None:
        """Salt and text of what a person typed, as the database has them now."""
        return self._index.ledger.texts([sha256]).get(sha256)
