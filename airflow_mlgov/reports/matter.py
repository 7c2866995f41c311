"""What a report is about: one version at one target with all that verifies about it, as the board and ``mlgov verify``
see it. Found in the ledger; forms no verdict of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_mlgov.board.judging import Bench, Standing
from airflow_mlgov.board.story import Story, tell
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.chain import Head
from airflow_mlgov.evidence.statements import DecisionStatement, PolicyStatement, PromotionStatement
from airflow_mlgov.evidence.verification import Evidence, collect, only
from airflow_mlgov.release.timeline import Dossier, version_of
from airflow_mlgov.results import Subject
from airflow_mlgov.strict_files import nearest

if TYPE_CHECKING:
    from airflow_mlgov.addresses import RegistryIdentity


@dataclass(frozen=True)
class Matter:
    """One version at one target."""

    bench: Bench
    standing: Standing
    dossier: Dossier
    champion: str | None
    """The version that it is compared with."""
    hashed: bool
    """Whether the bytes were hashed now; else they are those that evidence names."""
    checkpoints: tuple[Head, ...] = ()
    """What was held against the ledger."""

    @property
    def model(self) -> Subject:
        """The version."""
        return self.standing.model

    @cached_property
    def story(self) -> Story:
        """What the board tells of it."""
        return tell(self.bench, self.standing, self.dossier, self.champion)

    @cached_property
    def mine(self) -> list[Evidence]:
        """All that is about this version and the data it was made from, in ledger order."""
        number = self.model.version
        return [item for item in self.dossier.good if item.subject.kind != "model" or item.subject.version == number]

    @cached_property
    def policies(self) -> list[Evidence[PolicyStatement]]:
        """The policies that decisions about this version were made under, as the ledger keeps them."""
        wanted = {item.statement.document.bundle_sha256 for item in only(self.mine, DecisionStatement)}
        kept = only(collect(self.bench.walked, self.bench.trust, kind="policy")[0], PolicyStatement)
        return [item for item in kept if item.digest in wanted]


def find(
    bench: Bench,
    name: str,
    version: str | None = None,
    *,
    target: str | None = None,
    environment: str | None = None,
    model: Subject | None = None,
    checkpoints: Sequence[Head] = (),
) -> Matter:
    """A version by its name and number: if no number is said, the one that serves, else the newest.

    :param model: the version with its bytes as they were hashed now
    :raises ConfigurationError: nothing about it verifies, or a word names nothing
    """
    identity, history = bench.identity(name), bench.history(name)
    if identity is None or not history:
        raise ConfigurationError(
            f"the ledger holds nothing about the model {name!r} that verifies under the trust root: look at "
            f"`mlgov ledger list --model {name}`",
            code="report.no_evidence",
        )
    here = _environment(history, environment)
    goal = _target(bench, name, history, target)
    moves = [
        item for item in only(history, PromotionStatement) if item.environment == here and item.statement.target == goal
    ]
    serving = version_of(moves[-1]) if moves else None
    subject = model or _subject(history, identity, version or serving, here)
    governed = bench.policy is not None and name in bench.policy.models and goal in bench.policy.models[name].targets
    standing, dossier = bench.version(subject, here, goal, identity, governed=governed)
    champion = moves[-1].statement.replaces if serving == subject.version else serving
    return Matter(bench, standing, dossier, champion, model is not None, tuple(checkpoints))


def _environment(history: Sequence[Evidence], said: str | None) -> str:
    known = list(dict.fromkeys(item.environment for item in history))
    if said is None and len(known) > 1:
        raise ConfigurationError(
            f"there is evidence of the environments {', '.join(sorted(known))}: name one (--environment)",
            code="environment.not_named",
        )
    if said is not None and said not in known:
        raise ConfigurationError(
            f"there is no evidence of the environment {said!r}{nearest(said, known)}; there is of "
            f"{', '.join(sorted(known))}",
            code="report.no_evidence",
        )
    return said or known[0]


def _target(bench: Bench, name: str, history: Sequence[Evidence], said: str | None) -> str:
    policy = bench.policy
    named = list(policy.models[name].targets) if policy and name in policy.models else []
    moved = [item.statement.target for item in only(history, PromotionStatement)]
    known = list(dict.fromkeys([*named, *moved]))
    if said is not None and said not in known:
        raise ConfigurationError(
            f"neither the policy nor the ledger knows a target {said!r} of {name}{nearest(said, known)}",
            code="policy.target_unknown",
        )
    return said or (moved[-1] if moved else known[0] if known else "")


def _subject(history: Sequence[Evidence], identity: RegistryIdentity, version: str | None, environment: str) -> Subject:
    """The bytes that the newest evidence names."""
    about = [item for item in history if item.environment == environment and item.subject.version]
    newest = about[-1].subject.version if about else None
    mine = [item for item in about if item.subject.version == (version or newest)]
    if not mine:
        known = ", ".join(sorted({version_of(item) for item in about})) or "none"
        raise ConfigurationError(
            f"the ledger holds nothing about version {version} that verifies; it does about {known}",
            code="report.no_evidence",
        )
    last = mine[-1]
    return Subject("model", last.subject.name, last.digest, last.subject.version, identity.name)
