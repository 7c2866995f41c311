"""What the ledger tells of a version, as tables: the content of a model card and of technical documentation. All of it
was signed; nothing is read from the registry, where anybody may write."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from airflow_mlgov import measured
from airflow_mlgov.board.story import Figure
from airflow_mlgov.evidence.statements import (
    ApprovalStatement,
    AuditStatement,
    EmergencyStatement,
    GateStatement,
    PromotionStatement,
    ProvenanceStatement,
    WaiverStatement,
)
from airflow_mlgov.evidence.verification import Evidence, only
from airflow_mlgov.release.timeline import version_of
from airflow_mlgov.reports.matter import Matter
from airflow_mlgov.results import Severity

_MOST = 200
"""Rows of one table."""


@dataclass(frozen=True)
class Table:
    """Rows of words under a head."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures: tuple[Figure, ...] = ()
    """Drawn from the same numbers."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"title": self.title, "rows": [dict(zip(self.head, row, strict=True)) for row in self.rows]}


def told(name: str, matter: Matter) -> Table:
    """One of the facts that a framework may name; with no rows if the ledger does not say.

    :param name: one of :data:`~airflow_mlgov.reports.frameworks.FACTS`
    """
    title, head, rows = _FACTS[name]
    found = [tuple(measured.number(cell) for cell in row) for row in rows(matter)]
    figures = tuple(one for one in matter.story.figures if one.about == "groups")[:12] if name == "groups" else ()
    more = f" (the first {_MOST} of {len(found)})" if len(found) > _MOST else ""
    return Table(f"{title}{more}", head, tuple(found[:_MOST]), figures)


Rows = Iterable[tuple[Any, ...]]


def _version(matter: Matter) -> Rows:
    standing, model = matter.standing, matter.model
    yield "Model", model.name
    yield "Version", model.version
    yield "SHA-256 of its files", model.digest
    yield "The files", "were hashed for this report" if matter.hashed else "are those that evidence names"
    yield "Registry", model.registry
    yield "Environment", standing.environment
    yield "Target", f"{standing.target} ({standing.place})" if standing.place else standing.target
    if standing.since:
        yield "Serves since", f"{standing.since:%Y-%m-%d %H:%M} UTC"


def _standing(matter: Matter) -> Rows:
    for code, message in matter.standing.reasons:
        yield "against", f"{code}: {message}"
    for fact in matter.standing.facts:
        yield "for", fact
    for item in matter.dossier.bad:
        yield "does not verify", f"ledger:{item.seq} ({item.kind}): {item.problem}"


def _earlier(matter: Matter) -> Rows:
    first: dict[str, Evidence] = {}
    for item in matter.dossier.history:
        if item.environment == matter.standing.environment and item.subject.version:
            first.setdefault(version_of(item), item)
    for version, item in first.items():
        if version != matter.model.version:
            yield version, item.digest, f"{item.issued_at:%Y-%m-%d}", item.reference


def _made(matter: Matter) -> list[Evidence[ProvenanceStatement]]:
    return only(matter.mine, ProvenanceStatement)


def _trained(matter: Matter) -> Rows:
    for item in _made(matter)[-1:]:
        yield "Trained by", ", ".join(item.statement.trainers) or "nobody who is named", item.reference
        for name, value in sorted(item.statement.source.items()):
            yield name, value, item.reference
        if item.statement.place:
            yield "Its files are at", item.statement.place, item.reference


def _data(matter: Matter) -> Rows:
    verdicts = {
        item.digest: f"{item.statement.gate} {item.statement.verdict}, {item.reference}"
        for item in only(matter.mine, GateStatement)
        if item.subject.kind != "model"
    }
    for item in _made(matter)[-1:]:
        for part in item.statement.parts:
            yield part.name, part.digest, verdicts.get(part.digest, "no gate has judged it"), item.reference


def _images(matter: Matter) -> Rows:
    for item in _made(matter)[-1:]:
        for image in item.statement.images:
            yield image.name, image.digest, item.reference


def _newest(matter: Matter) -> list[Evidence[GateStatement]]:
    return [story.evidence for story in matter.story.gates]


def _libraries(matter: Matter) -> Rows:
    for item in _newest(matter):
        for name, version in sorted(item.statement.result.libraries.items()):
            yield item.statement.gate, name, version, item.reference


def _evaluated(matter: Matter) -> Rows:
    for item in _newest(matter):
        if item.subject.kind == "model":
            for part in item.statement.result.inputs:
                yield item.statement.gate, part.name, part.digest, item.reference


def _gates(matter: Matter) -> Rows:
    for story in matter.story.gates:
        for row in story.checks:
            check = row.check
            if check.severity is Severity.CRITICAL or check.bound is not None:
                yield (
                    story.gate, check.name, check.outcome, measured.observed(check), measured.interval(check),
                    measured.allowed(check), row.champion, story.evidence.reference,
                )  # fmt: skip


def _groups(matter: Matter) -> Rows:
    for figure in matter.story.figures:
        if figure.about == "groups":
            for mark in figure.marks:
                yield figure.title, mark.label, mark.value, f"{mark.low:.4g} to {mark.high:.4g}"


def _factors(matter: Matter) -> Rows:
    for item in _newest(matter):
        rates = item.statement.result.details.get("rates")
        for feature, groups in rates.items() if isinstance(rates, dict) else ():
            names = ", ".join(str(group) for group in groups) if isinstance(groups, dict) else ""
            yield feature, names, item.reference


def _bounds(matter: Matter) -> Rows:
    policy, name = matter.bench.policy, matter.model.name
    for gate in policy.models[name].gates if policy and name in policy.models else ():
        assert policy is not None  # noqa: S101 - else there is no gate
        for metric, bound in policy.models[name].bounds(gate).items():
            ends = ", ".join(f"{end} {value:g}" for end, value in bound.items() if isinstance(value, int | float))
            yield gate, metric, ends, bound.get("severity", "critical")


def _policy(matter: Matter) -> Rows:
    policy = matter.bench.policy
    if policy is not None:
        yield "in force", policy.path.name, policy.digest, ""
    for item in matter.policies:
        yield "decided under", ", ".join(sorted(item.statement.files)), item.digest, item.reference


def _people(matter: Matter) -> Rows:
    for item in only(matter.mine, ApprovalStatement):
        said = item.statement
        yield (
            said.approver.name,
            said.answer,
            said.reason,
            f"{said.answered_at:%Y-%m-%d %H:%M}",
            len(said.shown),
            item.reference,
        )


def _exceptions(matter: Matter) -> Rows:
    for item in only(matter.mine, WaiverStatement):
        terms = item.statement.terms
        what = f"{terms.check} of {terms.gate}: {terms.reason}"
        yield item.statement.state, what, item.statement.signer.name, terms.expires[:10], item.reference
    for broken in only(matter.mine, EmergencyStatement):
        said = broken.statement
        yield "break-glass", said.reason, said.person.name, f"{said.expires:%Y-%m-%d}", broken.reference


def _moves(matter: Matter) -> Rows:
    for item in only(matter.dossier.history, PromotionStatement):
        if (item.environment, item.statement.target) == (matter.standing.environment, matter.standing.target):
            instead = item.statement.replaces or ""
            yield (
                f"{item.issued_at:%Y-%m-%d %H:%M}",
                item.statement.action,
                version_of(item),
                instead,
                item.statement.reason,
                item.reference,
            )


def _audits(matter: Matter) -> Rows:
    for item in only(matter.mine, AuditStatement):
        yield (
            f"{item.issued_at:%Y-%m-%d}",
            item.statement.verdict,
            ", ".join(r.gate for r in item.statement.results),
            item.reference,
        )
    for owed in matter.standing.obligations:
        yield f"{owed.due:%Y-%m-%d}", owed.state, owed.check or "all gates", owed.promotion


_FACTS: dict[str, tuple[str, tuple[str, ...], Callable[[Matter], Rows]]] = {
    "audits": ("Audits after deployment", ("day or due", "outcome", "of", "ledger"), _audits),
    "bounds": ("Metrics and their bounds in the policy in force", ("gate", "metric", "bound", "severity"), _bounds),
    "bytes": ("The bytes", ("what", "is"), lambda matter: [*_version(matter)][2:4]),
    "data": ("Data it was made from", ("name", "sha256", "judged", "ledger"), _data),
    "earlier": ("Versions before and beside it", ("version", "sha256", "first evidence", "ledger"), _earlier),
    "evaluated": ("Data it was evaluated on", ("gate", "name", "sha256", "ledger"), _evaluated),
    "exceptions": ("Exceptions", ("state", "what", "by", "until", "ledger"), _exceptions),
    "factors": ("Groups that were compared", ("feature", "groups", "ledger"), _factors),
    "gates": (
        "What the gates measured",
        ("gate", "check", "outcome", "value", "interval", "bound", "champion", "ledger"),
        _gates,
    ),
    "groups": ("Results by group", ("measure", "group", "value", "interval"), _groups),
    "images": ("Images it is shipped in", ("image", "sha256", "ledger"), _images),
    "libraries": ("Libraries that judged it", ("gate", "library", "version", "ledger"), _libraries),
    "moves": ("Moves at the target", ("when", "move", "version", "in place of", "reason", "ledger"), _moves),
    "people": ("Who answered", ("who", "answer", "reason", "when", "was shown", "ledger"), _people),
    "policy": ("Policies", ("which", "files", "sha256", "ledger"), _policy),
    "standing": ("How it stands today", ("", "what"), _standing),
    "trained": ("How it was made", ("what", "is", "ledger"), _trained),
    "version": ("The version", ("what", "is"), _version),
}
