"""``mlgov promote``, ``rollback``, ``reconcile``, ``verify`` and ``replay``: the same decision as the operators'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from airflow_mlgov.cli.common import (
    AsJson,
    Checkpoints,
    DecisionLog,
    Environment,
    LedgerUrl,
    PolicyFile,
    RegistryUri,
    SignWith,
    TrustFile,
    open_checkpoints,
    open_desk,
    open_registry,
    print_json,
    quorum_of,
    records_at,
    say,
    who_asks,
)
from airflow_mlgov.cli.configured import ledger_at, required
from airflow_mlgov.cli.progress import progress
from airflow_mlgov.cli.values import path, whole
from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.evidence.verification import Records
    from airflow_mlgov.governance.policy import GovernancePolicy
    from airflow_mlgov.governance.replay import Replay
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
    from airflow_mlgov.release.explanation import Explanation
    from airflow_mlgov.release.impact import Affected
    from airflow_mlgov.release.promotion import Promotion
    from airflow_mlgov.results import Subject

Target = Annotated[str, typer.Option("--target", help="A target of the model in the policy.")]


def promote(
    model: Annotated[str, typer.Argument(help="models:/name/7")],
    target: Target,
    ledger: LedgerUrl,
    trust: TrustFile,
    policy: PolicyFile,
    sign: SignWith,
    registry: RegistryUri = None,
    environment: Environment = None,
    requester: Annotated[str | None, typer.Option(help="Who asks; if omitted, the user of this shell.")] = None,
    decision_log: DecisionLog = None,
    as_json: AsJson = False,
) -> None:
    """Verify the evidence, decide, move stage and alias, read back, sign."""
    from airflow_mlgov.release.promotion import promote

    desk = open_desk(
        "promote",
        registry=registry,
        ledger=ledger,
        trust=trust,
        policy=policy,
        sign=sign,
        duty="promotion",
        environment=environment,
        decision_log=decision_log,
    )
    with progress("the bytes are hashed, the evidence is verified"):
        done = promote(desk, desk.registry.resolve(model), target, requesters=[requester or who_asks()])
    _tell(done, f"promoted to {target!r}", as_json)


def rollback(
    name: Annotated[str, typer.Argument(help="Name of the registered model.")],
    target: Target,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is signed.")],
    ledger: LedgerUrl,
    trust: TrustFile,
    policy: PolicyFile,
    sign: SignWith,
    registry: RegistryUri = None,
    version: Annotated[str | None, typer.Option(help="To this version; if omitted, the newest that holds.")] = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Back to the previous version whose artifact still hashes and whose evidence still verifies."""
    from airflow_mlgov.release.rollback import roll_back

    desk = open_desk(
        "rollback", registry=registry, ledger=ledger, trust=trust, policy=policy, sign=sign, duty="promotion",
        environment=environment,
    )  # fmt: skip
    done = roll_back(desk, name, target, reason=reason, to=version)
    _tell(done, f"rolled back to at {target!r}", as_json)


