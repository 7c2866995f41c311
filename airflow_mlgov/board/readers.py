"""Who looks, and what they may read: a model belongs to the DAGs that made its evidence; the policy's owners and
approvers may always read theirs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_mlgov.governance.policy import GovernancePolicy


@dataclass(frozen=True)
class Reader:
    """Somebody, by name, with what they may read."""

    name: str
    everything: bool = False
    """Also what no DAG has made: evidence of a shell, checkpoints."""
    dags: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    """Models that they own or approve by the policy."""

    def under(self, policy: GovernancePolicy | None) -> Reader:
        """With the models that a policy names them for."""
        if self.everything or policy is None or not self.name:
            return self
        return replace(self, models=frozenset(name for name in policy.models if _is_named(self.name, policy, name)))


EVERYTHING = Reader("", everything=True)
"""Whoever can start ``mlgov board`` can read the ledger itself."""


def _is_named(person: str, policy: GovernancePolicy, model: str) -> bool:
    said = policy.model(model)
    people = [said.owners]
    for target in said.targets.values():
        people += [tuple(target.approvers)]
        people += [tuple(part.people) for part in (target.waivers, target.break_glass) if part is not None]
    return any(person in some for some in people)
