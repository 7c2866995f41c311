"""Lineage as OpenLineage's own provider writes it down: events of a real run, nodes under the names that others use."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import attr
import jsonschema
import pytest
import sqlalchemy as sa

from airflow_mlgov.operators.data_validation import DataValidationGateOperator
from airflow_mlgov.results import Subject
from tests.fixtures.airflow_runner import TaskRun
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.postgres import PASSWORD
from tests.worlds.lineage import drawn
from tests.worlds.release import Release, new_release, people

pytest.importorskip(
    "airflow.providers.openlineage", reason="an extra: pip install 'airflow-provider-mlgov[openlineage]'"
)

from airflow_mlgov.operators._dataset_names import data_node, model_node, node_of, registry_namespace

DAG = Path(__file__).parent / "dags" / "released.py"
OURS = Path(inspect.getfile(node_of)).parent / "facets.schema.json"


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evidence", "namespace", "name"),
    [
        ("/lake/loans.csv", "file", "/lake/loans.csv"),
        ("/lake/2026/*.parquet", "file", "/lake/2026"),
        ("/lake/year=*/part.csv", "file", "/lake"),
        ("file:///lake/a%20b.csv", "file", "/lake/a b.csv"),
        ("s3://lake/loans/2026.csv", "s3://lake", "loans/2026.csv"),
        ("s3a://lake/loans/*.csv", "s3://lake", "loans"),
        ("s3://lake_conn@lake/loans.csv", "s3://lake", "loans.csv"),
        ("https://u:pw@data.bank.example/loans.csv?sig=abc", "https://data.bank.example", "loans.csv"),
        ("hdfs://namenode:8020/lake/loans", "hdfs://namenode:8020", "/lake/loans"),
        ("gcs://lake/loans.csv", "gs://lake", "loans.csv"),
        ("postgresql://db.bank.example/credit#table=loans", "postgres://db.bank.example:5432", "credit.public.loans"),
        ("postgresql://db:6543/credit#table=risk.loans", "postgres://db:6543", "credit.risk.loans"),
        ("postgresql+psycopg://db/credit#table=other.risk.loans", "postgres://db:5432", "other.risk.loans"),
        ("mariadb://db/credit#table=loans", "mysql://db:3306", "credit.loans"),
        ("mysql://db/credit#table=other.loans", "mysql://db:3306", "other.loans"),
        ("trino://trino.bank.example:8443/hive/risk#table=loans", "trino://trino.bank.example:8443", "hive.risk.loans"),
        ("bigquery://bank/risk#table=loans", "bigquery", "bank.risk.loans"),
        ("sqlite:////lake/loans.db#table=loans", "sqlite:///lake/loans.db", "loans"),
        ("sc://spark:15002#table=risk.loans", "spark://spark:15002", "risk.loans"),
        ("sc://spark:15002#path=s3://lake/loans", "s3://lake", "loans"),
        ("postgresql://db/credit#query=sha256:ab", "postgres://db:5432", "credit.query sha256:ab"),
        ("delta:s3://lake/loans@7", "s3://lake", "loans"),
        ("iceberg:/lake/loans@8812", "file", "/lake/loans"),
        ("feast:credit/credit_v2", "feast://credit", "credit_v2"),
        ("pandas DataFrame", "inmemory://", "pandas DataFrame"),
    ],
)
def test_a_data_set_has_the_name_that_others_give_it(evidence: str, namespace: str, name: str) -> None:
    node = data_node(evidence)
    assert (node.namespace, node.name) == (namespace, name)


@pytest.mark.parametrize(
    "evidence",
    [
        "postgresql://me:hunter2@db/credit#table=loans",
        "sc://me:hunter2@spark:15002/;token=hunter2#table=loans",
        "bigquery://me:hunter2@bank/risk#table=loans",
        "snowflake://me:hunter2@bank/risk?token=hunter2#query=sha256:ab",
        "s3://key:hunter2@lake/loans.csv?X-Amz-Signature=hunter2",
        "delta:s3://key:hunter2@lake/loans@7",
        "sc://spark:15002/;token=hunter2#path=https://me:hunter2@lake/loans?sig=hunter2",
    ],
)
def test_no_node_has_a_secret_in_it(evidence: str) -> None:
    assert "hunter2" not in repr(data_node(evidence))


@pytest.mark.parametrize(
    ("registry", "namespace"),
    [
        ("http://me:hunter2@mlflow:5000/", "mlflow://mlflow:5000"),
        ("sqlite:////data/@home/mlflow.db?password=hunter2", "sqlite:////data/@home/mlflow.db"),
        ("databricks://me:hunter2@bank", "databricks://bank"),
    ],
)
def test_no_registry_has_a_secret_in_it(registry: str, namespace: str) -> None:
    assert registry_namespace(registry) == namespace


UNPARSED = {
    "a long sum": f"SELECT {'1+' * 100_000}1 FROM loans",
    "many brackets": f"SELECT {'(' * 20_000}1{')' * 20_000} FROM loans",
    "many NOT": f"SELECT {'NOT ' * 20_000}a FROM loans",
    "a NUL": "SELECT * FROM \0",
    "half of a character": "SELECT '\ud800' FROM loans",
    "many tables": f"SELECT * FROM {', '.join(f't{number}' for number in range(2_000))}",
}


@pytest.fixture(scope="module")
def told() -> tuple[list[int], str]:
    """How many inputs each query has, and what a child wrote that was asked for one after the other: a parser that
    overflows its stack ends the process, and the queries behind have no answer."""
    script = (
        "import sys, json\n"
        "from airflow_mlgov.operators._dataset_names import data_node\n"
        "from airflow_mlgov.operators._facets import lineage_of\n"
        "from airflow_mlgov.operators._lineage import Flow\n"
        "node = data_node('postgresql://db/credit#query=sha256:ab')\n"
        "for query in json.load(sys.stdin):\n"
        "    print('inputs', len(lineage_of(Flow((node,), query=query)).inputs), flush=True)\n"
    )
    queries = json.dumps(list(UNPARSED.values()))
    done = subprocess.run(
        [sys.executable, "-c", script], input=queries, capture_output=True, text=True, timeout=300, check=False
    )
    counts = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("inputs ")]
    return counts, f"ended with {done.returncode}: {done.stderr[-500:]}"


@pytest.mark.slow
@pytest.mark.parametrize("query", UNPARSED)
def test_a_query_that_its_parser_does_not_survive_is_not_parsed(query: str, told: tuple[list[int], str]) -> None:
    counts, said = told
    at = list(UNPARSED).index(query)
    assert at < len(counts), said
    assert counts[at] <= 501


def test_a_table_at_a_version_has_it_as_its_version() -> None:
    assert data_node("delta:s3://lake/loans@7").version == "7"


def test_versions_of_a_model_are_versions_of_one_node() -> None:
    first, second = (
        node_of(Subject("model", "credit", "a" * 64, version, "https://mlflow.bank.example")) for version in "12"
    )
    assert first is not None
    assert second is not None
    assert {(node.namespace, node.name) for node in (first, second)} == {("mlflow://mlflow.bank.example", "credit")}
    assert (first.version, second.version) == ("1", "2")
    assert model_node("bank-registry", "credit").namespace == "mlflow://bank-registry"
    assert node_of(Subject("suite", "suite.json", "a" * 64)) is None


# -- a whole run ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer) -> list[dict[str, Any]]:
    """What the provider's file transport has written of `airflow dags test released`."""
    folder, environment = tmp_path_factory.mktemp("lineage"), dict[str, str]()
    release = new_release(folder, mlflow_server, None, environment.__setitem__)  # type: ignore[arg-type]
    (folder / "model.txt").write_text(release.model)
    (folder / "dags").mkdir()
    shutil.copy(DAG, folder / "dags")
    file = folder / "lineage.jsonl"
    before = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    environment |= {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": str(file), "append": True}),
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "airflow-of-the-tests",
    }
    airflow = str(Path(sys.executable).parent / "airflow")
    for words in (["db", "migrate"], ["dags", "test", "released"]):
        done = subprocess.run(
            [airflow, *words],
            env={**before, **environment},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert found, done.stdout[-6000:]
    return found


def ends(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Task -> the event of its end."""
    return {
        event["job"]["name"].removeprefix("released."): event
        for event in events
        if event["eventType"] in ("COMPLETE", "FAIL") and event["job"]["name"].startswith("released.")
    }


@pytest.mark.slow
def test_a_path_leads_from_the_raw_file_to_the_alias_that_is_served(events: list[dict[str, Any]]) -> None:
    edges: dict[str, set[str]] = {}
    for event in ends(events).values():
        job = event["job"]["name"]
        for node in event["inputs"]:
            edges.setdefault(f"{node['namespace']} {node['name']}", set()).add(job)
        edges.setdefault(job, set()).update(f"{node['namespace']} {node['name']}" for node in event["outputs"])
    (raw,) = [node for node in edges if node.startswith("file ") and node.endswith("/train.csv")]
    reached, ahead = set[str](), {raw}
    while ahead:
        reached |= ahead
        ahead = {after for node in ahead for after in edges.get(node, ())} - reached
    jobs = {"validate", "register", "performance", "fairness", "approve", "promote"}
    assert {node.removeprefix("released.") for node in reached if node.startswith("released.")} == jobs
    model, stage, alias = sorted(node for node in reached if node.startswith("mlflow://"))
    assert (stage, alias) == (f"{model}/Production", f"{model}@champion")


@pytest.mark.slow
def test_nobody_writes_a_target_before_it_is_promoted(events: list[dict[str, Any]]) -> None:
    begun = {event["job"]["name"]: event for event in events if event["eventType"] == "START"}
    assert begun["released.promote"]["inputs"]
    assert not any(event["outputs"] for event in begun.values())


@pytest.mark.slow
def test_the_data_gate_tells_its_checks_as_assertions_on_the_raw_file(events: list[dict[str, Any]]) -> None:
    (raw,) = ends(events)["validate"]["inputs"]
    assertions = {item["name"]: item for item in raw["inputFacets"]["dataQualityAssertions"]["assertions"]}
    ages = assertions["expect_column_values_to_be_between(age)"]
    assert (ages["assertion"], ages["column"]) == ("expect_column_values_to_be_between", "age")
    assert (ages["success"], ages["severity"], ages["expected"]) == (True, "error", "min_value=18, max_value=100")
    assert "column" not in assertions["row_count"]
    metrics = raw["inputFacets"]["dataQualityMetrics"]
    assert (metrics["rowCount"], metrics["columnMetrics"]["y"]["nullCount"]) == (1200, 0)


@pytest.mark.slow
def test_what_a_gate_says_of_a_model_stands_at_the_model(events: list[dict[str, Any]]) -> None:
    model, rows = ends(events)["performance"]["inputs"]
    assert model["facets"]["datasetType"]["datasetType"] == "MODEL"
    assert model["facets"]["version"]["datasetVersion"] == "1"
    (auc,) = [
        item for item in model["inputFacets"]["dataQualityAssertions"]["assertions"] if item["assertion"] == "roc_auc"
    ]
    assert (auc["success"], auc["expected"]) == (True, ">= 0.75")
    assert not rows["inputFacets"]
    tests = ends(events)["performance"]["run"]["facets"]["test"]["tests"]
    assert ("roc_auc", "pass") in {(item["name"], item["status"]) for item in tests}


@pytest.mark.slow
def test_every_facet_is_as_its_schema_says(events: list[dict[str, Any]]) -> None:
    """The package ships the spec as classes: each facet is made again by the class of its schema."""
    known, ours = shipped(), json.loads(OURS.read_text())
    seen = set()
    for event in events:
        for facet in facets_of(event):
            url = facet["_schemaURL"]
            seen.add(url.rpartition("/")[2])
            if url in ours["$defs"]:
                jsonschema.validate(
                    facet, {**ours, "$ref": f"#/$defs/{url}"}, format_checker=jsonschema.FormatChecker()
                )
            elif "/spec/facets/" in url:
                made = {name: value for name, value in facet.items() if not name.startswith("_")}
                known[url](**made)
            else:
                assert "/OpenLineage.json#" in url, url  # Airflow's own
    assert {
        *("DataQualityAssertionsDatasetFacet", "DataQualityMetricsInputDatasetFacet", "TestRunFacet"),
        *("DatasetTypeDatasetFacet", "DatasetVersionDatasetFacet", "CatalogDatasetFacet"),
        *("urn:airflow-mlgov:facet:digest:v1", "urn:airflow-mlgov:facet:evidence:v1"),
    } <= seen


def shipped() -> dict[str, Any]:
    """Schema of a facet -> its class."""
    import openlineage.client.generated as generated

    modules = [import_module(f"{generated.__name__}.{item.name}") for item in iter_modules(generated.__path__)]
    classes = {item for module in modules for item in vars(module).values() if attr.has(item)}
    return {item._get_schema(): item for item in classes if hasattr(item, "_get_schema")}


def facets_of(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from event["run"]["facets"].values()
    yield from event["job"]["facets"].values()
    for node in (*event["inputs"], *event["outputs"]):
        for kind in ("facets", "inputFacets", "outputFacets"):
            yield from node.get(kind, {}).values()


# -- ends that are not good -------------------------------------------------------------------------------------------


def test_a_failed_gate_tells_what_failed_and_where_its_evidence_is(release: Release) -> None:
    release.validate()
    release.register()
    end = release.fairness(str(release.folder / "biased.parquet"))
    assert end.state == "failed"
    lineage = drawn(end)
    assert lineage.tests["demographic_parity_ratio[sex]"] == "fail"
    assert lineage.evidence.verdict == "FAIL"
    assert lineage.evidence.evidence == [release.ledger.entries()[-1].reference]
    assert lineage.evidence.said["environment"] == "test"
    refused = drawn(release.promote())
    assert (refused.inputs, refused.outputs) == ([release.model], [])
    assert "mlgov_evidence" not in refused.told.run_facets


def test_a_gate_that_could_not_judge_has_read_what_it_was_given(release: Release) -> None:
    end = release.validate(str(release.folder / "nowhere.csv"))
    assert end.state == "failed"
    lineage = drawn(end)
    assert lineage.inputs == [str(release.folder / "nowhere.csv")]
    assert not lineage.told.run_facets


def test_a_query_has_the_tables_that_it_reads_and_no_secret_beside_it(
    release: Release, postgres: str, run_task: TaskRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sa.create_engine(sa.make_url(postgres).set(password=PASSWORD))
    people(seed=3).to_sql("applicants", engine, if_exists="replace", index=False)
    engine.dispose()
    where = sa.make_url(postgres)
    given = {"conn_type": "postgres", "host": where.host, "port": where.port, "schema": where.database}
    monkeypatch.setenv("AIRFLOW_CONN_PEOPLE", json.dumps({**given, "login": "postgres", "password": PASSWORD}))
    asked: dict[str, Any] = {"conn_id": "people", "suite": str(release.folder / "suite.json")}
    for how in ({"table": "applicants"}, {"query": "SELECT age, y FROM applicants WHERE age < 90"}):
        operator = DataValidationGateOperator(task_id=f"validate_{next(iter(how))}", **asked, **how)
        begun = operator.get_openlineage_facets_on_start()
        lineage = drawn(run_task(operator))
        assert [node.name for node in begun.inputs] == lineage.inputs
        assert lineage.inputs[-1] == f"{where.database}.public.applicants"
        assert {node.namespace for node in lineage.told.inputs} == {f"postgres://{where.host}:{where.port}"}
        assert PASSWORD not in str(lineage)
        assert lineage.told.inputs[0].inputFacets["dataQualityAssertions"].assertions
