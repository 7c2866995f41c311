"""Reports about the fleet."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_mlgov.board.judging import Bench
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.reports.document import Report, make_report
from airflow_mlgov.reports.frameworks import framework
from airflow_mlgov.reports.matter import find
from tests.worlds.fleet import Fleet


@pytest.fixture(scope="session")
def bench(fleet: Fleet) -> Bench:
    """What they are judged from."""
    trust, policy = TrustRoot.load(fleet.folder / "trust.json"), load_policy(fleet.policy_file)
    return Bench(fleet["credit_risk"].ledger.walk(), trust, policy, datetime.now(UTC))


@pytest.fixture(scope="session")
def report(bench: Bench, fleet: Fleet) -> Callable[..., Report]:
    """A report about one of them."""

    def made(name: str, of: str = "eu-ai-act", version: str | None = None, **given: Any) -> Report:
        return make_report(framework(of), find(bench, fleet[name].model, version), **given)

    return made
