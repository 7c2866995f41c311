"""``mlgov gate``: what is made from the catalogue, whatever the gate."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from airflow_mlgov import catalogue
from airflow_mlgov.cli.options import SETTING, flag_of, parameters_of
from airflow_mlgov.evidence.ledger import open_ledger
from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.keys import key_file


def _table(folder: Path, rows: int = 400) -> Path:
    frame = pd.DataFrame({"y": [0, 1], "s": [0.1, 0.9]}).sample(rows, replace=True, random_state=1)
    frame = frame.assign(sex=["f", "f", "m", "m"] * (rows // 4))
    frame.assign(p=(frame.s > 0.5).astype(int)).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


@pytest.mark.parametrize("name", catalogue.names())
def test_every_setting_is_an_option_with_its_description(name: str, run: Any) -> None:
    gate = catalogue.load(name)
    code, out, _ = run("gate", name, "--help")
    assert code == 0
    said = {parameter.name: str(parameter.annotation.__metadata__[0].help) for parameter in parameters_of(gate)}
    for setting, info in gate.Settings.model_fields.items():
        assert flag_of(setting, info) in out
        assert str(info.description)[1:] in said[SETTING + setting]
    for flag in ("--ledger", "--sign", "--environment", "--policy", "--json", "--junit", "--markdown", "--report-dir"):
        assert flag in out


def test_a_gate_goes_by_its_name_and_by_its_short_one(run: Any) -> None:
    for name in ("data", "data_validation", "data-validation", "features"):
        assert run("gate", name, "--help")[0] == 0
    assert run("gate", "nothing", "--help")[0] == 2
    _, _, err = run("gate", "performence")
    assert "Did you mean 'performance'?" in err


def test_a_csv_of_a_header_alone_is_said_to_be_that(run: Any, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("y,s\n")
    words = ["--label", "y", "--score", "s", "--bound", "roc_auc>=0.9"]
    code, _, err = run("gate", "performance", "--data", tmp_path / "t.csv", *words)
    assert (code, "has a header and no rows" in err) == (2, True), err


def test_a_share_of_nothing_is_a_setting_too(run: Any, tmp_path: Path) -> None:
    words = ["--label", "y", "--score", "s", "--bound", "roc_auc>=0.9", "--json", "--max-share-left-out", "0"]
    words += ["--ledger", f"sqlite:///{tmp_path}/l.db", "--sign", key_file(tmp_path / "k.pem")]
    assert run("gate", "performance", "--data", _table(tmp_path), *words)[0] == 0
    _, out, _ = run("ledger", "show", "1", "--ledger", f"sqlite:///{tmp_path}/l.db")
    assert '"max_share_left_out": 0' in out


def test_groups_are_named_on_the_command_line(run: Any, tmp_path: Path) -> None:
    words = ["gate", "fairness", "--data", _table(tmp_path), "--label", "y", "--prediction", "p", "--bound"]
    words += ["demographic_parity_ratio>=0.8", "--decide", "point", "--sensitive"]
    assert run(*words, "sex=f,m")[0] == 0
    code, out, _ = run(*words, "sex=f,m,x")
    assert code != 0
    assert "x" in out


def test_a_setting_that_is_wrong_is_bad_usage(run: Any, tmp_path: Path) -> None:
    words = ["gate", "performance", "--data", _table(tmp_path), "--score", "s", "--bound", "roc_auc>=0.9"]
    code, _, err = run(*words)
    assert (code, "label is missing, in the policy and where the gate is called (--label)" in err) == (2, True)
    code, _, err = run(*words, "--label", "y", "--min-slice-size", "0")
    assert (code, "min_slice_size should be greater than or equal to 1" in err) == (2, True)


def test_reports_for_ci_systems(run: Any, tmp_path: Path) -> None:
    words = ["--label", "y", "--score", "s", "--bound", "roc_auc>=0.9", "--bound", "log_loss<=0.01"]
    words += ["--junit", tmp_path / "j.xml", "--markdown", tmp_path / "r.md"]
    assert run("gate", "performance", "--data", _table(tmp_path), *words)[0] == 1
    suite = ET.parse(tmp_path / "j.xml").getroot()
    assert (suite.get("failures"), suite.get("errors")) == ("1", "0")
    assert [case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None] == ["log_loss"]
    text = (tmp_path / "r.md").read_text()
    assert text.startswith("## Gate performance: FAIL")
    assert text.index("log_loss") < text.index("roc_auc")
    assert run("gate", "performance", "--data", _table(tmp_path), *words, "--report-dir", tmp_path / "html")[0] == 1
    assert len(list((tmp_path / "html").glob("performance-*.html"))) == 1
    code, _, err = run("gate", "performance", "--data", _table(tmp_path), *words[:-1], tmp_path / "no" / "r.md")
    assert (code, "cannot write" in err) == (2, True)


def test_a_time_limit_is_seconds_or_a_duration(run: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("y,p\n" + "1,1\n0,0\n" * 50)
    asked = ["gate", "performance", "--data", str(tmp_path / "a.csv"), "--label", "y", "--prediction", "p"]
    asked += ["--bound", "accuracy>=0.5", "--time-limit"]
    for limit, code in (("90", 0), ("30m", 0), ("0", 2), ("soon", 2), ("0.000001", 2)):
        assert run(*asked, limit)[0] == code, limit


def test_models_of_odd_names_are_found_hashed_and_signed(
    run: Any, tmp_path: Path, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", mlflow_server.username)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", mlflow_server.password)
    ledger = f"sqlite:///{tmp_path / 'l.db'}"
    words = ["gate", "performance", "--data", _table(tmp_path), "--label", "y", "--score", "s", "--bound"]
    words += ["roc_auc>=0.5", "--registry", mlflow_server.url, "--ledger", ledger, "--sign"]
    words += [key_file(tmp_path / "k.pem")]
    names = ["Crédit O'Neil (v2)", 'odd "quoted" %20 name', "日本語", "a=b & c;d"]
    for name in names:
        version = mlflow_server.register(f"cli {name}")
        mlflow_server.registry.set_alias(version, "champion")
        for reference in (version.uri, f"models:/cli {name}@champion", f"models:/cli {name}/latest"):
            code, _, err = run(*words, "--model", reference)
            assert (code, "Warning" in err) == (0, False), err
    found = {entry.subject_name for entry in open_ledger(ledger, create=False).entries()}
    assert found == {f"models:/cli {name}/1" for name in names}
