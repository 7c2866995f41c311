"""``mlgov gate performance`` as a shell sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlgov import cli


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    def call(*words: Any) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["mlgov", "gate", "performance", "--label", "y", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out = capsys.readouterr()
        return int(ended.value.code or 0), out.out, out.err

    return call


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    label = rng.choice(["a", "b", "c"], 300)
    score = np.exp(2 * (label[:, None] == np.array(["a", "b", "c"])) + rng.normal(size=(300, 3)))
    frame = pd.DataFrame(score / score.sum(1, keepdims=True), columns=["pa", "pb", "pc"])
    frame.assign(y=label, region=rng.choice(["north", "south"], 300)).to_csv(tmp_path / "classes.csv", index=False)
    truth = rng.normal(size=300)
    pd.DataFrame({"y": truth, "p": truth + 0.1 * rng.normal(size=300)}).to_csv(tmp_path / "numbers.csv", index=False)
    return tmp_path


def test_many_classes_and_slices(run: Any, tables: Path) -> None:
    words = ["--data", tables / "classes.csv", "--slice", "region", "--bound", "roc_auc_ovr>=0.8",
             "--bound", "f1_macro_worst_slice>=0.5", "--json"]  # fmt: skip
    words += [word for name in "abc" for word in ("--class-score", f"{name}=p{name}")]
    code, out, _ = run(*words)
    document = json.loads(out)
    assert (code, document["verdict"]) == (0, "PASS")
    checks = {check["name"]: check for check in document["checks"]}
    assert checks["roc_auc_ovr"]["values"]["interval"]["low"] < checks["roc_auc_ovr"]["observed"]
    assert checks["f1_macro_worst_slice"]["values"]["worst"].startswith("region=")


def test_an_interval_may_decide(run: Any, tables: Path) -> None:
    words = ["--data", tables / "numbers.csv", "--prediction", "p"]
    code, out, _ = run(*words, "--bound", "rmse<=0.1005", "--decide", "interval")
    assert code == 3
    assert "straddles the bound" in out
    assert run(*words, "--bound", "neg_root_mean_squared_error>=-0.2", "--decide", "interval")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bound", "adjusted_rand_score>=0"], 'unknown metric "adjusted_rand_score"'),
        (["--bound", "accuracy>=0", "--class-score", "a:pa"], "--class-score must look like LABEL=COLUMN"),
        (["--bound", "accuracy>=0", "--score-model"], "--model names is loaded by --score-model"),
        (["--bound", "latency_p95_ms<=5"], "latency_p95_ms is measured by loading the model"),
        (
            ["--bound", "accuracy>=0", "--task", "ranking", "--prediction", "p"],
            "task should be 'binary', 'multiclass' or 'regression', not 'ranking'",
        ),
    ],
)
def test_bad_usage(run: Any, tables: Path, words: list[str], message: str) -> None:
    code, _, err = run("--data", tables / "numbers.csv", *words)
    assert code == 2
    assert message in err.replace("\n", " ")
