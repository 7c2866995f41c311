"""Vault or OpenBao: signatures by a Transit key, what a duty's identity may do, and errors in this package's words.

Importing it registers ``vault:KEY`` with securesystemslib's table of signers. Knows nothing of Airflow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from securesystemslib.signer import SIGNER_FOR_URI_SCHEME, Key, Signer

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.signing import open_signer
from airflow_mlgov.vault.transit import TransitSigner

SIGNER_FOR_URI_SCHEME[TransitSigner.SCHEME] = TransitSigner


def signer_of(
    uri: str,
    client: Callable[[], Any] | None = None,
    public_key: Callable[[], Key | None] = lambda: None,
    *,
    make_key: bool = False,
) -> Signer:
    """The signer that a URI names, see :func:`airflow_mlgov.evidence.signing.open_signer`.

    :param client: logs in, and gives an ``hvac.Client`` for ``vault:``, None if no Vault is configured; if omitted,
        Vault's address and token come from the environment
    :param make_key: make the file of a ``local:`` key where it is not there
    :raises ConfigurationError: no Vault is configured, or as ``open_signer``
    """
    scheme, _, name = uri.partition(":")
    if scheme == TransitSigner.SCHEME and name and client is not None:
        vault = client()
        if vault is None:
            raise ConfigurationError(
                f"signing with {uri!r} needs a Vault client: set [mlgov] vault_conn_id", code="vault.not_configured"
            )
        return TransitSigner.named(vault, name, client)
    return open_signer(uri, public_key, make_key=make_key)
