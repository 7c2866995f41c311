"""The commands without their options: what ``[mlgov]`` says holds for them as it does for the operators."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.signing import open_signer
from tests.fixtures.shell import Run
from tests.worlds.governed import PASSED, Governed
from tests.worlds.statements import make_statement

WAYS = ["variables", "airflow.cfg", "Airflow's variables", "Airflow's connections"]


@pytest.fixture
def silent(
    governed: Governed, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> Run:
    """A shell in which everything is configured in one of the ways, and nothing is said."""
    home = tmp_path / "airflow"
    home.mkdir()
    monkeypatch.setenv("AIRFLOW_HOME", str(home))
    settings = {
        "policy": str(governed.policy_file),
        "trust_root": str(governed.trust_file),
        "sign": f"local:{governed.folder}/{{duty}}.pem",
        "environment": "test",
    }
    if request.param == "Airflow's connections":
        settings |= {"ledger_conn_id": "records", "mlflow_conn_id": "models"}
        database = {"conn_type": "mlgov_ledger", "schema": governed.ledger_url.removeprefix("sqlite:///")}
        monkeypatch.setenv("AIRFLOW_CONN_RECORDS", json.dumps(database))
        monkeypatch.setenv("AIRFLOW_CONN_MODELS", governed.server.connection())
    else:
        settings["ledger"] = governed.ledger_url
        for name, value in (("USERNAME", governed.server.username), ("PASSWORD", governed.server.password)):
            monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", governed.server.url)
    if request.param in WAYS[::2]:
        before = "AIRFLOW__MLGOV" if request.param == "Airflow's variables" else "MLGOV"
        for name, value in settings.items():
            monkeypatch.setenv(f"{before}{'_' * (2 if before.startswith('A') else 1)}{name.upper()}", value)
    else:
        lines = [f"{name} = {value}" for name, value in settings.items()]
        (home / "airflow.cfg").write_text("\n".join(["[mlgov]", *lines]) + "\n")
    return run


@pytest.mark.parametrize("silent", WAYS, indirect=True)
def test_a_release_of_which_nothing_is_said(governed: Governed, silent: Run) -> None:
    first, second = governed.candidate(1.0), governed.candidate(2.0)
    for version in (first, second):
        code, out, err = silent("promote", version.uri, "--target", "production")
        assert code == 0, out + err
    assert silent("verify", f"models:/{governed.model}@champion")[0] == 0
    assert silent("rollback", governed.model, "--target", "production", "--reason", "complaints")[0] == 0
    assert governed.places()[first.version] == PASSED
    assert silent("reconcile", "--model", governed.model)[0] == 0
    assert silent("obligations")[0] == 0
    assert json.loads(silent("ledger", "verify", "--json")[1])["size"] == len(governed.ledger.entries())
    assert silent("replay")[0] == 0
    assert "performance" in silent("trust", "show")[1]


@pytest.mark.parametrize("silent", WAYS[:2], indirect=True)
def test_a_ledger_whose_tail_was_cut_decides_nothing(governed: Governed, silent: Run, tmp_path: Path) -> None:
    """By what an auditor keeps, whichever command asks."""
    version = governed.candidate()
    assert silent("promote", version.uri, "--target", "production")[0] == 0
    database, before = Path(governed.ledger_url.removeprefix("sqlite:///")), tmp_path / "before.db"
    shutil.copy(database, before)
    governed.candidate(2.0)
    (tmp_path / "kept").mkdir()
    assert silent("ledger", "checkpoint", "--out", tmp_path / "kept" / "1.json")[0] == 0
    settings = tmp_path / "airflow" / "airflow.cfg"
    said = settings.read_text() if settings.exists() else "[mlgov]\n"
    settings.write_text(f"{said}checkpoint = {tmp_path / 'kept'}\n")
    ask = ("verify", f"models:/{governed.model}@champion")
    assert silent(*ask)[0] == 0
    shutil.copy(before, database)
    for words in (
        ask,
        ("promote", version.uri, "--target", "production"),
        ("rollback", governed.model, "--target", "production", "--reason", "complaints"),
        ("reconcile", "--model", governed.model),
        ("ledger", "verify"),
    ):
        code, out, err = silent(*words)
        assert (code, "ledger.tail_cut" in out + err) == (1, True), (words, code, out, err)


@pytest.mark.parametrize("silent", WAYS[:1], indirect=True)
def test_a_gate_is_held_to_the_policy_and_records_on_request(governed: Governed, silent: Run, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("y,s\n" + "1,0.9\n0,0.1\n" * 200)
    version, words = governed.register(), ["gate", "performance", "--data", tmp_path / "rows.csv", "--model"]
    assert silent(*words, version.uri)[0] == 0  # the policy says which columns
    assert len(governed.ledger.entries(kind="gate")) == 0
    code, out, err = silent(*words, version.uri, "--record")
    assert code == 0, out + err
    assert len(governed.ledger.entries(kind="gate")) == 1
    assert silent("promote", version.uri, "--target", "production")[0] == 0


def test_what_is_said_nowhere_is_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("MLGOV_", "AIRFLOW__MLGOV__", "MLFLOW_TRACKING_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    asked = ["promote", "models:/m/1", "--target", "production"]
    given = {
        "--ledger": f"sqlite:///{tmp_path}/l.db",
        "--trust": tmp_path / "t.json",
        "--policy": tmp_path / "p.yaml",
        "--sign": f"local:{tmp_path}/k.pem",
    }
    said: list[object] = []
    for flag, value in given.items():
        code, _, err = run(*asked, *said)
        assert code == 2
        assert f"pass {flag}, or set MLGOV_" in err
        said += [flag, value]
    for connection in ("conn:nowhere", "conn:"):
        code, _, err = run("ledger", "verify", "--ledger", connection)
        assert code == 2
        assert "connection.missing" in err


def test_a_first_try_without_any_setting_goes_on_in_the_shell(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The operators made ``$AIRFLOW_HOME/mlgov``; the commands find it."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.delenv("AIRFLOW__MLGOV__LEDGER", raising=False)
    (tmp_path / "mlgov").mkdir()
    signer = open_signer(f"local:{tmp_path / 'mlgov' / 'signing-key.pem'}", make_key=True)
    open_ledger(f"sqlite:///{tmp_path / 'mlgov' / 'ledger.db'}").attest(make_statement(), signer)
    code, out, err = run("ledger", "verify")
    assert code == 0, err
    assert "1 entries" in out


UNPARSED = {
    "[mlgov]\nledger = a\nledger = b\n": "airflow.cfg:3: ledger stands twice in [mlgov]",
    "password = geheim\n[mlgov]\n": "airflow.cfg:1: it is no configuration",
    "[mlgov]\ngeheim\n": "airflow.cfg:2: it is no configuration",
}


@pytest.mark.parametrize(("text", "said"), UNPARSED.items())
def test_a_configuration_that_cannot_be_parsed(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, said: str
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.delenv("AIRFLOW__MLGOV__LEDGER", raising=False)
    (tmp_path / "airflow.cfg").write_text(text)
    code, out, err = run("ledger", "verify")
    assert (code, said in err) == (2, True), err
    assert "geheim" not in out + err


@pytest.mark.slow
@pytest.mark.parametrize("text", UNPARSED)
def test_doctor_says_that_a_configuration_cannot_be_parsed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    (tmp_path / "airflow.cfg").write_text(text)
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
    script = "import sys\nfrom airflow_mlgov.cli import main\nsys.argv = ['mlgov', 'doctor']\nmain()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 2
    assert "[configuration.file]" in done.stderr
    assert "geheim" not in done.stdout + done.stderr
