"""Where a target is: the registered model whose alias and stage are moved. That is the version's own model, or the one
into which the policy has it copied; then what is moved is a copy whose own bytes were hashed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.statements import Copy, IntentStatement, PromotionStatement, resource_uri
from airflow_mlgov.evidence.verification import Evidence, only
from airflow_mlgov.release.timeline import version_of
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_mlgov.governance.policy import Target
    from airflow_mlgov.registry.protocol import ModelVersion, Registry
    from airflow_mlgov.results import Subject

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """The registered model whose alias and stage a target moves."""

    registry: Registry
    model: str

    def number(self, moved: Evidence[PromotionStatement] | Evidence[IntentStatement]) -> str | None:
        """The number that what was moved has here; None if it was moved elsewhere."""
        placed = moved.statement.placed
        here = placed.name == self.model and self.registry.identity.of(placed.registry) == self.registry.uri
        return placed.version if here else None

    def said(self, number: str | None, source: str) -> str | None:
        """A number of this model among the versions of the model that is copied here.

        :param source: the model's name; its own numbers are said as they are
        """
        return number if number is None or self.model == source else f"{self.model}/{number}"

    def version(self, number: str) -> ModelVersion:
        """A version of this model.

        :raises ConfigurationError: it is gone
        """
        return self.registry.resolve({"name": self.model, "version": number})


Elsewhere = Callable[[str], "Registry"]
"""Opens another registry, by the connection or the address that a policy has for it."""


def place_at(registry: Registry, name: str, goal: Target, elsewhere: Elsewhere | None) -> Place:
    """Where a target of a registered model is.

    :param elsewhere: None: no other registry can be opened here
    :raises ConfigurationError: it is in another registry, which cannot be opened
    """
    to = goal.copy_to
    if to is None:
        return Place(registry, name)
    if to.registry is None:
        return Place(registry, to.model)
    if elsewhere is None:
        raise ConfigurationError(f"the registry {to.registry!r} cannot be opened here", code="copy.elsewhere")
    found = elsewhere(to.registry)
    return Place(registry if registry.identity.of(found.uri) == registry.uri else found, to.model)


def put_there(
    place: Place,
    source: Registry,
    version: ModelVersion,
    model: Subject,
    history: Sequence[Evidence],
    confirm: Callable[[], None],
) -> tuple[ModelVersion, Copy | None]:
    """The version that a place has of a version: itself, or the copy that was made before, or one that is made now.

    A copy is taken for one only if its files, downloaded and hashed now, are the bytes that were proven.

    :param source: the version's own registry
    :param model: the version, by the bytes that were proven
    :param history: all that verifies about the version's model
    :raises EvidenceError: the copy that was made has other bytes
    """
    if place.registry is source and place.model == version.name:
        return version, None
    key = f"{resource_uri(model)}@sha256:{model.digest}"
    within = version if place.registry is source else None
    for found in _known(place, model, history, key, within):
        if (copy := _as_copy(place, found, model)) is not None:
            return found, copy
    confirm()
    if within:
        made = place.registry.copy(version, place.model, key)
    else:
        with source.download(version, model.digest) as folder:
            made = place.registry.take(folder, place.model, key)
    copy = _as_copy(place, made, model)
    if copy is None:
        raise EvidenceError(
            f"{made} was made as a copy of {version} and has other bytes: nothing was moved. Somebody changes files: "
            "find out who, and start again",
            code="copy.differs",
        )
    return made, copy


def still_held(
    registry: Registry, promotion: Evidence[PromotionStatement], history: Sequence[Evidence]
) -> tuple[str, ...]:
    """Of alias and stage that a promotion has given, those that what it moved has now: for a model that the policy does
    not govern any more, where nobody else would look.

    :param history: all that verifies about the model
    """
    placed, intents = promotion.statement.placed, only(history, IntentStatement)
    after = next((item.statement.after for item in intents if item.sha256 == promotion.statement.intent), {})
    given = tuple(str(after[kind]) for kind in ("alias", "stage") if after.get(kind))
    if registry.identity.of(placed.registry) != registry.uri:
        return given  # it cannot be looked at from here
    aliases, versions = registry.aliases(placed.name), registry.versions(placed.name)
    stages = {item.stage for item in versions if item.version == placed.version}
    return tuple(name for name in given if aliases.get(name) == placed.version or name in stages)


def _known(
    place: Place, model: Subject, history: Sequence[Evidence], key: str, within: ModelVersion | None
) -> Iterator[ModelVersion]:
    """The copies that the ledger has of these bytes, promoted ones first, then those that nobody has recorded."""
    same = [item for item in history if (version_of(item), item.digest) == (model.version, model.digest)]
    numbers = [place.number(item) for item in only(same, IntentStatement)]
    numbers += [place.number(item) for item in only(same, PromotionStatement)]
    recorded = dict.fromkeys(number for number in reversed(numbers) if number is not None)
    for number in recorded:
        try:
            yield place.version(number)
        except ConfigurationError as error:
            log.warning("a copy of %s is gone: %s", line(model), line(error))
    yield from (item for item in place.registry.copies(place.model, key, within) if item.version not in recorded)


def _as_copy(place: Place, found: ModelVersion, model: Subject) -> Copy | None:
    """A version as a copy by its bytes as they are now; None if they are others."""
    try:
        subject = place.registry.subject(found)
    except ConfigurationError as error:
        log.warning("%s is no copy of %s: %s", line(found), line(model), line(error))
        return None
    if subject.digest != model.digest:
        log.warning("%s is no copy of %s any more: its bytes are others", line(found), line(model))
        return None
    return Copy(subject, place.registry.place(found))
