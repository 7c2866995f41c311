"""Exceptions that people sign: a waiver for one failed check of one model up to a bound and a date, and break-glass.

They are written down here and judged by the rules of promotion, at every decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.statements import (
    EmergencyStatement,
    GateStatement,
    Person,
    ProvenanceStatement,
    Terms,
    Typed,
    WaiverStatement,
    identity,
)
from airflow_mlgov.evidence.verification import only
from airflow_mlgov.gates.ranges import range_of
from airflow_mlgov.governance.policy import Waivers
from airflow_mlgov.release.case import Case
from airflow_mlgov.release.desk import Desk
from airflow_mlgov.results import Bound, Outcome

if TYPE_CHECKING:
    from airflow_mlgov.evidence.chain import Entry


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
    data: str | None = None,
) -> Terms:
    """Terms that the policy allows, for the value that the newest evidence holds.

    :param stretch: ``min`` and/or ``max``: the bound with which the check would pass
    :param data: of a gate over data, the data set whose check failed: its name, or the beginning of its SHA-256; may be
        omitted if there is one alone
    :raises ConfigurationError: the target takes no waivers, no such check has failed, the bound does not cover the
        measured value or lies too far from it, the lifetime is too long or none, or a word is missing
    """
    limits = _limits(case)
    subject, observed = _failed_value(case, gate, check, data)
    bound = Bound(min=stretch.get("min"), max=stretch.get("max"), source="the waiver")
    if bound.judge(observed) != "PASS":
        raise ConfigurationError(
            f"{check} is {observed:g} and {bound} would not cover it", code="waiver.bound_too_near"
        )
    _refuse_far(check, observed, bound, limits)
    if lifetime <= timedelta(0):
        raise ConfigurationError(
            f"a waiver lives longer than {lifetime}: name the days that it is for", code="waiver.no_lifetime"
        )
    if lifetime > limits.max_age:
        raise ConfigurationError(
            f"a waiver of {case.goal.name!r} lives {limits.max_age.days} days at most", code="waiver.too_long"
        )
    for name, word in (("reason", reason), ("ticket", ticket), ("risk_owner", risk_owner)):
        if not word.strip():
            raise ConfigurationError(f"a waiver needs a {name}", code="waiver.word_missing")
    expires = (now + lifetime).replace(microsecond=0).isoformat()
    return Terms(
        gate, check, case.goal.name, observed, bound.min, bound.max, Typed.of(reason.strip()), Typed.of(ticket.strip()),
        risk_owner.strip(), tuple(sorted(requesters)), expires, subject,
    )  # fmt: skip


def _refuse_far(check: str, observed: float, bound: Bound, limits: Waivers) -> None:
    """A bound that the metric cannot reach, or far from what was measured, would waive any value."""
    low, high = range_of(check)
    reach = limits.reach(observed)
    for end in (bound.min, bound.max):
        if end is None:
            continue
        if (low is not None and end < low) or (high is not None and end > high):
            raise ConfigurationError(
                f"no {check} can be {end:g}: name a bound in its range ({low} to {high})", code="waiver.out_of_range"
            )
        if abs(end - observed) > reach + 1e-9 * max(1.0, abs(observed)):
            raise ConfigurationError(
                f"{check} is {observed:g}, and {end:g} is further from it than {reach:g}, which is all that the "
                "policy's max_stretch allows: name a nearer bound",
                code="waiver.bound_too_far",
            )


def find_terms(case: Case, sha256: str) -> Terms:
    """The terms that somebody has signed already.

    :param sha256: of the terms, or its beginning (8 characters or more)
    :raises ConfigurationError: nobody has, or more than one fit
    """
    signed = {item.terms.sha256: item.terms for item in _signatures(case)}
    fitting = [terms for name, terms in signed.items() if len(sha256) >= 8 and name.startswith(sha256)]
    if len(fitting) != 1:
        raise ConfigurationError(
            f"{len(fitting)} waivers of {case.model} begin with {sha256!r}; name one that is signed",
            code="waiver.unknown",
        )
    return fitting[0]


def same_but_for_the_end(case: Case, wanted: Terms) -> Terms | None:
    """Terms that somebody has signed and nobody has revoked, that say the same and have not run out."""
    revoked = _revoked(case)
    for item in _signatures(case):
        said = item.terms
        alive = said.ends > datetime.now(UTC) and said.sha256 not in revoked
        if alive and replace(said, expires=wanted.expires) == wanted:
            return said
    return None


def signers_of(case: Case, terms: Terms) -> list[str]:
    """Who has signed the terms, in order."""
    return [item.signer.name for item in _signatures(case) if item.terms.sha256 == terms.sha256]


def sign_waiver(
    desk: Desk,
    case: Case,
    terms: Terms,
    who: Person,
    reason: str,
) -> Entry:
    """One person's signature under the terms.

    :param reason: why this person signs
    :raises ConfigurationError: this person may not sign it, has signed it, or gives no reason
    """
    problem = why_not(case, terms, who)
    if problem:
        raise ConfigurationError(problem, code="waiver.not_this_person")
    if not reason.strip():
        raise ConfigurationError("a signature needs a reason", code="waiver.reason_missing")
    return desk.attest(WaiverStatement(case.model, desk.context, terms, "signed", who, reason.strip()))


def revoke_waiver(
    desk: Desk,
    case: Case,
    terms: Terms,
    who: Person,
    reason: str,
) -> Entry:
    """Take a waiver back; it counts nowhere from now on.

    :raises ConfigurationError: no reason is given
    """
    if not reason.strip():
        raise ConfigurationError("a revocation needs a reason", code="waiver.reason_missing")
    return desk.attest(WaiverStatement(case.model, desk.context, terms, "revoked", who, reason.strip()))


def break_glass(
    desk: Desk,
    case: Case,
    who: Person,
    reason: str,
    lifetime: timedelta,
) -> Entry:
    """Let a model go to a target in an emergency, for a time, with an audit that is owed.

    :raises ConfigurationError: the policy has no break-glass for the target, this person may not use it, it is asked
        for too long, or no reason is given
    """
    limits = case.goal.break_glass
    if limits is None:
        raise ConfigurationError(
            f"the policy allows no break_glass for {case.goal.name!r} of {case.model.name}",
            code="emergency.not_allowed",
        )
    if not case.goal.lets(who, limits.people):
        raise ConfigurationError(
            f"{who.name} may not break the glass; the policy names {_listed(limits.people)}",
            code="emergency.not_this_person",
        )
    if lifetime <= timedelta(0):
        raise ConfigurationError(
            f"an emergency lasts longer than {lifetime}: name the hours that it is for", code="emergency.no_lifetime"
        )
    if lifetime > limits.max_age:
        raise ConfigurationError(
            f"an emergency lasts {limits.max_age} at most, not {lifetime}", code="emergency.too_long"
        )
    if not reason.strip():
        raise ConfigurationError("a break-glass needs a reason", code="emergency.reason_missing")
    end = desk.now + lifetime
    return desk.attest(EmergencyStatement(case.model, desk.context, case.goal.name, who, reason.strip(), end))


def why_not(case: Case, terms: Terms, person: Person) -> str | None:
    """Why a person may not sign the terms, None where they may."""
    limits, name, who = _limits(case), person.name, person.identity
    if terms.target != case.goal.name:
        return f"the waiver is for {terms.target!r}, and not for {case.goal.name!r}"
    if terms.ends <= datetime.fromisoformat(case.decision.input["now"]):
        return f"the waiver ran out at {terms.expires}: ask for another"
    if terms.sha256 in _revoked(case):
        return "the waiver was taken back: ask for another"
    made = [item.statement for item in only(case.dossier.good, ProvenanceStatement)]
    made_by = {identity(trainer) for item in made for trainer in item.trainers}
    if not case.goal.lets(person, limits.people):
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
        raise ConfigurationError(
            f"the policy allows no waivers for {case.goal.name!r} of {case.model.name}", code="waiver.not_allowed"
        )
    return case.goal.waivers


def _signatures(case: Case) -> list[WaiverStatement]:
    return [
        item.statement
        for item in only(case.dossier.good, WaiverStatement)
        if item.statement.state == "signed"
        and item.digest == case.model.digest
        and item.subject.name == case.model.name
    ]


def _revoked(case: Case) -> set[str]:
    waivers = [item.statement for item in only(case.dossier.good, WaiverStatement)]
    return {item.terms.sha256 for item in waivers if item.state == "revoked"}


def _failed_value(case: Case, gate: str, name: str, data: str | None) -> tuple[str, float]:
    """What the check has judged, by its SHA-256, and what it has measured."""
    judged = [item for item in only(case.dossier.good, GateStatement) if item.sha256 in case.decision.needed]
    bad = (Outcome.FAIL, Outcome.INCONCLUSIVE)
    measured = [
        (item.subject, check.name, float(check.observed))
        for item in judged
        if item.gate == gate and data in (None, item.subject.name, item.digest, item.digest[: max(8, len(data or ""))])
        for check in item.statement.result.checks
        if check.outcome in bad and isinstance(check.observed, int | float)
    ]
    found = [(subject, value) for subject, check, value in measured if check == name]
    if not found:
        raise ConfigurationError(
            f"the newest evidence of the gate {gate} has no failed check {name!r} with a measured value"
            f"{f' on {data}' if data else ''}; it has {_listed({check for _, check, _ in measured}) or 'none'}",
            code="waiver.no_failed_check",
        )
    if len(found) > 1:
        sets = _listed(f"{subject.name} (sha256:{subject.digest[:12]})" for subject, _ in found)
        raise ConfigurationError(
            f"{name} failed on {sets}: name the data set, for each takes a waiver of its own",
            code="waiver.which_data",
        )
    ((subject, value),) = found
    return subject.digest, value


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))
