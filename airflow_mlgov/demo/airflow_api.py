"""The few calls of Airflow's REST API that the demo's people make: trigger, look, answer an approval, mark a task. Each
is made as a named user; nothing here reaches around the API."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote

import requests

from airflow_mlgov.demo.servers import Airflow, http_session
from airflow_mlgov.errors import ConfigurationError, DependencyError

WAITING = "awaiting_input"
FINISHED = frozenset({"success", "failed"})
HITL_SETTLE_SECONDS = 4.0
"""Answering sooner races the scheduler, which may then fail the task (apache/airflow 67287)."""


class AirflowUser:
    """One person signed in to Airflow.

    :raises DependencyError: Airflow refuses the log-in
    """

    def __init__(self, airflow: Airflow, name: str) -> None:
        self.name = name
        self.airflow = airflow
        self._http = http_session()
        answer = self._http.post(
            f"{airflow.url}/auth/token", json={"username": name, "password": airflow.passwords[name]}, timeout=60
        )
        _require(answer, f"sign {name} in")
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def wait_for_dag(self, dag_id: str, timeout: float = 120.0) -> None:
        """Until the DAG processor has parsed the DAG.

        :raises ConfigurationError: it cannot be imported, with Airflow's message
        :raises DependencyError: it does not appear
        """

        def parsed() -> bool:
            if self._call("GET", f"dags/{dag_id}").ok:
                return True
            errors = self._call("GET", "importErrors").json().get("import_errors") or []
            if errors:
                raise ConfigurationError(
                    "Airflow cannot import the DAG:",
                    code="demo.dag_broken",
                    more=errors[0]["stack_trace"][-2000:].splitlines(),
                )
            return False

        _poll(parsed, timeout, f"the DAG {dag_id}")

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> Run:
        """Start a run, without waiting for it."""
        answer = self._call("POST", f"dags/{dag_id}/dagRuns", {"logical_date": None, "conf": dict(conf)})
        _require(answer, f"trigger {dag_id}")
        return Run(self, dag_id, answer.json()["dag_run_id"])

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> requests.Response:
        try:
            return self._http.request(
                method,
                f"{self.airflow.url}/api/v2/{path}",
                json=body,
                headers={"Accept": "application/json"},
                timeout=180,
            )
        except requests.RequestException as error:
            raise DependencyError(
                f"Airflow does not answer: {type(error).__name__}", code="demo.airflow_down"
            ) from None

    def look(self, path: str) -> Any:
        """GET one document.

        :raises DependencyError: Airflow says no
        """
        answer = self._call("GET", path)
        _require(answer, f"read {path}")
        return answer.json()

    def answer_approval(self, run: Run, task: str, *, approve: bool, reason: str) -> int:
        """Answer a waiting approval, with what the form showed; returns the HTTP status (403: not theirs to give)."""
        form = self.look(f"{run.path}/taskInstances/{task}/-1/hitlDetails")
        shown = {name: _default(param) for name, param in (form.get("params") or {}).items()}
        body = {"chosen_options": ["Approve" if approve else "Reject"], "params_input": {**shown, "reason": reason}}
        return self._call("PATCH", f"{run.path}/taskInstances/{task}/-1/hitlDetails", body).status_code

    def mark_success(self, run: Run, task: str) -> None:
        """What the green tick in the UI does; every user with the role ``user`` may."""
        answer = self._call("PATCH", f"{run.path}/taskInstances/{task}", {"new_state": "success"})
        _require(answer, f"mark {task} as success")


class Run:
    """One DAG run, seen by the user who started it."""

    def __init__(self, user: AirflowUser, dag_id: str, run_id: str) -> None:
        self._user = user
        self.dag_id = dag_id
        self.run_id = run_id
        self.path = f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"

    def state(self) -> str:
        """Of the run as a whole."""
        return str(self._user.look(self.path)["state"])

    def tasks(self) -> dict[str, str | None]:
        """Task -> its state."""
        found = self._user.look(f"{self.path}/taskInstances")["task_instances"]
        return {item["task_id"]: item["state"] for item in found}

    def tries(self, task: str) -> int:
        """How often a task has run."""
        return int(self._user.look(f"{self.path}/taskInstances/{task}")["try_number"])

    def wait(self, timeout: float = 300.0) -> dict[str, str | None]:
        """Until the run has ended; the states of its tasks.

        :raises DependencyError: it has not, and no task has changed for ``timeout`` seconds
        """
        _poll(lambda: self.state() in FINISHED, timeout, f"the end of {self.run_id}", self.tasks)
        return self.tasks()

    def wait_for_task(
        self, task: str, states: Collection[str], *, timeout: float = 300.0, until_run_ends: bool = True
    ) -> str:
        """Until a task is in one of ``states``, or (unless ``until_run_ends`` is off) the run has ended; its state.

        :raises DependencyError: neither, and no task has changed for ``timeout`` seconds
        """
        _poll(
            lambda: self.tasks().get(task) in states or (until_run_ends and self.state() in FINISHED),
            timeout,
            f"{task} of {self.run_id}",
            self.tasks,
        )
        return str(self.tasks().get(task))

    def wait_for_question(self, task: str, *, after_try: int, timeout: float = 300.0) -> bool:
        """Until a task asks in a later try than ``after_try`` and the scheduler has heard of it (True), or the run has
        ended (False).

        :raises DependencyError: neither, and no task has changed for ``timeout`` seconds
        """

        def asks() -> bool:
            return self.tasks().get(task) == WAITING and self.tries(task) > after_try and self.heard(task)

        _poll(lambda: asks() or self.state() in FINISHED, timeout, f"{task} of {self.run_id}", self.tasks)
        if not asks():
            return False
        time.sleep(HITL_SETTLE_SECONDS)
        return True

    def heard(self, task: str) -> bool:
        """Whether the scheduler knows of each time that the task was parked: it fails a try that is answered before."""
        said = self._user.airflow.log.read_text(errors="replace").splitlines()
        mine = [line for line in said if self.run_id in line and re.search(rf"\b{re.escape(task)}\b", line)]
        parked = sum("Pausing task as AWAITING_INPUT" in line for line in mine)
        return parked <= sum("Received executor event" in line for line in mine)

    def log(self, task: str) -> str:
        """The text of a task's last try, a line per event, with what an exception said."""
        content = self._user.look(f"{self.path}/taskInstances/{task}/logs/{max(self.tries(task), 1)}")["content"]
        lines = []
        for event in content:
            if isinstance(event, str):
                lines.append(event)
                continue
            lines.append(str(event.get("event", "")))
            lines += [str(detail.get("exc_value", "")) for detail in event.get("error_detail") or ()]
        return "\n".join(line for line in lines if line)


def _default(param: Any) -> Any:
    return param.get("value") if isinstance(param, Mapping) else param


def _require(answer: requests.Response, what: str) -> None:
    if not answer.ok:
        raise DependencyError(
            f"Airflow would not {what}: {answer.status_code} {answer.text[:300]}", code="demo.airflow_refused"
        )


def _poll(
    done: Callable[[], bool], timeout: float, what: str, state: Callable[[], object] | None = None, every: float = 1.0
) -> None:
    """Until it is done. Patience begins anew with each change of ``state``, for a busy machine is slow and not stuck,
    up to four times in all."""
    began = changed = time.monotonic()
    seen = None
    while not done():
        now, before = time.monotonic(), seen
        seen = state() if state else None
        changed = changed if seen == before else now
        if now > min(changed + timeout, began + 4 * timeout):
            last = f"; last seen: {seen}" if state else ""
            raise DependencyError(f"waited {now - began:.0f} s for {what} in vain{last}", code="demo.timeout")
        time.sleep(every)
