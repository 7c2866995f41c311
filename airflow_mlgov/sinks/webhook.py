"""A webhook: each batch is posted as JSON, signed by HMAC, and tried again while the far side is down."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError
from airflow_mlgov.sinks.protocol import Arrived, Message
from airflow_mlgov.urls import server_url

_SECONDS = 30.0
_TRIES = 5
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class WebhookSink:
    """``POST`` of ``{"entries": [...]}``. ``X-Mlgov-Signature`` is ``sha256=`` and the HMAC-SHA256, under the secret,
    of ``X-Mlgov-Timestamp`` (Unix seconds), a full stop and the body. Any answer of 2xx acknowledges the batch; whoever
    answers so and loses it has lost it."""

    url: str
    secret: Callable[[], str] = field(repr=False)
    batch: int = 100
    wait: Callable[[float], None] = time.sleep

    @property
    def place(self) -> str:
        """The server alone, for a path may be a secret."""
        parts = server_url(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def last(self) -> Arrived | None:
        """Nothing: it cannot be read."""
        return None

    def deliver(self, messages: Sequence[Message]) -> None:
        """Post them; up to five tries, the waits between them doubling from a second."""
        body = json.dumps({"entries": [message.as_dict() for message in messages]}, sort_keys=True).encode()
        key = f"{messages[0].key}-{messages[-1].entry.seq}"
        for tried in range(_TRIES):
            if tried:
                self.wait(2 ** (tried - 1) * random.uniform(0.5, 1.5))  # noqa: S311 - spreads the tries
            problem = self._post(body, key)
            if not problem:
                return
        raise DependencyError(f"the sink {self.place} {problem}, {_TRIES} times", code="sink.down")

    def _post(self, body: bytes, key: str) -> str:
        """Why it has to be tried again; empty if it has arrived."""
        import requests
        from urllib3.exceptions import LocationParseError

        now, secret = str(int(datetime.now(UTC).timestamp())), self.secret()
        if not secret:
            raise ConfigurationError(
                f"the sink {self.place} has an empty secret, under which anybody can sign: write one into the "
                "connection's password, or the secret_file",
                code="sink.settings",
            )
        signature = hmac.new(secret.encode(), now.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            "X-Mlgov-Timestamp": now,
            "X-Mlgov-Signature": f"sha256={signature}",
        }
        try:
            # what it answers is not read: it might never end
            with requests.post(
                self.url, data=body, headers=headers, timeout=_SECONDS, allow_redirects=False, stream=True
            ) as answer:
                status = answer.status_code
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, LocationParseError):
            raise ConfigurationError(f"the sink {self.place} has no usable URL", code="sink.unusable") from None
        except requests.exceptions.RequestException as error:
            return f"does not answer ({type(error).__name__})"
        if status in _AGAIN:
            return f"answers {status}"
        if status in (401, 403):
            raise AccessError(f"the sink {self.place} refuses: {status}", code="sink.refused")
        if not 200 <= status < 300:
            raise ConfigurationError(f"the sink {self.place} does not take entries: {status}", code="sink.unusable")
        return ""
