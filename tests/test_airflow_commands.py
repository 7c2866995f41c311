"""``airflow mlgov``: the group is in Airflow's own command line, and runs what ``mlgov`` does."""

import subprocess
import sys
from pathlib import Path

import pytest

from airflow_mlgov.cli.app import COMMANDS
from airflow_mlgov.provider_info import get_provider_info


def airflow(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("airflow")), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_provider_names_it() -> None:
    assert get_provider_info()["cli"] == ["airflow_mlgov.airflow_commands.get_commands"]


@pytest.mark.slow
def test_airflows_help_has_every_command_and_its_options() -> None:
    done = airflow("mlgov", "--help")
    assert done.returncode == 0, done.stderr
    assert [name for name in COMMANDS if name not in done.stdout] == []
    done = airflow("mlgov", "promote", "--help")
    assert done.returncode == 0, done.stderr
    for word in ("--target", "--decision-log", "[mlgov] ledger", "Examples:"):
        assert word in done.stdout
    done = airflow("mlgov", "gate", "fairness", "--help")
    assert (done.returncode, "--reference-group" in done.stdout) == (0, True), done.stderr


@pytest.mark.slow
def test_it_ends_as_mlgov_does() -> None:
    done = airflow("mlgov", "explain", "approval.missing")
    assert (done.returncode, "a reason to refuse" in done.stdout) == (0, True), done.stderr
    done = airflow("mlgov", "verify", "--pack", "/nowhere", "--trust", "/nowhere", "--json")
    assert (done.returncode, '"file.missing"' in done.stdout) == (2, True), done.stderr
    done = airflow("mlgov", "gate", "performance", "--data", "/nowhere.csv", "--label", "y", "--bound", "roc_auc>=0.7")
    assert (done.returncode, "error [" in done.stderr) == (2, True), done.stdout
