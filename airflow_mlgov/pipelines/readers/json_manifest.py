"""A pipeline in this package's own form, for platforms that have no reader: ``{"manifest": "mlgov/pipeline/1", …}``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.pipelines.documents import Part
from airflow_mlgov.pipelines.manifest import (
    FORM,
    Command,
    Decider,
    ExitCode,
    Failure,
    Manifest,
    Need,
    Role,
    Step,
    Strength,
    Unknown,
)
from airflow_mlgov.pipelines.readers.source import Source


def matches(source: Source, document: Part) -> bool:  # noqa: ARG001 - as all readers
    """Whether a document says that it is one."""
    return document["manifest"].text.startswith("mlgov/pipeline/")


@cache
def schema() -> dict[str, Any]:
    """JSON Schema of the form."""
    text = (files("airflow_mlgov.pipelines") / "manifest.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def read(source: Source, document: Part, siblings: Sequence[Part] = ()) -> list[Manifest]:  # noqa: ARG001
    """The one pipeline of a document. What it says of gates and roles by itself counts for nothing.

    :raises ConfigurationError: it is not of the form
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    if document["manifest"].text != FORM:
        raise ConfigurationError(
            f"{document.where}: the form {document['manifest'].text} is not known here, only {FORM}",
            code="manifest.wrong",
        )
    error = best_match(Draft202012Validator(schema()).iter_errors(document.value))
    if error is not None:
        where = document.at(*[str(part) if not isinstance(part, int) else part for part in error.absolute_path]).where
        raise ConfigurationError(f"{where}: {error.message}", code="manifest.wrong")
    unknown = tuple(
        Unknown(one["where"].text, one["why"].text, tuple(one["hides"].texts())) for one in document["unknown"].parts()
    )
    if document["complete"].value is False and not unknown:
        unknown = (Unknown(document.where, "the manifest says that it is not complete"),)
    steps = tuple(_step(one) for one in document["steps"].parts())
    return [
        Manifest(
            document["kind"].text, document["name"].text, source.path, source.sha256, steps, unknown,
            tuple(document["triggers"].texts()), tuple(document["containers"].texts()),
        )
    ]  # fmt: skip


def _step(part: Part) -> Step:
    text: dict[str, Any] = {
        key: part[key].text for key in ("operator", "image", "condition", "fails_why", "cached", "repeated")
    }
    role = part["role"].text
    sensitive = role in ("register", "promote", "deploy", "approval")
    return Step(
        part["id"].text,
        part["line"].value or part.line,
        part["kind"].text or "container",
        classes=tuple(part["classes"].texts()),
        env=tuple(part["env"].texts()),
        labels=part["labels"].labels(),
        commands=tuple(_command(one) for one in part["commands"].parts()),
        needs=tuple(tuple(_need(one) for one in clause.parts()) for clause in part["needs"].parts()),
        decided_by=Decider(part["decided_by"].text or "always"),
        fails=Failure(part["fails"].text or "stops"),
        retries=part["retries"].value or 0,
        role=Role(role) if sensitive else Role.OTHER,
        role_from="label" if sensitive else "",
        **text,
    )


def _command(part: Part) -> Command:
    words = tuple(part["words"].texts()) or tuple(part["text"].text.split())
    return Command(
        words, part["line"].value or part.line, ExitCode(part["exit_code"].text or "unknown"), part["why"].text,
        tuple(one.value for one in part["after"].parts()),
    )  # fmt: skip


def _need(part: Part) -> Need:
    return Need(part["step"].text, Strength(part["strength"].text or "done"), part["why"].text)
