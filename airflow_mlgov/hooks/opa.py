"""An OPA server for tasks: address, token and certificates from a connection, handed over in memory."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_mlgov.errors import ConfigurationError, MlgovError
from airflow_mlgov.hooks.connections import named
from airflow_mlgov.hooks.extra import extra_of, secret_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_mlgov.rego.server import OpaServer

DEFAULT_CONNECTION = "opa_default"
_EXTRA = ("ca", "cert", "key", "timeout", "bundle", "vault_path", "vault_conn_id", "vault_mount")


class OpaHook(BaseHook):  # type: ignore[misc]  # the provider ships no types to mypy here
    """A connection of type ``opa``.

    Host: a whole URL, or a host with port and schema (``https`` if there is none). Password: a bearer token. In the
    extra::

        {"ca": "/etc/ssl/opa-ca.pem", "cert": "/etc/ssl/client.pem", "key": "/etc/ssl/client.key",
         "timeout": 5, "bundle": ""}

    Or, in the extra besides, where Vault keeps the token (a secret with ``token``)::

        {"vault_path": "opa/{duty}", "vault_conn_id": "vault_{duty}", "vault_mount": "secret"}

    :param opa_conn_id: the connection
    :param duty: what the task does (``fairness``, ``promotion`` …); it fills ``{duty}`` in the extra
    """

    conn_name_attr = "opa_conn_id"
    default_conn_name = DEFAULT_CONNECTION
    conn_type = "opa"
    hook_name = "Open Policy Agent"

    def __init__(self, opa_conn_id: str = DEFAULT_CONNECTION, duty: str | None = None) -> None:
        super().__init__()
        self.opa_conn_id = opa_conn_id
        self.duty = duty

    def get_conn(self) -> OpaServer:
        """The same as :meth:`engine`."""
        return self.engine

    @cached_property
    def engine(self) -> OpaServer:
        """The server as an engine of rules. Reads the token now, connects at its first question.

        :raises ConfigurationError: the connection lacks a host, its extra says what nobody reads, or Vault has no token
        :raises AccessError: Vault refused
        :raises DependencyError: Vault is down
        """
        from airflow_mlgov.rego.choice import seconds
        from airflow_mlgov.rego.client import TIMEOUT_SECONDS, ServerSettings
        from airflow_mlgov.rego.server import OpaServer

        found = named(self.opa_conn_id, self.conn_type, "--conn-host https://opa.example")
        extra = extra_of(found.extra, self.opa_conn_id)
        unknown = sorted(set(extra) - set(_EXTRA))
        if unknown:
            raise ConfigurationError(
                f"the extra of the connection {self.opa_conn_id!r} says {unknown[0]!r}; it may say {', '.join(_EXTRA)}",
                code="connection.extra",
            )
        url, token = self._url(found), self._token(found, extra)
        ca, cert, key, bundle = (str(extra.get(name) or "") for name in ("ca", "cert", "key", "bundle"))
        limit = seconds(str(extra.get("timeout") or TIMEOUT_SECONDS))
        return OpaServer(ServerSettings(url, token, ca, cert, key, limit, bundle))

    def test_connection(self) -> tuple[bool, str]:
        """Whether the server answers and knows the token."""
        try:
            version = self.engine.ping()
        except MlgovError as error:
            return False, str(error)
        return True, f"OPA answers: version {version}" if version else "OPA answers"

    def _token(self, connection: Any, extra: Mapping[str, Any]) -> str:
        if extra.get("vault_path"):
            path, secret = secret_of(extra, self.opa_conn_id, self.duty)
            token = secret.get("token")
            if not isinstance(token, str) or not token:
                raise ConfigurationError(
                    f"the secret {path!r} must hold token; it holds {', '.join(sorted(secret)) or 'nothing'}",
                    code="connection.secret",
                )
            return token
        if connection.password:
            mask_secret(connection.password)
        return str(connection.password or "")

    def _url(self, connection: Any) -> str:
        host = connection.host or ""
        if not host:
            raise ConfigurationError(
                f"the connection {self.opa_conn_id!r} has no host: give OPA's URL", code="connection.no_host"
            )
        if "://" in host:
            return str(host)
        port = f":{connection.port}" if connection.port else ""
        return f"{connection.schema or 'https'}://{host}{port}"
