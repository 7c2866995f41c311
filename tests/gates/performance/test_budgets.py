from __future__ import annotations

import platform
import shutil
import sys
import venv
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
import yaml
from packaging.requirements import Requirement
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from airflow_mlgov.data.source import source_of
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.children import network
from airflow_mlgov.gates.performance import clean_process, evaluate_performance, scoring
from airflow_mlgov.gates.performance.budgets import model_size
from airflow_mlgov.gates.performance.clean_process import declared_requirements, mismatches, run_in_clean_process
from airflow_mlgov.gates.performance.scoring import ScoringError, inspect_model, run_model
from airflow_mlgov.gates.performance.serialization import require_trusted, stored_model
from airflow_mlgov.results import Check, GateResult, Outcome, Subject
from tests.codes import raises_code

pytestmark = pytest.mark.slow

MODEL = Subject("model", "cancer", "ab" * 32, version="7", registry="http://mlflow")
CANCER = load_breast_cancer(as_frame=True)
FEATURES = list(CANCER.data.columns[:5])
LGBM = "lightgbm.sklearn.LGBMClassifier"


def _table(folder: Path) -> str:
    table = CANCER.data[FEATURES].assign(y=CANCER.target, clinic=np.where(CANCER.data.index % 2, "north", "south"))
    table.to_parquet(folder / "test.parquet", index=False)
    return str(folder / "test.parquet")


def _save(path: Path, estimator: Any, features: pd.DataFrame, label: pd.Series, **settings: Any) -> Path:
    signature = mlflow.models.infer_signature(features, estimator.fit(features, label).predict(features))
    settings.setdefault("pip_requirements", ["scikit-learn", "pandas>=2"])
    mlflow.sklearn.save_model(estimator, str(path), signature=signature, **settings)
    return path


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logged") / "model"
    estimator = RandomForestClassifier(10, max_depth=3, random_state=0)
    trusted = ["sklearn.tree._tree.Tree"]  # without which MLflow would not store it
    return _save(path, estimator, CANCER.data[FEATURES], CANCER.target, skops_trusted_types=trusted)


def _judge(model: Path, tmp_path: Path, bounds: Any, **settings: Any) -> GateResult:
    return _score(model, _table(tmp_path), bounds, label="y", **settings)


def _score(model: Path, data: str, bounds: Any, **settings: Any) -> GateResult:
    return evaluate_performance(
        data, subject=MODEL, bounds=bounds, artifact=lambda: nullcontext(model), score_model=True, **settings
    )


def _by_name(result: GateResult) -> dict[str, Check]:
    return {check.name: check for check in result.checks}


def test_a_model_is_scored_timed_weighed_and_tried(forest: Path, tmp_path: Path) -> None:
    bounds = {
        "roc_auc": {"min": 0.9},
        "roc_auc_worst_slice": {"min": 0.8},
        "latency_p95_ms": {"max": 60_000},
        "batch_latency_p95_ms": {"max": 60_000},
        "model_size_mb": {"max": 10},
        "loads_in_clean_process": {"min": 1},
    }
    result = _judge(forest, tmp_path, bounds, slices=["clinic"])
    checks = _by_name(result)
    assert result.verdict is Outcome.PASS, result.summary()
    size = sum(path.stat().st_size for path in forest.rglob("*") if path.is_file())
    assert checks["model_size_mb"].observed == pytest.approx(size / 1e6)
    one, batch = checks["latency_p95_ms"].values, checks["batch_latency_p95_ms"].values
    assert 0 < one["p50_ms"] <= one["p95_ms"] <= one["p99_ms"]
    assert (one["rows"], batch["rows"]) == (1, len(CANCER.data))
    assert one["machine"]["cpus"] >= 1
    clean = checks["loads_in_clean_process"].values
    assert (clean["requirements"], clean["rows"]) == (3, len(CANCER.data))
    assert clean["network"] in (network.CUT, network.NOT_CUT)
    model = result.details["model"]
    assert model["child"]["seconds"] > 0
    assert model["serialization"] == "skops"
    assert model["child"]["network"] == clean["network"]
    assert [item.name for item in result.inputs] == [str(tmp_path / "test.parquet")]


