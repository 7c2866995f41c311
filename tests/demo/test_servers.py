"""Processes that the demo starts: their logs, their errors, and that none outlives it."""

import os
import stat
import sys
import time

import psutil
import pytest
import requests

from airflow_mlgov.demo.servers import ManagedProcess, free_port, start_openbao, write_private
from airflow_mlgov.errors import DependencyError
from tests.codes import raises_code

FAMILY = """
import subprocess, sys, time
child = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"]
inside, outside = subprocess.Popen(child), subprocess.Popen(child, start_new_session=True)
print(inside.pid, outside.pid, flush=True)
time.sleep(60)
"""


def test_stop_ends_children_that_ignore_sigterm_or_left_the_group(tmp_path):
    process = ManagedProcess("family", [sys.executable, "-c", FAMILY], tmp_path / "log")
    process.wait_until(lambda: len(process.last_lines().split()) == 2, timeout=20)
    time.sleep(0.5)  # the children install their handlers
    pids = [process.pid, *map(int, process.last_lines().split())]
    process.stop(timeout=2)
    alive = [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
    assert not alive
    process.stop()


def test_a_server_that_dies_is_an_error_with_its_last_lines(tmp_path):
    process = ManagedProcess(
        "broken", [sys.executable, "-c", "print('no such table'); raise SystemExit(3)"], tmp_path / "l"
    )
    with raises_code(DependencyError, "demo.server_down", match=r"(?s)broken ended with code 3.*no such table"):
        process.wait_until(lambda: False, timeout=20)


def test_a_server_that_never_answers_is_stopped(tmp_path):
    process = ManagedProcess("slow", [sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log")
    with raises_code(DependencyError, "demo.server_down"):
        process.wait_until(lambda: False, timeout=0.5)
    assert not process.running


def test_foreign_settings_and_proxies_are_not_inherited(tmp_path, monkeypatch):
    for name in ("HTTPS_PROXY", "AIRFLOW__CORE__EXECUTOR", "MLFLOW_TRACKING_PASSWORD", "VAULT_TOKEN"):
        monkeypatch.setenv(name, "foreign")
    script = "import os; print(sorted(k for k, v in os.environ.items() if v == 'foreign'), 'done')"
    with ManagedProcess("env", [sys.executable, "-c", script], tmp_path / "log") as process:
        deadline = time.monotonic() + 20
        while "done" not in process.last_lines() and time.monotonic() < deadline:
            time.sleep(0.05)
    assert process.last_lines() == "[] done"


def test_private_files_are_private_from_the_start(tmp_path):
    os.umask(os.umask(0))
    path = write_private(tmp_path / "secret", "x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_openbao_is_unsealed_and_keeps_its_token_out_of_its_command_line(tmp_path):
    with start_openbao(tmp_path) as bao:
        health = requests.get(f"{bao.url}/v1/sys/health", timeout=5).json()
        assert (health["initialized"], health["sealed"]) == (True, False)
        family = [psutil.Process(bao.process.pid), *psutil.Process(bao.process.pid).children(recursive=True)]
        assert not any(bao.root_token in " ".join(process.cmdline()) for process in family)
        assert bao.root_token not in repr(bao)
        assert bao.root_token not in bao.process.last_lines(1000)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{bao.url}/v1/sys/health", timeout=5)


def test_free_ports_are_free_ports():
    assert 1024 < free_port() < 65536
