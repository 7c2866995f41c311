"""The audits that are owed, as promotions and results on live data carry them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from airflow_mlgov.evidence.digests import hash_json
from airflow_mlgov.evidence.statements.common import Signed, end_of


@dataclass(frozen=True)
class OwedAudit:
    """An audit that a promotion brings, because of a waiver or a break-glass, or a FAIL on live data."""

    id: str
    kind: str
    """``waiver``, ``emergency`` or ``monitoring``."""
    grounds: str
    """SHA-256 of the waiver's terms, of the break-glass's envelope, or of what has failed when."""
    gate: str | None
    check: str | None
    due: datetime
    expires: datetime

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Self:
        """As a statement has it. A date without a zone is over."""
        return cls(**{**said, "due": end_of(said["due"]), "expires": end_of(said["expires"])})

    @classmethod
    def of(
        cls,
        kind: str,
        grounds: str,
        due: datetime,
        expires: datetime,
        gate: str | None = None,
        check: str | None = None,
    ) -> Self:
        """With the id that it has everywhere."""
        return cls(hash_json([kind, grounds, gate, check])[:16], kind, grounds, gate, check, due, expires)


def owed_as_json(statement: Signed, owed: Iterable[OwedAudit]) -> list[dict[str, Any]]:
    """As a statement has them, with dates as its form writes them."""
    return [{**vars(item), "due": statement.date(item.due), "expires": statement.date(item.expires)} for item in owed]
