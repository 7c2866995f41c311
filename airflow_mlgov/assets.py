"""Models as Airflow assets: what promotions and gates tell of, what a registry is watched for, and how a consumer makes
sure. An event starts a DAG and proves nothing; whoever needs to be certain verifies it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from airflow.sdk import Asset, AssetAlias, AssetWatcher

from airflow_mlgov.configuration import option
from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.triggers.model_version import ModelVersionTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_mlgov.release.promotion import Promotion
    from airflow_mlgov.results import GateResult

TOLD = AssetAlias("mlgov")
"""The outlet of every operator that tells of a model: which asset it is turns out at run time."""
_GROUP = "mlgov"
_HANDED = "mlgov.handed"
"""Under which, with the DAG's id, it stands in the asset's state store what a DAG was handed."""
_REMEMBERED = 200
"""Ids of events that are remembered; one that is told twice is told twice in a row."""
_REFERENCE = re.compile(r"ledger:(\d{1,18})@[0-9a-f]{12}")


class ModelAsset(Asset):
    """What holds an alias or a stage of a registered model, or what a gate has said of it; DAGs are scheduled on it::

        with DAG("tell_branches", schedule=[ModelAsset("credit_risk", at="champion")]): ...

    Promotions and rollbacks tell the assets of the alias and the stage that they have set, gates that of their name.

    :param model: name of the registered model
    :param at: the alias or the stage
    :param gate: name of a gate instead
    :param mlflow_conn_id: connection to the registry; ``[mlgov] mlflow_conn_id`` if omitted
    """

    asset_type = "mlflow_model"

    def __init__(
        self, model: str, *, at: str | None = None, gate: str | None = None, mlflow_conn_id: str | None = None
    ) -> None:
        if (at is None) == (gate is None):
            raise ValueError("a model's asset is what holds an alias or a stage (at=), or what a gate says (gate=)")
        super().__init__(uri=_uri(model, f"@{quote(at, '')}" if at else f"/{gate}", mlflow_conn_id), group=_GROUP)

    def verified(self, context: Context) -> list[dict[str, Any]]:
        """What this run was started for, verified: ``name``, ``version``, ``target`` or ``gate`` and ``verdict``, and
        ``evidence``, for each event.

        The ledger entry that an event names has to verify and to say what the event says; who was promoted has to
        hold the alias or stage still, with evidence that still holds.

        :raises EvidenceError: an event names no evidence, such as one that somebody made by REST, or other evidence
        """
        from airflow_mlgov.duty import Duty

        events = context["triggering_asset_events"].get(self, ())
        return [_verified(self.uri, dict(item.extra), Duty("registration")) for item in events]


class WatchedModel(Asset):
    """What comes into a registry about a model, from whomever: a new version, a move of an alias, a tag. It needs
    Airflow 3.3, and its triggerer.

    :param model: name of the registered model
    :param alias: tell of where this alias points, instead of new versions
    :param tag: tell of versions that get this tag, or another value of it, instead
    :param from_version: also tell of the versions above this one that are there already
    :param mlflow_conn_id: connection to the registry; ``[mlgov] mlflow_conn_id`` if omitted
    :param duty: whose identity to use, where the connection's settings hold ``{duty}``
    :param poll_interval: seconds between two looks; all that watch a registry share them
    """

    asset_type = "mlflow_watch"

    def __init__(
        self,
        model: str,
        *,
        alias: str | None = None,
        tag: str | None = None,
        from_version: int | None = None,
        mlflow_conn_id: str | None = None,
        duty: str = "registration",
        poll_interval: float = 60.0,
    ) -> None:
        what = f"/aliases/{quote(alias, '')}" if alias else f"/tags/{quote(tag, '')}" if tag else "/versions"
        uri = _uri(model, what, mlflow_conn_id)
        trigger = ModelVersionTrigger(
            model=model,
            asset=uri,
            mlflow_conn_id=_connection(mlflow_conn_id),
            alias=alias,
            tag=tag,
            from_version=from_version,
            duty=duty,
            poll_interval=poll_interval,
        )
        super().__init__(uri=uri, group=_GROUP, watchers=[AssetWatcher(name=uri, trigger=trigger)])

    def versions(self, context: Context) -> list[dict[str, str]]:
        """The versions that this DAG has not been handed yet, ``name`` and ``version`` of each, each event once. List
        the asset in the task's ``inlets``.

        It goes by the asset's events, not by those that the run was started with: Airflow starts one run for two events
        that come together, and names one of them. What was handed over is kept in the asset's state store; a try of the
        same run is handed the same again, and an event that Airflow was told twice is known by its id. What somebody
        has made by REST counts for nothing.
        """
        kept = context["asset_state_store"][self]
        key = f"{_HANDED}.{context['dag_run'].dag_id}"
        handed = Handed.of(kept.get(key), context["dag_run"].run_id)
        events = context["inlet_events"][self]
        begin = handed.after or min((item.timestamp for item in self._started(context)), default=None)
        if begin is None:
            return []
        found, ids, last = list[dict[str, str]](), list(handed.ids), begin
        for item in events.after(begin.isoformat()):
            extra = item.extra or {}
            said = _told(extra)
            if not extra.get("from_trigger") or extra.get("from_rest_api") or said.get("id") in ids:
                continue
            version = {"name": str(said["name"]), "version": str(said["version"])}
            found += [version] if version not in found else []
            ids.append(said["id"])
            last = max(last, item.timestamp)
        kept.set(key, replace(handed, until=last, new=tuple(ids[len(handed.ids) :])).as_dict())
        return found

    def _started(self, context: Context) -> Sequence[Any]:
        return tuple(context["triggering_asset_events"].get(self, ()))


@dataclass(frozen=True)
class Handed:
    """What a DAG was handed of a watched model: before its newest run, and by that run."""

    run: str
    after: datetime | None = None
    """Of the last event before the run."""
    ids: tuple[str, ...] = ()
    """Of the last events before it."""
    until: datetime | None = None
    new: tuple[str, ...] = ()

    @classmethod
    def of(cls, kept: Any, run: str) -> Handed:
        """What was kept, as a run finds it; nothing if there is nothing."""
        if not isinstance(kept, Mapping):
            return cls(run)
        after, until = (datetime.fromisoformat(kept[name]) if kept.get(name) else None for name in ("after", "until"))
        ids, new = tuple(kept.get("ids", ())), tuple(kept.get("new", ()))
        if kept.get("run") == run:
            return cls(run, after, ids)
        return cls(run, until or after, (*ids, *new)[-_REMEMBERED:])

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "run": self.run,
            "after": self.after and self.after.isoformat(),
            "ids": list(self.ids),
            "until": self.until and self.until.isoformat(),
            "new": list(self.new),
        }


def tell(context: Context, assets: Sequence[Asset], extra: Mapping[str, Any]) -> None:
    """Tell assets of something, once the task has succeeded."""
    events = context.get("outlet_events")
    if events is not None:
        for asset in assets:
            events[TOLD].add(asset, extra=dict(extra))


def tell_promotion(context: Context, done: Promotion, action: str, mlflow_conn_id: str | None) -> None:
    """Tell the assets of the alias and the stage that a promotion or a rollback has set who holds them now."""
    model, target = done.placed, done.target
    said = {"name": model.name, "version": model.version, "target": target.name, "action": action}
    places = [item for item in (target.alias, target.stage) if item]
    mlflow_conn_id = (target.copy_to and target.copy_to.registry) or mlflow_conn_id
    assets = [ModelAsset(model.name, at=item, mlflow_conn_id=mlflow_conn_id) for item in places]
    tell(context, assets, {**said, "evidence": done.record})


def tell_verdict(context: Context, result: GateResult, evidence: str, mlflow_conn_id: str | None) -> None:
    """Tell the asset of a gate what it says of a model version."""
    subject = result.subject
    if subject.kind == "model":
        said = {"name": subject.name, "version": subject.version, "gate": result.gate, "verdict": str(result.verdict)}
        asset = ModelAsset(subject.name, gate=result.gate, mlflow_conn_id=mlflow_conn_id)
        tell(context, [asset], {**said, "evidence": evidence})


def with_outlet(given: Mapping[str, Any]) -> dict[str, Any]:
    """An operator's arguments, with the outlet through which it tells."""
    return {**given, "outlets": [*(given.get("outlets") or ()), TOLD]}


