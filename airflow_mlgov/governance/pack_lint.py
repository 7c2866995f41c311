"""Every mistake in a pack, not only the first: what the engine refuses, and what METADATA lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.governance.packs import Pack, package_of, rules_in
from airflow_mlgov.rego.embedded import embedded
from airflow_mlgov.rego.protocol import Bundle, Outline, RulesError

_PLACE = re.compile(r"([^\s:,]+\.rego):(\d+)")


@dataclass(frozen=True)
class Mistake:
    """One thing to mend."""

    where: str
    """``file:line``, or the pack."""
    text: str
    """What is wrong, and what to write."""


def mistakes_of(pack: Pack) -> list[Mistake]:
    """All of them, by place; one alone where the modules do not parse."""
    bundle = Bundle(pack.modules)
    try:
        look = embedded().look(bundle)
    except RulesError as error:
        return [_of_the_engine(pack, error)]
    found = {
        Mistake(f"{pack.source}/{module}:{line}" if line else f"{pack.source}/{module}", text)
        for text, places in look.mistakes.items()
        for module, line in places
    }
    found |= {*_of_metadata(pack, look.outline), *_in_tests(pack)}
    if not found:
        found = set(_when_asked(pack, bundle, f"data.{package_of(pack.source, look.outline)}.deny"))
    return sorted(found, key=lambda one: (one.where, one.text))


def _of_metadata(pack: Pack, outline: Outline) -> Iterator[Mistake]:
    """Each module by itself, so that one mistake hides no other."""
    for name, text in pack.modules.items():
        try:
            rules_in(name, text, outline, pack.source)
        except ConfigurationError as error:
            yield Mistake(f"{pack.source}/{name}", str(error))
    try:
        package_of(pack.source, outline)
    except ConfigurationError as error:
        yield Mistake(pack.source, str(error))


def _in_tests(pack: Pack) -> Iterator[Mistake]:
    """Rules that deny in a file that is read as a test, and so never asked."""
    try:
        heads = embedded().look(Bundle(pack.tests)).outline.of_set("deny") if pack.tests else ()
    except RulesError as error:
        yield _of_the_engine(pack, error)
        return
    for head in heads:
        text = "a rule that denies in a file of tests is never asked: call the file otherwise than …_test.rego"
        yield Mistake(f"{pack.source}/{head.module}:{head.line}", text)


def _when_asked(pack: Pack, bundle: Bundle, path: str) -> Iterator[Mistake]:
    """What the engine finds only when it is asked: names that nothing gives a value."""
    try:
        embedded().evaluate(bundle, [path], {}, counted=path)
    except RulesError as error:
        yield _of_the_engine(pack, error)


def _of_the_engine(pack: Pack, error: RulesError) -> Mistake:
    found = _PLACE.search(str(error))
    return Mistake(f"{pack.source}/{found[1]}:{found[2]}" if found else pack.source, str(error))
