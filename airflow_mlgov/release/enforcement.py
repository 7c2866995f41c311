"""What is done about audits that are owed: a warning before the date; after it, back to the last version that holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_mlgov.errors import DependencyError, MlgovError
from airflow_mlgov.evidence.chain import Verified
from airflow_mlgov.evidence.statements import PromotionStatement
from airflow_mlgov.release.desk import Desk
from airflow_mlgov.release.monitoring import MONITORED
from airflow_mlgov.release.obligations import Obligation, ObligationState, list_obligations
from airflow_mlgov.release.places import still_held
from airflow_mlgov.release.rollback import roll_back
from airflow_mlgov.words import lines


@dataclass(frozen=True)
class Demotion:
    """What was done at a target because of an obligation that was not kept."""

    done: bool
    """False if the version still serves."""
    action: str
    """``rolled back to version 2``, or ``not demoted: why``."""

    def __str__(self) -> str:
        return self.action


@dataclass(frozen=True)
class Enforcement:
    """What was done about obligations."""

    warned: tuple[Obligation, ...]
    """Open, and due or expiring soon."""
    violated: tuple[tuple[Obligation, Demotion], ...]
    """Each with what was done."""

    @property
    def unsettled(self) -> bool:
        """Whether something that should not serve still does."""
        return any(not demotion.done for _, demotion in self.violated)


def enforce(
    desk: Desk, *, warn_within: timedelta, demote: bool = True, may: Callable[[str], None] = lambda _: None
) -> Enforcement:
    """Warn of what is due soon; roll back, to the last version that holds, what was missed, failed, expired or revoked.

    What goes wrong with one model is said of it, and stops no other. What a model owes that the policy governs no more
    is owed while it serves: to take it out of the policy settles nothing.

    :param demote: False: only say so
    :param may: asked before a model is demoted, by its name; what it raises is said of that model
    :raises ConfigurationError: the trust root does not know who signs
    :raises EvidenceError: the chain is broken
    :raises DependencyError: MLflow or the ledger is down; try again
    """
    if demote:
        desk.require_signer(PromotionStatement.duty)
    records = desk.walk()
    owed = list_obligations(
        records, desk.trust, desk.now, environment=desk.environment, registry=desk.registry.identity
    )
    mine = [item for item in owed if item.model.name in desk.policy.models or _serves_still(desk, records, item)]
    violated: list[tuple[Obligation, Demotion]] = []
    done: dict[tuple[str, str], Demotion] = {}
    for item in mine:
        if not item.state.violated:
            continue
        place = (item.model.name, item.target)
        if place not in done:
            done[place] = (
                _demote(desk, item, may) if demote else Demotion(False, "not demoted: demotion is switched off")
            )
        violated.append((item, done[place]))
    soon = [item for item in mine if (ends := _next_date(item)) is not None and ends - desk.now <= warn_within]
    return Enforcement(tuple(soon), tuple(violated))


def _serves_still(desk: Desk, records: Verified, item: Obligation) -> bool:
    history = desk.history(records, item.model.name)
    current = desk.timeline(history, item.model.name, item.target).current
    return current is not None and bool(still_held(desk.registry, current, history))


def _demote(desk: Desk, item: Obligation, may: Callable[[str], None]) -> Demotion:
    try:
        may(item.model.name)
        back = roll_back(desk, item.model.name, item.target, reason=f"obligation {item.id}: {item.state}")
    except Exception as error:  # of this model; the others are looked at all the same
        if isinstance(error, DependencyError):
            desk.registry.names()  # raises if the registry itself is down
        said = error.coded if isinstance(error, MlgovError) else type(error).__name__
        return Demotion(False, f"not demoted: {said}")
    return Demotion(True, f"rolled back to version {back.model.version} ({back.record})")


def _next_date(item: Obligation) -> datetime | None:
    """When something happens to what is kept; None if nothing does."""
    if item.state is ObligationState.OPEN:
        return min(item.due, item.expires)
    return item.expires if item.state is ObligationState.MET and item.kind != MONITORED else None


def render_enforcement(result: Enforcement) -> str:
    """The words that go to a log and to the owners."""
    found = [f"  - soon: {item}" for item in result.warned]
    found += [f"  - {item.state}: {item} [{demotion}]" for item, demotion in result.violated]
    return lines([f"{len(result.violated)} obligation(s) violated, {len(result.warned)} due soon", *found])
