"""The probes of ``tests/conformance/probes``: small modules, an input, and what has to come of it.

``want`` is what every engine says. ``refused: true``: the embedded engine does not load it, for engines would differ.
``none: true``: it gives no value, because OPA gives none, or because it cannot itself and says so. ``disagree: true``:
it gives another number than OPA, in the last digit or beyond 2**63, so that both together refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent / "probes"
RULE = "data.a.x"
_LIBRARY = "package lib\n\nq := 3\n"


@dataclass(frozen=True)
class Probe:
    """One question."""

    topic: str
    rules: str
    input: Mapping[str, Any]
    said: Mapping[str, Any]
    """``want``, ``refused``, ``none`` or ``disagree``."""

    @property
    def modules(self) -> dict[str, str]:
        """The rules in the package ``a``, beside a small library."""
        return {"a.rego": f"package a\n\n{self.rules}\n", "lib.rego": _LIBRARY}

    @property
    def name(self) -> str:
        """In one line."""
        return f"{self.topic}: {'; '.join(self.rules.split(chr(10)))} {dict(self.input) or ''}".strip()


@cache
def probes() -> tuple[Probe, ...]:
    """All of them, in order."""
    found = []
    for path in sorted(HERE.glob("*.yaml")):
        for row in yaml.safe_load(path.read_text(encoding="utf-8")):
            said = {key: row[key] for key in ("want", "refused", "none", "disagree") if key in row}
            assert len(said) == 1, row
            found.append(Probe(path.stem, row["rules"].strip(), row.get("input") or {}, said))
    return tuple(found)
