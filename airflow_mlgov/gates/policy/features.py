"""Features as rules see them: what each is called, tagged and used as, and what was seen of its values.

They are named by a list, by a Feast feature service, or by the data's own columns. Refuses a list that is none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.policy.values import Look, look_at
from airflow_mlgov.results import Subject
from airflow_mlgov.strict_files import read_yaml

if TYPE_CHECKING:
    from airflow_mlgov.gates.policy.spec import PolicySettings

FORM = "mlgov/features/1"
_TEXT = {"type": "string", "minLength": 1, "maxLength": 1000}
_TAG = {"type": ["string", "boolean", "integer"]}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["form", "features"],
    "additionalProperties": False,
    "properties": {
        "form": {"const": FORM},
        "features": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": {
                    "name": _TEXT,
                    "view": _TEXT,
                    "kind": {"enum": ["feature", "join key", "request source"]},
                    "column": _TEXT,
                    "tags": {
                        "type": "object",
                        "additionalProperties": {"anyOf": [_TAG, {"type": "array", "items": _TAG}]},
                    },
                },
            },
        },
    },
}
"""JSON Schema of a list of features."""


@dataclass(frozen=True)
class Feature:
    """One feature, join key, value of a request, or column."""

    name: str
    view: str = ""
    kind: str = "feature"
    column: str = ""
    """What the data calls it, if that is not its name."""
    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    where: str = ""
    """``file:line``."""

    @property
    def said(self) -> str:
        """Its name, and that of its column, as words between spaces: split at signs, capitals and digits, without
        accents."""
        words = " ".join(dict.fromkeys(_words(self.name) + _words(self.column)))
        return f" {words} "

    def as_dict(self, look: Look | None) -> dict[str, Any]:
        """As rules see it; ``values`` is None if nobody has seen any."""
        seen = look.columns.get(self.column or self.name) if look else None
        return {
            "name": self.name,
            "view": self.view,
            "kind": self.kind,
            "said": self.said,
            "tags": {key: list(values) for key, values in self.tags.items()},
            "where": self.where,
            "values": seen.as_dict() if seen else None,
        }


def _words(name: str) -> list[str]:
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", name) if not unicodedata.combining(sign))
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])", " ", plain)
    return re.findall(r"\w+", parts.replace("_", " ").casefold().replace("ß", "ss"))


@dataclass(frozen=True)
class Features:
    """Features, what they were read from, and what was looked at."""

    features: tuple[Feature, ...]
    subjects: tuple[Subject, ...]
    look: Look | None = None

    def as_input(self) -> list[dict[str, Any]]:
        """As rules see them."""
        return [one.as_dict(self.look) for one in self.features]

    @property
    def details(self) -> dict[str, Any]:
        """What was looked at, for the evidence."""
        if self.look is None:
            return {"features": len(self.features), "values": "nobody has looked at them"}
        whole = self.look.looked_at == self.look.rows
        return {
            "features": len(self.features),
            "values": {"rows": self.look.rows, "looked_at": self.look.looked_at, "exact": whole},
        }


def features_of(settings: PolicySettings) -> Features:
    """The features that the settings name, with a look at the data that they name.

    :raises ConfigurationError: none is named, or what is named is no list, no feature service, no data
    :raises AccessError: a file system or a database refuses
    :raises DependencyError: a database is down
    """
    if settings.features is None and settings.data is None:
        raise ConfigurationError(
            "the rules read features: name a list or a feature repository (features=, --features), the data that holds "
            "them (data=, --data), or better both",
            code="features.missing",
        )
    named = _named(settings) if settings.features is not None else Features((), ())
    if settings.data is None:
        return named
    look, subject = _looked_at(settings)
    features = named.features or tuple(Feature(name, kind="column") for name in look.columns)
    return Features(features, (*named.subjects, subject), look)


def _looked_at(settings: PolicySettings) -> tuple[Look, Subject]:
    from airflow_mlgov.data.source import source_of

    # half of what a gate may hold: the values that are tried against each other are Python's
    with source_of(settings.data).open(memory_limit="256MB") as relation:
        look = look_at(relation, sample=None if settings.look == "exact" else settings.sample)
        return look, relation.subject


def _named(settings: PolicySettings) -> Features:
    path = Path(str(settings.features))
    return _of_feast(settings) if path.is_dir() else read_list(path)


def read_list(path: Path) -> Features:
    """A list of features in a file.

    :raises ConfigurationError: it is none
    :raises AccessError: the file system refuses
    """
    read = read_yaml(path, "features")
    problem = read.problem(SCHEMA)
    if problem:
        raise ConfigurationError(
            f"{problem}; a list of features is {{form: {FORM}, features: [{{name: …}}]}}",
            code="features.form",
        )
    found = [
        Feature(
            item["name"], item.get("view", ""), item.get("kind", "feature"), item.get("column", ""),
            {key: _texts(value) for key, value in item.get("tags", {}).items()}, read.where("features", str(at)),
        )
        for at, item in enumerate(read.content["features"])
    ]  # fmt: skip
    return Features(tuple(found), (Subject("dataset", read.source, read.sha256),))


def _texts(value: Any) -> list[str]:
    return [
        str(one).lower() if isinstance(one, bool) else str(one)
        for one in (value if isinstance(value, list) else [value])
    ]


def _of_feast(settings: PolicySettings) -> Features:
    from airflow_mlgov.gates.feature_service.gate import describe
    from airflow_mlgov.gates.feature_service.spec import FeatureService

    if not settings.service:
        raise ConfigurationError(
            f"{settings.features} is a folder: name the feature service of the repository (service=, --service)",
            code="features.service",
        )
    asked = {"repo": str(settings.features), "service": settings.service, "python": settings.python}
    found = describe(FeatureService.read(asked, "the feature repository"))
    features = tuple(_in_feast(found.content))
    return Features(
        features, (Subject("dataset", f"feast:{found.content['project']}", found.content["definition_sha256"]),)
    )


def _in_feast(found: Mapping[str, Any]) -> Iterable[Feature]:
    for view in found["views"]:
        tags: dict[str, list[str]] = {}
        for said in (view.get("tags", {}), view.get("source_tags", {})):
            for key, value in said.items():
                tags.setdefault(key, []).append(value)
        renamed = found.get("renamed", {}).get(view["name"], {})
        for name, own in view["fields"].items():
            feature = Feature(name, view["name"], column=renamed.get(name, ""))
            yield replace(feature, tags={key: [*tags.get(key, []), *own.get(key, [])] for key in {*tags, *own}})
    for key in found.get("join_keys", ()):
        yield Feature(key["name"], kind="join key", tags=_alone(key["tags"]))
    for asked in found.get("requests", ()):
        yield Feature(asked["name"], asked["view"], "request source", tags=_alone(asked.get("tags", {})))


def _alone(tags: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: [value] for name, value in tags.items()}
