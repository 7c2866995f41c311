"""A DAG file that imports every operator must not pay for the libraries behind them."""

import subprocess
import sys

HEAVY = [
    "airflow_mlgov.board",
    "great_expectations",
    "mlflow",
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
