"""mlgov.pii over a real Feast repository: tags of views, fields, entities, sources and requests; renamed columns."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from airflow_mlgov.gates.policy.spec import GATE, PolicySettings
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.governance.rulebook import Packs
from airflow_mlgov.results import GateResult, Outcome
from tests.gates.environments import interpreter

pytestmark = pytest.mark.slow

YAML = """\
project: credit
provider: local
registry: registry.db
online_store: {type: sqlite, path: online.db}
offline_store: {type: file}
entity_key_serialization_version: 3
"""
BUILD = """\
import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, String

plain = FileSource(name="plain", path="rows.parquet", timestamp_field="seen", field_mapping={"mail_h": "contact"})
tagged = FileSource(name="tagged", path="rows.parquet", timestamp_field="seen", tags={"classification": "PII"})
who = Entity(name="who", join_keys=["who"], value_type=ValueType.INT64, tags={"contains-pii": "yes"})
what = Entity(name="what", join_keys=["what"], value_type=ValueType.INT64)
money = FeatureView(
    name="money", entities=[what], source=plain, tags={"pii": "false"},
    schema=[Field(name="income", dtype=Float64), Field(name="contact", dtype=String, tags={"PII": "True"})],
)
person = FeatureView(
    name="person", entities=[who], source=plain, tags={"personal_data": "yes"}, schema=[Field(name="x", dtype=String)],
)
sourced = FeatureView(name="sourced", entities=[what], source=tagged, schema=[Field(name="y", dtype=Float64)])
asked = RequestSource(name="asked", schema=[
    Field(name="z", dtype=Float64, tags={"pii": "1"}), Field(name="amount", dtype=Float64),
])
@on_demand_feature_view(sources=[money[["income"]], asked], schema=[Field(name="ratio", dtype=Float64)])
def ratio(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"ratio": inputs.income / inputs.amount})
services = [
    FeatureService(name="clean", features=[money[["income"]]]),
    FeatureService(name="contact", features=[money]),
    FeatureService(name="person", features=[person]),
    FeatureService(name="sourced", features=[sourced]),
    FeatureService(name="ratio", features=[ratio]),
]
FeatureStore(repo_path=".").apply([who, what, money, person, sourced, ratio, *services])
"""
MAILS = [f"person{at}@bank.example" for at in range(60)]
KEYED = [hmac.new(b"a key", mail.encode(), "sha256").hexdigest() for mail in MAILS]


def rows(folder: Path, hashes: list[str], **more: Any) -> Path:
    numbers = [float(at) for at in range(60)]
    frame = {"what": range(60), "income": numbers, "y": numbers, "mail_h": hashes, "x": ["a"] * 60, **more}
    frame["seen"] = [pd.Timestamp("2026-11-01", tz="UTC")] * 60
    pd.DataFrame(frame).to_parquet(folder / "rows.parquet")
    return folder / "rows.parquet"


@pytest.fixture(scope="module")
def python() -> Path:
    return interpreter("feast")


@pytest.fixture(scope="module")
def repo(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("feast") / "repo"
    folder.mkdir()
    (folder / "feature_store.yaml").write_text(YAML)
    (folder / "build.py").write_text(BUILD)
    rows(folder, KEYED)
    done = subprocess.run([python, "build.py"], cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.fixture
def judged(repo: Path, python: Path) -> Any:
    def judge(service: str, data: Path | None = None) -> GateResult:
        said = {"features": str(repo), "service": service, "python": str(python), "packages": ["mlgov.pii"]}
        settings = PolicySettings.read({**said, **({"data": str(data)} if data else {})}, "the test")
        return run_gate(GATE, None, settings, rulebook=Packs())

    return judge


def told(result: GateResult) -> set[tuple[str, str]]:
    """Code and term of what fails, or cannot be told."""
    found = [check for check in result.checks if check.outcome is not Outcome.PASS and "code" in check.values]
    return {(str(check.values["code"]), check.name.rpartition(" ")[2]) for check in found}


@pytest.mark.parametrize(
    ("service", "found"),
    [
        ("clean", set()),
        ("contact", {("pii.by_tag", "money:contact")}),
        ("person", {("pii.by_tag", "person:x"), ("pii.by_tag", "who")}),
        ("sourced", {("pii.by_tag", "sourced:y")}),
        ("ratio", {("pii.by_tag", "ratio:z")}),
    ],
)
def test_tags_wherever_feast_keeps_them(judged: Any, service: str, found: set[tuple[str, str]]) -> None:
    assert {one for one in told(judged(service)) if one[0] == "pii.by_tag"} == found


def test_a_tagged_feature_that_its_column_shows_to_be_hashed(judged: Any, tmp_path: Path) -> None:
    """Feast calls it ``contact``, its source ``mail_h``: the look is at the column."""
    assert told(judged("contact", rows(tmp_path, KEYED))) == set()


def test_a_tagged_feature_that_another_column_gives_away(judged: Any, tmp_path: Path) -> None:
    hashes = [hashlib.sha256(mail.encode()).hexdigest() for mail in MAILS]
    result = judged("contact", rows(tmp_path, hashes, mail=MAILS))
    [failed] = [check for check in result.failed if check.values.get("code") == "pii.hash_of_a_column"]
    assert "money:contact" in failed.name
    assert result.verdict is Outcome.FAIL
