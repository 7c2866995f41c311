"""The governance policy: ``mlgov.yaml``, read strictly, every complaint with its line.

It says which gates, bounds, approvals and freshness apply to a model and a target. It decides nothing itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow_mlgov import catalogue
from airflow_mlgov.addresses import RegistryIdentity
from airflow_mlgov.durations import parse_duration, span
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.digests import hash_file
from airflow_mlgov.evidence.external import Rule
from airflow_mlgov.evidence.statements import Person
from airflow_mlgov.gates.force import MODES
from airflow_mlgov.gates.protocol import Local
from airflow_mlgov.governance.policy_mistakes import Examined
from airflow_mlgov.governance.weighing import is_of_the_decision
from airflow_mlgov.results import Bound, Severity
from airflow_mlgov.strict_files import read_yaml

_FOR_THE_DECISION = {"max_tries", "evaluation_data"}
"""Keys of a gate's section that are neither settings of the gate nor bounds."""


@dataclass(frozen=True)
class Waivers:
    """What a waiver of a target takes."""

    people: frozenset[str]
    """Who may sign one."""
    signers: int = 2
    max_age: timedelta = timedelta(days=30)
    """How far its end may lie ahead."""
    audit_within: timedelta = timedelta(days=14)
    max_stretch: float | None = None
    """How far from the measured value the bound may lie; None: as far as that value is from nothing."""

    def reach(self, observed: float) -> float:
        """How far from a measured value a waived bound may lie."""
        return abs(observed) if self.max_stretch is None else self.max_stretch


@dataclass(frozen=True)
class BreakGlass:
    """What an emergency promotion to a target takes."""

    people: frozenset[str]
    max_age: timedelta = timedelta(hours=24)
    audit_within: timedelta = timedelta(days=2)


@dataclass(frozen=True)
class Contact:
    """How a person is reached, or a group whose members Airflow knows."""

    name: str
    email: str | None = None
    slack: str | None = None
    """The id that Slack gives a member or a channel."""


@dataclass(frozen=True)
class Monitoring:
    """How a target is looked after once a version serves."""

    gates: tuple[str, ...]
    """What has to judge live data."""
    within: timedelta = timedelta(days=30)
    """How old the newest result of each may be."""
    grace: timedelta = timedelta(days=14)
    """How long after the first promotion to the target none is needed."""
    on_failure: str = "alert"
    """What a FAIL on live data does: ``alert`` tells, ``audit`` has an audit owed as well, ``rollback`` goes back."""
    audit_within: timedelta = timedelta(days=14)
    """When that audit is due."""


@dataclass(frozen=True)
class CopyTo:
    """The registered model into which a target's versions are copied."""

    model: str
    registry: str | None = None
    """Id of the Airflow connection to its registry, or the address; None: the registry of the version itself."""

    @classmethod
    def of(cls, said: str | Mapping[str, str]) -> CopyTo:
        """As the policy has it."""
        return cls(said) if isinstance(said, str) else cls(**said)


@dataclass(frozen=True)
class Target:
    """Where a model is promoted to and what that takes."""

    name: str
    requires: tuple[str, ...]
    """Gates whose newest evidence must be a fresh PASS."""
    stage: str | None = None
    alias: str | None = None
    copy_to: CopyTo | None = None
    """Where a version is copied to be promoted; its copies have the stage and the alias. None: it has them itself."""
    archive_previous: bool = False
    approvals: int = 0
    approvers: frozenset[str] = frozenset()
    """User names, groups resolved."""
    roles: frozenset[str] = frozenset()
    """Roles in Airflow whose holders may approve: who they are is told when somebody answers."""
    contacts: tuple[Contact, ...] = ()
    """How those are reached who may approve."""
    excluded: tuple[str, ...] = ()
    """``trainer`` and ``requester``: who may not approve."""
    rollback_required: bool = False
    waivers: Waivers | None = None
    """None: no waiver is ever accepted."""
    break_glass: BreakGlass | None = None
    """None: there is no way past the gates."""
    monitoring: Monitoring | None = None
    """None: nobody has to look at live data."""
    accounts: Mapping[str, str] = field(default_factory=dict)
    """User name -> the id that the account of this name must have."""

    def lets(self, who: Person, people: Collection[str]) -> bool:
        """Whether somebody is one of the people: by the very name, and the id if the policy says one."""
        return who.name in people and self.is_of_account(who)

    def is_of_account(self, who: Person) -> bool:
        """Whether somebody has the id that the policy gives this name; anybody has where it gives none."""
        return self.accounts.get(who.name, who.id) == who.id

    def lets_approve(self, who: Person, roles: Collection[str]) -> bool:
        """Whether somebody with these roles in Airflow may approve."""
        return self.lets(who, self.approvers) or (self.is_of_account(who) and not self.roles.isdisjoint(roles))

    @property
    def who_approves(self) -> tuple[str, ...]:
        """Those who may approve, in words."""
        return (*sorted(self.approvers), *(f"whoever has the role {role}" for role in sorted(self.roles)))


