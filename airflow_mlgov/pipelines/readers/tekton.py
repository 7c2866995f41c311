"""Tekton: Pipeline, PipelineRun, Task and TaskRun.

A task that waits by ``runAfter`` alone also starts where that task was skipped by its ``when``; one that uses its
results does not (Tekton's documentation, "Guard execution using when expressions"). ``finally`` runs whatever happened.
A script that names no interpreter runs with ``sh -e``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from airflow_mlgov.pipelines.documents import Part
from airflow_mlgov.pipelines.manifest import AnyOf, Decider, Failure, Manifest, Need, Role, Step, Strength
from airflow_mlgov.pipelines.readers.containers import beside, labels_of, with_container
from airflow_mlgov.pipelines.readers.draft import Draft
from airflow_mlgov.pipelines.readers.source import Source

_KINDS = frozenset({"Pipeline", "PipelineRun", "Task", "TaskRun", "ClusterTask"})
_RESULT = re.compile(r"\$\(tasks\.([A-Za-z0-9_\-]+)\.results[.\[]")
_APPROVALS = frozenset({"ApprovalTask"})
_DEPTH = 8


def matches(source: Source, document: Part) -> bool:  # noqa: ARG001 - as all readers
    """Whether a document is Tekton's."""
    return document["apiVersion"].text.startswith("tekton.dev/") and document["kind"].text in _KINDS


def read(source: Source, document: Part, siblings: Sequence[Part] = ()) -> list[Manifest]:
    """The one pipeline of an object.

    :param siblings: the other documents of the file, which may hold what it refers to
    """
    reading = _Reading(source, siblings=siblings)
    kind, spec, metadata = document["kind"].text, document["spec"], document["metadata"]
    for pod in (spec["podTemplate"], spec["taskRunTemplate"]["podTemplate"], *_pods(spec)):
        if pod["env"]:
            reading.missing(pod, "its podTemplate may change what its steps run", ("commands",))
    name = metadata["name"].text or metadata["generateName"].text
    if kind in ("Task", "ClusterTask"):
        reading.task(name, spec, (), Step(name, document["kind"].line, labels=labels_of(metadata)))
    elif kind == "TaskRun":
        found = spec["taskSpec"] or reading.referred(spec["taskRef"], ("Task", "ClusterTask"))
        if found:
            reading.task(name, found, (), Step(name, document["kind"].line, labels=labels_of(metadata)))
    elif kind == "Pipeline":
        reading.pipeline(spec, "", (), 0)
    else:
        found = spec["pipelineSpec"] or reading.referred(spec["pipelineRef"], ("Pipeline",))
        if found:
            reading.pipeline(found, "", (), 0)
    return [reading.manifest("tekton", name)]


