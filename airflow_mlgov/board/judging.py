"""How a model stands: what serves and what would, judged from the ledger by the functions that promote and that
``mlgov verify`` asks. It forms no verdict of its own; the bytes are those that evidence names, and are not hashed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlgov.addresses import RegistryIdentity
from airflow_mlgov.errors import MlgovError
from airflow_mlgov.evidence.scope import Scope
from airflow_mlgov.evidence.statements import (
    EmergencyStatement,
    GateStatement,
    IncidentStatement,
    PromotionStatement,
    ProvenanceStatement,
    WaiverStatement,
)
from airflow_mlgov.evidence.verification import Evidence, only
from airflow_mlgov.governance.decision import count_tries, decide, policy_input
from airflow_mlgov.governance.judgement import newest_judged
from airflow_mlgov.release.case import request_for
from airflow_mlgov.release.champion import is_it
from airflow_mlgov.release.explanation import judge_now
from airflow_mlgov.release.obligations import Obligation, owed_by
from airflow_mlgov.release.timeline import Dossier, Timeline, evidence_for, history_of, version_of
from airflow_mlgov.results import WORST_FIRST, Outcome, Subject

if TYPE_CHECKING:
    from airflow_mlgov.evidence.chain import Verified
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.governance.policy import GovernancePolicy

SERVES, CANDIDATE, UNGOVERNED = "serves", "candidate", "ungoverned"
Reasons = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Cell:
    """The newest result of a required gate: as the policy in force judges it, or as it was signed if that is worse."""

    gate: str
    outcome: Outcome | None
    """None: nothing of it counts."""
    seq: int | None = None
    issued_at: datetime | None = None
    stale_at: datetime | None = None
    """When it is too old for the policy, or has expired by its own date."""
    tries: int = 0
    """How often the gate has judged versions on the same data."""


@dataclass(frozen=True)
class Exemption:
    """A waiver or a break-glass that still runs."""

    kind: str
    what: str
    ends: datetime
    people: tuple[str, ...]
    reason: str
    ticket: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Standing:
    """One version at one target, as it stands under the policy of today."""

    model: Subject
    environment: str
    target: str
    role: str
    """``serves``, ``candidate`` or ``ungoverned``."""
    place: str
    """``alias champion, stage Production``."""
    allowed: bool
    reasons: Reasons
    facts: tuple[str, ...]
    cells: tuple[Cell, ...]
    exemptions: tuple[Exemption, ...]
    obligations: tuple[Obligation, ...]
    incidents: tuple[Evidence[IncidentStatement], ...]
    since: datetime | None = None
    """When it was promoted, if it serves."""

    @property
    def state(self) -> str:
        """One of :data:`airflow_mlgov.board.rows.STATES`."""
        if self.role == CANDIDATE:
            if self.allowed:
                return "ready"
            return "waiting" if all(code.startswith("approval.") for code, _ in self.reasons) else "blocked"
        if not self.allowed:
            return "deny"
        return "overdue" if self.incidents or any(item.state.violated for item in self.obligations) else "allow"

    @property
    def due(self) -> datetime | None:
        """What falls due or runs out first."""
        open_ones = [item.due for item in self.obligations if item.state != "met"]
        return min([*open_ones, *(item.ends for item in self.exemptions)], default=None)

    def changes_after(self, now: datetime) -> datetime | None:
        """The next moment at which it may stand otherwise though nothing is written: something falls due, runs out or
        gets too old."""
        moments = [item.ends for item in self.exemptions]
        moments += [moment for item in self.obligations for moment in (item.due, item.expires)]
        moments += [cell.stale_at for cell in self.cells if cell.stale_at]
        return min((moment for moment in moments if moment > now), default=None)

    @property
    def oldest(self) -> datetime | None:
        """When its oldest evidence was made."""
        return min((cell.issued_at for cell in self.cells if cell.issued_at), default=None)


@dataclass(frozen=True)
class Bench:
    """What a model is judged from: one walk of the ledger, whom to trust, the policy in force, and when."""

    walked: Verified
    trust: TrustRoot
    policy: GovernancePolicy | None
    now: datetime

    def history(self, name: str) -> list[Evidence]:
        """All that verifies about a model, in its registry: the policy's, or the one that the newest names."""
        identity = self.identity(name)
        return history_of(self.walked, self.trust, Scope(name, identity, None)) if identity else []

    def identity(self, name: str) -> RegistryIdentity | None:
        """Whose model it is; None if nothing about it verifies."""
        if self.policy is not None and self.policy.registry is not None:
            return self.policy.registry
        from airflow_mlgov.evidence.verification import collect

        named = [item.subject.registry for item in collect(self.walked, self.trust, model=name)[0]]
        return RegistryIdentity.at(named[-1] or "") if named else None

    def standings(self, name: str, environments: Iterable[str]) -> list[Standing]:
        """Every target of a model in each environment: who serves there, and who would next."""
        history, identity = self.history(name), self.identity(name)
        if not history or identity is None:
            return []
        governed = self.policy is not None and name in self.policy.models
        found = []
        for environment in environments:
            here = [item for item in history if item.environment == environment]
            if not here:
                continue
            moved = {item.statement.target for item in only(here, PromotionStatement)}
            targets = list(self.policy.models[name].targets) if governed and self.policy else sorted(moved)
            for target in targets or [""]:
                found += list(self._at(name, identity, environment, target, here, governed))
        return found

    def version(
        self, model: Subject, environment: str, target: str, identity: RegistryIdentity, *, governed: bool = True
    ) -> tuple[Standing, Dossier]:
        """One version at one target: as what serves, if it was the last to be promoted there, else as a candidate."""
        dossier = evidence_for(self.walked, self.trust, model, environment, identity)
        timeline = Timeline(dossier.history, model.name, identity.name, environment, target)
        moved = [item for item in timeline.promotions if is_it(item, model)]
        serving = bool(moved) and timeline.current is not None and timeline.current.sha256 == moved[-1].sha256
        allowed, facts, reasons = self._judge(model, environment, target, dossier, timeline, moved, governed)
        role = SERVES if serving else CANDIDATE if governed else UNGOVERNED
        owed = owed_by(moved[-1], dossier.good, self.now) if moved else []
        return (
            Standing(
                model, environment, target, role, self._place(model.name, target), allowed, reasons, facts,
                tuple(self._cells(model, target, timeline, dossier)) if governed else (),
                tuple(_exemptions(dossier.good, target, self.now)), tuple(owed),
                tuple(_incidents([*dossier.history, *self._of_copies(model.name)], target, environment)),
                moved[-1].issued_at if serving else None,
            ),
            dossier,
        )  # fmt: skip

    def _of_copies(self, name: str) -> list[Evidence]:
        """The incidents of the models that a model is copied into."""
        from airflow_mlgov.evidence.verification import collect

        goals = self.policy.models[name].targets.values() if self.policy and name in self.policy.models else ()
        into = sorted({goal.copy_to.model for goal in goals if goal.copy_to})
        found = [collect(self.walked, self.trust, kind="incident", model=copies)[0] for copies in into]
        return [item for items in found for item in items]

    def _judge(
        self,
        model: Subject,
        environment: str,
        target: str,
        dossier: Dossier,
        timeline: Timeline,
        moved: Sequence[Evidence[PromotionStatement]],
        governed: bool,
    ) -> tuple[bool, tuple[str, ...], Reasons]:
        if not governed or self.policy is None:
            why = f"the policy does not govern the model {model.name}" if self.policy else "there is no policy"
            return False, (), (("policy.model_unknown", why),)
        try:
            if moved:
                facts, reasons = judge_now(
                    moved[-1], dossier, policy=self.policy, environment=environment, now=self.now
                )
                return not reasons, tuple(facts), tuple(reasons)
            request = request_for(
                model, target, environment, dossier, timeline, self.now, champion=_champion(timeline, model)
            )
            decision = decide(request, self.policy, dossier.good, dossier.bad, self.now, dossier.history)
            shown = tuple(f"{item.reference}: {item.gate or item.kind}" for item in decision.relied_on)
            return decision.allowed, shown, decision.reasons
        except MlgovError as error:
            return False, (), ((error.code, str(error)),)

    def _at(
        self,
        name: str,
        identity: RegistryIdentity,
        environment: str,
        target: str,
        here: Sequence[Evidence],
        governed: bool,
    ) -> Iterable[Standing]:
        timeline = Timeline(here, name, identity.name, environment, target)
        current = timeline.current
        if current is not None:
            yield self.version(_subject(current, identity), environment, target, identity, governed=governed)[0]
        made = [item for item in here if isinstance(item.statement, ProvenanceStatement | GateStatement)]
        first: dict[str, Evidence] = {}
        for item in made:
            first.setdefault(version_of(item), item)
        newest = max(first.values(), key=lambda item: item.seq, default=None)
        if newest is None or (current is not None and newest.seq < current.seq):
            return
        last = next(item for item in reversed(made) if version_of(item) == version_of(newest))
        yield self.version(_subject(last, identity), environment, target, identity, governed=governed)[0]

    def _cells(self, model: Subject, target: str, timeline: Timeline, dossier: Dossier) -> Iterable[Cell]:
        assert self.policy is not None  # noqa: S101 - only a governed model has required gates
        said, max_age = policy_input(self.policy, model.name, target), self.policy.model(model.name).max_age
        champion = _champion(timeline, model)
        request = request_for(model, target, timeline.environment, dossier, timeline, self.now, champion=champion)
        newest = newest_judged(dossier.good, said, champion)
        for gate in self.policy.model(model.name).target(target).requires:
            found = [
                (item, min(outcome, item.statement.verdict, key=WORST_FIRST.index))
                for (name, _), (item, outcome, _) in newest.items()
                if name == gate
            ]
            if not found:
                yield Cell(gate, None)
                continue
            worst = next(word for word in WORST_FIRST if any(outcome is word for _, outcome in found))
            item = min((item for item, outcome in found if outcome is worst), key=lambda one: one.issued_at)
            stale = min(min(one.issued_at + max_age, one.expires_at) for one, _ in found)
            tries = [counted["runs"] for counted in count_tries(gate, request, [*dossier.history, *dossier.good])]
            yield Cell(gate, worst, item.seq, item.issued_at, stale, max(tries, default=0))

    def _place(self, name: str, target: str) -> str:
        if self.policy is None or name not in self.policy.models or target not in self.policy.models[name].targets:
            return ""
        goal = self.policy.models[name].targets[target]
        held = ", ".join(f"{word} {said}" for word, said in (("alias", goal.alias), ("stage", goal.stage)) if said)
        return f"{held} of {goal.copy_to.model}" if goal.copy_to else held


