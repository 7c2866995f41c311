"""Vault's Transit engine in memory, behind the real signer: every request is a step of a machine."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import hvac.exceptions
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from airflow_mlgov.vault.transit import TransitSigner
from tests.worlds.simulation.machine import Machine


@cache
def _key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def signer(name: str, machine: Machine) -> TransitSigner:
    """The real signer of a key, which is the same in every story."""

    def broken(fate: str) -> Exception:
        if "hangs" in fate:
            return requests.exceptions.ReadTimeout("simulated")
        sealed, expired = hvac.exceptions.VaultDown("sealed"), hvac.exceptions.Forbidden("token expired")
        return machine.random.choice((sealed, expired, hvac.exceptions.InternalServerError("simulated")))

    def asked(what: str, answer: Callable[[], Any]) -> Any:
        return machine.step(f"vault {what} {name}", answer, broken, 30)

    def read_key(key: str, mount_point: str) -> Any:
        public = _key(name).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        keys = {"1": {"public_key": b64encode(public).decode()}}
        return asked("read", lambda: {"data": {"latest_version": 1, "keys": keys}})

    def sign_data(key: str, hash_input: str, key_version: int, mount_point: str) -> Any:
        signature = b64encode(_key(name).sign(b64decode(hash_input))).decode()
        return asked("sign", lambda: {"data": {"signature": f"vault:v1:{signature}"}})

    transit = SimpleNamespace(read_key=read_key, sign_data=sign_data)
    return TransitSigner(SimpleNamespace(secrets=SimpleNamespace(transit=transit)), name)
