"""The decisions of the past, made again: from the input, the policy and the rules that they were made from, or from the
same input under another policy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.digests import hash_json
from airflow_mlgov.evidence.statements import DecisionStatement, PolicyStatement
from airflow_mlgov.evidence.verification import Evidence
from airflow_mlgov.governance.decision import (
    SHIPPED,
    Answer,
    apply_rules,
    bundle_digest,
    policy_input,
    with_what_ifs,
)
from airflow_mlgov.governance.policy import GovernancePolicy
from airflow_mlgov.governance.reasons import shipped_rules

Reasons = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Replay:
    """A decision, and what it would be now."""

    decision: Evidence[DecisionStatement]
    then: Reasons
    """The reasons it gave; empty if it allowed."""
    now: Reasons

    @property
    def same(self) -> bool:
        """Whether the answer is the one of then, reason by reason."""
        return self.then == self.now


def replay(
    decision: Evidence[DecisionStatement], bundles: Iterable[Evidence[PolicyStatement]], overlooked: Reasons = ()
) -> Replay:
    """Make a decision again, from its own input under its own policy and rules, as the ledger keeps them.

    :param bundles: verified evidence of kind ``policy``
    :param overlooked: what it should have seen and did not, as reasons
    """
    recorded = decision.statement.document
    wanted = recorded.bundle_sha256
    files = next((item.statement.files for item in bundles if item.digest == wanted), None)
    if files is None or bundle_digest(files) != wanted:
        missing = ("policy.missing", f"the policy and rules sha256:{wanted[:12]} of the decision are not in the ledger")
        return Replay(decision, reasons_of(decision), (missing,))
    if hash_json(recorded.input) != recorded.input_sha256:
        differs = ("input.differs", "the recorded input is not the one decided on")
        return Replay(decision, reasons_of(decision), (differs,))
    then = reasons_of(decision)
    now = apply_rules(files, recorded.input).reasons
    if now != then:  # rules of before are asked as they were asked then
        now = apply_rules(files, recorded.input, vetting="recorded").reasons
    return Replay(decision, then, (*now, *overlooked))


def replay_under(decision: Evidence[DecisionStatement], policy: GovernancePolicy) -> Reasons:
    """The reasons to deny that another policy would give; see :func:`answer_under`."""
    return answer_under(decision, policy).reasons


def answer_under(decision: Evidence[DecisionStatement], policy: GovernancePolicy) -> Answer:
    """What another policy, with its own rules and the shipped ones of today, would say.

    :raises ConfigurationError: that policy does not govern the model or has no such target
    :raises EvidenceError: what the decision has recorded as its input is none
    """
    recorded = decision.statement.document.input
    try:
        asked, evidence = recorded["request"], recorded["evidence"]
        model, target, champion = asked["model"], asked["target"], asked.get("champion")
    except (KeyError, TypeError, AttributeError):
        raise EvidenceError(
            f"the input that {decision.reference} has recorded is not one that a decision is made on",
            code="evidence.form",
        ) from None
    said = policy_input(policy, model, target)
    seen = with_what_ifs(evidence, said, champion)
    document = {**recorded, "policy": said, "evidence": seen}
    return apply_rules({SHIPPED: shipped_rules(), **policy.rules}, document)


def reasons_of(decision: Evidence[DecisionStatement]) -> Reasons:
    """The reasons that a decision gave."""
    return decision.statement.reasons
