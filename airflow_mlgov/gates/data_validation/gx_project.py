"""A project of Great Expectations as a suite: ``FOLDER:NAME`` of a checkpoint or a validation definition, whose suites
are judged on the data that it names. Reads the project's files; runs no action of it, and imports nothing from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.data_validation.expectations import Suite
from airflow_mlgov.strict_files import Document, read_json, read_yaml

FILE = "great_expectations.yml"
_OF_SUITES = (".json", ".yaml", ".yml", ".pbtxt")
_STORES = {
    "CheckpointStore": "checkpoints",
    "ValidationDefinitionStore": "validation_definitions",
    "ExpectationsStore": "expectations",
}
"""Kind of store -> its folder, if the project says no other."""
_NAMED_BY = {"CheckpointStore": "checkpoint_store_name", "ExpectationsStore": "expectations_store_name"}
"""Kind of store -> the key of the project's file that says which one is used."""
_MOST_DEFINITIONS = 100
_LONGEST = 200
"""Bytes of a name: a file system takes 255."""


def names_project(suite: Any) -> bool:
    """Whether a suite is a project's: ``./gx:nightly``, or a folder."""
    if not isinstance(suite, str) or Path(suite).suffix.lower() in _OF_SUITES:
        return False
    return ":" in suite or Path(suite).is_dir()


@dataclass(frozen=True)
class Asked:
    """What a checkpoint, or a validation definition, asks."""

    project: Project
    name: str
    suites: tuple[str, ...]
    """Names of suites."""
    data: tuple[str, str, str]
    """Names of a data source, of an asset of it and of a batch definition."""

    def suite(self, load: Callable[[Path], Suite]) -> Suite:
        """The suites as one. Its digest is that of the suite's file; of several, of the list of theirs.

        :param load: reads a file
        """
        found = [load(self.project.file("ExpectationsStore", name, "suite")) for name in self.suites]
        source = f"{self.project.folder}:{self.name}"
        if len(found) == 1:
            return replace(found[0], source=source)
        digests = json.dumps([[item.name, item.digest] for item in found], separators=(",", ":"))
        one = Suite(self.name, hashlib.sha256(digests.encode()).hexdigest(), (), source=source)
        for item in found:
            one = _joined(one, item)
        return one


@dataclass(frozen=True)
class Project:
    """A folder with a ``great_expectations.yml``."""

    folder: Path

    @cached_property
    def document(self) -> Document:
        """Its configuration, with nothing filled in."""
        return read_yaml(self.folder / FILE, "project", plain=True)

    @property
    def config(self) -> Mapping[str, Any]:
        """The same as a mapping.

        :raises ConfigurationError: it is none
        """
        return section(self.document.content, str(self.folder / FILE))

    def asked(self, name: str) -> Asked:
        """What a checkpoint or a validation definition asks.

        :raises ConfigurationError: there is none of this name; it names what is not there; or it is about several data
            sets
        """
        checkpoint, definition = (self._find(kind, name) for kind in ("CheckpointStore", "ValidationDefinitionStore"))
        names = [name]
        if checkpoint is not None:
            said = self._read("CheckpointStore", name, "checkpoint").get("validation_definitions")
            names = [named(item, f"{checkpoint}: validation_definitions") for item in listed(said)]
        if not names or (checkpoint is None and definition is None):
            raise wrong(f"{self.folder} has no checkpoint and no validation definition {name!r}{self._near(name)}")
        if definition is not None and checkpoint is not None and names != [name]:
            raise wrong(f"{self.folder} has a checkpoint and a validation definition {name!r}: rename one of them")
        if len(names := list(dict.fromkeys(names))) > _MOST_DEFINITIONS:
            raise wrong(f"the checkpoint {name!r} has more than {_MOST_DEFINITIONS} validation definitions: split it")
        found = [self._definition(each) for each in names]
        if len({data for data, _ in found}) > 1:
            raise wrong(
                f"the checkpoint {name!r} is about several data sets, and a gate judges one: run the gate for each of "
                f"its validation definitions ({', '.join(names)})"
            )
        return Asked(self, name, tuple(dict.fromkeys(suite for _, suite in found)), found[0][0])

    def file(self, store: str, name: str, what: str) -> Path:
        """Where something stands.

        :raises ConfigurationError: it is not there
        """
        found = self._find(store, name)
        if found is None:
            raise wrong(f"{self.folder} has no {what} {name!r} in {self._store(store)}")
        return found

    def _definition(self, name: str) -> tuple[tuple[str, str, str], str]:
        """The data and the suite."""
        where = f"the validation definition {name!r}"
        content = self._read("ValidationDefinitionStore", name, "validation definition")
        data = section(content.get("data"), f"{where}: data")
        source, asset, batch = (named(data.get(key), f"{where}: {key}") for key in _DATA)
        return (source, asset, batch), named(content.get("suite"), f"{where}: suite")

    def _read(self, store: str, name: str, what: str) -> Mapping[str, Any]:
        file = self.file(store, name, what)
        return section(read_json(file, what).content, str(file))

    def _find(self, store: str, name: str) -> Path | None:
        """A file of a store; names with dots may be folders."""
        folder = self._store(store)
        if (
            not name
            or any(part in name for part in ("/", "\\", "\0"))
            or name.startswith(".")
            or len(name.encode(errors="replace")) > _LONGEST
        ):
            raise wrong(f"{name[:_LONGEST]!r} is no name of anything in {folder}")
        places = (folder / f"{name}.json", folder / f"{name.replace('.', '/')}.json")
        return next((place for place in places if place.is_file()), None)

    def _store(self, kind: str) -> Path:
        """The folder of a store.

        :raises ConfigurationError: it is elsewhere than in a folder of the project's
        """
        stores = section(self.config.get("stores") or {}, f"{self.folder / FILE}: stores")
        said = self.config.get(_NAMED_BY.get(kind, ""), "validation_definition_store")
        of_kind = {
            name: item for name, item in stores.items() if isinstance(item, Mapping) and item.get("class_name") == kind
        }
        found = [item for name, item in of_kind.items() if len(of_kind) == 1 or name == said]
        if of_kind and not found:
            raise wrong(
                f"{self.folder / FILE} has {len(of_kind)} stores of the kind {kind}, and says of none that it is used"
            )
        if not found:
            return self.folder / _STORES[kind]
        backend = section(found[0].get("store_backend") or {}, f"{self.folder / FILE}: {kind}")
        if backend.get("class_name", "TupleFilesystemStoreBackend") != "TupleFilesystemStoreBackend":
            raise wrong(
                f"the {kind} of {self.folder} is a {backend['class_name']}, and files of a folder are read: check the "
                "project out into one"
            )
        return self.folder / str(backend.get("base_directory") or _STORES[kind])

    def _near(self, name: str) -> str:
        kinds = ("CheckpointStore", "ValidationDefinitionStore")
        known = sorted({file.stem for kind in kinds for file in self._store(kind).glob("*.json")})[:1000]
        near = get_close_matches(name, known, n=3) or known[:5]
        return f"; there is {', '.join(near)}" if near else ""


