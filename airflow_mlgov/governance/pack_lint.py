"""Every mistake in a pack, not only the first: what the engine refuses, and what METADATA lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.governance.packs import Pack
from airflow_mlgov.rego.embedded import embedded
from airflow_mlgov.rego.protocol import Bundle, RulesError

_PLACE = re.compile(r"([^\s:,]+\.rego):(\d+)")


@dataclass(frozen=True)
class Mistake:
    """One thing to mend."""

    where: str
    """``file:line``, or the pack."""
    text: str
    """What is wrong, and what to write."""


def mistakes_of(pack: Pack) -> list[Mistake]:
    """All of them, by place."""
    found = [*_of_each_module(pack), *_of_the_whole(pack), *_of_the_engine(pack)]
    return sorted(set(found), key=lambda one: (one.where, one.text))


def _of_each_module(pack: Pack) -> Iterator[Mistake]:
    """Each module by itself, so that one mistake hides no other."""
    for name in pack.modules:
        alone = replace(pack, modules={name: pack.modules[name]})
        try:
            alone.rules  # noqa: B018 - it refuses
        except ConfigurationError as error:
            yield Mistake(f"{pack.source}/{name}", str(error))


def _of_the_whole(pack: Pack) -> Iterator[Mistake]:
    try:
        pack.package  # noqa: B018 - it refuses
    except ConfigurationError as error:
        yield Mistake(pack.source, str(error))


def _of_the_engine(pack: Pack) -> Iterator[Mistake]:
    try:
        package = pack.package
    except ConfigurationError:
        return
    path = f"data.{package}.deny"
    try:
        embedded().evaluate(Bundle(pack.modules), [path], {}, counted=path)
    except RulesError as error:
        for part in re.split(r"; (?=\S+\.rego)", str(error)):
            places, _, text = part.partition(": ")
            found = _PLACE.findall(places)
            if not found:
                found, text = _PLACE.findall(part)[:1], part
            yield from (Mistake(f"{pack.source}/{file}:{line}", text) for file, line in found)
            if not found:
                yield Mistake(pack.source, part)
