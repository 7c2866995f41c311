"""An OPA server: the rules are given to it under names that are their digest, and no answer of its is taken that the
embedded engine does not give too. Speaks to nobody but the address that was configured; follows no redirection."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, MlgovError
from airflow_mlgov.rego.embedded import EmbeddedEngine, as_numbers, embedded, in_order, require_same
from airflow_mlgov.rego.protocol import Bundle, Outline, RulesError, plain_json

TIMEOUT_SECONDS = 5.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_MAX_ANSWER = 64 * 1024**2
"""Bytes: the list of all policies holds their syntax trees."""
_PIECE = 1 << 16
_LOOK_AGAIN = 60.0
"""Seconds after which it is asked again whether it still holds the rules."""
_MOST_SHOWN = 300
_BUSY = frozenset({408, 429, 502, 503, 504})


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
        where = urlsplit(self.url)
        if where.scheme not in ("http", "https") or not where.hostname or where.username or where.query:
            raise ConfigurationError(
                "the address of the OPA server must be a URL such as https://opa.example:8181, without a password",
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


class OpaServer:
    """Evaluates on an OPA server, and refuses what the embedded engine would answer differently.

    The rules are given to the server as policies ``mlgov/DIGEST/…``, in a package of their own that has the digest in
    its name, so that neither an older version nor anybody else's rules are among them; that it holds these and no
    others is asked at first and once a minute. If the server has a bundle of its own, each answer has to name its
    revision.

    :param settings: where it is
    :param engine: the embedded engine that looks at the rules and answers besides
    """

    def __init__(self, settings: ServerSettings, engine: EmbeddedEngine | None = None) -> None:
        self.settings = settings
        self._embedded = engine or embedded()
        self._held: dict[str, float] = {}
        self._lock = threading.Lock()
        self._sessions = threading.local()

    @property
    def name(self) -> str:
        """``opa`` and its address."""
        return f"opa at {self.settings.url}"

    def outline(self, bundle: Bundle) -> Outline:
        """See :meth:`~airflow_mlgov.rego.protocol.PolicyEngine.outline`."""
        return self._embedded.outline(bundle)

    def evaluate(
        self,
        bundle: Bundle,
        rules: Sequence[str],
        document: Mapping[str, Any],
        *,
        counted: str = "",
        timeout: float | None = None,
    ) -> list[Any]:
        """See :meth:`~airflow_mlgov.rego.protocol.PolicyEngine.evaluate`."""
        plain = as_numbers(document)
        ours = self._embedded.evaluate(bundle, rules, plain, counted=counted, timeout=timeout)
        outline = self._embedded.outline(bundle)
        limit = min(self.settings.timeout, timeout or self.settings.timeout)
        body = b'{"input":' + plain_json(plain) + b"}"
        if self.settings.bundle:
            theirs = [self._ask(rule, body, limit, revision=bundle.digest) for rule in rules]
        else:
            theirs = self._ask_pinned(bundle, outline, rules, body, limit)
        require_same(rules, ours, in_order(outline, rules, theirs), self.name)
        return ours

    def ping(self) -> str:
        """The version that it says it is; empty if it does not say.

        :raises DependencyError: it does not answer
        :raises AccessError: it refuses the token
        """
        if self.settings.bundle:
            self._call("GET", "health", limit=self.settings.timeout)
            return ""
        answer = self._call("POST", "v1/query", b'{"query":"x = opa.runtime().version"}', limit=self.settings.timeout)
        found = answer.get("result") or [{}]
        return str(found[0].get("x", ""))

    def _ask_pinned(
        self, bundle: Bundle, outline: Outline, rules: Sequence[str], body: bytes, limit: float
    ) -> list[Any]:
        root = f"mlgov_{bundle.digest}"
        asked = [f"data.{root}.{rule.removeprefix('data.')}" for rule in rules]
        if self._hold(bundle, outline, root, limit):
            return [self._ask(rule, body, limit) for rule in asked]
        try:
            return [self._ask(rule, body, limit) for rule in asked]
        except RulesError as error:
            if error.code != "rego.undefined":
                raise
        self._held.pop(bundle.digest, None)  # a server that was started anew holds nothing
        self._hold(bundle, outline, root, limit)
        return [self._ask(rule, body, limit) for rule in asked]

    def _hold(self, bundle: Bundle, outline: Outline, root: str, limit: float) -> bool:
        """Have the server hold the rules; whether it was looked at now."""
        with self._lock:
            if time.monotonic() - self._held.get(bundle.digest, -_LOOK_AGAIN) < _LOOK_AGAIN:
                return False
            wanted = {
                f"mlgov/{bundle.digest}/{number}.rego": moved(text, outline.places[name], root)
                for number, (name, text) in enumerate(bundle.modules.items())
            }
            there = self._policies(limit)
            for name, text in wanted.items():
                if there.get(name) != (text, root):
                    self._call("PUT", f"v1/policies/{quote(name)}", text.encode(), kind="text/plain", limit=limit)
            if bundle.data:
                self._call("PUT", f"v1/data/{root}", plain_json(bundle.data), limit=limit)
            there = self._policies(limit)
            strangers = [name for name, (_, package) in there.items() if package == root and name not in wanted]
            others = [name for name, text in wanted.items() if there.get(name) != (text, root)]
            if strangers or others:
                raise RulesError(
                    f"{self.name} does not hold the rules that were given to it, or others beside them: "
                    f"{', '.join((others or strangers)[:5])}",
                    code="opa.other_rules",
                )
            self._held[bundle.digest] = time.monotonic()
            return True

    def _policies(self, limit: float) -> dict[str, tuple[str, str]]:
        """Name of each policy on the server -> its text, and the first part of its package."""
        answer = self._call("GET", "v1/policies", limit=limit)
        found = {}
        for item in answer.get("result") or ():
            path = item.get("ast", {}).get("package", {}).get("path") or [{}, {}]
            found[str(item.get("id"))] = (str(item.get("raw")), str(path[1].get("value")) if len(path) > 1 else "")
        return found

    def _ask(self, rule: str, body: bytes, limit: float, revision: str = "") -> Any:
        """The value of one rule.

        :raises RulesError: it is undefined, the server warns, or its bundle has another revision
        """
        path = quote(rule.removeprefix("data.").replace(".", "/"))
        answer = self._call("POST", f"v1/data/{path}?strict-builtin-errors=true&provenance=true", body, limit=limit)
        if revision:
            bundles = (answer.get("provenance") or {}).get("bundles") or {}
            found = (bundles.get(self.settings.bundle) or {}).get("revision")
            if found != revision:
                raise RulesError(
                    f"the bundle {self.settings.bundle} of {self.name} is at {found or 'no revision'}, and the rules "
                    f"are {revision}: have the server load them",
                    code="opa.other_rules",
                )
        if "result" not in answer:
            raise RulesError(f"{rule} is undefined at {self.name}", code="rego.undefined")
        if answer.get("warning"):
            raise RulesError(f"{self.name} warns: {str(answer['warning'])[:_MOST_SHOWN]}", code="opa.answer")
        return answer["result"]

    def _call(
        self, method: str, path: str, body: bytes | None = None, *, limit: float, kind: str = "application/json"
    ) -> dict[str, Any]:
        import requests

        end = time.monotonic() + limit
        headers = {"Content-Type": kind, "Accept": "application/json"}
        if self.settings.token:
            headers["Authorization"] = f"Bearer {self.settings.token}"
        url = f"{self.settings.url.rstrip('/')}/{path}"
        try:
            with self._session().request(
                method, url, data=body, headers=headers, timeout=limit, stream=True, allow_redirects=False
            ) as answer:
                text = self._read(answer, end)
        except (requests.exceptions.SSLError, requests.exceptions.InvalidHeader, OSError) as error:
            raise self._unreachable(error) from None
        if answer.status_code not in (200, 204):
            raise self._refused(answer.status_code, text, path)
        return self._parsed(text)

    def _session(self) -> Any:
        """One for each thread: it keeps the connection."""
        import requests

        found = getattr(self._sessions, "session", None)
        if found is None:
            found = requests.Session()
            found.trust_env = False  # no proxy and no .netrc of whoever runs this
            found.verify = self.settings.ca or True
            if self.settings.cert:
                found.cert = (self.settings.cert, self.settings.key) if self.settings.key else self.settings.cert
            self._sessions.session = found
        return found

    def _read(self, answer: Any, end: float) -> bytes:
        found = bytearray()
        for piece in answer.iter_content(_PIECE):
            found += piece
            if len(found) > _MAX_ANSWER:
                raise RulesError(f"{self.name} answers with more than {_MAX_ANSWER // 1024**2} MiB", code="opa.answer")
            if time.monotonic() > end:
                raise DependencyError(f"{self.name} took too long to answer", code="opa.down")
        return bytes(found)

    def _parsed(self, text: bytes) -> dict[str, Any]:
        try:
            found = json.loads(text or b"{}")
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise RulesError(f"{self.name} answers with something that is no JSON object", code="opa.answer")
        return found

    def _unreachable(self, error: Exception) -> MlgovError:
        import requests

        if isinstance(error, requests.exceptions.SSLError):
            return AccessError(
                f"{self.name} and this side do not trust each other's certificates: check ca, cert and key",
                code="opa.certificate",
            )
        if isinstance(error, requests.exceptions.RequestException):
            return DependencyError(f"{self.name} does not answer ({type(error).__name__})", code="opa.down")
        return ConfigurationError(
            f"the certificates for {self.name} cannot be read: {getattr(error, 'strerror', None) or error}",
            code="opa.certificate",
        )

    def _refused(self, status: int, text: bytes, path: str) -> MlgovError:
        if status in (401, 403):
            return AccessError(
                f"{self.name} refuses {path.partition('?')[0]} with {status}: check the token, and the server's "
                "system.authz",
                code="opa.refused",
            )
        try:
            said = self._parsed(text)
        except RulesError:
            said = {}
        errors = [item for item in said.get("errors") or () if isinstance(item, dict)]
        codes = [str(item.get("code", "")) for item in errors]
        what = "; ".join(str(item.get("message", ""))[:_MOST_SHOWN] for item in errors[:3]) or str(
            said.get("message", "")
        )
        if status in _BUSY or (status >= 500 and not any(code.startswith(("eval_", "rego_")) for code in codes)):
            return DependencyError(f"{self.name} answered {status}: {what[:_MOST_SHOWN]}", code="opa.down")
        return RulesError(f"{self.name} answered {status}: {what[:_MOST_SHOWN]}", code="opa.answer")


def moved(text: str, places: Sequence[int], root: str) -> str:
    """A module in the package ``root`` and below, with all that it calls ``data`` there too.

    :param places: see :attr:`~airflow_mlgov.rego.protocol.Outline.places`
    """
    raw = text.encode()
    begins, *ends = places
    for end in sorted(ends, reverse=True):
        raw = raw[:end] + f".{root}".encode() + raw[end:]
    return (raw[:begins] + f"{root}.".encode() + raw[begins:]).decode()
