"""A gate's statement, as tests of the ledger and of signatures need one."""

from datetime import UTC, datetime

from airflow_mlgov.evidence.statements import Context, GateStatement
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Subject


def make_statement(
    gate: str = "fairness", outcome: Outcome = Outcome.PASS, digest: str = "a" * 64, **context
) -> GateStatement:
    subject = Subject("model", "credit_risk", digest, "3", "http://mlflow")
    checks = (Check("demographic_parity_ratio[sex]", outcome, 0.9, Bound(min=0.8)),)
    context.setdefault("issued_at", datetime.now(UTC))
    return GateStatement.of(GateResult(gate, subject, checks), Context("test", **context))
