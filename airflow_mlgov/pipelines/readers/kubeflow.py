"""Kubeflow Pipelines: the intermediate representation of the v2 SDK (``PipelineSpec``), nested graphs included.

A task waits for the success of ``dependentTasks`` and of the producers of its inputs, unless its trigger strategy is
``ALL_UPSTREAM_TASKS_COMPLETED``. A task with a cache may be answered by an old run's success; the SDK turns it on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from airflow_mlgov.pipelines.documents import Part
from airflow_mlgov.pipelines.manifest import AnyOf, Command, Decider, ExitCode, Manifest, Need, Step, Strength
from airflow_mlgov.pipelines.readers.containers import without_entrypoint
from airflow_mlgov.pipelines.readers.draft import Draft
from airflow_mlgov.pipelines.readers.source import Source
from airflow_mlgov.pipelines.roles import is_sensitive
from airflow_mlgov.pipelines.shell import read_words

_DEPTH = 15
_MANY = 5_000
_WRAPPER = "kfp.dsl.executor_main"
_AFTER_SUCCESS = frozenset({"", "TRIGGER_STRATEGY_UNSPECIFIED", "ALL_UPSTREAM_TASKS_SUCCEEDED", "0", "1"})
"""Strategies by which a task waits for success, by name and by number."""


def matches(source: Source, document: Part) -> bool:  # noqa: ARG001 - as all readers
    """Whether a document is a pipeline's intermediate representation."""
    return bool(_spec(document)["root"]) and "deploymentSpec" in _spec(document)


def read(source: Source, document: Part, siblings: Sequence[Part] = ()) -> list[Manifest]:  # noqa: ARG001
    """The one pipeline of a document."""
    spec = _spec(document)
    reading = _Reading(source, spec=spec)
    reading.graph(spec["root"]["dag"], "", (), 0)
    name = spec["pipelineInfo"]["name"].text
    return [reading.manifest("kubeflow", name)]


def _spec(document: Part) -> Part:
    return document["pipelineSpec"] or document["pipeline_spec"] or document


@dataclass(kw_only=True)
class _Reading(Draft):
    spec: Part

    def graph(self, dag: Part, prefix: str, outer: tuple[AnyOf, ...], depth: int) -> list[AnyOf]:
        """The tasks of a graph; what its end needs."""
        names = {name for name, _ in dag["tasks"].items()}
        for name, task in dag["tasks"].items():
            self._task(name, task, prefix, (*outer, *self._order(task, prefix, names)), depth)
        return [(Need(f"{prefix}{name}", Strength.SUCCESS_OR_SKIPPED, "its task"),) for name in sorted(names)]

    def _order(self, task: Part, prefix: str, names: set[str]) -> list[AnyOf]:
        strategy = task["triggerPolicy"]["strategy"].text
        done = strategy not in _AFTER_SUCCESS
        waited = [(part.text, "dependentTasks") for part in task["dependentTasks"].several()]
        waited += [(name, "it uses its output") for name in _producers(task["inputs"].value)]
        found: dict[str, Need] = {}
        for name, why in waited:
            if name not in names:
                self.missing(task, f"it needs {name}, which is not here", ("order",))
                continue
            strength = Strength.DONE if done else Strength.SUCCESS_OR_SKIPPED
            found.setdefault(name, Need(f"{prefix}{name}", strength, f"strategy: {strategy}" if done else why))
        return [(need,) for need in found.values()]

    def _task(self, name: str, task: Part, prefix: str, needs: tuple[AnyOf, ...], depth: int) -> None:
        condition = task["triggerPolicy"]["condition"].text
        caching = task["cachingOptions"]["enableCache"]
        cached = bool(caching) and caching.truth is not False
        step = Step(
            f"{prefix}{name}", task.line, condition=_mapped(condition, task), decided_by=_decider(condition),
            cached="enableCache: true, which the SDK sets unless told not to" if cached else "",
            repeated=_repeated(task),
            retries=task["retryPolicy"]["maxRetryCount"].count(),
        )  # fmt: skip
        reference = task["componentRef"]["name"].text
        component = self.spec["components"][reference]
        if component["dag"] and depth < _DEPTH and len(self.steps) < _MANY:
            first = self.open_group(replace(step, kind="group"), needs)
            ends = self.graph(component["dag"], f"{step.id}/", (first,), depth + 1)
            self.close_group(step, first, ends)
            return
        self.steps.append(self._leaf(component, task, replace(step, operator=reference, needs=needs)))

    def _leaf(self, component: Part, task: Part, step: Step) -> Step:
        label = component["executorLabel"].text
        executor = self.spec["deploymentSpec"]["executors"][label]
        if executor["importer"]:
            return replace(step, kind="call", operator="importer")
        container = executor["container"]
        pools = executor["customJob"].at("spec", "workerPoolSpecs").parts()
        if not container and len(pools) == 1:
            container = pools[0]["containerSpec"]
        if not container:
            self.missing(task, f"what {step.id} runs is not here", ("commands",))
            return replace(step, kind="call")
        parts = [*container["command"].several(), *container["args"].several()]
        words = [part.text for part in parts]
        env = tuple(part["name"].text for part in container["env"].parts() if part["name"].text)
        step = replace(step, image=container["image"].text or container["imageUri"].text, env=env)
        if any(_WRAPPER in word for word in words):  # a function of the author's own, behind the SDK's wrapper
            function = words[words.index("--function_to_execute") + 1] if "--function_to_execute" in words[:-1] else ""
            why = "a function of its own runs it"
            told = [
                Command((word.partition(" ")[0] or "python", word), exit_code=ExitCode.UNKNOWN, why=why)
                for word in words
            ]
            others = read_words(words, next((part.line for part in parts), None), "kubeflow").commands
            told += [replace(one, exit_code=ExitCode.UNKNOWN, why=why, after=()) for one in others]
            step = replace(step, kind="script", operator=function or step.operator)
            return replace(step, commands=tuple(one for one in told if is_sensitive(one)))
        if container["args"] and not container["command"]:
            return replace(step, commands=without_entrypoint(container["args"]).commands)
        script = read_words(words, next((part.line for part in parts), None), "kubeflow")
        if script.problem:
            self.missing(container, f"{step.id}: {script.problem}", ("commands",))
        return replace(step, commands=script.commands)


def _producers(value: object) -> list[str]:
    """Names of the tasks whose outputs something uses."""
    found, waiting = [], [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(one.get("producerTask"), str):
                found.append(one["producerTask"])
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return sorted(set(found))


def _mapped(condition: str, task: Part) -> str:
    """A condition with what its names stand for: the same words of two tasks may be of two inputs."""
    names = set(re.findall(r"inputs\.(?:parameter_values|artifacts|parameters)\['([^']+)'\]", condition))
    told = {name: task["inputs"]["parameters"][name].value or task["inputs"]["artifacts"][name].value for name in names}
    shown = json.dumps(told, sort_keys=True, default=str)
    return f"{condition} of {shown}" if any(told.values()) else condition


def _decider(condition: str) -> Decider:
    if not condition:
        return Decider.ALWAYS
    return Decider.DATA if "outputs" in condition or "Output" in condition else Decider.CALLER


def _repeated(task: Part) -> str:
    for key in ("parameterIterator", "artifactIterator"):
        items = task[key]["items"]
        if not task[key]:
            continue
        try:
            listed = json.loads(items["raw"].text) if items["raw"] else None
        except ValueError:
            listed = None
        if not listed:
            return f"{key} over {items['inputParameter'].text or 'a list'}, which may be empty"
    return ""
