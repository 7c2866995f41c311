from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import LinearRegression, LogisticRegression

from airflow_mlgov.data.memory import MemoryLimitError, memory_limit
from airflow_mlgov.errors import ConfigurationError, MlgovError
from airflow_mlgov.gates.performance import scoring
from airflow_mlgov.gates.performance.scoring import ScoringError, inspect_model, score_model
from tests.codes import raises_code

FEATURES = ["income", "debt"]
pytestmark = pytest.mark.xdist_group("skops")
"""skops looks through every module that is imported, which takes seconds: in one worker."""
EVIL = """
open({ran!r}, "w").close()
class Model:
    def predict(self, table): ...
def _load_pyfunc(path):
    return Model()
"""


def _table(rows: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(rows, 2)), columns=FEATURES)
    return table.assign(y=np.where(table.income > table.debt, "good", "bad"), sex=np.where(table.index % 2, "f", "m"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LogisticRegression]:
    table, path = _table(), tmp_path_factory.mktemp("logged") / "model"
    fitted = LogisticRegression().fit(table[FEATURES], table.y)
    mlflow.sklearn.save_model(fitted, str(path), pip_requirements=["scikit-learn"])
    return path, fitted


@pytest.fixture
def features(tmp_path: Path) -> Path:
    _table().to_parquet(tmp_path / "test.parquet")
    return tmp_path / "test.parquet"


@pytest.fixture
def broken(model: tuple[Path, Any], tmp_path: Path) -> Path:
    return Path(shutil.copytree(model[0], tmp_path / "model"))


def _edit(model_dir: Path, flavor: str = "python_function", **settings: Any) -> None:
    description = yaml.safe_load((model_dir / "MLmodel").read_text())
    description["flavors"][flavor].update(settings)
    (model_dir / "MLmodel").write_text(yaml.safe_dump(description))


@pytest.mark.slow
def test_scores_in_a_child_and_keeps_columns(model: tuple[Path, Any], features: Path, tmp_path: Path) -> None:
    path, fitted = model
    out = score_model(path, features, tmp_path / "out.parquet", columns=FEATURES, keep=["y", "sex"])
    scored, table = pd.read_parquet(out), _table()
    assert list(scored.columns) == ["y", "sex", "score", "prediction"]
    assert scored.score.to_numpy() == pytest.approx(fitted.predict_proba(table[FEATURES])[:, 1])
    assert list(scored.prediction) == list(fitted.predict(table[FEATURES]))
    assert list(scored.y) == list(table.y)


def _save_spy(path: Path, action: str, notes: Path) -> Path:
    """A model that looks around while it predicts. It is pickled, so loading it runs what its author wrote."""

    class Spy:
        def predict(self, table: pd.DataFrame) -> Any:
            if action == "sleep":
                time.sleep(60)
            if action == "crash":
                raise RuntimeError("cannot reach postgresql://scott:tiger@db/prod with token=abc123 " + "x" * 400)
            if action == "die":
                os.kill(os.getpid(), 9)
            if action == "hoard":
                return np.ones(len(table) * 1_000_000_000)
            if action == "quiet":
                os._exit(0)
            if action == "mute":
                os._exit(3)
            seen = {
                "environ": dict(os.environ),
                "cwd": os.getcwd(),
                "columns": list(table.columns),
                "handles": [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if n in "012"],
                "secret_handle": os.path.exists("/proc/self/fd/77"),
            }
            notes.write_text(json.dumps(seen))
            return {"short": np.zeros(3), "nested": [[1.0]] * len(table)}.get(action, np.zeros(len(table)))

    mlflow.sklearn.save_model(Spy(), str(path), serialization_format="cloudpickle", pip_requirements=["scikit-learn"])
    return path


@pytest.mark.slow
def test_the_child_sees_no_secret(features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIRFLOW__CORE__FERNET_KEY", "MLFLOW_TRACKING_PASSWORD", "VAULT_TOKEN", "AWS_SECRET_ACCESS_KEY", "X"):
        monkeypatch.setenv(name, "hunter2")
    with (tmp_path / "secret").open("w") as secret:
        os.dup2(secret.fileno(), 77, inheritable=True)
    try:
        model_dir, notes = _save_spy(tmp_path / "spy", "look", tmp_path / "notes.json"), tmp_path / "notes.json"
        out = score_model(model_dir, features, tmp_path / "out.parquet", columns=FEATURES, keep=["y"])
    finally:
        os.close(77)
    seen = json.loads(notes.read_text())
    assert "hunter2" not in notes.read_text()
    assert not [n for n in seen["environ"] if n.startswith(("AIRFLOW", "MLFLOW_TRACKING", "VAULT", "AWS"))]
    assert seen["environ"]["HOME"] == seen["environ"]["TMPDIR"] == seen["cwd"]
    assert seen["cwd"] != os.getcwd()
    assert not Path(seen["cwd"]).exists()
    assert seen["columns"] == FEATURES
    assert seen["handles"][:2] == ["/dev/null", "/dev/null"]
    assert not seen["secret_handle"]
    assert list(pd.read_parquet(out).columns) == ["y", "prediction"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("action", "code", "words"),
    [
        (
            "crash",
            "child.failed",
            r"exit code 1: RuntimeError: cannot reach postgresql://\*\*\*@db/prod with token=\*\*\*",
        ),
        ("die", "child.failed", "was killed by signal 9: "),
        ("mute", "child.failed", "exit code 3: "),
        ("quiet", "child.answer", ""),
        ("short", "child.answer", "gave 3 predictions for 60 rows"),
        ("nested", "child.answer", ""),
    ],
)
def test_what_goes_wrong_in_the_child_is_told(
    features: Path, tmp_path: Path, action: str, code: str, words: str
) -> None:
    spy = _save_spy(tmp_path / "spy", action, tmp_path / "notes.json")
    with raises_code(ScoringError, code, words) as caught:
        score_model(spy, features, tmp_path / "out.parquet", columns=FEATURES)
    assert isinstance(caught.value, MlgovError)
    assert "tiger" not in str(caught.value)
    assert "abc123" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.slow
def test_a_model_that_takes_more_memory_than_the_limit_is_stopped(features: Path, tmp_path: Path) -> None:
    spy = _save_spy(tmp_path / "spy", "hoard", tmp_path / "notes.json")
    said = "^scoring needs more memory than the limit of 64MB and cannot be spilled: raise memory_limit"
    with raises_code(MemoryLimitError, "memory_limit.exceeded", match=said), memory_limit("64MB", "the gate"):
        score_model(spy, features, tmp_path / "out.parquet", columns=FEATURES)
    assert not (tmp_path / "out.parquet").exists()


def test_a_model_that_takes_too_long_is_stopped(features: Path, tmp_path: Path) -> None:
    spy = _save_spy(tmp_path / "spy", "sleep", tmp_path / "notes.json")
    started = time.monotonic()
    with raises_code(ScoringError, "child.timeout", match="longer than 1 s"):
        score_model(spy, features, tmp_path / "out.parquet", columns=FEATURES, timeout=1)
    assert time.monotonic() - started < 20


def test_a_foreign_loader_is_refused_and_does_not_run(
    broken: Path, features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    (broken / "code").mkdir()
    (broken / "code" / "evilmod.py").write_text(EVIL.format(ran=str(ran)))
    _edit(broken, loader_module="evilmod", code="code")
    with raises_code(
        ConfigurationError, "model.untrusted", match=r'its loader_module is "evilmod", allowed are mlflow.lightgbm'
    ):
        score_model(broken, features, tmp_path / "out.parquet", columns=FEATURES)
    assert not ran.exists()
    monkeypatch.setattr(sys, "path", list(sys.path))
    mlflow.pyfunc.load_model(str(broken))
    assert ran.exists()  # so it would have


@pytest.mark.parametrize(
    ("flavor", "settings", "words"),
    [
        ("python_function", {"loader_module": "mlflow.pyfunc.model"}, "mlflow.pyfunc.model"),
        ("python_function", {"loader_module": ["mlflow.sklearn"]}, "loader_module"),
        ("python_function", {"loader_module": None}, "loader_module"),
        ("python_function", {"code": "code"}, r"brings code \(code\)"),
        ("sklearn", {"code": "src"}, "its sklearn flavor brings code"),
        ("python_function", {"model_path": "../other.pkl"}, "leaves the model's folder"),
        ("sklearn", {"pickled_model": "/other.pkl"}, "leaves the model's folder"),
    ],
)
def test_models_with_code_are_refused(broken: Path, flavor: str, settings: dict[str, Any], words: str) -> None:
    _edit(broken, flavor, **settings)
    with raises_code(ConfigurationError, "model.untrusted", words):
        inspect_model(broken)


def test_files_that_a_model_must_not_hold(broken: Path) -> None:
    assert inspect_model(broken)["flavors"]["sklearn"]
    (broken / "helper.py").write_text("")
    with raises_code(ConfigurationError, "model.untrusted", match=r"\(helper.py\)"):
        inspect_model(broken)
    (broken / "helper.py").unlink()
    (broken / "link").symlink_to(broken / "model.skops")
    with raises_code(ConfigurationError, "model.untrusted", match="link is a link"):
        inspect_model(broken)


@pytest.mark.parametrize("text", ["", "{", "flavors: [1]", "flavors: {sklearn: {}}", "flavors: {python_function: 3}"])
def test_an_unreadable_mlmodel(tmp_path: Path, text: str) -> None:
    with raises_code(ConfigurationError, "model.unreadable"):
        inspect_model(tmp_path)
    (tmp_path / "MLmodel").write_text(text)
    with raises_code(ConfigurationError, "model.unreadable"):
        inspect_model(tmp_path)


@pytest.mark.parametrize(
    ("kwargs", "code", "words"),
    [
        ({"columns": []}, "model.not_scorable", ""),
        ({}, "model.not_scorable", ""),
        ({"columns": FEATURES, "keep": ["score"]}, "model.not_scorable", ""),
        ({"columns": ["incom"]}, "column.missing", 'has no column "incom"'),
    ],
)
def test_bad_columns(
    model: tuple[Path, Any], features: Path, tmp_path: Path, kwargs: Any, code: str, words: str
) -> None:
    with raises_code(ConfigurationError, code, words):
        score_model(model[0], features, tmp_path / "out.parquet", **kwargs)


def _work(tmp_path: Path, model_dir: Path, positive_label: str | None = None) -> Path:
    (tmp_path / "order.json").write_text(json.dumps({"model": str(model_dir), "positive_label": positive_label}))
    _table()[FEATURES].to_parquet(tmp_path / "features.parquet", index=False)
    return tmp_path


def test_the_score_is_of_the_declared_label(model: tuple[Path, LogisticRegression], tmp_path: Path) -> None:
    path, fitted = model
    probabilities = fitted.predict_proba(_table()[FEATURES])
    scoring._score_in_child(_work(tmp_path, path, "bad"))
    assert pd.read_parquet(tmp_path / "scores.parquet").score.to_numpy() == pytest.approx(probabilities[:, 0])
    with pytest.raises(SystemExit, match="'ugly' is not a class of the model: bad, good"):
        scoring._score_in_child(_work(tmp_path, path, "ugly"))


def test_a_regression_has_predictions_only(tmp_path: Path) -> None:
    table = _table()
    fitted = LinearRegression().fit(table[FEATURES], table.income)
    mlflow.sklearn.save_model(fitted, str(tmp_path / "model"), pip_requirements=["scikit-learn"])
    scoring._score_in_child(_work(tmp_path, tmp_path / "model"))
    scores = scoring._read_scores(tmp_path / "scores.parquet", len(table))
    assert list(scores.columns) == ["prediction"]
    assert scores.prediction.to_numpy() == pytest.approx(table.income.to_numpy())


@pytest.mark.slow
def test_the_signature_names_the_features(features: Path, tmp_path: Path) -> None:
    table = _table()[["debt", "income"]]
    fitted = LogisticRegression().fit(table, _table().y)
    signature = mlflow.models.infer_signature(table, fitted.predict(table))
    mlflow.sklearn.save_model(fitted, str(tmp_path / "model"), signature=signature, pip_requirements=["scikit-learn"])
    assert scoring.signature_columns(inspect_model(tmp_path / "model")) == ["debt", "income"]
    out = score_model(tmp_path / "model", features, tmp_path / "out.parquet", keep=["y"])
    assert pd.read_parquet(out).score.to_numpy() == pytest.approx(fitted.predict_proba(table)[:, 1])


def test_scores_that_are_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "scores.parquet").write_text("not parquet")
    with raises_code(ScoringError, "child.answer"):
        scoring._read_scores(tmp_path / "scores.parquet", 3)
