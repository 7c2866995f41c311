"""Signatures by a Transit key of Vault or OpenBao: the private key never leaves it."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

from securesystemslib.signer import Key, Signature, Signer, SSlibKey

from airflow_mlgov.errors import AccessError
from airflow_mlgov.vault.errors import vault_errors


def mount_and_key(name: str) -> tuple[str, str]:
    """Where Transit is mounted, and the key there, from what ``vault:`` names; no key holds a ``/``."""
    mount, _, key = name.rpartition("/")
    return mount or "transit", key


class TransitSigner(Signer):  # type: ignore[misc]  # securesystemslib ships no types to mypy here
    """Signs with a Vault or OpenBao Transit key (ed25519 or ecdsa-p256).

    :param client: an authenticated ``hvac.Client``
    :param key: name of the Transit key
    :param mount: where the Transit engine is mounted
    :param log_in: gives a client that has logged in anew, for when the token has run out meanwhile
    """

    SCHEME = "vault"
    TELLS_ITS_KEY = True

    def __init__(self, client: Any, key: str, mount: str = "transit", log_in: Callable[[], Any] | None = None) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        with vault_errors(f"read the Transit key {key!r}"):
            data = client.secrets.transit.read_key(key, mount_point=mount)["data"]
            self._version = data["latest_version"]
            text = data["keys"][str(self._version)]["public_key"]
            if text.startswith("-----"):
                public = load_pem_public_key(text.encode())
            else:
                public = Ed25519PublicKey.from_public_bytes(b64decode(text))
        self._client, self._key, self._mount, self._log_in = client, key, mount, log_in
        self._public = SSlibKey.from_crypto(public)

    @property
    def public_key(self) -> Key:
        """The public half of the key version that signs."""
        return self._public

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: Key | None = None, secrets_handler: Any = None) -> Signer:  # noqa: ARG003 - Vault tells the public key
        """With Vault's address, token and namespace from the environment, as Vault's own tool does."""
        import os

        import hvac

        client = hvac.Client(namespace=os.environ.get("VAULT_NAMESPACE") or None)
        return cls.named(client, priv_key_uri.partition(":")[2])

    @classmethod
    def named(cls, client: Any, name: str, log_in: Callable[[], Any] | None = None) -> TransitSigner:
        """The signer of ``KEY``, or of ``MOUNT/KEY`` where Transit is mounted elsewhere."""
        mount, key = mount_and_key(name)
        return cls(client, key, mount, log_in)

    def sign(self, payload: bytes) -> Signature:
        """Ask Vault for a signature over ``payload``; once more with a new token where this one is refused.

        :raises DependencyError: Vault is sealed or down, or answers something else
        :raises AccessError: the identity may not sign with this key, or may not log in again
        """
        try:
            return self._signed(payload)
        except AccessError:
            if self._log_in is None:
                raise
            self._client = self._log_in()
            return self._signed(payload)

    def _signed(self, payload: bytes) -> Signature:
        extra = {} if self._public.keytype == "ed25519" else {"hash_algorithm": "sha2-256"}
        with vault_errors(f"sign with the Transit key {self._key!r}"):
            answer = self._client.secrets.transit.sign_data(
                self._key,
                hash_input=b64encode(payload).decode(),
                key_version=self._version,
                mount_point=self._mount,
                **extra,
            )
            made = b64decode(answer["data"]["signature"].split(":", 2)[2])
            signature = Signature(self._public.keyid, made.hex())
            self._public.verify_signature(signature, payload)
        return signature
