"""Each page whose commands no other test runs: all of its commands, in order, on the machine of a reader."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from airflow_mlgov.demo.servers import free_port
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.signing import open_signer
from tests.fixtures.mlflow_server import LastingMlflow, MlflowServer
from tests.fixtures.openbao import OpenBaoServer
from tests.fixtures.postgres import PASSWORD, new_database
from tests.live.waiting import HANGS
from tests.worlds.pages import ROOT, Playing, played
from tests.worlds.reader import SHOWN, Machine
from tests.worlds.statements import make_statement

pytestmark = [pytest.mark.slow, pytest.mark.timeout(HANGS)]

Before = Callable[[Machine], Mapping[str, str] | None]
"""What happens before a reader goes on; what is read from there on in place of what the page says."""
ASKED = "mlgov approve models:/credit_risk/7 --target production --sign vault:olga\n"
IS_ASKED = {ASKED: f"{ASKED.rstrip()} || test $? = 2\n"}
"""Nobody is at a terminal to be asked: it shows the evidence, and signs nothing."""
OTHERS = {"vault policy": "bao policy", "vault write": "bao write", "s3://lake@bucket/": "", "s3://audit/": "audit/"}
"""Programs and places that are not here, and what stands for them."""


def served(command: str, port: int, url: str) -> dict[str, str]:
    """A server in place of a command that stays: until it answers."""
    asks = f"curl -fsSk --retry 120 --retry-connrefused --retry-delay 1 --output answered.html {url}"
    return {command: f"{command} --port {port} &\n{asks}"}


def approving(machine: Machine) -> Mapping[str, str]:
    machine.serve("5", "6")
    machine.judge("7")
    return {"--evidence 9c1e2ab47d03": SHOWN}


def packed(machine: Machine) -> None:
    machine.do("mlgov ledger export --model models:/credit_risk@champion --out evidence.zip")
    shutil.copytree(machine.governed.artifact(machine.versions["6"]), machine.folder / "model")
    pipelines = "    gates:\n      policy: {packages: [mlgov.monitoring], modes: {mlgov.monitoring: observe}}\n"
    (machine.folder / "new.yaml").write_text(
        machine.governed.policy_file.read_text().replace("    gates:\n", pipelines)
    )
    shutil.copy(machine.governed.policy_file, machine.folder / "old.yaml")


def certified(machine: Machine) -> Mapping[str, str]:
    machine.do("openssl req -x509 -newkey rsa:2048 -nodes -keyout tls.key -out tls.crt -subj /CN=localhost 2>/dev/null")
    command, port = "--tls-cert tls.crt --tls-key tls.key", free_port()
    return {
        **served(command, port, f"https://127.0.0.1:{port}/healthz"),
        **served("mlgov board --policy mlgov.yaml", (board := free_port()), f"http://127.0.0.1:{board}/"),
        "sha256:4f0c…": f"sha256:{'4f0c' * 16}",
    }


def a_little_short(machine: Machine) -> Mapping[str, str]:
    """Marta asks and signs, and Omar signs too."""
    machine.judge("7", ratio=0.79)
    named = """$(python -c 'import json; print(json.load(open("waiver.json"))["waiver"])')"""
    return {
        "--reason 'few rows'": "--reason 'few rows' --json > waiver.json",
        "--cosign 3b9d41c7": f"--person omar --cosign {named}",
    }


def kept(machine: Machine) -> Mapping[str, str]:
    (machine.folder / "audit").mkdir()
    machine.do("mlgov ledger checkpoint --out audit/2026-11-24.json")
    witnesses = machine.witnessed("w1.example", "w2.example")
    return {
        "w1.example+8c45ab1e+BGRl…": witnesses["w1.example"],
        "w2.example+5d0c1f22+BLQ0…": witnesses["w2.example"],
        "s3://audit/before": "audit/before",
        "/srv/log": "log",
    }


def typed(machine: Machine) -> Mapping[str, str]:
    approvals = [entry.seq for entry in machine.governed.ledger.entries(kind="approval")]
    return {"--entry 42": f"--entry {approvals[0]}", "ledger show 42": f"ledger show {approvals[0]}"}


def another_day(machine: Machine) -> None:
    shutil.rmtree(machine.folder / "audit")
    (machine.folder / "audit").mkdir()


def stray(machine: Machine) -> Mapping[str, str]:
    return {"ledger quarantine 42": f"ledger quarantine {machine.stray()}"}


def scanned(machine: Machine) -> None:
    machine.scan()


def a_key_to_end(machine: Machine) -> Mapping[str, str]:
    return {"3f54d161": machine.governed.trust.keys[0].key.keyid[:16], "--public-key olga": "--public-key public/olga"}


def on_one_machine(machine: Machine) -> Mapping[str, str]:
    opa, port = free_port(), free_port()
    revision = machine.do("python -m airflow_mlgov.admission.bundle deploy/opa/bundle").strip()
    asks = f"curl -fsSk --retry 120 --retry-connrefused --retry-delay 1 --output ready https://127.0.0.1:{port}/readyz"
    return {
        "sqlite:////var/lib/ledger.db": machine.governed.ledger_url,
        "https://mlflow.example": machine.server.url,
        "8181": str(opa),
        "8443": str(port),
        "sha256:…": revision,
        "--tls-key tls.key &": f"--tls-key tls.key --port {port} &\n{asks}",
    }


def boarding(machine: Machine) -> Mapping[str, str]:
    machine.judge("7")
    command, port = (
        "mlgov board --ledger sqlite:////var/lib/mlgov/ledger.db --trust trust.json --policy mlgov.yaml",
        free_port(),
    )
    said = served(command, port, f"http://127.0.0.1:{port}/")
    return {**said, "sqlite:////var/lib/mlgov/ledger.db": machine.governed.ledger_url}


def packing(machine: Machine) -> None:
    """A team's pack as it was, and features and a card to be judged."""
    old = machine.folder / "old" / "acme"
    shutil.rmtree(old)
    shutil.copytree(machine.folder / "rules" / "acme", old)
    machine.features()