def reconcile(
    ledger: LedgerUrl,
    trust: TrustFile,
    policy: PolicyFile,
    sign: SignWith,
    registry: RegistryUri = None,
    revert: Annotated[bool, typer.Option("--revert", help="Put back what the ledger says.")] = False,
    model: Annotated[list[str] | None, typer.Option("--model", help="Only this model. Repeatable.")] = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Hold the registry against the ledger; exit code 1 while something is unsettled."""
    from airflow_mlgov.release.reconciliation import reconcile, render_incidents

    desk = open_desk(
        "reconcile", registry=registry, ledger=ledger, trust=trust, policy=policy, sign=sign, duty="reconcile",
        environment=environment,
    )  # fmt: skip
    result = reconcile(desk, revert=revert, models=model)
    if as_json:
        print_json(result.as_dict())
    else:
        say(*render_incidents(result).split("\n"))
    raise typer.Exit(1 if result.unsettled else 0)


def verify(
    trust: TrustFile,
    model: Annotated[str | None, typer.Argument(help="models:/name@alias or models:/name/7")] = None,
    ledger: Annotated[
        str | None,
        typer.Option("--ledger", help="URL or conn:ID of the ledger; MLGOV_LEDGER or [mlgov] ledger if omitted."),
    ] = None,
    pack: Annotated[
        Path | None,
        typer.Option("--pack", parser=path, help="An evidence pack instead of model and ledger."),
    ] = None,
    artifact: Annotated[
        Path | None,
        typer.Option("--artifact", parser=path, help="With --pack: the model's files, to hash."),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(parser=path, help="Decide again under this policy, mlgov.yaml.")
    ] = None,
    registry: RegistryUri = None,
    checkpoint: Checkpoints = None,
    environment: Annotated[
        str | None, typer.Option(help="Environment it is to serve in; needed where the model was promoted in several.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Target it is to serve as.")] = None,
    into: Annotated[
        Path | None,
        typer.Option(parser=path, help="Leave the verified files in this folder, empty or absent; nothing if refused."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """May this artifact be served, and why? Asks registry, ledger and trust root, or a pack alone; never Airflow."""
    from airflow_mlgov.evidence.checkpoints import heads_at
    from airflow_mlgov.evidence.pack import open_pack
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.release.explanation import explain_bytes
    from airflow_mlgov.release.leaving import leave_verified

    keys, again, quorum = TrustRoot.load(trust), _policy(policy), quorum_of(None, None)
    marks = open_checkpoints(checkpoint, keys, quorum) if pack is None else heads_at(checkpoint or (), keys, quorum)
    notes: list[str] = []

    def explained_here(subject: Subject, records: Records, goal: str | None = target) -> Explanation:
        return explain_bytes(
            subject, records, keys, policy=again, environment=environment, target=goal, checkpoints=marks,
            place=_place_of(model) if model else None,
        )  # fmt: skip

    if pack is not None and model is None and ledger is None and into is None:
        opened = open_pack(pack, keys)
        subject, notes = opened.subject(artifact), opened.notes(artifact)
        answer = explained_here(subject, opened)
        answer = replace(answer, facts=(*answer.facts, *opened.facts()))
    elif pack is None and model and artifact is None:
        client, records = _registry(registry, model, again), records_at(ledger or required("ledger")(), keys)
        version = client.resolve(model)
        goal = target or _target_at(_place_of(model), version.name, again)
        with progress("the bytes are hashed, the evidence is verified"):
            if into is None:
                answer = explained_here(client.subject(version), records, goal)
            else:
                answer = leave_verified(client, version, into, lambda subject: explained_here(subject, records, goal))
    else:
        raise ConfigurationError(
            "verify takes a model with --ledger (and --into), or --pack (with --artifact) alone", code="option.missing"
        )
    if as_json:
        document = {"allowed": answer.allowed, "facts": answer.facts, "reasons": answer.reasons, "notes": notes}
        print_json(document)
    else:
        say(*explained(model or str(pack), answer), *(f"  ! {note}" for note in notes))
    raise typer.Exit(0 if answer.allowed else 1)


def replay(
    ledger: LedgerUrl,
    trust: TrustFile,
    policy: Annotated[
        Path | None, typer.Option("--policy", parser=path, help="Decide under this policy instead.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Only what concerns this registered model.")] = None,
    decision: Annotated[int | None, typer.Option("--decision", parser=whole, help="Only this ledger entry.")] = None,
    pipelines: Annotated[
        list[str] | None,
        typer.Option("--input", help="With --policy: pipelines besides those it names. Repeatable."),
    ] = None,
    dags: Annotated[
        list[str] | None,
        typer.Option(
            "--dags",
            help="With --policy: DAG files or folders; Airflow parses them, in a child process without credentials. "
            "Repeatable.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make every decision again: the same answer years later; or what another policy would change, before it is merged.

    Without --policy every decision is replayed from its own input, policy and rules, and must come out the same. With
    it, what is promoted now, every other decision, and the pipelines and DAGs that are known are judged under that
    policy: what would change, for which owners, and which waivers cover it. Exit code 1 if what is promoted now, a
    pipeline, a DAG, or a decision that allowed would be denied.
    """
    from airflow_mlgov.evidence.signing import TrustRoot

    keys = TrustRoot.load(trust)
    if policy is not None:
        from airflow_mlgov.governance.policy import load_policy

        records: Records = ledger_at(ledger, create=False)  # it is about the evidence of all pipelines
        _tell_impact(records, keys, load_policy(policy), model, decision, pipelines or (), dags or (), as_json)
    if pipelines or dags:
        option = "--input" if pipelines else "--dags"
        raise ConfigurationError(f"{option} is judged under a policy: pass --policy too", code="option.missing")
    from airflow_mlgov.release.explanation import replay_all

    records = records_at(ledger, keys) if model else ledger_at(ledger, create=False)
    found = replay_all(records, keys, model=model, seq=decision)
    if not found:
        raise ConfigurationError("the ledger holds no such decision", code="decision.unknown")
    if as_json:
        print_json([_replayed(item) for item in found])
    else:
        for item in found:
            say(*_replayed_lines(item))
    raise typer.Exit(0 if all(item.same for item in found) else 1)


def _tell_impact(
    records: Records,
    trust: TrustRoot,
    policy: GovernancePolicy,
    model: str | None,
    seq: int | None,
    pipelines: Sequence[str],
    dags: Sequence[str],
    as_json: bool,
) -> NoReturn:
    """What a policy would change; ends with the exit code that says whether it would deny."""
    from airflow_mlgov.gates.policy.dags import read_dags
    from airflow_mlgov.release.impact import denies, impact

    parsed = read_dags(dags) if dags else None
    found = impact(records, trust, policy, model=model, seq=seq, pipelines=pipelines, dags=parsed)
    if not found and not dags:
        raise ConfigurationError("the ledger holds no such decision, and no pipeline is known", code="decision.unknown")
    if as_json:
        print_json(
            {
                "policy": policy.descriptor(),
                "denies": denies(found),
                **({"dags": len(parsed.manifests)} if parsed else {}),
                "found": [item.as_dict() for item in found],
            }
        )
    else:
        for item in found:
            say(*_affected_lines(item))
        denied, changed = sum(item.denied for item in found), sum(item.changes for item in found)
        if parsed:
            say(f"{len(parsed.manifests)} DAGs; those that register, promote and deploy nothing are not judged")
        say(f"{len(found)} judged: {changed} would change, {denied} would be denied")
    raise typer.Exit(1 if denies(found) else 0)


def _affected_lines(item: Affected) -> list[str]:
    """One decision or pipeline; why it would be denied is shown if that is new, or is about what is in force now."""
    then = "never judged" if item.then is None else "deny then" if item.then else "allow then"
    now = "deny under this policy" if item.denied else "allow under this policy"
    owners = f" (owners: {', '.join(item.owners)})" if item.owners and item.changes else ""
    lines = [f"{item.kind} {item.name}, {item.where}: {then}, {now}{owners}"]
    if item.changes or item.kind != "decision":
        lines += [f"  - {code}: {message}" for code, message in item.now]
    lines += [f"  warning: {code}: {message}" for code, message in item.warned]
    return lines + [f"  covered by the waiver {sha256[:12]}" for sha256 in item.waivers]


def _registry(where: str | None, model: str, policy: GovernancePolicy | None) -> MlflowRegistry:
    """The registry; the policy's, unless the model is one that copies are put into."""
    from airflow_mlgov.registry.protocol import name_in

    copies = policy is not None and any(goal.copy_to for goal in policy.held_by(name_in(model)))
    return open_registry(where, None if copies else policy)


def _policy(path: Path | None) -> GovernancePolicy | None:
    if path is None:
        return None
    from airflow_mlgov.governance.policy import load_policy

    return load_policy(path)


def explained(model: str, answer: Explanation) -> list[str]:
    """The explanation as lines for a terminal."""
    head = f"{model} ({answer.model}): " + ("may serve, because" if answer.allowed else "MAY NOT SERVE")
    why = [f"  + {fact}" for fact in answer.facts] + [f"  - {code}: {message}" for code, message in answer.reasons]
    return [head, *why]


def _place_of(reference: str) -> tuple[str, str] | None:
    """``alias`` or ``stage`` and its name, if a reference asks for what is there and not for a version."""
    if "@" in reference:
        return "alias", reference.rpartition("@")[2]
    if reference.startswith("runs:/"):
        return None
    name = reference.removeprefix("models:/").rpartition("/")[2]
    return ("stage", name) if "/" in reference.removeprefix("models:/") and name.casefold() in _STAGES else None


_STAGES = frozenset({"none", "staging", "production", "archived"})


def _target_at(place: tuple[str, str] | None, name: str, policy: GovernancePolicy | None) -> str | None:
    """The target of an alias or a stage: a version that was promoted to a lesser one may not serve there."""
    if policy is None or place is None:
        return None
    kind, wanted = place
    goals = policy.held_by(name) or policy.model(name).targets.values()
    held = ((goal.name, goal.alias if kind == "alias" else goal.stage) for goal in goals)
    return next((goal for goal, at in held if (at or "").casefold() == wanted.casefold()), None)


def _tell(done: Promotion, what: str, as_json: bool) -> None:
    if as_json:
        print_json(done.as_dict())
        return
    moved = ", ".join(f"{word} {item['to']} (was {item['previous'] or 'nobody'})" for word, item in done.moved.items())
    say(f"{done.model} {what}: {moved or 'it was there already'}; {done.decision}, {done.record}")
    for code, message in done.warned:
        say(f"  warning: {code}: {message}")


def _replayed(item: Replay) -> dict[str, object]:
    subject = item.decision.subject
    return {
        "decision": item.decision.reference,
        "model": subject.name,
        "version": subject.version,
        "target": item.decision.statement.target,
        "then": list(item.then),
        "now": list(item.now),
        "same": item.same,
    }


def _replayed_lines(item: Replay) -> list[str]:
    subject, target = item.decision.subject, item.decision.statement.target
    then, now = ("allow" if not reasons else "deny" for reasons in (item.then, item.now))
    word = f"{then} then, {'the same' if item.same else now} now"
    head = f"{item.decision.reference} {subject.name}/{subject.version} to {target}: {word}"
    shown = () if item.same else item.now
    return [head, *(f"  - {code}: {message}" for code, message in shown)]
