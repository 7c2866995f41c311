"""The sensors over the ledger, through Airflow's real task runner and in a real event loop."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from airflow_mlgov.evidence.ledger import Ledger
from airflow_mlgov.sensors.evidence import EvidenceSensor
from airflow_mlgov.triggers.ledger import LedgerTrigger
from tests.fixtures.airflow_runner import TaskEnd, kwargs_of
from tests.worlds.release import Release


def wait(release: Release, **given) -> TaskEnd:
    given = {"target": "production", "model": release.ref("1"), **given}
    return release.run(EvidenceSensor(task_id="wait", **given))


def trigger_of(end: TaskEnd, **change) -> LedgerTrigger:
    assert end.state == "deferred", end.error
    assert end.message.classpath == "airflow_mlgov.triggers.ledger.LedgerTrigger"
    return LedgerTrigger(**{**kwargs_of(end.message), "poll_interval": 0.05, **change})


async def first(of: LedgerTrigger):
    async for event in of.run():
        return event.payload


async def still_waits(task: asyncio.Task, looked: list) -> None:
    """Two more looks, and nothing said."""
    before = len(looked)
    while len(looked) < before + 2:
        await asyncio.sleep(0.02)
    assert not task.done()


def test_it_succeeds_once_every_gate_has_passed_and_without_an_approval(release: Release) -> None:
    release.validate()
    release.register()
    release.performance()
    assert wait(release, deferrable=False, poke_interval=0.1, timeout=0.2).state == "failed"
    assert wait(release, deferrable=False, poke_interval=0.1, timeout=0.2, soft_fail=True).state == "skipped"
    release.fairness(str(release.folder / "biased.parquet"))
    assert wait(release, deferrable=True).state == "deferred"  # it is there, and FAIL
    release.fairness()
    for deferrable in (True, False):
        end = wait(release, deferrable=deferrable)
        assert (end.state, end.xcom["name"], end.xcom["version"]) == ("success", release.model, "1"), end.error
    assert "evidence" not in str(release.ask().error)


def test_no_worker_is_woken_but_for_what_is_about_the_model_or_its_data(release: Release, monkeypatch) -> None:
    release.register()
    looked = []
    since = Ledger.since
    monkeypatch.setattr(Ledger, "since", lambda *given: looked.append(1) or since(*given))
    waiting = trigger_of(wait(release, deferrable=True))
    other = LedgerTrigger(model="another", since=0, poll_interval=0.05)

    async def story() -> None:
        first_of_it, first_of_other = (asyncio.create_task(first(item)) for item in (waiting, other))
        await still_waits(first_of_it, looked)
        release.validate(str(release.folder / "good.parquet"))  # data of nobody
        await still_waits(first_of_it, looked)
        release.validate()
        assert set(await asyncio.wait_for(first_of_it, 60)) == {"seq"}
        await still_waits(first_of_other, looked)
        first_of_other.cancel()

    asyncio.run(story())
    again = wait(release, deferrable=True)
    assert again.message.trigger_kwargs != {}
    assert trigger_of(again).since > waiting.since


def test_what_came_while_the_triggerer_was_down_is_not_lost(release: Release) -> None:
    release.register()
    waiting = trigger_of(wait(release, deferrable=True))
    release.performance()
    assert set(asyncio.run(first(waiting))) == {"seq"}


def test_an_outage_of_the_ledger_is_waited_for(release: Release, monkeypatch) -> None:
    release.register()
    waiting = trigger_of(wait(release, deferrable=True))
    release.performance()
    since, down = Ledger.since, []

    def recovers(ledger, *given):
        down.append(1)
        return since(ledger, *given) if len(down) > 2 else Ledger.since_nowhere(ledger)

    from airflow_mlgov.errors import DependencyError

    def nowhere(ledger):
        raise DependencyError("the ledger cannot be used now", code="ledger.down")

    monkeypatch.setattr(Ledger, "since_nowhere", nowhere, raising=False)
    monkeypatch.setattr(Ledger, "since", recovers)
    assert set(asyncio.run(first(waiting))) == {"seq"}
    assert len(down) > 2


def test_it_fires_at_its_moment(release: Release) -> None:
    release.register()
    moment = (datetime.now(UTC) + timedelta(milliseconds=10)).isoformat()
    waiting = LedgerTrigger(model="nobody", since=0, until=moment, poll_interval=0.05)
    assert asyncio.run(first(waiting)) == {"moment": moment}


def test_resumed_after_its_time_it_fails_or_skips(release: Release) -> None:
    release.register()
    sensor = {"task_id": "wait", "model": release.ref("1"), "target": "production", "deferrable": True}
    late = {"error": "Trigger timeout", "traceback": None}
    for soft, state in ((False, "failed"), (True, "skipped")):
        end = release.run(EvidenceSensor(soft_fail=soft, **sensor), next_method="__fail__", next_kwargs=late)
        assert end.state == state


@pytest.mark.parametrize("wrong", [{"target": "moon"}, {"model": "models:/nobody_at_all/1"}])
def test_a_mistake_fails_without_retry(release: Release, wrong) -> None:
    release.register()
    end = wait(release, **wrong)
    assert end.state == "failed"
    assert "]" in str(end.error)
