"""What a task reads and writes, for OpenLineage: the methods that its provider calls on an operator. What they tell is
for people and decides nothing; without that provider nothing here runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_mlgov.results import WORST_FIRST

if TYPE_CHECKING:
    from airflow_mlgov.duty import Duty
    from airflow_mlgov.governance.policy import Target
    from airflow_mlgov.operators._dataset_names import Node
    from airflow_mlgov.release.case import Case
    from airflow_mlgov.release.promotion import Promotion
    from airflow_mlgov.results import GateResult, Outcome, Subject


@dataclass(frozen=True)
class Flow:
    """What a task has read, judged and written."""

    inputs: tuple[Node, ...] = ()
    outputs: tuple[Node, ...] = ()
    results: tuple[GateResult, ...] = ()
    evidence: tuple[str, ...] = ()
    """References of ledger entries."""
    duty: str = ""
    said: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[tuple[str, str], ...] = ()
    """Code and message of what was found wrong without a gate."""
    query: str | None = None
    """The SELECT whose rows are among the inputs."""

    @property
    def verdict(self) -> Outcome | None:
        """The worst of the results."""
        verdicts = {result.verdict for result in self.results}
        return next((outcome for outcome in WORST_FIRST if outcome in verdicts), None)


class TellsLineage:
    """An operator that OpenLineage's provider may ask. A class without a constructor of its own names it last: Airflow
    maps it by the defaults of its first base."""

    flow: Callable[[], Flow] | None = None
    """What has happened, told when it is asked for; None until then."""

    def planned(self) -> Flow:
        """What is known before the task has done anything; only what it reads, for it may yet write nothing."""
        return Flow()

    def get_openlineage_facets_on_start(self) -> Any:
        """Inputs, by their names alone."""
        return _lineage_of(self.planned())

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - the provider's
        """Inputs and outputs by their digests, every check, and where the evidence is."""
        return _lineage_of((self.flow or self.planned)())

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """The same: a verdict is signed before its task fails. What did not come so far has written nothing."""
        return self.get_openlineage_facets_on_complete(task_instance)


def _lineage_of(flow: Flow) -> Any:
    from airflow_mlgov.operators._facets import lineage_of

    return lineage_of(flow)


def judged(
    results: Sequence[GateResult], evidence: Sequence[str], duty: Duty, query: str | None = None, **said: Any
) -> Flow:
    """What gates have read, and said."""
    read = [item for result in results for item in (result.subject, *result.inputs)]
    suites = sorted({result.suite_digest for result in results if result.suite_digest})
    if suites:
        said["suite_sha256"] = suites
    return Flow(nodes(read), (), tuple(results), tuple(evidence), duty.name, {**_where(duty), **said}, query=query)


def made(datasets: Sequence[Subject], model: Subject, evidence: str, duty: Duty) -> Flow:
    """A version, out of the data that it was trained on."""
    return Flow(nodes(datasets), nodes([model]), (), (evidence,), duty.name, _where(duty))


def asked(case: Case, duty: Duty) -> Flow:
    """A version that people are asked about, and the evidence that they are shown."""
    evidence = tuple(item.reference for item in case.decision.relied_on)
    said = {**_where(duty), "target": case.goal.name, "allowed": case.decision.allowed}
    return Flow(nodes([case.model]), (), (), evidence, duty.name, said)


def watched(results: Sequence[GateResult], evidence: str, duty: Duty, model: Subject, target: Target) -> Flow:
    """What gates have said of the version that holds a target.

    :param model: what was moved there: the version, or its copy
    """
    from airflow_mlgov.operators._dataset_names import target_nodes

    flow = judged(results, [evidence], duty, target=target.name)
    return replace(flow, inputs=(*flow.inputs, *target_nodes(model, target)))


def moved(done: Promotion, duty: Duty) -> Flow:
    """A version, and the alias and the stage that it holds now."""
    from airflow_mlgov.operators._dataset_names import target_nodes

    said = {**_where(duty), "target": done.target.name}
    excused = [code for code, _ in done.excused]
    if excused:
        said["excused"] = excused
    waived = [f"{use['gate']}: {use['check']}" for use in done.waived]
    if waived:
        said["waived"] = waived
    return Flow(
        nodes([done.model]), target_nodes(done.placed, done.target), (), (done.decision, done.record), duty.name, said
    )


def nodes(subjects: Iterable[Subject]) -> tuple[Node, ...]:
    """Each that is data or a model, once."""
    from airflow_mlgov.operators._dataset_names import node_of

    return tuple(dict.fromkeys(filter(None, map(node_of, subjects))))


def found_wrong(
    models: Iterable[Subject], problems: Iterable[tuple[str, str]], duty: Duty, evidence: Iterable[str] = ()
) -> Flow:
    """Models of which something was found wrong without a gate."""
    return Flow(nodes(models), (), (), tuple(evidence), duty.name, _where(duty), tuple(problems))


def moved_too(judged: Callable[[], Flow], done: Promotion) -> Flow:
    """What a task has judged, and what it moved because of it."""
    from airflow_mlgov.operators._dataset_names import target_nodes

    flow = judged()
    return replace(flow, outputs=target_nodes(done.placed, done.target), evidence=(*flow.evidence, done.record))


def delivered(ledger: str, places: Iterable[str]) -> Flow:
    """The audit trail, and where it is delivered to."""
    from airflow_mlgov.operators._dataset_names import data_node, table_node

    return Flow((table_node(ledger, "mlgov_ledger"),), tuple(map(data_node, places)))


def data_named(names: Iterable[Any]) -> tuple[Node, ...]:
    """Data by the paths that an operator is given; a frame has none, and a template that came to nothing neither."""
    from airflow_mlgov.operators._dataset_names import data_node

    return tuple(data_node(name) for name in names if isinstance(name, str) and name)


def rows_named(conn_id: str, table: str | None, query: str | None, data: str | None = None) -> tuple[Node, ...]:
    """Rows of a connection, as evidence will name them; no credential is asked for."""
    from airflow_mlgov.data.database import SqlSource
    from airflow_mlgov.data.spark import SparkSource
    from airflow_mlgov.hooks.connections import named
    from airflow_mlgov.hooks.spark import CONN_TYPE, spark_source
    from airflow_mlgov.hooks.warehouse import database
    from airflow_mlgov.operators._dataset_names import data_node

    connection = named(conn_id, "postgres", "")
    source: SqlSource | SparkSource
    if connection.conn_type == CONN_TYPE:
        source = spark_source(connection, table, query, data)
    else:
        source = SqlSource(database(conn_id).url, table, query)
    return (data_node(source.name),)


def model_named(reference: Any, duty: Duty) -> tuple[Node, ...]:
    """A model by what an operator is given, and the address of its registry; nobody logs in."""
    from airflow_mlgov.operators._dataset_names import model_node
    from airflow_mlgov.registry.protocol import name_in

    name = reference.get("name") if isinstance(reference, Mapping) else reference
    if not isinstance(name, str) or not name:
        return ()
    return (model_node(duty.mlflow.address, name_in(name)),)


def _where(duty: Duty) -> dict[str, Any]:
    said: dict[str, Any] = {"environment": duty.environment}
    if duty.policy:
        said["policy_sha256"] = duty.policy.digest
    return said
