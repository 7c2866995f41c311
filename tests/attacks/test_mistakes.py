"""Inputs that used to end in a traceback: each names what to mend, and none is told as an outage or as our mistake."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.errors import ConfigurationError, DependencyError, InternalError, MlgovError, told
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.results import Bound
from tests.codes import raises_code
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.shell import Run
from tests.worlds.governed import Governed

POLICY = "version: 1\nmodels:\n  m:\n    targets:\n      t: {alias: a, requires: [fairness], waivers: {max_days: 9}}\n"
SHARED = ("--ledger", "sqlite:///l.db", "--trust", "t.json", "--policy", "p.yaml", "--sign", "local:k.pem")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("waive", "m/1", "--target", "t", "--reason", "r", *SHARED, "--min", "nan"), "--min"),
        (("waive", "m/1", "--target", "t", "--reason", "r", *SHARED, "--max", "-inf"), "--max"),
        (("waive", "m/1", "--target", "t", "--reason", "r", *SHARED, "--days", "9" * 400), "--days"),
        (("break-glass", "m/1", "--target", "t", "--reason", "r", *SHARED, "--hours", "nan"), "--hours"),
        (("ledger", "show", "1" + "0" * 30, "--ledger", "sqlite:///l.db"), "whole number"),
        (("replay", "--ledger", "sqlite:///l.db", "--trust", "t.json", "--decision", "1" + "0" * 30), "--decision"),
        (("verify", "m/1", "--trust", "x" * 5_000, "--ledger", "sqlite:///l.db"), "--trust"),
        (("ledger", "verify", "--ledger", f"sqlite:///{'x' * 5_000}.db"), "file.unreadable"),
        (("gate", "data-validation", "--data", "x" * 5_000, "--suite", "s.json"), "x" * 50),
        (("ledger", "verify", "--ledger", "postgresql://h:99999/d"), "ledger.address"),
        (("ledger", "verify", "--ledger", "postgresql://h:port/d"), "ledger.address"),
        (("reconcile", *SHARED, "--registry", "http://h:port"), "registry.address"),
        (("reconcile", *SHARED, "--registry", "http://h:99999"), "registry.address"),
        (
            ("gate", "fairness", "--data", "x.csv", "--label", "y", "--min-group-size", "1" + "0" * 30),
            "--min-group-size",
        ),
        (("gate", "performance", "--data", "x.csv", "--label", "y", "--bound", f"roc_auc>={'9' * 400}"), "bound."),
        (("gate", "data-validation", "--data", "x.csv", "--suite", "deep.json"), "file.too_deep"),
        (("gate", "data-validation", "--data", "", "--suite", "s.json"), "data.missing"),
        (("verify", "m/1", "--trust", "data\udce9.json", "--ledger", "sqlite:///l.db"), "option.not_text"),
    ],
)
def test_arguments(command: tuple[str, ...], said: str, tmp_path: Path, run: Run, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(POLICY)
    Path("t.json").write_text('{"version": 1, "keys": []}')
    Path("x.csv").write_text("y\n1\n")
    Path("s.json").write_text('{"name": "s", "expectations": []}')
    Path("deep.json").write_text("[" * 100_000 + "]" * 100_000)
    code, out, err = run(*command)
    assert (code, out) == (2, ""), err
    assert said in err


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (POLICY + "on: {}\n", "file.key_not_text"),
        (POLICY + "2024: {}\n", "file.key_not_text"),
        (POLICY + "null: {}\n", "file.key_not_text"),
        (POLICY + "[a]: {}\n", "file.key_not_text"),
        (POLICY + "more: &a {b: *a}\n", "file.too_deep"),
        (POLICY.replace("max_days: 9", "max_days: 100000000000"), "policy.invalid"),
        (POLICY.replace("max_days: 9", "max_days: 1e11"), "policy.invalid"),
        (POLICY.replace("max_days: 9", "max_days: " + "9" * 400), "file.not_finite"),
        (POLICY.replace("max_days: 9", "audit_within: 9999999999w"), "duration.form"),
        ("version: !!python/object:os.system x\n", "file.not_yaml"),
        ("- 1\n", "policy.empty"),
    ],
)
def test_policies(text: str, code: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with raises_code(ConfigurationError, code):
        _ = load_policy(path).models


@pytest.mark.parametrize("entry", [{"duties": [[]]}, {"duties": {}}, [], None, {"duties": ["fairness"], "keyid": []}])
def test_trust_roots(entry: Any, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"version": 1, "keys": [entry]}))
    with pytest.raises(ConfigurationError):
        TrustRoot.load(path)


@pytest.mark.parametrize("value", [10**400, -(10**400), True, "1", float("nan")])
def test_bounds_of_any_size(value: Any) -> None:
    with pytest.raises(ValueError, match="finite number"):
        Bound(min=value)


@pytest.mark.parametrize("reference", [None, 7, ["models:/m/1"], {"name": None, "version": 1}, {}])
def test_a_model_that_no_task_has_handed_over(reference: Any) -> None:
    with raises_code(ConfigurationError, "registry.reference"):
        MlflowRegistry("sqlite:///none.db").resolve(reference)


def test_a_version_of_twenty_digits(mlflow_server: MlflowServer) -> None:
    version = mlflow_server.register("long_numbers")
    with raises_code(ConfigurationError, "registry.no_version"):
        mlflow_server.registry.resolve(f"models:/{version.name}/{'9' * 20}")


def test_a_source_whose_driver_is_not_installed(tmp_path: Path) -> None:
    registry = MlflowRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}")
    with registry.calling("register a version") as client:
        client.create_registered_model("far")
        client.create_model_version("far", "abfss://c@a.dfs.core.windows.net/m")
    with raises_code(ConfigurationError, "store.unknown"):
        registry.subject(registry.resolve("models:/far/1"))


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("link", ConfigurationError, "registry.file"),
        ("a?b", ConfigurationError, "registry.file"),
        ("%00", ConfigurationError, "registry.file"),
        ("pipe", DependencyError, "registry.files_down"),
    ],
)
def test_a_file_of_a_model_that_mlflow_does_not_hand_over(
    name: str, kind: type[MlgovError], code: str, tmp_path: Path, mlflow_server: MlflowServer
) -> None:
    """MLflow is up, and is not said to be down."""
    governed = Governed(tmp_path, mlflow_server)
    version = governed.register()
    path = governed.artifact(version) / name
    if name == "link":
        path.symlink_to("/etc/passwd")
    elif name == "pipe":
        os.mkfifo(path)
    else:
        path.write_text("x")
    with raises_code(kind, code):
        governed.registry.subject(version)


def test_a_data_file_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    from airflow_mlgov.data.source import subject_of

    (tmp_path / "d").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "d") + b"/data\xe9.csv")).write_text("a\n1\n")
    with pytest.raises(ConfigurationError):
        subject_of(str(tmp_path / "d"))


def test_what_nobody_expected_is_our_mistake_and_never_an_outage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.common.compat.sdk import AirflowFailException

    from airflow_mlgov.cli import trust
    from airflow_mlgov.operators.base import task_errors

    def broken(*_: object) -> None:
        raise KeyError("password=geheim")

    monkeypatch.setattr(trust, "say", broken)
    code, out, err = run("vault-policy", "fairness")
    assert (code, out, err.count("\n")) == (5, "", 1)
    assert err.startswith("error [internal.mistake]: KeyError at tests.attacks.test_mistakes:")
    assert "geheim" not in err
    code, _, err = run("--debug", "vault-policy", "fairness")
    assert code == 5
    assert "Traceback" in err
    with pytest.raises(AirflowFailException, match="a mistake of airflow_mlgov") as caught, task_errors():
        broken()
    assert "geheim" not in str(caught.value)
    assert isinstance(told(RecursionError()), InternalError)
