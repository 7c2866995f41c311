"""Models as assets: what a watcher tells of and notes, over a real MLflow; what operators tell; who is believed."""

import asyncio
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from airflow.sdk import Asset
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import AssetStateStoreResult, SetAssetStateStoreByName

from airflow_mlgov.assets import ModelAsset, WatchedModel
from airflow_mlgov.errors import DependencyError, EvidenceError
from airflow_mlgov.evidence.statements import GateStatement
from airflow_mlgov.governance.judgement import WHAT_IF
from airflow_mlgov.operators.promotion import PromoteModelOperator
from airflow_mlgov.operators.rollback import RollbackModelOperator
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.results import Check, GateResult, Outcome
from airflow_mlgov.triggers._cursor import KEY
from airflow_mlgov.triggers.model_version import ModelVersionTrigger
from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.governed import Governed

pytestmark = pytest.mark.timeout(180)


class Airflow:
    """The supervisor's side of an asset's state store, and of confirming what was stored."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    async def asend(self, message: Any) -> Any:
        if isinstance(message, SetAssetStateStoreByName):
            self.kept[message.key] = message.value
            return None
        return AssetStateStoreResult(value=self.kept.get(message.key))

    async def take(self, watched: WatchedModel, count: int, confirmed: bool = True) -> list[dict[str, Any]]:
        """The next events of a triggerer that begins now; what is only to be noted is noted.

        :param confirmed: False: the triggerer is killed before it can note an event
        """
        from airflow.triggers.shared_stream import AdvanceItem, AdvanceOutcome

        (watcher,) = watched.watchers
        producer = ModelVersionTrigger.create_shared_stream_producer(watcher.trigger.serialize()[1])
        events: list[dict[str, Any]] = []
        stream = producer.open_stream()
        with mock.patch.object(task_runner, "SUPERVISOR_COMMS", self, create=True):
            async for event, after in stream:
                if event and not confirmed:
                    events.append(event)
                else:
                    await producer.advance([AdvanceItem(after, AdvanceOutcome(acked=1, failed=0))])
                    events += [event] if event else []
                if len(events) >= count and KEY in self.kept:
                    break
            await stream.aclose()
        return events


@pytest.fixture
def airflow(mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> Airflow:
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", mlflow_server.connection())
    return Airflow()


def versions(events: list[dict[str, Any]]) -> list[str]:
    return [event["version"] for event in events]


def test_each_version_that_comes_is_told_once_in_order(airflow: Airflow, mlflow_server: MlflowServer) -> None:
    name = "told_in_order"
    mlflow_server.register(name, 1.0)
    watched = WatchedModel(name, poll_interval=0.05)
    assert asyncio.run(airflow.take(watched, 0)) == []
    for weight in (2.0, 3.0):  # while nobody looks
        mlflow_server.register(name, weight)
    assert versions(asyncio.run(airflow.take(watched, 2))) == ["2", "3"]
    mlflow_server.register(name, 4.0)
    assert versions(asyncio.run(airflow.take(watched, 1))) == ["4"]
    assert airflow.kept[KEY]["told"] == 3


def test_what_was_not_noted_is_told_again_and_known_by_its_id(airflow: Airflow, mlflow_server: MlflowServer) -> None:
    name = "told_again"
    watched = WatchedModel(name, poll_interval=0.05, from_version=0)
    mlflow_server.register(name, 1.0)
    mlflow_server.register(name, 2.0)
    asyncio.run(airflow.take(watched, 0))
    airflow.kept[KEY] = {"told": 0, "version": 0, "held": None, "tagged": {}}
    killed = asyncio.run(airflow.take(watched, 2, confirmed=False))
    again = asyncio.run(airflow.take(watched, 2))
    assert [event["id"] for event in killed] == [event["id"] for event in again]
    assert len({event["id"] for event in again}) == 2
    desk = Runs(watched)
    desk.told += [event(said) for said in (killed[0], killed[0], killed[1])]
    assert desk.run("r1") == [{"name": name, "version": "1"}, {"name": name, "version": "2"}]


class Runs:
    """What a task of a DAG that is started by a watched model finds, run by run."""

    def __init__(self, watched: WatchedModel) -> None:
        self.watched = watched
        self.told: list[Any] = []
        self.store: dict[str, Any] = {}

    def after(self, since: str) -> list[Any]:
        return [item for item in self.told if item.timestamp.isoformat() >= since]

    def run(self, name: str, started: int = 0) -> list[dict[str, str]]:
        kept = SimpleNamespace(get=self.store.get, set=self.store.__setitem__)
        return self.watched.versions(
            {
                "dag_run": SimpleNamespace(dag_id="dag", run_id=name),
                "triggering_asset_events": {self.watched: self.told[started : started + 1]},
                "inlet_events": {self.watched: SimpleNamespace(after=self.after)},
                "asset_state_store": {self.watched: kept},
            }
        )


CLOCK = itertools.count()


def event(said: Any = None, **extra: Any) -> Any:
    extra = extra or {"from_trigger": True, "payload": said}
    return SimpleNamespace(extra=extra, timestamp=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(CLOCK)))


def said(number: int) -> dict[str, Any]:
    return {"name": "credit", "version": str(number), "id": f"id-{number}"}


def test_what_came_beside_the_event_that_started_a_run_is_handed_over_too() -> None:
    runs = Runs(WatchedModel("credit"))
    runs.told += [event(said(1)), event(said(2))]  # Airflow starts a run for the first, and none for the second
    assert [item["version"] for item in runs.run("r1")] == ["1", "2"]
    runs.told.append(event(said(3)))
    assert [item["version"] for item in runs.run("r2", started=2)] == ["3"]
    assert [item["version"] for item in runs.run("r2", started=2)] == ["3"]  # another try of it
    assert runs.run("r3", started=2) == []


def test_what_somebody_made_by_rest_is_handed_to_nobody() -> None:
    runs = Runs(WatchedModel("credit"))
    forged = {"from_trigger": True, "from_rest_api": True, "payload": said(9)}
    runs.told += [event(**forged), event(from_rest_api=True), event(said(1))]
    assert [item["version"] for item in runs.run("r1")] == ["1"]


def test_a_move_of_an_alias_and_a_tag_are_told(airflow: Airflow, mlflow_server: MlflowServer) -> None:
    name = "moved_and_tagged"
    first, second = mlflow_server.register(name, 1.0), mlflow_server.register(name, 2.0)
    by_alias = WatchedModel(name, alias="candidate", poll_interval=0.05)
    asyncio.run(airflow.take(by_alias, 0))
    for version, previous in ((first, None), (second, "1"), (first, "2")):
        mlflow_server.registry.set_alias(version, "candidate")
        (event,) = asyncio.run(airflow.take(by_alias, 1))
        assert (event["version"], event["previous"]) == (version.version, previous)
    mlflow_server.registry.delete_alias(name, "candidate")
    other = Airflow()
    by_tag = WatchedModel(name, tag="is ready", poll_interval=0.05)
    asyncio.run(other.take(by_tag, 0))
    mlflow_server.registry.set_tags(second, {"is ready": "yes"})
    (event,) = asyncio.run(other.take(by_tag, 1))
    assert (event["version"], event["value"]) == ("2", "yes")
    mlflow_server.registry.set_tags(second, {"is ready": "no"})
    (event,) = asyncio.run(other.take(by_tag, 1))
    assert event["value"] == "no"


def test_an_outage_is_waited_for(airflow: Airflow, mlflow_server: MlflowServer, monkeypatch) -> None:
    name = "out_for_a_while"
    watched = WatchedModel(name, poll_interval=0.05, from_version=0)
    mlflow_server.register(name)
    real, asked = MlflowRegistry.overview, []

    def down_at_first(registry: MlflowRegistry) -> Any:
        asked.append(1)
        if len(asked) < 3:
            raise DependencyError("MLflow is down", code="registry.down")
        return real(registry)

    monkeypatch.setattr(MlflowRegistry, "overview", down_at_first)
    assert versions(asyncio.run(airflow.take(watched, 1))) == ["1"]


@pytest.fixture
def told(governed: Governed, monkeypatch: pytest.MonkeyPatch, run_task):
    """A promotion through Airflow's task runner, and the events that it hands over."""
    governed.configure(monkeypatch.setenv)

    def run(operator: Any) -> dict[str, dict[str, Any]]:
        end = run_task(operator)
        assert end.state == "success", end.error
        return {item["dest_asset_key"]["uri"]: item["extra"] for item in end.message.outlet_events}

    return run


