"""A governed model in a world where everything outside a process may fail, and what has to hold there all the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from airflow_mlgov.errors import AccessError, DependencyError, MlgovError
from airflow_mlgov.evidence.chain import Entry, Verified, verified
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.signing import TrustRoot, duties
from airflow_mlgov.evidence.statements import (
    ApprovalStatement,
    Context,
    GateStatement,
    Person,
    PromotionStatement,
    ProvenanceStatement,
    Signed,
)
from airflow_mlgov.evidence.verification import collect, only
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.audit import record_audit
from airflow_mlgov.release.case import build_case
from airflow_mlgov.release.desk import Desk
from airflow_mlgov.release.enforcement import enforce
from airflow_mlgov.release.explanation import explain
from airflow_mlgov.release.obligations import list_obligations
from airflow_mlgov.release.promotion import promote
from airflow_mlgov.release.reconciliation import reconcile
from airflow_mlgov.release.rollback import roll_back
from airflow_mlgov.release.standing import why_unfit
from airflow_mlgov.release.timeline import Timeline, version_of
from airflow_mlgov.release.waivers import draft_terms, revoke_waiver, sign_waiver
from airflow_mlgov.results import Bound, Check, GateResult, Subject
from tests.worlds.simulation import vault
from tests.worlds.simulation.ledger import SimulatedLedger, clock_of, open_simulated
from tests.worlds.simulation.machine import Killed, Machine, Process
from tests.worlds.simulation.registry import Server, simulated
from tests.worlds.simulation.rules import SimulatedEngine

MODEL, TARGET = "credit", "production"
POLICY = """\
version: 1
people: {{olga: {{}}, omar: {{}}, tom: {{}}, rita: {{}}}}
models:
  {model}:
    gates:
      performance: {{label: y, score: s, roc_auc: {{min: 0.75}}}}
    targets:
      {target}:
        {places}
        requires: [performance]
        {more}