def _connection(mlflow_conn_id: str | None) -> str:
    return mlflow_conn_id or option("mlflow_conn_id", "mlflow_default")


def _uri(model: str, rest: str, mlflow_conn_id: str | None) -> str:
    return f"mlflow://{quote(_connection(mlflow_conn_id), '')}/{quote(model, '')}{rest}"


def _told(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    payload = extra.get("payload", extra)
    return payload if isinstance(payload, Mapping) else {}


def _verified(uri: str, extra: Mapping[str, Any], duty: Any) -> dict[str, Any]:
    from airflow_mlgov.evidence.verification import verify_entry

    match = _REFERENCE.fullmatch(str(extra.get("evidence", "")))
    if match is None:
        made = "somebody made it by REST" if extra.get("from_rest_api") else "who made it is unknown"
        raise EvidenceError(f"an event of {uri} names no evidence: {made}", code="asset.no_evidence")
    walked, number = duty.records.walk(), int(match[1])
    entry = walked.get(number) if 1 <= number <= walked.head.size else None
    if entry is None or entry.reference != extra["evidence"]:
        raise EvidenceError(f"an event of {uri} names {match[0]}, which is not in the ledger", code="asset.no_evidence")
    said = _of_evidence(uri, verify_entry(entry, duty.trust), duty)
    other = [
        name
        for name in ("name", "version", "gate", "verdict", "target")
        if extra.get(name, said.get(name)) != said.get(name)
    ]
    if other:
        raise EvidenceError(
            f"an event of {uri} says another {', '.join(other)} than {entry.reference}", code="asset.no_evidence"
        )
    return {**said, "evidence": entry.reference}


def _of_evidence(uri: str, item: Any, duty: Any) -> dict[str, Any]:
    """What verified evidence says, if it is what this asset tells of, here and now."""
    from airflow_mlgov.evidence.statements import GateStatement, PromotionStatement
    from airflow_mlgov.release.explanation import explain

    what = item.statement
    model = what.placed if isinstance(what, PromotionStatement) else item.subject
    said = {"name": model.name, "version": model.version}
    begins = uri.rpartition("@" if isinstance(what, PromotionStatement) else "/")
    if item.environment != duty.environment or not begins[0].endswith(f"/{quote(model.name, '')}"):
        raise EvidenceError(
            f"an event of {uri} names {item.reference}, which is of another model", code="asset.no_evidence"
        )
    if isinstance(what, GateStatement) and begins[2] == what.gate:
        _require_last_word(uri, item, duty)
        return {**said, "gate": what.gate, "verdict": str(what.verdict)}
    if not isinstance(what, PromotionStatement):
        raise EvidenceError(
            f"an event of {uri} names {item.reference}, which is no promotion", code="asset.no_evidence"
        )
    registry = _registry_of(model, duty)
    _require_place(uri, unquote(begins[2]), item, registry, duty)
    now = explain(
        registry,
        registry.resolve({"name": model.name, "version": model.version}),
        duty.records,
        duty.trust,
        environment=duty.environment,
        target=what.target,
    )
    if not now.allowed:
        more = [f"  - {code}: {message}" for code, message in now.reasons]
        raise EvidenceError(
            f"an event of {uri} holds no more: {now.model} may not serve", code="asset.no_evidence", more=more
        )
    return {**said, "target": what.target}


def _require_last_word(uri: str, item: Any, duty: Any) -> None:
    """A gate's event tells of its newest result on these bytes, in the asset's own registry; of none that somebody had
    made out of curiosity.

    :raises EvidenceError: there is a newer one, or it was of another registry
    """
    from airflow_mlgov.evidence.statements import GateStatement
    from airflow_mlgov.evidence.verification import only
    from airflow_mlgov.governance.judgement import WHAT_IF
    from airflow_mlgov.release.timeline import evidence_for

    there = _registry_at(uri, duty)
    found = evidence_for(duty.records.walk(), duty.trust, item.subject, duty.environment, there.identity).good
    judged = [
        one
        for one in only(found, GateStatement)
        if one.statement.gate == item.statement.gate
        and one.subject.version == item.subject.version
        and one.statement.purpose != WHAT_IF
    ]
    if not judged or judged[-1].sha256 != item.sha256:
        newer = f"the last word is {judged[-1].reference}" if judged else "nothing that counts was said there"
        raise EvidenceError(f"an event of {uri} names {item.reference}: {newer}", code="asset.no_evidence")


def _registry_at(uri: str, duty: Any) -> Any:
    """The registry of an asset."""
    conn_id = unquote(uri.removeprefix("mlflow://").partition("/")[0])
    return duty.mlflow.registry() if conn_id == duty.mlflow.mlflow_conn_id else duty.elsewhere(conn_id)


def _require_place(uri: str, at: str, item: Any, registry: Any, duty: Any) -> None:
    """A promotion tells of the alias and the stage that it was to set, in its own registry: not of those of another
    target, which takes fewer gates, nor of a model of the same name elsewhere.

    :raises EvidenceError: it was of another place
    """
    from airflow_mlgov.evidence.statements import IntentStatement
    from airflow_mlgov.evidence.verification import collect, only

    intents = only(collect(duty.records.walk(), duty.trust, [item.digest], kind="intent")[0], IntentStatement)
    meant = [intent.statement.after for intent in intents if intent.sha256 == item.statement.intent]
    names = {str(after.get(kind) or "").casefold() for after in meant for kind in ("alias", "stage")}
    there = _registry_at(uri, duty)
    if at.casefold() not in names or registry.identity.of(there.uri) != registry.uri:
        raise EvidenceError(
            f"an event of {uri} names {item.reference}, which put the version elsewhere", code="asset.no_evidence"
        )


def _registry_of(model: Any, duty: Any) -> Any:
    """The registry of what was moved: the configured one, or the one into which the policy has versions copied."""
    own = duty.mlflow.registry()
    if own.identity.of(model.registry) == own.uri:
        return own
    goals = duty.required_policy().held_by(model.name)
    named = {goal.copy_to.registry for goal in goals if goal.copy_to and goal.copy_to.registry}
    others = (duty.elsewhere(name) for name in sorted(named))
    return next((item for item in others if item.identity.of(model.registry) == item.uri), own)
