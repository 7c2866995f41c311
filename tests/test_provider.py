"""Entry points, provider info and code must say the same."""

import importlib
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest

from airflow_mlgov.provider_info import get_provider_info

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORE = tomllib.loads((ROOT / "core" / "pyproject.toml").read_text())["project"]


def test_provider_info_is_valid_by_airflows_own_schema() -> None:
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)
    assert get_provider_info()["package-name"] == PROJECT["name"]


@pytest.mark.parametrize(
    ("project", "group"),
    [(project, group) for project in (PROJECT, CORE) for group in project["entry-points"]],
)
def test_entry_points_lead_to_code(project: dict[str, Any], group: str) -> None:
    declared = project["entry-points"][group]
    installed = {entry.name: entry for entry in entry_points(group=group) if entry.name in declared}
    assert {name: entry.value for name, entry in installed.items()} == declared
    for entry in installed.values():
        assert entry.load() is not None


def test_the_operators_that_the_documentation_names_are_listed() -> None:
    modules = {
        part: {module for item in get_provider_info()[part] for module in item["python-modules"]}
        for part in ("operators", "sensors", "triggers")
    }
    classes = {
        name: module
        for part in modules.values()
        for module in part
        for name, thing in vars(importlib.import_module(module)).items()
        if isinstance(thing, type) and thing.__module__ == module
    }
    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"`([A-Z]\w+(?:Operator|Sensor|Trigger))`", text))
    assert named <= set(classes)
    assert not {module for part in modules.values() for module in part} - set(classes.values())


def test_every_gate_of_this_package_has_an_operator() -> None:
    from airflow_mlgov import catalogue
    from airflow_mlgov.operators.base import GateOperator

    for module in get_provider_info()["operators"][0]["python-modules"]:
        importlib.import_module(module)
    ours = [cls for cls in GateOperator.__subclasses__() if cls.__module__.startswith("airflow_mlgov.operators.")]
    served = {cls.gate for cls in ours}
    assert served == set(catalogue.names())


def test_connection_types_are_those_of_the_hooks() -> None:
    for item in get_provider_info()["connection-types"]:
        module, name = item["hook-class-name"].rsplit(".", 1)
        hook = getattr(importlib.import_module(module), name)
        assert hook.conn_type == item["connection-type"]
        assert hook.hook_name == item["hook-name"]


def test_every_option_that_is_read_is_described() -> None:
    text = "".join(path.read_text() for path in (ROOT / "airflow_mlgov").rglob("*.py"))
    read = set(re.findall(r'(?<!\.)\b(?:option|from_environment)\("(\w+)"', text))
    assert read | {"cluster_policy", "cluster_policy_require"} == set(get_provider_info()["config"]["mlgov"]["options"])


@pytest.mark.slow
def test_airflow_lists_the_provider() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "providers", "get", "airflow-provider-mlgov", "--full", "-o", "json"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for word in ("mlgov_ledger", "MlflowHook", "airflow_mlgov.operators.promotion", "model_version", "trust_root"):
        assert word in done.stdout
