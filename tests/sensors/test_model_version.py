"""The sensor through Airflow's real task runner, its trigger in a real event loop, both against a real MLflow."""

import asyncio
import json
from contextlib import suppress

import pytest

from airflow_mlgov.errors import AccessError
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.registry.rest import RestClient
from airflow_mlgov.sensors.model_version import ModelVersionSensor
from airflow_mlgov.triggers import _rounds
from airflow_mlgov.triggers.model_version import VersionTrigger
from tests.fixtures.mlflow_server import MlflowServer

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def connection(mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", mlflow_server.connection())


@pytest.fixture(scope="module")
def version(mlflow_server: MlflowServer):
    return mlflow_server.register("sensed")


def trigger(**arguments) -> VersionTrigger:
    return VersionTrigger(mlflow_conn_id="mlflow_default", poll_interval=0.05, **arguments)


async def first(of: VersionTrigger):
    async for event in of.run():
        return event.payload


def test_a_version_that_is_there_is_found_at_once(run_task, version):
    for deferrable in (True, False):
        end = run_task(ModelVersionSensor(task_id="wait", model="sensed", deferrable=deferrable))
        assert (end.state, end.error) == ("success", None)
        assert end.xcom == {"name": "sensed", "version": "1", "run_id": version.run_id}


def test_nothing_yet_defers_with_plain_arguments(run_task, version, mlflow_server):
    sensor = ModelVersionSensor(task_id="wait", model="sensed", newer_than="{{ 0 + 1 }}", deferrable=True, timeout=60)
    end = run_task(sensor)
    assert end.state == "deferred"
    assert end.message.classpath == "airflow_mlgov.triggers.model_version.VersionTrigger"
    assert mlflow_server.password not in str(end.message)
    path, arguments = VersionTrigger(model="m", mlflow_conn_id="c", newer_than=1).serialize()
    assert path == end.message.classpath
    assert VersionTrigger(**json.loads(json.dumps(arguments))).newer_than == 1


def test_resumed_it_returns_what_the_trigger_found(run_task):
    event = {"name": "sensed", "version": "2", "run_id": "r"}
    end = run_task(ModelVersionSensor(task_id="wait", model="sensed"), event=event)
    assert (end.state, end.xcom) == ("success", event)
    end = run_task(ModelVersionSensor(task_id="wait", model="sensed"), event={"error": "no such stage"}, retries=2)
    assert end.state == "failed"
    assert "no such stage" in str(end.error)


def test_poking_sees_a_version_that_comes_later(run_task, mlflow_server):
    sensor = ModelVersionSensor(
        task_id="wait", model="later", deferrable=False, poke_interval=0.1, timeout=30, mode="poke"
    )
    looks = []
    real = sensor.poke

    def poke(context):
        looks.append(1)
        if len(looks) == 2:
            mlflow_server.register("later")
        return real(context)

    sensor.poke = poke
    end = run_task(sensor)
    assert (end.state, end.xcom["version"], len(looks)) == ("success", "1", 2)


def test_the_xcom_of_an_earlier_version_is_a_floor(run_task, version):
    before = {"name": "sensed", "version": "1", "run_id": version.run_id}
    assert run_task(ModelVersionSensor(task_id="wait", model="sensed", newer_than=before, deferrable=True)).state == (
        "deferred"
    )


@pytest.mark.parametrize("wrong", [{"newer_than": "newest"}, {"stage": "Live"}])
def test_a_mistake_fails_without_retry(run_task, version, wrong):
    end = run_task(ModelVersionSensor(task_id="wait", model="sensed", **wrong), retries=3)
    assert end.state == "failed"
    assert any(word in str(end.error) for word in ("version number", "no stage 'Live'"))


def test_mlflow_down_is_retried(run_task, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", '{"conn_type": "mlflow", "host": "http://127.0.0.1:9"}')
    end = run_task(ModelVersionSensor(task_id="wait", model="sensed"), retries=1)
    assert end.state == "up_for_retry"


def test_the_trigger_waits_for_an_alias_to_move(version, mlflow_server):
    mlflow_server.registry.set_alias(version, "candidate")
    second = mlflow_server.register("sensed", 2.0)

    async def story():
        waiting = asyncio.create_task(first(trigger(model="sensed", alias="candidate", newer_than=1)))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 1.0)
        assert not waiting.done()
        await asyncio.to_thread(mlflow_server.registry.set_alias, second, "candidate")
        return await asyncio.wait_for(waiting, 20)

    assert asyncio.run(story()) == {"name": "sensed", "version": "2", "run_id": second.run_id}


def test_the_trigger_outlives_a_server_that_is_down(version, monkeypatch, mlflow_server):
    real = MlflowRegistry.overview
    asked = []

    def recovers(registry):
        asked.append(1)
        if len(asked) < 3:
            return MlflowRegistry("http://127.0.0.1:9").overview()
        return real(registry)

    monkeypatch.setattr(MlflowRegistry, "overview", recovers)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert asyncio.run(first(trigger(model="sensed")))["name"] == "sensed"
    assert len(asked) >= 3


def test_the_trigger_fetches_rotated_credentials_again(version, monkeypatch, mlflow_server):
    registries = []
    real = MlflowRegistry.overview

    def overview(registry):
        registries.append(registry)
        if len(registries) == 1:
            return {}
        if len(registries) == 2:
            raise AccessError("the password was changed")
        return real(registry)

    monkeypatch.setattr(MlflowRegistry, "overview", overview)
    assert asyncio.run(first(trigger(model="sensed")))["name"] == "sensed"
    assert registries[0] is registries[1] is not registries[2]


def test_a_hundred_triggers_ask_the_registry_once_an_interval(version, monkeypatch, mlflow_server):
    asked = []
    real = RestClient._request

    def counted(client, method, path, **given):
        asked.append(path.rpartition("/")[2])
        return real(client, method, path, **given)

    monkeypatch.setattr(RestClient, "_request", counted)
    looked = []
    overview = MlflowRegistry.overview
    monkeypatch.setattr(MlflowRegistry, "overview", lambda registry: looked.append(1) or overview(registry))

    async def story():
        waiting = [asyncio.create_task(first(trigger(model=f"nobody_{number}"))) for number in range(99)]
        waiting.append(asyncio.create_task(first(trigger(model="sensed"))))
        await waiting[-1]
        while len(looked) < 5:
            await asyncio.sleep(0.05)
        assert sum(task.done() for task in waiting) == 1
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert not [key for key in _rounds._rounds if key[0] is asyncio.get_running_loop()]

    asyncio.run(story())
    pages = asked.count("search")
    versions = len(asked) - pages
    assert pages <= len(looked) * 2 + 1  # and the one that asks for the version that was found
    assert versions <= 1


def test_whoever_comes_with_a_shorter_interval_is_not_kept_waiting(version, mlflow_server):
    async def story():
        slow = VersionTrigger(mlflow_conn_id="mlflow_default", model="nobody", poll_interval=3600.0)
        waiting = asyncio.create_task(first(slow))
        while not _rounds._rounds:
            await asyncio.sleep(0.01)
        (held,) = _rounds._rounds.values()
        while held._seen.found is None:
            await asyncio.sleep(0.05)
        found = await asyncio.wait_for(first(trigger(model="sensed")), 30)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return found

    assert asyncio.run(story())["name"] == "sensed"


def test_a_time_out_skips_a_sensor_that_fails_softly(run_task, version):
    given = {"task_id": "wait", "model": "nobody", "poke_interval": 0.1, "timeout": 0.2}
    for soft, ends in ((True, "skipped"), (False, "failed")):
        assert run_task(ModelVersionSensor(soft_fail=soft, deferrable=False, **given)).state == ends
    for soft, ends in ((True, "skipped"), (False, "failed")):
        sensor = ModelVersionSensor(soft_fail=soft, deferrable=True, **given)
        end = run_task(sensor, next_method="__fail__", next_kwargs={"error": "Trigger timeout", "traceback": None})
        assert end.state == ends


def test_the_trigger_reports_what_waiting_does_not_mend(version, monkeypatch, mlflow_server):
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", mlflow_server.connection(password="wrong-password"))
    payload = asyncio.run(first(trigger(model="sensed")))
    assert "refused the identity" in payload["error"]
    assert "wrong-password" not in payload["error"]
