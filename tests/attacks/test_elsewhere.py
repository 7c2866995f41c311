"""Evidence from elsewhere that hides a failure here: of another environment, model, registry, data set or target; and
one registry under two spellings of its address. Real MLflow, a real ledger, signed evidence."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.addresses import RegistryIdentity, one_spelling
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.statements import (
    AuditStatement,
    EmergencyStatement,
    GateStatement,
    PromotionStatement,
    ProvenanceStatement,
)
from airflow_mlgov.evidence.statements import Person as Account
from airflow_mlgov.evidence.verification import collect, only
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.case import build_case
from airflow_mlgov.release.explanation import explain
from airflow_mlgov.release.obligations import list_obligations
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Subject
from tests.codes import raises_code
from tests.worlds.guarded import TRAINING_DATA, Guarded

GLASS = "        break_glass: {from: [olga], max_hours: 24, audit_within: 2d}\n"
MORE = Subject("dataset", "more.csv", "a" * 64)


def result(guarded: Guarded, subject: Subject, ratio: float = 0.9, **context: Any) -> None:
    """A fairness result about any subject."""
    bound = Bound(0.8, 1.25)
    checks = (Check("demographic_parity_ratio[sex]", bound.judge(ratio), ratio, bound),)
    guarded.attest("fairness", GateStatement.of(GateResult("fairness", subject, checks), guarded.context(**context)))


def failed_since(guarded: Guarded) -> ModelVersion:
    """A version in production whose fairness has failed since."""
    version = guarded.green()
    guarded.promote(version)
    guarded.weigh(version, ratio=0.5)
    assert guarded.unfit(version) == {"gate.failed_since"}
    return version


def test_a_failure_is_not_cleared_by_a_pass_of_the_same_bytes_elsewhere(guarded: Guarded) -> None:
    version = failed_since(guarded)
    mine = guarded.subject(version)
    result(guarded, mine, environment="staging")
    result(guarded, replace(mine, name="harmless"))
    result(guarded, replace(mine, registry="http://elsewhere.example"))
    result(guarded, Subject("dataset", mine.name, mine.digest))
    assert guarded.unfit(version) == {"gate.failed_since"}
    assert [item.code for item in guarded.reconcile().open] == ["evidence.broken"]
    result(guarded, mine)
    assert guarded.explain(guarded.now(version)).allowed


def test_a_failure_of_one_data_set_is_not_cleared_by_the_pass_of_another(guarded: Guarded) -> None:
    version = guarded.server.register(guarded.model)
    made = ProvenanceStatement(guarded.subject(version), guarded.context(), (TRAINING_DATA, MORE), ("tom",))
    guarded.attest("registration", made)
    guarded.validate()
    guarded.validate(MORE)
    guarded.judge(version)
    guarded.weigh(version)
    guarded.approve(version)
    guarded.promote(version)
    guarded.validate(outcome=Outcome.FAIL)
    guarded.validate(MORE)
    guarded.validate(environment="staging")
    assert guarded.unfit(version) == {"gate.failed_since"}
    guarded.validate()
    assert guarded.explain(guarded.now(version)).allowed


def broken(guarded: Guarded) -> ModelVersion:
    """A version that went to production past its gates."""
    guarded.policy_file.write_text(guarded.policy_file.read_text() + GLASS)
    version = guarded.gated()
    guarded.weigh(version, ratio=0.5)
    end = datetime.now(UTC) + timedelta(hours=8)
    subject, who = guarded.subject(version), Account("olga", "olga")
    statement = EmergencyStatement(subject, guarded.context(), "production", who, "fraud wave", end)
    guarded.attest("waiver", statement)
    guarded.promote(version)
    return version


def test_an_audit_of_another_target_or_place_closes_nothing_here(guarded: Guarded) -> None:
    version = broken(guarded)
    (owed,) = list_obligations(guarded.ledger.walk(), guarded.trust, datetime.now(UTC), guarded.model)
    mine = guarded.subject(version)

    def audit(subject: Subject = mine, target: str = "production", **context: Any) -> str:
        statement = AuditStatement(subject, guarded.context(**context), target, owed.id, Outcome.PASS, ())
        guarded.attest("audit", statement)
        (now,) = list_obligations(guarded.ledger.walk(), guarded.trust, datetime.now(UTC), guarded.model)
        return str(now.state)

    assert audit(target="canary") == "open"
    assert audit(replace(mine, name="harmless")) == "open"
    assert audit(replace(mine, registry="http://elsewhere.example")) == "open"
    assert audit(environment="staging") == "open"
    assert audit() == "met"


# -- one registry, several spellings ----------------------------------------------------------------------------------


def spelt(guarded: Guarded, address: str) -> MlflowRegistry:
    """The same server under another address."""
    return MlflowRegistry(address, username=guarded.server.username, password=guarded.server.password)


def port(guarded: Guarded) -> str:
    return guarded.server.url.rpartition(":")[2]


def test_one_registry_under_another_spelling_keeps_its_rejections_withdrawals_and_locks(guarded: Guarded) -> None:
    other = spelt(guarded, f"HTTP://LocalHost:{port(guarded)}//")
    assert other.uri == guarded.registry.uri
    rejected = guarded.gated()
    guarded.approve(rejected, approved=False)
    assert guarded.refused(rejected, registry=other) >= {"approval.rejected"}
    first = guarded.green(1.5)
    guarded.promote(first)
    second = guarded.green(2.0)
    guarded.promote(second, registry=other)
    assert guarded.places()[first.version] == ("Archived", ())
    guarded.roll_back()
    assert guarded.refused(second, registry=other) >= {"promotion.withdrawn"}
    assert guarded.unfit(second) == {"promotion.superseded"}


def test_a_lock_is_of_the_registry_and_not_of_its_spelling(guarded: Guarded) -> None:
    one, two = (
        guarded.desk("promotion"),
        replace(guarded.desk("promotion"), registry=spelt(guarded, f"http://localhost:{port(guarded)}/")),
    )
    assert one.lock_name(guarded.model) == two.lock_name(guarded.model)


def test_evidence_that_was_signed_under_another_spelling_still_counts(guarded: Guarded) -> None:
    version = guarded.server.register(guarded.model)
    old = replace(guarded.registry.subject(version), registry=f"http://localhost:{port(guarded)}")
    guarded._subjects[version.version] = old
    guarded.attest("registration", ProvenanceStatement(old, guarded.context(), (TRAINING_DATA,), ("tom",)))
    guarded.validate()
    guarded.judge(version)
    guarded.weigh(version)
    guarded.approve(version)
    guarded.promote(version)
    (moved,) = only(collect(guarded.ledger.walk(), guarded.trust, kind="promotion")[0], PromotionStatement)
    assert moved.subject.registry == f"http://127.0.0.1:{port(guarded)}"
    assert guarded.explain(guarded.now(version)).allowed


def test_a_registry_with_a_name_of_its_own_refuses_every_other(guarded: Guarded, tmp_path: Path) -> None:
    urls = f"[http://127.0.0.1:{port(guarded)}, https://mlflow.bank.example]"
    guarded.policy_file.write_text(f"registry_id: bank\nregistry_urls: {urls}\n{guarded.policy_file.read_text()}")
    identity = load_policy(guarded.policy_file).registry
    assert identity is not None
    named = MlflowRegistry(guarded.server.url, guarded.server.username, guarded.server.password, identity=identity)
    assert named.uri == "bank"
    with raises_code(ConfigurationError, "registry.other"):
        MlflowRegistry(f"sqlite:///{tmp_path}/mine.db", identity=identity)
    version = guarded.green()
    guarded.promote(version, registry=named)
    assert (
        build_case(replace(guarded.desk("promotion"), registry=named), version, "production").model.registry == "bank"
    )
    guarded.weigh(version, ratio=0.5)
    reasons = explain(named, guarded.now(version), guarded.ledger, guarded.trust).reasons
    assert [code for code, _ in reasons] == ["gate.failed_since"]
    with raises_code(ConfigurationError, "registry.no_address"):
        RegistryIdentity.named("bank")


HERE = "http://127.0.0.1:5000"
SPELLINGS = {
    HERE: [
        "http://localhost:5000", "http://[::1]:5000", "HTTP://LOCALHOST:5000/", "http://localhost.:5000", "http://127.1:5000",
        "http://0x7f.0.0.1:5000", "http://2130706433:5000", "http://[::ffff:127.0.0.1]:5000", "http://user:pa/ss@127.0.0.1:5000",
        "http://localhost:5000//", "http://localhost:5000/./", "http://%6cocalhost:5000", "http://127.0.0.1:05000",
        "http://\uff11\uff12\uff17.0.0.1:5000", "http://0.0.0.0:5000", "http://localhost:5000?x#y",
        " http://localhost:5000 ",
    ],
    "https://mlflow.bank.example/api": [
        "https://MLflow.Bank.example:443/api/", "https://mlflow.bank.example./x/../api", "https://mlflow.bank.example/%61pi",
        "https://mlflow\u3002bank.example/api",
    ],
    "https://xn--bcher-kva.example": ["https://b\u00fccher.example", "https://B\u00dcCHER.example/"],
    "http://[2001:db8::1]:5000": ["http://[2001:DB8:0:0::1]:5000/"],
    "postgresql://db/mlflow": ["postgresql+psycopg2://u:p@DB:5432/mlflow", "postgresql://db/mlflow?sslmode=off"],
}  # fmt: skip


@pytest.mark.parametrize("plain", SPELLINGS)
def test_every_spelling_is_one(plain: str) -> None:
    assert {one_spelling(spelling) for spelling in (plain, *SPELLINGS[plain])} == {plain}


@pytest.mark.parametrize(
    "other", ["http://127.0.0.1:5001", "https://localhost:5000", "http://localhost:5000/x", "http://a"]
)
def test_what_is_elsewhere_is_another(other: str) -> None:
    assert one_spelling(other) != HERE


@pytest.mark.parametrize(
    "text", ["http://h:99999", "http://[bad", "", "http://", "databricks", "x:y", "http://a:b:c/d", "\u0000"]
)
def test_what_is_no_address_is_no_error(text: str) -> None:
    assert one_spelling(one_spelling(text)) == one_spelling(text)
