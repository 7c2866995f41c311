"""The board in Airflow: mounted below its API server, shown where people look already. Every route asks Airflow who is
there. Nothing is built before somebody asks for a page, so that no component of Airflow starts later for it."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

    from airflow_mlgov.board.readers import Reader
    from airflow_mlgov.board.run import Task
    from airflow_mlgov.registry.protocol import Registry

_RUN = "dag_id={DAG_ID}&run_id={RUN_ID}"
_NO_DAG = "~"
"""Can be no DAG's id. Only who may read every DAG may read it; asked of none by name, an auth manager answers whether
there is one that somebody may read."""


class LazyBoard:
    """The ASGI application, made when it is first asked."""

    def __init__(self) -> None:
        self._app: FastAPI | None = None
        self._lock = threading.Lock()

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        """Answer a request."""
        if self._app is None:
            import anyio

            await anyio.to_thread.run_sync(self._make)
        assert self._app is not None  # noqa: S101
        await self._app(scope, receive, send)

    def _make(self) -> None:
        with self._lock:
            if self._app is None:
                self._app = made_board()


def made_board() -> FastAPI:
    """The board of what ``[mlgov]`` names."""
    from pathlib import Path

    from airflow_mlgov.board.app import Door, make_board
    from airflow_mlgov.board.keeper import Source
    from airflow_mlgov.configuration import home, option
    from airflow_mlgov.duty import Duty
    from airflow_mlgov.hooks.ledger import LedgerHook
    from airflow_mlgov.reports.serving import ReportDesk

    policy = option("policy")
    source = Source(
        lambda: LedgerHook(create=False).get_conn(),
        Path(option("trust_root") or home() / "trust.json"),
        Path(policy) if policy else None,
        option("environment", "default"),
        Duty.checkpoints,
    )
    return make_board(source, Door(who_is_there, _registry, tasks_of, ReportDesk()))


async def who_is_there(request: Request) -> Reader:
    """Whoever Airflow knows by the token of a request, and the DAGs that it lets them read.

    :raises NotShown: nobody is signed in, or the token is not Airflow's
    """
    import anyio
    from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
    from airflow.api_fastapi.core_api.security import resolve_user_from_token
    from fastapi import HTTPException

    from airflow_mlgov.board.pages import NotShown

    scheme, _, given = (request.headers.get("authorization") or "").partition(" ")
    token = given.strip() if scheme.lower() == "bearer" else request.cookies.get(COOKIE_NAME_JWT_TOKEN)
    try:
        user = await resolve_user_from_token(token)
    except HTTPException as error:
        raise NotShown(error.status_code, "sign in to Airflow first") from None
    return await anyio.to_thread.run_sync(_reader, user)


def _reader(user: Any) -> Reader:
    """What somebody may read: what Airflow says of each DAG; all of the ledger, if it lets them read its connections,
    of which one leads to the ledger, and the audit log of every DAG."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails

    from airflow_mlgov.board.readers import Reader

    manager = get_auth_manager()
    everything = manager.is_authorized_connection(method="GET", user=user) and manager.is_authorized_dag(
        method="GET", access_entity=DagAccessEntity.AUDIT_LOG, details=DagDetails(id=_NO_DAG), user=user
    )
    dags = manager.get_authorized_dag_ids(user=user)
    return Reader(str(user.get_name()), bool(everything), frozenset(dags))


def _registry() -> Registry:
    from airflow_mlgov.duty import Duty

    return Duty("board").mlflow.registry()


def tasks_of(dag_id: str, run_id: str) -> Sequence[Task]:
    """The tasks of a run as Airflow has them, and who has set the state of one by hand."""
    from airflow.models.log import Log
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    from airflow_mlgov.board.run import Task
    from airflow_mlgov.plugins.governed import is_governed
    from airflow_mlgov.plugins.marks import EVENTS, concerns

    of_run = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
    asked = select(
        TaskInstance.task_id, TaskInstance.state, TaskInstance.operator, TaskInstance.start_date,
        TaskInstance.end_date, TaskInstance.map_index,
    )  # fmt: skip
    marked = (
        select(Log.event, Log.task_id, Log.run_id, Log.owner, Log.dttm, Log.extra)
        .where(Log.dag_id == dag_id, Log.run_id == run_id, Log.event.in_(EVENTS))
        .order_by(Log.dttm)
    )
    with create_session() as session:
        found = session.execute(asked.where(*of_run)).all()
        marks = session.execute(marked).all()
    tasks = []
    for row in found:
        mine = [mark for mark in marks if concerns(mark, row.task_id, row.map_index)]
        last = mine[-1] if mine else None
        by_hand = last is not None and (row.start_date is None or last.dttm >= row.start_date)
        never_ran = row.state == "success" and row.start_date is None and is_governed(row.operator)
        who = str(last.owner) if last is not None and by_hand else "somebody" if never_ran else ""
        at = last.dttm if last is not None and by_hand else row.end_date
        state, governed = str(row.state or ""), is_governed(row.operator)
        tasks.append(Task(row.task_id, state, governed, who, at, row.map_index))
    return tasks


def views() -> list[dict[str, Any]]:
    """Where Airflow shows the pages."""
    from airflow_mlgov.configuration import board_page

    pages = (("Governance board", "board"), ("Waivers and obligations", "waivers"), ("Audit log of models", "audit"),
             ("Governance policy", "policy"))  # fmt: skip
    shown = [
        {
            "name": name,
            "href": board_page(page),
            "destination": "nav",
            "category": "browse",
            "url_route": f"mlgov-{page}",
        }
        for name, page in pages
    ]
    gates = (("dag_run", _RUN), ("task", "dag_id={DAG_ID}&task_id={TASK_ID}"),
             ("task_instance", f"{_RUN}&task_id={{TASK_ID}}"))  # fmt: skip
    return shown + [
        {
            "name": "Gates",
            "href": f"{board_page('run')}?{query}",
            "destination": place,
            "url_route": f"mlgov-gates-{place.replace('_', '-')}",
        }
        for place, query in gates
    ]


def card() -> dict[str, Any]:
    """The card on Airflow's home page."""
    from airflow_mlgov.configuration import board_page

    return {
        "name": "ML governance",
        "bundle_url": board_page("card.js"),
        "destination": "dashboard",
        "url_route": "mlgov-card",
    }
