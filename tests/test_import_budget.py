"""A DAG file that imports every operator must not pay for the libraries behind them."""

import subprocess
import sys
from pathlib import Path

HEAVY = [
    "airflow_mlgov.board",
    "great_expectations",
    "mlflow",
    "openlineage",
    "fairlearn",
    "sklearn",
    "pandas",
    "duckdb",
    "hvac",
    "regorus",
]
SCRIPT = f"""
import importlib, sys
from airflow_mlgov.provider_info import get_provider_info
info = get_provider_info()
modules = [m for part in ("operators", "sensors", "triggers") for item in info[part] for m in item["python-modules"]]
for module in [*modules, "airflow_mlgov.plugins", "airflow_mlgov.cluster_policy", "airflow_mlgov.cli"]:
    importlib.import_module(module)
print(" ".join(name for name in {HEAVY!r} if name in sys.modules))
"""


def test_operators_import_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines()[-1:] == [""], done.stdout


GATES = """
import sys
import duckdb
from airflow_mlgov.data import ranks
from airflow_mlgov.data.cases import evaluation_digest
from airflow_mlgov.data.file_tables import open_table
from airflow_mlgov.gates.fairness import evaluate_fairness
from airflow_mlgov.gates.performance import evaluate_performance
from airflow_mlgov.results import Subject
data = sys.argv[1]
duckdb.sql("SELECT range % 2 AS y, range // 3 % 2 AS p, range % 97 / 97 AS s, 'g' || range % 3 AS g FROM range(2000)"
    ).write_parquet(data)
given = {"subject": Subject("model", "m", "0" * 64, "1"), "label": "y", "prediction": "p", "score": "s"}
evaluate_performance(data, bounds={"roc_auc": {"min": 0.0}}, **given)
evaluate_fairness(data, sensitive_features=["g"], bounds={"roc_auc_difference": {"max": 1.0}}, **given)
ranks._WORTH = ranks._MANY = 1
with open_table(data) as table:
    evaluation_digest(table, ["y", "g"])
print("pandas" in sys.modules)
"""


def test_gates_of_a_file_do_not_import_pandas(tmp_path: Path) -> None:
    words = [sys.executable, "-c", GATES, str(tmp_path / "a.parquet")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines()[-1:] == ["False"], done.stdout
