from datetime import UTC, datetime
from pathlib import Path

import pytest
from securesystemslib.signer import Signer

from airflow_mlgov.evidence.ledger import Ledger, open_ledger
from airflow_mlgov.evidence.signing import open_signer, sign_statement
from airflow_mlgov.evidence.statements import Context, gate_statement
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Subject
from tests.fixtures.postgres import PASSWORD


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return open_signer(f"local:{tmp_path / 'key.pem'}")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def make_statement(gate: str = "fairness", outcome: Outcome = Outcome.PASS, digest: str = "a" * 64, **context) -> dict:
    subject = Subject("model", "credit_risk", digest, "3", "http://mlflow")
    checks = (Check("demographic_parity_ratio[sex]", outcome, 0.9, Bound(min=0.8)),)
    context.setdefault("issued_at", datetime.now(UTC))
    return gate_statement(GateResult(gate, subject, checks), Context("test", **context))


@pytest.fixture
def statement() -> dict:
    return make_statement()


@pytest.fixture
def envelope(statement: dict, signer: Signer) -> str:
    return sign_statement(statement, signer)


@pytest.fixture
def postgres_url(postgres: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(postgres).set(password=PASSWORD).render_as_string(hide_password=False)
