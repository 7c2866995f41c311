"""All that is wrong with a policy file, each with its line and its mend. A policy is refused for the first of them, and
``mlgov policy check`` shows them all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow_mlgov import catalogue
from airflow_mlgov.errors import ConfigurationError, MlgovError
from airflow_mlgov.gates.ranges import example_of, range_of
from airflow_mlgov.governance.names import why_unreadable
from airflow_mlgov.governance.reasons import shipped_rules
from airflow_mlgov.governance.weighing import is_of_the_decision, why_no_mode
from airflow_mlgov.strict_files import Document, nearest, read_text, why_open_to_all
from airflow_mlgov.words import plain

_MOST_SHOWN = 60
"""Characters of a value in a message."""
_KINDS = {
    "object": "a mapping, `key: value` for each",
    "array": "a list, [one, two]",
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "nothing",
}


@dataclass(frozen=True)
class Mistake:
    """One thing to mend."""

    code: str
    where: str
    """``file:line``."""
    text: str
    """What is wrong, and what to write."""

    @property
    def line(self) -> int:
        """Of the file; 0 if it is about all of it."""
        last = self.where.rpartition(":")[2]
        return int(last) if last.isdecimal() else 0

    @property
    def error(self) -> ConfigurationError:
        """As what is refused for it says it."""
        return ConfigurationError(f"{self.where}: {self.text}", code=self.code)


class Examined:
    """A policy file, and what is wrong with it."""

    def __init__(self, document: Document) -> None:
        self.document = document

    @cached_property
    def rules(self) -> dict[str, str]:
        """The organisation's own Rego that can be read, by the name that the policy gives it."""
        return {name: text for name, text, _ in self._read_rules if text is not None}

    def mistakes(self) -> Iterator[Mistake]:
        """Each mistake for which the policy is refused; those of its shape come first."""
        document = self.document
        if why := why_open_to_all(document.source, "policy"):
            yield Mistake("policy.writable", document.source, why)
        if not isinstance(document.content, dict):
            what = "the policy is empty; it needs `version: 1` and `models:`"
            yield Mistake("policy.empty", document.source, what)
            return
        misshapen = False
        for mistake in _shape(document):
            misshapen = True
            yield mistake
        parts: tuple[Callable[[], Iterable[Mistake]], ...] = (
            lambda: _unreadable(document),
            lambda: _shared_places(document),
            lambda: _unknown_teams(document),
            lambda: (mistake for *_, mistake in self._read_rules if mistake is not None),
            lambda: _modes(document, self.rules),
        )
        for part in parts:
            try:
                yield from list(part())
            except (AttributeError, KeyError, TypeError):
                if not misshapen:  # of what has another shape nothing more can be said
                    raise

    def doubts(self) -> Iterator[Mistake]:
        """What is allowed and can hardly be meant: bounds that no value meets, or every value does.

        Only of a policy without mistakes.
        """
        for model, section in self.document.content["models"].items():
            for gate, said in section.get("gates", {}).items():
                known = catalogue.load(gate).Settings.model_fields if gate in catalogue.names() else {}
                for check, bound in said.items():
                    if check not in known and isinstance(bound, dict) and bound.keys() & {"min", "max"}:
                        where = self.document.where("models", model, "gates", gate, check)
                        yield from _bound(where, gate, check, bound)

    @cached_property
    def _read_rules(self) -> list[tuple[str, str | None, Mistake | None]]:
        """Name, text and what is wrong of each file of rules."""
        found: list[tuple[str, str | None, Mistake | None]] = []
        for index, name in enumerate(self.document.content.get("rules", ())):
            where, path = self.document.where("rules", str(index)), Path(self.document.source).parent / name
            try:
                text, why = read_text(path, "rules"), why_open_to_all(path, "rules")
            except MlgovError as error:
                found.append((name, None, Mistake("policy.rules_unreadable", where, str(error))))
                continue
            found.append((name, text, Mistake("policy.writable", where, why) if why else None))
        return found


# -- its shape --------------------------------------------------------------------------------------------------------


