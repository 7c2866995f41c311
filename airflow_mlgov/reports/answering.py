"""A person answers for a report: its digest, dated and signed, in the ledger. What Annex IV, 2(g) asks of logs and
reports."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.signing import TrustRoot, refuse_local
from airflow_mlgov.evidence.statements import Context, Person, ReportStatement
from airflow_mlgov.reports.document import Report
from airflow_mlgov.reports.rendering import MEDIA_TYPES

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from airflow_mlgov.evidence.chain import Entry
    from airflow_mlgov.evidence.ledger import Ledger


def answer_for(
    report: Report,
    form: str,
    content: bytes,
    ledger: Ledger,
    trust: TrustRoot,
    signer: Signer,
    context: Context,
    name: str,
) -> Entry:
    """Sign a document's digest into the ledger.

    :param form: which of the formats the document is of
    :param content: its bytes
    :param name: who answers for it
    :raises ConfigurationError: nobody is named, or the trust root does not have who signs
    """
    if not name.strip():
        raise ConfigurationError("somebody answers for a report: name a person (--person)", code="report.person")
    policy = report.matter.bench.policy
    refuse_local(signer, context.environment, policy.production if policy else ())
    trust.require_signer(signer, ReportStatement.duty, context.issued_at)
    statement = ReportStatement(
        report.matter.model,
        context,
        framework=report.framework.name,
        framework_sha256=report.framework.sha256,
        target=report.matter.standing.target,
        media_type=MEDIA_TYPES[form],
        document_sha256=sha256(content).hexdigest(),
        states={state.word: count for state, count in report.counts.items()},
        person=Person(name, name),
    )
    return ledger.attest(statement, signer)
