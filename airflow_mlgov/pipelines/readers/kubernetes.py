"""Kubernetes objects that serve models: each starts once its init containers have succeeded.

What is served cannot be told from labels; a guard is an init container that runs one, such as ``mlgov verify``.
"""

from __future__ import annotations

from collections.abc import Sequence

from airflow_mlgov.pipelines.documents import Part
from airflow_mlgov.pipelines.manifest import Manifest, Need, Role, Step, Unknown
from airflow_mlgov.pipelines.readers.containers import labels_of, with_container
from airflow_mlgov.pipelines.readers.source import Source

SERVING = frozenset({
    "InferenceService", "InferenceGraph", "LLMInferenceService", "SeldonDeployment", "Model", "RayService",
    "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout", "Pod", "ServingRuntime", "TrainedModel",
    "Service",
})  # fmt: skip
"""Kinds that bring something into service."""
_PODS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout"})
_MODELS = frozenset(
    {"InferenceService", "InferenceGraph", "LLMInferenceService", "SeldonDeployment", "RayService", "TrainedModel"}
)
_OTHERS = ("argoproj.io/", "tekton.dev/", "sagemaker.services.k8s.aws/")


def matches(source: Source, document: Part) -> bool:  # noqa: ARG001 - as all readers
    """Whether a document is an object of Kubernetes that no other reader reads."""
    group, kind = document["apiVersion"].text, document["kind"].text
    if group.startswith("argoproj.io/") and kind == "Rollout":
        return True
    return bool(group and kind) and not group.startswith(_OTHERS)


def read(source: Source, document: Part, siblings: Sequence[Part] = ()) -> list[Manifest]:  # noqa: ARG001
    """The object as one step, after its init containers."""
    kind = document["kind"].text
    if kind == "List":
        return [one for item in document["items"].parts() for one in read(source, item)]
    name = f"{kind}/{document['metadata']['name'].text or document['metadata']['generateName'].text}"
    steps: list[Step] = []
    unknown: list[Unknown] = []
    containers: list[str] = []
    for pod in _pods(document):
        for part in (*pod["containers"].parts(), *pod["ephemeralContainers"].parts()):
            if image := part["image"].text:
                containers.append(image)
        for part in pod["initContainers"].parts():
            before = ((Need(steps[-1].id),),) if steps else ()
            if part["restartPolicy"].text == "Always":  # a sidecar, which need not end
                containers.append(part["image"].text)
                continue
            step, problem = with_container(Step(f"{name}/{part['name'].text}", part.line, needs=before), part)
            if problem:
                unknown.append(Unknown(part.where, f"{step.id}: {problem}", ("commands",)))
            steps.append(step)
    if kind in _MODELS or kind in _PODS or kind == "Pod":
        needs = tuple((Need(step.id),) for step in steps)
        steps.append(
            Step(
                name, document["kind"].line, "object", kind, needs=needs, role=Role.DEPLOY, role_from="operator",
                labels=labels_of(document["metadata"]),
            )
        )  # fmt: skip
    return [
        Manifest(
            "kubernetes", name, source.path, source.sha256, tuple(steps), tuple(unknown), containers=tuple(containers)
        )
    ]


def _pods(document: Part) -> list[Part]:
    """The pods that an object describes."""
    kind, spec = document["kind"].text, document["spec"]
    if kind == "Pod":
        return [spec]
    if kind == "CronJob":
        return [spec.at("jobTemplate", "spec", "template", "spec")]
    if kind == "InferenceService":
        return [spec[part] for part in ("predictor", "transformer", "explainer") if spec[part]]
    if kind == "SeldonDeployment":
        return [inner["spec"] for one in spec["predictors"].parts() for inner in one["componentSpecs"].parts()]
    return [spec["template"]["spec"]] if spec["template"]["spec"] else []
