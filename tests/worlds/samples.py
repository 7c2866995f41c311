"""The fixed inputs behind the golden files: samples of every kind of statement, gates over small files, the decision's
input. Nothing here may depend on the clock, on the machine or on versions of libraries."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow_mlgov.evidence import statements as st
from airflow_mlgov.evidence.digests import canonical_json, parse_json
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.verification import Evidence, Unverified, verify_envelope
from airflow_mlgov.governance.decision import Request, decision_input
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity, Subject

HERE = Path(__file__).parents[1] / "golden"
MODEL = Subject("model", "credit_risk", "a" * 64, "3", "http://mlflow")
DATA = Subject("dataset", "train.csv", "d" * 64)
SHA = "b" * 64
NOW = datetime(2026, 11, 2, 8, 30, 15, 250_000, tzinfo=UTC)
CONTEXT = st.Context(
    "prod",
    {"uri": "mlgov.yaml", "sha256": SHA},
    {"dag_id": "retrain", "run_id": "manual__1", "task_id": "gate", "try_number": 1, "map_index": -1},
    NOW,
    timedelta(days=90),
)
OLGA = st.Person("1", "Olga ")


def typed(text: str) -> st.Typed:
    """A text with a salt that is the same each time."""
    return st.Typed.of(text, bytes(32))


TERMS = st.Terms(
    gate="fairness",
    check="demographic_parity_ratio[sex]",
    target="production",
    observed=0.7,
    min=0.65,
    max=None,
    reason=typed("few applicants in August"),
    ticket=typed("RISK-7"),
    risk_owner="olga",
    requesters=("Rita",),
    expires="2026-11-20T00:00:00+00:00",
)
_OWED = st.OwedAudit(
    id="0123456789abcdef",
    kind="waiver",
    grounds=SHA,
    gate="fairness",
    check="demographic_parity_ratio[sex]",
    due=datetime(2026, 11, 9, 8, 30, 15, tzinfo=UTC),
    expires=datetime(2026, 11, 20, tzinfo=timezone(timedelta(hours=1))),
)


def _data() -> st.Signed:
    checks = (
        Check("row_count", Outcome.PASS, 600, Bound(min=1)),
        Check("expect_column_values_to_not_be_null(income)", Outcome.FAIL, 0.01, "every value", Severity.WARNING, "6"),
    )
    details = {"suite": "applications", "rows": 600, "columns": ["income", "sex"]}
    drift = {"drift": {"reference": "train.csv", "psi": {"max": 0.2}}}
    inputs = (Subject("suite", "suite.json", SHA),)
    result = GateResult(
        "data_validation", DATA, checks, inputs, details, {"duckdb": "2.0"}, NOW, {"r": "/tmp/r.html"},
        suite_digest=SHA, dataset_checks=drift,
    )  # fmt: skip
    return st.GateStatement.of(result, CONTEXT)


def _performance() -> st.Signed:
    checks = (
        Check("roc_auc", Outcome.PASS, 0.8125, Bound(min=0.75, source="mlgov.yaml:14"), values={"low": 0.79}),
        Check("roc_auc_vs_champion", Outcome.INCONCLUSIVE, math.nan, Bound(min=-0.01), detail="no rows in common"),
        Check("accuracy", Outcome.PASS, 0.9, severity=Severity.INFO),
    )
    inputs = (Subject("dataset", "scored.csv", "c" * 64),)
    result = GateResult(
        "performance", MODEL, checks, inputs, {"task": "binary"}, {}, NOW, evaluation_digest="e" * 64,
        settings={"decide": "point", "confidence": 0.95, "min_slice_size": 30},
    )  # fmt: skip
    return st.GateStatement.of(result, CONTEXT)


def _fairness() -> st.Signed:
    check = Check("demographic_parity_ratio[sex]", Outcome.FAIL, 0.7, Bound(0.8, 1.25), values={"rates": {"f": 0.35}})
    settings = {"decide": "interval", "min_group_size": 30}
    result = GateResult("fairness", MODEL, (check,), started_at=NOW, settings=settings, evaluation_digest="e" * 64)
    return st.GateStatement.of(result, CONTEXT)


STATEMENTS: dict[str, Callable[[], st.Signed]] = {
    "gate_data_validation": _data,
    "gate_performance": _performance,
    "gate_fairness": _fairness,
    "provenance": lambda: st.ProvenanceStatement(
        MODEL, CONTEXT, (DATA,), ("Tom", "rita"), {"run_id": "r", "name": "n"}
    ),
    "approval": lambda: st.ApprovalStatement(
        MODEL, CONTEXT, "production", OLGA, True, typed("looked at it"), (SHA, "a" * 64), NOW, ("f" * 64,),
        ("Rita", "Rita"),
    ),
    "decision": lambda: st.DecisionStatement(
        MODEL, CONTEXT, "production", allowed=True, reasons=(), inputs={"ledger:2@b": SHA, "ledger:1@a": "a" * 64},
        document=st.DecisionDocument({"now": NOW.isoformat()}, SHA, "f" * 64), verifier="airflow_mlgov",
        waived=({"gate": "fairness", "check": "c", "observed": 0.7, "waiver": SHA},),
        excused=(("rollback.missing", "m"),),
    ),
    "decision_refused": lambda: st.DecisionStatement(
        MODEL, CONTEXT, "production", allowed=False, reasons=(("gate.not_passed", "the newest is FAIL"),), inputs={},
        document=st.DecisionDocument({}, SHA, SHA), verifier="airflow_mlgov",
    ),
    "intent": lambda: st.IntentStatement(
        MODEL, CONTEXT, target="production", action="promote", state="opened", grounds=SHA,
        before={"stage": ["2"], "alias": "2"}, after={"stage": "Production", "alias": "champion"},
    ),
    "promotion": lambda: st.PromotionStatement(
        MODEL, CONTEXT, target="production", action="rollback", decision=SHA, intent="a" * 64, replaces="2",
        moved={"stage": None, "alias": "2"}, reason=typed("complaints"), obligations=(_OWED,),
        checkpoint={"origin": "o", "size": 1, "head": SHA, "root": SHA},
    ),
    "policy": lambda: st.PolicyStatement.of(SHA, {"mlgov.yaml": "version: 1", "own.rego": "package a"}, CONTEXT),
    "incident": lambda: st.IncidentStatement(
        MODEL, CONTEXT, code="alias.moved", target="production", state="open", message="m", expected="1",
        observed=None, action="none",
    ),
    "checkpoint": lambda: st.CheckpointStatement.of("mlgov-ledger/0123456789abcdef", 7, SHA, "f" * 64, CONTEXT),
    "waiver": lambda: st.WaiverStatement(MODEL, CONTEXT, TERMS, "signed", OLGA, typed("acceptable for a month")),
    "emergency": lambda: st.EmergencyStatement(
        MODEL, CONTEXT, "production", OLGA, typed("fraud wave"), NOW + timedelta(hours=12)
    ),
    "audit": lambda: st.AuditStatement(
        MODEL, CONTEXT, "production", "0123456789abcdef", Outcome.PASS, within_waiver=("c",),
        results=(st.Audited("fairness", Outcome.FAIL, (Check("c", Outcome.FAIL, 0.7, Bound(0.8)),), (DATA,)),),
    ),
}  # fmt: skip
"""Name of a golden file -> the statement as it is made today."""
LATER: dict[str, Callable[[], st.Signed]] = {
    "quarantine": lambda: st.QuarantineStatement.of(
        7, SHA, "signed by a stranger", OLGA, typed("a test of 2025"), CONTEXT
    ),
    "erasure": lambda: st.ErasureStatement(
        Subject("ledger", "ledger:5", typed("looked at it").sha256), CONTEXT, entry=5, entry_sha256=SHA, text="reason",
        ground="request", person=OLGA, reason=typed("asked for on paper"),
    ),
    "report": lambda: st.ReportStatement(
        MODEL, CONTEXT, "annex-iv", SHA, "production", "text/html", "d" * 64, {"missing": 3, "fresh": 9}, OLGA
    ),
    "observation": lambda: st.ObservationStatement.of(
        CONTEXT, "task.marked", "success", "FairnessGateOperator", (OLGA,), NOW
    ),
    "audit_owing": lambda: st.AuditStatement(
        MODEL, CONTEXT, "production", "monitoring", Outcome.FAIL, (),
        obligations=(st.OwedAudit.of("monitoring", SHA, NOW, NOW),),
    ),
    "provenance_shipped": lambda: st.ProvenanceStatement(
        MODEL, CONTEXT, (DATA,), ("Tom",), {"run_id": "r"}, place="s3://models/credit/7",
        images=(Subject("image", "registry.example/credit", SHA),),
    ),
}  # fmt: skip
"""Kinds, and parts of them, that came into a form after its golden files were signed."""
WITHOUT_ZONE = ("waiver_without_zone", "emergency_without_zone")
"""Of form 1 alone: dates that a later form refuses."""


def shipped(form: int) -> dict[str, Evidence]:
    """Every statement of a form that was shipped, verified from its golden envelope."""
    folder = HERE / f"form{form}"
    trust = TrustRoot.load(folder / "trust.json")
    envelopes = [
        (path.name.removesuffix(".dsse.json"), path.read_text()) for path in sorted(folder.glob("*.dsse.json"))
    ]
    return {
        name: verify_envelope(text, trust, seq, f"{seq:064x}") for seq, (name, text) in enumerate(envelopes, start=1)
    }


def input_of_the_rules() -> dict[str, Any]:
    """The decision's input over what was shipped in every form."""
    evidence = [item for form in st.FORMS for item in shipped(form).values()]
    evidence = [replace(item, seq=seq, sha256=f"{seq:064x}") for seq, item in enumerate(evidence, start=1)]
    request = Request(MODEL, "production", "prod", ("Rita", "tom "), "2", 1, 2, "version 2 does not hold")
    policy = load_policy(HERE / "mlgov.yaml")
    unverified = [Unverified(99, "gate", "signed by a key for fairness, which may not sign for performance")]
    return decision_input(request, policy, evidence, unverified, NOW + timedelta(hours=1), evidence)


