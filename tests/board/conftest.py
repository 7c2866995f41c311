"""A fleet on one ledger, made once, and its board as a client sees it."""

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from airflow_mlgov.board.app import Door, make_board
from airflow_mlgov.board.readers import EVERYTHING, Reader
from airflow_mlgov.reports.serving import ReportDesk
from tests.worlds.fleet import Fleet


def always(reader: Reader) -> Callable[[Any], Awaitable[Reader]]:
    """Somebody who is there."""

    async def who(_: Any) -> Reader:
        return reader

    return who


def settled(client: TestClient) -> TestClient:
    """Once every entry was walked and every model judged, however busy the machine."""
    until = time.monotonic() + 120
    while 'http-equiv="refresh"' in client.get("/board").text:
        assert time.monotonic() < until
    return client


@pytest.fixture(scope="session")
def board(fleet: Fleet) -> Iterator[TestClient]:
    """The pages for somebody who may read all."""
    registry = fleet["credit_risk"].registry
    with TestClient(
        make_board(fleet.source, Door(always(EVERYTHING), lambda: registry, reports=ReportDesk()))
    ) as client:
        yield settled(client)


@pytest.fixture(scope="session")
def board_for(fleet: Fleet) -> Callable[[Reader], TestClient]:
    """The pages for somebody."""
    return lambda reader: settled(TestClient(make_board(fleet.source, Door(always(reader), reports=ReportDesk()))))
