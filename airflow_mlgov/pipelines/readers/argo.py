"""Argo Workflows: Workflow, WorkflowTemplate and CronWorkflow, from the entry point on.

``depends: gate`` is met by a gate that was skipped or runs on as a daemon; only ``gate.Succeeded`` waits for its
success (Argo's documentation, "Enhanced Depends Logic"). Exit handlers run whatever happened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.pipelines.conditions import Formula, clauses, parse
from airflow_mlgov.pipelines.documents import Part, read_documents
from airflow_mlgov.pipelines.manifest import (
    AnyOf,
    Command,
    Decider,
    Failure,
    Manifest,
    Need,
    Role,
    Step,
    Strength,
)
from airflow_mlgov.pipelines.readers.containers import beside, hooked, labels_of, with_container
from airflow_mlgov.pipelines.readers.draft import Draft
from airflow_mlgov.pipelines.readers.kubernetes import SERVING
from airflow_mlgov.pipelines.readers.source import Source

_KINDS = frozenset({"Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow"})
_CALLER = re.compile(r"workflow\.parameters|inputs\.parameters")
_MERGED = ("container", "script", "initContainers", "sidecars", "containerSet", "dag", "steps", "resource", "plugin")
"""What templateDefaults may not hold: it is merged with each template."""
_DEPTH = 12
_MANY = 5_000


def matches(source: Source, document: Part) -> bool:  # noqa: ARG001 - as all readers
    """Whether a document is a workflow of Argo's."""
    return document["apiVersion"].text.startswith("argoproj.io/") and document["kind"].text in _KINDS


def read(source: Source, document: Part, siblings: Sequence[Part] = ()) -> list[Manifest]:
    """The one pipeline of a workflow.

    :param siblings: the other documents of the file, which may hold what it refers to
    """
    spec = document["spec"]
    if document["kind"].text == "CronWorkflow":
        spec = spec["workflowSpec"]
    reading = _Reading(source, spec=spec, siblings=siblings)
    reading.workflow()
    metadata = document["metadata"]
    name = metadata["name"].text or metadata["generateName"].text
    return [reading.manifest("argo", name)]


