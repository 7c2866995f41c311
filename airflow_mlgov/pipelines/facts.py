"""A pipeline as rules see it: its form, what guards each sensitive step, what watches it afterwards, and what else
stands in its file. Computed here, where each platform is tested, so that rules only judge."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from airflow_mlgov.pipelines.guards import Judged, Weak, faults, judge
from airflow_mlgov.pipelines.inventory import Found
from airflow_mlgov.pipelines.manifest import Decider, Manifest, Role, Step, Strength, needed, steps_by_id


def facts_of(manifests: Sequence[Manifest]) -> list[dict[str, Any]]:
    """Pipelines whose steps have their roles, as JSON.

    What stands in a file is told with the first pipeline of it alone, so that nothing is found twice.
    """
    seen: set[str] = set()
    found = []
    for manifest in manifests:
        held = manifest.inventory if manifest.source not in seen else None
        seen.add(manifest.source)
        found.append(
            {
                **manifest.as_dict(),
                "images": [{"image": one.text, "where": one.where} for one in held.images] if held else [],
                "actions": [_found(one) for one in held.actions] if held else [],
                "secrets": [_found(one) for one in held.secrets] if held else [],
                "weak_gates": [_weak(one) for one in faults(manifest)],
                "sensitive": [_sensitive(manifest, one) for one in judge(manifest)],
            }
        )
    return found


def _found(one: Found) -> dict[str, str]:
    return {"name": one.text, "where": one.where, "why": one.why}


def _weak(one: Weak) -> dict[str, str]:
    return {"gate": one.gate.gate, "step": one.gate.step, "code": one.code, "why": one.why, "where": one.where}


def _sensitive(manifest: Manifest, one: Judged) -> dict[str, Any]:
    return {
        "step": one.step.id,
        "role": one.role.value,
        "role_from": one.step.role_from,
        "where": one.where,
        "decided_by": one.step.decided_by.value,
        "condition": one.step.condition,
        "guards": sorted({ref.gate for ref in one.guards}),
        "approvals": list(one.approvals),
        "weak": [_weak(weak) for weak in one.weak],
        "starts_anyway": _starts_anyway(manifest, one.step),
        "monitors": _monitors(manifest, one),
    }


def _starts_anyway(manifest: Manifest, step: Step) -> list[dict[str, str]]:
    """Why a step starts whatever became of what is before it: its own needs, and those of the groups that hold it."""
    steps = steps_by_id(manifest.steps)
    parts = step.id.split("/")
    starts = (steps.get(f"{'/'.join(parts[:end])}/(start)") for end in range(1, len(parts)))
    found = []
    for one in (step, *(start for start in starts if start is not None)):
        weak = [need for alternatives in one.needs for need in alternatives if need.strength is Strength.DONE]
        found += [{"after": need.step, "why": need.why, "where": manifest.where(one)} for need in weak]
    return found


def _monitors(manifest: Manifest, deploy: Judged) -> list[dict[str, str]]:
    """Steps that watch and can start only after this one, and commands that follow in it."""
    found = []
    at = next((n for n, one in enumerate(deploy.step.commands) if one.role is deploy.role), -1)
    for command in deploy.step.commands[at + 1 :] if at >= 0 else ():
        if command.role is Role.MONITOR:
            where = manifest.where(deploy.step, command.line)
            found.append({"step": deploy.step.id, "by": command.role_from, "where": where})
    if _is_labelled(deploy.step):
        found.append({"step": deploy.step.id, "by": "label", "where": deploy.where})
    for step in _after(manifest, deploy.step.id):
        if step.decided_by is Decider.NEVER or step.is_start:
            continue
        found += [{"step": step.id, "by": by, "where": manifest.where(step)} for by in _watches(step)]
    return found


def _watches(step: Step) -> Iterator[str]:
    """By what a step is told to be one that watches."""
    commands = [one.role_from for one in step.commands if one.role is Role.MONITOR]
    if commands:
        yield commands[0]
    elif step.role is Role.MONITOR:
        yield step.role_from
    if _is_labelled(step):
        yield "label"


def _is_labelled(step: Step) -> bool:
    """Whether its author calls it, or what watches it, a monitor: a claim."""
    return bool({"monitoring", "mlgov.monitoring", "mlgov/monitoring"} & {name.lower() for name in step.labels})


def _after(manifest: Manifest, start: str) -> list[Step]:
    """The steps that wait for one, directly or not, in the manifest's order."""
    waiting_for: dict[str, list[str]] = {}
    for step in manifest.steps:
        for name in needed(step):
            waiting_for.setdefault(name, []).append(step.id)
    seen, queue = {start}, deque([start])
    while queue:
        for name in waiting_for.get(queue.popleft(), ()):
            if name not in seen:
                seen.add(name)
                queue.append(name)
    return [step for step in manifest.steps if step.id in seen and step.id != start]
