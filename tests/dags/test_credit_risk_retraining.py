"""The example DAG: it imports cheaply, fits on a page, says no bound, and its policy and suite hold."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

DAGS = Path(__file__).parents[2] / "dags"
FILE = DAGS / "credit_risk_retraining.py"
HEAVY = ["great_expectations", "mlflow", "fairlearn", "sklearn", "pandas", "duckdb", "hvac", "regorus"]


@pytest.fixture(scope="module")
def dag():
    import importlib.util

    spec = importlib.util.spec_from_file_location("credit_risk_retraining", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dag


def test_it_is_under_sixty_lines_without_its_imports():
    source = FILE.read_text()
    imports = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {line for node in imports for line in range(node.lineno, node.end_lineno + 1)}
    lines = [line for number, line in enumerate(source.splitlines(), 1) if number not in imported and line.strip()]
    assert len(lines) < 60


def test_it_is_scheduled_and_goes_through_every_gate(dag):
    assert dag.schedule == "@weekly"
    assert dag.max_active_runs == 1
    assert {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks} == {
        "validate_data": ["score_champion", "train"],
        "train": ["register"],
        "score_champion": ["performance"],
        "register": ["approve", "fairness", "performance", "promote"],
        "performance": ["approve"],
        "fairness": ["approve"],
        "approve": ["promote"],
        "promote": [],
    }


def test_it_says_no_bound(dag):
    source = FILE.read_text()
    assert "bounds=" not in source
    assert not any(metric in source for metric in ("roc_auc", "parity", "odds"))


@pytest.mark.slow
def test_importing_it_loads_nothing_heavy():
    code = (
        f"import sys, runpy; runpy.run_path({str(FILE)!r}); print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr[-2000:]


def test_a_copy_needs_nothing_of_the_demo():
    for file in (FILE, DAGS / "include" / "training.py"):
        names = [node.module for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
        assert not any("demo" in str(name) for name in names)


def test_policy_and_suite_hold():
    from airflow_mlgov.governance.policy import load_policy

    policy = load_policy(DAGS / "include" / "mlgov.yaml")
    target = policy.model("credit_risk").target("production")
    assert (target.stage, target.alias) == ("Production", "champion")
    assert target.requires == ("data_validation", "performance", "fairness")
    assert target.approvers == {"olga"}
    assert target.excluded == ("trainer", "requester")
    assert policy.suite("credit_risk") == DAGS / "include" / "credit_suite.json"
