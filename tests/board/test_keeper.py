"""When a model is judged again, though nothing was written; what becomes of the rows."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_mlgov.board import keeper as module
from airflow_mlgov.board.keeper import Keeper
from airflow_mlgov.board.readers import EVERYTHING
from airflow_mlgov.board.rows import Rows
from tests.worlds.fleet import Fleet

pytestmark = pytest.mark.xdist_group("board")


def test_a_row_is_judged_again_before_it_is_shown_once_one_of_its_dates_has_passed(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 600.0)
    keeper = Keeper(fleet.source)
    assert keeper.look().complete
    rows = keeper.rows.board(EVERYTHING).rows
    judged: list[str] = []
    monkeypatch.setattr(keeper, "_judge", judged.append)
    assert not keeper.refresh(rows)
    dates = {row["model"]: row["changes"] for row in rows}
    assert dates["fleet_collections"] < dates["fleet_card_limits"], "its waiver ends before the other's audit is due"
    later = dates["fleet_collections"] + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert keeper.refresh(rows)
    assert "fleet_collections" in judged


def test_how_far_it_is_was_said_before_the_rows_were_read(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 0.0)
    keeper = Keeper(fleet.source)
    said = keeper.look()
    assert not said.complete or said.unjudged
    assert keeper._worker is not None
    keeper._worker.join(120)
    assert keeper.progress.complete
    assert not keeper.progress.unjudged
    assert not said.complete or said.unjudged, "a page with the rows of before asks again"


def test_what_was_judged_a_while_ago_is_for_the_thread(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 600.0)
    keeper = Keeper(fleet.source)
    keeper.look()
    rows = keeper.rows.board(EVERYTHING).rows
    before = {row["model"]: row["judged"] for row in rows}
    old = [{**row, "judged": row["judged"] - 61} for row in rows]
    assert not keeper.refresh(old), "nobody waits for it"
    assert keeper._worker is not None
    keeper._worker.join(120)
    after = {row["model"]: row["judged"] for row in keeper.rows.board(EVERYTHING).rows}
    assert all(after[model] > before[model] for model in before)


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = "from airflow_mlgov.board.rows import Rows\nkept = Rows()\nprint('made', flush=True)\ninput()"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", made], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "made\n"
        (theirs,) = tmp_path.iterdir()
        rows = Rows()
        assert len(list(tmp_path.iterdir())) == 2
        rows.close()
        assert list(tmp_path.iterdir()) == [theirs]
        other.kill()
    assert list(tmp_path.iterdir()) == [theirs]
    rows = Rows()
    assert theirs not in list(tmp_path.iterdir())
    rows.close()
