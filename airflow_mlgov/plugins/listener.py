"""Notices manual state changes of gates, and the start of the DAG processor. It warns and has the change noted in the
ledger; it forbids nothing, for promotion reads no task state anyway."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.listeners import hookimpl

from airflow_mlgov.plugins.governed import is_watched
from airflow_mlgov.plugins.observer import OBSERVER, notice
from airflow_mlgov.words import line

log = logging.getLogger(__name__)


@hookimpl
def on_starting() -> None:
    """Import the operators once where the DAG processor starts, before it forks a child for every parse of every file:
    what Airflow does for the operators under ``airflow.*``, and for nobody else's."""
    if "airflow.dag_processing.manager" not in sys.modules:
        return
    from airflow_mlgov.provider_info import get_provider_info

    info = get_provider_info()
    for part in (*info["operators"], *info["sensors"]):
        for module in part["python-modules"]:
            importlib.import_module(module)


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """A gate became green without running: the API server fires this with no previous state."""
    _task_was_set("success", previous_state, task_instance)


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any) -> None:
    """The same, red."""
    _task_was_set("failed", previous_state, task_instance)


@hookimpl
def on_task_instance_skipped(previous_state: Any, task_instance: Any) -> None:
    """The same, pink; not on Airflow 3.1, which tells nobody."""
    _task_was_set("skipped", previous_state, task_instance)


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    """A run was painted green: the scheduler always gives a reason that is not this one."""
    _run_was_set("success", dag_run, msg)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """The same, red."""
    _run_was_set("failed", dag_run, msg)


def _task_was_set(state: str, previous_state: Any, task_instance: Any) -> None:
    with _whatever_happens():
        if previous_state is not None or not is_watched(operator := getattr(task_instance, "operator", None)):
            return
        noticed = notice("task.marked", state, task_instance, str(operator))
        log.warning(
            "%s was set to %s by hand: it has no evidence from this, and promotion will not count it",
            line(noticed),
            line(state),
        )
        OBSERVER.take(noticed)


def _run_was_set(state: str, dag_run: Any, msg: str) -> None:
    with _whatever_happens():
        if not msg or "manually set" in msg:  # Airflow 3.1 says nothing
            OBSERVER.take(notice("run.marked", state, dag_run))


@contextmanager
def _whatever_happens() -> Iterator[None]:
    """Airflow leaves out the listeners that come after one that raises, and they are other people's."""
    try:
        yield
    except Exception as error:
        log.error("a state that was set by hand was not noticed: %s", line(type(error).__name__))