@dataclass(kw_only=True)
class _Reading(Draft):
    siblings: Sequence[Part]

    def pipeline(self, spec: Part, prefix: str, outer: tuple[AnyOf, ...], depth: int) -> list[AnyOf]:
        """The tasks of a pipeline; what its end needs."""
        tasks = spec["tasks"].parts()
        names = {task["name"].text for task in tasks}
        for task in tasks:
            self._task(task, prefix, (*outer, *self._order(task, prefix, names)), depth)
        ends: list[AnyOf] = [
            (Need(f"{prefix}{name}", Strength.SUCCESS_OR_SKIPPED, "its task"),) for name in sorted(names)
        ]
        for task in spec["finally"].parts():
            needs = tuple((Need(f"{prefix}{name}", Strength.DONE, "finally"),) for name in sorted(names))
            self._task(task, prefix, (*outer, *needs), depth)
        return ends

    def _order(self, task: Part, prefix: str, names: set[str]) -> list[AnyOf]:
        found: dict[str, Need] = {}
        for part in task["runAfter"].several():
            if part.text not in names:
                self.missing(part, f"{task['name'].text} runs after {part.text}, which is not here", ("order",))
                continue
            found[part.text] = Need(
                f"{prefix}{part.text}", Strength.SUCCESS_OR_SKIPPED, "runAfter: a skipped task suffices"
            )
        said = json.dumps([task[key].value for key in ("params", "when", "matrix")], default=str)
        for name in _RESULT.findall(said):
            if name in names:
                found[name] = Need(f"{prefix}{name}", Strength.SUCCESS, "it uses its results")
        return [(need,) for need in found.values()]

    def _task(self, task: Part, prefix: str, needs: tuple[AnyOf, ...], depth: int) -> None:
        name = f"{prefix}{task['name'].text}"
        when = "; ".join(_said(one) for one in task["when"].several())
        fails, why = _failure(task["onError"])
        reference = task["taskRef"]
        step = Step(
            name, task.line, operator=reference["name"].text or reference["kind"].text, condition=when,
            decided_by=_decider(when), fails=fails, fails_why=why, repeated=_repeated(task["matrix"]),
            retries=task["retries"].value if isinstance(task["retries"].value, int) else 0,
        )  # fmt: skip
        version = reference["apiVersion"].text or task["taskSpec"]["apiVersion"].text
        inner = task["pipelineSpec"] or (
            self.referred(task["pipelineRef"], ("Pipeline",)) if task["pipelineRef"] else Part(None)
        )
        if version and not version.startswith("tekton.dev/"):
            self._custom(task, reference or task["taskSpec"], replace(step, needs=needs))
        elif inner and depth < _DEPTH:
            first = self.open_group(replace(step, kind="group"), needs)
            ends = self.pipeline(inner, f"{name}/", (first,), depth + 1)
            self.close_group(step, first, ends)
        elif task["pipelineRef"] or task["pipelineSpec"]:
            if inner:
                self.missing(task, f"{name} lies too deep in other pipelines", ("steps",))
            self.steps.append(replace(step, kind="call", needs=needs))
        else:
            found = task["taskSpec"] or self.referred(reference, ("Task", "ClusterTask"))
            if found:
                self.task(name, found, needs, step)
            else:
                self.steps.append(replace(step, kind="call", needs=needs))

    def _custom(self, task: Part, reference: Part, step: Step) -> None:
        kind = reference["kind"].text
        if kind in _APPROVALS:
            self.steps.append(replace(step, kind="approval", operator=kind, role=Role.APPROVAL, role_from="operator"))
            return
        self.missing(task, f"{step.id} is a custom task ({kind})", ("commands",))
        self.steps.append(replace(step, kind="call", operator=kind))

    def task(self, name: str, spec: Part, needs: tuple[AnyOf, ...], step: Step) -> None:
        """The steps of one task, one after the other."""
        first = self.open_group(replace(step, kind="group"), needs)
        before = [first]
        usual = spec["stepTemplate"]
        self.steps += beside(Step(name, spec.line, needs=(first,)), spec["sidecars"].parts(), "tekton")
        for at, given in enumerate(spec["steps"].parts()):
            missing = {key: one.value for key, one in usual.items() if key not in given}
            part = given
            if usual and given.is_map:
                merged = {key: [*usual[key].value, *given[key].value] for key in ("env", "volumeMounts")
                          if usual[key].is_list and given[key].is_list}  # fmt: skip
                if given["script"]:
                    missing = {key: one for key, one in missing.items() if key not in ("command", "args")}
                part = given.with_value({**missing, **given.value, **merged})
            own = f"{name}/{part['name'].text or f'step-{at + 1}'}"
            fails, why = _failure(part["onError"])
            when = "; ".join(_said(one) for one in part["when"].several())
            one = Step(
                own, part.line, "script" if part["script"] else "container", needs=tuple(before), condition=when,
                decided_by=_decider(when), fails=fails, fails_why=why,
            )  # fmt: skip
            if part["ref"]:
                self.missing(part["ref"], f"{own} is a step that is not here", ("commands",))
            known, problem = with_container(one, part, "tekton")
            if problem:
                self.missing(part, f"{own}: {problem}", ("commands",))
            self.steps.append(known)
            before.append((Need(own, Strength.SUCCESS_OR_SKIPPED, "a step before it"),))
        self.close_group(step, first, before[1:])

    def referred(self, reference: Part, kinds: Sequence[str]) -> Part:
        """The spec of an object of the same file; without a value if it is not here."""
        name, kind = reference["name"].text, reference["kind"].text or kinds[0]
        elsewhere = "bundle" in reference or "resolver" in reference
        for other in self.siblings:
            if name and not elsewhere and other["kind"].text == kind and other["metadata"]["name"].text == name:
                return other["spec"]
        what = name or reference["resolver"].text or "an object"
        self.missing(reference, f"{what} is not here, and may change after it was judged", ("steps",))
        return Part(None)


def _pods(spec: Part) -> list[Part]:
    """What a run says of the pods of single tasks, by the names of v1 and of v1beta1."""
    return [part for one in spec["taskRunSpecs"].parts() for part in (one["podTemplate"], one["taskPodTemplate"])]


def _failure(said: Part) -> tuple[Failure, str]:
    if not said or said.text == "stopAndFail":
        return Failure.STOPS, ""
    if said.text == "continue":
        return Failure.IGNORED, "onError: continue"
    return Failure.UNKNOWN, f"onError: {said.text}"


def _said(part: Part) -> str:
    if part["cel"]:
        return part["cel"].text
    if part.is_map:
        return f"{part['input'].text} {part['operator'].text} [{', '.join(part['values'].texts())}]"
    return part.text


def _decider(condition: str) -> Decider:
    if not condition:
        return Decider.ALWAYS
    return Decider.CALLER if "params." in condition else Decider.DATA


def _repeated(matrix: Part) -> str:
    for part in matrix["params"].parts():
        value = part["value"]
        if value.is_list and not value.value:
            return f"its matrix over {part['name'].text} is empty"
        if value and not value.is_list:
            return f"its matrix over {part['name'].text} is {value.text}, which may be empty"
    return ""
