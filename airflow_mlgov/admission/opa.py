"""An OPA server that answers with AdmissionReviews, believed only if every word of the answer is as it must be.

An undefined rule is a 404 or ``{}``, a query without input ``[]`` with status 200: neither may look like a pass.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_mlgov.errors import ConfigurationError, DependencyError, EvidenceError
from airflow_mlgov.evidence.digests import canonical_json
from airflow_mlgov.rego.client import OpaClient, ServerSettings, part, revision_of
from airflow_mlgov.words import plain

PATH = "v1/data/system/main?provenance=true"
_LARGEST = 1 << 20
ASKS_AGAIN = 2.0
"""Seconds after which OPA is asked again about the same facts."""
_MOST_KEPT = 1_000


@dataclass(frozen=True)
class Ruling:
    """What the rules say of one object."""

    allowed: bool
    message: str = ""
    code: int = 403
    warnings: tuple[str, ...] = ()


class OpaServer:
    """One OPA server and the bundle that it must have.

    :param url: such as ``http://127.0.0.1:8181``; https for another machine
    :param revision: of the bundle, pinned; see ``admission.bundle``
    :param timeout: seconds for one answer
    :param ca: file with the authority that signed its certificate; the system's if omitted
    :raises ConfigurationError: it is no URL of a server, or not a protected one
    """

    def __init__(self, url: str, revision: str, *, timeout: float = 3.0, ca: str | None = None) -> None:
        if not revision:
            raise ConfigurationError("name the revision of the bundle that OPA must have", code="opa.address")
        self.url, self.revision = url.rstrip("/"), revision
        self._settings = ServerSettings(url, ca=ca or "", timeout=timeout)
        self._client = OpaClient(self._settings, f"OPA at {self.url}")
        self._kept: dict[bytes, tuple[float, Ruling]] = {}

    def rule(self, facts: Mapping[str, Any], uid: str) -> Ruling:
        """What the rules say of an object, or said of the same facts :data:`ASKS_AGAIN` ago at most: the pods of one
        workload differ in their uid alone.

        :param facts: see ``judge.facts``
        :param uid: of the review
        :raises DependencyError: as :meth:`ask`
        :raises EvidenceError: as :meth:`ask`
        """
        said = {**facts, "review": {**facts["review"], "uid": ""}}
        key, now = hashlib.sha256(canonical_json(said)).digest(), time.monotonic()
        until, found = self._kept.get(key, (0.0, None))
        if found is None or now >= until:
            found = self.ask(facts, uid)
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = (now + ASKS_AGAIN, found)
        return found

    def ask(self, facts: Mapping[str, Any], uid: str) -> Ruling:
        """What the rules say now.

        :param facts: see ``judge.facts``
        :param uid: which the answer must repeat
        :raises DependencyError: it is down, too slow, or answers with an error of its own
        :raises EvidenceError: its answer is not one of the bundle that is pinned, or no AdmissionReview for this uid
        """
        body = self._send({"input": facts})
        revision = revision_of(body)
        if revision != self.revision:
            raise EvidenceError(
                f"OPA at {self.url} answers by the bundle {plain(revision or 'without a revision', 80)}, and "
                f"{plain(self.revision, 80)} is pinned: load that bundle, or pin the new one",
                code="opa.bundle",
            )
        response = part(body, "result", "response")
        if not response or response.get("uid") != uid or type(response.get("allowed")) is not bool:
            raise EvidenceError(
                f"OPA at {self.url} gave no answer to this review: data.system.main is undefined, or answers another",
                code="opa.answer",
            )
        status = part(response, "status")
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
        self.ask({"mlgov": "ready", "review": {"version": "admission.k8s.io/v1", "uid": "ready"}}, "ready")

    def _send(self, document: Mapping[str, Any]) -> Any:
        body = json.dumps(document, separators=(",", ":")).encode()
        answer = self._client.send("POST", PATH, body, limit=self._settings.timeout, most=_LARGEST)
        if answer.status != 200:
            raise DependencyError(
                f"OPA at {self.url} answers with status {answer.status} to {PATH}: see its log", code="opa.down"
            )
        try:
            return answer.json()
        except ValueError:
            raise EvidenceError(f"OPA at {self.url} does not answer in JSON", code="opa.answer") from None


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