def _champion(timeline: Timeline, model: Subject) -> str | None:
    """Who holds the target by the ledger, if it is another version."""
    current = timeline.current
    return None if current is None or is_it(current, model) else version_of(current)


def _subject(item: Evidence, identity: RegistryIdentity) -> Subject:
    said = item.subject
    return Subject("model", said.name, item.digest, said.version, identity.name)


def _exemptions(evidence: Sequence[Evidence], target: str, now: datetime) -> Iterable[Exemption]:
    waivers = [item.statement for item in only(evidence, WaiverStatement) if item.statement.terms.target == target]
    revoked = {item.terms.sha256 for item in waivers if item.state == "revoked"}
    for sha256 in dict.fromkeys(item.terms.sha256 for item in waivers):
        mine = [item for item in waivers if item.terms.sha256 == sha256]
        terms = mine[0].terms
        if sha256 not in revoked and terms.ends > now - timedelta(days=30):
            people = tuple(dict.fromkeys(item.signer.name for item in mine))
            what = f"{terms.check} of {terms.gate}"
            yield Exemption("waiver", what, terms.ends, people, terms.reason, terms.ticket, sha256)
    for item in only(evidence, EmergencyStatement):
        said = item.statement
        if said.target == target and said.expires > now:
            yield Exemption("break-glass", "all gates", said.expires, (said.person.name,), said.reason)


def _incidents(history: Sequence[Evidence], target: str, environment: str) -> Iterable[Evidence[IncidentStatement]]:
    """The incidents at a target that nobody has settled, of whatever version: whoever was put there by hand is not the
    one who serves by evidence."""
    newest: dict[tuple[Any, ...], Evidence[IncidentStatement]] = {}
    for item in only(history, IncidentStatement):
        said = item.statement
        newest[said.code, said.subject.version, said.target, said.expected, said.observed] = item
    for item in newest.values():
        said = item.statement
        if said.state == "open" and item.environment == environment and said.target in ("", target):
            yield item
