"""The kinds of objects that are judged, and by what: what guards the steps of a pipeline, or what a workload serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Sort = Literal["pipeline", "workload"]


class Kind(NamedTuple):
    """One kind of object."""

    group: str
    """Of its API; empty for Kubernetes' core."""
    kind: str

    def __str__(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind


class Governed(NamedTuple):
    """How one kind is judged."""

    sort: Sort
    plural: str
    """As a webhook's rules name it."""
    versions: tuple[str, ...]
    subresources: tuple[str, ...] = ()
    """Those in which a whole object is sent."""


KINDS: Mapping[Kind, Governed] = {
    Kind("argoproj.io", "Workflow"): Governed("pipeline", "workflows", ("v1alpha1",)),
    Kind("argoproj.io", "CronWorkflow"): Governed("pipeline", "cronworkflows", ("v1alpha1",)),
    Kind("argoproj.io", "WorkflowTemplate"): Governed("pipeline", "workflowtemplates", ("v1alpha1",)),
    Kind("argoproj.io", "ClusterWorkflowTemplate"): Governed("pipeline", "clusterworkflowtemplates", ("v1alpha1",)),
    Kind("tekton.dev", "Pipeline"): Governed("pipeline", "pipelines", ("v1", "v1beta1")),
    Kind("tekton.dev", "PipelineRun"): Governed("pipeline", "pipelineruns", ("v1", "v1beta1")),
    Kind("tekton.dev", "Task"): Governed("pipeline", "tasks", ("v1", "v1beta1")),
    Kind("tekton.dev", "TaskRun"): Governed("pipeline", "taskruns", ("v1", "v1beta1")),
    Kind("batch", "Job"): Governed("pipeline", "jobs", ("v1",)),
    Kind("batch", "CronJob"): Governed("pipeline", "cronjobs", ("v1",)),
    Kind("apps", "Deployment"): Governed("workload", "deployments", ("v1",)),
    Kind("apps", "StatefulSet"): Governed("workload", "statefulsets", ("v1",)),
    Kind("apps", "DaemonSet"): Governed("workload", "daemonsets", ("v1",)),
    Kind("apps", "ReplicaSet"): Governed("workload", "replicasets", ("v1",)),
    Kind("", "Pod"): Governed("workload", "pods", ("v1",), ("ephemeralcontainers", "resize")),
    Kind("", "ReplicationController"): Governed("workload", "replicationcontrollers", ("v1",)),
    Kind("argoproj.io", "Rollout"): Governed("workload", "rollouts", ("v1alpha1",)),
    Kind("serving.knative.dev", "Service"): Governed("workload", "services", ("v1",)),
    Kind("serving.knative.dev", "Configuration"): Governed("workload", "configurations", ("v1",)),
    Kind("serving.knative.dev", "Revision"): Governed("workload", "revisions", ("v1",)),
    Kind("serving.kserve.io", "InferenceService"): Governed("workload", "inferenceservices", ("v1beta1",)),
    Kind("serving.kserve.io", "TrainedModel"): Governed("workload", "trainedmodels", ("v1alpha1",)),
    Kind("serving.kserve.io", "ServingRuntime"): Governed("workload", "servingruntimes", ("v1alpha1",)),
    Kind("serving.kserve.io", "InferenceGraph"): Governed("workload", "inferencegraphs", ("v1alpha1",)),
    Kind("serving.kserve.io", "LLMInferenceService"): Governed(
        "workload", "llminferenceservices", ("v1alpha1", "v1alpha2")
    ),
    Kind("machinelearning.seldon.io", "SeldonDeployment"): Governed(
        "workload", "seldondeployments", ("v1", "v1alpha2", "v1alpha3")
    ),
}
"""What is judged. Whatever else a webhook is pointed at is refused."""
HARMLESS_SUBRESOURCES = ("status", "scale")
"""Subresources that change nothing of what an object serves: its controller's report, and how many of it run."""
