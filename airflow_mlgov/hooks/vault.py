"""Vault or OpenBao for gates: secrets, database credentials with a lease, a client for Transit. Every value is masked
the moment it is read, and none is put into a message, the environment or XCom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow.providers.hashicorp.hooks.vault import VaultHook
from airflow.sdk.log import mask_secret

from airflow_mlgov.errors import ConfigurationError, MlgovError
from airflow_mlgov.hooks.connections import named
from airflow_mlgov.vault.errors import vault_errors
from airflow_mlgov.words import line

if TYPE_CHECKING:
    import hvac


@dataclass(frozen=True)
class DatabaseCredentials:
    """A database user that Vault made, and will drop when its lease ends. Unpacks into user name and password."""

    username: str
    password: str = field(repr=False)
    lease_id: str = field(repr=False)
    lease_seconds: int

    def __iter__(self) -> Iterator[str]:
        return iter((self.username, self.password))


class MlgovVaultHook(VaultHook):  # type: ignore[misc]  # the provider ships no types to mypy here
    """The hashicorp provider's hook (same connections, same ways to log in) with masking, leases and our errors.

    Without ``"use_tls": true`` in its extra a connection of type ``vault`` speaks plain http: set it everywhere but on
    the loopback interface. Logs in at the first use.

    :param vault_conn_id: an Airflow connection of type ``vault``
    :raises ConfigurationError: there is no such connection, or it lacks what its way to log in needs
    """

    def __init__(self, vault_conn_id: str = VaultHook.default_conn_name, **kwargs: Any) -> None:
        named(vault_conn_id, self.conn_type, "--conn-host VAULT --conn-login ROLE_ID --conn-password SECRET_ID")
        with vault_errors(f"use the connection {vault_conn_id!r}"):
            super().__init__(vault_conn_id=vault_conn_id, **kwargs)
        for value in (self.connection.password, self.vault_client.token):
            if value:
                mask_secret(value)

    def transit_client(self) -> hvac.Client:
        """An authenticated client, for a ``TransitSigner`` and for whatever else has no method here.

        :raises DependencyError: Vault is down or sealed
        :raises AccessError: the login was refused. A token is not tried out here: a wrong one is refused at first use
        """
        with vault_errors("log in to Vault", login=True):
            client: hvac.Client = self.vault_client.client
        if client.token:
            mask_secret(client.token)
        return client

    def secret(self, path: str, key: str | None = None, mount: str | None = None) -> Any:
        """A KV secret: all of it as a dict, or one key's value.

        :param path: below the mount
        :param key: the field wanted; if omitted, all of them
        :param mount: the KV mount; if omitted, the connection's
        :raises ConfigurationError: no such secret, it was deleted, or it lacks the key
        :raises AccessError: the policy does not allow the path
        :raises DependencyError: Vault is down or sealed
        """
        self.transit_client()
        before = self.vault_client.mount_point
        self.vault_client.mount_point = mount or before
        try:
            with vault_errors(f"read the secret {path!r}", login=True):  # logs in again where a token has run out
                data = self.get_secret(path)
        finally:
            self.vault_client.mount_point = before
        if data is None:
            raise ConfigurationError(
                f"Vault holds no secret at {path!r} under the mount {(mount or before)!r}", code="vault.no_secret"
            )
        _mask(data)
        if key is None:
            return data
        if key not in data:
            raise ConfigurationError(
                f"the secret {path!r} has no key {key!r}, but {', '.join(sorted(data))}", code="vault.no_key"
            )
        return data[key]

    @contextmanager
    def database_credentials(self, role: str, mount: str = "database") -> Iterator[DatabaseCredentials]:
        """A database user for the block; its lease is revoked when the block ends, however it ends.

        :param role: a role of Vault's database engine
        :raises ConfigurationError: no such role or mount
        :raises AccessError: the policy does not allow the role
        :raises DependencyError: Vault, or the database behind it, is down
        """
        client = self.transit_client()
        with vault_errors(f"get database credentials for the role {role!r}"):
            answer = client.secrets.database.generate_credentials(name=role, mount_point=mount)
            _mask(answer["data"])
            credentials = DatabaseCredentials(
                username=answer["data"]["username"],
                password=answer["data"]["password"],
                lease_id=answer["lease_id"],
                lease_seconds=answer["lease_duration"],
            )
        try:
            yield credentials
        finally:
            self._revoke(client, credentials, role)

    def _revoke(self, client: hvac.Client, credentials: DatabaseCredentials, role: str) -> None:
        try:
            with vault_errors(f"revoke the lease of the role {role!r}"):
                client.sys.revoke_lease(credentials.lease_id)
        except MlgovError as error:
            self.log.warning("%s; Vault drops the user by itself in %s s", line(error), line(credentials.lease_seconds))

    def test_connection(self) -> tuple[bool, str]:
        """Whether Vault can be reached and knows the identity."""
        try:
            client = self.transit_client()
            with vault_errors("look up the own token"):
                client.auth.token.lookup_self()
        except MlgovError as error:
            return False, str(error)
        return True, "Vault is unsealed and knows this identity"


def _mask(value: Any) -> None:
    """Mask every string in a secret, one by one: Airflow masks a dict's values only under names that it suspects."""
    if isinstance(value, str):
        mask_secret(value)
    elif isinstance(value, dict):
        for item in value.values():
            _mask(item)
    elif isinstance(value, list):
        for item in value:
            _mask(item)