_DATA = ("datasource", "asset", "batch_definition")


def open_project(suite: str) -> Asked:
    """What ``FOLDER:NAME`` asks; the folder is the one with ``great_expectations.yml``, or the one with ``gx`` in it.

    :raises ConfigurationError: no project is there, or no such name in it; and see :meth:`Project.asked`
    :raises AccessError: the file system refuses to read it
    """
    folder, colon, name = suite.rpartition(":")
    place = Path(folder if colon else suite)
    roots = [root for root in (place, place / "gx") if (root / FILE).is_file()]
    if not roots:
        raise wrong(f"{place} is no project of Great Expectations: neither it nor its folder gx has a {FILE}")
    project = Project(roots[0])
    if not colon or not name:
        raise wrong(
            f"{suite} is a project: name a checkpoint or a validation definition of it, as {place}:NAME"
            f"{project._near('')}"
        )
    return project.asked(name)


def wrong(message: str) -> ConfigurationError:
    """That a project cannot be used as a suite."""
    return ConfigurationError(message, code="suite.project")


def section(value: Any, where: str) -> Mapping[str, Any]:
    """A mapping.

    :raises ConfigurationError: it is none
    """
    if not isinstance(value, Mapping):
        raise wrong(f"{where} is no mapping")
    return value


def named(value: Any, where: str) -> str:
    """The ``name`` in a reference to something.

    :raises ConfigurationError: it has none
    """
    name = value.get("name") if isinstance(value, Mapping) else None
    if not isinstance(name, str) or not name:
        raise wrong(f"{where} has no name")
    return name


def listed(value: Any) -> list[Any]:
    """A list; empty if it is none."""
    return value if isinstance(value, list) else []


def _joined(one: Suite, more: Suite) -> Suite:
    """A suite, and another after it.

    :raises ConfigurationError: they give one parameter two values
    """
    other = [name for name, value in more.parameters.items() if one.parameters.get(name, value) != value]
    if other:
        raise wrong(
            f"two suites of {one.name!r} give the parameter {other[0]} other values: name a validation definition"
        )
    begin = len(one.expectations)
    moved = tuple(replace(item, position=begin + item.position) for item in more.expectations)
    return replace(
        one,
        expectations=(*one.expectations, *moved),
        parameters={**one.parameters, **more.parameters},
        converted=(*one.converted, *more.converted),
    )
