from pathlib import Path

import pytest
from securesystemslib.signer import Signer

from airflow_mlgov.evidence.ledger import Ledger, open_ledger
from airflow_mlgov.evidence.signing import open_signer, sign_statement
from tests.fixtures.postgres import PASSWORD
from tests.worlds.statements import make_statement


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return open_signer(f"local:{tmp_path / 'key.pem'}", make_key=True)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.fixture
def statement() -> dict:
    return make_statement().as_json()


@pytest.fixture
def envelope(statement: dict, signer: Signer) -> str:
    return sign_statement(statement, signer)


@pytest.fixture
def postgres_url(postgres: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(postgres).set(password=PASSWORD).render_as_string(hide_password=False)
