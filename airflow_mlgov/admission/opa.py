"""An OPA server that answers with AdmissionReviews, believed only if every word of the answer is as it must be.

An undefined rule is a 404 or ``{}``, a query without input ``[]`` with status 200: neither may look like a pass.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError, DependencyError, EvidenceError
from airflow_mlgov.urls import server_url, shown_server
from airflow_mlgov.words import plain

if TYPE_CHECKING:
    import urllib3

PATH = "v1/data/system/main?provenance=true"
_LARGEST = 1 << 20
_CONNECTIONS = 32


@dataclass(frozen=True)
class Ruling:
    """What the rules say of one object."""

    allowed: bool
    message: str = ""
    code: int = 403
    warnings: tuple[str, ...] = ()


class OpaServer:
    """One OPA server and the bundle that it must have.

    :param url: such as ``http://127.0.0.1:8181``; the scheme may be https
    :param revision: of the bundle, pinned; see ``admission.bundle``
    :param timeout: seconds for one answer
    :param ca: file with the authority that signed its certificate; the system's if omitted
    :raises ConfigurationError: it is no URL of a server
    """

    def __init__(self, url: str, revision: str, *, timeout: float = 3.0, ca: str | None = None) -> None:
        parts = server_url(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not revision:
            raise ConfigurationError(
                "name the OPA server by its URL, http://127.0.0.1:8181, and the revision of its bundle",
                code="opa.address",
            )
        self.url, self.revision = shown_server(url), revision
        self._address, self._timeout, self._ca = url.rstrip("/"), timeout, ca
        self._pool: urllib3.PoolManager | None = None

    def rule(self, facts: Mapping[str, Any], uid: str) -> Ruling:
        """What the rules say of an object.

        :param facts: see ``judge.facts``
        :param uid: which the answer must repeat
        :raises DependencyError: it is down, too slow, or answers with an error of its own
        :raises EvidenceError: its answer is not one of the bundle that is pinned, or no AdmissionReview for this uid
        """
        body = self._ask({"input": facts})
        revision = self._revision_of(body)
        if revision != self.revision:
            raise EvidenceError(
                f"OPA at {self.url} answers by the bundle {plain(revision or 'without a revision', 80)}, and "
                f"{plain(self.revision, 80)} is pinned: load that bundle, or pin the new one",
                code="opa.bundle",
            )
        response = _part(_part(body, "result"), "response")
        if not response or response.get("uid") != uid or type(response.get("allowed")) is not bool:
            raise EvidenceError(
                f"OPA at {self.url} gave no answer to this review: data.system.main is undefined, or answers another",
                code="opa.answer",
            )
        status = _part(response, "status")
        code = status.get("code")
        return Ruling(
            response["allowed"],
            str(status.get("message") or "the rules gave no reason"),
            code if type(code) is int and 400 <= code < 600 else 403,
            tuple(str(one) for one in _list(response.get("warnings"))),
        )

    def check(self) -> None:
        """Ask whether it answers by the pinned bundle.

        :raises DependencyError: it is down
        :raises EvidenceError: it has another bundle
        """
        self.rule({"mlgov": "ready", "review": {"version": "admission.k8s.io/v1", "uid": "ready"}}, "ready")

    def _ask(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        import urllib3

        if self._pool is None:
            self._pool = urllib3.PoolManager(
                maxsize=_CONNECTIONS, block=True, retries=False, timeout=self._timeout, ca_certs=self._ca
            )
        try:
            answer = self._pool.request(
                "POST",
                f"{self._address}/{PATH}",
                body=json.dumps(document, separators=(",", ":")).encode(),
                headers={"Content-Type": "application/json"},
                preload_content=False,
                redirect=False,
                pool_timeout=self._timeout,
            )
            try:
                raw = answer.read(_LARGEST + 1)
            finally:
                answer.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise DependencyError(
                f"OPA at {self.url} does not answer ({type(error).__name__}): start it, or correct --opa",
                code="opa.down",
            ) from None
        if answer.status != 200:
            raise DependencyError(
                f"OPA at {self.url} answers with status {answer.status} to {PATH}: see its log", code="opa.down"
            )
        try:
            if len(raw) > _LARGEST:
                raise ValueError("too large")
            found = json.loads(raw)
            return found if isinstance(found, dict) else {}
        except (ValueError, RecursionError):
            raise EvidenceError(f"OPA at {self.url} does not answer in JSON", code="opa.answer") from None

    def _revision_of(self, body: Mapping[str, Any]) -> str:
        """The revision of the one bundle that it has loaded; empty if there is none, or several."""
        bundles = [item for item in _part(_part(body, "provenance"), "bundles").values() if isinstance(item, dict)]
        revision = bundles[0].get("revision") if len(bundles) == 1 else None
        return revision if isinstance(revision, str) else ""


def _part(value: Any, key: str) -> Mapping[str, Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
