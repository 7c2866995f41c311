"""Pipelines as the SDKs of the platforms write them: ``made/with_<sdk>.py`` makes them, and what it printed lies beside
it. ``make soak`` makes them anew."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from airflow_mlgov.gates.policy.spec import GATE, PolicySettings
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.results import Outcome
from tests.gates.environments import interpreter

MADE = Path(__file__).parent / "made"
SDKS = ("kfp", "hera", "sagemaker")
WHY_NOT = {
    "kubeflow_guarded.yaml": None,
    "kubeflow_cached.yaml": "gate.cached",
    "kubeflow_beside.yaml": "gate.beside",
    "kubeflow_piped.yaml": "gate.exit_code_lost",
    "kubeflow_ignored.yaml": "gate.weak_edge",
    "kubeflow_conditional.yaml": "gate.beside",
    "kubeflow_both_conditional.yaml": None,
    "kubeflow_exit_handler.yaml": "gate.weak_edge",
    "kubeflow_looped.yaml": "gate.may_not_run",
    "kubeflow_nested.yaml": "gate.cached",
    "kubeflow_nested_uncached.yaml": None,
    "kubeflow_between.yaml": "gate.weak_edge",
    "argo_guarded.yaml": None,
    "argo_beside.yaml": "gate.beside",
    "argo_after_failure.yaml": "gate.weak_edge",
    "argo_either.yaml": "gate.weak_edge",
    "argo_skipped.yaml": "gate.skippable",
    "argo_both_skipped.yaml": None,
    "argo_repeated.yaml": "gate.may_not_run",
    "argo_continued.yaml": "gate.failure_ignored",
    "argo_lost.yaml": "gate.exit_code_lost",
    "argo_steps.yaml": None,
    "argo_steps_parallel.yaml": "gate.beside",
    "argo_on_exit.yaml": "gate.weak_edge",
    "sagemaker_guarded.json": None,
    "sagemaker_beside.json": "gate.beside",
    "sagemaker_cached.json": "gate.cached",
    "sagemaker_lost.json": "gate.exit_code_lost",
    "sagemaker_retried.json": None,
    "sagemaker_conditional.json": "gate.beside",
    "sagemaker_both_conditional.json": None,
    "sagemaker_between.json": "gate.beside",
}
"""File -> why its gate does not guard; None if it does."""


@pytest.mark.parametrize("name", WHY_NOT)
def test_what_the_sdk_wrote(name: str) -> None:
    result = run_gate(GATE, None, PolicySettings.read({"manifest": str(MADE / name)}), ())
    steps = [check.values for check in result.checks if check.values and check.values.get("role") == "promote"]
    assert [[weak["code"] for weak in step["weak"]] for step in steps] == [[WHY_NOT[name]] if WHY_NOT[name] else []]
    assert result.verdict is (Outcome.FAIL if WHY_NOT[name] else Outcome.PASS)
    assert [step["guards"] for step in steps] == [[] if WHY_NOT[name] else ["fairness"]]


def test_each_file_is_looked_at() -> None:
    assert {path.name for path in MADE.iterdir() if path.suffix in (".yaml", ".json")} == set(WHY_NOT)


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.parametrize("sdk", SDKS)
def test_the_sdk_still_writes_that(sdk: str) -> None:
    if "MLGOV_SOAK" not in os.environ:
        pytest.skip("installs the SDK, so it is made in `make soak` alone")
    made = subprocess.run(
        [interpreter(sdk, 600), MADE / f"with_{sdk}.py"], check=True, capture_output=True, text=True, timeout=120
    )
    written = json.loads(made.stdout)
    assert written == {name: (MADE / name).read_text() for name in written}
    assert len(written) > 5
