"""Kubernetes objects that serve models: each starts once its init containers have succeeded.

What is served cannot be told from labels; a guard is an init container that runs one, such as ``mlgov verify``.
"""

from __future__ import annotations

from collections.abc import Sequence

from airflow_mlgov.pipelines.documents import Part
from airflow_mlgov.pipelines.manifest import AnyOf, Manifest, Need, Role, Step
from airflow_mlgov.pipelines.readers.containers import beside, hooked, labels_of, with_container
from airflow_mlgov.pipelines.readers.draft import Draft
from airflow_mlgov.pipelines.readers.source import Source

SERVING = frozenset({
    "InferenceService", "InferenceGraph", "LLMInferenceService", "SeldonDeployment", "Model", "RayService",
    "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout", "Pod", "ServingRuntime", "TrainedModel",
    "Service",
})  # fmt: skip
"""Kinds that bring something into service."""
_SERVING = SERVING - {"Service", "Model", "ServingRuntime"}
_TASKS = frozenset({"Job", "CronJob", "PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "RayJob", "SparkApplication"})
"""Kinds whose containers run to their end; any other with pods serves."""
_ELSEWHERE = frozenset({"HelmRelease", "Kustomization", "HelmChart", "GitRepository"})
_WITHOUT_COMMAND = frozenset({"ServingRuntime", "ClusterServingRuntime", "PodTemplate"})
"""Kinds that describe pods which others start."""
_OTHERS = ("argoproj.io/", "tekton.dev/", "sagemaker.services.k8s.aws/")


def matches(source: Source, document: Part) -> bool:  # noqa: ARG001 - as all readers
    """Whether a document is an object of Kubernetes that no other reader reads."""
    group, kind = document["apiVersion"].text, document["kind"].text
    if group.startswith("argoproj.io/") and (kind == "Rollout" or kind.startswith("Application")):
        return True
    return bool(group and kind) and not group.startswith(_OTHERS)


def read(source: Source, document: Part, siblings: Sequence[Part] = ()) -> list[Manifest]:  # noqa: ARG001
    """The object as one step, after its init containers."""
    kind = document["kind"].text
    if kind.endswith("List") and document["items"].is_list:
        return [one for item in document["items"].parts() for one in read(source, item)]
    name = f"{kind}/{document['metadata']['name'].text or document['metadata']['generateName'].text}"
    reading = _Reading(source)
    pods = _pods(document)
    for at, pod in enumerate(pods):
        reading.pod(name if len(pods) < 2 else f"{name}/pod-{at + 1}", pod, document, runs=kind in _TASKS)
    if not pods and kind in _SERVING:
        reading.serves(name, document, ())
    if kind in _ELSEWHERE or (
        document["apiVersion"].text.startswith("argoproj.io/") and kind.startswith("Application")
    ):
        reading.missing(document, f"what {name} brings in is not here", ("steps",))
    return [reading.manifest("kubernetes", name)]


class _Reading(Draft):
    def pod(self, name: str, pod: Part, document: Part, *, runs: bool) -> None:
        """One pod: its init containers one after the other, then what it is for.

        :param runs: whether its containers run to their end, as those of a Job do
        """
        before: tuple[AnyOf, ...] = ()
        sidecars = []
        for part in pod["initContainers"].parts():
            if part["restartPolicy"].text == "Always":  # a sidecar, which need not end
                sidecars.append(part)
                continue
            step = Step(f"{name}/{part['name'].text}", part.line, needs=before)
            known, problem = with_container(step, part)
            if problem:
                self.missing(part, f"{step.id}: {problem}", ("commands",))
            self.steps += [known, *hooked(step, part)]
            before = ((Need(step.id),),)
        containers = [*pod["containers"].parts(), *pod["ephemeralContainers"].parts()]
        self.containers += [image for part in (*sidecars, *containers) if (image := part["image"].text)]
        self.steps += beside(Step(f"{name}/(sidecars)", pod.line), sidecars)
        if runs:
            for at, part in enumerate(containers):
                step = Step(f"{name}/{part['name'].text or at + 1}/(container)", part.line, needs=before)
                known, problem = with_container(step, part)
                if problem:
                    self.missing(part, f"{step.id}: {problem}", ("commands",))
                self.steps += [known, *hooked(step, part)]
        else:
            self.serves(name, document, before)

    def serves(self, name: str, document: Part, needs: tuple[AnyOf, ...]) -> None:
        """That a pod, or an object that makes pods, comes into service."""
        self.steps.append(
            Step(
                name, document["kind"].line, "object", document["kind"].text, needs=needs, role=Role.DEPLOY,
                role_from="operator", labels=labels_of(document["metadata"]),
            )
        )  # fmt: skip


def _pods(document: Part) -> list[Part]:
    """The pods that an object describes."""
    kind, spec = document["kind"].text, document["spec"]
    if kind == "Pod":
        return [spec]
    if kind == "CronJob":
        return [spec.at("jobTemplate", "spec", "template", "spec")]
    if kind in _WITHOUT_COMMAND:
        return []
    if kind == "InferenceService":
        return [spec[part] for part in ("predictor", "transformer", "explainer") if spec[part]]
    if kind == "SeldonDeployment":
        return [inner["spec"] for one in spec["predictors"].parts() for inner in one["componentSpecs"].parts()]
    return [spec["template"]["spec"]] if spec["template"]["spec"] else []
