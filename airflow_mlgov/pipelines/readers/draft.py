"""What a reader has found of a pipeline so far: steps, groups of steps, what could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.pipelines.documents import Part
from airflow_mlgov.pipelines.manifest import START, AnyOf, Manifest, Need, Step, Unknown
from airflow_mlgov.pipelines.readers.source import Source


@dataclass
class Draft:
    """A manifest in the making; readers derive from it."""

    source: Source
    steps: list[Step] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    containers: list[str] = field(default_factory=list)
    _starts: set[str] = field(default_factory=set)

    def manifest(self, kind: str, name: str, triggers: Sequence[str] = ()) -> Manifest:
        """What was found, whole.

        :raises ConfigurationError: a step is named as the beginning of a group is
        """
        wrong = next((step for step in self.steps if step.is_start and step.id not in self._starts), None)
        if wrong is not None:
            raise ConfigurationError(
                f"{wrong.file or self.source.path}:{wrong.line}: {wrong.id}: a name that ends with /{START} is kept "
                "for the beginning of what holds other steps: name it otherwise",
                code="manifest.wrong",
            )
        return Manifest(
            kind, name, self.source.path, self.source.sha256, tuple(self.steps), tuple(self.unknown),
            tuple(triggers), tuple(self.containers),
        )  # fmt: skip

    def open_group(self, group: Step, needs: tuple[AnyOf, ...]) -> AnyOf:
        """Add the beginning of a group; what its first steps need.

        :param group: as its end will be; ``kind`` says what the beginning is
        :param needs: of the whole
        """
        start = replace(group, id=group.start, needs=needs)
        self._starts.add(start.id)
        self.steps.append(start)
        return (Need(start.id),)

    def close_group(self, group: Step, first: AnyOf, ends: Sequence[AnyOf]) -> None:
        """Add the end of a group.

        :param first: what :meth:`open_group` gave
        :param ends: needs on the steps with which the group ends
        """
        self.steps.append(replace(group, kind="group", needs=(first, *ends)))

    def missing(self, part: Part, why: str, hides: Sequence[str], line: int | None = None) -> None:
        """Say what is not here or cannot be read, once.

        :param line: of the part's file, if that is not where the part begins
        """
        self.missing_at(f"{part.lines.file}:{line}" if line else part.where, why, hides)

    def missing_at(self, where: str, why: str, hides: Sequence[str]) -> None:
        """The same, by ``file:line``."""
        found = Unknown(where or self.source.path, why, tuple(hides))
        if found not in self.unknown:
            self.unknown.append(found)
