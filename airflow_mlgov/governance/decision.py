"""May this model go to this target? Rego over verified evidence, policy and request; whatever goes wrong is a no.

Reads no task state, no XCom and no MLflow tag: only evidence that ``evidence.verification`` has verified.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from airflow_mlgov.catalogue import load_all
from airflow_mlgov.evidence.digests import hash_json
from airflow_mlgov.evidence.external import payload_sha256
from airflow_mlgov.evidence.statements import DecisionDocument, GateStatement, identity
from airflow_mlgov.evidence.statements.common import nanoseconds
from airflow_mlgov.evidence.verification import Evidence, Unverified, only
from airflow_mlgov.gates.force import MODES
from airflow_mlgov.gates.protocol import Gate, Strict
from airflow_mlgov.governance.judgement import WHAT_IF, as_seen, failing, judged
from airflow_mlgov.governance.policy import GovernancePolicy, ModelPolicy, Monitoring
from airflow_mlgov.governance.reasons import shipped_rules
from airflow_mlgov.governance.superseded import as_spans, superseded
from airflow_mlgov.governance.weighing import OWN, Weighed, own_forces, shipped_forces, weigh
from airflow_mlgov.rego.embedded import embedded
from airflow_mlgov.rego.protocol import Bundle, Outline, PolicyEngine, RulesError, Vetting
from airflow_mlgov.results import Subject

SHIPPED = "/airflow_mlgov/promotion.rego"
"""How the rules of this package are called in a policy bundle; the policy's own files cannot begin with a slash."""
_PACKAGE = "data.mlgov.promotion"
_DENIED = f"{_PACKAGE}.denied"
"""The set that every shipped rule adds to."""
_ASKED = ("deny", "needed", "waived", "excused", "broken_by")
_OWN = "data.mlgov.custom.deny"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Request:
    """Who wants what moved where."""

    model: Subject
    target: str
    environment: str
    requesters: tuple[str, ...] = ()
    """User names that asked for it: who triggered the run."""
    champion: str | None = None
    """The version that holds the target now, if it is another one: comparisons with it may not be left out."""
    champion_since: int | None = None
    """Ledger number of its promotion: a comparison made before was with somebody else."""
    withdrawn_at: int | None = None
    """Ledger number of the last rollback from this version: what was measured before does not bring it back."""
    rollback_problem: str | None = None
    """Why no earlier version would do to go back to; None if one would, or if nothing was promoted yet."""
    live: tuple[Mapping[str, Any], ...] = ()
    """The newest result of each gate on live data of whoever held the target: ``gate``, ``verdict``, ``version``,
    ``issued_at_ns``, ``seq``."""
    serving_since: datetime | None = None
    """When a version was first promoted to the target."""
    obligations: tuple[Mapping[str, Any], ...] = ()
    """The audits that are owed for these bytes: ``id``, ``kind``, ``gate``, ``check``, ``state``, ``target``,
    ``promotion``, ``audited``; ``late``: whether its date is past without a passed audit; and ``broken``: whether it
    has failed or was not done in time."""
    promises: tuple[Mapping[str, Any], ...] = ()
    """The audits that exceptions of other bytes at the target still owe: ``kind``, ``gate``, ``check``, ``version``,
    ``promotion``, ``due``; and ``late``: whether that is past."""


@dataclass(frozen=True)
class Decision:
    """The answer, with all that it rests on."""

    allowed: bool
    reasons: tuple[tuple[str, str], ...]
    """``(code, message)`` for each thing that is missing or wrong; empty if it is allowed."""
    relied_on: tuple[Evidence, ...]
    needed: tuple[str, ...]
    """SHA-256 of the newest envelope of each required gate, and of each waiver's: what an approver has to be shown."""
    waived: tuple[Mapping[str, Any], ...]
    """``gate``, ``check``, ``observed``, ``waiver`` (SHA-256 of its terms) of each failed check that one covers."""
    excused: tuple[tuple[str, str], ...]
    """``(code, message)`` of each thing that a break-glass overrides."""
    broken_by: tuple[str, ...]
    """SHA-256 of the envelope of each break-glass that is in force."""
    warned: tuple[tuple[str, str], ...]
    """``(code, message)`` of each rule that would deny, and only warns."""
    input: Mapping[str, Any]
    bundle: Mapping[str, str]
    """Name -> text of the policy file and of every rule that was evaluated."""

    @property
    def bundle_digest(self) -> str:
        """Names policy and rules together, see :func:`bundle_digest`."""
        return bundle_digest(self.bundle)

    @property
    def document(self) -> DecisionDocument:
        """What a replay needs."""
        return DecisionDocument(self.input, hash_json(self.input), self.bundle_digest)


