"""May this model go to this target? Rego over verified evidence, policy and request; whatever goes wrong is a no.

Reads no task state, no XCom and no MLflow tag: only evidence that ``evidence.verification`` has verified.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from airflow_mlgov.evidence.digests import canonical_json, hash_json
from airflow_mlgov.evidence.verification import Evidence, Unverified
from airflow_mlgov.governance.policy import GovernancePolicy, ModelPolicy
from airflow_mlgov.results import Subject

_PACKAGE = "data.mlgov.promotion"


@dataclass(frozen=True)
class Request:
    """Who wants what moved where."""

    model: Subject
    target: str
    environment: str
    requesters: tuple[str, ...] = ()
    """User names that asked for it: who triggered the run."""
    champion: str | None = None
    """The version that holds the target now, if it is another one: comparisons with it may not be left out."""
    rollback_problem: str | None = None
    """Why the champion would not do as the version to go back to; None where it would, or where there is none."""


@dataclass(frozen=True)
class Decision:
    """The answer, with all that it rests on."""

    allowed: bool
    reasons: tuple[tuple[str, str], ...]
    """``(code, message)`` for each thing that is missing or wrong; empty where allowed."""
    relied_on: tuple[Evidence, ...]
    needed: tuple[str, ...]
    """SHA-256 of the newest envelope of each required gate: what an approver has to be shown."""
    input: Mapping[str, Any]
    rules_digest: str

    @property
    def document(self) -> dict[str, Any]:
        """What a replay needs: who asked, and the digests that must come out the same."""
        return {
            "requesters": self.input["request"]["requesters"],
            "champion": self.input["request"]["champion"],
            "input_sha256": hash_json(self.input),
            "rules_sha256": self.rules_digest,
        }


def decide(
    request: Request,
    policy: GovernancePolicy,
    evidence: Sequence[Evidence],
    unverified: Sequence[Unverified] = (),
    now: datetime | None = None,
) -> Decision:
    """Evaluate ``data.mlgov.promotion.deny``.

    Undefined, no rules, an engine error or a panic: deny, with the reason ``engine.error``.

    :raises ConfigurationError: the policy does not govern the model or has no such target
    """
    document = decision_input(request, policy, evidence, unverified, now or datetime.now(UTC))
    rules = (files("airflow_mlgov.governance") / "rego" / "promotion.rego").read_text()
    reasons, needed = _evaluate(rules, document)
    wanted = set(policy.model(request.model.name).target(request.target).requires)
    relied = [item for item in evidence if item.kind in ("provenance", "approval") or item.gate in wanted]
    return Decision(not reasons, reasons, tuple(relied), needed, document, hash_json(rules))


def decision_input(
    request: Request,
    policy: GovernancePolicy,
    evidence: Sequence[Evidence],
    unverified: Sequence[Unverified],
    now: datetime,
) -> dict[str, Any]:
    """The JSON document that the rules see. Times are nanoseconds since 1970 and RFC 3339."""
    model, target = policy.model(request.model.name), policy.model(request.model.name).target(request.target)
    return {
        "now": now.isoformat(),
        "now_ns": _ns(now),
        "request": {
            "model": request.model.name,
            "version": request.model.version,
            "digest": request.model.digest,
            "registry": request.model.registry,
            "environment": request.environment,
            "target": request.target,
            "requesters": sorted(request.requesters),
            "champion": request.champion,
            "rollback_problem": request.rollback_problem,
        },
        "policy": {
            "sha256": policy.digest,
            "requires": list(target.requires),
            "max_age_ns": int(model.max_age.total_seconds()) * 10**9,
            "rollback_required": target.rollback_required,
            "suite_sha256": policy.suite_digest(request.model.name),
            "bounds": [bound for gate in ("performance", "fairness") for bound in _bounds(model, gate)],
            "approvals": {
                "count": target.approvals,
                "from": sorted(target.approvers),
                "not": list(target.excluded),
            },
        },
        "evidence": [_evidence_input(item) for item in evidence],
        "unverified": [{"seq": item.seq, "kind": item.kind, "problem": item.problem} for item in unverified],
    }


def _bounds(model: ModelPolicy, gate: str) -> list[dict[str, Any]]:
    """Each bound with the name of the check that must have been held against it."""
    found = []
    features = model.settings(gate).get("sensitive_features", ())
    for metric, bound in model.bounds(gate).items():
        low, high = bound.get("min", bound.get("min_change")), bound.get("max", bound.get("max_change"))
        text = " and ".join(f"{sign} {end:g}" for sign, end in ((">=", low), ("<=", high)) if end is not None)
        names = [f"{metric}[{feature}]" for feature in features] if gate == "fairness" else [metric]
        for name in names:
            found.append(
                {
                    "gate": gate,
                    "check": name,
                    "min": low,
                    "max": high,
                    "relative": metric.endswith("_vs_champion"),
                    "severity": bound.get("severity", "critical"),
                    "text": text,
                }
            )
    return found


def _evidence_input(item: Evidence) -> dict[str, Any]:
    ours = item.ours
    document = {
        "seq": item.seq,
        "sha256": item.sha256,
        "kind": item.kind,
        "digest": item.digest,
        "name": ours["subject"]["name"],
        "registry": ours["subject"]["registry"],
        "environment": ours["environment"],
        "issued_at_ns": _ns(item.issued_at),
        "expires_at_ns": _ns(item.expires_at),
    }
    if item.kind == "gate":
        document |= {
            "gate": ours["gate"],
            "verdict": ours["verdict"],
            "checks": ours["checks"],
            "suite_sha256": ours["details"].get("suite_sha256"),
        }
    elif item.kind == "provenance":
        document |= {"trainers": ours["trainers"], "datasets": ours["datasets"]}
    elif item.kind == "approval":
        predicate = item.predicate
        document |= {
            "target": predicate["target"],
            "approver": predicate["approver"]["name"],
            "answer": predicate["answer"],
            "reason": predicate["reason"],
            "shown": predicate["shown"],
        }
    return document


def _evaluate(rules: str, document: Mapping[str, Any]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The reasons to deny, and the envelopes that an approver has to be shown."""
    try:
        import regorus

        engine = regorus.Engine()
        engine.add_policy("promotion.rego", rules)
        engine.set_input_json(canonical_json(document).decode())
        count, denied, needed = (
            json.loads(engine.eval_rule_as_json(f"{_PACKAGE}.{rule}")) for rule in ("rules", "deny", "needed")
        )
        if not isinstance(count, int) or count < 1 or not isinstance(denied, list):
            return (("engine.error", "the rules evaluated to nothing"),), ()
        return tuple(sorted((item["code"], item["message"]) for item in denied)), tuple(sorted(needed))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a Rust panic is no Exception; any of them must deny
        cause = str(error).strip().split("\n", 1)[0]
        return (("engine.error", f"the rules could not be evaluated: {type(error).__name__}: {cause}"),), ()


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000