@dataclass(frozen=True)
class ExternalPolicy:
    """Which evidence of others counts under a name."""

    predicate: str
    signed_by: tuple[str, ...]
    """Ids of keys."""
    max_age: timedelta
    rules: Mapping[str, Rule]
    """Check -> what is taken from the predicate, and its bound."""


@dataclass(frozen=True)
class ModelPolicy:
    """What the policy says about one registered model."""

    name: str
    targets: Mapping[str, Target]
    gates: Mapping[str, Mapping[str, Any]]
    max_age: timedelta
    tier: str = "medium"
    owners: tuple[str, ...] = ()
    modes: Mapping[str, str] = field(default_factory=dict)
    """Rule of the decision, ``mlgov.custom/CODE`` or ``mlgov.promotion/CODE`` -> ``enforce``, ``warn``, ``observe``."""
    external: Mapping[str, ExternalPolicy] = field(default_factory=dict)
    """Name that a target may require -> the evidence of others that counts under it."""
    source: str = ""
    _lines: Mapping[tuple[str, ...], int] | None = None

    def target(self, name: str) -> Target:
        """One target.

        :raises ConfigurationError: the policy has no target of this name
        """
        if name not in self.targets:
            known = ", ".join(self.targets)
            raise ConfigurationError(
                f"unknown target {name!r} of {self.name!r}: {self.source} has {known}", code="policy.target_unknown"
            )
        return self.targets[name]

    def settings(self, gate: str) -> dict[str, Any]:
        """The gate's settings that are no bounds: columns, labels, groups, minimum counts."""
        section = self.gates.get(gate, {})
        known = _settings_of(gate)
        return {key: value for key, value in section.items() if known is None or key in known}

    def max_tries(self, gate: str) -> dict[str, int | None]:
        """``same_data`` and ``same_model``; None if there is no cap: see the schema."""
        caps = self.gates.get(gate, {}).get("max_tries", {})
        return {key: caps.get(key) for key in ("same_data", "same_model")}

    def evaluation_data(self, gate: str) -> dict[str, str] | None:
        """``digest``, ``table`` or ``query`` of the data that the gate has to judge a model on; None if any will do."""
        return self.gates.get(gate, {}).get("evaluation_data")

    def bounds(self, gate: str) -> dict[str, dict[str, Any]]:
        """Metric -> ``{min, max, min_change, max_change, severity}`` as written."""
        known = _settings_of(gate)
        section = self.gates.get(gate, {}) if known is not None else {}
        others = {*(known or ()), *_FOR_THE_DECISION}
        return {key: dict(value) for key, value in section.items() if key not in others}

    def where(self, *path: str) -> str:
        """``file:line`` of a part of this model's section, for messages."""
        line = (self._lines or {}).get(("models", self.name, *path))
        return f"{self.source}:{line}" if line else self.source


