"""The gates' other inputs: a model that is scored by the gate, a table behind credentials that live for one task."""

import base64
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from airflow_mlgov.evidence.digests import hash_file
from airflow_mlgov.operators.data_validation import DataValidationGateOperator
from airflow_mlgov.operators.fairness import FairnessGateOperator
from airflow_mlgov.operators.performance import PerformanceGateOperator
from airflow_mlgov.operators.tfdv import TfdvGateOperator
from tests.fixtures.airflow_runner import TaskRun
from tests.fixtures.mlflow_server import tracking
from tests.fixtures.openbao import OpenBaoServer
from tests.fixtures.postgres import PASSWORD
from tests.worlds.release import Release, people


def test_a_model_is_scored_only_on_request(release: Release) -> None:
    import mlflow
    from sklearn.linear_model import LogisticRegression

    frame = people()[["age", "score", "y"]].rename(columns={"score": "income"})
    model = LogisticRegression(max_iter=500).fit(frame[["age", "income"]], frame["y"])
    with tracking(release.server.registry), mlflow.start_run() as run:
        mlflow.sklearn.log_model(
            model, name="model", pip_requirements=["scikit-learn"], input_example=frame[["age", "income"]].head(2)
        )
    assert release.register(run_id=run.info.run_id).state == "success"
    features = release.write("features.parquet", frame)
    end = release.performance(features)
    assert "score" in str(end.error)
    end = release.performance(features, score_model=True)
    assert end.state == "success", end.error
    statement = release.ledger.get(end.xcom["evidence"]["seq"])
    assert "features.parquet" in _payload(statement.envelope)


