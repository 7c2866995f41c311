"""A promoted copy, as others are told of it: Airflow's operators and assets, the lineage graph, an evidence pack."""

import shutil
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_mlgov.assets import ModelAsset
from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.pack import write_pack
from airflow_mlgov.operators.monitoring import MonitorModelOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator
from airflow_mlgov.operators.rollback import RollbackModelOperator
from tests.codes import raises_code
from tests.fixtures.airflow_runner import TaskEnd, TaskRun
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.shell import Run
from tests.worlds.copied import Copied
from tests.worlds.governed import spoil
from tests.worlds.lineage import drawn
from tests.worlds.release import people

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def copied(tmp_path: Any, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> Copied:
    world = Copied(tmp_path, mlflow_server)
    world.configure(monkeypatch.setenv)
    return world


@pytest.fixture
def promoted(copied: Copied, run_task: TaskRun) -> Callable[..., TaskEnd]:
    """A promotion of a version by its number, through Airflow's task runner."""

    def promote(number: str, target: str = "production") -> TaskEnd:
        end = run_task(PromoteModelOperator(task_id="promote", model=f"models:/{copied.model}/{number}", target=target))
        assert end.state == "success", end.error
        return end

    return promote


def told(end: TaskEnd) -> dict[str, dict[str, Any]]:
    """The events that a task hands over, by the asset's URI."""
    return {item["dest_asset_key"]["uri"]: item["extra"] for item in end.message.outlet_events}


def consumer(asset: ModelAsset, extra: dict[str, Any]) -> Any:
    return {"triggering_asset_events": {asset: [SimpleNamespace(extra=extra)]}}


def test_the_operator_promotes_a_copy_and_tells_of_it(
    copied: Copied, promoted: Callable[..., TaskEnd], run_task: TaskRun
) -> None:
    copied.candidate(1.0)
    end = promoted("1")
    assert (end.xcom["model"], end.xcom["copy"]) == (f"models:/{copied.model}/1", f"models:/{copied.target}/1")
    assert copied.copies() == {"1": ("champion",)}
    told_by = drawn(end)
    assert (told_by.inputs, told_by.outputs) == ([copied.model], [f"{copied.target}@champion"])

    champion = ModelAsset(copied.target, at="champion")
    first = told(end)
    assert set(first) == {champion.uri}
    (found,) = champion.verified(consumer(champion, first[champion.uri]))
    assert (found["name"], found["version"], found["target"]) == (copied.target, "1", "production")
    source = ModelAsset(copied.model, at="champion")
    with raises_code(EvidenceError, "asset.no_evidence"):
        source.verified(consumer(source, first[champion.uri]))

    copied.candidate(2.0)
    promoted("2")
    with pytest.raises(EvidenceError, match="holds no more"):
        champion.verified(consumer(champion, first[champion.uri]))
    with copied.registry.calling("delete the source") as client:
        client.delete_model_version(copied.model, "1")
    back = run_task(RollbackModelOperator(task_id="back", model=copied.model, target="production", reason="complaints"))
    assert back.state == "success", back.error
    assert copied.copies() == {"1": ("champion",), "2": ()}
    assert drawn(back).outputs == [f"{copied.target}@champion"]
    (found,) = champion.verified(consumer(champion, told(back)[champion.uri]))
    assert (found["name"], found["version"]) == (copied.target, "1")


def test_an_event_of_one_place_with_the_evidence_of_another_is_refused(
    copied: Copied, promoted: Callable[..., TaskEnd]
) -> None:
    """Of a target that takes less, or of a registry that is reached by another connection."""
    lesser = f"      lesser: {{copy_to: {copied.target}, alias: challenger, requires: [performance]}}\n"
    copied.policy_file.write_text(copied.policy_file.read_text() + lesser)
    copied.candidate(1.0)
    challenger = ModelAsset(copied.target, at="challenger")
    extra = told(promoted("1", "lesser"))[challenger.uri]
    assert challenger.verified(consumer(challenger, extra))[0]["target"] == "lesser"
    champion = ModelAsset(copied.target, at="champion")
    elsewhere = ModelAsset(copied.target, at="challenger", mlflow_conn_id="http://127.0.0.1:9")
    for asset in (champion, elsewhere):
        for said in (extra, {key: value for key, value in extra.items() if key == "evidence"}):
            with raises_code(EvidenceError, "asset.no_evidence"):
                asset.verified(consumer(asset, said))


def test_live_data_is_judged_of_the_copy_that_serves(
    copied: Copied, promoted: Callable[..., TaskEnd], run_task: TaskRun
) -> None:
    copied.policy_file.write_text(copied.policy_file.read_text() + "        monitoring: {gates: [performance]}\n")
    files = copied.artifact(copied.candidate(1.0))
    promoted("1")
    people().rename(columns={"score": "s"}).to_parquet(copied.folder / "live.parquet")
    with copied.registry.calling("delete the source") as client:
        client.delete_model_version(copied.model, "1")

    def monitor() -> TaskEnd:
        data = {"performance": str(copied.folder / "live.parquet")}
        return run_task(MonitorModelOperator(task_id="monitor", model=copied.model, target="production", data=data))

    end = monitor()
    assert end.state == "success", end.error
    assert end.xcom["model"] == f"models:/{copied.model}/1"
    assert f"{copied.target}@champion" in drawn(end).inputs
    spoil(files)
    changed = monitor()
    assert changed.state == "failed"
    assert f"{copied.target} version 1 has other bytes" in str(changed.error)


def test_a_pack_of_a_copy_holds_what_it_was_made_of(copied: Copied, run: Run) -> None:
    copied.promote(copied.candidate(1.0))
    copied.promote(copied.candidate(2.0))
    pack, files = copied.folder / "evidence.zip", copied.folder / "files"
    write_pack(copied.ledger, copied.registry.subject(copied.copy("2")), pack)
    with copied.registry.download(copied.copy("2")) as folder:
        shutil.copytree(folder, files)
    given = ("--trust", copied.trust_file)
    code, out, err = run("verify", "--pack", pack, *given, "--artifact", files)
    assert code == 0, (out, err)
    assert f"made of {copied.model} version 2" in out
    (files / "more.txt").write_text("put beside it")
    assert run("verify", "--pack", pack, *given, "--artifact", files)[0] == 1
    earlier = copied.folder / "earlier.zip"
    write_pack(copied.ledger, copied.registry.subject(copied.copy("1")), earlier)
    code, out, err = run("verify", "--pack", earlier, *given)
    assert code == 1
    assert "promotion.superseded" in out + err
