"""All that is wrong with a policy file, each with its line and its mend. A policy is refused for the first of them, and
``mlgov policy check`` shows them all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov import catalogue, lookalikes
from airflow_mlgov.addresses import one_spelling
from airflow_mlgov.errors import ConfigurationError, MlgovError
from airflow_mlgov.evidence.signing import OFFICES
from airflow_mlgov.gates.ranges import example_of, range_of
from airflow_mlgov.governance.names import why_unreadable
from airflow_mlgov.governance.reasons import shipped_rules
from airflow_mlgov.governance.weighing import is_of_the_decision, why_no_mode
from airflow_mlgov.strict_files import Document, meant, nearest, read_text, why_open_to_all
from airflow_mlgov.words import plain

if TYPE_CHECKING:
    from airflow_mlgov.governance.policy import GovernancePolicy

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

    where: str
    """``file:line``."""
    error: ConfigurationError
    """What is wrong, and what to write, as what is refused for it says it."""

    @property
    def line(self) -> int:
        """Of the file; 0 if it is about all of it."""
        last = self.where.rpartition(":")[2]
        return int(last) if last.isdecimal() else 0

    @property
    def text(self) -> str:
        """What is wrong, without where."""
        return str(self.error).removeprefix(f"{self.where}: ")


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
            yield Mistake(document.source, ConfigurationError(why, code="policy.writable"))
        if not isinstance(document.content, dict):
            is_what = "empty" if document.content is None else "no mapping of keys to values"
            what = f"{document.source}: the policy is {is_what}; it needs `version: 1` and `models:`"
            yield Mistake(document.source, ConfigurationError(what, code="policy.empty"))
            return
        yield from _lookalikes(document)
        misshapen = False
        for mistake in _shape(document):
            misshapen = True
            yield mistake
        parts: tuple[Callable[[], Iterable[Mistake]], ...] = (
            lambda: _unreadable(document),
            lambda: _unknown_people(document),
            lambda: _unknown_gates(document),
            lambda: _shared_places(document),
            lambda: _copies(document),
            lambda: _unmonitored(document),
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

    @cached_property
    def _read_rules(self) -> list[tuple[str, str | None, Mistake | None]]:
        """Name, text and what is wrong of each file of rules."""
        found: list[tuple[str, str | None, Mistake | None]] = []
        for index, name in enumerate(self.document.content.get("rules", ())):
            where, path = self.document.where("rules", str(index)), Path(self.document.source).parent / name
            try:
                text, why = read_text(path, "rules"), why_open_to_all(path, "rules")
            except MlgovError as error:
                unread = ConfigurationError(f"{where}: {error}", code="policy.rules_unreadable")
                found.append((name, None, Mistake(where, unread)))
                continue
            open_to_all = ConfigurationError(f"{where}: {why}", code="policy.writable") if why else None
            found.append((name, text, Mistake(where, open_to_all) if open_to_all else None))
        return found


# -- its shape --------------------------------------------------------------------------------------------------------


def _shape(policy: Document) -> Iterator[Mistake]:
    from airflow_mlgov.governance.schema import policy_schema

    if _surely_fits(policy.content):
        return
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    for error in Draft202012Validator(policy_schema()).iter_errors(policy.content):
        most_telling = best_match([error]) or error
        yield from _told(policy, most_telling)


@cache
def _in_rust() -> Any:
    """The policy's schema, compiled once: that takes longer than a look at a policy."""
    from jsonschema_rs import Draft202012Validator

    from airflow_mlgov.governance.schema import policy_schema

    return Draft202012Validator(policy_schema())


def _surely_fits(content: Any) -> bool:
    """Told quickly by JSON Schema in Rust; false too of what is not told so, and where there is no wheel of that."""
    try:
        return bool(_in_rust().is_valid(content))
    except (ModuleNotFoundError, ValueError, OverflowError, RecursionError):  # what Rust cannot hold
        return False