def test_a_budget_that_is_not_met_fails(forest: Path, tmp_path: Path) -> None:
    result = _judge(forest, tmp_path, {"model_size_mb": {"max": 0.000001}, "latency_p95_ms": {"max": 0.000001}})
    checks = _by_name(result)
    assert {checks[name].outcome for name in ("model_size_mb", "latency_p95_ms")} == {Outcome.FAIL}
    assert "loads_in_clean_process" not in checks


def test_what_needs_loading_is_refused_without_it(forest: Path, tmp_path: Path) -> None:
    given = {"subject": MODEL, "label": "y", "prediction": "clinic"}
    for metric in ("latency_p95_ms", "batch_latency_p95_ms", "loads_in_clean_process"):
        with raises_code(ConfigurationError, "setting.missing"):
            evaluate_performance(_table(tmp_path), bounds={metric: {"max": 1}}, **given)


def test_a_label_and_a_model_are_asked_for(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "setting.missing"):
        evaluate_performance(_table(tmp_path), subject=MODEL, bounds=["roc_auc>=0.5"])
    with pytest.raises(ConfigurationError) as refused:
        evaluate_performance(_table(tmp_path), subject=MODEL, bounds=["roc_auc>=0.5"], label="y", score_model=True)
    assert refused.value.code == "model.not_named"


def test_a_size_needs_no_loading(tmp_path: Path) -> None:
    frame = pd.DataFrame({"y": [0, 1] * 20, "s": [0.2, 0.8] * 20})
    frame.to_parquet(tmp_path / "scored.parquet")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"x" * 2_500_000)
    result = evaluate_performance(
        str(tmp_path / "scored.parquet"),
        artifact=lambda: nullcontext(tmp_path / "model"),
        subject=MODEL,
        bounds={"model_size_mb": {"max": 2}, "accuracy": {"min": 0.5}},
        label="y",
        score="s",
    )
    check = _by_name(result)["model_size_mb"]
    assert (check.observed, check.outcome) == (2.5, Outcome.FAIL)
    assert model_size(tmp_path / "model").detail == "1 files"


def test_a_pickle_is_loaded_in_the_child_alone_and_named(tmp_path: Path) -> None:
    model = _save(
        tmp_path / "model",
        LogisticRegression(max_iter=5000),
        CANCER.data[FEATURES],
        CANCER.target,
        serialization_format="cloudpickle",
    )
    result = _judge(model, tmp_path, ["roc_auc>=0.5"])
    assert result.verdict is Outcome.PASS, result.summary()
    assert result.details["model"]["serialization"] == "cloudpickle"
    assert result.details["model"]["loading"] == "loading it can run code of its author's"


def test_many_classes_and_a_champion_named_by_the_settings(tmp_path: Path) -> None:
    iris = load_iris(as_frame=True)
    label = iris.target.map(dict(enumerate(iris.target_names)))
    model = _save(tmp_path / "model", LogisticRegression(max_iter=1000), iris.data, label)
    data = str(tmp_path / "iris.parquet")
    iris.data.assign(y=label).to_parquet(data)
    names = {name: f"p_{name}" for name in iris.target_names}
    champion = pd.DataFrame(np.full((150, 3), 1 / 3), columns=list(names.values())).assign(y=label)
    champion.to_parquet(tmp_path / "champion.parquet")
    result = _score(
        model,
        data,
        ["roc_auc_ovr>=0.9", "neg_log_loss_vs_champion>=0", "accuracy_vs_champion>=0.5"],
        label="y",
        class_scores=names,
        baseline=str(tmp_path / "champion.parquet"),
    )
    assert result.verdict is Outcome.PASS, result.summary()
    assert result.details["classes"] == sorted(iris.target_names)
    own = _score(model, data, ["roc_auc_ovr>=0.9"], label="y")
    assert _by_name(own)["roc_auc_ovr"].observed == _by_name(result)["roc_auc_ovr"].observed


def test_a_regression_is_scored(tmp_path: Path) -> None:
    diabetes = load_diabetes(as_frame=True)
    model = _save(tmp_path / "model", LinearRegression(), diabetes.data, diabetes.target)
    diabetes.frame.to_parquet(tmp_path / "test.parquet")
    result = _score(model, str(tmp_path / "test.parquet"), ["r2>=0.4", "mae<=60"], label="target")
    assert result.verdict is Outcome.PASS, result.summary()


