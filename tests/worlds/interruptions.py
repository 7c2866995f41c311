"""Commands that are interrupted at any of their steps: killed, or while a server that they need is sealed, started
anew, slow or wrong. The servers are real; between some of them and the command stands a proxy."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa

from airflow_mlgov.evidence.ledger import Ledger
from airflow_mlgov.vault.transit import TransitSigner
from tests.fixtures.mlflow_server import LastingMlflow, MlflowServer
from tests.fixtures.openbao import LastingOpenBao
from tests.fixtures.postgres import PASSWORD, new_database, restart_postgres
from tests.fixtures.proxy import Fault, Proxy, down, hanging, lost, says
from tests.fixtures.shell import Run
from tests.worlds.canaries import leaks, of_files
from tests.worlds.governed import Governed
from tests.worlds.interrupted import NEVER, run_interrupted

SOAK = "MLGOV_SOAK" in os.environ
CHANGES = ("COMMIT", "POST", "PATCH", "DELETE")
_CODE = re.compile(r"\[([a-z_]+\.[a-z_]+)\]")


@dataclass
class Servers:
    """What a release needs, each on its own and where it can be broken.

    :param mlflow: with the proxy's address
    :param database: URL of PostgreSQL, without its password
    :param folder: of PostgreSQL's
    """

    openbao: LastingOpenBao
    vault: Proxy
    mlflow: MlflowServer
    registry: Proxy
    database: str
    folder: Path

    def restart_postgres(self) -> None:
        restart_postgres(self.folder)

    def mend(self) -> None:
        """All is well again."""
        self.vault.mend()
        self.registry.mend()
        self.openbao.unseal()

    @property
    def secrets(self) -> dict[str, str]:
        """What must show up nowhere."""
        return {
            "PostgreSQL's password": PASSWORD,
            "OpenBao's token": self.openbao.server.root_token,
            "OpenBao's unseal key": self.openbao.server.unseal_key,
            "MLflow's administrator": self.mlflow.password,
        }

    def texts(self) -> Iterator[tuple[str, bytes]]:
        """What the servers have written about it."""
        yield from of_files("OpenBao's log", self.openbao.folder.glob("*.log"))
        yield from of_files("PostgreSQL's log", self.folder.glob("*.log"))


@dataclass
class OnServers(Governed):
    """A governed model with a key for each duty in OpenBao, and its ledger in PostgreSQL."""

    servers: Servers = field(kw_only=True)
    _signers: dict[str, TransitSigner] = field(default_factory=dict)

    def __post_init__(self) -> None:
        url = sa.make_url(new_database(self.servers.database, "ledger")).set(password=PASSWORD)
        self.ledger_url = url.render_as_string(hide_password=False)
        super().__post_init__()

    def signer(self, duty: str) -> TransitSigner:
        if duty not in self._signers:
            self.servers.openbao.server.make_key(f"{self.model}-{duty}")
            self._signers[duty] = TransitSigner(self.servers.openbao.server.client, f"{self.model}-{duty}")
        return self._signers[duty]

    def sign(self, duty: str) -> str:
        self.signer(duty)
        return f"vault:{self.model}-{duty}"

    @property
    def shell(self) -> dict[str, str]:
        token = self.servers.openbao.server.root_token
        return {**super().shell, "VAULT_ADDR": self.servers.vault.url, "VAULT_TOKEN": token}


@dataclass(frozen=True)
class Interruption:
    """What happens to a command."""

    near: Callable[[str], bool]
    """At which steps: the others come to the same."""
    strike: Callable[[Servers], None] | None = None
    """None: it is killed."""
    codes: frozenset[str] = frozenset()
    """What it may end with."""


def _asks(path: str) -> Callable[[str], bool]:
    return lambda step: step.startswith("before") and path in step


def _speaks_sql(step: str) -> bool:
    return len(step.split()) == 2


_VAULT, _MLFLOW = _asks(" /v1/"), _asks(" /api/")


def _of_vault(fault: Fault) -> Interruption:
    return Interruption(_VAULT, lambda servers: servers.vault.breaks(fault), frozenset({"vault.down"}))


def _of_mlflow(fault: Fault, *codes: str) -> Interruption:
    strike = lambda servers: servers.registry.breaks(fault)  # noqa: E731 - as the others
    return Interruption(_MLFLOW, strike, frozenset({"registry.down", *codes}))


KILLED = "killed"
INTERRUPTIONS = {
    KILLED: Interruption(lambda _: True),
    "OpenBao is sealed": Interruption(_VAULT, lambda servers: servers.openbao.seal(), frozenset({"vault.down"})),
    "OpenBao is restarted": Interruption(_VAULT, lambda servers: servers.openbao.restart(), frozenset({"vault.down"})),
    "OpenBao is gone": _of_vault(down),
    "OpenBao's answers are lost": _of_vault(lost),
    "OpenBao says nothing": _of_vault(says(200)),
    "MLflow is gone": _of_mlflow(down),
    "MLflow's answers are lost": _of_mlflow(lost),
    "MLflow is slow": _of_mlflow(hanging),
    "MLflow says 500": _of_mlflow(says(500, b"{}")),
    "PostgreSQL is restarted": Interruption(
        _speaks_sql, Servers.restart_postgres, frozenset({"ledger.down", "ledger.lock_lost"})
    ),
}
"""What happens on servers."""
WITH_FILES = {KILLED: INTERRUPTIONS[KILLED]}


def mlflow_restarted(mlflow: LastingMlflow) -> dict[str, Interruption]:
    """It is killed and started again."""
    return {"MLflow is restarted": Interruption(_MLFLOW, lambda _: mlflow.restart(), frozenset({"registry.down"}))}


IMPATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0"}


class Interrupting:
    """Worlds in which one command is interrupted, each at another step.

    :param servers: None for a ledger and keys in files
    """

    def __init__(
        self,
        folder: Path,
        server: MlflowServer,
        run: Run,
        monkeypatch: pytest.MonkeyPatch,
        servers: Servers | None = None,
        happens: Mapping[str, Interruption] = WITH_FILES,
    ) -> None:
        self._folder, self._server, self._run, self._monkeypatch = folder, server, run, monkeypatch
        self._servers, self._happens = servers, happens
        self._interruption = INTERRUPTIONS[KILLED]
        self._worlds = 0
        self.governed: Governed
        self.words: list[object] = []

    def world(self) -> Governed:
        """A new one, which commands of this process work in too."""
        self._worlds += 1
        folder = self._folder / str(self._worlds)
        folder.mkdir()
        self.governed = (
            OnServers(folder, self._servers.mlflow, servers=self._servers)
            if self._servers
            else Governed(folder, self._server)
        )
        for name, value in self.governed.shell.items():
            self._monkeypatch.setenv(name, value)
        return self.governed

    def command(self, duty: str, *words: object) -> None:
        """What is interrupted.

        :param duty: whose key signs
        """
        self.words = [*words, "--sign", self.governed.sign(duty)]

    def interrupt(self, at: int, **variables: str) -> int:
        """Run it till then, and on if it lives; afterwards nothing is held, the ledger is whole and goes on from what
        it was, and nothing that was said has a secret."""
        before = [entry.hash for entry in self.governed.ledger.entries()]
        told, servers, strike = self.governed.folder / "steps", self._servers, self._interruption.strike
        known = {**self.governed.shell, **(IMPATIENT if at != NEVER and strike else {}), **variables}
        hit = (lambda: strike(servers)) if strike and servers else None
        code = run_interrupted(self.words, known, at, told, hit)
        if servers:
            servers.mend()
        entries = self.governed.ledger.entries()
        assert [entry.hash for entry in entries][: len(before)] == before
        assert self.governed.ledger.verify().size == len(entries)
        free(self.governed)
        said = [("the ledger", entry.envelope.encode()) for entry in entries]
        said += of_files("what it says", [told.with_suffix(".out"), told])
        assert leaks(servers.secrets if servers else {"MLflow's": self._server.password}, said) == {}
        return code

    def again(self) -> tuple[int, str, str]:
        """The same command, by whoever tries again."""
        return self._run(*self.words)

    def moments(self, prepare: Callable[[], object]) -> Iterator[int]:
        """Each step at which it is interrupted, in a world of its own each time."""
        prepare()
        assert self.interrupt(NEVER) == 0, self.said
        steps = (self.governed.folder / "steps").read_text().splitlines()
        assert {"before COMMIT", "after COMMIT"} < set(steps)
        for name, interruption in self._happens.items():
            self._interruption = interruption
            for at in sorted(self._drawn(name, steps)):
                prepare()
                print(f"{name}, step {at} of {len(steps)}: {steps[at - 1]}")
                self._held_to(self.interrupt(at))
                yield at

    @property
    def said(self) -> str:
        """What the command has last said."""
        return (self.governed.folder / "steps.out").read_text()

    def _drawn(self, name: str, steps: list[str]) -> list[int]:
        """Two steps of those that change something and one of the others with files, one of the former on servers;
        ``make soak`` takes all."""
        near = [number for number, what in enumerate(steps, 1) if self._interruption.near(what)]
        loud = [number for number in near if steps[number - 1].split()[1] in CHANGES]
        quiet = [number for number in near if number not in loud]
        if SOAK:
            return near
        random = Random(name)
        return random.sample(loud, 1) if self._servers else [*random.sample(loud, 2), *random.sample(quiet, 1)]

    def _held_to(self, code: int) -> None:
        if self._interruption.strike is None:
            assert code == -signal.SIGKILL, self.said
            return
        assert "Traceback" not in self.said, self.said
        assert code == 0 or set(_CODE.findall(self.said)) & self._interruption.codes, (code, self.said)


def free(governed: Governed) -> None:
    """Nobody holds a lock, of the model or of the ledger."""
    ledger: Ledger = governed.ledger
    with ledger.exclusive(governed.desk("promotion").lock_name(governed.model), timeout=10):
        pass
    with ledger._transaction(write=True):
        pass
