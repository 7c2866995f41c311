"""A governed model whose candidate fails one check by a little, and the people who sign for it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airflow_mlgov.evidence.chain import Entry
from airflow_mlgov.evidence.statements import Person, Terms
from airflow_mlgov.evidence.verification import collect
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.audit import record_audit
from airflow_mlgov.release.case import Case, build_case
from airflow_mlgov.release.enforcement import Enforcement, enforce
from airflow_mlgov.release.obligations import Obligation, list_obligations
from airflow_mlgov.release.waivers import draft_terms, sign_waiver
from airflow_mlgov.results import Bound, Check, GateResult, Outcome
from tests.worlds.governed import Governed

EXCEPTIONS = """\
        waivers: {max_days: 30, signers: 2, from: [olga, omar, tom, rita], audit_within: 14d}
        break_glass: {from: [olga], max_hours: 24, audit_within: 2d}
"""


CHECK = "roc_auc"


class Exceptions:
    """A governed model whose candidate fails one check by a little, and the people around it."""

    def __init__(self, governed: Governed) -> None:
        self.governed = governed
        governed.policy_file.write_text(governed.policy_file.read_text() + EXCEPTIONS)
        self.version = governed.register()
        governed.judge(self.version, auc=0.72)

    def case(self, version: ModelVersion | None = None, requesters: tuple[str, ...] = ("rita",)) -> Case:
        return build_case(self.governed.desk("waiver"), version or self.version, "production", requesters)

    def terms(self, least: float = 0.7, days: int = 14, **change: Any) -> Terms:
        given: dict[str, Any] = {
            "gate": "performance",
            "check": CHECK,
            "stretch": {"min": least},
            "reason": "the rival has left the market",
            "ticket": "RISK-7",
            "risk_owner": "head of retail",
            "requesters": ("rita",),
            "lifetime": timedelta(days=days),
            "now": self.governed.context().issued_at,
        }
        return draft_terms(self.case(), **{**given, **change})

    def act(self, what: Callable[..., Entry], terms: Terms, who: str, **context: Any) -> Entry:
        return what(self.governed.desk("waiver", **context), self.case(), terms, Person(who, who), "discussed")

    def sign(self, terms: Terms, *who: str, **context: Any) -> None:
        for name in who:
            self.act(sign_waiver, terms, name, **context)

    def waived(self, **change: Any) -> Terms:
        terms = self.terms(**change)
        self.sign(terms, "olga", "omar")
        return terms

    def codes(self, version: ModelVersion | None = None) -> set[str]:
        return {code for code, _ in self.case(version).decision.reasons}

    def obligations(self, **later: float) -> list[Obligation]:
        g = self.governed
        return list_obligations(g.ledger.walk(), g.trust, g.context().issued_at + timedelta(**later), g.model)

    def audit(self, auc: float, gate: str = "performance") -> Outcome:
        g, (owed,) = self.governed, self.obligations()
        checks = (Check(CHECK, Bound(min=0.75).judge(auc), auc, Bound(min=0.75)),)
        verdict, _ = record_audit(
            owed,
            [GateResult(gate, owed.model, checks)],
            evidence=collect(g.ledger.walk(), g.trust, [owed.model.digest])[0],
            ledger=g.ledger,
            signer=g.signer("audit"),
            context=g.context(),
        )
        return verdict

    def enforce(self, **later: float) -> Enforcement:
        moment = self.governed.context().issued_at + timedelta(**later)
        return enforce(self.governed.desk("promotion", issued_at=moment), warn_within=timedelta(days=3))