def test_a_skops_model_with_an_untrusted_type_is_refused_by_its_name(tmp_path: Path) -> None:
    """The model's own list of trusted types, which MLflow would believe, does not count."""
    estimator = make_pipeline(FunctionTransformer(np.nan_to_num), LogisticRegression(max_iter=5000))
    model = _save(
        tmp_path / "model",
        estimator,
        CANCER.data[FEATURES],
        CANCER.target,
        skops_trusted_types=["numpy.nan_to_num"],
    )
    with raises_code(
        ConfigurationError, "model.untrusted", match=r"holds the type numpy.nan_to_num, which is not trusted"
    ):
        _judge(model, tmp_path, ["roc_auc>=0.5"])
    result = _judge(model, tmp_path, ["roc_auc>=0.5"], trusted_types=["numpy.nan_to_num"])
    assert result.verdict is Outcome.PASS, result.summary()


def test_files_that_are_no_skops(tmp_path: Path) -> None:
    from skops.io import dump

    file = tmp_path / "model.skops"
    file.write_bytes(b"not a zip")
    with raises_code(ConfigurationError, "model.unreadable"):
        require_trusted(file)
    dump(LogisticRegression(), file)
    assert require_trusted(file) == []


@pytest.mark.parametrize(
    ("loader", "flavor", "file", "expected"),
    [
        ("mlflow.sklearn", {"pickled_model": "model.skops", "serialization_format": "skops"}, "model.skops", "skops"),
        ("mlflow.sklearn", {"pickled_model": "model.pkl", "serialization_format": "safe"}, "model.pkl", "pickle"),
        ("mlflow.sklearn", {"pickled_model": "model.pkl"}, "model.pkl", "pickle"),
        ("mlflow.xgboost", {"data": "model.ubj"}, "model.ubj", "xgboost"),
        ("mlflow.xgboost", {"data": "m.ubj", "model_class": "xgboost.sklearn.XGBRegressor"}, "m.ubj", "xgboost"),
        ("mlflow.lightgbm", {"data": "model.pkl"}, "model.pkl", "pickle"),
        ("mlflow.lightgbm", {"data": "model.lgb", "pickled_model": "decoy.skops"}, "model.lgb", "lightgbm"),
        ("mlflow.lightgbm", {"data": "model.lgb", "model_class": LGBM}, "model.lgb", "pickle"),
        (
            "mlflow.lightgbm",
            {"data": "model.lgb", "model_class": LGBM, "serialization_format": "cloudpickle"},
            "model.lgb",
            "cloudpickle",
        ),
        (
            "mlflow.lightgbm",
            {"data": "model.skops", "model_class": LGBM, "serialization_format": "skops"},
            "model.skops",
            "skops",
        ),
    ],
)
def test_how_a_model_is_stored(tmp_path: Path, loader: str, flavor: dict[str, str], file: str, expected: str) -> None:
    flavors = {"python_function": {"loader_module": loader}, loader.removeprefix("mlflow."): flavor}
    with raises_code(ConfigurationError, "model.unreadable"):
        stored_model(tmp_path, {"flavors": flavors})
    (tmp_path / file).write_bytes(b"x")
    stored = stored_model(tmp_path, {"flavors": flavors})
    assert (stored.format, stored.runs_code) == (expected, expected in ("pickle", "cloudpickle"))


def test_xgboosts_file_is_read_by_xgboost(tmp_path: Path) -> None:
    """MLflow imports and calls whatever the MLmodel names."""
    (tmp_path / "model.ubj").write_bytes(b"x")
    flavors = {
        "python_function": {"loader_module": "mlflow.xgboost"},
        "xgboost": {"data": "model.ubj", "model_class": "os.abort"},
    }
    with raises_code(ConfigurationError, "model.untrusted", match=r"os.abort is no class of XGBoost's"):
        stored_model(tmp_path, {"flavors": flavors})


