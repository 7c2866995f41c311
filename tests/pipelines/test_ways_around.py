"""Ways around a gate that no trap of the platforms' documentation names, and ordinary pipelines beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.policy.spec import GATE, PolicySettings
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.results import Outcome
from tests.worlds.pipelines import GUARDED
from tests.worlds.ways_around import AROUND, GUARDING, SHELL, WRITTEN, Pipeline

RUN = "        run: mlgov gate fairness --data p.csv"


def in_a_step(script: str) -> Pipeline:
    """The guarded pipeline of GitHub with another script in the gate's step."""
    lines = "".join(f"\n          {line}" for line in script.split("\n"))
    good = GUARDED["github"][1]
    assert RUN in good
    return Pipeline("github", script, good.replace(RUN, f"        run: |{lines}"))


def verdict_of(pipeline: Pipeline, folder: Path) -> tuple[Outcome | None, str]:
    path = folder / GUARDED[pipeline.platform][0]
    for file, text in ((path, pipeline.text), *((folder / name, text) for name, text in pipeline.files.items())):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    try:
        result = run_gate(GATE, None, PolicySettings.read({"manifest": str(path), **pipeline.settings}))
    except ConfigurationError as error:
        return None, str(error)
    return result.verdict, result.summary()


@pytest.mark.parametrize("about", SHELL)
def test_a_script_whose_step_may_succeed_without_its_gate(about, tmp_path):
    verdict, said = verdict_of(in_a_step(SHELL[about]), tmp_path)
    assert verdict is Outcome.FAIL, said


@pytest.mark.parametrize("about", WRITTEN)
def test_a_script_whose_step_fails_with_its_gate(about, tmp_path):
    verdict, said = verdict_of(in_a_step(WRITTEN[about]), tmp_path)
    assert verdict is Outcome.PASS, said


@pytest.mark.parametrize("pipeline", AROUND, ids=lambda one: f"{one.platform}-{one.about}")
def test_a_pipeline_whose_gate_does_not_guard(pipeline, tmp_path):
    verdict, said = verdict_of(pipeline, tmp_path)
    assert verdict is not Outcome.PASS, said
    assert "Traceback" not in said


@pytest.mark.parametrize("pipeline", GUARDING, ids=lambda one: f"{one.platform}-{one.about}")
def test_a_pipeline_as_people_write_it_is_guarded(pipeline, tmp_path):
    verdict, said = verdict_of(pipeline, tmp_path)
    assert verdict is Outcome.PASS, said


SAME_NAME = {
    "tekton": ("    - name: promote", "    - name: gate"),
    "json": ('{"id": "promote"', '{"id": "gate"'),
    "sagemaker": ('"Name": "Register"', '"Name": "Gate"'),
}


@pytest.mark.parametrize("platform", SAME_NAME)
def test_two_steps_of_one_name_are_refused(platform, tmp_path):
    """Which of them is the gate, and which one a step waits for, could be told of either."""
    before, after = SAME_NAME[platform]
    text = GUARDED[platform][1]
    assert before in text
    verdict, said = verdict_of(Pipeline(platform, "a name twice", text.replace(before, after)), tmp_path)
    assert verdict is None
    assert "there is a step" in said
    assert "name it otherwise" in said