# -- gates over small files -------------------------------------------------------------------------------------------


def write_data(folder: Path) -> None:
    """Small files without a random number."""
    scored = [
        {
            "id": i,
            "approve": int((i * 7) % 10 < 5),
            "score": round(((i * 7) % 10 < 5) * 0.3 + ((i * 37) % 100) / 150, 4),
            "sex": "female" if i % 2 else "male",
            "race": ("a", "b", "c")[i % 3],
        }
        for i in range(400)
    ]
    champion = [{**row, "score": round(1 - ((i * 53) % 100) / 100, 4)} for i, row in enumerate(scored)]
    train = [
        {"income": 1000 + (i * 311) % 9000, "sex": "female" if i % 2 else "male", "approve": int(i % 3 == 0)}
        for i in range(300)
    ]
    later = [{**row, "income": row["income"] + 500} for row in train]
    for name, rows in {"scored": scored, "champion": champion, "train": train, "later": later}.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _judge_data() -> GateResult:
    from airflow_mlgov.gates.data_validation import validate_data

    return validate_data("train.csv", "../suite.json")


def _judge_data_and_drift() -> GateResult:
    from airflow_mlgov.gates.data_validation import validate_data

    drift = {"reference": "train.csv", "psi": {"max": 0.2}}
    return validate_data("later.csv", "../suite.json", checks={"drift": drift})


