"""A model's card as rules see it: licence, intended use, base models, and the documents it refers to, with their age
and whether they are there and are those that were reviewed. Refuses a file that is no card; judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from airflow_mlgov.errors import ConfigurationError, MlgovError
from airflow_mlgov.results import Subject
from airflow_mlgov.strict_files import Document, read_file, read_yaml

FORM = "mlgov/card/1"
_TEXT = {"type": "string", "maxLength": 10_000}
_DIGEST = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["form", "name"],
    "additionalProperties": False,
    "properties": {
        "form": {"const": FORM},
        "name": {**_TEXT, "minLength": 1},
        "licence": _TEXT,
        "intended_use": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]},
        "personal_data": {"type": "boolean"},
        "high_risk": {"type": "boolean"},
        "base_models": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": {"name": _TEXT, "source": _TEXT, "sha256": _DIGEST, "licence": _TEXT},
            },
        },
        "documents": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["kind"],
                "additionalProperties": False,
                "properties": {
                    "kind": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
                    "path": {**_TEXT, "minLength": 1},
                    "uri": {**_TEXT, "minLength": 1},
                    "sha256": _DIGEST,
                    "reviewed": {},
                },
            },
        },
    },
}
"""JSON Schema of a card."""


def read_card(path: Path, now: datetime) -> tuple[dict[str, Any], Subject]:
    """A card, as rules see it, and what binds it.

    :param now: what ages are counted from
    :raises ConfigurationError: it is none
    :raises AccessError: the file system refuses
    """
    read = read_yaml(path, "card")
    problem = read.problem(SCHEMA)
    if problem:
        raise ConfigurationError(
            f"{problem}; a card is {{form: {FORM}, name: …, licence: …, intended_use: […], "
            "base_models: […], documents: […]}",
            code="card.form",
        )
    said = read.content
    uses = said.get("intended_use", [])
    card = {
        "name": said["name"],
        "source": read.source,
        "licence": said.get("licence", "").strip(),
        "intended_use": [use.strip() for use in ([uses] if isinstance(uses, str) else uses) if use.strip()],
        "personal_data": said.get("personal_data"),
        "high_risk": said.get("high_risk"),
        "says_base_models": "base_models" in said,
        "base_models": [_base(item, read, at) for at, item in enumerate(said.get("base_models", []))],
        "documents": [_document(item, read, at, path, now) for at, item in enumerate(said.get("documents", []))],
    }
    return card, Subject("dataset", read.source, read.sha256)


def _base(item: Mapping[str, Any], read: Document, at: int) -> dict[str, str]:
    words = {word: str(item.get(word, "")).strip() for word in ("name", "source", "sha256", "licence")}
    return {**words, "where": read.where("base_models", str(at))}


def _document(item: Mapping[str, Any], read: Document, at: int, card: Path, now: datetime) -> dict[str, Any]:
    where = read.where("documents", str(at))
    age = _age(item.get("reviewed"), now)
    return {"kind": item["kind"], "where": where, "age_days": age, "problem": _problem(item, card)}


def _age(said: Any, now: datetime) -> int | None:
    """Whole days since a date; None if it cannot be read."""
    if isinstance(said, datetime):
        said = said.date()
    if not isinstance(said, date):
        try:
            said = date.fromisoformat(str(said)[:10])
        except ValueError:
            return None
    days: int = (now.date() - said).days
    return days


def _problem(item: Mapping[str, Any], card: Path) -> str:
    """Why a document cannot be relied on; empty if it can."""
    import hashlib

    if "path" not in item:
        if "uri" not in item:
            return "the card says neither its path nor its uri"
        return "" if "sha256" in item else "what lies elsewhere is named with its sha256"
    place = card.parent / item["path"]
    if not place.resolve().is_relative_to(card.parent.resolve()):
        return f"{item['path']} leads out of the card's folder"
    try:
        raw = read_file(place, "document")
    except MlgovError as error:
        return str(error)
    if not raw.strip():
        return f"{item['path']} is empty"
    if "sha256" in item and hashlib.sha256(raw).hexdigest() != item["sha256"]:
        return f"{item['path']} is not the file that the card names by its sha256"
    return ""