def _shape(policy: Document) -> Iterator[Mistake]:
    from airflow_mlgov.governance.schema import policy_schema

    schema = policy_schema()
    if _surely_fits(policy.content, schema):
        return
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    for error in Draft202012Validator(schema).iter_errors(policy.content):
        most_telling = best_match([error]) or error
        yield from _told(policy, most_telling)


def _surely_fits(content: Any, schema: dict[str, Any]) -> bool:
    """Told quickly by JSON Schema in Rust; false too of what is not told so, and where there is no wheel of that."""
    try:
        from jsonschema_rs import Draft202012Validator

        return bool(Draft202012Validator(schema).is_valid(content))
    except (ModuleNotFoundError, ValueError, OverflowError, RecursionError):  # what Rust cannot hold
        return False


def _told(policy: Document, error: Any) -> Iterator[Mistake]:
    """One error of JSON Schema in the words of the policy."""
    path = tuple(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        for key in _unknown_keys(error.schema, error.instance):
            what = f"{'.'.join((*path, key))}: unknown key {key!r}{nearest(key, _words(error.schema))}"
            yield Mistake("policy.unknown_key", policy.where(*path, key), what)
        return
    what = _in_words(error)
    yield Mistake("policy.invalid", policy.where(*path), f"{'.'.join(path) or 'the policy'}: {what}")


def _in_words(error: Any) -> str:
    value, asked, schema = error.instance, error.validator_value, error.schema
    shown = plain(repr(value), _MOST_SHOWN)
    if error.validator == "enum":
        return f"{shown} is none of {', '.join(map(str, asked))}{_near(value, asked)}"
    if error.validator == "const":
        return f"{shown} must be {asked!r}"
    if error.validator == "type":
        kinds = " or ".join(_KINDS.get(kind, kind) for kind in ([asked] if isinstance(asked, str) else asked))
        return f"{shown} is not {kinds}{_like(value, schema)}"
    if error.validator == "required":
        missing = [name for name in asked if name not in value]
        return f"{', '.join(missing)} is missing{_like(value, schema)}"
    if error.validator in ("pattern", "not", "anyOf", "oneOf"):
        said = schema.get("description", "of another form")
        return f"{shown} cannot be: {said}{_like(value, schema)}"
    return str(error.message)


def _near(value: Any, known: Iterable[Any]) -> str:
    said = nearest(str(value), map(str, known))
    return said if "did you mean" in said else ""


def _like(value: Any, schema: Mapping[str, Any]) -> str:
    """What to write instead, made of what was written where that can be told."""
    examples = [str(one) for one in schema.get("examples", ())]
    if not examples:
        return ""
    span = re.fullmatch(r"\s*([1-9]\d{0,9})\s*(s|m|h|d|w)[a-z]*\s*", str(value).lower())
    is_span = re.fullmatch(r"\d+[smhdw]", examples[0])
    return f"; write {span[1]}{span[2]}" if span and is_span else f"; such as {examples[0]}"


def _unknown_keys(schema: Mapping[str, Any], instance: Mapping[str, Any]) -> list[str]:
    patterns = schema.get("patternProperties", {})
    return [
        key
        for key in instance
        if key not in schema.get("properties", {}) and not any(re.search(pattern, key) for pattern in patterns)
    ]


def _words(schema: Mapping[str, Any]) -> list[str]:
    """Every key that a part of the schema knows, those of its patterns spelt out."""
    known = list(schema.get("properties", {}))
    for pattern in schema.get("patternProperties", {}):
        heads, _, tail = pattern.strip("^$").partition(")")
        ends = tail.strip("_()").split("|") if tail else [""]
        known += [f"{head}{'_' if end else ''}{end}" for head in heads.strip("(").split("|") for end in ends]
    return known


# -- what it says -----------------------------------------------------------------------------------------------------


def _unreadable(policy: Document) -> Iterator[Mistake]:
    """Names that hold what nobody sees; people's also those that could be taken for another's."""
    content = policy.content
    people: list[tuple[tuple[str, ...], str]] = [(("accounts", name), name) for name in content.get("accounts", ())]
    things: list[tuple[tuple[str, ...], str]] = []
    for group, members in content.get("groups", {}).items():
        people += [(("groups", group), group), *((("groups", group), name) for name in members)]
    for model, section in content["models"].items():
        things += [(("models", model), name) for name in (model, *section.get("owners", ()))]
        for target, said in section["targets"].items():
            path: tuple[str, ...] = ("models", model, "targets", target)
            things.append((path, target))
            for key in ("approvals", "waivers", "break_glass"):
                people += [((*path, key), name) for name in (said.get(key) or {}).get("from", ())]
    for named, person in ((people, True), (things, False)):
        for path, name in named:
            if why := why_unreadable(name, person):
                yield Mistake("policy.name", policy.where(*path), f"the name {name!a} cannot be read: {why}")


def _shared_places(policy: Document) -> Iterator[Mistake]:
    """Two targets of a model at one place: the one with fewer gates would move the other."""
    for model, section in policy.content["models"].items():
        taken: dict[tuple[str, str], str] = {}
        for target, said in section["targets"].items():
            for kind in ("stage", "alias"):
                if kind not in said:
                    continue
                place = (kind, said[kind].casefold())  # some of MLflow's databases tell no case apart
                other = taken.setdefault(place, target)
                if other != target:
                    yield Mistake(
                        "policy.place_shared",
                        policy.where("models", model, "targets", target, kind),
                        f"the targets {other} and {target} of {model} share the {kind} {said[kind]}: give each a place "
                        "of its own",
                    )


def _unknown_teams(policy: Document) -> Iterator[Mistake]:
    """A team that owns nothing is a slip of the pen: what is said of it would hold of no model."""
    owners = {owner for section in policy.content["models"].values() for owner in section.get("owners", ())}
    for team in policy.content.get("teams", {}):
        if team not in owners:
            what = f"no model has the owner {team!r}{nearest(team, owners)}"
            yield Mistake("policy.team_unknown", policy.where("teams", team), what)


def _modes(policy: Document, own: Mapping[str, str]) -> Iterator[Mistake]:
    """Modes of rules that there are not, and those that would have a shipped rule let by what no policy may."""
    for part in ("models", "teams"):
        for name, section in policy.content.get(part, {}).items():
            for rule, mode in section.get("modes", {}).items():
                why = why_no_mode(rule, mode, shipped_rules(), own) if is_of_the_decision(rule) else ""
                if part == "models" and not is_of_the_decision(rule):
                    why = "a rule of a pack is named under gates: policy: modes"
                if why:
                    where = policy.where(part, name, "modes", rule)
                    yield Mistake("policy.mode", where, f"the mode {mode} of {rule}: {why}")


def _bound(where: str, gate: str, check: str, bound: Mapping[str, Any]) -> Iterator[Mistake]:
    low, high = range_of(check)
    least, most = bound.get("min"), bound.get("max")
    instead = f"; write {check}: {example_of(check)}"
    if least is not None and most is not None and least > most:
        yield Mistake("policy.bound", where, f"{check}: no value is at least {least} and at most {most}")
    elif gate == "fairness" and check.endswith("_ratio") and ((least or 0) > 1 or (1 if most is None else most) < 1):
        what = f"{check}: the group that the others are compared with is at 1, so no model meets {_said(bound)}"
        yield Mistake("policy.bound", where, what + instead)
    elif (least is not None and high is not None and least > high) or (
        most is not None and low is not None and most < low
    ):
        what = f"{check} lies {_between(low, high)}, so no model meets {_said(bound)}"
        yield Mistake("policy.bound", where, what + instead)
    elif (least is None or (low is not None and least <= low)) and (
        most is None or (high is not None and most >= high)
    ):
        what = f"{check} lies {_between(low, high)}, so every model meets {_said(bound)}"
        yield Mistake("policy.bound_idle", where, what + instead)


def _said(bound: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {bound[key]}" for key in ("min", "max") if key in bound) + "}"


def _between(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"at {low:g} or above" if low is not None else f"at {high:g} or below"
    return f"between {low:g} and {high:g}"
