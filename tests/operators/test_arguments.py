"""A gate operator's arguments are the gate's settings: documented, checked when the DAG is read, mapped, defaulted."""

import importlib
import inspect
from datetime import datetime
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_mlgov import catalogue
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.protocol import Findings, Gate, GateSettings
from airflow_mlgov.operators.base import GateOperator
from airflow_mlgov.operators.fairness import FairnessGateOperator
from airflow_mlgov.operators.performance import PerformanceGateOperator
from airflow_mlgov.provider_info import get_provider_info

for module in get_provider_info()["operators"][0]["python-modules"]:
    importlib.import_module(module)
OPERATORS = {cls.gate: cls for cls in GateOperator.__subclasses__()}


@pytest.mark.parametrize("name", catalogue.names())
def test_every_setting_is_an_argument_with_its_description(name: str) -> None:
    cls = OPERATORS[name]
    shown = inspect.signature(cls).parameters
    text = " ".join(str(cls.__doc__).split())
    for setting, info in catalogue.load(name).Settings.model_fields.items():
        assert shown[setting].kind is inspect.Parameter.KEYWORD_ONLY
        assert f":param {setting}: {' '.join(str(info.description).split())}" in text
    assert "{" not in str(shown["report_dir"].annotation)


def test_a_wrong_setting_is_refused_when_the_dag_is_read() -> None:
    given: dict[str, Any] = {"task_id": "f", "model": "models:/m/1", "data": "d.csv"}
    with pytest.raises(ValueError, match="min_group_size should be greater than or equal to 1, not 0"):
        FairnessGateOperator(**given, min_group_size=0)
    with pytest.raises(TypeError, match="min_groupsize"):
        FairnessGateOperator(**given, min_groupsize=3)
    with pytest.raises(TypeError, match="missing keyword argument 'model'"):
        FairnessGateOperator(task_id="f", data="d.csv")
    with pytest.raises(ValueError, match="give either data="):
        FairnessGateOperator(task_id="f", model="models:/m/1")


def test_templates_and_results_of_other_tasks_wait_for_their_time() -> None:
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1)):
        before = PerformanceGateOperator(task_id="p", model="models:/m/1", data="d.csv")
        operator = FairnessGateOperator(
            task_id="f",
            model="models:/m/1",
            data="d.csv",
            sensitive_features=before.output["features"],
            min_group_size="{{ params.least }}",
            reference={"sex": "{{ params.sex }}"},
        )
    assert operator.upstream_task_ids == {"p"}
    assert operator.settings["reference"] == {"sex": "{{ params.sex }}"}


def test_default_args_and_mapping_reach_the_settings() -> None:
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1), default_args={"label": "y", "confidence": 0.9}):
        operator = FairnessGateOperator(task_id="f", model="models:/m/1", data="d.csv", confidence=0.99)
        FairnessGateOperator.partial(task_id="m", model="models:/m/1", label="y").expand(data=["a.csv", "b.csv"])
    assert operator.settings == {"label": "y", "confidence": 0.99}
    with pytest.raises(TypeError, match="lable"):
        FairnessGateOperator.partial(task_id="m2", lable="y")


class _Settings(GateSettings):
    queue: str = "x"


class _Clashing(Gate[_Settings]):
    """Has a setting that Airflow has too."""

    name = "clashing"
    about = "dataset"
    Settings = _Settings

    def judge(self, question: Any) -> Findings:
        raise NotImplementedError


def test_a_setting_that_airflow_has_too_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        type("ClashingGateOperator", (GateOperator,), {}, gate=_Clashing())
    assert caught.value.code == "gate.argument"
    assert "queue" in str(caught.value)