def test_a_lightgbm_models_own_list_of_types_is_not_believed(tmp_path: Path) -> None:
    estimator = make_pipeline(FunctionTransformer(np.nan_to_num), LogisticRegression(max_iter=5000))
    trusted = ["numpy.nan_to_num"]
    path = _save(tmp_path / "model", estimator, CANCER.data[FEATURES], CANCER.target, skops_trusted_types=trusted)
    description = yaml.safe_load((path / "MLmodel").read_text())
    own = description["flavors"].pop("sklearn")
    description["flavors"]["lightgbm"] = {
        "data": own["pickled_model"],
        "model_class": LGBM,
        "serialization_format": "skops",
        "skops_trusted_types": trusted,
    }
    description["flavors"]["python_function"]["loader_module"] = "mlflow.lightgbm"
    (path / "MLmodel").write_text(yaml.safe_dump(description))
    with raises_code(
        ConfigurationError, "model.untrusted", match=r"holds the type numpy.nan_to_num, which is not trusted"
    ):
        _judge(path, tmp_path, ["roc_auc>=0.5"])


def test_the_network_is_cut_off_or_said_not_to_be(forest: Path, tmp_path: Path) -> None:
    """A model that tries to call out, pickled so that it can."""
    notes = tmp_path / "notes.txt"

    class Caller:
        def predict(self, table: pd.DataFrame) -> Any:
            import socket

            try:
                socket.create_connection(("127.0.0.1", listener_port), timeout=2).close()
                notes.write_text("reached")
            except OSError as error:
                notes.write_text(f"refused: {error}")
            return np.zeros(len(table))

    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener_port = listener.getsockname()[1]
        mlflow.sklearn.save_model(
            Caller(), str(tmp_path / "model"), serialization_format="cloudpickle", pip_requirements=["scikit-learn"]
        )
        with source_of(_table(tmp_path)).open() as features:
            run = run_model(tmp_path / "model", features, tmp_path / "out.parquet", columns=FEATURES)
    assert notes.read_text().startswith("refused" if run.network == network.CUT else "reached")


def test_without_user_namespaces_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_prefix", lambda: ())
    assert network.without_network(["true"]) == (["true"], network.NOT_CUT)
    monkeypatch.undo()
    network._prefix.cache_clear()
    monkeypatch.setattr(network.shutil, "which", lambda _: None)
    assert network._prefix() == ()
    network._prefix.cache_clear()
    refusing = next(str(path) for path in (Path("/bin/false"), Path("/usr/bin/false")) if path.exists())
    monkeypatch.setattr(network.shutil, "which", lambda _: refusing)
    assert network._prefix() == ()
    network._prefix.cache_clear()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"row": {}}', '{"row": {"calls": 1, "rows": 1, "p50_ms": 1, "p95_ms": NaN, "p99_ms": 1}}']
)
def test_latencies_are_believed_only_where_they_are_numbers(tmp_path: Path, text: str) -> None:
    (tmp_path / "latency.json").write_text(text)
    with raises_code(ScoringError, "child.answer"):
        scoring._read_latency(tmp_path / "latency.json")


# --- the clean process


def test_declared_packages_that_are_not_installed_fail(forest: Path, tmp_path: Path) -> None:
    from skops.io import load

    model = Path(shutil.copytree(forest, tmp_path / "model"))
    (model / "requirements.txt").write_text("scikit-learn==0.24.2\nno-such-package-at-all>=1\npandas>=2\n")
    description = inspect_model(model)
    features, stored = CANCER.data[FEATURES].head(20), stored_model(model, description)
    predicted = load(stored.file, trusted=["sklearn.tree._tree.Tree"]).predict(features).tolist()
    done = run_in_clean_process(model, stored, ["sklearn.tree._tree.Tree"], features, predicted)
    assert done.problems == (
        f"scikit-learn {version('scikit-learn')} is installed, scikit-learn==0.24.2 is declared",
        "no-such-package-at-all is declared and not installed",
    )
    assert done.python == platform.python_version()


def test_a_model_that_declares_nothing_decides_nothing(forest: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(forest, tmp_path / "model"))
    (model / "requirements.txt").unlink()
    check = _by_name(_judge(model, tmp_path, ["roc_auc>=0.5", "loads_in_clean_process>=1"]))["loads_in_clean_process"]
    assert (check.observed, check.outcome) == (None, Outcome.INCONCLUSIVE)


