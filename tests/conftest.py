"""Settings that must stand before Airflow or MLflow is imported, and the servers that tests share."""

import os
import sys
import tempfile
from pathlib import Path

# Servers and children start dozens of times: what they compile is kept, also where an image sets this for its own size.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

_HOME = tempfile.mkdtemp(prefix="mlgov-tests-")
for _name in list(os.environ):
    if _name.startswith(("AIRFLOW_", "MLFLOW_", "VAULT_", "BAO_")):
        del os.environ[_name]
os.environ.update(
    {
        "AIRFLOW_HOME": _HOME,
        "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": f"{_HOME}/dags",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__OPENLINEAGE__DISABLED": "True",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GX_ANALYTICS_ENABLED": "false",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
)

import gc  # noqa: E402
import shutil  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

import pytest  # noqa: E402

from tests.fixtures import lanes  # noqa: E402
from tests.fixtures import run as test_run  # noqa: E402
from tests.fixtures.airflow_runner import TaskRun, run_one_task  # noqa: E402
from tests.fixtures.mlflow_server import MlflowServer, start_shared  # noqa: E402
from tests.fixtures.opa_over_tls import OpaServerOfTests, running_opa  # noqa: E402
from tests.fixtures.openbao import OpenBaoServer, running_openbao  # noqa: E402
from tests.fixtures.postgres import new_database, postgres_bindir, start_postgres  # noqa: E402
from tests.fixtures.shell import Run, command_line  # noqa: E402
from tests.fixtures.spark import has_java, start_spark  # noqa: E402

if TYPE_CHECKING:
    from airflow_mlgov.admission.opa import OpaServer
    from tests.worlds.exceptions import Exceptions
    from tests.worlds.fleet import Fleet
    from tests.worlds.governed import Governed
    from tests.worlds.live import LiveWorld
    from tests.worlds.release import Release
    from tests.worlds.with_fab import FabWorld


def pytest_configure() -> None:
    gc.disable()
    test_run.begin()


def pytest_unconfigure() -> None:
    test_run.end()
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        lanes.mark(item)
    # the lanes take longest and mostly wait: beside other workers they begin first, in a single process they are last
    worker = "PYTEST_XDIST_WORKER" in os.environ
    items.sort(key=lambda item: lanes.place(item, first=worker))
    if worker:
        lanes.write_groups(items)


def pytest_collection_finish() -> None:
    """What was imported and collected stays: the garbage collector needs not look through a million objects for it,
    neither meanwhile, which would be a quarter of what collecting costs, nor later."""
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> lanes.Lanes:
    config.option.loadscopereorder = False
    return lanes.Lanes(config, log)


@pytest.fixture(scope="module")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBaoServer]:
    """A real Vault-compatible server with KV v2 at ``secret``, Transit and AppRole. It starts in half a second, so each
    module has its own: keys, roles and policies have fixed names, and a key keeps the type that it was made with."""
    with running_openbao(tmp_path_factory.mktemp("openbao")) as server:
        yield server


@pytest.fixture(scope="session")
def mlflow_server() -> MlflowServer:
    """A real MLflow server with basic authentication, one for all workers; about 15 seconds to start."""
    return MlflowServer(**test_run.shared("mlflow", start_shared))


