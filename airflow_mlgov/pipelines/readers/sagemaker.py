"""SageMaker Pipelines: a pipeline definition, also inside an ACK resource, a DescribePipeline answer or CloudFormation.

A step waits for ``DependsOn`` and for each step that its arguments refer to. SageMaker's own checks are no gates of
this package: a policy that lists them makes them count, unless they are skipped, cached or let go on violation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.pipelines.documents import Part
from airflow_mlgov.pipelines.manifest import AnyOf, Decider, Failure, Manifest, Need, Role, Step, Strength
from airflow_mlgov.pipelines.readers.containers import without_entrypoint
from airflow_mlgov.pipelines.readers.draft import Draft
from airflow_mlgov.pipelines.readers.source import Source
from airflow_mlgov.pipelines.shell import read_words
from airflow_mlgov.strict_files import parse_json

_ROLES = {
    "RegisterModel": Role.REGISTER, "Endpoint": Role.DEPLOY, "EndpointConfig": Role.DEPLOY, "Callback": Role.APPROVAL,
    "Training": Role.TRAIN, "Tuning": Role.TRAIN, "AutoML": Role.TRAIN,
}  # fmt: skip
_CHECKS = frozenset({"ClarifyCheck", "QualityCheck"})
_OPAQUE = frozenset({"Lambda", "EMR", "EMRServerless", "NotebookJob"})
_DEPTH = 10


def matches(source: Source, document: Part) -> bool:
    """Whether a document is a definition, or holds one."""
    return bool(_definitions(source, document, quiet=True))


def read(source: Source, document: Part, siblings: Sequence[Part] = ()) -> list[Manifest]:  # noqa: ARG001
    """Each pipeline of a definition; a CloudFormation template may hold several."""
    found = []
    definitions = _definitions(source, document)
    name = document["PipelineName"].text or document["spec"]["pipelineName"].text or source.path
    for at, definition in enumerate(definitions):
        reading = _Reading(source, definition=definition)
        if definition["Steps"].is_list:
            reading.steps_of(definition["Steps"], (), 0)
        else:
            reading.missing(definition, "the pipeline's definition is put together elsewhere", ("steps",))
        found.append(reading.manifest("sagemaker", name if len(definitions) == 1 else f"{name} ({at + 1})"))
    return found


def _definitions(source: Source, document: Part, *, quiet: bool = False) -> list[Part]:
    if document["Steps"].is_list and ("Version" in document or any("Type" in one for one in document["Steps"].parts())):
        return [document]
    cloud = [
        part["Properties"]
        for _, part in document["Resources"].items()
        if part["Type"].text == "AWS::SageMaker::Pipeline"
    ]
    texts = [
        document["PipelineDefinition"], document["spec"]["pipelineDefinition"],
        *(one["PipelineDefinition"]["PipelineDefinitionBody"] or one["PipelineDefinition"] for one in cloud),
    ]  # fmt: skip
    found = []
    for part in texts:
        if not part:
            continue
        if part.text.lstrip().startswith("{"):
            try:
                part = part.with_value(parse_json(part.text, part.where or source.path, "pipeline definition"))
            except ConfigurationError:
                if not quiet:
                    raise
        found.append(part)
    return found


@dataclass(kw_only=True)
class _Reading(Draft):
    definition: Part

    def steps_of(self, steps: Part, outer: tuple[AnyOf, ...], depth: int) -> None:
        """Steps of a list, those of both branches of a condition among them."""
        names = self._names(self.definition["Steps"], 0)
        for part in steps.parts():
            self._step(part, outer, names, depth)

    def _names(self, steps: Part, depth: int) -> set[str]:
        found: set[str] = set()
        for part in steps.parts():
            found.add(part["Name"].text)
            for branch in ("IfSteps", "ElseSteps"):
                if depth < _DEPTH:
                    found |= self._names(part["Arguments"][branch], depth + 1)
        return found

    def _step(self, part: Part, outer: tuple[AnyOf, ...], names: set[str], depth: int) -> None:
        name, kind, arguments = part["Name"].text, part["Type"].text, part["Arguments"]
        used = (
            {key: value for key, value in arguments.value.items() if key not in ("IfSteps", "ElseSteps")}
            if arguments.is_map
            else {}
        )
        waited = {one.partition(".")[0].partition("[")[0] for one in part["DependsOn"].texts()} | _referred(used)
        for other in sorted(waited - names):
            self.missing(part, f"{name} needs {other}, which is not here", ("order",))
        needs = (
            *outer,
            *((Need(other, Strength.SUCCESS_OR_SKIPPED, "DependsOn"),) for other in sorted(waited & names)),
        )
        step = Step(
            name, part.line, "check" if kind in _CHECKS else "container", kind, needs=needs, image=_image(arguments),
            cached=_cached(part), role=_ROLES.get(kind, Role.OTHER), role_from="operator" if kind in _ROLES else "",
            retries=len(part["RetryPolicies"].parts()),
        )  # fmt: skip
        if kind == "RegisterModel" and _approves(arguments["ModelApprovalStatus"]):
            step = replace(step, role=Role.PROMOTE)
        if kind in _CHECKS:
            step = _checked(step, part)
        elif kind == "Processing":
            step = self._processing(step, arguments)
        elif kind in _OPAQUE:
            step = replace(step, kind="call")
        self.steps.append(step)
        if kind == "Condition" and depth >= _DEPTH:
            self.missing(part, f"{name} lies too deep in other conditions", ("steps",))
        elif kind == "Condition":
            for branch in ("IfSteps", "ElseSteps"):
                self.steps_of(arguments[branch], ((Need(name, Strength.SUCCESS, branch),),), depth + 1)

    def _processing(self, step: Step, arguments: Part) -> Step:
        app = arguments["AppSpecification"]
        if app["ContainerArguments"] and not app["ContainerEntrypoint"]:
            script = without_entrypoint(app["ContainerArguments"])
            return replace(step, commands=script.commands)
        parts = [*app["ContainerEntrypoint"].several(), *app["ContainerArguments"].several()]
        script = read_words([one.text or "EXPRESSION" for one in parts], next((one.line for one in parts), None))
        if script.problem:
            self.missing(app, f"{step.id}: {script.problem}", ("commands",))
        return replace(step, commands=script.commands, env=tuple(name for name, _ in arguments["Environment"].items()))


def _approves(status: Part) -> bool:
    """Whether a model is registered as approved, or whoever starts the run says so."""
    return bool(status) and status.text not in ("PendingManualApproval", "Rejected")


def _checked(step: Step, part: Part) -> Step:
    """What makes a check of SageMaker's let everything through."""
    skip, violation = part["SkipCheck"], part["FailOnViolation"]
    if skip.value is True:
        step = replace(step, decided_by=Decider.NEVER, condition="SkipCheck: true")
    elif skip.is_map:
        step = replace(step, repeated=f"SkipCheck is {skip['Get'].text}, which whoever starts the run sets")
    if violation.value is False:
        step = replace(step, fails=Failure.IGNORED, fails_why="FailOnViolation: false")
    elif violation.is_map:
        step = replace(step, fails=Failure.UNKNOWN, fails_why=f"FailOnViolation is {violation['Get'].text}")
    return step


def _cached(part: Part) -> str:
    enabled = part["CacheConfig"]["Enabled"]
    if not enabled or enabled.value is False:
        return ""
    after = part["CacheConfig"]["ExpireAfter"].text
    return f"CacheConfig.Enabled{f' for {after}' if after else ''}"


def _image(arguments: Part) -> str:
    for path in (
        ("AppSpecification", "ImageUri"),
        ("AlgorithmSpecification", "TrainingImage"),
        ("PrimaryContainer", "Image"),
    ):
        if found := arguments.at(*path).text:
            return found
    return ""


def _referred(value: object) -> set[str]:
    """Names of the steps that arguments refer to: ``{"Get": "Steps.Train.ModelArtifacts"}``."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            target = one.get("Get")
            if isinstance(target, str) and target.startswith("Steps."):
                found.add(target.split(".")[1])
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return found