def test_an_environment_without_the_packages_fails(forest: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    python = str(tmp_path / "env" / "bin" / "python")
    check = _by_name(_judge(forest, tmp_path, ["roc_auc>=0.5"], python=python))["loads_in_clean_process"]
    assert check.observed == 0
    assert "scikit-learn is declared and not installed" in check.detail
    assert "No module named" in check.detail
    assert check.values["environment"] == "named interpreter"
    with raises_code(ConfigurationError, "environment.missing"):
        _judge(forest, tmp_path, ["roc_auc>=0.5"], python="/nowhere/python")


def test_a_model_that_predicts_otherwise_there_fails(tmp_path: Path) -> None:
    """Its predictions hang on a module's state that a fresh process has not."""

    class Moody:
        def predict(self, table: pd.DataFrame) -> Any:
            here = "airflow_mlgov.gates.performance.scoring" in sys.argv[0] or "scoring" in sys.argv[0]
            return np.full(len(table), int(here))

    mlflow.sklearn.save_model(
        Moody(), str(tmp_path / "model"), serialization_format="cloudpickle", pip_requirements=["scikit-learn"]
    )
    _edit_signature(tmp_path / "model")
    result = _judge(tmp_path / "model", tmp_path, ["accuracy>=0", "loads_in_clean_process>=1"])
    check = _by_name(result)["loads_in_clean_process"]
    assert check.outcome is Outcome.FAIL
    assert f"predicts otherwise there in {len(CANCER.data)} of {len(CANCER.data)} rows" in check.detail


def _edit_signature(model: Path) -> None:
    signature = mlflow.models.infer_signature(CANCER.data[FEATURES], np.zeros(3))
    description = yaml.safe_load((model / "MLmodel").read_text())
    description["signature"] = signature.to_dict()
    (model / "MLmodel").write_text(yaml.safe_dump(description))
    assert inspect_model(model)


def test_what_a_requirements_file_declares(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "# made by hand\n"
        "scikit-learn==1.5.0  # pinned\n"
        "mlflow[extras]>=3,<4\n"
        'backports ; python_version < "3.9"\n'
        "-c constraints.txt\n"
        "--index-url https://joe:secret@index.example/simple\n"
        "./local.whl\n"
        "\n"
    )
    (tmp_path / "constraints.txt").write_text("numpy<2\n-c constraints.txt\n")
    declared = declared_requirements(tmp_path)
    assert [item.name for item in declared.requirements] == ["scikit-learn", "mlflow", "backports"]
    assert [item.name for item in declared.constraints] == ["numpy"]
    assert len(declared.unread) == 2
    assert "secret" not in str(declared.unread)
    markers = {"python_version": "3.11", "python_full_version": "3.11.7"}
    versions = {"scikit-learn": "1.5.0", "mlflow": "4.0.0", "numpy": "2.1.0", "backports": None}
    assert mismatches(declared, versions, markers) == [
        "mlflow 4.0.0 is installed, mlflow<4,>=3 is declared",
        "numpy 2.1.0 is installed, numpy<2 is declared",
    ]
    assert mismatches(declared, {**versions, "mlflow": "3.1rc1", "numpy": None}, markers) == []
    assert declared_requirements(tmp_path / "nowhere").requirements == ()
    assert Requirement("numpy<2") in declared.constraints


@pytest.mark.parametrize("answer", ["", "[]", '{"versions": []}'])
def test_an_interpreter_that_answers_nonsense_is_no_pass(forest: Path, tmp_path: Path, answer: str) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nprintf '%s' '{answer}' > answer.json\n")
    python.chmod(0o755)
    stored = stored_model(forest, inspect_model(forest))
    done = run_in_clean_process(forest, stored, [], CANCER.data[FEATURES].head(3), [1, 1, 1], python=python)
    assert len(done.problems) == 1
    assert done.problems[0].startswith("the interpreter cannot be asked for its packages")


def test_a_prediction_for_each_row_is_asked_for() -> None:
    assert clean_process._compare([1, 0], [1, 0, 1]) == ["it gave no prediction for each of 3 rows"]
    assert clean_process._compare(None, [1]) == ["it gave no prediction for each of 1 rows"]
    assert clean_process._compare(["good", 0.3, True], ["good", 0.30000000001, 1]) == []
    assert clean_process._compare(["good", 0.3], ["bad", 0.31]) == ["it predicts otherwise there in 2 of 2 rows"]
