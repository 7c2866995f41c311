"""What OpenLineage's provider is told of a task: nodes with their standard facets, each check as a test, and where the
signed evidence is. Imported by that provider's calls alone, for it needs ``openlineage``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import attr
from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    DatasetFacet,
    InputDatasetFacet,
    RunFacet,
    catalog_dataset,
    data_quality_assertions_dataset,
    data_quality_metrics_input_dataset,
    dataset_type_dataset,
    dataset_version_dataset,
    test_run,
)

from airflow_mlgov import __version__
from airflow_mlgov.operators._dataset_names import DEFAULT_SCHEMAS, node_of
from airflow_mlgov.results import Bound, Check, Outcome, Severity, is_finite

if TYPE_CHECKING:
    from airflow_mlgov.operators._dataset_names import Node
    from airflow_mlgov.operators._lineage import Flow
    from airflow_mlgov.results import GateResult

PRODUCER = f"urn:airflow-mlgov:provider:{__version__}"
_MOST_CHECKS = 500
_MOST_CHARACTERS = 500
_MOST_TABLES = 500
_LONGEST_QUERY = 10_000
"""Characters; the parser ends its process where a longer one nests too deeply (``1+1+…``)."""
_NAMED = re.compile(r"(?P<kind>\w+)[(\[](?P<of>.*)[)\]](?: #\d+)?", re.DOTALL)
_NULLS = "expect_column_values_to_not_be_null"


@attr.define
class DigestDatasetFacet(DatasetFacet):
    """The SHA-256 of the bytes or rows that evidence is bound to."""

    sha256: str

    @staticmethod
    def _get_schema() -> str:
        return "urn:airflow-mlgov:facet:digest:v1"


@attr.define
class EvidenceRunFacet(RunFacet):
    """Where the signed evidence of a run is, and what it says. Whoever needs to be certain verifies the evidence."""

    evidence: list[str]
    """References of ledger entries: ``ledger:<number>@<first digits of the envelope's SHA-256>``."""
    duty: str
    """Under which it was signed: a gate's name, ``registration``, ``approval``, ``promotion`` …"""
    verdict: str | None = attr.field(default=None)
    """``PASS``, ``FAIL``, ``INCONCLUSIVE`` or ``ERROR``; None if nothing was judged."""
    said: dict[str, Any] = attr.field(factory=dict)
    """What else it says: the environment, the policy's digest, the suite's digest, a target, a purpose."""

    @staticmethod
    def _get_schema() -> str:
        return "urn:airflow-mlgov:facet:evidence:v1"


def lineage_of(flow: Flow) -> OperatorLineage:
    """A task's flow, as the provider takes it."""
    facets: dict[str, RunFacet] = {}
    checks = [check for result in flow.results for check in result.checks][:_MOST_CHECKS]
    tests = [*map(_test, checks), *(_failing(name, why) for name, why in flow.problems[:_MOST_CHECKS])]
    if tests:
        facets["test"] = test_run.TestRunFacet(tests)
    if flow.evidence:
        verdict = str(flow.verdict) if flow.verdict else None
        facets["mlgov_evidence"] = EvidenceRunFacet(
            list(flow.evidence), flow.duty, verdict, dict(flow.said), producer=PRODUCER
        )
    asked = [node for node in flow.inputs if node.kind == "QUERY"]
    inputs = (*flow.inputs, *(table for node in asked for table in _tables(node, flow.query or "")))
    return OperatorLineage(
        inputs=[
            InputDataset(node.namespace, node.name, inputFacets=_judged(node, flow.results), facets=_facets(node))
            for node in inputs
        ],
        outputs=[OutputDataset(node.namespace, node.name, facets=_facets(node)) for node in flow.outputs],
        run_facets=facets,
    )


