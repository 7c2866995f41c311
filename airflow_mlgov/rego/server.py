"""An OPA server: the rules are given to it under names that are their digest, and no answer of its is taken that the
embedded engine does not give too."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from airflow_mlgov.errors import AccessError, DependencyError, MlgovError
from airflow_mlgov.rego.client import JSON, Answer, OpaClient, ServerSettings, revision_of
from airflow_mlgov.rego.embedded import EmbeddedEngine
from airflow_mlgov.rego.protocol import Bundle, Outline, Question, RulesError, plain_json
from airflow_mlgov.rego.second import SecondEngine
from airflow_mlgov.words import plain

_MAX_ANSWER = 64 * 1024**2
"""Bytes: the list of all policies holds their syntax trees."""
_LOOK_AGAIN = 60.0
"""Seconds after which it is asked again whether it still holds the rules."""
_MOST_SHOWN = 300
_BUSY = frozenset({408, 429, 502, 503, 504})


class OpaServer(SecondEngine):
    """Evaluates on an OPA server, and refuses what the embedded engine would answer differently.

    The rules are given to the server as policies ``mlgov/DIGEST/…``, in a package of their own that has the digest in
    its name, so that neither an older version nor anybody else's rules are among them; that it holds these and no
    others is asked at first and once a minute. If the server has a bundle of its own, each answer has to name its
    revision.

    :param settings: where it is
    :param engine: the embedded engine that looks at the rules and answers besides
    """

    def __init__(self, settings: ServerSettings, engine: EmbeddedEngine | None = None) -> None:
        super().__init__(engine)
        self.settings = settings
        self._client = OpaClient(settings, self.name)
        self._held: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """``opa`` and its address."""
        return f"opa at {self.settings.url}"

    def theirs(self, question: Question) -> list[Any]:
        """See :meth:`~airflow_mlgov.rego.second.SecondEngine.theirs`."""
        limit = min(self.settings.timeout, question.timeout or self.settings.timeout)
        body = b'{"input":' + plain_json(question.document) + b"}"
        if self.settings.bundle:
            return [self._ask(rule, body, limit, revision=question.bundle.digest) for rule in question.rules]
        return self._ask_pinned(question.bundle, self.outline(question.bundle), question.rules, body, limit)

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

    def check(self, bundle: Bundle) -> bool:
        """Whether it holds the rules now. Where it has no bundle of its own, they are given to it when they are asked.

        :raises RulesError: its own bundle has another revision, or others' rules stand beside these
        :raises DependencyError: it does not answer
        :raises AccessError: it refuses the token
        """
        outline, limit = self.outline(bundle), self.settings.timeout
        if self.settings.bundle:
            rule = next(head.path for head in outline.heads if head.kind == "set")
            path = quote(rule.removeprefix("data.").replace(".", "/"))
            self._require(bundle.digest, self._call("POST", f"v1/data/{path}?provenance=true", b"{}", limit=limit))
            return True
        root = f"mlgov_{bundle.digest}"
        wanted, there = _named(bundle, outline, root), self._policies(limit)
        self._require_alone(there, wanted, root)
        return all(there.get(name) == (text, root) for name, text in wanted.items())

    def _require_alone(self, there: Mapping[str, tuple[str, str]], wanted: Mapping[str, str], root: str) -> None:
        strangers = [name for name, (_, package) in there.items() if package == root and name not in wanted]
        if strangers:
            raise RulesError(
                f"{self.name} holds others beside the rules that were given to it: {', '.join(strangers[:5])}",
                code="opa.other_rules",
            )

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
            wanted = _named(bundle, outline, root)
            there = self._policies(limit)
            for name, text in wanted.items():
                if there.get(name) != (text, root):
                    self._call("PUT", f"v1/policies/{quote(name)}", text.encode(), kind="text/plain", limit=limit)
            if bundle.data:
                self._call("PUT", f"v1/data/{root}", plain_json(bundle.data), limit=limit)
            there = self._policies(limit)
            self._require_alone(there, wanted, root)
            others = [name for name, text in wanted.items() if there.get(name) != (text, root)]
            if others:
                raise RulesError(
                    f"{self.name} does not hold the rules that were given to it: {', '.join(others[:5])}",
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
            self._require(revision, answer)
        if "result" not in answer:
            raise RulesError(f"{rule} is undefined at {self.name}", code="rego.undefined")
        if answer.get("warning"):
            raise RulesError(f"{self.name} warns: {str(answer['warning'])[:_MOST_SHOWN]}", code="opa.answer")
        return answer["result"]

    def _require(self, revision: str, answer: Mapping[str, Any]) -> None:
        found = revision_of(answer, self.settings.bundle)
        if found != revision:
            raise RulesError(
                f"the bundle {self.settings.bundle} of {self.name} is at {plain(found or 'no revision', 80)}, and the "
                f"rules are {revision}: have the server load them",
                code="opa.other_rules",
            )

    def _call(
        self, method: str, path: str, body: bytes | None = None, *, limit: float, kind: str = JSON
    ) -> dict[str, Any]:
        answer = self._client.send(method, path, body, limit=limit, most=_MAX_ANSWER, kind=kind)
        if answer.status not in (200, 204):
            raise self._refused(answer, path)
        return self._parsed(answer)

    def _parsed(self, answer: Answer) -> dict[str, Any]:
        try:
            found = answer.json()
        except ValueError as error:
            raise RulesError(f"{self.name} answers with what is no JSON: {error}", code="opa.answer") from None
        if not isinstance(found, dict):
            raise RulesError(f"{self.name} answers with something that is no JSON object", code="opa.answer")
        return found

    def _refused(self, answer: Answer, path: str) -> MlgovError:
        status = answer.status
        if status in (401, 403):
            return AccessError(
                f"{self.name} refuses {path.partition('?')[0]} with {status}: check the token, and the server's "
                "system.authz",
                code="opa.refused",
            )
        try:
            said = self._parsed(answer)
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


def _named(bundle: Bundle, outline: Outline, root: str) -> dict[str, str]:
    """Policy -> its text, as the server is to hold them."""
    return {
        f"mlgov/{bundle.digest}/{number}.rego": moved(text, outline.places[name], root)
        for number, (name, text) in enumerate(bundle.modules.items())
    }


def moved(text: str, places: Sequence[int], root: str) -> str:
    """A module in the package ``root`` and below, with all that it calls ``data`` there too.

    :param places: see :attr:`~airflow_mlgov.rego.protocol.Outline.places`
    """
    raw = text.encode()
    begins, *ends = places
    for end in sorted(ends, reverse=True):
        raw = raw[:end] + f".{root}".encode() + raw[end:]
    return (raw[:begins] + f"{root}.".encode() + raw[begins:]).decode()
