"""One question, asked of the embedded engine as this package has it, and of OPA: what each says, and whether that will
do. Only one thing will not: a value here that OPA does not give too."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from airflow_mlgov.rego.child import Loaded, Unanswered
from airflow_mlgov.rego.embedded import _FOUR_BYTES
from airflow_mlgov.rego.protocol import plain_json
from airflow_mlgov.rego.second import as_numbers

Kind = Literal["value", "undefined", "refused", "error", "not loaded"]


@dataclass(frozen=True)
class Said:
    """What an engine says of one rule."""

    kind: Kind
    value: Any = None
    why: str = ""


def embedded_says(modules: Mapping[str, str], rule: str, document: Any, data: Any = None) -> Said:
    """The embedded engine's own code, in this process: it has no child, and so no limits."""
    try:
        loaded = Loaded({"modules": dict(modules), "data": data or {}, "vetting": "whole"})
        text = plain_json(document)
        if loaded.outline["counts_text"] and _FOUR_BYTES.search(text):
            return Said("refused", why="it counts texts")
        return Said("value", json.loads(loaded.ask([rule], text.decode()))[0])
    except Unanswered as error:
        return Said("undefined" if error.why == "undefined" else "refused", why=str(error))
    except BaseException as error:  # a Rust panic is no Exception
        return Said("error", why=str(error).partition("\n\nStack")[0].strip()[:300])


class Opa:
    """A server that is asked whatever it takes."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._number = 0

    def says(
        self, modules: Mapping[str, str], rule: str, document: Any, data: Any = None, *, strict: bool = True
    ) -> Said:
        """What it says of a rule; the modules are gone afterwards.

        :param strict: a built-in function that fails stops it, also where nothing hangs on it
        """
        import requests

        session = self._session()
        base = self._server.url
        names = [f"probe{number}" for number in range(len(modules))]
        try:
            for name, text in zip(names, modules.values(), strict=True):
                put = session.put(f"{base}/v1/policies/{name}", data=text.encode(), timeout=30)
                if put.status_code != 200:
                    return Said("not loaded", why=put.text)
            for key, value in (data or {}).items():
                session.put(f"{base}/v1/data/{key}", data=json.dumps(value), timeout=30)
            asked = f"{base}/v1/data/{rule.removeprefix('data.').replace('.', '/')}"
            asked += "?strict-builtin-errors=true" if strict else ""
            answer = session.post(asked, data=plain_json({"input": as_numbers(document)}), timeout=30)
            found = answer.json()
        except requests.exceptions.Timeout:
            return Said("error", why="it took too long")
        finally:
            for name in reversed(names):
                session.delete(f"{base}/v1/policies/{name}", timeout=30)
            for key in data or {}:
                session.delete(f"{base}/v1/data/{key}", timeout=30)
        if answer.status_code != 200:
            return Said("error", why=answer.text[:300])
        return Said("value", found["result"]) if "result" in found else Said("undefined")

    def _session(self) -> Any:
        if not hasattr(self, "_kept"):
            import requests

            self._kept = requests.Session()
            self._kept.trust_env = False
            self._kept.verify = self._server.ca
            self._kept.headers["Authorization"] = f"Bearer {self._server.token}"
        return self._kept


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, whatever order sets are written in at the top."""
    texts = [_texts(value) for value in (one, other)]
    return texts[0] == texts[1]


def _texts(value: Any) -> Any:
    plain = as_numbers(value)
    return sorted(map(plain_json, plain)) if isinstance(plain, list) else plain_json(plain)


def is_silent(ours: Said, theirs: Said) -> bool:
    """Whether a value is given here that OPA, which has loaded the modules, does not give."""
    if ours.kind != "value" or theirs.kind == "not loaded":
        return False
    return not (theirs.kind == "value" and same(ours.value, theirs.value))


def shown(modules: Sequence[str], document: Any, ours: Said, theirs: Said) -> str:
    """What to look at where they differ."""
    text = "\n".join(modules)
    return f"{text}\ninput: {json.dumps(document)}\nembedded: {ours}\nopa: {theirs}"