@dataclass(kw_only=True)
class _Reading(Draft):
    spec: Part
    siblings: Sequence[Part]
    used: Part = field(default_factory=lambda: Part(None))
    """The spec whose templates are used: its own, or that of the template that it refers to."""
    templates: dict[str, Part] = field(default_factory=dict)

    def workflow(self) -> None:
        spec = self.spec
        if reference := spec["workflowTemplateRef"]:
            spec = self._referred(reference, spec)
        self.used = spec
        for part in spec["templates"].parts():
            if self.templates.setdefault(part["name"].text, part) is not part:
                self.missing(part, f"two templates have the name {part['name'].text}", ("steps",))
        for one in (self.spec, spec):
            if one["podSpecPatch"]:
                self.missing(one["podSpecPatch"], "podSpecPatch may change what its pods run", ("commands",))
        entry = self.spec["entrypoint"] or spec["entrypoint"]
        end = self._called(entry, "", entry.text, (), self._start_of(entry), 0) if entry.text else None
        if end is None and spec["templates"]:
            for name, part in self.templates.items():  # a library of templates: each for itself
                self._called(part, "", name, (), Step(name, part.line), 0)
        handler = self.spec["onExit"] or spec["onExit"]
        hooks = list((dict(spec["hooks"].items()) | dict(self.spec["hooks"].items())).items())
        for key, part, name in [
            ("onExit", handler, handler.text),
            *((f"hook {k}", h, h["template"].text) for k, h in hooks),
        ]:
            if name:
                needs = ((Need(end, Strength.DONE, key),),) if end else ()
                self._called(part, "", name, needs, Step(f"({key})", part.line, condition=part["expression"].text), 0)

    def _start_of(self, entry: Part) -> Step:
        return Step(entry.text, entry.line)

    def _referred(self, reference: Part, spec: Part) -> Part:
        name = reference["name"].text
        kind = "ClusterWorkflowTemplate" if reference["clusterScope"].truth else "WorkflowTemplate"
        for other in self.siblings:
            if other["kind"].text == kind and other["metadata"]["name"].text == name:
                return other["spec"]
        self.missing(
            reference, f"the WorkflowTemplate {name} is not here, and may change after it was judged", ("steps",)
        )
        return spec

    # -- templates ----------------------------------------------------------------------------------------------------

    def _called(
        self, part: Part, prefix: str, template: str, needs: tuple[AnyOf, ...], step: Step, depth: int
    ) -> str | None:  # fmt: skip
        """One template where it is called; the id of its end."""
        found = self.templates.get(template)
        if found is None:
            self.missing(part, f"the template {template or 'of another object'} is not here", ("steps",))
            self.steps.append(replace(step, kind="call", operator=template, needs=needs))
            return step.id
        return self._template(found, prefix, needs, step, depth)

    def _template(self, found: Part, prefix: str, needs: tuple[AnyOf, ...], step: Step, depth: int) -> str:  # noqa: ARG002
        if depth > _DEPTH or len(self.steps) > _MANY:
            self.missing(
                found, f"the template {found['name'].text} calls itself, or too many others", ("steps", "order")
            )
            self.steps.append(replace(step, kind="call", needs=needs))
            return step.id
        usual = [one["templateDefaults"] for one in (self.spec, self.used)]
        memoize = found["memoize"] or usual[0]["memoize"] or usual[1]["memoize"]
        if found["podSpecPatch"] or usual[0]["podSpecPatch"] or usual[1]["podSpecPatch"]:
            self.missing(found, f"{step.id}: podSpecPatch may change what it runs", ("commands",))
        if (found["daemon"] or usual[0]["daemon"] or usual[1]["daemon"]).truth:
            why = "daemon: what follows starts once it runs"
            step = replace(step, fails=Failure.IGNORED, fails_why=step.fails_why or why)
        step = replace(
            step, operator=found["name"].text, retries=found["retryStrategy"]["limit"].count(),
            cached="memoize" if memoize else "", labels=labels_of(found["metadata"]),
        )  # fmt: skip
        if found["dag"] or found["steps"]:
            return self._group(found, needs, step, depth)
        for key in _MERGED:
            if usual[0][key] or usual[1][key]:
                why = f"{step.id}: templateDefaults has {key}, which is put into what it runs"
                self.missing(found, why, ("commands",))
        leaf = replace(step, needs=needs)
        self.steps += [self._leaf(found, leaf), *hooked(leaf, found["container"] or found["script"])]
        others = [*found["initContainers"].parts(), *found["sidecars"].parts()]
        self.steps += beside(Step(step.id, step.line, needs=needs), others, "argo")
        return step.id

    def _group(self, found: Part, needs: tuple[AnyOf, ...], step: Step, depth: int) -> str:
        first = self.open_group(replace(step, kind="group"), needs)
        ends = (
            self._dag(found["dag"], step.id, first, depth)
            if found["dag"]
            else self._lists(found["steps"], step.id, first, depth)
        )
        self.close_group(step, first, ends)
        return step.id

    def _leaf(self, found: Part, step: Step) -> Step:
        if found["suspend"].is_map or "suspend" in found:
            timed = found["suspend"]["duration"].text
            if timed:
                return replace(step, kind="approval", operator="suspend")  # it goes on by itself
            return replace(step, kind="approval", operator="suspend", role=Role.APPROVAL, role_from="operator")
        if found["resource"]:
            return self._resource(found["resource"], step)
        if found["http"]:
            return replace(step, kind="call", operator="http")
        if found["plugin"] or found["data"]:
            return replace(step, kind="call")
        container = found["container"] or found["script"]
        if not container and found["containerSet"]:
            return self._set(found["containerSet"], step)
        known, problem = with_container(step, container, "argo")
        if problem:
            self.missing(container, f"{step.id}: {problem}", ("commands",))
        if "should-be-overridden" in known.image:
            self.missing(container, f"{step.id}: its image and command are put in when it runs", ("commands",))
        return known

    def _set(self, part: Part, step: Step) -> Step:
        """Containers of one pod: their commands as if one after the other, none before the other for sure."""
        commands: list[Command] = []
        for container in part["containers"].parts():
            known, problem = with_container(step, container, "argo")
            offset = len(commands)
            commands += [replace(one, after=tuple(at + offset for at in one.after)) for one in known.commands]
            if problem:
                self.missing(container, f"{step.id}: {problem}", ("commands",))
        return replace(step, commands=tuple(commands))

    def _resource(self, part: Part, step: Step) -> Step:
        """An object that the workflow creates."""
        action, text = part["action"].text, part["manifest"].text
        kind = ""
        try:
            kind = (
                next((one["kind"].text for one in read_documents(text.encode(), self.source.path)), "") if text else ""
            )
        except ConfigurationError:
            match = re.search(r"^\s*kind:\s*(\w+)", text, re.M)
            kind = match.group(1) if match else ""
        if not kind and action != "get":
            self.missing(part, f"{step.id}: what it does ({action}) is not here", ("commands",))
        step = replace(step, kind="object", operator=f"{action} {kind}".strip())
        if kind in _KINDS and action in ("create", "apply"):
            self.missing(part, f"{step.id} starts another workflow", ("steps",))
        if kind in SERVING and action in ("create", "apply", "patch", "replace"):
            return replace(step, role=Role.DEPLOY, role_from="operator")
        return step

    # -- order --------------------------------------------------------------------------------------------------------

    def _dag(self, dag: Part, prefix: str, first: AnyOf, depth: int) -> list[AnyOf]:
        tasks = dag["tasks"].parts()
        names = {task["name"].text for task in tasks}
        waited: set[str] = set()
        for task in tasks:
            formula = self._depends(task, names)
            ordered = [tuple(Need(f"{prefix}/{need.step}", need.strength, need.why) for need in one) for one in formula]
            waited |= {need.step for one in formula for need in one}
            self._task(task, prefix, (first, *ordered), depth)
        targets = dag["target"].text.split() or [name for name in names if name not in waited]
        return [
            (Need(f"{prefix}/{name}", Strength.SUCCESS_OR_SKIPPED, "its task"),)
            for name in sorted(targets)
            if name in names
        ]

    def _depends(self, task: Part, names: set[str]) -> list[AnyOf]:
        said = task["depends"]
        if not said:
            why = "dependencies: a skipped task suffices"
            for part in task["dependencies"].several():
                if part.text not in names:
                    self.missing(part, f"{task['name'].text} depends on {part.text}, which is not here", ("order",))
            return [
                (Need(name, Strength.SUCCESS_OR_SKIPPED, why),)
                for name in task["dependencies"].texts()
                if name in names
            ]
        formula = parse(said.text)
        if formula is None:
            self.missing(said, f"depends: {said.text} cannot be read", ("order",))
            return []
        return _needs(formula, said, names, self)

    def _lists(self, lists: Part, prefix: str, first: AnyOf, depth: int) -> list[AnyOf]:
        """Outer list one after the other, inner lists side by side; what the end needs."""
        before: list[AnyOf] = [first]
        everything: list[AnyOf] = []
        for group in lists.parts():
            here: list[AnyOf] = []
            for task in group.several():
                self._task(task, prefix, (*before,), depth)
                here.append(
                    (
                        Need(
                            f"{prefix}/{task['name'].text}",
                            Strength.SUCCESS_OR_SKIPPED,
                            "a step before it; a skipped one suffices",
                        ),
                    )
                )
            before = [first, *everything, *here]
            everything += here
        return everything

    def _task(self, task: Part, prefix: str, needs: tuple[AnyOf, ...], depth: int) -> None:
        name = f"{prefix}/{task['name'].text}"
        condition = task["when"].text
        go_on = task["continueOn"]
        ignored = [key for key in ("failed", "error") if go_on[key] and go_on[key].truth is not False]
        step = Step(
            name, task.line, condition=condition, decided_by=_decider(condition), repeated=_repeated(task),
            constant="{{=" not in condition and "workflow.status" not in condition,
            fails=Failure.IGNORED if ignored else Failure.STOPS,
            fails_why=f"continueOn: {', '.join(ignored)}" if ignored else "",
        )  # fmt: skip
        if reference := task["templateRef"]:
            target = f"{reference['name'].text}/{reference['template'].text}"
            self.missing(
                reference, f"the template {target} is not here, and may change after it was judged", ("commands",)
            )
            self.steps.append(replace(step, kind="call", operator=target, needs=needs))
        elif task["inline"]:
            self._template(task["inline"], prefix, needs, step, depth + 1)
        else:
            self._called(task, prefix, task["template"].text, needs, step, depth + 1)
        for key, hook in [("onExit", task["onExit"]), *((f"hook {key}", one) for key, one in task["hooks"].items())]:
            template = hook["template"].text or hook.text
            if template:
                exit_needs = ((Need(name, Strength.DONE, key),),)
                self._called(hook, prefix, template, exit_needs, Step(f"{name}/({key})", hook.line), depth + 1)