def _judge_performance() -> GateResult:
    from airflow_mlgov.gates.performance import evaluate_performance

    bounds = {"roc_auc": {"min": 0.6}, "accuracy_worst_slice": {"min": 0.4}, "roc_auc_vs_champion": {"min_change": 0}}
    return evaluate_performance(
        "scored.csv", subject=MODEL, label="approve", score="score", bounds=bounds, baseline="champion.csv",
        row_id="id", slices=["sex", "race"],
    )  # fmt: skip


def _judge_fairness() -> GateResult:
    from airflow_mlgov.gates.fairness import evaluate_fairness

    bounds = {"demographic_parity_ratio": {"min": 0.8}, "roc_auc_difference": {"max": 0.2}}
    return evaluate_fairness(
        "scored.csv", subject=MODEL, label="approve", score="score", bounds=bounds, sensitive_features=["sex", "race"]
    )


GATES: dict[str, Callable[[], GateResult]] = {
    "data_validation": _judge_data,
    "data_validation_drift": _judge_data_and_drift,
    "performance": _judge_performance,
    "fairness": _judge_fairness,
}
"""Name of a golden file -> a gate's result; run in the folder ``data``."""


def evidence_of(name: str) -> dict[str, Any]:
    """A gate's statement as JSON, less what differs from run to run and from release to release of a library."""
    statement: dict[str, Any] = parse_json(canonical_json(st.GateStatement.of(GATES[name](), CONTEXT).as_json()))
    ours = statement["predicate"]["mlgov"]
    del ours["startedAt"]
    ours["libraries"] = sorted(ours["libraries"])
    return rounded(statement)


def rounded(value: Any) -> Any:
    """Floats to nine significant digits: the last ones are the processor's."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


def differences(left: Any, right: Any, where: str = "") -> Iterator[str]:
    """Where two JSON values differ, for a message that a person can read."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted({*left, *right}):
            yield from differences(left.get(key), right.get(key), f"{where}/{key}")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, (mine, theirs) in enumerate(zip(left, right, strict=True)):
            yield from differences(mine, theirs, f"{where}/{number}")
    elif left != right:
        yield f"{where}: {left!r} became {right!r}"
