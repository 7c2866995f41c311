"""What each page says, as plain data for its template. What its reader may not read is refused, and nothing is said of
whether it is there."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airflow_mlgov.board.judging import Bench, Standing
from airflow_mlgov.board.keeper import Keeper
from airflow_mlgov.board.readers import Reader
from airflow_mlgov.board.rows import SORTS, STATES, URGENT, Page
from airflow_mlgov.board.run import Task, told_run
from airflow_mlgov.board.story import signature, statement_in, tell
from airflow_mlgov.errors import EvidenceError, MlgovError
from airflow_mlgov.evidence.erasure import beside
from airflow_mlgov.evidence.statements import DecisionStatement, ObservationStatement, PromotionStatement
from airflow_mlgov.evidence.verification import Evidence, only, verify_entry, with_texts
from airflow_mlgov.governance.reasons import reasons
from airflow_mlgov.release.explanation import explain, explain_bytes
from airflow_mlgov.release.observations import told_observation
from airflow_mlgov.release.timeline import version_of
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from airflow_mlgov.addresses import RegistryIdentity
    from airflow_mlgov.evidence.chain import Entry, Head, Verified
    from airflow_mlgov.governance.policy import GovernancePolicy
    from airflow_mlgov.registry.protocol import Registry
    from airflow_mlgov.release.timeline import Dossier

_DAYS = 30
_MOST_DECISIONS = 300
MOST_EXPORTED = 10_000
_KINDS = (
    "gate", "provenance", "approval", "decision", "intent", "promotion", "policy", "incident", "checkpoint", "waiver",
    "emergency", "audit", "quarantine", "report", "observation", "erasure",
)  # fmt: skip
NEEDS = {
    "deny": "should not serve",
    "overdue": "needs somebody",
    "blocked": "candidate, blocked",
    "waiting": "waits for approval",
    "ready": "may be promoted",
    "allow": "may serve",
}
"""How a row stands -> in words."""
_DUE = {True: "was due", False: "is due"}
SOON = timedelta(days=7)
"""What falls due or runs out within this time needs somebody."""


class NotShown(Exception):
    """Somebody is not to see this; the HTTP status says how."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Asked:
    """Who asks, and for what."""

    reader: Reader
    query: dict[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """One word of the query; empty if it is not there."""
        return self.query.get(name, "")

    def number(self, name: str) -> int:
        """A positive number of the query, 1 if it is none."""
        text = self.get(name)
        return max(1, min(int(text), 10**9)) if text.isascii() and text.isdigit() and len(text) < 10 else 1


class Reports(Protocol):
    """What makes reports: above this floor, and handed to the board."""

    frameworks: tuple[str, ...]
    forms: tuple[str, ...]

    def report(
        self, bench: Bench, standing: Standing, dossier: Dossier, champion: str | None, name: str, form: str
    ) -> tuple[str, str, bytes]:
        """The end of a file's name, its media type, and its bytes."""

    fleet_forms: tuple[str, ...]

    def fleet(
        self, bench: Bench, models: Collection[str], environment: str | None, form: str, *, whole: bool
    ) -> tuple[str, str, bytes]:
        """The same of all models that are named.

        :param whole: whether there are no others
        """


class _Again:
    """The ledger as records that are walked anew from the first entry, and held against what is shown."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def walk(self, checkpoints: Iterable[Head] = ()) -> Verified:
        """Walk it now."""
        found, shown = self._keeper.ledger.verify([*checkpoints]), self._keeper.walked
        if found.size < shown.size:
            raise EvidenceError(f"the ledger has {found.size} entries and had {shown.size}", code="ledger.tail_cut")
        return shown


class Shelf:
    """The pages of one ledger."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._commits: dict[str, str] = {}

    # -- the board ----------------------------------------------------------------------------------------------------

    def board(self, asked: Asked) -> dict[str, Any]:
        """Every model at every target."""
        what, progress = self._look(asked)
        sort = asked.get("sort") if asked.get("sort") in SORTS else "attention"
        state = asked.get("state") if asked.get("state") in STATES else ""

        page = self._judged(
            lambda: self._keeper.rows.board(
                what, search=asked.get("q"), owner=asked.get("owner"), state=state, sort=sort, page=asked.number("page")
            )
        )
        return {
            "title": "Governance board",
            "progress": progress,
            "page": page,
            "summary": self._keeper.rows.summary(what),
            "states": NEEDS,
            "sort": sort,
            "state": state,
            "owners": self._keeper.rows.owners(what),
        }

    def card(self, asked: Asked) -> dict[str, Any]:
        """Models that need somebody, for Airflow's home page."""
        progress = self._keeper.look()
        what, soon = asked.reader.under(self._keeper.policy), (datetime.now(UTC) + SOON).timestamp()
        page = self._judged(lambda: self._keeper.rows.urgent(what, soon))
        return {
            "total": page.total,
            "complete": progress.complete,
            "problem": progress.problem,
            "models": [
                {
                    "model": row["model"],
                    "version": row["version"],
                    "target": row["target"],
                    "environment": row["environment"],
                    "state": row["state"],
                    "word": NEEDS[row["state"]] if row["state"] in URGENT else "due soon",
                    "why": _why(row["shown"]),
                }
                for row in page.rows
            ],
        }

    def _judged(self, ask: Callable[[], Page]) -> Page:
        """Rows, asked for again where one of them had to be judged again before it is shown."""
        page = ask()
        return ask() if self._keeper.refresh(page.rows) else page

    # -- a model ------------------------------------------------------------------------------------------------------

    def story(self, asked: Asked) -> dict[str, Any]:
        """One version at one target."""
        what, progress = self._look(asked)
        name, versions, environments = self._model(asked, what)
        standing, dossier, champion, targets = self._standing(asked, name, versions, environments)
        bench = self._keeper.bench()
        keys = {key.key.keyid: sorted(key.duties) for key in bench.trust.keys}
        story = tell(bench, standing, dossier, champion)
        loaded = {entry.seq: entry for entry in bench.walked.entries([standing.model.digest])}
        return {
            "title": f"{name} version {standing.model.version}",
            "progress": progress,
            "model": name,
            "story": story,
            "versions": versions,
            "environments": environments,
            "targets": targets,
            "states": NEEDS,
            "governed": self._governed(name),
            "signed": {seq: _signed(entry, keys) for seq, entry in loaded.items()},
            "dags": self._keeper.rows.dags(name),
            "may_pack": what.everything,
        }

    def verify(self, asked: Asked, registry: Callable[[], Registry] | None) -> dict[str, Any]:
        """What ``mlgov verify`` says now: the chain walked anew, the bytes hashed again if there is a registry."""
        what, progress = self._look(asked)
        name, versions, environments = self._model(asked, what)
        standing, _, _, _ = self._standing(asked, name, versions, environments)
        trust, policy = self._keeper.trust, self._keeper.policy if self._governed(name) else None
        given: dict[str, Any] = {
            "policy": policy,
            "environment": standing.environment,
            "target": standing.target or None,
        }
        records, notes = _Again(self._keeper), list[str]()
        marks = list(self._keeper.source.checkpoints(trust))
        client = _opened(registry, notes)
        try:
            if client is None:
                answer = explain_bytes(standing.model, records, trust, checkpoints=marks, **given)
            else:
                version = client.resolve({"name": name, "version": standing.model.version or ""})
                answer = explain(client, version, records, trust, checkpoints=marks, **given)
            allowed, facts, against = answer.allowed, answer.facts, answer.reasons
        except MlgovError as error:
            allowed, facts, against = False, (), ((error.code, str(error)),)
        return {
            "title": f"{name} version {standing.model.version}, verified",
            "progress": progress,
            "model": name,
            "standing": standing,
            "allowed": allowed,
            "facts": facts,
            "reasons": against,
            "notes": notes,
        }

    def pack(self, asked: Asked, out: Path) -> str:
        """Write all that speaks for a version into a file; what to call it."""
        from airflow_mlgov.evidence.pack import write_pack

        what, _ = self._look(asked)
        if not what.everything:  # it names every entry of the ledger
            raise NotShown(403, "a pack holds the whole chain: ask somebody who may read all of it")
        name, versions, environments = self._model(asked, what)
        standing, _, _, _ = self._standing(asked, name, versions, environments)
        write_pack(self._keeper.ledger, standing.model, out)
        return f"{_safe(standing)}.zip"

    def report(self, asked: Asked, reports: Reports) -> tuple[str, str, bytes]:
        """A report about a version: what to call the file, its media type, and its bytes."""
        what, _ = self._look(asked)
        name, versions, environments = self._model(asked, what)
        standing, dossier, champion, _ = self._standing(asked, name, versions, environments)
        named, form = asked.get("framework"), asked.get("format")
        ending, media, content = reports.report(self._keeper.bench(), standing, dossier, champion, named, form)
        return f"{_safe(standing)}{ending}", media, content

    def fleet(self, asked: Asked, reports: Reports) -> tuple[str, str, bytes]:
        """The report of every model that the reader may read; the rest as of :meth:`report`."""
        what, _ = self._look(asked)
        models = self._keeper.rows.models(what)
        if not models:
            raise NotShown(403, "there is no model that you may read")
        ending, media, content = reports.fleet(
            self._keeper.bench(),
            models,
            self._keeper.source.environment,
            asked.get("format"),
            whole=what.everything,
        )
        return f"fleet{ending}", media, content

    # -- lists --------------------------------------------------------------------------------------------------------

    def waivers(self, asked: Asked) -> dict[str, Any]:
        """What is owed, by whom, until when."""
        what, progress = self._look(asked)
        rows = self._keeper.rows.owed(what)
        if self._keeper.refresh(rows):
            rows = self._keeper.rows.owed(what)
        now = datetime.now(UTC)
        owed, exempt = [], []
        for row in rows:
            owed += [{**row, **item} for item in row["shown"]["obligations"]]
            exempt += [{**row, **item, "over": _at(item["ends"]) <= now} for item in row["shown"]["exemptions"]]
        return {
            "title": "Waivers and obligations",
            "progress": progress,
            "owed": sorted(owed, key=lambda item: (item["met"], not item["violated"], item["due"])),
            "exempt": sorted(exempt, key=lambda item: (not item["over"], item["ends"])),
        }

    def audit(self, asked: Asked) -> dict[str, Any]:
        """The ledger, entry by entry."""
        what, progress = self._look(asked)
        wanted = _wanted(asked)
        page = self._keeper.rows.entries(what, wanted, page=asked.number("page"))
        return {
            "title": "Audit log",
            "progress": progress,
            "page": page,
            "kinds": _KINDS,
            "models": self._keeper.rows.models(what)[:500],
            "signed": self._signed(row["seq"] for row in page.rows),
            "head": self._keeper.walked.head,
            "most": MOST_EXPORTED,
            "wanted": wanted,
        }

    def export(self, asked: Asked) -> list[dict[str, Any]]:
        """What the audit log's filter finds, newest first, at most :data:`MOST_EXPORTED`."""
        what, _ = self._look(asked)
        found = self._keeper.rows.entries(what, _wanted(asked), most=MOST_EXPORTED).rows
        signed = self._signed(row["seq"] for row in found)
        return [
            {**{name: row[name] for name in row if name != "policy"}, "signature": signed[row["seq"]]["word"]}
            for row in found
        ]

    def chain(self) -> dict[str, Any]:
        """What the chain was when it was walked last."""
        progress, head = self._keeper.progress, self._keeper.walked.head
        at = progress.at.isoformat() if progress.at else None
        return {**head.mark, "verified_to": progress.walked, "verified_at": at, "checkpoints": progress.checkpoints}

    def entry(self, asked: Asked) -> dict[str, Any]:
        """One entry with its statement."""
        what, progress = self._look(asked)
        rows = self._keeper.rows.entries(what, {"seq": asked.get("seq")}).rows if asked.get("seq").isdigit() else []
        if not rows:
            raise NotShown(403, "there is no such entry, or you may not read it")
        entry = self._keeper.walked.get(rows[0]["seq"])
        return {
            "title": f"Ledger entry {entry.seq}",
            "progress": progress,
            "entry": entry,
            "row": rows[0],
            "signed": self._signed([entry.seq])[entry.seq],
            "statement": json.dumps(statement_in(entry.envelope), indent=2),
            "beside": beside(entry, self._keeper.walked, self._keeper.trust),
        }

    def run(self, asked: Asked, tasks: Callable[[str, str], Sequence[Task]] | None) -> dict[str, Any]:
        """The gates of a run, or of one of its tasks, beside what Airflow shows of them."""
        what, progress = self._look(asked)
        dag_id, run_id, task_id = (asked.get(name) for name in ("dag_id", "run_id", "task_id"))
        if not dag_id or not (what.everything or dag_id in what.dags):
            raise NotShown(403, "there is no such DAG, or you may not read it")
        rows = self._keeper.rows.entries(what, {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}, size=500).rows
        walked, trust = self._keeper.walked, self._keeper.trust
        evidence, bad = [], []
        for entry in walked.load([row["seq"] for row in reversed(rows)]):
            try:
                evidence.append(with_texts(verify_entry(entry, trust), walked, trust))
            except EvidenceError as error:
                bad.append((entry, str(error)))
        known = tasks(dag_id, run_id) if tasks is not None and run_id else None
        if known is not None and task_id:
            known = [task for task in known if task.task_id == task_id]
        return {
            "title": f"Gates of {task_id or run_id or dag_id}",
            "progress": progress,
            "run": told_run((item for item in evidence if item.kind != ObservationStatement.kind), known),
            "noted": [(item.seq, told_observation(item.statement)) for item in only(evidence, ObservationStatement)],
            "bad": bad,
            "dag_id": dag_id,
            "run_id": run_id,
            "task_id": task_id,
            "airflow": known is not None,
        }

    # -- the policy ---------------------------------------------------------------------------------------------------

    def policy(self, asked: Asked) -> dict[str, Any]:
        """The policy in force: what it asks of whom, and what it has stopped."""
        what, progress = self._look(asked)
        policy = self._keeper.policy
        if policy is None:
            return {"title": "Policy", "progress": progress, "policy": None}
        readable = set(self._keeper.rows.models(what)) | set(what.models)
        models = [item for name, item in policy.models.items() if what.everything or name in readable]
        since = datetime.now(UTC) - timedelta(days=_DAYS)
        wanted = {"kind": "decision", "outcome": "denied", "since": since.isoformat()}
        found = self._keeper.rows.entries(what, wanted, most=_MOST_DECISIONS)
        denied = self._decisions(row["seq"] for row in found.rows)
        codes = Counter(code for item in denied for code in {code for code, _ in item.statement.reasons})
        places = Counter((item.subject.name, item.statement.target) for item in denied)
        return {
            "title": "Policy",
            "progress": progress,
            "policy": policy,
            "since": self._keeper.rows.policy_since(policy.digest),
            "commit": self._commit(policy),
            "models": models,
            "rules": [(reason, codes[reason.code]) for reason in reasons().values()],
            "own": sorted((code, count) for code, count in codes.items() if code.startswith("custom.")),
            "places": places,
            "denied": len(denied),
            "more": max(0, found.total - len(found.rows)),
            "text": policy.text if what.everything else "",
            "days": _DAYS,
        }

    def _decisions(self, numbers: Iterable[int]) -> list[Evidence[DecisionStatement]]:
        found = []
        for entry in self._keeper.walked.load(sorted(numbers)):
            try:
                found.append(verify_entry(entry, self._keeper.trust))
            except EvidenceError:
                continue
        return only(found, DecisionStatement)

    def _commit(self, policy: GovernancePolicy) -> str:
        """The last commit of the policy's file, by whom and when; empty if it is in no repository."""
        if policy.digest not in self._commits:
            command = ["git", "-C", str(policy.path.resolve().parent), "log", "-1", "--format=%h by %an, %ad"]
            try:
                done = subprocess.run(
                    [*command, "--date=iso", "--", policy.path.name],
                    check=False, capture_output=True, text=True, timeout=5,
                )  # fmt: skip
                said = done.stdout.strip() if done.returncode == 0 else ""
            except (OSError, subprocess.TimeoutExpired):
                said = ""
            self._commits = {policy.digest: said}
        return self._commits[policy.digest]

    # -- shared -------------------------------------------------------------------------------------------------------

    def _look(self, asked: Asked) -> tuple[Reader, Any]:
        progress = self._keeper.look()
        if progress.problem:
            raise EvidenceError(f"the ledger does not hold: {progress.problem}", code="ledger.chain_broken")
        return asked.reader.under(self._keeper.policy), progress

    def _governed(self, name: str) -> bool:
        return self._keeper.policy is not None and name in self._keeper.policy.models

    def _model(self, asked: Asked, reader: Reader) -> tuple[str, list[dict[str, Any]], list[str]]:
        name = asked.get("model")
        if not self._keeper.rows.may_read(reader, name):
            raise NotShown(403, "there is no such model, or you may not read it")
        only_one = self._keeper.source.environment
        return name, self._keeper.rows.versions(name), [only_one] if only_one else self._keeper.rows.environments(name)

    def _standing(
        self, asked: Asked, name: str, versions: Sequence[dict[str, Any]], environments: Sequence[str]
    ) -> tuple[Standing, Any, str | None, list[str]]:
        """The version that is asked for; else what serves, else the newest."""
        bench = self._keeper.bench()
        identity, history = bench.identity(name), bench.history(name)
        if identity is None or not versions:
            raise NotShown(403, "nothing about this model verifies under the trust root")
        moves = only(history, PromotionStatement)
        policy = self._keeper.policy
        named = list(policy.models[name].targets) if policy and name in policy.models else []
        targets = named or sorted({item.statement.target for item in moves}) or [""]
        target = asked.get("target") if asked.get("target") in targets else targets[0]
        environment = asked.get("environment")
        if environment not in environments:
            environment = moves[-1].environment if moves else environments[-1] if environments else ""
        here = [item for item in moves if (item.environment, item.statement.target) == (environment, target)]
        current = version_of(here[-1]) if here else None
        version = asked.get("version") or current or versions[0]["version"]
        mine = [item for item in history if version_of(item) == version and item.environment == environment]
        mine = mine or [item for item in history if version_of(item) == version]
        if not mine:
            raise NotShown(403, "there is no such version, or nothing about it verifies under the trust root")
        model = _subject(mine[-1], identity)
        governed = self._governed(name) and target in named
        standing, dossier = bench.version(model, environment, target, identity, governed=governed)
        if current == version:  # beside what serves stands what it replaced
            current = here[-1].statement.replaces
        return standing, dossier, current, targets

    def _signed(self, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
        trust = self._keeper.trust
        keys = {key.key.keyid: sorted(key.duties) for key in trust.keys}
        found = {}
        for entry in self._keeper.walked.load(sorted(numbers)):
            try:
                verify_entry(entry, trust)
                found[entry.seq] = _signed(entry, keys)
            except EvidenceError as error:
                found[entry.seq] = {"good": False, "word": f"does not verify: {error}", "keys": []}
        return found


def _signed(entry: Entry, keys: dict[str, list[str]]) -> dict[str, Any]:
    """By whom an entry that verifies was signed."""
    named = [(keyid[:12], ", ".join(keys[keyid])) for keyid in signature(entry.envelope) if keyid in keys]
    return {"good": bool(named), "word": "verifies", "keys": named}


def _safe(standing: Standing) -> str:
    """A version in the name of a file."""
    name = "".join(sign if sign.isascii() and sign.isalnum() else "_" for sign in standing.model.name)[:60]
    return f"{name}-{standing.model.version}"


def _opened(registry: Callable[[], Registry] | None, notes: list[str]) -> Registry | None:
    """The registry; None, with a note, if there is none or it cannot be opened."""
    if registry is None:
        notes.append("No registry is named, so the model's files were not hashed again.")
        return None
    try:
        return registry()
    except Exception as error:  # whatever a connection, a Vault or a driver raises
        why = str(error) if isinstance(error, MlgovError) else type(error).__name__
        notes.append(f"The registry cannot be opened, so the model's files were not hashed again: {why}")
        return None


def _subject(item: Evidence, identity: RegistryIdentity) -> Subject:
    return Subject("model", item.subject.name, item.digest, item.subject.version, identity.name)


def _why(shown: Mapping[str, Any]) -> str:
    """Why a row needs somebody, in one line: a reason, an incident, or what falls due first."""
    said = [reason[1] for reason in shown["reasons"]] + [one["message"] for one in shown["incidents"]]
    dated = [
        (not one["violated"], one["due"], f"audit of {one['check'] or 'the break-glass'} {_DUE[one['violated']]}")
        for one in shown["obligations"]
        if not one["met"]
    ]
    dated += [(True, one["ends"], f"{one['kind']} for {one['what']} ends") for one in shown["exemptions"]]
    return next(iter(said), "") or next((f"{what} {when[:10]}" for _, when, what in sorted(dated)), "")


def _wanted(asked: Asked) -> dict[str, str]:
    """The audit log's filter; a day that is none is left out."""
    wanted = {name: asked.get(name) for name in ("model", "kind", "person", "dag_id", "run_id")}
    for name in ("since", "until"):
        try:
            day = datetime.fromisoformat(asked.get(name)).replace(tzinfo=UTC)
            wanted[name] = (day + timedelta(days=1) if name == "until" else day).isoformat()
        except (ValueError, OverflowError):
            continue
    return {name: value for name, value in wanted.items() if value}


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
