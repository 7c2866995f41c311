"""What a duty is to a command where Airflow's half of this package is not installed: a CI system, a serving host. Its
settings are those of every other command. Knows no connection of Airflow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_mlgov.cli.common import environment_of, open_engine, open_registry, signer_for
from airflow_mlgov.cli.configured import configured, configured_policy, filled, ledger_at, required
from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from airflow_mlgov.evidence.ledger import Ledger
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.governance.policy import GovernancePolicy
    from airflow_mlgov.rego.protocol import PolicyEngine


@dataclass(frozen=True)
class Alone:
    """One duty, as :class:`airflow_mlgov.duty.Duty` is for tasks.

    :param name: one of ``evidence.signing.duties``
    """

    name: str

    @cached_property
    def policy(self) -> GovernancePolicy | None:
        """The governance policy, None where none is configured."""
        from airflow_mlgov.governance.policy import load_policy

        path = configured_policy(None)
        return load_policy(path) if path else None

    def required_policy(self) -> GovernancePolicy:
        """The policy, for what cannot be done without one.

        :raises ConfigurationError: none is configured
        """
        if self.policy is None:
            raise ConfigurationError(
                "this needs a governance policy: set MLGOV_POLICY to the path of mlgov.yaml", code="policy.missing"
            )
        return self.policy

    @property
    def environment(self) -> str:
        """The name that evidence is bound to."""
        return environment_of(None)

    @cached_property
    def trust(self) -> TrustRoot:
        """The trust root.

        :raises ConfigurationError: none is configured, or it does not hold
        """
        from airflow_mlgov.evidence.signing import TrustRoot

        return TrustRoot.load(required("trust_root")())

    @cached_property
    def engine(self) -> PolicyEngine:
        """What evaluates rules."""
        return open_engine()

    @property
    def signer_uri(self) -> str:
        """``local:PATH`` or ``vault:KEY`` of this duty, empty where nothing is signed here."""
        return filled(configured("sign") or "", self.name)

    def signer(self) -> Signer:
        """The signer of this duty."""
        return signer_for(self.signer_uri, self.name)

    def ledger(self) -> Ledger:
        """The ledger, to be read.

        :raises ConfigurationError: none is configured, or there is none
        """
        return ledger_at(required("ledger")(), create=False)

    def registry_answers(self) -> str:
        """The registry's address, once it has answered.

        :raises ConfigurationError: none is configured
        """
        address = os.environ.get("MLFLOW_TRACKING_URI")
        registry = open_registry(address, self.policy, self.name)
        registry.ping()
        return registry.uri