def decide(
    request: Request,
    policy: GovernancePolicy,
    evidence: Sequence[Evidence],
    unverified: Sequence[Unverified] = (),
    now: datetime | None = None,
    history: Sequence[Evidence] = (),
    engine: PolicyEngine | None = None,
) -> Decision:
    """Evaluate ``data.mlgov.promotion.deny``, and ``data.mlgov.custom.deny`` if the policy names rules of its own.

    Undefined, no rules, an input that is not what the rules are written for, an engine error, a panic or a time-out:
    deny, with the reason ``engine.error``.

    :param evidence: all that verifies about the model and the data it was made from
    :param history: all that verifies about other versions of the model, to count how often the same data was tried
    :param engine: what evaluates the rules; the embedded one if omitted
    :raises ConfigurationError: the policy does not govern the model or has no such target
    :raises DependencyError: the engine is a server, and it is down
    """
    # an organisation's own rules may read whatever there is
    left_out = set() if policy.rules else superseded(evidence)
    kept = [item for item in evidence if item.seq not in left_out]
    tried = [*history, *evidence]
    document = decision_input(request, policy, kept, unverified, now or datetime.now(UTC), tried)
    if left_out:
        document["superseded"] = {"count": len(left_out), "entries": as_spans(left_out)}
    bundle = {policy.path.name: policy.text, SHIPPED: shipped_rules(), **policy.rules}
    answer = apply_rules(bundle, document, engine, schema=input_schema())
    wanted = set(policy.model(request.model.name).target(request.target).requires)
    people = ("provenance", "approval", "waiver", "emergency")
    relied = [item for item in kept if item.kind in people or item.gate in wanted]
    return Decision(
        not answer.reasons,
        answer.reasons,
        tuple(relied),
        answer.needed,
        answer.waived,
        answer.excused,
        answer.broken_by,
        answer.warned,
        document,
        bundle,
    )


def bundle_digest(bundle: Mapping[str, str]) -> str:
    """SHA-256 over the names and the SHA-256 of each file of a policy bundle."""
    from hashlib import sha256

    return hash_json({name: sha256(text.encode()).hexdigest() for name, text in bundle.items()})


@dataclass(frozen=True)
class Answer:
    """What the rules say; the fields are those of :class:`Decision`."""

    reasons: tuple[tuple[str, str], ...]
    needed: tuple[str, ...] = ()
    waived: tuple[Mapping[str, Any], ...] = ()
    excused: tuple[tuple[str, str], ...] = ()
    broken_by: tuple[str, ...] = ()
    warned: tuple[tuple[str, str], ...] = ()


@cache
def input_schema() -> Mapping[str, Any]:
    """The JSON Schema of what the rules are asked about. Not to be changed by who reads it."""
    text = (files("airflow_mlgov.governance") / "decision_input.schema.json").read_text(encoding="utf-8")
    schema: Mapping[str, Any] = json.loads(text)
    return schema


