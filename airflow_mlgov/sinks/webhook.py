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
from airflow_mlgov.urls import server_url, shown_server

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
        raise DependencyError(f"the sink {self._shown} {problem}, {_TRIES} times", code="sink.down")

    def _post(self, body: bytes, key: str) -> str:
        """Why it has to be tried again; empty if it has arrived."""
        import requests

        now = str(int(datetime.now(UTC).timestamp()))
        signature = hmac.new(self.secret().encode(), now.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            "X-Mlgov-Timestamp": now,
            "X-Mlgov-Signature": f"sha256={signature}",
        }
        try:
            answer = requests.post(self.url, data=body, headers=headers, timeout=_SECONDS, allow_redirects=False)
        except requests.exceptions.InvalidURL:
            raise ConfigurationError(f"the sink {self._shown} has no usable URL", code="sink.unusable") from None
        except requests.exceptions.RequestException as error:
            return f"does not answer ({type(error).__name__})"
        if answer.status_code in _AGAIN:
            return f"answers {answer.status_code}"
        if answer.status_code in (401, 403):
            raise AccessError(f"the sink {self._shown} refuses: {answer.status_code}", code="sink.refused")
        if not 200 <= answer.status_code < 300:
            raise ConfigurationError(
                f"the sink {self._shown} does not take entries: {answer.status_code}", code="sink.unusable"
            )
        return ""

    @property
    def _shown(self) -> str:
        return shown_server(self.url)
