"""OPA's own cases, where its source is at hand: in the cache of Go's modules, or where ``MLGOV_OPA_CASES`` says. They
are no part of this repository."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from airflow_mlgov.strict_files import PlainLoader

_QUERY = re.compile(r"^(data(?:\.\w+)+)\s*=\s*x$")


@dataclass(frozen=True)
class Case:
    """One of them, of those that ask for one rule."""

    note: str
    modules: Mapping[str, str]
    rule: str
    input: Any
    data: Any
    wants: tuple[Any, ...]
    """The value; nothing if it is undefined, or an error."""


def folder() -> Path | None:
    """Where they are; None if they are not here."""
    said = os.environ.get("MLGOV_OPA_CASES")
    if said:
        return Path(said)
    gopath = Path(os.environ.get("GOPATH") or Path.home() / "go")
    found = sorted(gopath.glob("pkg/mod/github.com/open-policy-agent/opa@*/v1/test/cases/testdata/v1"))
    return found[-1] if found else None


def cases(where: Path) -> Iterator[Case]:
    """Each case with a query ``data.a.b = x`` and a JSON input, or that needs none: here there is always one."""
    for path in sorted(where.rglob("*.yaml")):
        for said in (yaml.load(path.read_text(encoding="utf-8"), PlainLoader) or {}).get("cases") or ():
            asked = _QUERY.match(str(said.get("query", "")))
            texts = said.get("modules") or ()
            if not asked or said.get("input_term") or ("input" not in said and any("input" in text for text in texts)):
                continue
            modules = {f"{number}.rego": text for number, text in enumerate(texts)}
            wanted = said.get("want_result") or ()
            values = tuple(item["x"] for item in wanted if isinstance(item, dict) and "x" in item)
            yield Case(str(said["note"]), modules, asked[1], said.get("input"), said.get("data"), values)