@dataclass(frozen=True)
class GovernancePolicy:
    """A whole policy file. Read it with :func:`load_policy`."""

    path: Path
    digest: str
    """SHA-256 of the file's bytes."""
    text: str
    document: Mapping[str, Any]
    lines: Mapping[tuple[str, ...], int]
    rules: Mapping[str, str] = field(default_factory=dict)
    """The organisation's own Rego: name as the policy writes it -> text."""

    @cached_property
    def models(self) -> dict[str, ModelPolicy]:
        """Every model the policy governs."""
        return {name: self._model(name, section) for name, section in self.document["models"].items()}

    @property
    def production(self) -> tuple[str, ...]:
        """The environments that are production."""
        return tuple(self.document.get("production_environments", ()))

    @cached_property
    def registry(self) -> RegistryIdentity | None:
        """Which registry it governs; None if it does not say."""
        name = self.document.get("registry_id")
        return RegistryIdentity.named(name, self.document.get("registry_urls", ())) if name else None

    def model(self, name: str) -> ModelPolicy:
        """One model's policy.

        :raises ConfigurationError: the policy does not govern it; unknown models are denied
        """
        if name not in self.models:
            known = ", ".join(self.models)
            raise ConfigurationError(
                f"the policy {self.path} does not govern the model {name!r}; it governs {known}",
                code="policy.model_unknown",
            )
        return self.models[name]

    def held_by(self, name: str) -> list[Target]:
        """The targets whose alias and stage a registered model holds: its own, or those that are copied into it."""
        return [
            goal
            for model in self.models.values()
            for goal in model.targets.values()
            if name == (goal.copy_to.model if goal.copy_to else model.name)
        ]

    def contacts(self, names: Iterable[str]) -> tuple[Contact, ...]:
        """How people are reached, sorted by name; by nothing but the name if the policy does not say."""
        people = self.document.get("people", {})
        return tuple(Contact(name, **people.get(name, {})) for name in sorted(names))

    def descriptor(self) -> dict[str, str]:
        """``uri`` and ``sha256``, as evidence names the policy."""
        return {"uri": self.path.name, "sha256": self.digest}

    def suite(self, model: str) -> Path | None:
        """The Great Expectations suite that the policy demands for a model's data, if it names one."""
        suite = self.model(model).gates.get("data_validation", {}).get("suite")
        return (self.path.parent / suite) if suite else None

    def suites(self, model: str) -> dict[str, str]:
        """Gate over data -> SHA-256 of the suite or schema that the policy demands of it. A ``schema.pbtxt`` that is
        the data gate's suite is TFDV's schema too: they are two engines for one file."""
        found = {}
        for gate, section in self.model(model).gates.items():
            for key in _held_against(gate):
                if section.get(key):
                    file = self.path.parent / section[key]
                    found[gate] = catalogue.load(gate).digest_of(file) or hash_file(file)
        suite = self.suite(model)
        if suite is not None and suite.suffix.lower() == ".pbtxt":
            found.setdefault("tfdv", found["data_validation"])
        return found

    def suite_digest(self, model: str) -> str | None:
        """SHA-256 of that suite."""
        return self.suites(model).get("data_validation")

    def _model(self, name: str, section: Mapping[str, Any]) -> ModelPolicy:
        defaults = self.document.get("defaults", {})
        max_age = section.get("evidence_max_age", defaults.get("evidence_max_age", "7d"))
        return ModelPolicy(
            name=name,
            targets={key: self._target(key, value) for key, value in section["targets"].items()},
            gates=self._gates(section),
            max_age=parse_duration(max_age),
            tier=section.get("tier", "medium"),
            owners=tuple(section.get("owners", ())),
            modes=self._modes(section),
            external={key: self._external(name, key, max_age) for key in section.get("external", {})},
            source=str(self.path),
            _lines=self.lines,
        )

    def _external(self, model: str, name: str, max_age: str) -> ExternalPolicy:
        said = self.document["models"][model]["external"][name]
        line = self.lines.get(("models", model, "external", name, "rules"))
        source = f"{self.path}:{line}" if line else str(self.path)
        rules = {
            check: Rule(
                rule["value"],
                Bound(rule.get("min"), rule.get("max"), source),
                Severity(rule.get("severity", Severity.CRITICAL)),
            )
            for check, rule in said["rules"].items()
        }
        age = parse_duration(said.get("max_age", max_age))
        return ExternalPolicy(said["predicate"], tuple(said["signed_by"]), age, rules)

    def _gates(self, section: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the model says of its gates, with the modes that its teams have for rules of packs; what the model says
        itself goes before."""
        gates = section.get("gates", {})
        modes = {rule: mode for rule, mode in self._teams(section).items() if not is_of_the_decision(rule)}
        if not modes or not gates.get("policy", {}).get("packages"):
            return gates  # type: ignore[no-any-return]
        own = gates["policy"]
        return {**gates, "policy": {**own, "modes": {**modes, **own.get("modes", {})}}}

    def _modes(self, section: Mapping[str, Any]) -> dict[str, str]:
        """The modes of rules of the decision, likewise."""
        of_teams = {rule: mode for rule, mode in self._teams(section).items() if is_of_the_decision(rule)}
        return {**of_teams, **section.get("modes", {})}

    def _teams(self, section: Mapping[str, Any]) -> dict[str, str]:
        """The modes that a model's teams have; of several teams the strictest counts."""
        teams, modes = self.document.get("teams", {}), dict[str, str]()
        for owner in section.get("owners", ()):
            for rule, mode in teams.get(owner, {}).get("modes", {}).items():
                modes[rule] = max(mode, modes.get(rule, mode), key=list(MODES).index)
        return modes

    def _target(self, name: str, section: Mapping[str, Any]) -> Target:
        approvals, waivers, glass = (section.get(key) for key in ("approvals", "waivers", "break_glass"))
        approvals = approvals or {}
        return Target(
            name=name,
            requires=tuple(section["requires"]),
            stage=section.get("stage"),
            alias=section.get("alias"),
            copy_to=CopyTo.of(section["copy_to"]) if "copy_to" in section else None,
            archive_previous=section.get("archive_previous", False),
            approvals=approvals.get("count", 0),
            approvers=self._people(approvals.get("from", ())),
            roles=frozenset(group["role"] for group in self._with_roles(approvals.get("from", ())).values()),
            contacts=(
                *self.contacts(self._people(approvals.get("from", ()))),
                *(
                    Contact(name, group.get("email"), group.get("slack"))
                    for name, group in self._with_roles(approvals.get("from", ())).items()
                ),
            ),
            excluded=tuple(approvals.get("not", ())),
            rollback_required=section.get("rollback") == "required",
            waivers=None if waivers is None else self._waivers(waivers, approvals),
            break_glass=None
            if glass is None
            else BreakGlass(
                self._people(glass["from"]),
                span(glass.get("max_hours", 24), "hours"),
                parse_duration(glass.get("audit_within", "2d")),
            ),
            monitoring=_monitoring(section.get("monitoring")),
            accounts=self.document.get("accounts", {}),
        )

    def _waivers(self, section: Mapping[str, Any], approvals: Mapping[str, Any]) -> Waivers:
        return Waivers(
            self._people(section.get("from", approvals.get("from", ()))),
            section.get("signers", 2),
            span(section.get("max_days", 30), "days"),
            parse_duration(section.get("audit_within", "14d")),
            section.get("max_stretch"),
        )

    def _people(self, names: Iterable[str]) -> frozenset[str]:
        """User names, groups resolved; a name that is not a group's is a person's. Nobody is known of a role."""
        groups = self.document.get("groups", {})
        listed = (groups.get(name, [name]) for name in names)
        return frozenset(person for members in listed if isinstance(members, list) for person in members)

    def _with_roles(self, names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """The groups among some names whose members Airflow knows, by their role."""
        groups = self.document.get("groups", {})
        return {name: groups[name] for name in names if isinstance(groups.get(name), Mapping)}


def _monitoring(section: Mapping[str, Any] | None) -> Monitoring | None:
    if section is None:
        return None
    return Monitoring(
        tuple(section["gates"]),
        parse_duration(section.get("within", "30d")),
        parse_duration(section.get("grace", "14d")),
        section.get("on_failure", "alert"),
        parse_duration(section.get("audit_within", "14d")),
    )


def load_policy(path: str | Path) -> GovernancePolicy:
    """Read and check a policy file.

    :raises ConfigurationError: unreadable, not YAML, a key twice, anything the JSON Schema
        (``airflow_mlgov/governance/policy.schema.json``) does not allow (the message names file and line), or everybody
        may write the file, or replace it in its folder
    :raises AccessError: the file system refuses to read it
    """
    read = Examined(read_yaml(path, "policy"))
    first = next(read.mistakes(), None)
    if first is not None:
        raise first.error
    found = read.document
    return GovernancePolicy(Path(path), found.sha256, found.raw.decode(), found.content, found.lines, read.rules)


def _held_against(gate: str) -> Iterable[str]:
    """The settings of a gate that name a file of rules, which the policy and a caller may both say."""
    marks = catalogue.load(gate).Settings.marks(Local) if gate in catalogue.names() else {}
    return [name for name, mark in marks.items() if mark.in_policy]


def _settings_of(gate: str) -> Collection[str] | None:
    """The names of a gate's settings; None if no gate of this name is installed."""
    return catalogue.load(gate).Settings.model_fields if gate in catalogue.names() else None