@pytest.fixture
def warehouse(postgres: str, openbao: OpenBaoServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """A table of people in PostgreSQL, with Vault making its readers; the URL for a look as the owner."""
    where = urlsplit(postgres)
    owner = sa.make_url(postgres).set(password=PASSWORD)
    engine = sa.create_engine(owner)
    with engine.begin() as connection:
        people(50).to_sql("people", connection, if_exists="replace", index=False)
        connection.execute(sa.text("GRANT SELECT ON people TO PUBLIC"))
    client = openbao.client
    if "database/" not in client.sys.list_mounted_secrets_engines()["data"]:
        client.sys.enable_secrets_engine("database")
    client.secrets.database.configure(
        name="people",
        plugin_name="postgresql-database-plugin",
        allowed_roles=["people-reader"],
        connection_url=f"postgresql://{{{{username}}}}:{{{{password}}}}@{where.hostname}:{where.port}{where.path}?sslmode=disable",
        username="postgres",
        password=PASSWORD,
    )
    client.secrets.database.create_role(
        name="people-reader",
        db_name="people",
        creation_statements=["CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'"],
        default_ttl="5m",
        max_ttl="10m",
    )
    monkeypatch.setenv("AIRFLOW_CONN_BAO", openbao.connection())
    monkeypatch.setenv("AIRFLOW__MLGOV__VAULT_CONN_ID", "bao")
    monkeypatch.setenv(
        "AIRFLOW_CONN_WAREHOUSE",
        f'{{"conn_type": "postgres", "host": "{where.hostname}", "port": {where.port}, "schema": "{where.path[1:]}"}}',
    )
    return owner.render_as_string(hide_password=False)


def test_a_table_is_read_with_credentials_of_this_task_alone(
    release: Release, warehouse: str, run_task: TaskRun
) -> None:
    operator = DataValidationGateOperator(
        task_id="validate_table",
        conn_id="warehouse",
        table="people",
        suite=str(release.folder / "suite.json"),
        vault_database_role="people-reader",
    )
    end = run_task(operator)
    assert end.state == "success", end.error
    assert end.xcom["subject"].endswith("#table=people")
    payload = _payload(release.ledger.get(end.xcom["evidence"]["seq"]).envelope)
    assert PASSWORD not in payload
    with sa.create_engine(warehouse).connect() as connection:
        left = connection.execute(
            sa.text("SELECT count(*) FROM pg_roles WHERE rolname LIKE '%people%reader%'")
        ).scalar()
    assert left == 0


def test_groups_are_counted_in_the_database(release: Release, warehouse: str, run_task: TaskRun) -> None:
    assert release.register().state == "success"
    end = run_task(
        FairnessGateOperator(
            task_id="fairness",
            model=release.ref("1"),
            conn_id="warehouse",
            query="SELECT people.* FROM people, generate_series(1, 400)",
            vault_database_role="people-reader",
            bounds={"demographic_parity_ratio": {"min": 0.81}},
        )
    )
    assert end.state == "success", end.error
    payload = json.loads(_payload(release.ledger.get(end.xcom["evidence"]["seq"]).envelope))
    assert PASSWORD not in json.dumps(payload)
    assert payload["predicate"]["mlgov"]["details"]["rows"] == 20_000
    with sa.create_engine(warehouse).connect() as connection:
        roles = connection.execute(sa.text("SELECT count(*) FROM pg_roles WHERE rolname LIKE '%people%reader%'"))
        assert roles.scalar() == 0


def test_a_champions_rows_lie_in_the_same_database(release: Release, warehouse: str, run_task: TaskRun) -> None:
    """Each source has credentials of its own, which go away."""
    assert release.register().state == "success"
    given: dict[str, Any] = {"model": release.ref("1"), "conn_id": "warehouse", "table": "people"}
    given["vault_database_role"] = "people-reader"
    theirs = "SELECT y, score - 0.001 AS score FROM people"
    end = run_task(PerformanceGateOperator(task_id="performance", **given, baseline_query=theirs))
    assert end.state == "success", end.error
    payload = json.loads(_payload(release.ledger.get(end.xcom["evidence"]["seq"]).envelope))
    assert len(payload["predicate"]["configuration"]) >= 2
    with sa.create_engine(warehouse).connect() as connection:
        roles = connection.execute(sa.text("SELECT count(*) FROM pg_roles WHERE rolname LIKE '%people%reader%'"))
        assert roles.scalar() == 0
    for wrong in ({"baseline": "a.csv", "baseline_table": "t"}, {"data": "a.csv", "baseline_table": "t"}):
        with pytest.raises(ValueError, match="baseline_table="):
            PerformanceGateOperator(task_id="p", model="models:/m/1", **{"data": "a.csv", **wrong})


def test_a_version_is_taken_where_a_models_name_is_asked(release: Release) -> None:
    for named in (release.model, release.ref("1"), f"models:/{release.model}@champion"):
        operator = DataValidationGateOperator(task_id="d", model=named, data="a.csv", suite="s.json")
        assert operator.policy is not None
        assert operator.policy.settings("performance")["label"] == "y"


def test_the_configuration_is_the_most_that_a_task_may_have(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__MLGOV__TIME_LIMIT", "20m")
    monkeypatch.setenv("AIRFLOW__MLGOV__MEMORY_LIMIT", "400MB")
    assert release.validate(memory_limit="300MB").state == "success"
    for wider in ({"time_limit": "1h"}, {"memory_limit": "1GB"}):
        end = release.validate(**wider)
        assert end.state == "failed"
        assert "by [mlgov], which may only be made tighter" in str(end.error)
    monkeypatch.setenv("AIRFLOW__MLGOV__TIME_LIMIT", "0.000001")
    end = release.validate()
    assert "raise time_limit" in str(end.error)


@pytest.mark.parametrize("looser", [{"decide": "point"}, {"max_share_left_out": 0.1}, {"confidence": 0.5}])
def test_a_dag_may_not_loosen_what_the_policy_leaves_open(release: Release, looser: dict[str, Any]) -> None:
    assert release.register().state == "success"
    end = release.fairness(**looser)
    assert end.state == "failed"
    assert "only the governance policy may say so" in str(end.error)
    assert release.fairness(min_positives=20).state == "success"


SCHEMA = """
feature { name: "age" type: FLOAT presence { min_fraction: 1 min_count: 1 } float_domain { min: 18 max: %s } }
feature { name: "sex" type: BYTES string_domain { value: "female" value: "male" } }
feature { name: "y" type: INT }
feature { name: "score" type: FLOAT }
feature { name: "prediction" type: INT }
"""


@pytest.mark.parametrize(("oldest", "state"), [(100, "success"), (40, "failed")])
def test_a_tfdv_schema_is_enforced(release: Release, run_task: TaskRun, oldest: int, state: str) -> None:
    (release.folder / "schema.pbtxt").write_text(SCHEMA % oldest)
    data, schema = str(release.folder / "train.csv"), str(release.folder / "schema.pbtxt")
    end = run_task(TfdvGateOperator(task_id="schema", data=data, schema=schema))
    assert end.state == state, end.error
    evidence = json.loads(_payload(release.ledger.get(end.xcom["evidence"]["seq"]).envelope))
    assert evidence["predicate"]["mlgov"]["verdict"] == ("PASS" if state == "success" else "FAIL")
    if state == "failed":
        assert "age" in str(end.error)


def test_anomalies_of_a_pipeline_stop_a_run(release: Release, run_task: TaskRun) -> None:
    path = release.folder / "anomalies.pbtxt"
    path.write_text(
        'baseline { feature { name: "age" type: FLOAT } }\n'
        'anomaly_info { key: "age" value { severity: ERROR short_description: "Out-of-range values" } }\n'
    )
    end = run_task(TfdvGateOperator(task_id="found", data=str(release.folder / "train.csv"), anomalies=str(path)))
    assert end.state == "failed"
    assert "age" in str(end.error)


def test_a_tfdv_schema_may_be_the_suite(release: Release) -> None:
    schema = release.folder / "schema.pbtxt"
    schema.write_text(SCHEMA % 100)
    end = release.validate(suite=str(schema))
    assert end.state == "success", end.error
    details = json.loads(_payload(release.ledger.get(end.xcom["evidence"]["seq"]).envelope))["predicate"]["mlgov"]
    assert details["details"]["suite_sha256"] == hash_file(schema)
    schema.write_text(SCHEMA % 40)
    assert release.validate(suite=str(schema)).state == "failed"


@pytest.mark.parametrize("given", [{}, {"schema": "s", "anomalies": "a"}, {"schema": "s", "serving": "d"}])
def test_a_tfdv_gate_needs_one_file(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"schema=|python="):
        TfdvGateOperator(task_id="x", data="d", **given)


def _payload(envelope: str) -> str:
    return base64.b64decode(json.loads(envelope)["payload"]).decode()
