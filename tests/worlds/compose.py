"""``docker-compose.yaml`` without Docker: each service's own command as a plain process in a folder that stands for its
container. Nothing of the file is left out; host names, ports and paths are mapped by the tables here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from airflow_mlgov.demo.servers import LOOPBACK, ManagedProcess, free_port
from tests.fixtures.postgres import postgres_bindir
from tests.live.waiting import patience, until

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yaml"
PORTS = {
    "postgres": (5432,),
    "redis": (6379,),
    "s3": (7070,),
    "openbao": (8200, 8201),
    "opa": (8181,),
    "mlflow": (5000,),
    "airflow-apiserver": (8080,),
    "airflow-scheduler": (8974,),
}
"""Service -> the ports that it listens on in its container."""
ENTRYPOINTS = {"s3": ["versitygw"]}
"""Service -> the program that its image begins with, where the file names none."""
OF_IMAGE = {"AIRFLOW_HOME": "/opt/airflow"}
"""What our image sets for each process, and a folder that it brings."""
LIMIT = 100_000


def services() -> dict[str, dict[str, Any]]:
    """The services, as they stand in the file."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
    return found


@dataclass
class Compose:
    """The file, brought up in a folder.

    :param folder: empty, and other users may look into the folders above it
    :param python: with Airflow, Celery and MLflow: what the image has
    :param programs: further programs by name
    """

    folder: Path
    python: Path
    programs: Mapping[str, Path] = field(default_factory=dict)
    processes: dict[str, ManagedProcess] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.services = services()
        self.ports = {(name, port): free_port() for name, several in PORTS.items() for port in several}
        (self.folder / "dags" / "include").mkdir(parents=True)
        made = [sys.executable, str(ROOT / "deploy" / "compose" / "init.py"), str(self.folder)]
        subprocess.run(made, check=True, capture_output=True, text=True)
        self._programs()

    def _programs(self) -> None:
        """A folder of programs that stands for what the images have."""
        beside = Path(sys.executable).parent
        bindir = postgres_bindir()
        assert bindir
        links = {"bao": beside / "bao", "postgres": bindir / "postgres", "pg_isready": bindir / "pg_isready"}
        self.bin.mkdir()
        for name, path in {**links, **self.programs}.items():
            (self.bin / name).symlink_to(path)
        for name, words in {"python": "", "airflow": "-m airflow", "mlflow": "-m mlflow"}.items():
            (self.bin / name).write_text(f'#!/bin/sh\nexec {self.python} {words} "$@"\n')
            (self.bin / name).chmod(0o755)

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @cached_property
    def dotenv(self) -> dict[str, str]:
        """What ``.env`` says."""
        return dict(line.split("=", 1) for line in (self.folder / ".env").read_text().splitlines())

    def url(self, service: str) -> str:
        """Where a service that speaks HTTP listens."""
        return f"http://{LOOPBACK}:{self.ports[service, PORTS[service][0]]}"

    # -- the tables ----------------------------------------------------------------------------------------------------

    def mapped(self, service: str, text: str) -> str:
        """What the file says, for this machine: interpolated, each address and path once."""
        text = re.sub(r"\$\{(\w+)(?::\?[^}]*)?\}", lambda found: self.dotenv[found[1]], text).replace("$$", "$")
        addresses = {f"{name}:{port}": f"{LOOPBACK}:{own}" for (name, port), own in self.ports.items()}
        own = {str(port): str(self.ports[service, port]) for port in PORTS.get(service, ())}
        paths = {path: f"{self.root(service)}{path}" for path in self.targets(service)}
        table = {**addresses, **own, **paths, "0.0.0.0": LOOPBACK}
        keys = "|".join(re.escape(key) for key in sorted(table, key=len, reverse=True))
        return re.sub(rf"(?<![\w.-])(?:{keys})(?![\w-])", lambda found: table[found[0]], text)

    def root(self, service: str) -> Path:
        """What stands for the container's file system."""
        return self.folder / "containers" / service

    def targets(self, service: str) -> list[str]:
        """Every path at which something is mounted, and the folders above it."""
        said = self.services[service]
        mounted = [str(volume).split(":")[1] for volume in said.get("volumes", [])]
        above = {str(folder) for path in mounted for folder in Path(path).parents if len(folder.parts) > 2}
        return [*mounted, *above, *OF_IMAGE.values(), *(["/run/secrets"] if said.get("secrets") else [])]

    # -- a container ---------------------------------------------------------------------------------------------------

    def mount(self, service: str) -> None:
        """Lay out its file system: what is bound is copied, what is a volume is shared."""
        root = self.root(service)
        for path in OF_IMAGE.values():
            (root / path[1:]).mkdir(parents=True)
        for volume in sorted(self.services[service].get("volumes", []), key=lambda one: one.split(":")[1]):
            source, target = str(volume).split(":")[:2]
            place = root / target[1:]
            place.parent.mkdir(parents=True, exist_ok=True)
            if not source.startswith("."):
                shared = self.folder / "volumes" / source
                shared.mkdir(parents=True, exist_ok=True)
                place.symlink_to(shared)
            else:
                of = self.folder if source.startswith("./secrets") else ROOT
                self._copy(service, of / source, place)
        for name in self.services[service].get("secrets", []):
            (root / "run/secrets").mkdir(parents=True, exist_ok=True)
            self._copy(service, self.folder / "secrets" / name, root / "run/secrets" / name)

    def _copy(self, service: str, source: Path, place: Path) -> None:
        if source.is_dir():
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__", "data"))
            return
        shutil.copy(source, place)
        if source.suffix != ".py" and source.stat().st_size < LIMIT:
            place.write_text(self.mapped(service, source.read_text()))

    def environment(self, service: str) -> dict[str, str]:
        """Of its processes: what the file says, what the image has, and nothing of this process."""
        said = {**OF_IMAGE, **(self.services[service].get("environment") or {})}
        given = {name: self.mapped(service, str(value)) for name, value in said.items()}
        here = {"PATH": f"{self.bin}:{os.environ['PATH']}"}
        return {**here, "HOME": str(self.root(service)), **given}

    def command(self, service: str) -> list[str]:
        """Its command, found in the folder of programs."""
        said = self.services[service]
        words = [*(said.get("entrypoint") or ENTRYPOINTS.get(service, [])), *said["command"]]
        words = [self.mapped(service, str(word)) for word in words]
        return self._postgres(words) if service == "postgres" else [self._found(words[0]), *words[1:]]

    def _found(self, program: str) -> str:
        return shutil.which(program, path=f"{self.bin}:{os.environ['PATH']}") or program

    def _postgres(self, words: list[str]) -> list[str]:
        """As its image does: the data directory is made first, nobody is root, TCP is listened on."""
        root = self.root("postgres")
        data, secret = root / "var/lib/postgresql/data", root / "password"
        secret.write_text((self.folder / "secrets" / "postgres_password").read_text())
        user: list[str] = []
        if os.geteuid() == 0:
            user = ["runuser", "-u", "postgres", "--"]
            for path in (data.resolve(), secret):
                shutil.chown(path, "postgres")
        initdb = [str(postgres_bindir() / "initdb"), "-D", str(data.resolve()), "-U", "postgres"]  # type: ignore[operator]
        initdb += ["--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-sync"]
        subprocess.run([*user, *initdb], check=True, capture_output=True, cwd="/")
        port = self.ports["postgres", 5432]
        here = (f"port={port}", f"listen_addresses={LOOPBACK}", "unix_socket_directories=", "fsync=off")
        options = [part for setting in here for part in ("-c", setting)]
        return [*user, str(self.bin / words[0]), "-D", str(data.resolve()), *words[1:], *options]

    # -- all of them ---------------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Bring up every service, each when what it depends on is as far as the file says."""
        for service in self.order():
            self.mount(service)
            for other, how in self.services[service].get("depends_on", {}).items():
                if how["condition"] == "service_healthy":
                    self.wait(other)
            self.begin(service)
        for service in self.services:
            if service in self.processes:
                self.wait(service)

    def order(self) -> Iterator[str]:
        """The services, none before what it depends on."""
        left = dict(self.services)
        while left:
            ready = [name for name, said in left.items() if not set(said.get("depends_on", {})) & set(left)]
            assert ready, f"a circle: {sorted(left)}"
            for name in ready:
                del left[name]
                yield name

    def begin(self, service: str) -> None:
        """Start a server, or run a job to its end."""
        command, environment = self.command(service), self.environment(service)
        log = self.folder / "logs" / f"{service}.log"
        if self.services[service].get("restart") != "no":
            cwd = Path("/") if service == "postgres" else self.root(service)
            self.processes[service] = ManagedProcess(service, command, log, env=environment, cwd=cwd)
            return
        done = subprocess.run(
            command, env={**_bare(), **environment}, cwd=self.root(service), capture_output=True, text=True, check=False
        )
        log.parent.mkdir(exist_ok=True)
        log.write_text(done.stdout + done.stderr)
        assert done.returncode == 0, f"{service} ended with {done.returncode}: {log.read_text()[-3000:]}"

    def wait(self, service: str) -> None:
        """Until its own health check says yes."""
        process = self.processes[service]

        def healthy() -> bool:
            assert process.running, f"{service} ended: {process.last_lines(60)}"
            return self.healthy(service)

        until(healthy, f"the health of {service}", lambda: process.last_lines(20), timeout=240)

    def healthy(self, service: str) -> bool:
        """Whether its health check exits with 0."""
        kind, *words = [self.mapped(service, str(word)) for word in self.services[service]["healthcheck"]["test"]]
        words = ["sh", "-c", *words] if kind == "CMD-SHELL" else [self._found(words[0]), *words[1:]]
        environment = {**_bare(), **self.environment(service)}
        done = subprocess.run(
            words, env=environment, cwd="/", capture_output=True, check=False, timeout=patience(60), text=True
        )
        return done.returncode == 0

    def down(self) -> None:
        """End all of them, the last first."""
        for process in reversed(self.processes.values()):
            process.stop()


def _bare() -> dict[str, str]:
    """Of this process's environment what a child needs, and what says whose child it is."""
    kept = ("LANG", "LC_ALL", "TMPDIR", "MLGOV_TESTS_RUN", "NO_PROXY", "no_proxy")
    return {name: os.environ[name] for name in kept if name in os.environ}
