from __future__ import annotations

import copy
import hashlib
import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.chain import read_envelope
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.gates.children import network
from airflow_mlgov.gates.children.environment import ExternalError, ask
from airflow_mlgov.gates.feature_service.gate import (
    FEAST,
    judge_description,
    judge_service,
    load_rules,
    needs_network,
)
from airflow_mlgov.gates.feature_service.spec import FeatureServiceGate, FeatureServiceSettings
from airflow_mlgov.gates.protocol import Findings, Question
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.operators.feature_store import FeatureServiceGateOperator
from airflow_mlgov.results import Check, GateResult, Outcome
from tests.codes import raises_code
from tests.fixtures.airflow_runner import TaskRun
from tests.fixtures.shell import Run
from tests.gates.environments import interpreter
from tests.worlds.keys import key_file
from tests.worlds.release import Release

pytestmark = pytest.mark.slow

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
RULES = {
    "owner": ["risk@bank.example"],
    "description": "present",
    "ttl": {"max": "30d"},
    "max_age": "1d",
    "pii": {"tag": "pii"},
}
YAML = """\
project: credit
provider: local
registry: %s
online_store: {type: sqlite, path: online.db}
offline_store: {type: file}
entity_key_serialization_version: 3
"""
BUILD = """\
import sys
from datetime import datetime, timedelta, timezone
import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, String

noon = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
rows = {"applicant": [1, 2], "income": [1.0, 2.0], "debt": [1.0, 1.0], "ssn": ["a", "b"], "seen": [noon] * 2}
pd.DataFrame(rows).to_parquet("rows.parquet")
rows = FileSource(name="rows", path="rows.parquet", timestamp_field="seen")
applicant = Entity(name="applicant", join_keys=["applicant"], value_type=ValueType.INT64)
owned = {"owner": "risk@bank.example", "description": "from the core banking system"}
finances = FeatureView(
    name="finances", entities=[applicant], ttl=timedelta(days=30), source=rows,
    schema=[Field(name="income", dtype=Float64), Field(name="debt", dtype=Float64)], tags={"pii": "false"}, **owned,
)
identity = FeatureView(
    name="identity", entities=[applicant], source=rows,
    schema=[Field(name="ssn", dtype=String, tags={"PII": "yes"}), Field(name="age", dtype=Float64)],
)
@on_demand_feature_view(sources=[finances], schema=[Field(name="ratio", dtype=Float64)], **owned)
def ratio(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"ratio": inputs.debt / inputs.income})
services = [
    FeatureService(name="scoring", features=[ratio], **owned),
    FeatureService(name="onboarding", features=[finances[["income"]], identity[["ssn"]]], owner="intern@bank.example"),
    FeatureService(name="age_only", features=[identity[["age"]]], **owned),
]
store = FeatureStore(repo_path=".")
store.apply([applicant, finances, identity, ratio, *services])
store.materialize(noon - timedelta(days=2), noon, feature_views=["finances"])
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """An interpreter beside Feast."""
    return interpreter("feast")


def _run(python: Path, folder: Path, script: str) -> str:
    (folder / "script.py").write_text(script)  # a file, for Feast wants the source of functions
    done = subprocess.run([python, "script.py"], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A feature repository with a file registry, materialized until noon."""
    folder = tmp_path_factory.mktemp("feast") / "repo"
    folder.mkdir()
    (folder / "feature_store.yaml").write_text(YAML % "registry.db")
    _run(python, folder, BUILD)
    return folder


@pytest.fixture
def repo(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "repo"))


@pytest.fixture(scope="module")
def onboarding(python: Path, built: Path) -> dict[str, Any]:
    """What Feast's registry says of a service that breaks every rule."""
    return ask(FEAST, python, {"repo": str(built), "service": "onboarding"}).content


class _At(FeatureServiceGate):
    """The gate by another clock."""

    def __init__(self, now: datetime | None) -> None:
        self.now = now

    def judge(self, question: Question[FeatureServiceSettings]) -> Findings:
        return judge_service(question.settings, self.now)


def _judge(repo: Path, service: str, rules: Any, now: datetime | None = None, **more: Any) -> GateResult:
    said = {"repo": str(repo), "service": service, "rules": rules, **more}
    if "python" in said:
        said["python"] = str(said["python"])
    return run_gate(_At(now), None, FeatureServiceSettings.read(said))


def _checks(found: dict[str, Any], rules: dict[str, Any], now: datetime = NOON) -> dict[str, Check]:
    return {check.name: check for check in judge_description(found, load_rules(rules), now)}


