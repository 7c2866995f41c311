"""What a DAG file meets in ``airflow dag-processor``: our operators are there already, as Airflow's own are."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

DAG_FILE = """
import sys
from datetime import datetime

there = sorted(name for name in sys.modules if name.startswith(("airflow_mlgov.operators.", "airflow_mlgov.sensors.")))
heavy = sorted({"great_expectations", "mlflow", "fairlearn", "pandas", "duckdb"}.intersection(sys.modules))

from airflow.sdk import DAG

with DAG("probe", schedule=None, start_date=datetime(2026, 1, 1), description=" ".join([*there, "heavy:", *heavy])):
    pass
"""


@pytest.mark.slow
def test_operators_are_imported_before_the_processor_forks(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "probe.py").write_text(DAG_FILE)
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
    }
    environment.pop("AIRFLOW__CORE__UNIT_TEST_MODE", None)
    for command in (["db", "migrate"], ["dag-processor", "--num-runs", "1"]):
        subprocess.run([sys.executable, "-m", "airflow", *command], env=environment, check=True, capture_output=True)
    with closing(sqlite3.connect(tmp_path / "airflow.db")) as database:
        ((description,),) = database.execute("SELECT description FROM dag").fetchall()
    modules, _, heavy = description.partition("heavy:")
    assert {"airflow_mlgov.operators.approval", "airflow_mlgov.sensors.model_version"} <= set(modules.split())
    assert heavy == ""


@pytest.mark.slow
def test_other_components_import_nothing() -> None:
    program = (
        "import sys\n"
        "from airflow_mlgov.plugins.listener import on_starting\n"
        "on_starting()\n"
        "print('airflow_mlgov.operators.approval' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"
