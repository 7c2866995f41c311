"""The worlds, as fixtures. Tests that do without Airflow come first; on PostgreSQL it starts, and is attacked,
meanwhile. On SQLite, which takes less, the attacks wait for them and are fewer at once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.postgres import postgres_bindir
from tests.worlds.guarded import Guarded
from tests.worlds.live import LiveWorld, live_world

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the live attacks behind all others of this folder."""
    mine = [index for index, item in enumerate(items) if HERE in item.path.parents]
    ordered = sorted((items[index] for index in mine), key=lambda item: item.get_closest_marker("live") is not None)
    for index, item in zip(mine, ordered, strict=True):
        items[index] = item


@pytest.fixture
def guarded(tmp_path: Path, mlflow_server: MlflowServer) -> Guarded:
    """A governed model on a real MLflow server, without Airflow."""
    return Guarded(tmp_path, mlflow_server)


@pytest.fixture(scope="session", autouse=True)
def starting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], LiveWorld] | None]:
    """If a test needs it: waits for real Airflow, MLflow and OpenBao, on which every collected ``@attack`` is made."""
    items = [item for item in request.session.items if HERE in item.path.parents and item.get_closest_marker("live")]
    if not items:
        yield None
        return
    bodies: dict[str, Any] = {item.name: getattr(item.function, "attack", None) for item in items}  # type: ignore[attr-defined]
    server: MlflowServer = request.getfixturevalue("mlflow_server")
    folder, at_once = tmp_path_factory.mktemp("live"), postgres_bindir() is not None
    with ExitStack() as stack, ThreadPoolExecutor(32 if at_once else 4) as pool:

        def start() -> LiveWorld:
            world = stack.enter_context(live_world(folder, server))
            world.user("alice").wait_for_dag("judges_another")
            world.attacks.update({name: pool.submit(body, world) for name, body in bodies.items() if body})
            return world

        yield pool.submit(start).result if at_once else start


@pytest.fixture(scope="session")
def live(starting: Callable[[], LiveWorld]) -> LiveWorld:
    """The world that has Airflow, when it is up."""
    return starting()