def test_a_service_that_keeps_the_rules(python: Path, built: Path) -> None:
    before = hashlib.sha256((built / "registry.db").read_bytes()).hexdigest()
    result = _judge(built, "scoring", RULES, python=python, now=NOON + timedelta(hours=5))
    assert result.verdict is Outcome.PASS, result.summary()
    assert (result.gate, result.subject.kind, result.subject.name) == (
        "feature_service",
        "dataset",
        "feast:credit/scoring",
    )
    assert {item.kind: item.name for item in result.inputs} == {
        "feature_registry": "feast:credit",
        "rules": "the rules",
    }
    assert result.libraries["feast"]
    assert result.details["child"]["network"] in (network.CUT, network.NOT_CUT)
    checks = {check.name: check for check in result.checks}
    # the view behind the on demand view is judged too
    assert set(checks) == {
        "feature_views", "owner(service scoring)", "description(service scoring)",
        "owner(ratio)", "description(ratio)", "pii(ratio)",
        "owner(finances)", "description(finances)", "ttl(finances)", "freshness(finances)", "pii(finances)",
    }  # fmt: skip
    assert checks["freshness(finances)"].observed == 5 * 3600
    assert checks["ttl(finances)"].observed == 30 * 86400
    assert hashlib.sha256((built / "registry.db").read_bytes()).hexdigest() == before


def test_a_service_that_breaks_them(onboarding: dict[str, Any]) -> None:
    checks = _checks(onboarding, RULES, NOON + timedelta(days=1, seconds=1))
    failed = {name: check.detail for name, check in checks.items() if check.outcome is not Outcome.PASS}
    assert {name: check.outcome for name, check in checks.items() if name in failed} == dict.fromkeys(
        failed, Outcome.FAIL
    )
    assert set(failed) == {
        "owner(service onboarding)", "description(service onboarding)", "freshness(finances)",
        "owner(identity)", "description(identity)", "ttl(identity)", "freshness(identity)", "pii(identity)",
    }  # fmt: skip
    assert failed["owner(service onboarding)"] == "intern@bank.example is not among the owners that may be"
    assert failed["pii(identity)"] == 'tagged "pii" and not allowed: ssn'
    assert "more than 1d ago" in failed["freshness(finances)"]
    assert "never materialized" in failed["freshness(identity)"]


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ({"tag": "pii", "allow": ["identity"]}, Outcome.PASS),
        ({"tag": "pii", "allow": ["identity:ssn"]}, Outcome.PASS),
        ({"tag": "pii", "allow": ["identity:age", "finances"]}, Outcome.FAIL),
        ({"tag": "secret"}, Outcome.PASS),
        ({"tag": "secret", "declared": True}, Outcome.FAIL),
    ],
)
def test_what_is_allowed(onboarding: dict[str, Any], rule: dict[str, Any], outcome: Outcome) -> None:
    assert _checks(onboarding, {"pii": rule})["pii(identity)"].outcome is outcome


def test_a_tag_on_the_view_counts_for_each_field(onboarding: dict[str, Any]) -> None:
    found = copy.deepcopy(onboarding)
    view = next(view for view in found["views"] if view["name"] == "finances")
    view["tags"] = {"pii": "restricted"}
    check = _checks(found, {"pii": {"tag": "pii"}})["pii(finances)"]
    assert (check.outcome, check.observed) == (Outcome.FAIL, 1)
    view["fields"] = {}
    assert _checks(found, {"pii": {"tag": "pii"}})["pii(finances)"].outcome is Outcome.FAIL


def test_only_the_fields_that_the_service_reads_count(python: Path, built: Path) -> None:
    result = _judge(built, "age_only", {"pii": {"tag": "pii"}}, python=python)
    assert result.verdict is Outcome.PASS


def test_what_says_nothing_does_not_pass(onboarding: dict[str, Any]) -> None:
    early = _checks(onboarding, {"max_age": "1d"}, NOON - timedelta(hours=1))["freshness(finances)"]
    assert early.outcome is Outcome.INCONCLUSIVE
    assert "in the future" in early.detail
    absent = copy.deepcopy(onboarding)
    absent["views"][0] = {"name": "finances", "kind": "absent", "fields": {}}
    assert _checks(absent, RULES)["feature_views"].outcome is Outcome.ERROR
    assert _checks({**onboarding, "views": []}, {"max_age": "1d"})["feature_views"].outcome is Outcome.ERROR


