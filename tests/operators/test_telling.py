"""What a gate's task tells besides its verdict: its log, its XCom, its metrics, its reports, its links, its owners."""

import logging
import os
import socket
import subprocess
import sys
import time

import pytest

from airflow_mlgov.operators import _telling
from airflow_mlgov.operators.fairness import FairnessGateOperator
from airflow_mlgov.progress import counting
from tests.worlds.release import Release


def test_the_log_has_every_check_and_xcom_the_values(release: Release, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="airflow.task"):
        release.validate()
        release.register()
        end = release.performance()
    assert "PASS expect_column_values_to_not_be_null(y) = 0 of 1,200 unexpected; at most 0 % allowed" in caplog.text
    assert "PASS roc_auc = 0." in caplog.text
    assert "(bound >= 0.75), interval 0." in caplog.text
    assert "PASS (info) log_loss = " in caplog.text
    values = end.xcom["metrics"]
    assert 0.75 < values["roc_auc"] < 1
    assert len(values) <= 50


def test_what_is_recorded_alone_warns_and_tells_the_owners(release: Release, caplog: pytest.LogCaptureFixture) -> None:
    release.register()
    end = release.fairness(str(release.folder / "biased.parquet"), on_fail="record")
    assert (end.state, end.xcom["verdict"]) == ("success", "FAIL")
    told = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert any("which is recorded and stops nothing here" in record.getMessage() for record in told)
    assert any("FAIL demographic_parity_ratio[sex] = " in record.getMessage() for record in told)
    assert any("To: owners@bank.example" in record.getMessage() for record in told)


def test_a_report_names_its_evidence_and_is_kept_beside_the_run(release: Release) -> None:
    release.register()
    before = release.server.registry.subject(release.version).digest
    folder = release.folder / "reports"
    operator = FairnessGateOperator(
        task_id="fairness", model=release.ref("1"), data=str(release.folder / "good.parquet"), report_dir=str(folder)
    )
    end = release.run(operator)
    assert end.state == "success", end.error
    (file,) = folder.glob("fairness-*.html")
    text = file.read_text()
    seq, sha = end.xcom["evidence"]["seq"], end.xcom["evidence"]["sha256"]
    for words in (f"ledger:{seq}@{sha[:12]}", "verifies; key ", "for fairness", "mlgov.yaml, sha256:", "1,200", "600"):
        assert words in text
    assert "Not signed" not in text
    with release.server.registry.calling("look") as client:
        kept = [item.path for item in client.list_artifacts(str(release.version.run_id), "mlgov")]
    assert kept == [f"mlgov/{file.name}"]
    assert release.server.registry.subject(release.version).digest == before
    links = {link.name: link.get_link(end.task, ti_key=None) for link in end.task.operator_extra_links[1:]}
    assert links["Model version"] == f"{release.server.registry.uri}/#/models/{release.model}/versions/1"
    assert links["Report"].endswith(f"/runs/{release.version.run_id}/artifacts/mlgov/{file.name}")


def test_metrics_go_where_airflow_sends_them(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, dict[str, str]]] = []

    class Kept:
        @staticmethod
        def incr(metric: str, tags: dict[str, str]) -> None:
            sent.append((metric, tags))

        @staticmethod
        def timing(metric: str, took: float, tags: dict[str, str]) -> None:
            assert took >= 0
            sent.append((metric, tags))

    monkeypatch.setattr(_telling, "Stats", Kept)
    release.register()
    release.performance()
    release.promote()
    assert sent == [
        ("mlgov.gate.duration", {"gate": "performance"}),
        ("mlgov.gate.verdict", {"gate": "performance", "verdict": "PASS"}),
        ("mlgov.promotion", {"target": "production", "outcome": "refused"}),
        ("mlgov.promotion.duration", {"target": "production"}),
    ]


@pytest.mark.slow
def test_a_statsd_server_receives_them() -> None:
    """Airflow chooses where to send when it is imported: in a process of its own."""
    tell = (
        "from airflow_mlgov.operators._telling import count, timed\n"
        "count('mlgov.promotion', target='production', outcome='refused')\n"
        "with timed('mlgov.promotion.duration', target='production'):\n    pass\n"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        where = {"ON": "True", "HOST": "127.0.0.1", "PORT": str(server.getsockname()[1])}
        known = {**os.environ, **{f"AIRFLOW__METRICS__STATSD_{name}": value for name, value in where.items()}}
        subprocess.run([sys.executable, "-c", tell], env=known, check=True, timeout=300)
        received: list[str] = []
        while not (received and received[-1].startswith("airflow.mlgov.promotion.duration:")):
            received.append(server.recv(4096).decode())
    assert "airflow.mlgov.promotion:1|c" in received
    assert received[-1].endswith("|ms")


def test_a_task_logs_how_far_it_has_come(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(_telling, "_LINES", 0.01)
    with (
        caplog.at_level(logging.INFO, "airflow.task"),
        _telling.told_how_far("the model is hashed"),
        counting("GB are hashed", 10_000_000_000) as more,
    ):
        more(2_500_000_000)
        while "25 %" not in caplog.text:
            time.sleep(0.01)
    assert "the model is hashed: 2.5 of 10.0 GB are hashed (25 %) … 0 s" in caplog.text
