"""Which reasons to deny only warn: of the rules of promotion and an organisation's own. ``gates.force`` says it of all.

A shipped rule warns only if its own METADATA allows it (``mildest``), whatever a policy says; one of the organisation's
own goes by its METADATA only if every rule beside it has some, so that none is softened by another's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.force import MODES, Force, in_force_from, milder
from airflow_mlgov.rego.metadata import metadata_of
from airflow_mlgov.rego.protocol import Outline
from airflow_mlgov.results import Severity
from airflow_mlgov.strict_files import nearest

PROMOTION, CUSTOM = "mlgov.promotion", "mlgov.custom"
"""The packages of the shipped rules, and of an organisation's own."""
OWN = "custom."
"""Begins the codes of an organisation's own rules."""
Reason = tuple[str, str]


@dataclass(frozen=True)
class Weighed:
    """Reasons to deny, and what would be reasons if it were in force."""

    denying: frozenset[Reason]
    warned: frozenset[Reason]
    """With why each only warns."""


def weigh(reasons: Iterable[Reason], forces: Mapping[str, Force], modes: Mapping[str, str], now: datetime) -> Weighed:
    """Tell what denies from what warns.

    :param forces: code -> what METADATA says; a shipped code that is not there weighs all it can
    :param modes: what the policy says, by ``mlgov.promotion/CODE``, ``mlgov.custom/CODE`` and ``mlgov.custom``
    """
    denying, warned = set[Reason](), set[Reason]()
    for code, message in reasons:
        force = forces.get(code, Force() if code.startswith(OWN) else Force(mildest=Severity.CRITICAL))
        severity, why = force.weight(_names(code), modes, now)
        if severity is Severity.CRITICAL:
            denying.add((code, message))
        else:
            warned.add((code, message + (why or f" ({severity}, by its METADATA)")))
    return Weighed(frozenset(denying), frozenset(warned))


def _names(code: str) -> tuple[str, ...]:
    if code.startswith(OWN):
        return f"{CUSTOM}/{code.removeprefix(OWN)}", CUSTOM
    return (f"{PROMOTION}/{code}",)


@lru_cache(maxsize=8)
def shipped_forces(text: str) -> Mapping[str, Force]:
    """Code -> what the shipped rules of this code say, the strictest of them; nothing of what cannot be read."""
    return _forces(_said(text), Severity.CRITICAL)


def own_forces(modules: Mapping[str, str], outline: Outline) -> Mapping[str, Force]:
    """The same of an organisation's own rules; if one of those that deny has no METADATA with a code, only what no mode
    makes any milder than."""
    path = f"data.{CUSTOM}.deny"
    said = {name: _said(text) for name, text in modules.items()}
    heads = [head for head in outline.heads if head.path == path and head.kind != "default"]
    found = {(head.module, head.line): said.get(head.module, {}).get(head.line, {}) for head in heads}
    is_whole = len(found) == len(heads) and all(map(_code, found.values()))
    forces = _forces(dict(enumerate(found.values())), Severity.INFO)
    return {OWN + code: force if is_whole else Force(mildest=force.mildest) for code, force in forces.items()}


def _said(text: str) -> Mapping[int, Mapping[str, Any]]:
    try:
        return metadata_of(text, "rules")
    except ConfigurationError:
        return {}


def _forces(said: Mapping[int, Mapping[str, Any]], mildest: Severity) -> Mapping[str, Force]:
    found: dict[str, Force] = {}
    for one in said.values():
        if code := _code(one):
            force = _force(one["custom"], mildest)
            found[code] = force.with_another(found[code]) if code in found else force
    return found


def _code(said: Mapping[str, Any]) -> str:
    custom = said.get("custom")
    code = custom.get("code") if isinstance(custom, Mapping) else None
    return code if isinstance(code, str) else ""


def _force(custom: Mapping[str, Any], mildest: Severity) -> Force:
    """What cannot be read weighs all it can."""
    severity, mode = custom.get("severity", Severity.CRITICAL), custom.get("mildest")
    least = mildest if mode is None else MODES.get(str(mode), Severity.CRITICAL)
    return Force(
        severity=Severity(severity) if severity in list(Severity) else Severity.CRITICAL,
        effective_on=in_force_from(custom.get("effective_on")),
        mildest=least,
    )


def why_no_mode(name: str, mode: str, shipped: str, own: Mapping[str, str]) -> str:
    """What is wrong with a policy's mode for a rule of the decision; empty if it holds.

    :param name: ``mlgov.promotion/CODE``, ``mlgov.custom/CODE`` or ``mlgov.custom``
    :param own: the organisation's own modules
    """
    package, _, code = name.partition("/")
    if package == CUSTOM:
        said = [one for text in own.values() for one in _said(text).values()]
        forces = _forces(dict(enumerate(said)), Severity.INFO)
        what = "no rule of your own has a METADATA of this code"
    else:
        forces, what = shipped_forces(shipped), "no rule of promotion has this code"
    if name == CUSTOM and own:
        return ""
    if code not in forces:
        return f"{what}{nearest(code, forces)}"
    if milder(MODES[mode], forces[code].mildest) is not forces[code].mildest:
        least = next(word for word, severity in MODES.items() if severity is forces[code].mildest)
        return f"{mode} is milder than this rule ever is ({least}): it denies what a policy cannot allow"
    return ""


def is_of_the_decision(name: str) -> bool:
    """Whether a mode is for a rule of promotion or one of the organisation's own; others are for packs."""
    return name.partition("/")[0] in (PROMOTION, CUSTOM)
