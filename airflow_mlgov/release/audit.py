"""An audit that was owed: closed, for good or bad, by what the gates say of the version on live data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.statements import Audited, AuditStatement, Context, Terms, WaiverStatement
from airflow_mlgov.evidence.verification import Evidence, only
from airflow_mlgov.release.obligations import Obligation
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from airflow_mlgov.evidence.chain import Entry
    from airflow_mlgov.evidence.ledger import Ledger


def record_audit(
    obligation: Obligation,
    results: Sequence[GateResult],
    *,
    evidence: Sequence[Evidence],
    ledger: Ledger,
    signer: Signer,
    context: Context,
) -> tuple[Outcome, Entry]:
    """Close an obligation by what the gates say on live data.

    PASS where every critical check passes, or is the waived one and stays within the waived bound; everything else
    fails the audit. A break-glass takes every gate's pass.

    :param evidence: all that verifies about the model, for the waiver's terms
    :raises ConfigurationError: a gate was not run that the audit has to run, see :attr:`Obligation.gates`
    """
    missing = sorted(obligation.gates - {result.gate for result in results})
    if missing or not results:
        raise ConfigurationError(
            f"the audit {obligation.id} needs the gate {' and the gate '.join(missing) or 'that was passed by'}: give "
            "data={gate: path} for it",
            code="audit.gate_missing",
        )
    signed = [item.statement.terms for item in only(evidence, WaiverStatement)]
    terms = next((item for item in signed if item.sha256 == obligation.exception), None)
    within = []
    verdict = Outcome.PASS
    for result in results:
        bad = [c for c in result.checks if c.severity is Severity.CRITICAL and c.outcome is not Outcome.PASS]
        for check in bad:
            if result.gate == obligation.gate and check.name == obligation.check and _within(check, terms):
                within.append(check.name)
            else:
                verdict = Outcome.FAIL
        if not bad and result.verdict is not Outcome.PASS:
            verdict = Outcome.FAIL
    audited = tuple(Audited.of(result) for result in results)
    statement = AuditStatement(
        obligation.model, context, obligation.target, obligation.id, verdict, audited, tuple(within)
    )
    return verdict, ledger.attest(statement, signer)


def _within(check: Check, terms: Terms | None) -> bool:
    """Whether a value stays within what was waived; a side that was not stretched is held to the check's own bound."""
    observed, own = check.observed, check.bound if isinstance(check.bound, Bound) else None
    if terms is None or isinstance(observed, bool) or not isinstance(observed, int | float):
        return False
    low = own.min if terms.min is None and own else terms.min
    high = own.max if terms.max is None and own else terms.max
    return (low is None or observed >= low) and (high is None or observed <= high)
