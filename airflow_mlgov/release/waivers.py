"""Exceptions that people sign: a waiver for one failed check of one model up to a bound and a date, and break-glass.

They are written down here and judged by the rules of promotion, at every decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.digests import hash_json
from airflow_mlgov.evidence.statements import emergency_statement, identity, waiver_statement
from airflow_mlgov.evidence.verification import Evidence
from airflow_mlgov.governance.policy import Waivers
from airflow_mlgov.release.case import Case
from airflow_mlgov.release.desk import Desk
from airflow_mlgov.results import Bound

if TYPE_CHECKING:
    from airflow_mlgov.evidence.chain import Entry


@dataclass(frozen=True)
class Terms:
    """What is waived. Every signer signs the same terms."""

    gate: str
    check: str
    """Name of the one check, such as ``demographic_parity_ratio[race]``."""
    target: str
    observed: float
    """What was measured when it was asked for."""
    min: float | None
    """How far the bound is stretched; None: not on this side. A worse value than this is not waived."""
    max: float | None
    reason: str
    ticket: str
    risk_owner: str
    """Who answers for the risk."""
    requesters: tuple[str, ...]
    """Who asks for it; they may not sign."""
    expires: str
    """RFC 3339."""

    def as_dict(self) -> dict[str, Any]:
        """As it is signed."""
        return {**asdict(self), "requesters": list(self.requesters)}

    @property
    def sha256(self) -> str:
        """Names the terms."""
        return hash_json(self.as_dict())


def draft_terms(
    case: Case,
    *,
    gate: str,
    check: str,
    stretch: Mapping[str, float],
    reason: str,
    ticket: str,
    risk_owner: str,
    requesters: tuple[str, ...],
    lifetime: timedelta,
    now: datetime,
) -> Terms:
    """Terms that the policy allows, for the value that the newest evidence holds.

    :param stretch: ``min`` and/or ``max``: the bound with which the check would pass
    :raises ConfigurationError: the target takes no waivers, no such check has failed, the bound does not cover the
        measured value, the lifetime is too long, or a word is missing
    """
    limits = _limits(case)
    observed = _failed_value(case, gate, check)
    bound = Bound(min=stretch.get("min"), max=stretch.get("max"), source="the waiver")
    if bound.judge(observed) != "PASS":
        raise ConfigurationError(f"{check} is {observed:g} and {bound} would not cover it")
    if lifetime > limits.max_age:
        raise ConfigurationError(f"a waiver of {case.goal.name!r} lives {limits.max_age.days} days at most")
    for name, word in (("reason", reason), ("ticket", ticket), ("risk_owner", risk_owner)):
        if not word.strip():
            raise ConfigurationError(f"a waiver needs a {name}")
    expires = (now + lifetime).replace(microsecond=0).isoformat()
    return Terms(
        gate, check, case.goal.name, observed, bound.min, bound.max, reason.strip(), ticket.strip(), risk_owner.strip(),
        tuple(sorted(requesters)), expires,
    )  # fmt: skip


def find_terms(case: Case, sha256: str) -> Terms:
    """The terms that somebody has signed already.

    :param sha256: of the terms, or its beginning (8 characters or more)
    :raises ConfigurationError: nobody has, or more than one fit
    """
    fitting = {
        item.predicate["terms_sha256"]: item.predicate["terms"]
        for item in _signatures(case)
        if len(sha256) >= 8 and item.predicate["terms_sha256"].startswith(sha256)
    }
    if len(fitting) != 1:
        raise ConfigurationError(
            f"{len(fitting)} waivers of {case.model} begin with {sha256!r}; name one that is signed"
        )
    (found,) = fitting.values()
    return Terms(**{**found, "requesters": tuple(found["requesters"])})


def same_but_for_the_end(case: Case, wanted: Terms) -> Terms | None:
    """Terms that somebody has signed and nobody has revoked, that say the same and have not run out."""
    revoked = {
        item.predicate["terms_sha256"]
        for item in case.dossier.good
        if item.kind == "waiver" and item.predicate["state"] == "revoked"
    }
    for item in _signatures(case):
        said = item.predicate["terms"]
        alive = datetime.fromisoformat(said["expires"]) > datetime.now(UTC)
        if (
            alive
            and item.predicate["terms_sha256"] not in revoked
            and {**said, "expires": wanted.expires} == wanted.as_dict()
        ):
            return Terms(**{**said, "requesters": tuple(said["requesters"])})
    return None


def signers_of(case: Case, terms: Terms) -> list[str]:
    """Who has signed the terms, in order."""
    return [
        item.predicate["signer"]["name"] for item in _signatures(case) if item.predicate["terms_sha256"] == terms.sha256
    ]


def sign_waiver(
    desk: Desk,
    case: Case,
    terms: Terms,
    who: Mapping[str, str],
    reason: str,
) -> Entry:
    """One person's signature under the terms.

    :param who: ``id`` and ``name``
    :param reason: why this person signs
    :raises ConfigurationError: this person may not sign it, has signed it, or gives no reason
    """
    problem = why_not(case, terms, who["name"])
    if problem:
        raise ConfigurationError(problem)
    if not reason.strip():
        raise ConfigurationError("a signature needs a reason")
    statement = waiver_statement(
        case.model, terms=terms.as_dict(), state="signed", signer=who, reason=reason.strip(), context=desk.context
    )
    return desk.attest(statement)


def revoke_waiver(
    desk: Desk,
    case: Case,
    terms: Terms,
    who: Mapping[str, str],
    reason: str,
) -> Entry:
    """Take a waiver back; it counts nowhere from now on.

    :raises ConfigurationError: no reason is given
    """
    if not reason.strip():
        raise ConfigurationError("a revocation needs a reason")
    statement = waiver_statement(
        case.model, terms=terms.as_dict(), state="revoked", signer=who, reason=reason.strip(), context=desk.context
    )
    return desk.attest(statement)


def break_glass(
    desk: Desk,
    case: Case,
    who: Mapping[str, str],
    reason: str,
    lifetime: timedelta,
) -> Entry:
    """Let a model go to a target in an emergency, for a time, with an audit that is owed.

    :raises ConfigurationError: the policy has no break-glass for the target, this person may not use it, it is asked
        for too long, or no reason is given
    """
    limits = case.goal.break_glass
    if limits is None:
        raise ConfigurationError(f"the policy allows no break_glass for {case.goal.name!r} of {case.model.name}")
    if identity(who["name"]) not in set(map(identity, limits.people)):
        raise ConfigurationError(f"{who['name']} may not break the glass; the policy names {_listed(limits.people)}")
    if lifetime > limits.max_age:
        raise ConfigurationError(f"an emergency lasts {limits.max_age} at most, not {lifetime}")
    if not reason.strip():
        raise ConfigurationError("a break-glass needs a reason")
    statement = emergency_statement(
        case.model,
        target=case.goal.name,
        person=who,
        reason=reason.strip(),
        expires=desk.now + lifetime,
        context=desk.context,
    )
    return desk.attest(statement)


def why_not(case: Case, terms: Terms, name: str) -> str | None:
    """Why a person may not sign the terms, None where they may."""
    limits, who = _limits(case), identity(name)
    made_by = {
        identity(trainer)
        for item in case.dossier.good
        if item.kind == "provenance"
        for trainer in item.ours["trainers"]
    }
    if who not in set(map(identity, limits.people)):
        return f"{name} may not sign a waiver; the policy names {_listed(limits.people)}"
    if who in made_by:
        return f"{name} has trained the model and may not sign its waiver"
    if who in set(map(identity, terms.requesters)):
        return f"{name} has asked for the waiver and may not sign it"
    if who in set(map(identity, signers_of(case, terms))):
        return f"{name} has signed it already; {limits.signers} different people are needed"
    return None


def _limits(case: Case) -> Waivers:
    if case.goal.waivers is None:
        raise ConfigurationError(f"the policy allows no waivers for {case.goal.name!r} of {case.model.name}")
    return case.goal.waivers


def _signatures(case: Case) -> list[Evidence]:
    return [
        item
        for item in case.dossier.good
        if item.kind == "waiver"
        and item.predicate["state"] == "signed"
        and item.digest == case.model.digest
        and item.ours["subject"]["name"] == case.model.name
    ]


def _failed_value(case: Case, gate: str, name: str) -> float:
    judged = [item for item in case.dossier.good if item.gate == gate and item.sha256 in case.decision.needed]
    failed = {
        check["name"]: check["observed"]
        for item in judged
        for check in item.ours["checks"]
        if check["outcome"] in ("FAIL", "INCONCLUSIVE") and isinstance(check["observed"], int | float)
    }
    if name not in failed:
        raise ConfigurationError(
            f"the newest evidence of the gate {gate} has no failed check {name!r} with a measured value; it has "
            f"{_listed(failed) or 'none'}"
        )
    return float(failed[name])


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))
