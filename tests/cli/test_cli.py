"""The command line as a shell sees it: exit codes, stdout, stderr."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from airflow_mlgov import cli
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.signing import TrustRoot, open_signer
from tests.worlds.keys import key_file
from tests.worlds.release import Release, answer, gated, people


@pytest.fixture
def table(tmp_path: Path) -> Path:
    people().to_csv(tmp_path / "p.csv", index=False)
    return tmp_path / "p.csv"


def test_performance(run, table: Path) -> None:
    code, out, _ = run(
        "gate", "performance", "--data", table, "--label", "y", "--score", "score", "--bound", "roc_auc>=0.75"
    )
    assert code == 0
    assert "PASS roc_auc" in out
    code, out, _ = run(
        "gate", "performance", "--data", table, "--label", "y", "--score", "score", "--bound", "roc_auc>=0.999"
    )
    assert code == 1


def test_fairness_as_json(run, table: Path, tmp_path: Path) -> None:
    words = ["gate", "fairness", "--data", table, "--label", "y", "--prediction", "prediction", "--sensitive", "sex",
             "--bound", "demographic_parity_ratio>=0.8", "--json"]  # fmt: skip
    code, out, _ = run(*words)
    document = json.loads(out)
    assert (code, document["verdict"], document["evidence"]) == (0, "PASS", None)
    people(40).to_csv(tmp_path / "few.csv", index=False)
    words[3] = tmp_path / "few.csv"
    code, out, _ = run(*words)
    assert (code, json.loads(out)["verdict"]) == (3, "INCONCLUSIVE")


def test_fairness_of_a_database_with_a_reference_and_a_report(run, table: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    pd.read_csv(table).to_sql("scored", sa.create_engine(url), index=False)
    words = ["gate", "fairness", "--data", url, "--table", "scored", "--label", "y", "--prediction", "prediction",
             "--sensitive", "sex", "--bound", "fpr_disparity<=3", "--report-dir", tmp_path / "reports"]  # fmt: skip
    code, out, _ = run(*words, "--reference-group", "sex=female", "--decide", "point")
    assert code == 0
    assert "male against female" in out
    (report,) = (tmp_path / "reports").glob("fairness-*.html")
    assert "<svg role=" in report.read_text()
    assert "false_positive_rate by sex" in report.read_text()
    code, _, err = run(*words, "--reference-group", "female")
    assert (code, "must look like sex=male" in err) == (2, True)


def test_data_with_evidence_that_the_ledger_shows(run, table: Path, tmp_path: Path) -> None:
    suite = {"name": "s", "expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "y"}}]}
    (tmp_path / "suite.json").write_text(json.dumps(suite))
    ledger, sign = f"sqlite:///{tmp_path / 'l.db'}", key_file(tmp_path / "k.pem")
    words = ["gate", "data", "--data", table, "--suite", tmp_path / "suite.json", "--ledger", ledger]
    code, _, err = run(*words)
    assert code == 2
    assert "--sign" in err
    code, out, _ = run(*words, "--sign", sign)
    assert code == 0
    assert "evidence: ledger:1@" in out
    code, out, _ = run("ledger", "show", "1", "--ledger", ledger)
    shown = json.loads(out)
    assert shown["statement"]["predicate"]["mlgov"]["verdict"] == "PASS"
    assert shown["signed_by"] == [open_signer(sign).public_key.keyid]
    code, out, _ = run("ledger", "verify", "--ledger", ledger, "--json")
    assert (code, json.loads(out)["size"]) == (0, 1)
    TrustRoot().with_key(open_signer(sign).public_key, ["data_validation"]).open_envelope(
        open_ledger(ledger).get(1).envelope
    )


PERFORMANCE = "gate performance --data {table} --label y --score score"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("gate performance --data /gone.csv --label y --score s --bound roc_auc>=0.7", 2, "/gone.csv"),
        (PERFORMANCE.replace("label y", "label z") + " --bound roc_auc>=0.7", 2, "z"),
        (PERFORMANCE + " --bound roc_auc>=x", 2, "not a number"),
        (PERFORMANCE, 2, "no bounds at all"),
        ("ledger verify --ledger postgresql+psycopg://u:geheim@127.0.0.1:1/x", 4, "error [ledger.down]: "),
        ("ledger show 1", 2, "--ledger"),
        (
            "verify models:/m/1 --ledger sqlite:///{folder}/v.db --trust /gone.json --policy /gone.yaml",
            2,
            "error [file.missing]: ",
        ),
    ],
)
def test_mistakes_have_exit_codes_and_no_traceback(run, table: Path, words: str, code: int, message: str) -> None:
    seen, out, err = run(*words.format(table=table, folder=table.parent).split())
    assert seen == code
    assert message in out + err
    assert "Traceback" not in err
    assert "geheim" not in out + err


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["mlgov", "--debug", "ledger", "verify", "--ledger", "mysql://x/y"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.splitlines()[-1].startswith("error [ledger.address]")


def test_verify_explains_and_notices(run, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", release.server.username)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", release.server.password)
    words = [
        "verify", f"models:/{release.model}@champion", "--registry", release.server.url, "--ledger",
        f"sqlite:///{release.folder / 'ledger.db'}", "--trust", release.folder / "trust.json",
    ]  # fmt: skip
    gated(release)
    release.server.registry.set_alias(release.version, "champion")
    code, out, _ = run(*words)
    assert code == 1
    assert "promotion.missing" in out
    assert release.ask(event=answer(release.ask())).state == "success"
    assert release.promote().state == "success"
    code, out, _ = run(*words)
    assert code == 0, out
    for fact in (
        "hashes to sha256:",
        "chain holds",
        "gate fairness PASS",
        "approved by olga",
        "promoted to 'production'",
    ):
        assert fact in out
    policy = release.folder / "mlgov.yaml"
    code, out, _ = run(*words, "--policy", policy, "--environment", "test")
    assert code == 0, out
    assert "made again now" in out
    code, out, _ = run(*words, "--environment", "elsewhere")
    assert code == 1
    assert "environment.differs" in out
    policy.write_text(policy.read_text().replace("0.75", "0.999"))
    code, out, _ = run(*words, "--policy", policy)
    assert code == 1
    assert "bound.not_met: roc_auc" in out
    release.fairness(str(release.folder / "biased.parquet"))
    code, out, _ = run(*words, "--json")
    assert code == 1
    assert json.loads(out[out.index("{\n") :])["reasons"][0][0] == "gate.failed_since"
