"""Starts the demo's servers (OpenBao, MLflow, Airflow) on free loopback ports, each in its own process group with a log
file, and ends them again. Refuses to put a secret on a command line; if a server reads a file, not in its
environment either; and ends only what it started itself."""

from __future__ import annotations

import atexit
import configparser
import contextlib
import io
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from airflow_mlgov.errors import ConfigurationError, DependencyError

LOOPBACK = "127.0.0.1"
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
_FOREIGN_SETTINGS = ("AIRFLOW", "MLFLOW_", "VAULT_", "BAO_")
_LOG_LINES_IN_ERRORS = 25


def free_port() -> int:
    """A TCP port on the loopback interface that nobody listens on right now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def binary(name: str) -> str:
    """The path of a console script that sits beside this interpreter.

    :raises ConfigurationError: it is not installed; the message names the extra to install
    """
    path = Path(sys.executable).parent / name
    if not path.is_file():
        raise ConfigurationError(
            f"{name} is not installed beside {sys.executable}: install the 'demo' extra", code="demo.not_installed"
        )
    return str(path)


def http_session() -> requests.Session:
    """A session that ignores proxies and .netrc: everything here is on the loopback interface."""
    session = requests.Session()
    session.trust_env = False
    return session


def write_private(path: Path, text: str) -> Path:
    """Write ``text`` to ``path``, readable by the owner alone from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return path


class ManagedProcess:
    """A child in its own session whose output goes to a log file, and which does not outlive this process.

    :param name: what to call it in messages
    :param argv: the command; it must not carry a secret, for every user of the machine can read it
    :param log: the file that takes stdout and stderr
    :param env: variables on top of this process's; its proxies (all traffic is loopback) and its settings for Airflow,
        MLflow and Vault are dropped
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        inherited = {
            key: value
            for key, value in os.environ.items()
            if key.lower() not in _PROXY_VARIABLES and not key.startswith(_FOREIGN_SETTINGS)
        }
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**inherited, "NO_PROXY": f"{LOOPBACK},localhost", "NO_COLOR": "1", **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._stopped = False
        atexit.register(self.stop)

    @property
    def running(self) -> bool:
        """Whether the first process of the group is still there."""
        return self._process.poll() is None

    def last_lines(self, count: int = _LOG_LINES_IN_ERRORS) -> str:
        """The end of the log, for an error message."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def wait_until(self, ready: Callable[[], bool], *, timeout: float, poll: float = 0.25) -> None:
        """Poll ``ready`` until it says yes.

        :raises DependencyError: the process ended, or ``timeout`` seconds passed; the message ends with its last log
            lines, and the process is stopped
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not self.running:
                why = f"ended with code {self._process.returncode} before it was ready"
                break
            with contextlib.suppress(requests.RequestException, OSError):
                if ready():
                    return
            time.sleep(poll)
        else:
            why = f"was not ready after {timeout:.0f} s"
        self.stop()
        raise DependencyError(
            f"{self.name} {why}; the log is {self.log} and ends:",
            code="demo.server_down",
            more=self.last_lines().splitlines(),
        )

    def stop(self, timeout: float = 15.0) -> None:
        """SIGTERM to the whole group, SIGKILL to what is left after ``timeout`` seconds. Safe to call twice."""
        if self._stopped:
            return
        self._stopped = True
        atexit.unregister(self.stop)
        family = _descendants(self.pid)  # some children leave the group; remember them while their parents live
        _signal_group(self.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        if not _gone(family, timeout=2.0):
            _signal_group(self.pid, signal.SIGKILL)
            for process in family:
                with contextlib.suppress(Exception):
                    process.kill()  # psutil compares the start time, so a re-used pid is never hit
            _gone(family, timeout=5.0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _descendants(pid: int) -> list[Any]:
    import psutil  # type: ignore[import-untyped]

    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _gone(processes: Sequence[Any], *, timeout: float) -> bool:
    import psutil

    _, alive = psutil.wait_procs(processes, timeout=timeout)
    return not [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


@dataclass(frozen=True)
class Server:
    """A running server: where it is, and the process to stop."""

    url: str
    process: ManagedProcess

    def stop(self) -> None:
        """End it, and everything it started."""
        self.process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@dataclass(frozen=True)
class OpenBao(Server):
    """A Vault-compatible server, unsealed, with nothing mounted yet."""

    root_token: str = field(repr=False)
    unseal_key: str = field(repr=False)


@dataclass(frozen=True)
class Mlflow(Server):
    """An MLflow server with basic authentication."""

    admin_username: str
    admin_password: str = field(repr=False)


@dataclass(frozen=True)
class Airflow(Server):
    """``airflow standalone``: API server, scheduler with LocalExecutor, DAG processor, triggerer."""

    home: Path
    passwords: Mapping[str, str] = field(repr=False)
    """User name -> password, made for this run."""

    @property
    def log(self) -> Path:
        """What its components say, the scheduler's lines among them."""
        return self.process.log


