"""A fleet of governed models on one ledger, each in another situation: real MLflow, real gates, real promotions."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_mlgov.board.keeper import Source
from airflow_mlgov.errors import PromotionRefused
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.statements import Context, GateStatement, Person, ProvenanceStatement
from airflow_mlgov.gates.data_validation import validate_data
from airflow_mlgov.gates.fairness import evaluate_fairness
from airflow_mlgov.gates.performance import evaluate_performance
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.case import Case, build_case
from airflow_mlgov.release.waivers import draft_terms, sign_waiver
from airflow_mlgov.results import GateResult, Subject
from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.governed import Governed
from tests.worlds.release import SUITE, people

POLICY = """\
version: 1
groups: {risk-officers: [olga, omar]}
models:
"""
SECTION = """\
  {model}:
    tier: medium
    owners: [{owner}]
    gates:
      data_validation: {{suite: suite.json}}
      performance: {{label: y, score: score, roc_auc: {{min: 0.75}}}}
      fairness:
        label: y
        prediction: prediction
        sensitive_features: {{sex: [female, male]}}
        demographic_parity_ratio: {{min: 0.8, max: 1.25}}
    targets:
      production:
        stage: Production
        alias: champion
        archive_previous: true
        requires: [data_validation, performance, fairness]
{approvals}        waivers: {{max_days: 30, signers: 2, from: [olga, omar], audit_within: 14d}}
"""
APPROVALS = "        approvals: {{count: {count}, from: [risk-officers], not: [trainer, requester]}}\n"
MEMBERS = {
    "credit_risk": ("retail@bank.example", 2),
    "card_limits": ("retail@bank.example", 0),
    "fraud_detection": ("payments@bank.example", 0),
    "churn": ("crm@bank.example", 0),
    "mortgage_pricing": ("mortgages@bank.example", 0),
    "collections": ("collections@bank.example", 0),
}
"""Model -> its owner, and how many approvals it takes."""
BIASED = 0.12
CHECK = "demographic_parity_ratio[sex]"


@dataclass
class Member(Governed):
    """One model of the fleet; policy, keys and ledger are everybody's."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    results: dict[tuple[str, float], GateResult] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger_url = f"sqlite:///{self.folder / 'ledger.db'}"

    def context(self, **change: Any) -> Context:
        run = {
            "dag_id": f"{self.model}_retraining",
            "run_id": f"scheduled__{self.at:%Y-%m-%d}",
            "task_id": change.pop("task_id", "gate"),
            "try_number": 1,
        }
        return super().context(**{"issued_at": self.at, "run": run, **change})

    def made(self, weight: float = 1.0, *, fair: bool = True, good: bool = True) -> ModelVersion:
        """A version with its provenance and the results of its gates."""
        version = self.server.register(self.model, weight)
        subject = self.registry.subject(version)
        found = self.results["data", 1]
        named = f"s3://applications/{self.model}/{weight:g}.parquet"
        data = replace(found, subject=Subject("dataset", named, hashlib.sha256(named.encode()).hexdigest()))
        made = ProvenanceStatement(
            subject, self.context(task_id="register"), (data.subject,), ("tom",), {"run_id": "r"}
        )
        self.attest("registration", made)
        self.attest("data_validation", GateStatement.of(data, self.context(task_id="validate_data")))
        self.found("performance", version, good and weight)
        self.found("fairness", version, fair and weight)
        return version

    def found(self, gate: str, version: ModelVersion, good: float = 1.0) -> None:
        """One gate's result on a version: of good predictions, which differ a little, or of bad ones."""
        result = replace(self.results[gate, good and 1 + good % 3], subject=self.registry.subject(version))
        self.attest(gate, GateStatement.of(result, self.context(task_id=gate)))

    def case(self, version: ModelVersion) -> Case:
        return build_case(self.desk("waiver"), version, "production", ("rita",))

    def waive(self, version: ModelVersion, days: int = 20, *who: str) -> None:
        """The officers let one failed check pass for a time."""
        terms = draft_terms(
            self.case(version), gate="fairness", check=CHECK, stretch={"min": 0.5}, ticket="RISK-12",
            reason="a small product, and it ends in December", risk_owner="head of retail", requesters=("rita",),
            lifetime=timedelta(days=days), now=self.at,
        )  # fmt: skip
        for name in who or ("olga", "omar"):
            sign_waiver(
                self.desk("waiver"), self.case(version), terms, Person(name, name), "discussed in the committee"
            )


