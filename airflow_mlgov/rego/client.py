"""One OPA server over HTTP: its address, TLS and token, and limits on what it answers. Speaks to nobody but the address
that was configured; follows no redirection, and asks no proxy.

What an answer means is its reader's to say; an undefined rule looks like ``{}``, ``[]`` or a 404, and none is a pass.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError

if TYPE_CHECKING:
    import urllib3

JSON = "application/json"
TIMEOUT_SECONDS = 5.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PIECE = 1 << 16
_CONNECTIONS = 32


@dataclass(frozen=True)
class ServerSettings:
    """Where an OPA server is, and who asks."""

    url: str
    token: str = field(default="", repr=False)
    """Sent as a bearer token; none if empty."""
    ca: str = ""
    """File with the certificates to trust; the system's if empty."""
    cert: str = ""
    """File with a client certificate, for mutual TLS."""
    key: str = ""
    """File with its private key; in ``cert`` if empty."""
    timeout: float = TIMEOUT_SECONDS
    """Seconds for one answer."""
    bundle: str = ""
    """Name of a bundle that the server has loaded itself and whose revision must be the digest of the rules; empty: the
    rules are given to the server."""

    def __post_init__(self) -> None:
        where = _parts(self.url)
        if where is None or not where.hostname or where.username or where.query:
            raise ConfigurationError(
                "name the OPA server by its URL, such as https://opa.example:8181, without a password",
                code="opa.address",
            )
        if where.scheme == "http" and where.hostname not in _LOOPBACK:
            raise ConfigurationError(
                f"{where.hostname} is another machine, and http:// would show it token and evidence to all: use https://",
                code="opa.address",
            )
        if not 0 < self.timeout <= 600:
            raise ConfigurationError(
                "the time limit of the OPA server is a number of seconds, up to 600", code="opa.limit"
            )


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    raw: bytes
    is_whole: bool = True
    """False: it was too large, and the rest is not read."""

    def json(self) -> Any:
        """What it says; ``{}`` if it says nothing.

        :raises ValueError: it is no JSON, or too large
        """
        if not self.is_whole:
            raise ValueError(f"it is larger than {len(self.raw):,} bytes")
        try:
            return json.loads(self.raw or b"{}")
        except RecursionError:
            raise ValueError("it is nested too deep") from None


class OpaClient:
    """Keeps its connections; threads may share it.

    :param settings: where the server is
    :param name: what it is called in messages
    """

    def __init__(self, settings: ServerSettings, name: str) -> None:
        self._settings, self._name = settings, name

    def send(
        self, method: str, path: str, body: bytes | None = None, *, limit: float, most: int, kind: str = JSON
    ) -> Answer:
        """Ask once, whatever the status of the answer.

        :param path: below the address, with its query
        :param limit: seconds until all of the answer is there
        :param most: bytes of the answer that are read
        :param kind: media type of the body
        :raises DependencyError: it does not answer, or takes too long
        :raises AccessError: the two sides do not trust each other's certificates, or the token is none
        :raises ConfigurationError: a file of certificates cannot be read
        """
        import urllib3

        pool, end = self._pool, time.monotonic() + limit
        try:
            answer = pool.request(
                method,
                f"{self._settings.url.rstrip('/')}/{path}",
                body=body,
                headers=self._headers(kind),
                timeout=limit,
                pool_timeout=limit,
                preload_content=False,
                decode_content=False,
                redirect=False,
            )
            try:
                return self._read(answer, end, most)
            finally:
                answer.close()  # a connection that was read to its end was given back before
        except urllib3.exceptions.SSLError:
            raise AccessError(
                f"{self._name} and this side do not trust each other's certificates: check ca, cert and key",
                code="opa.certificate",
            ) from None
        except urllib3.exceptions.HTTPError as error:
            raise DependencyError(
                f"{self._name} does not answer ({type(error).__name__}): start it, or correct its address",
                code="opa.down",
            ) from None
        except ValueError:
            raise AccessError(
                f"the token for {self._name} holds what no header may, such as the end of a line: correct it",
                code="opa.refused",
            ) from None

    def _read(self, answer: urllib3.BaseHTTPResponse, end: float, most: int) -> Answer:
        found = bytearray()
        while piece := answer.read1(_PIECE):
            found += piece
            if len(found) > most:
                return Answer(answer.status, bytes(found[:most]), is_whole=False)
            if time.monotonic() > end:
                raise DependencyError(f"{self._name} took too long to answer", code="opa.down")
        return Answer(answer.status, bytes(found))

    def _headers(self, kind: str) -> dict[str, str]:
        found = {"Content-Type": kind, "Accept": JSON}
        if self._settings.token:
            found["Authorization"] = f"Bearer {self._settings.token}"
        return found

    @cached_property
    def _pool(self) -> urllib3.PoolManager:
        import urllib3

        return urllib3.PoolManager(
            maxsize=_CONNECTIONS, block=True, retries=False, ssl_context=self._trust() if self._is_tls else None
        )

    @property
    def _is_tls(self) -> bool:
        return self._settings.url.startswith("https:")

    def _trust(self) -> ssl.SSLContext:
        """The authorities that are believed, and what this side shows of itself."""
        try:
            context = ssl.create_default_context(cafile=self._settings.ca or None)
            if self._settings.cert:
                context.load_cert_chain(self._settings.cert, self._settings.key or None)
        except OSError as error:
            raise ConfigurationError(
                f"the certificates for {self._name} cannot be read: {error.strerror or error}", code="opa.certificate"
            ) from None
        return context


def part(value: Any, *keys: str) -> Mapping[str, Any]:
    """The object at a path in what a server has said; empty if there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def revision_of(answer: Any, bundle: str = "") -> str:
    """The revision of a bundle that an answer was given by, as its provenance says; empty if it does not.

    :param bundle: its name on the server; the only one that it has if omitted
    """
    bundles = part(answer, "provenance", "bundles")
    if not bundle and len(bundles) != 1:
        return ""
    revision = part(bundles, bundle or next(iter(bundles))).get("revision")
    return revision if isinstance(revision, str) else ""


def _parts(url: str) -> SplitResult | None:
    """Those of an HTTP URL; None if it is none."""
    try:
        parts = urlsplit(url)
        return parts if parts.scheme in ("http", "https") and parts.port != 0 else None
    except ValueError:
        return None