def start_openbao(directory: Path, *, timeout: float = 60.0) -> OpenBao:
    """An in-memory OpenBao, initialised and unsealed over its API, so that its root token exists only in our memory.

    :raises DependencyError: it did not come up
    """
    port = free_port()
    cluster_port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    config = write_private(
        directory / "openbao.hcl",
        'storage "inmem" {}\n'
        f'listener "tcp" {{\n  address = "{LOOPBACK}:{port}"\n  cluster_address = "{LOOPBACK}:{cluster_port}"\n'
        "  tls_disable = true\n}\n"
        f'api_addr = "{url}"\ncluster_addr = "http://{LOOPBACK}:{cluster_port}"\n',
    )
    process = ManagedProcess("OpenBao", [binary("bao"), "server", f"-config={config}"], directory / "openbao.log")
    http = http_session()
    process.wait_until(lambda: http.get(f"{url}/v1/sys/health", timeout=2).status_code in (200, 501), timeout=timeout)
    made = http.put(f"{url}/v1/sys/init", json={"secret_shares": 1, "secret_threshold": 1}, timeout=30)
    made.raise_for_status()
    unseal_key = made.json()["keys_base64"][0]
    http.put(f"{url}/v1/sys/unseal", json={"key": unseal_key}, timeout=30).raise_for_status()
    process.wait_until(lambda: http.get(f"{url}/v1/sys/health", timeout=2).status_code == 200, timeout=timeout)
    return OpenBao(url=url, process=process, root_token=made.json()["root_token"], unseal_key=unseal_key)