"""
PLACES = (
    "{stage: Production, alias: champion, archive_previous: true}",
    "{stage: Production, alias: champion}",
    "{stage: Production, archive_previous: true}",
    "{alias: champion}",
)
MORE = (
    "",
    "approvals: {count: 1, from: [olga, omar], not: [trainer, requester]}",
    "waivers: {max_days: 30, signers: 1, from: [olga, omar], audit_within: 5d}",
    "rollback: required",
)
MOST = 4
"""Versions in one story."""
DATA = Subject("dataset", "train.csv", "d" * 64)
RETRIED = (DependencyError, AccessError, Killed)
"""What ends a try that Airflow, or a person, makes again."""


@dataclass
class Task:
    """Something that somebody wants done, in as many tries as it takes."""

    name: str
    act: Callable[[], Any]
    version: str = ""
    tries: int = 0


class World:
    """One story.

    :param seed: of the story
    :param folder: for its ledger
    """

    def __init__(self, seed: int, folder: Path, *, proven: bool = False) -> None:
        self.seed, self._proven = seed, proven
        self.machine = machine = Machine(seed)
        self.server = Server(watch=self._placed)
        self.wrong: list[str] = []
        """What should not have happened."""
        self.ends: Counter[str] = Counter()
        self._acknowledged: list[Entry] = []
        self._desks: dict[str, Desk] = {}
        self._tasks: dict[str, Task] = {}
        self._path = folder / f"ledger-{seed}.db"
        file = folder / f"mlgov-{seed}.yaml"
        places = machine.random.choice(PLACES).strip("{}").replace(", ", "\n        ")
        more = machine.random.choice(MORE)
        file.write_text(POLICY.format(model=MODEL, target=TARGET, places=places, more=more))
        self._policy = load_policy(file)
        self._goal = self._policy.model(MODEL).target(TARGET)
        self._trust = TrustRoot()
        for duty in duties():
            self._trust = self._trust.with_key(vault.signer(duty, machine).public_key, [duty])
        open_ledger(f"sqlite:///{self._path}").close()
        self._ledger = open_simulated(self._path, machine)
        self._registry = simulated(self.server, machine)
        self._engine = SimulatedEngine(machine)

    # -- the story ----------------------------------------------------------------------------------------------------

    def live(self, steps: int) -> None:
        """Let so many steps happen, then let everything be up again, and see what has become of it."""
        with clock_of(self.machine):
            for number in ("1", "2", "3"):
                self._newcomer()
                self._answer(number, "olga", True)
                if number != "3":
                    promote(self._desk("promotion"), self._version(number), TARGET)
            pending: list[Task] = []
            while self.machine.steps < steps and not self.wrong:
                self._happen()
                about = str(self.machine.random.choice(sorted(self.server.models[MODEL])))
                chosen = [self._draw(pending, about), self._draw(pending, about)]
                pending += self._try(chosen)
            self.machine.faults = False
            for task in pending:
                if self._try([task]):
                    self.wrong.append(f"{task.name} does not come to an end though everything is up again")
            self._settle()

    def _happen(self) -> None:
        """What happens between tries."""
        dice = self.machine.random
        if dice.random() < 0.1 and len(self.server.models[MODEL]) < MOST:
            self._newcomer()
        if dice.random() < 0.1:
            self._by_hand()
        if dice.random() < 0.15:
            self.machine.clock += dice.choice((600, 3600, 86400, 3 * 86400))

    def _draw(self, pending: list[Task], about: str) -> Task:
        """What is tried next: something that was tried before, or something new, mostly about one version."""
        dice = self.machine.random
        if pending and dice.random() < 0.5:
            return pending.pop(dice.randrange(len(pending)))
        number = about if dice.random() < 0.7 else str(dice.choice(sorted(self.server.models[MODEL])))
        auc, who = dice.choice((0.72, 0.8)), dice.choice(("olga", "omar"))
        revert, approved = dice.random() < 0.5, dice.random() < 0.8
        acts: list[tuple[int, str, Callable[[], Any]]] = [
            (5, f"promote {number}", lambda: promote(self._desk("promotion"), self._version(number), TARGET)),
            (4, f"judge {number} {auc}", lambda: self._judge(number, auc)),
            (3, f"answer {number} {who} {approved}", lambda: self._answer(number, who, approved)),
            (4, "roll back", lambda: roll_back(self._desk("promotion"), MODEL, TARGET, reason="complaints")),
            (2, f"reconcile {revert}", lambda: reconcile(self._desk("reconcile"), revert=revert)),
            (2, f"waive {number} {who}", lambda: self._waive(number, who)),
            (1, f"revoke {number} {who}", lambda: self._revoke(number, who)),
            (1, f"audit {auc}", lambda: self._audit(auc)),
            (1, "enforce", lambda: enforce(self._desk("promotion"), warn_within=timedelta(days=3))),
        ]
        _, name, act = dice.choices(acts, [weight for weight, _, _ in acts])[0]
        return Task(name, act, number)

    def _try(self, tasks: Iterable[Task]) -> list[Task]:
        """Try each once, together; those that somebody will try again."""
        dice, processes = self.machine.random, []
        for at, task in enumerate(tasks):
            task.tries += 1
            process = Process(f"{'ab'[at]}:{task.name}", task.act, timedelta(seconds=dice.choice((0, 0, 0, -90, 240))))
            self._tasks[process.name] = task
            processes.append((task, process))
        self.machine.run(*(process for _, process in processes))
        again = []
        for task, process in processes:
            error = process.error
            self.machine.tell(f"{process.name} ends: {type(error).__name__ if error else 'done'} {error or ''}")
            self.ends[type(error).__name__ if error else "done"] += 1
            if isinstance(error, RETRIED):
                again.append(task)
            elif error is not None and not isinstance(error, MlgovError):
                self.wrong.append(f"{task.name} ends in {error!r}")
        self._nothing_held()
        self._desks.clear()
        return again

    # -- what people and gates do -------------------------------------------------------------------------------------

    def _newcomer(self) -> None:
        """A version with its provenance and evidence; nothing happens to it."""
        count = len(self.server.models.get(MODEL, ()))
        number = self.server.register(MODEL, {"weight.txt": str(count).encode()})
        model = self._registry.subject(self._version(number))
        made = ProvenanceStatement(model, self._context(), (DATA,), ("tom",), {"run_id": "r"})
        self._attest("registration", made)
        self._judge(number, 0.8)
        self._desks.clear()

    def _judge(self, number: str, auc: float) -> Entry:
        bound = Bound(min=0.75)
        model = self._client().subject(self._version(number))
        result = GateResult("performance", model, (Check("roc_auc", bound.judge(auc), auc, bound),))
        return self._attest(
            "performance", GateStatement.of(replace(result, evaluation_digest="e" * 64), self._context())
        )

    def _answer(self, number: str, who: str, approved: bool) -> Entry:
        desk = self._desk("approval")
        case = build_case(desk, self._version(number), TARGET)
        statement = ApprovalStatement(
            case.model, desk.context, target=TARGET, approver=Person(who, who), approved=approved, reason="looked",
            shown=tuple(case.decision.needed), answered_at=desk.now,
        )  # fmt: skip
        return desk.attest(statement)

    def _waive(self, number: str, who: str) -> Entry:
        desk = self._desk("waiver")
        case = build_case(desk, self._version(number), TARGET, ("rita",))
        terms = draft_terms(
            case, gate="performance", check="roc_auc", stretch={"min": 0.7}, reason="rival has left", ticket="RISK-7",
            risk_owner="head of retail", requesters=("rita",), lifetime=timedelta(days=10), now=desk.now,
        )  # fmt: skip
        return sign_waiver(desk, case, terms, Person(who, who), "discussed")

    def _revoke(self, number: str, who: str) -> Entry | None:
        from airflow_mlgov.evidence.statements import WaiverStatement

        desk = self._desk("waiver")
        case = build_case(desk, self._version(number), TARGET)
        signed = [item.statement.terms for item in only(case.dossier.good, WaiverStatement)]
        return revoke_waiver(desk, case, signed[-1], Person(who, who), "changed my mind") if signed else None

    def _audit(self, auc: float) -> Any:
        desk = self._desk("audit")
        records = desk.walk()
        owed = [item for item in list_obligations(records, desk.trust, desk.now, MODEL) if not item.audited]
        if not owed:
            return None
        bound = Bound(min=0.75)
        result = GateResult("performance", owed[0].model, (Check("roc_auc", bound.judge(auc), auc, bound),))
        evidence = collect(records, desk.trust, [owed[0].model.digest])[0]
        return record_audit(
            owed[0], [result], evidence=evidence, ledger=desk.ledger, signer=desk.signer, context=desk.context
        )

    def _by_hand(self) -> None:
        """Somebody moves a version in MLflow's own pages."""
        dice, versions = self.machine.random, self.server.models[MODEL]
        version = versions[dice.choice(sorted(versions))]
        if dice.random() < 0.5:
            version.stage = dice.choice(("None", "Production", "Archived"))
        else:
            self.server.aliases[MODEL]["champion"] = version.number
        self.machine.tell(f"by hand: version {version.number} {version.stage} {self.server.aliases[MODEL]}")

    # -- what is at hand ----------------------------------------------------------------------------------------------

    def _client(self) -> Any:
        return simulated(self.server, self.machine)

    def _version(self, number: str) -> ModelVersion:
        return self._client().resolve({"name": MODEL, "version": number})

    def _context(self) -> Context:
        return Context("test", self._policy.descriptor(), {"cli": "simulated"}, self.machine.now)

    def _desk(self, duty: str) -> Desk:
        """What a new process opens."""
        ledger = open_simulated(self._path, self.machine, self._stored)
        signer = vault.signer(duty, self.machine)
        desk = NotingDesk(
            self._client(), ledger, self._trust, self._policy, signer, self._context(), self._engine,
            proven=self._proven,
        )  # fmt: skip
        if self.machine.running:
            self._desks[self.machine.running.name] = desk
        return desk

    def _attest(self, duty: str, statement: Signed) -> Entry:
        return self._desk(duty).attest(statement)

    # -- what has to hold ---------------------------------------------------------------------------------------------

    def _placed(self, model: str, number: int, place: str) -> None:
        """A version was moved: it has to be one that may stand there, by all that the mover had read."""
        process, self.machine.running = self.machine.running, None
        try:
            if process is not None and place in (self._goal.stage, self._goal.alias):
                self._judge_move(process, str(number))
        finally:
            self.machine.running = process

    def _judge_move(self, process: Process, number: str) -> None:
        theirs, task = self._desks[process.name], self._tasks[process.name]
        assert isinstance(theirs.ledger, SimulatedLedger)
        prefix = verified(self._ledger.walk().entries()[: max(theirs.ledger.walked, theirs.ledger.written)])
        desk = replace(theirs, registry=self._registry, ledger=_Prefix(prefix), engine=None, proven=False)
        timeline = desk.timeline(desk.history(prefix, MODEL), MODEL, TARGET)
        if task.name.startswith("promote") and number == task.version:
            reasons: Any = build_case(desk, self._version(number), TARGET).decision.reasons
        else:
            stood = [item for item in timeline.promotions if version_of(item) == number]
            reasons = why_unfit(desk, prefix, stood[-1]) if stood else "it was never promoted"
        if reasons:
            self.wrong.append(f"{process.name} moves version {number}, which may not stand there: {reasons}")

    def _stored(self, entry: Entry) -> None:
        """A process was told that an entry is stored. While it records a move nobody else moves anything."""
        self._acknowledged.append(entry)
        if entry.kind != "promotion":
            return
        number = int(entry.subject_name.rpartition("/")[2])
        if self._goal.alias and self.server.aliases[MODEL].get(self._goal.alias) != number:
            self.wrong.append(f"{entry.reference} records version {number}: {self.server.aliases[MODEL]}")
        if self._goal.stage and self.server.models[MODEL][number].stage != self._goal.stage:
            self.wrong.append(f"{entry.reference} records version {number}, which is not in the stage")

    def _nothing_held(self) -> None:
        with self._ledger.exclusive("anything", timeout=0), self._ledger._transaction(write=True):
            pass

    def _settle(self) -> None:
        """Everything is up: the registry is put right, and everybody says the same."""
        self.machine.clock += 3600
        for _ in range(3):
            size = self._ledger.last()[0]
            found = reconcile(self._desk("reconcile"), revert=True)
        if self._ledger.last()[0] != size:
            self.wrong.append("a reconciliation after which nothing happened writes again")
        records = self._ledger.walk()
        self._kept(records)
        desk = self._desk("reconcile")
        timeline = desk.timeline(desk.history(records, MODEL), MODEL, TARGET)
        self._once(timeline)
        open_codes = {item.code for item in found.unsettled}
        current = timeline.current
        holder = self.server.aliases[MODEL].get("champion")
        inside = {str(item.number) for item in self.server.models[MODEL].values() if item.stage == "Production"}
        expected = version_of(current) if current else None
        unfit = open_codes & {"evidence.broken", "artifact.changed"}
        if self._goal.alias and str(holder or "") != (expected or "") and not unfit:
            self.wrong.append(f"the alias is at version {holder} and should be at {expected}")
        if self._goal.stage and expected and expected not in inside and not unfit:
            self.wrong.append(f"the stage holds {inside} and should hold {expected}")
        if self._goal.archive_previous and inside - {expected} and not unfit:
            self.wrong.append(f"the stage holds {inside} and should hold {expected} alone")
        if current is not None:
            given = {"policy": self._policy, "environment": "test"}
            answer = explain(self._registry, self._version(str(expected)), _Prefix(records), self._trust, **given)
            self.ends["stands" if answer.allowed else "does not stand"] += 1
            if answer.allowed == bool(unfit):
                self.wrong.append(f"verify says {answer.allowed} {answer.reasons}, reconcile {found.open}")
        for intent in timeline.unfinished:
            self.wrong.append(f"the {intent.statement.action} of version {version_of(intent)} was never ended")

    def _kept(self, records: Verified) -> None:
        """What was said to be stored is."""
        held = {entry.seq: entry.hash for entry in records.entries()}
        lost = [entry for entry in self._acknowledged if held.get(entry.seq) != entry.hash]
        self.wrong += [f"{entry.reference} ({entry.kind}) was acknowledged and is not there" for entry in lost]

    def _once(self, timeline: Timeline) -> None:
        """Each move is recorded once, and each names the one before it."""
        for before, after in pairwise(timeline.promotions):
            replaced = after.statement.replaces
            if version_of(before) not in (version_of(after), replaced):
                self.wrong.append(f"{after.reference} replaces version {replaced}, not {version_of(before)}")
        intents = Counter(item.statement.intent for item in only(timeline.promotions, PromotionStatement))
        self.wrong += [f"the intent {sha} was recorded {often} times" for sha, often in intents.items() if often > 1]


class NotingDesk(Desk):
    """A desk whose ledger remembers how far it was read, in whatever way."""

    def walk(self, since: Verified | None = None) -> Verified:
        """As any desk."""
        found = super().walk(since)
        if isinstance(self.ledger, SimulatedLedger):
            self.ledger.walked = found.head.size
        return found


class _Prefix:
    """A ledger as it was."""

    def __init__(self, records: Verified) -> None:
        self._records = records

    def walk(self, checkpoints: Any = (), *, since: Any = None) -> Verified:
        """As it was."""
        return self._records
