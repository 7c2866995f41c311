"""The audits that are owed: each waived check and each break-glass behind a promotion, with a date; what has become of
them, and what is done about those that were missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError, PromotionRefused
from airflow_mlgov.evidence.statements import Context, audit_statement
from airflow_mlgov.evidence.verification import Evidence, Records, collect
from airflow_mlgov.results import GateResult, Outcome, Severity, Subject

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from airflow_mlgov.evidence.chain import Entry
    from airflow_mlgov.evidence.ledger import Ledger
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.governance.decision import Decision
    from airflow_mlgov.registry.protocol import Registry
    from airflow_mlgov.release.promotion import Grounds

VIOLATIONS = ("failed", "overdue", "expired", "revoked")


@dataclass(frozen=True)
class Obligation:
    """One audit that is owed."""

    id: str
    kind: str
    """``waiver`` or ``emergency``."""
    model: Subject
    target: str
    grounds: str
    """SHA-256 of the waiver's terms, or of the break-glass's envelope."""
    gate: str | None
    check: str | None
    due: datetime
    expires: datetime
    state: str
    """``open``, ``met``, or one of :data:`VIOLATIONS`: the audit failed, was not done in time, the waiver has run out
    while the check still fails, or was taken back."""
    promotion: str
    """Ledger reference of the promotion that it came with."""

    def __str__(self) -> str:
        what = f"{self.check} of the gate {self.gate} is waived" if self.kind == "waiver" else "the glass was broken"
        until, due = (f"{moment:%Y-%m-%d %H:%M %Z}" for moment in (self.expires, self.due))
        where = f"{self.model.name} version {self.model.version} at {self.target!r}"
        return f"{where}: {what} until {until}, audit due {due}: {self.state}"

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "id": self.id,
            "kind": self.kind,
            "model": self.model.name,
            "version": self.model.version,
            "target": self.target,
            "gate": self.gate,
            "check": self.check,
            "due": self.due.isoformat(),
            "expires": self.expires.isoformat(),
            "state": self.state,
            "promotion": self.promotion,
        }


@dataclass(frozen=True)
class Enforcement:
    """What was done about obligations."""

    warned: tuple[Obligation, ...]
    """Open, and due or expiring soon."""
    violated: tuple[tuple[Obligation, str], ...]
    """Each with what was done: ``rolled back to version 2``, or ``not demoted: why``."""

    @property
    def unsettled(self) -> bool:
        """Whether something that should not serve still does."""
        return any(action.startswith("not demoted") for _, action in self.violated)


def incurred(decision: Decision, evidence: Sequence[Evidence], now: datetime) -> list[dict[str, Any]]:
    """The obligations that promoting on a decision brings, as the promotion's statement carries them.

    :param evidence: what the decision rests on
    """
    policy = decision.input["policy"]
    found = []
    for use in decision.waived:
        terms = next(
            item.predicate["terms"]
            for item in evidence
            if item.kind == "waiver" and item.predicate["terms_sha256"] == use["waiver"]
        )
        rules, expires = policy["waivers"], terms["expires"]
        found.append(_owed("waiver", use["waiver"], use["gate"], use["check"], expires, rules, now))
    if decision.excused:
        newest = [item for item in evidence if item.sha256 in decision.broken_by][-1]
        expires = newest.predicate["expires"]
        found.append(_owed("emergency", newest.sha256, None, None, expires, policy["break_glass"], now))
    return sorted(found, key=lambda item: str(item["id"]))


def _owed(
    kind: str,
    grounds: str,
    gate: str | None,
    check: str | None,
    expires: str,
    rules: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    from airflow_mlgov.evidence.digests import hash_json

    return {
        "id": hash_json([kind, grounds, gate, check])[:16],
        "kind": kind,
        "grounds": grounds,
        "gate": gate,
        "check": check,
        "due": (now + timedelta(microseconds=rules["audit_within_ns"] / 1000)).isoformat(),
        "expires": expires,
    }


def owed_by(promotion: Evidence, evidence: Sequence[Evidence], now: datetime) -> list[Obligation]:
    """What a promotion has brought, and how it stands.

    :param evidence: all that verifies about its bytes
    """
    return [
        Obligation(
            id=item["id"],
            kind=item["kind"],
            model=Subject(**promotion.ours["subject"]),
            target=promotion.predicate["target"],
            grounds=item["grounds"],
            gate=item["gate"],
            check=item["check"],
            due=datetime.fromisoformat(item["due"]),
            expires=datetime.fromisoformat(item["expires"]),
            state=_state(item, promotion, evidence, now),
            promotion=promotion.reference,
        )
        for item in promotion.predicate.get("obligations", ())
    ]


def _state(item: Mapping[str, Any], promotion: Evidence, evidence: Sequence[Evidence], now: datetime) -> str:
    about = [other for other in evidence if other.digest == promotion.digest]
    audits = [
        other
        for other in about
        if other.kind == "audit" and other.predicate["obligation"] == item["id"] and other.seq > promotion.seq
    ]
    if audits and audits[-1].predicate["verdict"] != "PASS":
        return "failed"
    if any(
        other.kind == "waiver"
        and other.predicate["state"] == "revoked"
        and other.predicate["terms_sha256"] == item["grounds"]
        for other in about
    ):
        return "revoked"
    if datetime.fromisoformat(item["expires"]) <= now and not _passes_now(item["gate"], about):
        return "expired"
    if audits:
        return "met"
    return "overdue" if datetime.fromisoformat(item["due"]) <= now else "open"


def _passes_now(gate: str | None, about: Sequence[Evidence]) -> bool:
    judged = [other for other in about if gate is not None and other.kind == "gate" and other.gate == gate]
    return bool(judged) and judged[-1].ours["verdict"] == "PASS"


def list_obligations(
    records: Records, trust: TrustRoot, now: datetime, model: str | None = None, environment: str | None = None
) -> list[Obligation]:
    """Every obligation behind what is promoted now, soonest first.

    :param model: only of this registered model
    :param environment: only of promotions in this environment
    :raises EvidenceError: the chain is broken
    """
    records.verify()
    current: dict[tuple[Any, ...], Evidence] = {}
    for item in collect(records, trust, kind="promotion", model=model)[0]:
        subject = item.ours["subject"]
        current[subject["registry"], subject["name"], item.ours["environment"], item.predicate["target"]] = item
    found = [
        obligation
        for promotion in current.values()
        if promotion.predicate.get("obligations") and environment in (None, promotion.ours["environment"])
        for obligation in owed_by(promotion, collect(records, trust, [promotion.digest])[0], now)
    ]
    return sorted(found, key=lambda item: (item.due, item.id))


def record_audit(
    obligation: Obligation,
    results: Sequence[GateResult],
    *,
    evidence: Sequence[Evidence],
    ledger: Ledger,
    signer: Signer,
    context: Context,
) -> tuple[Outcome, Entry]:
    """Close an obligation by what the gates say on live data.

    PASS where every critical check passes, or is the waived one and stays within the waived bound; everything else
    fails the audit. A break-glass takes every gate's pass.

    :param evidence: all that verifies about the model, for the waiver's terms
    :raises ConfigurationError: the gate whose check is waived was not run
    """
    if not results or (obligation.gate and obligation.gate not in {result.gate for result in results}):
        raise ConfigurationError(f"the audit {obligation.id} needs the gate {obligation.gate or 'that was passed by'}")
    terms = next(
        (
            item.predicate["terms"]
            for item in evidence
            if item.kind == "waiver" and item.predicate["terms_sha256"] == obligation.grounds
        ),
        None,
    )
    within = []
    verdict = Outcome.PASS
    for result in results:
        bad = [c for c in result.checks if c.severity is Severity.CRITICAL and c.outcome is not Outcome.PASS]
        for check in bad:
            if result.gate == obligation.gate and check.name == obligation.check and _within(check.observed, terms):
                within.append(check.name)
            else:
                verdict = Outcome.FAIL
        if not bad and result.verdict is not Outcome.PASS:
            verdict = Outcome.FAIL
    statement = audit_statement(
        obligation.model,
        target=obligation.target,
        obligation=obligation.id,
        verdict=str(verdict),
        results=results,
        within_waiver=within,
        context=context,
    )
    return verdict, ledger.attest(statement, signer)


def _within(observed: Any, terms: Mapping[str, Any] | None) -> bool:
    from airflow_mlgov.results import Bound

    if terms is None or isinstance(observed, bool) or not isinstance(observed, int | float):
        return False
    return Bound(min=terms["min"], max=terms["max"]).judge(observed) is Outcome.PASS


def enforce(
    registry: Registry,
    *,
    grounds: Grounds,
    signer: Signer,
    context: Context,
    warn_within: timedelta,
    demote: bool = True,
) -> Enforcement:
    """Warn of what is due soon; roll back, to the last version that holds, what was missed, failed, expired or revoked.

    :param demote: False: only say so
    :raises EvidenceError: the chain is broken
    :raises DependencyError: MLflow, Vault or the ledger is down; try again
    """
    from airflow_mlgov.release.rollback import roll_back

    now = context.issued_at
    mine = [
        item
        for item in list_obligations(grounds.ledger, grounds.trust, now, environment=context.environment)
        if item.model.registry == registry.uri and item.model.name in grounds.policy.models
    ]
    violated: list[tuple[Obligation, str]] = []
    done: dict[tuple[str, str], str] = {}
    for item in mine:
        if item.state not in VIOLATIONS:
            continue
        place = (item.model.name, item.target)
        if place not in done:
            try:
                if not demote:
                    raise PromotionRefused("demotion is switched off")
                reason = f"obligation {item.id}: {item.state}"
                back = roll_back(registry, *place, grounds=grounds, signer=signer, context=context, reason=reason)
                done[place] = f"rolled back to version {back.model.version} ({back.record})"
            except PromotionRefused as error:
                done[place] = f"not demoted: {error}"
        violated.append((item, done[place]))
    soon = [item for item in mine if item.state in ("open", "met") and _next_date(item) - now <= warn_within]
    return Enforcement(tuple(soon), tuple(violated))


def _next_date(item: Obligation) -> datetime:
    return item.expires if item.state == "met" else min(item.due, item.expires)


def render_enforcement(result: Enforcement) -> str:
    """The words that go to a log and to the owners."""
    lines = [f"  - soon: {item}" for item in result.warned]
    lines += [f"  - {item.state}: {item} [{action}]" for item, action in result.violated]
    return "\n".join([f"{len(result.violated)} obligation(s) violated, {len(result.warned)} due soon", *lines])
