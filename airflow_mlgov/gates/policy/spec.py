"""The policy gate as the catalogue knows it: its settings and its name. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from airflow_mlgov.gates.force import Mode
from airflow_mlgov.gates.protocol import (
    Count,
    Findings,
    Gate,
    GateSettings,
    Local,
    Merge,
    Option,
    Place,
    Question,
    Strict,
)

if TYPE_CHECKING:
    from airflow_mlgov.pipelines.manifest import Manifest

Kind = Literal[
    "auto", "airflow", "kubeflow", "argo", "sagemaker", "github", "gitlab", "jenkins", "tekton", "kubernetes", "json",
]  # fmt: skip
Word = Annotated[str, Field(strict=True, min_length=1)]


class Both(Merge):
    """What the policy asks for, and what a caller asks for besides."""

    def merge(self, name: str, stated: Any, given: Any) -> Any:  # noqa: ARG002 - as every mark
        """Both, the policy's first."""
        return tuple(dict.fromkeys((*stated, *given)))


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class PolicySettings(GateSettings):
    """Which pipelines, and what must guard their sensitive steps."""

    manifest: Annotated[
        tuple[Place, ...],
        BeforeValidator(_several),
        WithJsonSchema({"type": "string", "minLength": 1}),
        Local(in_policy=True),
        Option("--input"),
    ] = Field(
        (),
        description="file or folder with pipelines: workflows, definitions, objects; in a DAG the running DAG if "
        "omitted. Evidence must have the digest of the policy's",
    )
    kind: Annotated[Kind, Local()] = Field(
        "auto",
        description="platform; told from each file if auto. DAG files are read as airflow alone: Airflow parses them "
        "in a child process without credentials, and the result is a what-if",
    )
    require: Annotated[tuple[Word, ...], Both()] = Field(
        (),
        description="gates that must each have succeeded before a step promotes or deploys; any one gate if none is "
        "named. Before a step registers, one gate is enough",
    )
    mode: Annotated[Literal["observe", "warn", "enforce"], Strict(order=("observe", "warn", "enforce"))] = Field(
        "enforce", description="whether an unguarded step fails the gate (enforce), or is told of (warn, observe)"
    )
    accept: Annotated[Mapping[str, tuple[Word, ...]], Strict("same"), Option(file=True)] = Field(
        {},
        description="gate -> commands as they begin, images by digest, actions by commit, or SageMaker's types of "
        "checks that count as it",
    )
    sensitive: Annotated[
        Mapping[Literal["register", "promote", "deploy"], tuple[Word, ...]],
        Strict("same"),
        Option("--sensitive-step", file=True),
    ] = Field({}, description="register, promote or deploy -> commands as they begin, operators, actions, ids of steps")
    packages: Annotated[tuple[Word, ...], Strict("same"), Option("--package")] = Field(
        (),
        description="packs of rules that are asked besides: mlgov.pipeline, mlgov.pii, mlgov.monitoring, mlgov.model, "
        "or one of your own by folder or bundle and digest, rules/acme@sha256:…",
    )
    modes: Annotated[Mapping[str, Mode], Strict("same"), Option("--rule-mode", example="image.unpinned=warn")] = Field(
        {},
        description="rule (by its code, alone or as package/code) or package -> enforce, warn or observe; as the "
        "rule's severity says (critical, warning, info) if omitted",
    )
    parameters: Annotated[Mapping[str, Mapping[str, Any]], Strict("same"), Option(file=True)] = Field(
        {}, description="package -> what it is told, such as mlgov.monitoring: {by: label, monitors: [evidently]}"
    )
    harmless: Annotated[tuple[Word, ...], Strict("same")] = Field(
        (), description="ids of steps that only their name makes look sensitive"
    )
    features: Annotated[Place | None, Local()] = Field(
        None,
        description="features that rules judge: a list (form: mlgov/features/1), or a Feast repository; the columns of "
        "the data if omitted",
    )
    service: Annotated[str | None, Local()] = Field(None, description="feature service of the Feast repository")
    python: Annotated[Place | None, Local()] = Field(
        None, description="interpreter of an environment with Feast; the worker's own if omitted"
    )
    data: Annotated[Place | None, Local()] = Field(
        None, description="rows of the features, whose values are looked at: files, a URL, a SQLAlchemy URL"
    )
    look: Annotated[Literal["sample", "exact"], Strict(order=("sample", "exact"))] = Field(
        "sample", description="whether a sample of the rows is looked at, or each"
    )
    sample: Annotated[Count, Strict()] = Field(
        200_000, description="rows of the sample; all of them if there are fewer"
    )
    card: Annotated[Place | None, Local()] = Field(
        None, description="the model's card (form: mlgov/card/1) that rules judge"
    )
    folder: Annotated[Place, Local(policy_folder=True)] = Field(
        ".", description="what the paths of packages are relative to; the policy's folder if a policy names them"
    )


class PolicyGate(Gate[PolicySettings]):
    """Whether each step of a pipeline that registers, promotes or deploys can start only after gates have succeeded.

    Reads the pipelines of every platform; runs none of them. Packs of rules judge features and the model's card too.
    """

    name = "policy"
    about = "pipeline"
    Settings = PolicySettings
    reads = False
    always: ClassVar[Mapping[str, Any]] = {"mode": "enforce"}
    next_step = "Next: put the gates that are named above before the step, on every path, and start the run again."

    def __init__(self, given: Callable[[], Sequence[Manifest]] | None = None) -> None:
        self._given = given
        """Pipelines that are no files, such as the running DAG."""

    def digest_of(self, rules: Path) -> str:
        """That of the manifest with the files of its repository that were read for it."""
        from airflow_mlgov.pipelines.reading import read_manifests

        return read_manifests([rules]).manifests[0].sha256

    def judge(self, question: Question[PolicySettings]) -> Findings:
        """Read the pipelines, judge what guards, and ask the packs of rules."""
        from airflow_mlgov.gates.policy.asking import judge_all

        return judge_all(question.settings, None if self._given is None else self._given(), question.rulebook)


GATE = PolicyGate()
