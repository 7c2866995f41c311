"""What one version of a policy, or of a pack of rules, asks beyond the other, in words: what came, what went, what
moved, and whether that is stricter or milder. Judges nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_mlgov import catalogue
from airflow_mlgov.durations import parse_duration
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.force import MODES
from airflow_mlgov.gates.protocol import Strict
from airflow_mlgov.governance.packs import Pack
from airflow_mlgov.governance.policy import GovernancePolicy
from airflow_mlgov.results import Severity

_WEIGHT = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
_MODES = tuple(MODES)
_MORE_IS_STRICTER = {"min", "min_change", "count", "signers"}
_LESS_IS_STRICTER = {"max", "max_change", "max_days", "max_hours", "max_stretch", "same_data", "same_model"}
_SHORTER_IS_STRICTER = {"evidence_max_age", "audit_within", "max_age"}
_LISTS = {"requires": "stricter", "not": "stricter", "packages": "stricter", "require": "stricter", "from": "milder",
          "harmless": "milder"}  # fmt: skip
"""List -> what one more in it makes of the policy."""
_BOUNDS = {"min", "max", "min_change", "max_change"}


@dataclass(frozen=True)
class Change:
    """One difference."""

    text: str
    """In words, with what was and what is."""
    direction: str = ""
    """``stricter``, ``milder``, or empty if neither can be said."""

    def __str__(self) -> str:
        return f"{self.text} ({self.direction})" if self.direction else self.text


def compare_packs(old: Pack, new: Pack) -> list[Change]:
    """What came, went and changed among the rules of two packs."""
    before, after = ({rule.code: rule for rule in pack.rules} for pack in (old, new))
    found = [
        Change(f"the rule {code} came: {rule.title} [{rule.severity}]", "stricter")
        for code, rule in after.items()
        if code not in before
    ]
    found += [
        Change(f"the rule {code} went: {rule.title}", "milder") for code, rule in before.items() if code not in after
    ]
    for code in before.keys() & after.keys():
        one, other = before[code], after[code]
        if one.severity is not other.severity:
            heavier = _WEIGHT[other.severity] > _WEIGHT[one.severity]
            text = f"the rule {code} was {one.severity} and is {other.severity}"
            found.append(Change(text, "stricter" if heavier else "milder"))
        if one.effective_on != other.effective_on:
            dates = [rule.effective_on.date().isoformat() if rule.effective_on else "ever" for rule in (one, other)]
            later = other.effective_on is not None and (
                one.effective_on is None or other.effective_on > one.effective_on
            )
            text = f"the rule {code} was in force from {dates[0]} on and is from {dates[1]} on"
            found.append(Change(text, "milder" if later else "stricter"))
        if one.mildest is not other.mildest:
            text = f"the rule {code} is now no milder than {other.mildest}, where it was {one.mildest}"
            more = _WEIGHT[other.mildest] > _WEIGHT[one.mildest]
            found.append(Change(text, "stricter" if more else "milder"))
        for word in ("title", "mend"):
            if getattr(one, word) != getattr(other, word):
                found.append(Change(f"the {word} of the rule {code} is now: {getattr(other, word)}"))
        if one.controls != other.controls:
            found.append(Change(f"the rule {code} speaks to {', '.join(other.controls) or 'no control'}"))
    names = sorted({*old.modules, *new.modules})
    changed = [name for name in names if _code(old.modules.get(name, "")) != _code(new.modules.get(name, ""))]
    if changed and not found:
        found.append(Change(f"what rules say has changed in {', '.join(changed)}: read it"))
    elif changed:
        found.append(Change(f"the text of {', '.join(changed)} has changed too"))
    return sorted(found, key=str)


def _code(text: str) -> str:
    """Rego without comments that stand alone on a line."""
    return "\n".join(line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))


def compare_policies(old: GovernancePolicy, new: GovernancePolicy) -> list[Change]:
    """What came, went and moved between two governance policies."""
    found = list(_mappings("", old.document, new.document))
    for name in sorted({*old.rules, *new.rules}):
        if name in old.rules and name in new.rules and _code(old.rules[name]) != _code(new.rules[name]):
            found.append(Change(f"what the rules {name} say has changed: read it"))
    return found


def _mappings(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for key in dict.fromkeys([*old, *new]):
        where = f"{path} {key}".strip()
        if key not in new:
            yield Change(f"{where} went{_told(old[key])}", _gone(key, old[key], came=False))
        elif key not in old:
            yield Change(f"{where} came{_told(new[key])}", _gone(key, new[key], came=True))
        elif old[key] != new[key]:
            yield from _values(where, key, old[key], new[key])


def _values(where: str, key: str, old: Any, new: Any) -> Iterator[Change]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _mappings(where, old, new)
    elif isinstance(old, list) and isinstance(new, list):
        more = _LISTS.get(key, "")
        less = {"stricter": "milder", "milder": "stricter", "": ""}[more]
        yield from (Change(f"{where}: {one} came", more) for one in new if one not in old)
        yield from (Change(f"{where}: {one} went", less) for one in old if one not in new)
    else:
        yield Change(f"{where} was {_shown(old)} and is {_shown(new)}", _direction(where, key, old, new))


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return f": {', '.join(f'{key} {_shown(inner)}' for key, inner in value.items())}"[:300] if value else ""
    return f": {_shown(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    return "{…}" if isinstance(value, Mapping) else str(value)


def _gone(key: str, value: Any, *, came: bool) -> str:
    """What a key that came or went makes of the policy, where that is plain."""
    if value in _MODES:  # enforced where nobody says one, as most rules are
        return "stricter" if (value == "enforce") is came else "milder"
    if key == "modes" and isinstance(value, Mapping) and value:
        return "stricter" if (set(value.values()) == {"enforce"}) is came else "milder"
    if key == "severity":  # critical where nobody says one
        return "" if value == Severity.CRITICAL else "milder" if came else "stricter"
    is_bound = isinstance(value, Mapping) and bool(_BOUNDS & set(value))
    demands = is_bound or key in _BOUNDS or key in ("approvals", "max_tries", "rollback") or key in _SHORTER_IS_STRICTER
    lets_by = key in ("waivers", "break_glass", "accept", "harmless")
    if not demands and not lets_by:
        return ""
    return "stricter" if came is demands else "milder"


def _direction(where: str, key: str, old: Any, new: Any) -> str:
    words = where.split()
    if key == "severity" and {old, new} <= set(Severity):
        more = _WEIGHT[Severity(new)] > _WEIGHT[Severity(old)]
    elif old in _MODES and new in _MODES:
        more = _MODES.index(new) > _MODES.index(old)
    elif key in _SHORTER_IS_STRICTER:
        more = parse_duration(new) < parse_duration(old)
    elif key in _MORE_IS_STRICTER | _LESS_IS_STRICTER and _are_numbers(old, new):
        more = (new > old) is (key in _MORE_IS_STRICTER)
    else:
        return _by_mark(words, key, old, new)
    return "stricter" if more else "milder"


def _by_mark(words: Sequence[str], key: str, old: Any, new: Any) -> str:
    """By what the gate says of its setting."""
    if len(words) < 2 or "gates" not in words:
        return ""
    gate = words[words.index("gates") + 1]
    try:
        mark = catalogue.load(gate).Settings.marks(Strict).get(key)
    except ConfigurationError:
        return ""
    if mark is None or mark.larger_is == "same":
        return ""
    ranks = [mark.rank(value) for value in (old, new)]
    if not _are_numbers(*ranks):
        return ""
    return "stricter" if mark.allows(new, old) else "milder"


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