def _told(policy: Document, error: Any) -> Iterator[Mistake]:
    """One error of JSON Schema in the words of the policy."""
    path = tuple(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        for key in _unknown_keys(error.schema, error.instance):
            where, near = policy.where(*path, key), nearest(key, _words(error.schema))
            what = f"{where}: {'.'.join((*path, key))}: unknown key {key!r}{near}"
            yield Mistake(where, ConfigurationError(what, code="policy.unknown_key"))
        return
    where, part = policy.where(*path), ".".join(path) or "the policy"
    yield Mistake(where, ConfigurationError(f"{where}: {part}: {_in_words(error)}", code="policy.invalid"))


def _in_words(error: Any) -> str:
    value, asked, schema = error.instance, error.validator_value, error.schema
    shown = plain(repr(value), _MOST_SHOWN)
    if error.validator == "enum":
        return f"{shown} is none of {', '.join(map(str, asked))}{meant(str(value), map(str, asked))}"
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
    """Every key that a part of the schema knows, those of its patterns spelt out, or some of those without an end."""
    known = list(schema.get("properties", {}))
    if examples := schema.get("propertyNames", {}).get("examples"):
        return [*known, *examples]
    for pattern in schema.get("patternProperties", {}):
        heads, _, tail = pattern.strip("^$").partition(")")
        ends = tail.strip("_()").split("|") if tail else [""]
        known += [f"{head}{'_' if end else ''}{end}" for head in heads.strip("(").split("|") for end in ends]
    return known


def _lookalikes(policy: Document) -> Iterator[Mistake]:
    """Words that are not what they look like; in quotes they are what is meant."""
    for line, word, why in lookalikes.in_yaml(policy.raw.decode("utf-8-sig")):
        where = f"{policy.source}:{line}"
        what = f"{where}: {plain(word, _MOST_SHOWN)} {why}, or in quotes if it is meant so"
        yield Mistake(where, ConfigurationError(what, code="word.lookalike"))


# -- what it says -----------------------------------------------------------------------------------------------------


def _unreadable(policy: Document) -> Iterator[Mistake]:
    """Names that hold what nobody sees; people's also those that could be taken for another's."""
    content = policy.content
    people: list[tuple[tuple[str, ...], str]] = [
        ((part, name), name) for part in ("accounts", "people") for name in content.get(part, ())
    ]
    things: list[tuple[tuple[str, ...], str]] = []
    for group, members in content.get("groups", {}).items():
        people += [(("groups", group), group), *((("groups", group), name) for name in _members(members))]
    for model, section in content["models"].items():
        things += [(("models", model), name) for name in (model, *section.get("owners", ()))]
        for target, said in section["targets"].items():
            path: tuple[str, ...] = ("models", model, "targets", target)
            things += [(path, target), *((path, name) for name in _copy_of(said)[1:])]
            for key in ("approvals", "waivers", "break_glass"):
                people += [((*path, key), name) for name in (said.get(key) or {}).get("from", ())]
    for named, person in ((people, True), (things, False)):
        for path, name in named:
            if why := why_unreadable(name, person):
                where = policy.where(*path)
                what = f"{where}: the name {name!a} cannot be read: {why}"
                yield Mistake(where, ConfigurationError(what, code="policy.name"))


def _unknown_people(policy: Document) -> Iterator[Mistake]:
    """A name that may approve or sign and is nobody's: a group that there is not would be a user of its name. Roles are
    known of who answers in Airflow, not of who signs a waiver or breaks the glass, which commands do too."""
    content = policy.content
    groups = content.get("groups", {})
    members = {name for group in groups.values() for name in _members(group)}
    known = {*groups, *members, *content.get("people", ()), *content.get("accounts", ())}
    for model, section in content["models"].items():
        for target, said in section["targets"].items():
            for key in ("approvals", "waivers", "break_glass"):
                part, owner = said.get(key), key
                if part is not None and key == "waivers" and "from" not in part:
                    part, owner = said.get("approvals"), "approvals"
                for name in (part or {}).get("from", ()):
                    where = policy.where("models", model, "targets", target, owner, "from")
                    if name not in known and owner == key:
                        near = nearest(name, sorted(known)) if known else ""
                        what = (
                            f"{where}: {key}: nobody is called {name!r}: no group, nobody in a group, under people or "
                            f"under accounts{near}"
                        )
                        yield Mistake(where, ConfigurationError(what, code="policy.person_unknown"))
                    elif key != "approvals" and isinstance(groups.get(name), Mapping):
                        what = (
                            f"{where}: {key}: the group {name!r} is a role in Airflow, which is told only of who "
                            f"answers an approval there: name people in {key}: from"
                        )
                        yield Mistake(where, ConfigurationError(what, code="policy.person_unknown"))


def _unknown_gates(policy: Document) -> Iterator[Mistake]:
    """What a target requires is an installed gate, or evidence of others; that has no name of ours."""
    taken = {*catalogue.names(), *OFFICES}
    for model, section in policy.content["models"].items():
        external = section.get("external", {})
        for name, said in external.items():
            where = policy.where("models", model, "external", name)
            if name in taken:
                what = f"{where}: external: {name} is a gate or a duty of ours: give it a name of its own"
                yield Mistake(where, ConfigurationError(what, code="external.shadow"))
            for check, rule in said.get("rules", {}).items():
                if rule.get("min", rule.get("max")) > rule.get("max", rule.get("min")):
                    what = f"{where}: external: {name}: {check} has no value of at least min and at most max"
                    yield Mistake(where, ConfigurationError(what, code="policy.bound"))
        for target, said in section["targets"].items():
            where = policy.where("models", model, "targets", target, "requires")
            known = [*catalogue.names(), *external]
            for gate in said.get("requires", ()):
                if gate not in known:
                    what = (
                        f"{where}: models.{model}.targets.{target}.requires: {gate!r} is none of {', '.join(known)}"
                        f"{meant(gate, known)}"
                    )
                    yield Mistake(where, ConfigurationError(what, code="policy.invalid"))


def _members(group: Any) -> Iterable[str]:
    """The user names in a group; none of a role's."""
    return group if isinstance(group, list) else ()


def _unmonitored(policy: Document) -> Iterator[Mistake]:
    """Gates that are to judge live data and cannot: of another kind, or without a bound for the model."""
    from airflow_mlgov import catalogue

    known = {gate.name for gate in catalogue.load_all() if gate.about == "model" and gate.metrics}
    for model, section in policy.content["models"].items():
        for target, said in section["targets"].items():
            for gate in (said.get("monitoring") or {}).get("gates", ()):
                if gate not in known & set(section.get("gates", {})):
                    where = policy.where("models", model, "targets", target, "monitoring")
                    may = ", ".join(sorted(known & set(section.get("gates", {})))) or "none of this model's"
                    what = f"{where}: the gate {gate!r} cannot judge live data of {model}; these can: {may}"
                    yield Mistake(where, ConfigurationError(what, code="policy.monitoring"))


def _shared_places(policy: Document) -> Iterator[Mistake]:
    """Two targets of a model at one place: the one with fewer gates would move the other."""
    for model, section in policy.content["models"].items():
        taken: dict[tuple[str, ...], str] = {}
        for target, said in section["targets"].items():
            for kind in ("stage", "alias"):
                if kind not in said:
                    continue
                place = (kind, said[kind].casefold(), *_copy_of(said))  # some of MLflow's databases tell no case apart
                other = taken.setdefault(place, target)
                if other != target:
                    where = policy.where("models", model, "targets", target, kind)
                    what = (
                        f"{where}: the targets {other} and {target} of {model} share the {kind} {said[kind]}: give "
                        "each a place of its own"
                    )
                    yield Mistake(where, ConfigurationError(what, code="policy.place_shared"))


def _copy_of(target: Mapping[str, Any]) -> tuple[str, ...]:
    """Registry, empty for the policy's own, and model into which a target copies, each in one spelling; nothing if it
    does not."""
    said = target.get("copy_to")
    if said is None:
        return ()
    named, model = ("", said) if isinstance(said, str) else (said.get("registry", ""), said["model"])
    return one_spelling(named) if "://" in named else named, model.casefold()


def _copies(policy: Document) -> Iterator[Mistake]:
    """Copies into a model that has gates of its own here, or copies of another one already: nobody could say whose a
    version is."""
    models = policy.content["models"]
    governed = {model.casefold() for model in models}
    taken: dict[tuple[str, ...], str] = {}
    for model, section in models.items():
        for target, said in section["targets"].items():
            copy = _copy_of(said)
            if not copy:
                continue
            where = policy.where("models", model, "targets", target, "copy_to")
            if copy[0] == "" and copy[1] in governed:
                what = (
                    f"{where}: copy_to: {copy[1]} is under models: itself: copy into a model that has no gates of its "
                    "own here"
                )
                yield Mistake(where, ConfigurationError(what, code="policy.copy"))
            other = taken.setdefault(copy, model)
            if other != model:
                what = f"{where}: copy_to: {copy[1]} has the copies of {other} already: give each model its own"
                yield Mistake(where, ConfigurationError(what, code="policy.copy"))


def _unknown_teams(policy: Document) -> Iterator[Mistake]:
    """A team that owns nothing is a slip of the pen: what is said of it would hold of no model."""
    owners = {owner for section in policy.content["models"].values() for owner in section.get("owners", ())}
    for team in policy.content.get("teams", {}):
        if team not in owners:
            where = policy.where("teams", team)
            what = f"{where}: no model has the owner {team!r}{nearest(team, owners)}"
            yield Mistake(where, ConfigurationError(what, code="policy.team_unknown"))


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
                    what = f"{where}: the mode {mode} of {rule}: {why}"
                    yield Mistake(where, ConfigurationError(what, code="policy.mode"))


def doubts_of(policy: GovernancePolicy) -> Iterator[Mistake]:
    """What is allowed and can hardly be meant: bounds that no value meets, or every value does."""
    for model in policy.models.values():
        for gate in model.gates:
            for check, bound in model.bounds(gate).items():
                if bound.keys() & {"min", "max"}:
                    yield from _bound(model.where("gates", gate, check), gate, check, bound)


def _bound(where: str, gate: str, check: str, bound: Mapping[str, Any]) -> Iterator[Mistake]:
    none, every = _no_model_meets(gate, check, bound), _every_model_meets(check, bound)
    instead = f"write {check}: {example_of(check)}"
    if none:
        yield Mistake(where, ConfigurationError(f"{where}: {check} {none}; {instead}", code="policy.bound"))
    elif every:
        yield Mistake(where, ConfigurationError(f"{where}: {check} {every}; {instead}", code="policy.bound_idle"))


def _no_model_meets(gate: str, check: str, bound: Mapping[str, Any]) -> str:
    """Why no value meets a bound; empty if one may."""
    (low, high), least, most = range_of(check), bound.get("min"), bound.get("max")
    if least is not None and most is not None and least > most:
        return f"has no value of at least {least} and at most {most}"
    above = high is not None and least is not None and least > high
    below = low is not None and most is not None and most < low
    if above or below:
        return f"lies {_between(low, high)}, so no model meets {_said(bound)}"
    if gate == "fairness" and check.endswith("_ratio") and ((least or 0) > 1 or (1 if most is None else most) < 1):
        return f"is 1 of the group that the others are compared with, so no model meets {_said(bound)}"
    return ""


def _every_model_meets(check: str, bound: Mapping[str, Any]) -> str:
    """Why every value meets a bound; empty if one may not."""
    (low, high), least, most = range_of(check), bound.get("min"), bound.get("max")
    free_below = least is None or (low is not None and least <= low)
    free_above = most is None or (high is not None and most >= high)
    return f"lies {_between(low, high)}, so every model meets {_said(bound)}" if free_below and free_above else ""


def _said(bound: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {bound[key]}" for key in ("min", "max") if key in bound) + "}"


def _between(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"at {low:g} or above" if low is not None else f"at {high:g} or below"
    return f"between {low:g} and {high:g}"
