"""MLflow's tracking server and model registry for tasks: the address from a connection, the credentials from it or
from Vault, handed over in memory. Refuses to export them to the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_mlgov.errors import ConfigurationError, MlgovError
from airflow_mlgov.hooks.connections import named
from airflow_mlgov.hooks.extra import extra_of, secret_of

if TYPE_CHECKING:
    from airflow_mlgov.addresses import RegistryIdentity
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry

DEFAULT_CONNECTION = "mlflow_default"


class MlflowHook(BaseHook):  # type: ignore[misc]  # the provider ships no types to mypy here
    """A connection of type ``mlflow``.

    Host: a whole URL, ``databricks-uc`` for Unity Catalog, or a host with port and schema (``https`` if there is none).
    Login and password: basic
    authentication; a password alone: a bearer token. Or, in the extra, where Vault keeps them (a secret with
    ``username`` and ``password``, or ``token``)::

        {"vault_path": "mlflow/{duty}", "vault_conn_id": "vault_{duty}", "vault_mount": "secret"}

    :param mlflow_conn_id: the connection; where Airflow has no ``mlflow_default``, MLflow's own variables
        (``MLFLOW_TRACKING_URI`` …) stand for it
    :param duty: what the task does (``fairness``, ``promotion`` …); it fills ``{duty}`` in the extra, so that each duty
        can have an identity of its own
    :param identity: which registry it has to be; any, if omitted
    """

    conn_name_attr = "mlflow_conn_id"
    default_conn_name = DEFAULT_CONNECTION
    conn_type = "mlflow"
    hook_name = "MLflow"

    def __init__(
        self,
        mlflow_conn_id: str = DEFAULT_CONNECTION,
        duty: str | None = None,
        *,
        identity: RegistryIdentity | None = None,
    ) -> None:
        super().__init__()
        self.identity = identity
        self.mlflow_conn_id = mlflow_conn_id
        self.duty = duty

    def get_conn(self) -> MlflowRegistry:
        """The same as :meth:`registry`."""
        return self.registry()

    def registry(self) -> MlflowRegistry:
        """The registry with this connection's identity. Reads the credentials now, connects at its first call.

        :raises ConfigurationError: there is no connection, it lacks a host, what Vault holds for it is incomplete, or
            it leads to another registry
        :raises AccessError: Vault refused
        :raises DependencyError: Vault is down
        """
        return self._registry

    @contextmanager
    def tracking(self) -> Iterator[MlflowRegistry]:
        """Point ``mlflow``'s own functions at this server, signed in, for the block; then put back what was.

        ::

            with MlflowHook().tracking():
                with mlflow.start_run():
                    mlflow.sklearn.log_model(model, name="model")
        """
        import mlflow

        registry = self.registry()
        names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
        before = {name: os.environ.get(name) for name in names}
        with ExitStack() as stack:
            stack.callback(_restore, before)
            stack.enter_context(registry.authenticated())
            mlflow.set_tracking_uri(self._uri)
            mlflow.set_registry_uri(self._uri)
            yield registry

    def score_champion(
        self, *, model: str, data: str, scores: str, keep: Sequence[str], alias: str = "champion"
    ) -> str:
        """Write today's champion's scores, so that a gate can compare on the same rows; returns ``scores``, or an empty
        text if there is no champion yet. The model is loaded in a child process without credentials.

        :param data: file with the features that the model's signature names
        :param scores: parquet file to write
        :param keep: columns to keep beside the scores: the label, and what names a row
        :raises ConfigurationError: the model has no signature, or is of a kind that is not loaded
        """
        from airflow_mlgov.gates.performance.scoring import inspect_model, score_model, signature_columns

        registry = self.registry()
        champion = registry.holder(model, alias)
        if champion is None:
            return ""
        Path(scores).parent.mkdir(parents=True, exist_ok=True)
        with registry.download(champion) as folder:
            columns = signature_columns(inspect_model(folder))
            score_model(folder, data, scores, columns=columns, keep=list(keep))
        return scores

    def test_connection(self) -> tuple[bool, str]:
        """Whether the registry answers and knows the identity."""
        try:
            self.registry().ping()
        except MlgovError as error:
            return False, str(error)
        return True, "MLflow answers and knows this identity"

    @property
    def address(self) -> str:
        """The registry as evidence names it; neither Vault nor the registry is asked."""
        from airflow_mlgov.addresses import RegistryIdentity

        identity = self.identity or RegistryIdentity.at(self._uri)
        return str(identity.of(self._uri))

    @cached_property
    def _connection(self) -> Any:
        """The connection; in a first try without one, what MLflow's own variables say."""
        try:
            return named(self.mlflow_conn_id, self.conn_type, "--conn-host https://mlflow.example --conn-login USER")
        except ConfigurationError:
            found = _from_variables() if self.mlflow_conn_id == DEFAULT_CONNECTION else None
            if found is None:
                raise
            return found

    @cached_property
    def _uri(self) -> str:
        connection = self._connection
        host = connection.host or ""
        if not host:
            raise ConfigurationError(
                f"the connection {self.mlflow_conn_id!r} has no host: give MLflow's URL", code="connection.no_host"
            )
        if "://" in host or host.startswith("sqlite:") or host in ("databricks", "databricks-uc"):
            return str(host)
        port = f":{connection.port}" if connection.port else ""
        return f"{connection.schema or 'https'}://{host}{port}"

    @cached_property
    def _registry(self) -> MlflowRegistry:
        from airflow_mlgov.registry.mlflow_registry import MlflowRegistry

        return MlflowRegistry(self._uri, **self._credentials(), identity=self.identity)

    def _credentials(self) -> dict[str, str | None]:
        connection = self._connection
        extra = extra_of(connection.extra, self.mlflow_conn_id)
        if extra.get("vault_path"):
            return self._from_vault(extra)
        password = connection.password or None
        if password:
            mask_secret(password)
        if connection.login:
            return {"username": connection.login, "password": password}
        return {"token": password}

    def _from_vault(self, extra: Mapping[str, Any]) -> dict[str, str | None]:
        path, secret = secret_of(extra, self.mlflow_conn_id, self.duty)
        known = {name: secret[name] for name in ("username", "password", "token") if secret.get(name)}
        if set(known) not in ({"username", "password"}, {"token"}):
            raise ConfigurationError(
                f"the secret {path!r} must hold either username and password or token; it holds "
                f"{', '.join(sorted(secret)) or 'nothing'}",
                code="connection.secret",
            )
        return known


def _from_variables() -> Any:
    """``MLFLOW_TRACKING_URI``, ``_USERNAME``, ``_PASSWORD`` and ``_TOKEN`` as a connection, None if they name no
    server."""
    from airflow.providers.common.compat.sdk import Connection

    uri, user, password, token = (
        os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("URI", "USERNAME", "PASSWORD", "TOKEN")
    )
    if not uri:
        return None
    return Connection(conn_id=DEFAULT_CONNECTION, conn_type="mlflow", host=uri, login=user, password=password or token)


def _restore(before: Mapping[str, str | None]) -> None:
    import mlflow

    mlflow.set_tracking_uri(before["MLFLOW_TRACKING_URI"])
    mlflow.set_registry_uri(before["MLFLOW_REGISTRY_URI"])
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
