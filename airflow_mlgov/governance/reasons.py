"""What the reasons to refuse are called and how each is mended, by their codes.

The rules of promotion say it themselves, in the ``METADATA`` before each; what Python gives is listed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from airflow_mlgov.rego.metadata import metadata_of


@dataclass(frozen=True)
class Reason:
    """One reason to refuse."""

    code: str
    title: str
    """What is wrong, in general."""
    mend: str
    """What to do, in general; the reason's message names the thing."""


_OF_PYTHON = (
    Reason(
        "engine.error", "The rules could not be evaluated", "mend the policy's own rules; all is refused until then"
    ),
    Reason("promotion.missing", "These bytes were never promoted here", "promote the version"),
    Reason("promotion.copied", "Not this version was promoted but a copy of it", "serve the copy"),
    Reason("promotion.superseded", "Another version has taken the target since", "serve that version"),
    Reason("decision.missing", "No verified decision allowed the promotion", "promote the version again"),
    Reason("environment.differs", "The evidence is of another environment", "name the environment that it serves in"),
    Reason("gate.failed_since", "A gate has failed since the promotion", "roll back, or run the gate again"),
    Reason(
        "evidence.overlooked",
        "The decision was made without evidence that stood in the ledger before it",
        "run `mlgov doctor`, find out who bent the ledger's database, and promote the version again",
    ),
    Reason("obligation.overdue", "The audit that was owed was not done in time", "run the audit"),
    Reason("obligation.expired", "The exception has run out", "promote a version that needs none"),
    Reason("obligation.revoked", "The waiver was taken back", "promote a version that needs none"),
    Reason("policy.missing", "The decision's policy and rules are not in the ledger", "find the ledger that has them"),
    Reason("input.differs", "The recorded input is not the one decided on", "the statement needs a person"),
)


def shipped_rules() -> str:
    """The rules of promotion that come with this package."""
    return (files("airflow_mlgov.governance") / "rego" / "promotion.rego").read_text()


@cache
def reasons() -> Mapping[str, Reason]:
    """Every reason that this package gives, by its code."""
    said = metadata_of(shipped_rules(), "promotion.rego").values()
    found = [Reason(one["custom"]["code"], one["title"], one["custom"]["mend"]) for one in said]
    return {reason.code: reason for reason in (*found, *_OF_PYTHON)}


def reason_of(code: str) -> Reason:
    """What a code means; an organisation's own rule is called by its code."""
    own = Reason(code, "A rule of the organisation's own refuses", "see the policy's own rules")
    return reasons().get(code, own)
