"""What ``mlgov gate data`` checks beyond the suite: the policy's checks, a file of them, and one reference for both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.cli.common import open_grounds, open_registry
from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_mlgov.release.champion_data import RegistryLookup


@dataclass(frozen=True)
class Asked:
    """The options of the command line that bear on it."""

    file: Path | None = None
    reference: str | None = None
    model: str | None = None
    """``credit_risk``, or ``models:/credit_risk/7``."""
    target: str = "production"
    policy: Path | None = None
    trust: Path | None = None
    ledger: str | None = None
    registry: str | None = None
    environment: str = "default"

    @property
    def model_name(self) -> str | None:
        """The registered model's name."""
        return self.model.removeprefix("models:/").split("/")[0].split("@")[0] if self.model else None

    def checks(self) -> dict[str, Any] | None:
        """The policy's checks, and what the file and the reference add; None where nothing is asked for.

        :raises ConfigurationError: the file, the policy, or what the two say together does not hold
        """
        from airflow_mlgov.gates.dataset_checks.checks import load_checks, merge_checks, with_reference
        from airflow_mlgov.governance.policy import load_policy

        governed: Mapping[str, Any] | None = None
        if self.policy is not None and self.model_name is not None:
            governed = load_policy(self.policy).model(self.model_name).settings("data_validation").get("checks")
        given = load_checks(self.file) if self.file else None
        if governed is None and given is None and self.reference is None:
            return None
        merged = merge_checks(governed, given)
        return merged if self.reference is None else with_reference(merged, self.reference)

    def lookup(self, checks: Mapping[str, Any] | None) -> RegistryLookup | None:
        """The registry and the ledger, where a check needs them.

        :raises ConfigurationError: an option is missing that says where they are
        """
        from airflow_mlgov.gates.dataset_checks.checks import needs_lookup
        from airflow_mlgov.release.champion_data import RegistryLookup

        if not needs_lookup(checks):
            return None
        if not (self.model_name and self.ledger and self.trust and self.policy):
            raise ConfigurationError(
                "a check names the champion or a registered model: pass --model, --ledger, --trust and --policy"
            )
        grounds = open_grounds(self.ledger, self.trust, self.policy)
        goal = grounds.policy.model(self.model_name).target(self.target)
        registry = open_registry(self.registry)
        return RegistryLookup(registry, grounds.ledger, grounds.trust, self.environment, self.model_name, goal)
