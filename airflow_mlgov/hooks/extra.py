"""What a connection's extra says, and the secret in Vault that it names instead of holding one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_mlgov.errors import ConfigurationError


def extra_of(text: str | None, conn_id: str) -> dict[str, Any]:
    """The extra of a connection.

    :raises ConfigurationError: it is not a JSON object
    """
    try:
        extra = json.loads(text or "{}")
    except ValueError as error:
        raise ConfigurationError(
            f"the extra of the connection {conn_id!r} is not JSON", code="connection.extra"
        ) from error
    if not isinstance(extra, dict):
        raise ConfigurationError(
            f"the extra of the connection {conn_id!r} must be a JSON object", code="connection.extra"
        )
    return extra


def secret_of(extra: Mapping[str, Any], conn_id: str, duty: str | None) -> tuple[str, dict[str, Any]]:
    """The path that ``vault_path`` names, and what Vault holds there; every value is masked.

    :param extra: with ``vault_path``, and ``vault_conn_id`` and ``vault_mount`` if they are not the usual ones
    :param duty: fills ``{duty}``
    :raises ConfigurationError: there is no such secret, or there is a ``{duty}`` to fill and no duty
    :raises AccessError: Vault refused
    :raises DependencyError: Vault is down
    """
    from airflow_mlgov.hooks.vault import MlgovVaultHook

    def filled(text: Any) -> str:
        if "{duty}" in str(text) and not duty:
            raise ConfigurationError(
                f"the connection {conn_id!r} says {text!r}, and this hook was given no duty to fill in",
                code="connection.no_duty",
            )
        return str(text).replace("{duty}", duty or "")

    path = filled(extra["vault_path"])
    hook = MlgovVaultHook(filled(extra.get("vault_conn_id") or MlgovVaultHook.default_conn_name))
    return path, hook.secret(path, mount=extra.get("vault_mount"))
