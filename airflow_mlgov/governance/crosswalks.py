"""Which evidence speaks to which control of a framework: data files with a version, a source and a day from which each
control applies. Says what could be shown, never that a control is met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.strict_files import nearest, parse_yaml

FORM = "mlgov/crosswalk/1"


@dataclass(frozen=True)
class Control:
    """One control of a framework."""

    framework: str
    id: str
    """As the framework numbers it."""
    says: str
    """What it asks for, in this project's words."""
    applies_from: date
    evidence: tuple[str, ...]
    """``gate:fairness``, ``statement:decision``, ``rule:mlgov.pii/pii.by_name``."""

    @property
    def name(self) -> str:
        """``gdpr:35``, as METADATA names it."""
        return f"{self.framework}:{self.id}"

    def applies(self, day: date) -> bool:
        """Whether it applied on a day."""
        return self.applies_from <= day


@dataclass(frozen=True)
class Crosswalk:
    """One framework."""

    framework: str
    title: str
    version: str
    """Of this file: the day on which it was last held against the source."""
    source: str
    note: str
    controls: tuple[Control, ...]


def frameworks() -> tuple[str, ...]:
    """The frameworks that there are crosswalks for."""
    names = (item.name for item in (files("airflow_mlgov") / "packs" / "crosswalks").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


@cache
def crosswalk(framework: str) -> Crosswalk:
    """One crosswalk.

    :raises ConfigurationError: there is none for the framework
    """
    if framework not in frameworks():
        raise ConfigurationError(
            f"there is no crosswalk for {framework!r}{nearest(framework, frameworks())}; there are "
            f"{', '.join(frameworks())}",
            code="crosswalk.unknown",
        )
    name = f"{framework}.yaml"
    text = (files("airflow_mlgov") / "packs" / "crosswalks" / name).read_text(encoding="utf-8")
    said = parse_yaml(text, name, "crosswalk", plain=True)
    return Crosswalk(
        said["framework"], said["title"], said["version"], said["source"], said["note"],
        tuple(_control(said, item) for item in said["controls"]),
    )  # fmt: skip


def _control(said: Mapping[str, str], item: Mapping[str, str | Sequence[str]]) -> Control:
    since = date.fromisoformat(str(item.get("applies_from", said["applies_from"])))
    return Control(said["framework"], str(item["id"]), str(item["says"]), since, tuple(item["evidence"]))


def controls() -> dict[str, Control]:
    """Every control by its name: ``gdpr:35``."""
    return {one.name: one for name in frameworks() for one in crosswalk(name).controls}
