"""A witness of the ledger's checkpoints, as somebody else would write one."""

import time
from base64 import b64encode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from airflow_mlgov.evidence.notes import key_id


class Witness:
    """Cosigns notes with a key of its own."""

    def __init__(self, name: str) -> None:
        self.name, self.key = name, Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.id = key_id(name, self.public, b"\x04")

    @property
    def verifier(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64encode(bytes([4]) + self.public).decode()}"

    def cosign(self, note: str, at: float | None = None, over: str | None = None) -> str:
        moment = int(time.time() if at is None else at)
        text = (over or note).rpartition("\n\n")[0] + "\n"
        signature = self.key.sign(f"cosignature/v1\ntime {moment}\n{text}".encode())
        encoded = b64encode(self.id + moment.to_bytes(8, "big") + signature).decode()
        return f"{note}— {self.name} {encoded}\n"