def start_mlflow(
    directory: Path, admin_password: str | None = None, *, default_permission: str = "READ", timeout: float = 180.0
) -> Mlflow:
    """MLflow with basic authentication, SQLite and artifacts through its own proxy.

    :param default_permission: what a signed-in user may do without a grant (``READ``, ``NO_PERMISSIONS``, ``EDIT`` …)
    :raises DependencyError: it did not come up
    """
    directory.mkdir(parents=True, exist_ok=True)
    password = admin_password or secrets.token_urlsafe(18)
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    auth = configparser.ConfigParser(interpolation=None)
    auth["mlflow"] = {
        "default_permission": default_permission,
        "database_uri": f"sqlite:///{directory}/auth.db",
        "admin_username": "admin",
        "admin_password": password,
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
    }
    auth_file = write_private(directory / "basic_auth.ini", _ini(auth))
    process = ManagedProcess(
        "MLflow",
        [
            *(binary("mlflow"), "server", "--app-name", "basic-auth", "--host", LOOPBACK, "--port", str(port)),
            *("--workers", "1", "--backend-store-uri", f"sqlite:///{directory}/mlflow.db"),
            *("--artifacts-destination", str(directory / "artifacts")),
        ],
        directory / "mlflow.log",
        env={
            "MLFLOW_AUTH_CONFIG_PATH": str(auth_file),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(32),  # MLflow reads it from nowhere else
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        cwd=directory,
    )
    http = http_session()
    process.wait_until(lambda: http.get(f"{url}/health", timeout=2).status_code == 200, timeout=timeout)
    return Mlflow(url=url, process=process, admin_username="admin", admin_password=password)


def start_airflow(
    directory: Path,
    *,
    dags_folder: Path,
    users: Mapping[str, str],
    connections: Mapping[str, Mapping[str, Any]],
    mlgov: Mapping[str, str],
    sections: Mapping[str, Mapping[str, str]] | None = None,
    parallelism: int = 4,
    command: Sequence[str] = (),
    timeout: float = 300.0,
) -> Airflow:
    """``airflow standalone`` on SQLite with LocalExecutor.

    Everything, secrets included, is in files of mode 0600 below ``directory``: the JWT secret in ``airflow.cfg``,
    the connections in a file that Airflow's local secrets backend reads. The environment carries paths only.

    :param users: name -> role of the simple auth manager (``viewer``, ``user``, ``op``, ``admin``)
    :param connections: connection id -> its fields (``conn_type``, ``host``, ``login``, ``password``, ``extra`` …)
    :param mlgov: options of the ``[mlgov]`` section
    :param sections: further ``airflow.cfg`` sections, over the ones made here
    :param command: what starts its components instead of ``airflow standalone``
    :raises DependencyError: it did not come up
    """
    home = directory / "airflow"
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    passwords = {name: secrets.token_urlsafe(12) for name in users}
    password_file = write_private(home / "passwords.json", json.dumps(passwords))
    connections_file = write_private(home / "connections.json", json.dumps(connections))
    backend = {
        "backend": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
        "backend_kwargs": json.dumps({"connections_file_path": str(connections_file)}),
    }
    config = configparser.ConfigParser(interpolation=None)
    config.read_dict(
        {
            "core": {
                "dags_folder": str(dags_folder),
                "plugins_folder": str(home / "plugins"),
                "load_examples": "False",
                "executor": "LocalExecutor",
                "parallelism": str(parallelism),
                "dags_are_paused_at_creation": "False",
                "simple_auth_manager_users": ",".join(f"{name}:{role}" for name, role in users.items()),
                "simple_auth_manager_passwords_file": str(password_file),
                "execution_api_server_url": f"{url}/execution/",
                "fernet_key": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            },
            "database": {"sql_alchemy_conn": f"sqlite:///{home}/airflow.db"},
            "api": {"host": LOOPBACK, "port": str(port), "workers": "1", "base_url": url},
            "api_auth": {"jwt_secret": secrets.token_urlsafe(64)},
            "dag_processor": {"refresh_interval": "5", "min_file_process_interval": "30"},
            "scheduler": {"enable_health_check": "False"},
            "logging": {"base_log_folder": str(home / "logs"), "logging_level": "INFO"},
            "usage_data_collection": {"enabled": "False"},
            "secrets": backend,
            "workers": {
                "execution_api_timeout": "60",  # a busy machine answers late, and a task would be killed after five
                **{"secrets_" + key: value for key, value in backend.items()},
            },
            "mlgov": dict(mlgov),
        }
    )
    config.read_dict(sections or {})
    write_private(home / "airflow.cfg", _ini(config))
    process = ManagedProcess(
        "Airflow",
        command or [binary("airflow"), "standalone"],
        directory / "airflow.log",
        env={
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONFIG": str(home / "airflow.cfg"),
            # standalone finds its own components, and the tasks theirs, by name
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        },
        cwd=directory,
    )
    http = http_session()

    def healthy() -> bool:
        parts = http.get(f"{url}/api/v2/monitor/health", timeout=5).json()
        needed = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return all((parts.get(part) or {}).get("status") == "healthy" for part in needed)

    process.wait_until(healthy, timeout=timeout, poll=1.0)
    return Airflow(url=url, process=process, home=home, passwords=passwords)


def _ini(config: configparser.ConfigParser) -> str:
    text = io.StringIO()
    config.write(text)
    return text.getvalue()
