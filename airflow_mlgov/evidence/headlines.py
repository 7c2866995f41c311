"""What an entry says in a line, as its envelope has it: good to find it by. Whether that verifies is told elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from airflow_mlgov.evidence.chain import Entry

_MODELS = "models:/"


class Headline(NamedTuple):
    """Texts; empty where the statement says nothing of it."""

    model: str
    """Registered model; empty if it is about no version of one."""
    version: str
    environment: str
    what: str
    """Gate, target or code."""
    outcome: str
    person: str
    dag_id: str
    run_id: str
    task_id: str
    policy: str
    """SHA-256 of the policy in force."""


def model_in(subject_name: str) -> str:
    """The registered model in the name of a subject; empty if it is about no version of one."""
    return subject_name.removeprefix(_MODELS).rpartition("/")[0] if subject_name.startswith(_MODELS) else ""


def own_part(statement: Mapping[str, Any]) -> Mapping[str, Any]:
    """What this package puts into a statement's predicate."""
    predicate = statement.get("predicate")
    ours = predicate.get("mlgov") if isinstance(predicate, Mapping) else None
    return ours if isinstance(ours, Mapping) else {}


def headline(entry: Entry, statement: Mapping[str, Any]) -> Headline:
    """What an entry is found by."""
    ours, predicate = own_part(statement), statement.get("predicate")
    said = predicate if isinstance(predicate, Mapping) else {}
    run = ours.get("run") if isinstance(ours.get("run"), Mapping) else {}
    policy = ours.get("policy") if isinstance(ours.get("policy"), Mapping) else {}
    model = model_in(entry.subject_name)
    who: Mapping[str, Any] = next(
        (said[key] for key in ("approver", "signer", "person") if isinstance(said.get(key), Mapping)), {}
    )
    trainers = ours.get("trainers")
    people = _names(said.get("people")) or (trainers if isinstance(trainers, list) else [])
    person = who.get("name") or (people[0] if people else "")
    what = ours.get("gate") or said.get("target") or ours.get("target") or said.get("code") or ""
    result = said.get("verificationResult")
    outcome = (
        ours.get("verdict") or said.get("verdict") or said.get("answer") or said.get("state") or said.get("action")
    )
    outcome = {"PASSED": "allowed", "FAILED": "denied"}.get(str(result), outcome) if result else outcome
    of_run = ((run or {}).get(name) for name in ("dag_id", "run_id", "task_id"))
    version = entry.subject_name.rpartition("/")[2] if model else ""
    found = (model, version, ours.get("environment"), what, outcome, person, *of_run, (policy or {}).get("sha256"))
    return Headline._make(map(_text, found))


def _names(people: Any) -> list[Any]:
    return [one.get("name") for one in people if isinstance(one, Mapping)] if isinstance(people, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
