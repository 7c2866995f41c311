"""A model's evidence, statement by statement, and the decision about it: no registry, no server."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_mlgov.evidence.digests import hash_file
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer, sign_statement
from airflow_mlgov.evidence.statements import ApprovalStatement, Context, GateStatement, Person, ProvenanceStatement
from airflow_mlgov.evidence.verification import collect
from airflow_mlgov.governance.decision import Decision, Request, decide
from airflow_mlgov.governance.policy import GovernancePolicy
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Subject

MODEL = Subject("model", "credit_risk", "a" * 64, "3", "http://mlflow")


DATA = Subject("dataset", "train.csv", "d" * 64)
SERVICE = Subject("dataset", "feast:credit/scoring", "f" * 64)
FIELDS = ("settings", "suite_digest", "evaluation_digest", "dataset_checks")


REQUEST = Request(MODEL, "production", "prod", ("rita",))


@dataclass
class Story:
    """Signs statements into a ledger and asks for decisions."""

    folder: Path
    policy: GovernancePolicy

    def __post_init__(self) -> None:
        self.signer = open_signer(f"local:{self.folder / 'key.pem'}", make_key=True)
        self.ledger = open_ledger(f"sqlite:///{self.folder / 'ledger.db'}")
        self.trust = TrustRoot().with_key(self.signer.public_key, duties())

    def sign(self, statement: dict[str, Any]) -> str:
        return self.ledger.append(sign_statement(statement, self.signer)).envelope_sha256

    def context(self, **change: Any) -> Context:
        return Context(**{"environment": "prod", "policy": self.policy.descriptor(), **change})

    def provenance(
        self,
        datasets: tuple[Subject, ...] = (DATA,),
        trainers: tuple[str, ...] = ("tom",),
        feature_services: tuple[Subject, ...] = (),
        **change: Any,
    ) -> str:
        made = ProvenanceStatement(MODEL, self.context(**change), datasets, trainers, {"run_id": "r"}, feature_services)
        return self.sign(made)

    def gate(self, gate: str, *checks: Check, subject: Subject = MODEL, **change: Any) -> str:
        said = {name: change.pop(name) for name in FIELDS if name in change}
        return self.sign(GateStatement.of(GateResult(gate, subject, checks, **said), self.context(**change)))

    def data(self, outcome: Outcome = Outcome.PASS, **change: Any) -> str:
        change.setdefault("suite_digest", hash_file(self.policy.path.parent / "suite.json"))
        return self.gate("data_validation", Check("row_count", outcome, 10, Bound(min=1)), subject=DATA, **change)

    def performance(self, auc: float = 0.8, **change: Any) -> str:
        relative = Check("roc_auc_vs_champion", Outcome.PASS, 0.0, Bound(min=-0.01))
        outcome = Bound(min=0.75).judge(auc)
        return self.gate("performance", Check("roc_auc", outcome, auc, Bound(min=0.75)), relative, **change)

    def fairness(self, ratio: float = 0.9, **change: Any) -> str:
        bound = change.pop("bound", Bound(0.8, 1.25))
        change.setdefault("settings", {"min_group_size": 30})
        check = Check("demographic_parity_ratio[sex]", bound.judge(ratio), ratio, bound)
        return self.gate("fairness", check, **change)

    def approve(self, by: str = "olga", approved: bool = True, shown: list[str] | None = None, **change: Any) -> str:
        return self.sign(
            ApprovalStatement(
                MODEL,
                self.context(**change),
                target="production",
                approver=Person(by, by),
                approved=approved,
                reason="looked at it",
                shown=tuple(self.decide().needed if shown is None else shown),
                answered_at=datetime.now(UTC),
            )
        )

    def all_green(self) -> None:
        self.provenance()
        self.data()
        self.performance()
        self.fairness()
        self.approve()

    def decide(self, request: Request = REQUEST) -> Decision:
        good, bad = collect(self.ledger.walk(), self.trust, [MODEL.digest, DATA.digest, SERVICE.digest])
        return decide(request, self.policy, good, bad)

    def codes(self, request: Request = REQUEST) -> set[str]:
        return {code for code, _ in self.decide(request).reasons}