def _needs(formula: Formula, said: Part, names: set[str], reading: _Reading) -> list[AnyOf]:
    found: list[AnyOf] = []
    for clause in clauses(formula):
        needs = []
        for word, wanted in clause:
            name, _, state = word.partition(".")
            if name not in names:
                reading.missing(said, f"depends: {name} is not here", ("order",))
                continue
            needs.append(
                Need(name, _STATES.get(state, Strength.DONE) if wanted else Strength.DONE, f"depends: {said.text}")
            )
        if needs:
            found.append(_merged(tuple(needs)) if len(needs) > 1 else tuple(needs))
    return found


_STATES: Mapping[str, Strength] = {"": Strength.SUCCESS_OR_SKIPPED, "Succeeded": Strength.SUCCESS}


def _merged(needs: AnyOf) -> AnyOf:
    """``gate.Succeeded || gate.Skipped`` is one need of one step, as weak as its weakest word."""
    if len({need.step for need in needs}) > 1:
        return needs
    words = {word.partition(".")[2] for word in re.findall(r"[\w.\-]+", needs[0].why.partition(": ")[2])}
    if words <= {"Succeeded", "Skipped"} and "!" not in needs[0].why:
        return (replace(needs[0], strength=Strength.SUCCESS_OR_SKIPPED),)
    return (max(needs, key=lambda need: list(Strength).index(need.strength)),)


def _decider(condition: str) -> Decider:
    if not condition:
        return Decider.ALWAYS
    return Decider.CALLER if _CALLER.search(condition) else Decider.DATA


def _repeated(task: Part) -> str:
    items = task["withItems"]
    if items.is_list and not items.value:
        return "withItems is empty"
    if items and not items.is_list:
        return f"withItems is {items.text}, which may be empty"
    if task["withParam"]:
        return f"withParam is {task['withParam'].text}, which may be empty"
    count = task["withSequence"]["count"].text
    return f"withSequence counts to {count}" if count and not task["withSequence"]["count"].count() else ""
