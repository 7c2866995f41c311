"""The policy gate as the catalogue knows it: its settings and its name. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from airflow_mlgov.gates.protocol import (
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

Kind = Literal["auto", "kubeflow", "argo", "sagemaker", "github", "gitlab", "jenkins", "tekton", "kubernetes", "json"]
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
    kind: Annotated[Kind, Local()] = Field("auto", description="platform; told from each file if auto")
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
        Mapping[Literal["register", "promote", "deploy"], tuple[Word, ...]], Strict("same"), Option(file=True)
    ] = Field({}, description="register, promote or deploy -> commands as they begin, operators, actions, ids of steps")
    packages: Annotated[tuple[Word, ...], Strict("same")] = Field(
        (),
        description="Rego packages that are asked besides; none is shipped yet, and the gate refuses to run with one",
    )
    harmless: Annotated[tuple[Word, ...], Strict("same")] = Field(
        (), description="ids of steps that only their name makes look sensitive"
    )


class PolicyGate(Gate[PolicySettings]):
    """Whether each step of a pipeline that registers, promotes or deploys can start only after gates have succeeded.

    Reads the pipelines of every platform; runs none of them.
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
        """Read the pipelines, then judge what guards."""
        from airflow_mlgov.gates.policy.gate import judge_pipelines

        return judge_pipelines(question.settings, None if self._given is None else self._given())


GATE = PolicyGate()
