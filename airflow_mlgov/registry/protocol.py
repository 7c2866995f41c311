"""What a release asks of a model registry: a dozen methods, so that MLflow's own quirks stay in one module behind them.

Whoever serves these methods reads back what it has set, and never takes silence for success.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from airflow_mlgov.addresses import RegistryIdentity
from airflow_mlgov.results import Subject
from airflow_mlgov.words import line

REFERENCE = re.compile(r"(?:models:/)?(?P<name>[^/:]+)(?:/(?P<which>[^/@]+)|@(?P<alias>[^/@]+))")
"""``models:/name/7``, ``models:/name@alias``, the same without ``models:/``; no name holds ``/`` or ``:``."""

LOGGED = re.compile(r"models:/(?P<model_id>m-[^/@:]+)|runs:/(?P<run_id>[^/]+)/(?P<path>.+)")
"""What MLflow calls a model that was logged: ``models:/m-…`` or ``runs:/RUN/NAME``. It names a version only if it was
registered as one alone."""


def name_in(reference: str) -> str:
    """The model's name in a reference, or in what is a name alone."""
    match = REFERENCE.fullmatch(reference)
    return match["name"] if match else reference.removeprefix("models:/")


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model, as the registry describes it. Only ``name`` and ``version`` say which it is;
    the rest anyone with edit rights may have written."""

    name: str
    version: str
    run_id: str | None = None
    source: str | None = None
    """Where its files are, as the registrant gave it: ``models:/m-…`` or an artifact URI."""
    stage: str | None = None
    """``Staging``, ``Production`` or ``Archived``; None if it has no stage."""
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    created_by: str | None = None

    @property
    def uri(self) -> str:
        """``models:/name/version``."""
        return f"models:/{self.name}/{self.version}"

    def __str__(self) -> str:
        return line(f"{self.name} version {self.version}")


@dataclass(frozen=True)
class ModelNow:
    """A registered model as one look at the whole registry shows it."""

    aliases: Mapping[str, str]
    """Alias -> the version that it points to."""
    newest: Mapping[str | None, int]
    """Stage, None for none -> the newest version in it."""


class Registry(Protocol):
    """One registry of models and the identity to use with it."""

    @property
    def uri(self) -> str:
        """What evidence names: the name of :attr:`identity`."""

    @property
    def identity(self) -> RegistryIdentity:
        """Its name, and the addresses that lead to it."""

    # -- reading ------------------------------------------------------------------------------------------------------

    def resolve(self, reference: str | Mapping[str, Any]) -> ModelVersion:
        """The version that a reference means now.

        :param reference: ``models:/name/7``, ``models:/name@alias`` …, or a mapping with ``name`` and ``version``
        :raises ConfigurationError: it names none
        """

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """All versions of a model, newest first, perhaps without their aliases; empty if there is no such model."""

    def names(self) -> tuple[str, ...]:
        """Every registered model that this identity may see."""

    def aliases(self, name: str) -> Mapping[str, str]:
        """Every alias of a model and the version it points to; empty if there is no such model."""

    def subject(self, version: ModelVersion) -> Subject:
        """The version bound to its bytes as they are now."""

    def download(self, version: ModelVersion, digest: str | None = None) -> AbstractContextManager[Path]:
        """The version's files in a temporary directory; nothing in them is run or loaded."""

    def place(self, version: ModelVersion) -> str:
        """Where the version's files are, as it may be signed; empty if that cannot be."""

    def copies(self, model: str, key: str, source: ModelVersion | None) -> tuple[ModelVersion, ...]:
        """The versions of a model that :meth:`copy` (given a source) or :meth:`take` has made under a key, oldest
        first."""

    # -- changing -----------------------------------------------------------------------------------------------------

    def copy(self, version: ModelVersion, model: str, key: str) -> ModelVersion:
        """Copy a version into another model of this registry.

        :param key: by which it is found again
        """

    def take(self, folder: Path, model: str, key: str) -> ModelVersion:
        """Make a version of files that come from another registry."""

    def set_alias(self, version: ModelVersion, alias: str, *, read_back: bool = True) -> None:
        """Point an alias at a version.

        :param read_back: False where the caller reads back all that it has set, together
        :raises EvidenceError: it reads back as another version
        """

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias.

        :raises EvidenceError: something still holds it
        """

    def transition_stage(
        self, version: ModelVersion, stage: str, archive_existing: bool = False, *, read_back: bool = True
    ) -> None:
        """Move a version to a stage.

        :param archive_existing: also move every other version in that stage to ``Archived``
        :param read_back: False where the caller reads back all that it has set, together
        :raises EvidenceError: it reads back otherwise
        """

    def set_tags(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """Write tags on a version: for people to read, never to decide by."""


def in_stage(registry: Registry, name: str, stage: str | None) -> tuple[ModelVersion, ...]:
    """Every version of a model in a stage, newest first; none if no stage is asked for."""
    return tuple(item for item in registry.versions(name) if item.stage == stage) if stage else ()


def page_of_version(registry: str, name: str, version: str) -> str:
    """Where MLflow shows a version to people; empty if the registry's name is no address of a web page.

    :param registry: as evidence names it
    """
    if urlsplit(registry).scheme not in ("http", "https"):
        return ""
    return f"{registry.rstrip('/')}/#/models/{quote(name, safe='')}/versions/{quote(version, safe='')}"