def test_the_digest_is_of_the_definitions(python: Path, repo: Path, onboarding: dict[str, Any]) -> None:
    request = {"repo": str(repo), "service": "onboarding"}
    later = "from feast import FeatureStore\nfrom datetime import datetime, timezone\n" + (
        "FeatureStore(repo_path='.').materialize_incremental(datetime(2026, 11, 2, tzinfo=timezone.utc), ['finances'])"
    )
    _run(python, repo, later)
    fresh = ask(FEAST, python, request).content
    assert fresh["views"][0]["materialized_until"] == "2026-11-02T00:00:00+00:00"
    for digest in ("definition_sha256", "registry_sha256"):
        assert fresh[digest] == onboarding[digest]
    _run(python, repo, BUILD.replace('"PII": "yes"', '"PII": "no"'))
    edited = ask(FEAST, python, request).content
    for digest in ("definition_sha256", "registry_sha256"):
        assert edited[digest] != onboarding[digest]


def test_a_sql_registry_whose_address_is_in_the_environment(
    python: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = Path(shutil.copytree(built, tmp_path / "repo"))
    (repo / "feature_store.yaml").write_text(YAML % "{registry_type: sql, path: '${REGISTRY_URL}'}")
    monkeypatch.setenv("REGISTRY_URL", f"sqlite:///{tmp_path}/registry.sqlite")
    _run(python, repo, BUILD)
    result = _judge(repo, "scoring", RULES, python=python, environment=["REGISTRY_URL"], now=NOON + timedelta(hours=5))
    assert result.verdict is Outcome.PASS, result.summary()
    assert result.details["child"] == {
        "network": network.OPEN,
        "credentials": ["REGISTRY_URL"],
        "same_user": True,
    }
    with raises_code(ExternalError, "child.failed"):
        _judge(repo, "scoring", RULES, python=python)


@pytest.mark.parametrize(
    ("registry", "needed"),
    [
        ("registry.db", False),
        ("{path: registry.db, cache_ttl_seconds: 60}", False),
        ("{registry_type: file, path: /srv/feast/registry.db}", False),
        ("s3://bucket/registry.db", True),
        ("{path: gs://bucket/registry.db}", True),
        ("{registry_type: sql, path: postgresql://db/feast}", True),
        ("{registry_type: remote, path: localhost:6570}", True),
        ("$REGISTRY", True),
    ],
)
def test_the_network_is_needed_where_the_registry_may_lie_beyond_it(
    tmp_path: Path, registry: str, needed: bool
) -> None:
    assert not needs_network(tmp_path)
    (tmp_path / "feature_store.yaml").write_text(YAML % registry)
    assert needs_network(tmp_path) is needed


def test_functions_in_the_registry_are_not_run(python: Path, repo: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    evil = f"open({str(ran)!r}, 'w')\ndef ratio(inputs): return inputs"
    _run(
        python,
        repo,
        "from feast.protos.feast.core.Registry_pb2 import Registry\n"
        "registry = Registry.FromString(open('registry.db', 'rb').read())\n"
        "function = registry.on_demand_feature_views[0].spec.feature_transformation.user_defined_function\n"
        f"function.body_text = {evil!r}\n"
        "open('registry.db', 'wb').write(registry.SerializeToString())\n",
    )
    result = _judge(repo, "scoring", RULES, python=python, now=NOON)
    assert result.verdict is Outcome.PASS
    assert not ran.exists()
    _run(python, repo, "from feast import FeatureStore\nFeatureStore('.').get_on_demand_feature_view('ratio')")
    assert ran.exists()  # so it would have


@pytest.mark.parametrize(
    ("rules", "code", "words"),
    [
        ({}, "rules.form", ""),
        (
            {"owners": "present"},
            "rules.form",
            "'owners' was unexpected.*known rules: owner, description, ttl, max_age, pii",
        ),
        ({"owner": []}, "rules.form", ""),
        ({"owner": True}, "rules.form", ""),
        ({"max_age": "1 day"}, "rules.form", ""),
        ({"max_age": "0d"}, "rules.form", ""),
        ({"ttl": {"min": "1d"}}, "rules.form", ""),
        ({"pii": {"allow": ["x"]}}, "rules.form", "pii: 'tag' is a required property"),
    ],
)
def test_rules_that_are_none(rules: dict[str, Any], code: str, words: str) -> None:
    with raises_code(ConfigurationError, code, words):
        load_rules(rules)


def test_rules_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("max_age: 1d\nowner: present\n")
    rules = load_rules(path)
    assert (rules.content, rules.name) == ({"max_age": "1d", "owner": "present"}, str(path))
    assert rules.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_text("owner: [a]\nowner: present\n")
    with raises_code(ConfigurationError, "file.key_twice", match="the key 'owner' stands twice"):
        load_rules(path)
    with raises_code(ConfigurationError, "file.missing"):
        load_rules(tmp_path / "absent.yaml")


def test_mistakes_of_the_user(python: Path, repo: Path, tmp_path: Path) -> None:
    with raises_code(
        ConfigurationError, "child.refused", match="has no feature service skoring; it has: age_only, onboarding, scori"
    ):
        _judge(repo, "skoring", RULES, python=python)
    with raises_code(ConfigurationError, "child.refused"):
        _judge(tmp_path, "scoring", RULES, python=python)
    (repo / "registry.db").unlink()
    with raises_code(ConfigurationError, "child.refused"):
        _judge(repo, "scoring", RULES, python=python)
    assert not (repo / "registry.db").exists()
    with raises_code(
        ConfigurationError,
        "environment.incomplete",
        match=r"Feast cannot run with .*: feast is missing there; install it: .*feast",
    ):
        _judge(repo, "scoring", RULES, python=sys.executable)
    with raises_code(ConfigurationError, "environment.missing"):
        _judge(repo, "scoring", RULES)


def test_on_the_command_line(run: Run, python: Path, built: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("pii: {tag: pii}\n")
    command = ["gate", "features", "--repo", str(built), "--rules", str(rules), "--python", str(python), "--json"]
    code, out, err = run(*command, "--service", "onboarding")
    assert code == 1, err
    said = json.loads(out)
    assert (said["gate"], said["verdict"]) == ("feature_service", "FAIL")
    assert [check["name"] for check in said["checks"] if check["outcome"] == "FAIL"] == ["pii(identity)"]
    rules.write_text("pii: [tag]\n")
    code, _, err = run(*command, "--service", "onboarding")
    assert code == 2
    assert "rules.yaml: $.pii: ['tag'] is not of type 'object'" in err


def test_in_a_dag(
    python: Path, built: Path, tmp_path: Path, run_task: TaskRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__MLGOV__LEDGER", f"sqlite:///{tmp_path / 'ledger.db'}")
    key_file(tmp_path / "feature_service.pem")
    monkeypatch.setenv("AIRFLOW__MLGOV__SIGN", f"local:{tmp_path / '{duty}.pem'}")
    monkeypatch.setenv("AIRFLOW__MLGOV__ENVIRONMENT", "test")
    operator = FeatureServiceGateOperator(
        task_id="features", repo=str(built), service="onboarding", rules=RULES, python=str(python)
    )
    end = run_task(operator)
    assert end.state == "failed"
    assert "pii(identity)" in str(end.xcom["failed"])
    entry = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}").get(1)
    assert entry.subject_name == "feast:credit/onboarding"
    statement = read_envelope(entry.envelope)[1]
    assert [item["name"] for item in statement["predicate"]["configuration"]] == ["feast:credit", "the rules"]


@pytest.mark.server
def test_a_promotion_that_requires_the_gate(python: Path, repo: Path, release: Release) -> None:
    """The provenance names the feature service as it is defined when the version is registered; another definition is
    another service."""
    (release.folder / "rules.yaml").write_text("owner: present\nttl: present\n")
    policy = release.folder / "mlgov.yaml"
    policy.write_text(
        policy.read_text()
        .replace("    gates:\n", "    gates:\n      feature_service: {rules: rules.yaml}\n")
        .replace("requires: [data_validation, performance, fairness]", "requires: [feature_service]")
        .replace("        approvals: {count: 1, from: [risk-officers], not: [trainer, requester]}\n", "")
    )
    service = {"repo": str(repo), "service": "scoring", "python": str(python)}
    judge = FeatureServiceGateOperator(task_id="features", model=release.model, **service)
    assert release.register(feature_services=[service]).state == "success"
    refused = release.promote()
    assert refused.state == "failed"
    assert "evidence.missing" in str(refused.error)
    assert release.run(judge).state == "success"
    assert release.promote().state == "success"


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ({"repo": "x", "services": "scoring"}, "setting.unknown", "unknown setting 'services'; did you mean 'service'"),
        ({"repo": "x"}, "setting.missing", "service"),
        ("scoring", "setting.wrong", "feature_services lists .* not 'scoring'"),
    ],
)
def test_a_feature_service_that_is_not_named_as_one_is(
    tmp_path: Path, run_task: TaskRun, release: Release, said: Any, code: str, words: str
) -> None:
    end = release.register(feature_services=[said], datasets=str(release.folder / "train.csv"))
    assert end.state == "failed"
    assert code in str(end.error)
    assert re.search(words, str(end.error))