def asked_to_forget(machine: Machine) -> Mapping[str, str]:
    machine.serve("5")
    machine.judge("7")
    machine.do(
        f"mlgov approve models:/credit_risk/7 --target production --sign vault:olga {SHOWN} --reason 'I know her'"
    )
    return typed(machine)


def serving(machine: Machine) -> None:
    machine.serve("6")


def watched(machine: Machine) -> Mapping[str, str]:
    machine.serve("6")
    witnesses = machine.witnessed("w1.example", "w2.example")
    return {
        "w1.example+8c45ab1e+BGRl…": witnesses["w1.example"],
        "w2.example+5d0c1f22+BLQ0…": witnesses["w2.example"],
        "/srv/log": "log",
    }


def backed_up(machine: Machine) -> None:
    machine.serve("6")
    (machine.folder / "audit").mkdir()


def a_ledger_of_an_owner(server: str, folder: Path) -> dict[str, str]:
    """A ledger in PostgreSQL, with one entry."""
    url = sa.make_url(new_database(server, "upgraded"))
    signer = open_signer(f"local:{folder}/owner.pem", make_key=True)
    open_ledger(url.set(password=PASSWORD)).attest(make_statement(), signer)
    command = "mlgov ledger rebuild --ledger "
    there = f"PGPASSWORD={shlex.quote(PASSWORD)} {command}{url}"
    return {f"{command}postgresql+psycopg://ledger_owner@db/ledger": there}


@dataclass(frozen=True)
class Page:
    """What a page takes for given."""

    before: Mapping[str, Before] = field(default_factory=dict)
    """Text of the page -> what happens before a reader comes there; an empty one is its beginning."""
    instead: Mapping[str, str] = field(default_factory=dict)
    knows_olga: bool = True


SITUATIONS = {
    "docs/commands.md": Page(
        {
            "": lambda machine: {"1f6a…": machine.run_id},
            "## mlgov approve": approving,
            "## mlgov verify": packed,
            "## mlgov admission": certified,
            "## mlgov waive": a_little_short,
            "## mlgov ledger verify": kept,
            "## mlgov ledger erase": typed,
            "## mlgov ledger checkpoint": another_day,
            "## mlgov ledger quarantine": stray,
            "## mlgov ledger add": scanned,
            "## mlgov trust add": a_key_to_end,
        },
        {**IS_ASKED, "--out suite.json": "--out proposed.json", "--out evidence.zip": "--out exported.zip"},
    ),
    "docs/admission.md": Page({"": on_one_machine}),
    "docs/board.md": Page({"": boarding}),
    "docs/extend.md": Page(instead={"--public-key fairness": "--public-key public/fairness"}),
    "docs/packs.md": Page({"": packing}, {"sha256: …": f"sha256: {'a1' * 32}"}),
    "docs/people.md": Page({"": lambda machine: machine.judge("7")}, IS_ASKED, knows_olga=False),
    "docs/privacy.md": Page({"": asked_to_forget}),
    "docs/reports.md": Page({"": serving}),
    "docs/transparency.md": Page({"": watched}),
    "docs/upgrade.md": Page({"": backed_up}),
    "docs/vault.md": Page({"": lambda machine: machine.governed.trust_file.chmod(0o600)}),
}


@pytest.fixture(scope="module")
def registry_of_ones_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """Each reader begins without a model, and all call theirs the same, so workers of the tests share no server."""
    mlflow = LastingMlflow(tmp_path_factory.mktemp("mlflow"))
    yield mlflow.server
    mlflow.kill()
    mlflow.proxy.close()


@pytest.mark.parametrize("name", played())
def test_each_command_is_run(
    name: str,
    tmp_path: Path,
    registry_of_ones_own: MlflowServer,
    openbao: OpenBaoServer,
    request: pytest.FixtureRequest,
) -> None:
    more = {}
    if name == "docs/upgrade.md":
        more = a_ledger_of_an_owner(request.getfixturevalue("postgres_server"), tmp_path)
    play_page(name, tmp_path, registry_of_ones_own, openbao, more)


def play_page(
    name: str, folder: Path, server: MlflowServer, openbao: OpenBaoServer, more: Mapping[str, str] | None = None
) -> str:
    page = SITUATIONS.get(name, Page())
    machine = Machine(folder, server, openbao, page.knows_olga)
    instead = {**OTHERS, **page.instead, **(more or {})}
    with Playing(ROOT / name, folder, machine.shell, instead) as playing:
        printed = []
        playing.lay_out()
        for until, what in page.before.items():
            printed.append(playing.play(until=until) if until else "")
            instead.update(what(machine) or {})
        return "\n".join([*printed, playing.play()])
