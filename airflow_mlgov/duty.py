"""What a task of one duty needs, opened when it is asked for: the policy, the ledger, the trust root, the duty's signer
and its identities at Vault and MLflow. Which ones they are is said by :mod:`airflow_mlgov.configuration`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_mlgov.configuration import filled, home, option
from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from securesystemslib.signer import Signer

    from airflow_mlgov.addresses import RegistryIdentity
    from airflow_mlgov.evidence.chain import Head
    from airflow_mlgov.evidence.ledger import Ledger
    from airflow_mlgov.evidence.proven import ProvenLedger
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.evidence.statements import Context
    from airflow_mlgov.governance.policy import GovernancePolicy
    from airflow_mlgov.hooks.mlflow import MlflowHook
    from airflow_mlgov.registry.protocol import Registry
    from airflow_mlgov.rego.protocol import PolicyEngine
    from airflow_mlgov.release.desk import Desk


@dataclass(frozen=True)
class Duty:
    """One duty, and everything that its task needs.

    :param name: one of ``evidence.signing.duties``: a gate's name, ``registration``, ``approval``, ``promotion`` …; it
        picks the signing key and the Vault identity where their settings hold ``{duty}``
    :param mlflow_conn_id: overrides ``[mlgov] mlflow_conn_id``
    """

    name: str
    mlflow_conn_id: str | None = None

    @cached_property
    def policy(self) -> GovernancePolicy | None:
        """The governance policy, None where none is configured.

        :raises ConfigurationError: the file does not hold
        """
        from airflow_mlgov.governance.policy import load_policy

        path = option("policy")
        return load_policy(path) if path else None

    def required_policy(self) -> GovernancePolicy:
        """The policy, for what cannot be done without one.

        :raises ConfigurationError: none is configured
        """
        if self.policy is None:
            raise ConfigurationError(
                "this needs a governance policy: set [mlgov] policy to the path of mlgov.yaml", code="policy.missing"
            )
        return self.policy

    @cached_property
    def environment(self) -> str:
        """The name that evidence is bound to."""
        return option("environment", "default")

    @cached_property
    def ledger(self) -> Ledger:
        """The open ledger: the connection of ``[mlgov] ledger_conn_id``, else the URL of ``[mlgov] ledger``."""
        from airflow_mlgov.hooks.ledger import LedgerHook

        return LedgerHook().get_conn()

    @property
    def records(self) -> Ledger | ProvenLedger:
        """The ledger, read as ``[mlgov] ledger_reads`` says.

        :raises ConfigurationError: it says neither of its words
        """
        from airflow_mlgov.evidence.proven import records_of

        return records_of(self.ledger, self.trust, option("ledger_reads"))

    def vault(self) -> Any:
        """An authenticated ``hvac.Client`` of this duty's identity, None where no Vault is configured."""
        conn_id = filled("vault_conn_id", self.name)
        if not conn_id:
            return None
        from airflow_mlgov.hooks.vault import MlgovVaultHook

        return MlgovVaultHook(vault_conn_id=conn_id).transit_client()

    @property
    def signer_uri(self) -> str:
        """``local:PATH`` or ``vault:KEY`` of this duty, empty where ``[mlgov] sign`` is not set."""
        local = option("sign").startswith("local:")
        return filled("sign", self.name if local else self.name.replace("_", "-"))

    @cached_property
    def signer(self) -> Signer:
        """The signer of this duty; a new local key is added to the default trust root.

        :raises ConfigurationError: it is a key file, and the policy says that this environment is production
        """
        from airflow_mlgov.evidence.signing import refuse_local

        signer = self._opened_signer()
        refuse_local(signer, self.environment, self.policy.production if self.policy else ())
        return signer

    def _opened_signer(self) -> Signer:
        from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer
        from airflow_mlgov.vault import signer_of

        uri = self.signer_uri
        if uri:
            return signer_of(uri, self.vault, lambda: self.trust.key_for(self.name))
        signer = open_signer(f"local:{home() / 'signing-key.pem'}", make_key=True)
        if not option("trust_root") and not (home() / "trust.json").exists():
            TrustRoot().with_key(signer.public_key, duties()).save(home() / "trust.json")
        return signer

    @cached_property
    def trust(self) -> TrustRoot:
        """The trust root.

        :raises ConfigurationError: the file is missing or does not hold
        """
        from airflow_mlgov.evidence.signing import TrustRoot

        return TrustRoot.load(option("trust_root") or home() / "trust.json")

    @property
    def registry_identity(self) -> RegistryIdentity | None:
        """Which registry evidence is about: the policy's, or ``[mlgov] registry_id``; None if neither names one.

        :raises ConfigurationError: they name two
        """
        from airflow_mlgov.addresses import RegistryIdentity

        said, known = option("registry_id"), self.policy.registry if self.policy else None
        if said and known is not None and known.of(said) != known.name:
            raise ConfigurationError(
                f"[mlgov] registry_id is {said}, and the policy {self.policy and self.policy.path} says {known.name}: "
                "a registry has one identity",
                code="registry.id_differs",
            )
        return known or (RegistryIdentity.named(said) if said else None)

    @cached_property
    def mlflow(self) -> MlflowHook:
        """The hook to the model registry, with this duty's identity."""
        from airflow_mlgov.hooks.mlflow import MlflowHook

        conn_id = self.mlflow_conn_id or option("mlflow_conn_id", "mlflow_default")
        return MlflowHook(mlflow_conn_id=conn_id, duty=self.name, identity=self.registry_identity)

    def elsewhere(self, named: str) -> Registry:
        """Another registry, with this duty's identity there.

        :param named: a connection; or an address, which is asked without credentials
        :raises ConfigurationError: there is no such connection
        """
        from airflow_mlgov.hooks.mlflow import MlflowHook
        from airflow_mlgov.registry.mlflow_registry import MlflowRegistry

        return MlflowRegistry(named) if "://" in named else MlflowHook(named, self.name).registry()

    @cached_property
    def engine(self) -> PolicyEngine:
        """What evaluates rules: the embedded engine, or what ``[mlgov] policy_engine`` names.

        :raises ConfigurationError: it names no engine, or the engine lacks what it needs
        """
        from airflow_mlgov.rego.choice import engine_of, logged

        if option("policy_engine") == "opa":
            from airflow_mlgov.hooks.opa import OpaHook

            return logged(OpaHook(option("opa_conn_id", "opa_default"), self.name).engine, option("decision_log"))
        return logged(engine_of(option), option("decision_log"))

    @staticmethod
    def checkpoints(trust: TrustRoot) -> tuple[Head, ...]:
        """What the ledger was at some sizes, as ``[mlgov] checkpoint`` has it.

        :raises ConfigurationError: there is none at one of the places that it names, or a witness' key is none
        :raises EvidenceError: one does not verify, or too few witnesses have cosigned it
        :raises DependencyError: a store cannot be reached
        """
        from airflow_mlgov.evidence.checkpoints import heads_at
        from airflow_mlgov.evidence.witnesses import Quorum

        quorum = Quorum.read(option("witnesses").split(), option("witness_quorum"))
        return tuple(heads_at(option("checkpoint").split(), trust, quorum))

    def evidence_context(self, task: Mapping[str, Any]) -> Context:
        """What goes into the signed bytes about where and when: environment, policy, dag, run, task, try."""
        from airflow_mlgov.evidence.statements import Context

        return Context(
            environment=self.environment,
            policy=self.policy.descriptor() if self.policy else {},
            run=run_identity(task),
            issued_at=datetime.now(UTC),
        )

    def desk(self, task: Mapping[str, Any]) -> Desk:
        """Everything that a release is decided at, open: registry, ledger, trust root, policy, signer, and where and
        when.

        :param task: Airflow's task context
        :raises ConfigurationError: no policy is configured, or one of them does not hold
        """
        from airflow_mlgov.evidence.proven import reads_proven
        from airflow_mlgov.release.desk import Desk

        return Desk(
            self.mlflow.registry(),
            self.ledger,
            self.trust,
            self.required_policy(),
            self.signer,
            self.evidence_context(task),
            self.engine,
            self.checkpoints(self.trust),
            self.elsewhere,
            reads_proven(option("ledger_reads")),
        )


def run_identity(context: Mapping[str, Any]) -> dict[str, Any]:
    """Which task of which run this is, from Airflow's task context."""
    ti = context.get("ti")
    if ti is None:
        return {}
    identity = {name: getattr(ti, name, None) for name in ("dag_id", "run_id", "task_id", "try_number", "map_index")}
    return {name: value for name, value in identity.items() if value is not None}


def requester(context: Mapping[str, Any]) -> tuple[str, ...]:
    """Who triggered the run, as Airflow knows them; empty for scheduled runs."""
    name = getattr(context.get("dag_run"), "triggering_user_name", None)
    return (name,) if name else ()
