"""The data gate over a Feast feature service: owners, PII tags, freshness, time to live and descriptions of every
feature view that it reads, from the registry. Refuses rules that ask for nothing and views that are not there."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.durations import parse_duration
from airflow_mlgov.errors import ConfigurationError, MlgovError
from airflow_mlgov.gates.children.environment import Answer, Backend, ask
from airflow_mlgov.gates.protocol import Findings
from airflow_mlgov.results import Bound, Check, Outcome, Severity, Subject
from airflow_mlgov.strict_files import read_yaml

if TYPE_CHECKING:
    from airflow_mlgov.gates.feature_service.spec import FeatureService, FeatureServiceSettings

_TEXT = {"type": "string", "maxLength": 10_000}
_TAGS = {"type": "object", "additionalProperties": _TEXT}
_DIGEST = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_NAMED = {"name": _TEXT, "owner": _TEXT, "description": _TEXT, "tags": _TAGS}
_FIELDS = {
    "type": "object",
    "additionalProperties": {"type": "object", "additionalProperties": {"type": "array", "items": _TEXT}},
}
_VIEW = {
    "type": "object",
    "required": ["name", "kind", "fields"],
    "properties": {
        **_NAMED,
        "kind": _TEXT,
        "fields": _FIELDS,
        "source_tags": _TAGS,
        "ttl_seconds": {"type": "number", "minimum": 0},
        "materialized_until": {"type": ["string", "null"], "maxLength": 40},
    },
    "additionalProperties": False,
}
FEAST = Backend(
    name="Feast",
    script="feast_describe.py",
    libraries=("feast",),
    requirements="'feast>=0.40'",
    schema={
        "type": "object",
        "required": ["project", "service", "views", "definition_sha256", "registry_sha256"],
        "properties": {
            "project": _TEXT,
            "service": {"type": "object", "required": list(_NAMED), "properties": _NAMED},
            "views": {"type": "array", "items": _VIEW},
            "join_keys": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "tags"],
                    "properties": {"name": _TEXT, "tags": _TAGS},
                    "additionalProperties": False,
                },
            },
            "requests": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["view", "name"],
                    "properties": {"view": _TEXT, "name": _TEXT, "tags": _TAGS},
                    "additionalProperties": False,
                },
            },
            "renamed": {"type": "object", "additionalProperties": _TAGS},
            "definition_sha256": _DIGEST,
            "registry_sha256": _DIGEST,
        },
        "additionalProperties": False,
    },
)

_DURATION = {"type": "string", "pattern": "^[1-9][0-9]{0,6}[smhdw]$"}
_SOME = {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}
_PRESENT = {"const": "present"}
_LIMIT = {"type": "object", "required": ["max"], "properties": {"max": _DURATION}, "additionalProperties": False}
_RULES = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": False,
    "properties": {
        "owner": {"anyOf": [_PRESENT, _SOME]},
        "description": _PRESENT,
        "ttl": {"anyOf": [_PRESENT, _LIMIT]},
        "max_age": _DURATION,
        "pii": {
            "type": "object",
            "required": ["tag"],
            "properties": {
                "tag": {"type": "string", "minLength": 1},
                "allow": _SOME,
                "declared": {"type": "boolean"},
            },
            "additionalProperties": False,
        },
    },
}
_NOT_TAGGED = ("false", "no", "0", "none")
_CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True)
class Rules:
    """What is asked of a feature service, as written, and the digest of the bytes it was read from."""

    content: Mapping[str, Any]
    name: str
    digest: str


@dataclass(frozen=True)
class _Case:
    """One view, or the service itself, that is held against the rules."""

    name: str
    content: Mapping[str, Any]
    rules: Rules
    now: datetime


def load_rules(rules: str | Path | Mapping[str, Any]) -> Rules:
    """Rules from a YAML or JSON file, or a mapping: one or more of

    - ``owner``: ``present``, or the list of owners that may be;
    - ``description``: ``present``;
    - ``ttl``: ``present``, or ``{max: 30d}``;
    - ``max_age``: how long ago the last materialization may end, such as ``1d``;
    - ``pii``: ``{tag: pii, allow: [view, view:field], declared: true}``: what carries the tag (with another value than
      false, no, 0 or none) must not be in the service unless allowed; ``declared`` demands the tag of every view or all
      of its fields.

    :raises ConfigurationError: no such file, not YAML, an unknown rule, no rule
    :raises AccessError: the file system refuses to read it
    """
    import jsonschema

    if isinstance(rules, Mapping):
        content: Any = dict(rules)
        name, raw = "the rules", json.dumps(content, sort_keys=True).encode()
    else:
        read = read_yaml(rules, "rules", plain=True)
        name, raw, content = read.source, read.raw, read.content
    problem = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(_RULES).iter_errors(content))
    if problem is not None:
        known = ", ".join(_RULES["properties"])  # type: ignore[arg-type]
        raise ConfigurationError(
            f"{name}: {problem.json_path}: {problem.message}; known rules: {known}", code="rules.form"
        )
    return Rules(content, name, hashlib.sha256(raw).hexdigest())


def judge_service(settings: FeatureServiceSettings, now: datetime | None = None) -> Findings:
    """Hold the feature views of a feature service, also those behind on demand views, against rules.

    Feast runs as a child process because a registry holds functions. If its registry is a file of this machine, it is
    cut off the network where Linux allows that.

    :param now: the time to count ages from, with a time zone; the clock's if omitted
    :raises ConfigurationError: no such repository, service or interpreter, Feast is missing there, wrong rules
    :raises ExternalError: Feast crashed, took too long or could not read the registry
    """
    wanted = load_rules(settings.rules)
    answer = describe(settings)
    found, project = answer.content, answer.content["project"]
    return Findings(
        judge_description(found, wanted, now or datetime.now(UTC)),
        {
            "service": found["service"],
            "views": found["views"],
            "rules": dict(wanted.content),
            "registry_sha256": found["registry_sha256"],
            "child": answer.child,
        },
        inputs=(
            Subject("feature_registry", f"feast:{project}", found["registry_sha256"]),
            Subject("rules", wanted.name, wanted.digest),
        ),
        read=(_subject(found, settings.service),),
        libraries=answer.libraries,
        suite_digest=wanted.digest,
    )


def subject_of(settings: FeatureService) -> Subject:
    """A feature service by the digest of its definition and of the views that it reads, as the gate names it.

    :raises ConfigurationError: no such repository, service or interpreter, Feast is missing there
    :raises ExternalError: Feast crashed, took too long or could not read the registry
    """
    return _subject(describe(settings).content, settings.service)


def describe(settings: FeatureService) -> Answer:
    """What the registry says of a feature service; errors as of :func:`subject_of`."""
    return ask(
        FEAST,
        settings.python or _own_python(),
        {"repo": str(Path(settings.repo).absolute()), "service": settings.service},
        timeout=settings.timeout,
        environment=settings.environment,
        network=needs_network(settings.repo),
    )


def _subject(found: Mapping[str, Any], service: str) -> Subject:
    return Subject("dataset", f"feast:{found['project']}/{service}", found["definition_sha256"])


def needs_network(repo: str | Path) -> bool:
    """Whether the registry, which is all that is read, may be something else than a file of this machine.

    :param repo: folder that holds ``feature_store.yaml``; one that holds none needs nothing
    """
    try:
        settings = read_yaml(Path(repo) / "feature_store.yaml", "feature store").content
    except MlgovError:
        return False
    registry = settings.get("registry", "") if isinstance(settings, Mapping) else ""
    if not isinstance(registry, Mapping):
        registry = {"path": registry}
    address = str(registry.get("path", ""))
    # a variable may stand for any address
    return registry.get("registry_type", "file") != "file" or "://" in address or "$" in address


def judge_description(found: Mapping[str, Any], rules: Rules, now: datetime) -> tuple[Check, ...]:
    """The checks of a service as :data:`FEAST` describes it.

    :param now: the time to count ages from, with a time zone
    """
    service, views = found["service"], found["views"]
    checks = [_views(service["name"], views)]
    subject = _Case(f"service {service['name']}", service, rules, now)
    checks += [_JUDGES[rule](subject) for rule in ("owner", "description") if rule in rules.content]
    for view in views:
        if view["kind"] == "absent":
            continue
        case = _Case(view["name"], view, rules, now)
        checks += [_JUDGES[rule](case) for rule in rules.content if _applies(rule, view)]
    return tuple(checks)


def _applies(rule: str, view: Mapping[str, Any]) -> bool:
    """On demand views have neither a time to live nor a materialization: the views behind them have."""
    return {"ttl": "ttl_seconds", "max_age": "materialized_until"}.get(rule, "name") in view


def _views(service: str, views: Sequence[Mapping[str, Any]]) -> Check:
    name, bound = "feature_views", "at least 1, and all in the registry"
    absent = [view["name"] for view in views if view["kind"] == "absent"]
    if absent:
        detail = f"not in the registry, so nothing is known of them: {', '.join(absent)}; run `feast apply`"
    else:
        detail = "" if views else f"the service {service} reads no feature view, so nothing was decided"
    return Check(name, Outcome.ERROR if detail else Outcome.PASS, len(views), bound, Severity.CRITICAL, detail)


def _owner(case: _Case) -> Check:
    owner, allowed = case.content["owner"].strip(), case.rules.content["owner"]
    if not owner:
        detail = "it has no owner; set owner= and run `feast apply`"
    else:
        detail = "" if allowed == "present" or owner in allowed else f"{owner} is not among the owners that may be"
    bound = "present" if allowed == "present" else f"one of {', '.join(allowed)}"
    return Check(f"owner({case.name})", _outcome(detail), owner or None, bound, Severity.CRITICAL, detail)


def _description(case: _Case) -> Check:
    detail = "" if case.content["description"].strip() else "it has no description; set description="
    return Check(f"description({case.name})", _outcome(detail), not detail, "present", Severity.CRITICAL, detail)


def _ttl(case: _Case) -> Check:
    seconds, rule = float(case.content["ttl_seconds"]), case.rules.content["ttl"]
    name = f"ttl({case.name})"
    bound = (
        "present"
        if rule == "present"
        else Bound(max=parse_duration(rule["max"]).total_seconds(), source=case.rules.name)
    )
    if seconds <= 0:
        detail = "no time to live is set, so features of any age are served; set ttl="
        return Check(name, Outcome.FAIL, None, bound, Severity.CRITICAL, detail)
    outcome = bound.judge(seconds) if isinstance(bound, Bound) else Outcome.PASS
    detail = "" if outcome is Outcome.PASS else f"{timedelta(seconds=seconds)} is longer than {rule['max']}"
    return Check(name, outcome, seconds, bound, Severity.CRITICAL, detail)


def _freshness(case: _Case) -> Check:
    until, rule = case.content["materialized_until"], case.rules.content["max_age"]
    name, bound = f"freshness({case.name})", Bound(max=parse_duration(rule).total_seconds(), source=case.rules.name)
    if until is None:
        detail = "it was never materialized; run `feast materialize`"
        return Check(name, Outcome.FAIL, None, bound, Severity.CRITICAL, detail)
    age = case.now - datetime.fromisoformat(until)
    if age < -_CLOCKS_DIFFER:
        detail = f"its last materialization ends in the future ({until}), so its age says nothing"
        return Check(name, Outcome.INCONCLUSIVE, age.total_seconds(), bound, Severity.CRITICAL, detail)
    outcome = bound.judge(age.total_seconds())
    detail = "" if outcome is Outcome.PASS else f"its last materialization ends at {until}, more than {rule} ago"
    return Check(name, outcome, age.total_seconds(), bound, Severity.CRITICAL, detail)


def _pii(case: _Case) -> Check:
    rule, view = case.rules.content["pii"], case.content
    tag, allowed = rule["tag"].casefold(), rule.get("allow", [])
    of_view = _tagged([{key: [value] for key, value in view["tags"].items()}], tag)
    of_fields = {name: _tagged([tags], tag) for name, tags in view["fields"].items()}
    marked = [name for name, tagged in of_fields.items() if tagged or of_view]
    refused = [name for name in marked if view["name"] not in allowed and f"{view['name']}:{name}" not in allowed]
    if (of_view and not of_fields and view["name"] not in allowed) or refused:
        detail = f'tagged "{rule["tag"]}" and not allowed: {", ".join(refused) or view["name"]}'
    elif rule.get("declared") and of_view is None and (not of_fields or None in of_fields.values()):
        detail = f'neither it nor each of its fields says whether it is "{rule["tag"]}"; tag it true or false'
    else:
        detail = ""
    bound = f"none but {', '.join(allowed)}" if allowed else "none"
    return Check(f"pii({case.name})", _outcome(detail), len(marked), bound, Severity.CRITICAL, detail)


_JUDGES: Mapping[str, Callable[[_Case], Check]] = {
    "owner": _owner,
    "description": _description,
    "ttl": _ttl,
    "max_age": _freshness,
    "pii": _pii,
}


def _tagged(tags: Sequence[Mapping[str, Sequence[str]]], wanted: str) -> bool | None:
    """Whether the tag is there and says yes; None if it is not there."""
    said = [value for item in tags for key, values in item.items() if key.casefold() == wanted for value in values]
    return any(value.strip().casefold() not in _NOT_TAGGED for value in said) if said else None


def _outcome(detail: str) -> Outcome:
    return Outcome.FAIL if detail else Outcome.PASS


def _own_python() -> str:
    if find_spec("feast") is None:
        raise ConfigurationError(
            "Feast is not installed beside Airflow (it needs pandas < 3): name the interpreter of an environment that "
            "has it (python=, --python), made by: python -m venv feast && feast/bin/pip install 'feast>=0.40'",
            code="environment.missing",
        )
    return sys.executable
