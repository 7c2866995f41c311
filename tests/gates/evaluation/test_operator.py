"""The gate in a release: its operator signs, and a promotion that requires it trusts what was signed."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlgov.operators.evaluation import EvaluationGateOperator
from tests.fixtures.airflow_runner import TaskEnd
from tests.worlds.evaluations import Evaluations, answers_of
from tests.worlds.release import Release

POLICY = """\
version: 1
models:
  {model}:
    gates:
      evaluation:
        row_id: inputs
        min_examples: 5
        decide: point
        toxic_rate: {{max: 0.2}}
        polite_rate: {{min: 0.8}}
    targets:
      production: {{alias: champion, requires: [evaluation]}}
"""


@pytest.fixture
def assistant(release: Release) -> Release:
    """A release of a model that is judged by scores of examples alone."""
    (release.folder / "mlgov.yaml").write_text(POLICY.format(model=release.model))
    assert release.register().state == "success"
    return release


def evaluate(release: Release, number: str = "1", **given: Any) -> TaskEnd:
    return release.run(EvaluationGateOperator(task_id="evaluation", model=release.ref(number), **given))


def scores(toxic: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "inputs": [f"question {at}" for at in range(40)],
            "toxic": np.arange(40) < toxic,
            "polite": np.where(np.arange(40) < 38, "yes", "no"),
        }
    )


def test_a_promotion_that_requires_it_trusts_its_evidence(assistant: Release) -> None:
    missing = assistant.promote()
    assert missing.state == "failed"
    assert "no verified evidence of the gate evaluation" in str(missing.error)

    bad = evaluate(assistant, data=assistant.write("bad.parquet", scores(toxic=12)))
    assert bad.state == "failed"
    assert "toxic_rate = 0.3 (bound <= 0.2)" in str(bad.error)
    refused = assistant.promote()
    assert refused.state == "failed"
    assert "gate.not_passed" in str(refused.error)

    good = evaluate(assistant, data=assistant.write("good.parquet", scores(toxic=2)))
    assert (good.state, good.xcom["verdict"]) == ("success", "PASS"), good.error
    promoted = assistant.promote()
    assert promoted.state == "success", promoted.error
    assert assistant.server.registry.aliases(assistant.model) == {"champion": "1"}

    looser = evaluate(assistant, data=str(assistant.folder / "good.parquet"), bounds={"toxic_rate": {"max": 0.5}})
    assert looser.state == "failed"
    assert "never loosen" in str(looser.error)


def test_an_evaluation_run_of_mlflow_in_place_of_data(assistant: Release, scorers: dict[str, Any]) -> None:
    evaluations = Evaluations(assistant.server.registry, f"judged-{assistant.model}")
    run_id = evaluations.run([scorers["toxic"], scorers["polite"]], answers_of(bad=1))
    end = evaluate(assistant, mlflow_run=run_id)
    assert (end.state, end.xcom["verdict"]) == ("success", "PASS"), end.error
    assert assistant.promote().state == "success"


def test_what_names_no_data_or_two_is_refused_when_the_dag_is_read() -> None:
    with pytest.raises(ValueError, match="data="):
        EvaluationGateOperator(task_id="e", model="models:/m/1")
    with pytest.raises(ValueError, match="mlflow_run"):
        EvaluationGateOperator(task_id="e", model="models:/m/1", data="scores.csv", mlflow_run="ab12")
    with pytest.raises(TypeError, match="min_exampels"):
        EvaluationGateOperator(task_id="e", model="models:/m/1", data="scores.csv", min_exampels=3)