def _tables(node: Node, query: str) -> Iterator[Node]:
    """The tables that a query reads, as far as OpenLineage's own parser knows them; none of one that is too long."""
    from airflow.providers.openlineage.sqlparser import SQLParser

    if len(query) > _LONGEST_QUERY:
        return
    dialect, database = node.namespace.partition(":")[0], node.name.rpartition("query ")[0].rstrip(".")
    found = SQLParser(dialect=dialect, default_schema=DEFAULT_SCHEMAS.get(dialect)).parse(query)
    for table in found.in_tables[:_MOST_TABLES] if found else ():
        names = [table.schema or database] if dialect == "mysql" else [table.database or database, table.schema]
        name = ".".join(filter(None, (*names, table.name)))
        yield replace(node, name=name, kind="TABLE", sha256=None)


def _facets(node: Node) -> dict[str, DatasetFacet]:
    found: dict[str, DatasetFacet] = {"datasetType": dataset_type_dataset.DatasetTypeDatasetFacet(node.kind)}
    version = node.version or (f"sha256:{node.sha256}" if node.sha256 else None)
    if version:
        found["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(version)
    if node.sha256:
        found["mlgov_digest"] = DigestDatasetFacet(node.sha256, producer=PRODUCER)
    if node.kind == "MODEL":
        found["catalog"] = catalog_dataset.CatalogDatasetFacet("mlflow", "mlflow", node.namespace, source="mlflow")
    return found


def _judged(node: Node, results: Iterable[GateResult]) -> dict[str, InputDatasetFacet]:
    """What gates have said of a node, if it is what they have judged."""
    mine = [result for result in results if node_of(result.subject) == node]
    checks = [check for result in mine for check in result.checks][:_MOST_CHECKS]
    if not checks:
        return {}
    assertions = [_assertion(check) for check in checks]
    found: dict[str, InputDatasetFacet] = {
        "dataQualityAssertions": data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(assertions)
    }
    rows = next((rows for result in mine if is_finite(rows := result.details.get("rows"))), None)
    if rows is not None and node.kind != "MODEL":
        found["dataQualityMetrics"] = data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet(
            columnMetrics=dict(_nulls(checks)), rowCount=int(rows)
        )
    return found


def _nulls(checks: Iterable[Check]) -> Iterator[tuple[str, data_quality_metrics_input_dataset.ColumnMetrics]]:
    """How many values are null, of columns of which a check has counted it."""
    for check in checks:
        kind, column = _parts(check.name)
        count = check.values.get("unexpected_count")
        if kind == _NULLS and column and isinstance(count, int):
            yield column, data_quality_metrics_input_dataset.ColumnMetrics(nullCount=count)


def _assertion(check: Check) -> data_quality_assertions_dataset.Assertion:
    kind, column = _parts(check.name)
    of_one = column if kind.startswith("expect_column_") and "," not in column else ""
    return data_quality_assertions_dataset.Assertion(
        kind, check.outcome is Outcome.PASS, column=of_one or None, **_common(check)
    )


def _test(check: Check) -> test_run.TestExecution:
    status = "pass" if check.outcome is Outcome.PASS else "fail"
    return test_run.TestExecution(status=status, type=_parts(check.name)[0], **_common(check))


def _failing(name: str, why: str) -> test_run.TestExecution:
    return test_run.TestExecution(name, "fail", severity="error", type=name, description=_short(why))


def _common(check: Check) -> Mapping[str, Any]:
    return {
        "name": check.name,
        "severity": "error" if check.severity is Severity.CRITICAL else "warn",
        "description": _short(check.detail) or None,
        "expected": _short(_bound(check.bound)) or None,
        "actual": None if check.observed is None else _short(str(check.observed)),
        "params": {"outcome": str(check.outcome)},
    }


def _bound(bound: Bound | str | None) -> str:
    if isinstance(bound, Bound):
        ends = ((">=", bound.min), ("<=", bound.max))
        return " and ".join(f"{sign} {end:g}" for sign, end in ends if end is not None)
    return bound or ""


def _parts(name: str) -> tuple[str, str]:
    """``equalized_odds_difference[sex]``, ``drift_psi(age)`` -> what is asserted, and of what."""
    found = _NAMED.fullmatch(name)
    return (found["kind"], found["of"]) if found else (name, "")


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"