@pytest.fixture(scope="session")
def fleet(mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> "Fleet":
    """Six models on one ledger, in six situations. It takes long to make: whoever uses it is of the group ``board``,
    and whoever writes to its ledger takes a copy."""
    from tests.worlds.fleet import make_fleet

    return make_fleet(tmp_path_factory.mktemp("fleet"), mlflow_server, "fleet_")


@pytest.fixture(scope="session")
def opa_over_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpaServerOfTests]:
    """A real OPA server: TLS, a token. It starts in a quarter of a second, so each worker has its own: what is asked of
    it stands in one package."""
    if shutil.which("opa") is None:
        pytest.skip("no program opa on the PATH (go install github.com/open-policy-agent/opa)")
    with running_opa(tmp_path_factory.mktemp("opa-tls")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """A real PostgreSQL, one for all workers: the URL of its own database, without password."""
    if postgres_bindir() is None:
        pytest.skip("no PostgreSQL binaries on this machine")
    return str(test_run.shared("postgres", start_postgres)["url"])


@pytest.fixture(scope="module")
def postgres(postgres_server: str) -> str:
    """The SQLAlchemy URL, without password, of a new database (password: ``tests.fixtures.postgres.PASSWORD``)."""
    return new_database(postgres_server)


@pytest.fixture(scope="session")
def spark_server() -> str:
    """A real Spark Connect server, one for all workers: its ``sc://`` URL; that which ``MLGOV_TEST_SPARK`` names, if it
    reads the files of this machine."""
    if named := os.environ.get("MLGOV_TEST_SPARK"):
        return named
    if not has_java():
        pytest.skip("Spark needs Java 17, and there is none on this machine")
    return str(test_run.shared("spark", start_spark)["url"])


@pytest.fixture(scope="session")
def live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer
) -> Iterator["LiveWorld"]:
    """Real Airflow, MLflow and OpenBao, on which every collected ``@attack`` is under way."""
    from tests.worlds.live import attacks_under_way

    server = request.getfixturevalue("postgres_server") if postgres_bindir() else None
    with attacks_under_way(tmp_path_factory.mktemp("live"), mlflow_server, server, request.session.items) as world:
        yield world


@pytest.fixture(scope="session")
def fab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer
) -> Iterator["FabWorld"]:
    """Real Airflow with the auth manager of Flask AppBuilder; whoever uses it is of the group ``airflow-fab``."""
    from tests.live.environments import WITH_FAB, CannotBuild, python_of
    from tests.worlds.with_fab import fab_world

    try:
        python = python_of(WITH_FAB)
    except CannotBuild as error:
        pytest.skip(f"Flask AppBuilder's auth manager cannot be installed here: {error}")
    server = request.getfixturevalue("postgres_server") if postgres_bindir() else None
    with fab_world(tmp_path_factory.mktemp("fab"), python, mlflow_server, server) as world:
        yield world


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """An initialised Airflow database, for ``dag.test()``."""
    from airflow.utils import db

    Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).mkdir(exist_ok=True)
    db.initdb()


@pytest.fixture
def run_task() -> TaskRun:
    """Run one operator through Airflow's real task runner: ``run_task(operator, conf=..., user=...)``."""
    return run_one_task


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``run("gate", "data", …)`` -> exit code, stdout, stderr."""
    return command_line(monkeypatch, capsys)


@pytest.fixture
def governed(tmp_path: Path, mlflow_server: MlflowServer) -> "Governed":
    """A governed model on a real MLflow server, without Airflow."""
    from tests.worlds.governed import Governed

    return Governed(tmp_path, mlflow_server)


@pytest.fixture
def exceptions(governed: "Governed") -> "Exceptions":
    """The same, with people who may sign for what fails."""
    from tests.worlds.exceptions import Exceptions

    return Exceptions(governed)


@pytest.fixture
def release(
    tmp_path: Path, mlflow_server: MlflowServer, run_task: TaskRun, monkeypatch: pytest.MonkeyPatch
) -> "Release":
    """The operators of one governed DAG, each run through Airflow's task runner."""
    from tests.worlds.release import new_release

    return new_release(tmp_path, mlflow_server, run_task, monkeypatch.setenv)


@pytest.fixture(scope="session")
def opa_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["OpaServer"]:
    """A real OPA with the shipped rules of admission and the rules of ``tests.worlds.admission`` for two namespaces."""
    from airflow_mlgov.admission.opa import OpaServer
    from tests.fixtures.opa import WITHOUT_OPA, opa_binary, running_opa
    from tests.worlds.admission import bundle

    if opa_binary() is None:
        pytest.skip(WITHOUT_OPA)
    folder = tmp_path_factory.mktemp("opa")
    made, revision = bundle(folder)
    with running_opa(made, folder) as (url, _):
        yield OpaServer(url, revision)
