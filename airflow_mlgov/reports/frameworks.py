"""The frameworks that reports are ordered by: data files with every control, its evidence, a source and a day. An
organisation's own is a file of the same form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

from airflow_mlgov import catalogue
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.statements import CLASSES
from airflow_mlgov.governance.crosswalks import controls as crosswalk_controls
from airflow_mlgov.strict_files import Document, meant, nearest, parse_yaml, read_yaml

FORM = "mlgov/framework/1"
FACTS = (
    "audits", "bounds", "bytes", "data", "earlier", "evaluated", "exceptions", "factors", "gates", "groups", "images",
    "libraries", "moves", "people", "policy", "standing", "trained", "version",
)  # fmt: skip
"""What a control may have told of a model, see :mod:`airflow_mlgov.reports.facts`."""
EVENTS = ("waiver", "emergency", "incident", "rollback")
"""Kinds of evidence that are there only if something has happened."""
_WORD = {"type": "string", "minLength": 1, "maxLength": 2000}
_TOKEN = {"type": "string", "pattern": r"^(gate|statement|event|rule):[A-Za-z0-9_.\-/]+$", "maxLength": 200}
_CONTROL = {
    "type": "object",
    "required": ["id"],
    "additionalProperties": False,
    "properties": {
        "id": {**_WORD, "maxLength": 100},
        "says": _WORD,
        "applies_from": {},
        "people": _WORD,
        "evidence": {"type": "array", "items": _TOKEN, "maxItems": 100, "uniqueItems": True},
        "facts": {"type": "array", "items": {"enum": list(FACTS)}, "uniqueItems": True},
    },
}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["form", "framework", "title", "version", "source", "applies_from", "sections"],
    "additionalProperties": False,
    "properties": {
        "form": {"const": FORM},
        "framework": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,60}$"},
        "title": _WORD,
        "version": _WORD,
        "source": _WORD,
        "applies_from": {},
        "note": {"type": "string", "maxLength": 2000},
        "crosswalk": {"type": "string"},
        "sections": {
            "type": "array",
            "minItems": 1,
            "maxItems": 200,
            "items": {
                "type": "object",
                "required": ["title", "controls"],
                "additionalProperties": False,
                "properties": {
                    "title": _WORD,
                    "controls": {"type": "array", "minItems": 1, "maxItems": 500, "items": _CONTROL},
                },
            },
        },
    },
}
"""JSON Schema of a framework file."""


@dataclass(frozen=True)
class Control:
    """One control, paragraph or heading."""

    id: str
    says: str
    """What it is about, in words of the file's own."""
    applies_from: date
    evidence: tuple[str, ...]
    """``gate:fairness``, ``statement:decision``, ``event:rollback``, ``rule:mlgov.pii/pii.by_name``."""
    people: str
    """What no record of a pipeline says, and somebody has to; empty if there is nothing."""
    facts: tuple[str, ...]
    """Of :data:`FACTS`."""


@dataclass(frozen=True)
class Section:
    """Controls under one heading."""

    title: str
    controls: tuple[Control, ...]


@dataclass(frozen=True)
class Framework:
    """One framework."""

    name: str
    title: str
    version: str
    source: str
    applies_from: date
    note: str
    sha256: str
    """Of its file."""
    sections: tuple[Section, ...]

    @property
    def controls(self) -> Iterator[Control]:
        """All of them, in order."""
        return (control for section in self.sections for control in section.controls)


def frameworks() -> tuple[str, ...]:
    """The frameworks that come with this package."""
    names = (item.name for item in (files("airflow_mlgov.reports") / "frameworks").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def framework(word: str) -> Framework:
    """One framework.

    :param word: the name of one that comes with this package, or the path of a file
    :raises ConfigurationError: there is none, or the file is none
    :raises AccessError: the file system refuses
    """
    if word in frameworks():
        raw = (files("airflow_mlgov.reports") / "frameworks" / f"{word}.yaml").read_bytes()
        read = Document(f"{word}.yaml", raw, parse_yaml(raw.decode(), f"{word}.yaml", "framework", plain=True))
    elif word.endswith((".yaml", ".yml")):
        read = read_yaml(Path(word), "framework", plain=True)
    else:
        raise ConfigurationError(
            f"there is no framework {word!r}{nearest(word, frameworks())}; there are {', '.join(frameworks())}, and "
            "one of your own is the path of its file, which ends with .yaml",
            code="framework.unknown",
        )
    return _framework(read)


def _framework(read: Document) -> Framework:
    problem = read.problem(SCHEMA)
    if problem:
        raise ConfigurationError(f"{problem}; a framework file has the form {FORM}", code="framework.form")
    said = read.content
    since = _day(said["applies_from"], read.source)
    known = {name: one for name, one in crosswalk_controls().items() if one.framework == said.get("crosswalk")}
    sections = tuple(
        Section(item["title"], tuple(_control(one, read.source, since, known) for one in item["controls"]))
        for item in said["sections"]
    )
    ids = [control.id for section in sections for control in section.controls]
    twice = next((one for one in ids if ids.count(one) > 1), None)
    if twice:
        raise ConfigurationError(f"{read.source}: the control {twice} stands there twice", code="framework.form")
    return Framework(
        said["framework"], said["title"], str(said["version"]), said["source"], since, said.get("note", ""),
        read.sha256, sections,
    )  # fmt: skip


def _control(said: Mapping[str, Any], source: str, since: date, known: Mapping[str, Any]) -> Control:
    """One control; what a crosswalk says of it is taken from there."""
    walked = next((one for one in known.values() if one.id == said["id"]), None)
    says = said.get("says") or (walked.says if walked else "")
    if not says:
        raise ConfigurationError(
            f"{source}: the control {said['id']} lacks says, what it is about", code="framework.form"
        )
    evidence = tuple(dict.fromkeys([*(walked.evidence if walked else ()), *said.get("evidence", ())]))
    for token in evidence:
        _require_known(token, f"{source}: the control {said['id']}")
    begins = _day(said["applies_from"], source) if "applies_from" in said else walked.applies_from if walked else since
    return Control(said["id"], says, begins, evidence, said.get("people", ""), tuple(said.get("facts", ())))


def _require_known(token: str, where: str) -> None:
    """A misspelt word would be evidence that is missing for ever. An organisation's own packs, and the names that its
    policy gives to the evidence of others, are not known here: a gate is refused if it is nearly one of ours."""
    kind, _, name = token.partition(":")
    if kind == "gate" and not meant(name, catalogue.names()):
        return
    known = {
        "gate": catalogue.names(),
        "statement": tuple(sorted(one.kind for one in CLASSES.values())),
        "event": EVENTS,
    }.get(kind)
    if known is not None and name not in known:
        raise ConfigurationError(
            f"{where} names {token}, and there is no such {kind}{nearest(name, known)}", code="framework.evidence"
        )


def _day(said: Any, source: str) -> date:
    try:
        return date.fromisoformat(str(said))
    except ValueError:
        raise ConfigurationError(
            f"{source}: applies_from is a day such as 2027-12-02, and is {said!r}", code="framework.form"
        ) from None
