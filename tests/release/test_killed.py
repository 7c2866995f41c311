"""A gate, an approval, a promotion and a rollback, each a real command that is killed at any of its steps: the same
command, run again, gets there, and whatever it had done is there once."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from airflow_mlgov.evidence.ledger import Ledger
from airflow_mlgov.registry.protocol import ModelVersion
from tests.codes import refuses
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.shell import Run
from tests.worlds.governed import PASSED, Governed, statement_of
from tests.worlds.killed import NEVER, SPACE, run_killed
from tests.worlds.release import people

SOAK = "MLGOV_SOAK" in os.environ
LOUD, QUIET = 2, 1
"""Steps that are drawn: around a commit or a request that changes something, and others; ``make soak`` takes all."""
CHANGES = ("COMMIT", "POST", "PATCH", "DELETE")
APPROVALS = "        approvals: {count: 2, from: [olga, omar], not: [trainer, requester]}\n"

pytestmark = [pytest.mark.slow, pytest.mark.soak]


class Killing:
    """Worlds in which one command is killed, each at another step."""

    def __init__(self, folder: Path, server: MlflowServer, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._server, self._run, self._monkeypatch = folder, server, run, monkeypatch
        self._worlds = 0
        self.governed: Governed
        self.words: list[object] = []
        self.duty = ""

    def world(self) -> Governed:
        """A new one, which commands of this process work in too."""
        self._worlds += 1
        folder = self._folder / str(self._worlds)
        folder.mkdir()
        self.governed = Governed(folder, self._server)
        for name, value in self.variables.items():
            self._monkeypatch.setenv(name, value)
        return self.governed

    @property
    def variables(self) -> dict[str, str]:
        """Of the environment, but for the duty."""
        return self.governed.shell

    def command(self, duty: str, *words: object) -> None:
        """What is killed.

        :param duty: whose key file signs
        """
        self.duty, self.words = duty, [*words, "--sign", f"local:{self.governed.folder / f'{duty}.pem'}"]

    def kill(self, at: int, **variables: str) -> int:
        """Run it till then; afterwards nothing is held, and the ledger is whole and goes on from what it was."""
        before = [entry.hash for entry in self.governed.ledger.entries()]
        code = run_killed(self.words, {**self.variables, **variables}, at, self.governed.folder / "steps")
        after = [entry.hash for entry in self.governed.ledger.entries()]
        assert after[: len(before)] == before
        assert self.governed.ledger.verify().size == len(after)
        free(self.governed.ledger)
        return code

    def again(self) -> tuple[int, str, str]:
        """The same command, by whoever tries again."""
        return self._run(*self.words)

    def moments(self, prepare: Callable[[], object]) -> Iterator[int]:
        """Each step at which it is killed, in a world of its own each time."""
        prepare()
        assert self.kill(NEVER) == 0, (self.governed.folder / "steps.out").read_text()
        steps = (self.governed.folder / "steps").read_text().splitlines()
        assert {"before COMMIT", "after COMMIT"} < set(steps)
        loud = [number for number, what in enumerate(steps, 1) if what.split()[1] in CHANGES]
        quiet = [number for number in range(1, len(steps) + 1) if number not in loud]
        random = Random(7)
        drawn = [*loud, *quiet] if SOAK else [*random.sample(loud, LOUD), *random.sample(quiet, QUIET)]
        for at in sorted(drawn):
            prepare()
            print(f"step {at} of {len(steps)}: {steps[at - 1]}")
            assert self.kill(at) == -signal.SIGKILL, (self.governed.folder / "steps.out").read_text()
            yield at


def free(ledger: Ledger) -> None:
    """Nobody holds a lock."""
    with ledger.exclusive("anything", timeout=0), ledger._transaction(write=True):
        pass


@pytest.fixture
def killing(tmp_path: Path, mlflow_server: MlflowServer, run: Run, monkeypatch: pytest.MonkeyPatch) -> Killing:
    return Killing(tmp_path, mlflow_server, run, monkeypatch)


def intents(governed: Governed) -> list[str]:
    return [statement_of(entry.envelope)["predicate"]["state"] for entry in governed.ledger.entries(kind="intent")]


def test_a_gate(killing: Killing) -> None:
    def prepare() -> None:
        nonlocal version
        governed = killing.world()
        version = governed.register()
        people().rename(columns={"score": "s"}).to_csv(governed.folder / "p.csv", index=False)
        data = governed.folder / "p.csv"
        killing.command("performance", "gate", "performance", "--model", version.uri, "--data", data, "--record")

    version: ModelVersion
    for _ in killing.moments(prepare):
        governed = killing.governed
        stored = governed.ledger.entries(kind="gate")
        assert len(stored) <= 1
        assert killing.again()[0] == 0
        measured = [statement_of(entry.envelope) for entry in governed.ledger.entries(kind="gate")]
        assert len(measured) == len(stored) + 1  # what was stored by then is measured again, and is the same
        assert len({str((item["subject"], item["predicate"]["passedTests"])) for item in measured}) == 1
        governed.promote(version)
        assert governed.places()[version.version] == PASSED


def test_an_approval(killing: Killing, run: Run) -> None:
    def prepare() -> None:
        nonlocal version
        governed = killing.world()
        governed.policy_file.write_text(governed.policy_file.read_text() + APPROVALS)
        words = ["trust", "add", "--trust", governed.trust_file, "--person", "olga", "--duty", "approval"]
        assert run(*words, "--sign", f"local:{governed.folder / 'olga.pem'}", "--make-key")[0] == 0
        version = governed.candidate()
        killing.command("olga", "approve", version.uri, "--target", "production")
        shown = killing.again()[1].rsplit("evidence ", 1)[1].strip()
        killing.words += ["--evidence", shown, "--reason", "read it"]

    version: ModelVersion
    for _ in killing.moments(prepare):
        governed = killing.governed
        assert len(governed.ledger.entries(kind="approval")) <= 1
        assert killing.again()[0] == 0
        with refuses("approval.missing"):  # who has answered twice is one person
            governed.promote(version, requesters=["rita"])
        assert governed.places()[version.version] == (None, ())
        governed.approve(version, by="omar")
        governed.promote(version, requesters=["rita"])
        assert governed.places()[version.version] == PASSED


@pytest.mark.parametrize("denied", [False, True])
def test_a_promotion(killing: Killing, denied: bool) -> None:
    def prepare() -> None:
        nonlocal first, second
        governed = killing.world()
        first, second = governed.candidate(1.0), governed.candidate(2.0)
        governed.promote(first)
        killing.command("promotion", "promote", second.uri, "--target", "production")

    first: ModelVersion
    second: ModelVersion
    for _ in killing.moments(prepare):
        governed = killing.governed
        recorded = len(governed.ledger.entries(kind="promotion")) == 2
        if denied and not recorded:
            governed.judge(second, auc=0.5)
            assert killing.again()[0] == 1
            assert governed.places() == {first.version: PASSED, second.version: (None, ())}
            assert len(governed.ledger.entries(kind="promotion")) == 1
            assert intents(governed) in (["opened"], ["opened", "opened", "abandoned"])
        else:
            assert killing.again()[0] == 0
            assert governed.places() == {first.version: ("Archived", ()), second.version: PASSED}
            record = governed.ledger.entries(kind="promotion")[1:]
            assert [statement_of(item.envelope)["predicate"]["moved"]["alias"]["previous"] for item in record] == ["1"]
            assert intents(governed) == ["opened", "opened"]
            assert governed.explain(governed.now(second)).allowed
        assert governed.reconcile().open == ()


def test_a_rollback(killing: Killing) -> None:
    def prepare() -> None:
        nonlocal first, second
        governed = killing.world()
        first, second = governed.candidate(1.0), governed.candidate(2.0)
        governed.promote(first)
        governed.promote(second)
        words = ["rollback", governed.model, "--target", "production", "--reason", "complaints"]
        killing.command("promotion", *words)

    first: ModelVersion
    second: ModelVersion
    for _ in killing.moments(prepare):
        governed = killing.governed
        if len(governed.ledger.entries(kind="promotion")) < 3:
            assert killing.again()[0] == 0
        assert governed.places() == {first.version: PASSED, second.version: ("Archived", ())}
        assert len(governed.ledger.entries(kind="promotion")) == 3
        assert governed.reconcile().open == ()


def test_a_disk_that_is_full_stops_it_and_room_lets_it_go_on(killing: Killing) -> None:
    governed = killing.world()
    version = governed.candidate()
    killing.command("promotion", "promote", version.uri, "--target", "production")
    size = governed.folder.joinpath("ledger.db").stat().st_size
    assert killing.kill(NEVER, **{SPACE: str(size)}) == 4
    said = (governed.folder / "steps.out").read_text()
    assert ("ledger.down" in said, "Traceback" in said) == (True, False)
    assert governed.places()[version.version] == (None, ())
    assert killing.again()[0] == 0
    assert governed.places()[version.version] == PASSED
    assert len(governed.ledger.entries(kind="promotion")) == 1