def apply_rules(
    bundle: Mapping[str, str],
    document: Mapping[str, Any],
    engine: PolicyEngine | None = None,
    *,
    schema: Mapping[str, Any] | None = None,
    vetting: Vetting = "whole",
) -> Answer:
    """Evaluate a bundle over an input.

    The organisation's own rules are evaluated apart from the shipped ones, so that they can add a reason and never take
    one away. Which reasons only warn is said by the policy's modes in the input, and by METADATA; an input of before
    there were modes has none, and all denies.

    :param bundle: as :attr:`Decision.bundle`
    :param engine: what evaluates; the embedded one if omitted
    :param schema: what the input must be
    :param vetting: ``recorded`` for rules of the past
    :raises DependencyError: the engine is a server, and it is down
    """
    engine = engine or embedded()
    rules = {name: text for name, text in bundle.items() if name.endswith(".rego")}
    shipped = {SHIPPED: rules.pop(SHIPPED, "")}
    asked = [f"{_PACKAGE}.{rule}" for rule in _ASKED]
    try:
        alone = Bundle(shipped, schema=schema, vetting=vetting)
        denied, needed, waived, excused, broken_by = engine.evaluate(alone, asked, document, counted=_DENIED)
        reasons = _reasons(denied, "")
        if rules:
            together = Bundle({**shipped, **rules}, vetting=vetting)
            _require_own(engine.outline(together), vetting)
            reasons |= _reasons(engine.evaluate(together, [_OWN], document)[0], OWN)
        weighed = Weighed(frozenset(reasons), frozenset())
        modes = _modes(document)
        if reasons and modes is not None:
            forces = shipped_forces(shipped[SHIPPED])
            if rules:
                forces = {**forces, **own_forces(rules, engine.outline(together))}
            weighed = weigh(reasons, forces, modes, _EPOCH + timedelta(microseconds=document["now_ns"] // 1000))
        return Answer(
            tuple(sorted(weighed.denying)),
            tuple(sorted(needed)),
            tuple(waived),
            tuple(sorted(_reasons(excused, ""))),
            tuple(sorted(broken_by)),
            tuple(sorted(weighed.warned)),
        )
    except (RulesError, KeyError, TypeError, ValueError, OverflowError) as error:
        return Answer((("engine.error", f"the rules could not be evaluated: {error}"),))


def _modes(document: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The modes that an input has; None if it is one of before there were any.

    :raises ValueError: they are none
    """
    policy = document.get("policy")
    if not isinstance(policy, Mapping) or "modes" not in policy:
        return None
    modes = policy["modes"]
    if not isinstance(modes, Mapping) or any(mode not in list(MODES) for mode in modes.values()):
        raise ValueError("the policy's modes are none")
    return modes


def _require_own(outline: Outline, vetting: Vetting) -> None:
    """Refuse rules of one's own that evaluate to nothing, as an empty package does.

    :raises RulesError: none of them is evaluated
    """
    heads = [head for head in outline.heads if head.path == _OWN]
    evaluated = [head for head in heads if head.kind == "set" or (head.kind == "value" and head.has_body)]
    if vetting == "whole" and heads and not evaluated:
        raise RulesError(f"no rule adds to {_OWN}: the rules would evaluate to nothing", code="rego.empty")


def _reasons(denied: Any, prefix: str) -> set[tuple[str, str]]:
    if not isinstance(denied, list):
        raise RulesError(f"deny is not a set but {denied!r}", code="rego.answer")
    for item in denied:
        if not isinstance(item, Mapping) or not all(isinstance(item.get(key), str) for key in ("code", "message")):
            raise RulesError(f"a reason needs a code and a message, both strings, and is {item!r}", code="rego.answer")
    return {(prefix + item["code"], item["message"]) for item in denied}


def decision_input(
    request: Request,
    policy: GovernancePolicy,
    evidence: Sequence[Evidence],
    unverified: Sequence[Unverified],
    now: datetime,
    tried: Sequence[Evidence] = (),
) -> dict[str, Any]:
    """The JSON document that the rules see. Times are nanoseconds since 1970 and RFC 3339.

    :param evidence: what the rules read
    :param tried: all results of all versions, to count how often the same data was tried
    """
    target = policy.model(request.model.name).target(request.target)
    said = policy_input(policy, request.model.name, request.target)
    return {
        "now": now.isoformat(),
        "now_ns": nanoseconds(now),
        "request": {
            "model": request.model.name,
            "version": request.model.version,
            "digest": request.model.digest,
            "registry": request.model.registry,
            "environment": request.environment,
            "target": request.target,
            "requesters": sorted(map(identity, request.requesters)),
            "champion": request.champion,
            "champion_since": request.champion_since,
            "withdrawn_at": request.withdrawn_at,
            "rollback_problem": request.rollback_problem,
            **({} if target.monitoring is None else _monitored(request)),
        },
        "policy": said,
        "evidence": with_what_ifs((as_seen(item) for item in evidence), said, request.champion),
        **({"external": _first_added([*tried, *evidence])} if "external" in said else {}),
        "obligations": [dict(item) for item in request.obligations],
        **({"promises": [dict(item) for item in request.promises]} if request.promises else {}),
        "tries": [counted for gate in target.requires for counted in count_tries(gate, request, tried)],
        "unverified": [{"seq": item.seq, "kind": item.kind, "problem": item.problem} for item in unverified],
    }


def _monitored(request: Request) -> dict[str, Any]:
    """What is known of live data, as the rules see it."""
    since = request.serving_since
    return {
        "live": [dict(item) for item in request.live],
        "serving_since_ns": None if since is None else nanoseconds(since),
    }


def with_what_ifs(
    seen: Iterable[Mapping[str, Any]], policy: Mapping[str, Any], champion: str | None
) -> list[dict[str, Any]]:
    """Evidence as the rules see it, each what-if with the checks that fail under the policy."""
    found = []
    for item in seen:
        is_what_if = item["kind"] == "gate" and item.get("purpose") == WHAT_IF
        speaks = is_what_if and judged(item, policy, champion) is not None
        found.append({**item, "failing": failing(item, policy, champion) if speaks else []} if is_what_if else {**item})
    return found


def policy_input(policy: GovernancePolicy, name: str, target_name: str) -> dict[str, Any]:
    """What the policy says about a model and a target, as the rules see it."""
    model, target = policy.model(name), policy.model(name).target(target_name)
    gates = load_all()
    measuring = [gate for gate in gates if gate.metrics and gate.name in model.gates]
    return {
        "sha256": policy.digest,
        "tier": model.tier,
        "modes": dict(model.modes),
        "requires": list(target.requires),
        "gates_over_data": [gate.name for gate in gates if gate.about == "dataset"],
        "listed_as": {gate.name: gate.listed_as for gate in gates if gate.about == "dataset"},
        "max_age_ns": _span_ns(model.max_age),
        "rollback_required": target.rollback_required,
        "suites": policy.suites(name),
        "settings": [setting for gate in gates for setting in _settings(model, gate, target.requires)],
        "fixed_settings": [setting for gate in gates for setting in _fixed(model, gate)],
        "dataset_checks": model.gates.get("data_validation", {}).get("checks", {}),
        "bounds": [*(bound for gate in measuring for bound in _bounds(model, gate)), *_bounds_of_others(model)],
        "max_tries": {gate.name: model.max_tries(gate.name) for gate in measuring if gate.name in target.requires},
        "evaluation_data": {
            gate.name: said for gate in gates if (said := model.evaluation_data(gate.name)) is not None
        },
        **({"external": _external(model)} if model.external else {}),
        "accounts": dict(target.accounts),
        "approvals": {
            "count": target.approvals,
            "from": sorted(target.approvers),
            "not": list(target.excluded),
            **({"roles": sorted(target.roles)} if target.roles else {}),
        },
        "waivers": target.waivers
        and {
            "from": sorted(target.waivers.people),
            "signers": target.waivers.signers,
            "max_ns": _span_ns(target.waivers.max_age),
            "audit_within_ns": _span_ns(target.waivers.audit_within),
            "max_stretch": target.waivers.max_stretch,
        },
        "break_glass": target.break_glass
        and {
            "from": sorted(target.break_glass.people),
            "max_ns": _span_ns(target.break_glass.max_age),
            "audit_within_ns": _span_ns(target.break_glass.audit_within),
        },
        **({} if target.monitoring is None else {"monitoring": _watch(target.monitoring)}),
    }


def _watch(watch: Monitoring) -> dict[str, Any]:
    return {"gates": list(watch.gates), "within_ns": _span_ns(watch.within), "grace_ns": _span_ns(watch.grace)}


def count_tries(gate: str, request: Request, evidence: Sequence[Evidence]) -> list[dict[str, Any]]:
    """How often a gate has judged versions of this model on the evaluation data of its newest result; nothing if it
    has judged nothing yet, or judges no model.

    ``runs`` counts results, ``models`` different artifacts among them, ``datasets`` the different evaluation data that
    this very artifact was judged on.
    """
    judged = {
        item.seq: item
        for item in only(evidence, GateStatement)
        if item.gate == gate
        and item.subject.name == request.model.name
        and item.subject.registry == request.model.registry
        and item.environment == request.environment
    }
    mine = [item for _, item in sorted(judged.items()) if item.digest == request.model.digest]
    if not mine:
        return []
    data = mine[-1].statement.evaluation_data
    same = [item for item in judged.values() if item.statement.evaluation_data == data]
    return [
        {
            "gate": gate,
            "data": data,
            "runs": len(same),
            "models": len({item.digest for item in same}),
            "datasets": len({item.statement.evaluation_data for item in mine}),
        }
    ]


def _bounds(model: ModelPolicy, gate: Gate[Any]) -> list[dict[str, Any]]:
    """Each bound with the name of the check that must have been held against it."""
    found = []
    settings = model.settings(gate.name)
    for metric, bound in model.bounds(gate.name).items():
        low, high = bound.get("min", bound.get("min_change")), bound.get("max", bound.get("max_change"))
        text = " and ".join(f"{sign} {end:g}" for sign, end in ((">=", low), ("<=", high)) if end is not None)
        for name in gate.check_names(metric, settings):
            found.append(
                {
                    "gate": gate.name,
                    "check": name,
                    "min": low,
                    "max": high,
                    "relative": metric.endswith("_vs_champion"),
                    "severity": bound.get("severity", "critical"),
                    "text": text,
                }
            )
    return found


def _bounds_of_others(model: ModelPolicy) -> list[dict[str, Any]]:
    """The bounds of what is taken from evidence of others."""
    return [
        {
            "gate": gate,
            "check": check,
            "min": rule.bound.min,
            "max": rule.bound.max,
            "relative": False,
            "severity": str(rule.severity),
            "text": str(rule.bound),
        }
        for gate, said in model.external.items()
        for check, rule in said.rules.items()
    ]


def _external(model: ModelPolicy) -> dict[str, Any]:
    """Which evidence of others counts, by the name that a target requires."""
    return {
        name: {
            "predicate": said.predicate,
            "signed_by": sorted(said.signed_by),
            "max_age_ns": _span_ns(said.max_age),
            "pointers": {check: rule.pointer for check, rule in said.rules.items()},
        }
        for name, said in model.external.items()
    }


def _first_added(evidence: Sequence[Evidence]) -> dict[str, int]:
    """Envelope of somebody else's -> when what it holds was first added: to add it again makes it no younger, nor does
    an envelope that writes the same in another way."""
    first: dict[str, int] = {}
    held: dict[str, str] = {}
    for item in only(evidence, GateStatement):
        seen = item.statement.as_input()
        if "external" in seen:
            payload = payload_sha256(item.statement.result)
            held[seen["external"]["sha256"]] = payload
            first[payload] = min(seen["issued_at_ns"], first.get(payload, seen["issued_at_ns"]))
    return {envelope: first[payload] for envelope, payload in held.items()}


def _settings(model: ModelPolicy, gate: Gate[Any], required: Sequence[str]) -> list[dict[str, Any]]:
    """Each setting that the policy states, or always holds, and that evidence may not be looser than."""
    stated = {**(gate.always if gate.name in required else {}), **model.settings(gate.name)}
    return [
        {
            "gate": gate.name,
            "name": name,
            "value": mark.rank(stated[name]),
            "stricter": "more" if mark.larger_is == "stricter" else "less",
            "text": stated[name],
        }
        for name, mark in gate.Settings.marks(Strict).items()
        if name in stated and mark.larger_is != "same"
    ]


def _fixed(model: ModelPolicy, gate: Gate[Any]) -> list[dict[str, Any]]:
    """Each setting that must be what the policy says, or nothing if it says nothing."""
    stated = model.settings(gate.name)
    return [
        {"gate": gate.name, "name": name, "value": mark.rank(stated.get(name))}
        for name, mark in gate.Settings.marks(Strict).items()
        if mark.larger_is == "same" and gate.name in model.gates
    ]


def _span_ns(span: timedelta) -> int:
    return int(span.total_seconds()) * 10**9