def consumer(asset: Asset, extra: dict[str, Any]) -> dict[str, Any]:
    return {"triggering_asset_events": {asset: [SimpleNamespace(extra=extra)]}}


def promote(governed: Governed, number: str) -> PromoteModelOperator:
    return PromoteModelOperator(task_id="promote", model=f"models:/{governed.model}/{number}", target="production")


def test_a_promotion_tells_who_holds_its_places_and_a_consumer_makes_sure(governed: Governed, told) -> None:
    champion, stage = ModelAsset(governed.model, at="champion"), ModelAsset(governed.model, at="Production")
    governed.candidate()
    first = told(promote(governed, "1"))
    assert set(first) == {champion.uri, stage.uri}
    (found,) = champion.verified(consumer(champion, first[champion.uri]))
    assert (found["name"], found["version"], found["target"]) == (governed.model, "1", "production")
    governed.candidate(2.0)
    second = told(promote(governed, "2"))
    assert champion.verified(consumer(champion, second[champion.uri]))[0]["version"] == "2"
    with pytest.raises(EvidenceError, match="holds no more"):
        champion.verified(consumer(champion, first[champion.uri]))
    back = told(RollbackModelOperator(task_id="back", model=governed.model, target="production", reason="complaints"))
    assert back[champion.uri]["action"] == "rollback"
    assert champion.verified(consumer(champion, back[champion.uri]))[0]["version"] == "1"


