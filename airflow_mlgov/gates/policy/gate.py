"""From pipelines to checks: one for each sensitive step, one for each pipeline that cannot be judged whole, one where
nothing is sensitive."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.policy.dags import read_dags
from airflow_mlgov.gates.protocol import Findings
from airflow_mlgov.pipelines.guards import Judged, Weak, judge
from airflow_mlgov.pipelines.manifest import Manifest, Role, Unknown
from airflow_mlgov.pipelines.reading import Read, read_manifests
from airflow_mlgov.pipelines.roles import Lists, told
from airflow_mlgov.results import Check, Outcome, Severity, Subject

if TYPE_CHECKING:
    from airflow_mlgov.gates.policy.spec import PolicySettings

UNGUARDED, MISSING = "step.unguarded", "step.gate_missing"
INCOMPLETE, NOTHING, UNREADABLE = "manifest.incomplete", "manifest.nothing_sensitive", "manifest.unreadable"
CODES = {
    UNGUARDED: "no gate guards the step",
    MISSING: "a gate that is required does not guard the step",
    INCOMPLETE: "part of the pipeline is not here or cannot be read, so it cannot be judged",
    UNREADABLE: "a file of a folder cannot be read",
    NOTHING: "no step registers, promotes or deploys: there is nothing to judge",
}
"""Code of a finding -> what it says."""
_MOST_SHOWN = 200


def known_pipelines(settings: PolicySettings, given: Sequence[Manifest] | None) -> Read:
    """The pipelines whose steps have their roles.

    :param given: pipelines that are no files; those of ``settings.manifest`` if None
    :raises ConfigurationError: no pipeline is named, or one cannot be read
    :raises ExternalError: the child in which Airflow parses DAG files crashed or took too long
    :raises AccessError: the file system refuses
    """
    if given is not None and not settings.manifest:
        read = Read(tuple(given), ())
    elif settings.kind == "airflow" and settings.manifest:
        read = read_dags(settings.manifest)
    elif settings.manifest:
        read = read_manifests(settings.manifest, settings.kind)
    else:
        raise ConfigurationError("name the pipelines with --input (manifest= in a DAG)", code="manifest.missing")
    watching = settings.parameters.get("mlgov.monitoring", {}).get("monitors", ())
    lists = Lists(settings.accept, dict(settings.sensitive.items()), settings.harmless, tuple(watching))
    return replace(read, manifests=tuple(told(manifest, lists) for manifest in read.manifests))


def judge_pipelines(settings: PolicySettings, read: Read) -> Findings:
    """Hold pipelines against what must guard.

    :param read: those of :func:`known_pipelines`
    """
    known = read.manifests
    judged = [(manifest, judge(manifest)) for manifest in known]
    severity = Severity.CRITICAL if settings.mode == "enforce" else Severity.WARNING
    checks = [Check("pipelines", Outcome.PASS, len(known), "each is read", detail="as far as they are here")]
    checks += [_step(manifest, one, settings, severity) for manifest, steps in judged for one in steps]
    checks += [_incomplete(manifest, severity) for manifest in known if not manifest.complete]
    checks += [_unreadable(file, why, severity) for file, why in read.unreadable]
    if not any(steps for _, steps in judged) and not read.unreadable and all(manifest.complete for manifest in known):
        checks.append(_nothing(known, severity))
    return Findings(
        tuple(_apart(checks)),
        details={
            "pipelines": [_told(manifest) for manifest in known][:_MOST_SHOWN],
            "passed_by": len(read.passed_by),
            "require": list(settings.require),
            "accept": {gate: list(entries) for gate, entries in settings.accept.items()},
            "harmless": list(settings.harmless),
        },
        read=_subjects(settings, known),
        suite_digest=_file_digest(settings, known),
        purpose="what_if" if settings.kind == "airflow" and settings.manifest else "gate",
        libraries=("tree-sitter", "tree-sitter-bash"),
    )


def _step(manifest: Manifest, one: Judged, settings: PolicySettings, severity: Severity) -> Check:
    """One sensitive step."""
    name = f"{one.role} {one.step.id}"
    wanted = settings.require if one.role is not Role.REGISTER else ()
    missing = [gate for gate in wanted if gate not in one.guarded_by]
    values: dict[str, Any] = {
        "where": one.where,
        "step": one.step.id,
        "pipeline": manifest.name,
        "role": one.role.value,
        "role_from": one.step.role_from,
        "guards": sorted({ref.gate for ref in one.guards}),
        "approvals": list(one.approvals),
        "weak": [_weak(weak) for weak in one.weak][:_MOST_SHOWN],
    }
    bound = f"guarded by {', '.join(wanted)}" if wanted else "guarded by a gate"
    guards = ", ".join(values["guards"]) or "nothing"
    if one.guards and not missing:
        return Check(name, Outcome.PASS, guards, bound, severity, f"{one.where}: guarded by {guards}", values)
    code = MISSING if missing and one.guards else UNGUARDED
    what = f"{', '.join(missing)} does not guard it" if missing and one.guards else "no gate guards it"
    reasons = [weak for weak in one.weak if not missing or weak.gate.gate in missing] or list(one.weak)
    why = "; ".join(f"{weak.gate.gate} ({weak.where}): {weak.why} [{weak.code}]" for weak in reasons[:5])
    mend = _mend(missing)
    detail = f"{one.where}: {what} [{code}]{f': {why}' if why else ''}. {mend}"
    return Check(name, Outcome.FAIL, guards, bound, severity, detail, {**values, "code": code, "mend": mend})


def _mend(missing: Sequence[str]) -> str:
    gates = ", ".join(missing) if missing else "a gate"
    return f"Let it start only after the success of {gates}, with nothing between them that goes on after a failure."


def _weak(weak: Weak) -> dict[str, Any]:
    return {"gate": weak.gate.gate, "step": weak.gate.step, "code": weak.code, "why": weak.why, "where": weak.where}


def _incomplete(manifest: Manifest, severity: Severity) -> Check:
    shown = "; ".join(f"{one.where}: {one.why}" for one in manifest.unknown[:5])
    more = f" and {len(manifest.unknown) - 5} more" if len(manifest.unknown) > 5 else ""
    mend = "Bring what is missing into the same repository or file, or judge it where it is rendered."
    values = {
        "code": INCOMPLETE,
        "where": manifest.unknown[0].where,
        "pipeline": manifest.name,
        "mend": mend,
        "unknown": [_unknown(one) for one in manifest.unknown][:_MOST_SHOWN],
    }
    detail = f"it cannot be judged whole [{INCOMPLETE}]: {shown}{more}. {mend}"
    return Check(f"read {manifest.name}", Outcome.INCONCLUSIVE, None, "all of it is here", severity, detail, values)


def _unreadable(file: str, why: str, severity: Severity) -> Check:
    mend = "Mend the file, render it first, or name what is to be judged without it."
    detail = f"it cannot be read [{UNREADABLE}]: {why}. {mend}"
    values = {"code": UNREADABLE, "where": file, "mend": mend}
    return Check(f"read {file}", Outcome.INCONCLUSIVE, None, "it can be read", severity, detail, values)


def _unknown(one: Unknown) -> dict[str, Any]:
    return {"where": one.where, "why": one.why, "hides": list(one.hides)}


def _nothing(manifests: Sequence[Manifest], severity: Severity) -> Check:
    where = manifests[0].source if manifests else ""
    mend = "Name the pipeline that deploys, or say in the policy which of its steps are sensitive."
    detail = f"no step registers, promotes or deploys [{NOTHING}]. {mend}"
    values = {"code": NOTHING, "where": where, "mend": mend}
    return Check("something to judge", Outcome.INCONCLUSIVE, None, "a sensitive step", severity, detail, values)


def _apart(checks: Sequence[Check]) -> Sequence[Check]:
    """Checks of different pipelines with one name get the pipeline's place."""
    seen: dict[str, int] = {}
    found = []
    for check in checks:
        seen[check.name] = seen.get(check.name, 0) + 1
        count = seen[check.name]
        found.append(check if count == 1 else replace(check, name=f"{check.name} ({count})"))
    return found


def _told(manifest: Manifest) -> dict[str, Any]:
    return {
        "kind": manifest.kind,
        "name": manifest.name,
        "source": manifest.source,
        "sha256": manifest.sha256,
        "complete": manifest.complete,
        "steps": len(manifest.steps),
    }


def _subjects(settings: PolicySettings, manifests: Sequence[Manifest]) -> tuple[Subject, ...]:
    """What was judged: all of it together, and each file."""
    files = {manifest.source: manifest.sha256 for manifest in manifests}
    each = tuple(Subject("pipeline", name, digest) for name, digest in sorted(files.items()))
    if len(each) == 1:
        return each
    listing = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))
    name = ", ".join(settings.manifest) or "pipelines"
    return (Subject("pipeline", name, hashlib.sha256(listing.encode()).hexdigest()), *each)


def _file_digest(settings: PolicySettings, manifests: Sequence[Manifest]) -> str | None:
    """The digest of the one file that is named, as the policy's must have it: of the bytes that were judged."""
    files = {manifest.source: manifest.sha256 for manifest in manifests}
    return files.get(settings.manifest[0]) if len(settings.manifest) == 1 else None