@dataclass
class Fleet:
    """All of them, and what a board needs."""

    folder: Path
    server: MlflowServer
    members: dict[str, Member]

    @property
    def source(self) -> Source:
        return Source(lambda: open_ledger(self.ledger_url, create=False), self.folder / "trust.json", self.policy_file)

    @property
    def policy_file(self) -> Path:
        return self.folder / "mlgov.yaml"

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.folder / 'ledger.db'}"

    def __getitem__(self, name: str) -> Member:
        return self.members[name]


def measured(folder: Path) -> dict[tuple[str, float], GateResult]:
    """What real gates find in real rows: (gate, which predictions, 0 the bad ones) -> the result."""
    for name, frame in {
        "train": people(seed=1), "later": people(seed=2), "0": people(bias=BIASED),
        "1": people(), "2": people(seed=12), "3": people(bias=-0.01, seed=15),
    }.items():  # fmt: skip
        frame.to_parquet(folder / f"{name}.parquet")
    (folder / "suite.json").write_text(json.dumps(SUITE))
    drift = {"reference": str(folder / "train.parquet"), "psi": {"max": 0.2}}
    anybody = Subject("model", "anybody", "0" * 64, "1", "http://mlflow")
    found = {
        ("data", 1): validate_data(str(folder / "later.parquet"), str(folder / "suite.json"), checks={"drift": drift}),
    }
    for number in range(4):
        data, least = str(folder / f"{number}.parquet"), 0.75 if number else 0.99
        found["performance", number] = evaluate_performance(
            data, subject=anybody, label="y", score="score", bounds=[f"roc_auc>={least}"]
        )
        found["fairness", number] = evaluate_fairness(
            data,
            subject=anybody,
            label="y",
            prediction="prediction",
            sensitive_features={"sex": ["female", "male"]},
            bounds={"demographic_parity_ratio": {"min": 0.8, "max": 1.25}},
        )
    return found


def make_fleet(folder: Path, server: MlflowServer, prefix: str = "") -> Fleet:
    """Six models in six situations.

    :param prefix: before each model's name, if the registry is shared
    """
    Governed(folder, server)  # makes the keys and pins them
    names = {name: f"{prefix}{name}" for name in MEMBERS}
    sections = [
        SECTION.format(model=names[name], owner=owner, approvals=APPROVALS.format(count=count) if count else "")
        for name, (owner, count) in MEMBERS.items()
    ]
    (folder / "mlgov.yaml").write_text(POLICY + "".join(sections))
    results = measured(folder)
    fleet = Fleet(folder, server, {name: Member(folder, server, names[name]) for name in MEMBERS})
    for member in fleet.members.values():
        member.results = results
    load_policy(fleet.policy_file)
    _in_production(fleet["credit_risk"])
    _waived(fleet["card_limits"], datetime.now(UTC) - timedelta(hours=3))
    _failed_since(fleet["fraud_detection"])
    _refused(fleet["churn"])
    _moved_by_hand(fleet["mortgage_pricing"])
    _waived(fleet["collections"], datetime.now(UTC) - timedelta(days=16))
    return fleet


def _in_production(member: Member) -> None:
    """Version 2 serves; version 3 has one approval of two."""
    for weight in (1.0, 2.0):
        member.at = datetime.now(UTC) - timedelta(hours=30 - 10 * weight)
        version = member.made(weight)
        for officer in ("olga", "omar"):
            member.approve(version, officer)
        member.promote(version, ("alice",))
    member.at = datetime.now(UTC) - timedelta(minutes=50)
    member.approve(member.made(3.0), "olga")


def _waived(member: Member, at: datetime) -> None:
    """Serves with a waived check, for which an audit is owed two weeks later."""
    member.at = at
    version = member.made(4.0, fair=False)
    member.waive(version)
    member.promote(version)


def _refused(member: Member) -> None:
    """The only version fails a gate, and its promotion was refused."""
    version = member.made(5.0, good=False)
    with suppress(PromotionRefused):
        member.promote(version)


def _failed_since(member: Member) -> None:
    """Serves, and a gate has failed since."""
    member.at = datetime.now(UTC) - timedelta(days=2)
    version = member.made(6.0)
    member.promote(version)
    member.at = datetime.now(UTC) - timedelta(minutes=20)
    member.found("fairness", version, good=0)


def _moved_by_hand(member: Member) -> None:
    """Somebody has moved the alias in MLflow."""
    member.at = datetime.now(UTC) - timedelta(days=1)
    member.promote(member.made(7.0))
    other = member.server.register(member.model, 8.0)
    member.registry.set_alias(other, "champion")
    member.at = datetime.now(UTC) - timedelta(minutes=5)
    member.reconcile()