def test_what_somebody_made_up_is_refused(governed: Governed, told) -> None:
    champion = ModelAsset(governed.model, at="champion")
    version = governed.candidate()
    judged = governed.ledger.entries()[-1].reference
    true = told(promote(governed, "1"))[champion.uri]
    other = ModelAsset("another_model", at="champion")
    made_up = [
        (champion, {"from_rest_api": True}),
        (champion, {"from_rest_api": True, "name": governed.model, "version": "1"}),
        (champion, {**true, "version": "2"}),
        (champion, {**true, "evidence": "ledger:1@000000000000"}),
        (champion, {**true, "evidence": "ledger:999999@000000000000"}),
        (champion, {"evidence": judged}),
        (other, dict(true)),
    ]
    for asset, extra in made_up:
        with pytest.raises(EvidenceError) as refused:
            asset.verified(consumer(asset, extra))
        assert refused.value.code == "asset.no_evidence"
    assert version.version == "1"


def test_a_gate_s_event_is_its_last_word_on_these_bytes_in_this_registry(
    governed: Governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old PASS that somebody tells again by REST, one of another registry, and one out of curiosity."""
    governed.configure(monkeypatch.setenv)
    asset = ModelAsset(governed.model, gate="performance")
    version = governed.register()

    def told(reference: str) -> str:
        return str(asset.verified(consumer(asset, {"from_rest_api": True, "evidence": reference}))[0]["verdict"])

    passed = governed.judge(version).reference
    assert told(passed) == "PASS"
    failed = governed.judge(version, auc=0.5).reference
    assert told(failed) == "FAIL"
    better = GateResult("performance", governed.registry.subject(version), (Check("roc_auc", Outcome.PASS, 0.9),))
    curious = replace(better, purpose=WHAT_IF)
    elsewhere = replace(better, subject=replace(better.subject, registry="http://127.0.0.1:1"))
    others = [
        governed.attest("performance", GateStatement.of(result, governed.context())).reference
        for result in (curious, elsewhere)
    ]
    for reference in (passed, *others):
        with pytest.raises(EvidenceError) as refused:
            told(reference)
        assert refused.value.code == "asset.no_evidence"
    assert told(failed) == "FAIL"
