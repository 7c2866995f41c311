"""What a real MLflow server keeps of evaluations, read back."""

import json

import pytest

from airflow_mlgov.errors import AccessError, ConfigurationError
from airflow_mlgov.gates.evaluation import mlflow_results
from airflow_mlgov.gates.evaluation.mlflow_results import Results, Wanted, read_results
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from tests.codes import raises_code
from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.evaluations import ROWS, Evaluations, answers_of

pytestmark = pytest.mark.slow


def read(evaluations: Evaluations, run_id=None, *scores: str, **wanted) -> Results:
    model_id = wanted.pop("model_id", None)
    return read_results(evaluations.registry, Wanted(run_id, model_id, scores, **wanted))


def test_a_row_for_each_example_and_a_column_for_each_scorer(evaluations: Evaluations, scorers, monkeypatch) -> None:
    monkeypatch.setattr(mlflow_results, "_PAGE", 3)
    run_id = evaluations.run([scorers[name] for name in ("toxic", "relevance", "polite", "brittle", "silent", "twice")])
    found = read(
        evaluations,
        run_id,
        "toxic",
        "relevance",
        "polite",
        "brittle",
        "silent",
        others=("inputs", "inputs.id", "tags.language", "expectations.topic"),
    )
    frame = found.frame.sort_values("inputs.id", ignore_index=True)
    assert len(frame) == frame.trace_id.nunique() == frame.inputs.nunique() == ROWS
    assert frame.toxic.tolist() == [True, *[False] * (ROWS - 1)]
    assert frame.relevance.tolist() == pytest.approx([0.5 + at / 100 for at in range(ROWS)])
    assert frame.polite.tolist() == ["no", *["yes"] * (ROWS - 1)]
    assert frame.brittle.isna().tolist() == frame.silent.isna().tolist() == [True, *[False] * (ROWS - 1)]
    assert frame["tags.language"].value_counts().to_dict() == {"en": 6, "de": 2}
    assert frame["expectations.topic"].tolist()[:2] == ["cards", "loans"]
    assert found.notes["examples"] == ROWS
    assert found.notes["scorers"]["brittle"]["errors"] == 1
    assert found.notes["scorers"]["polite"]["sources"] == {"CODE": ROWS}
    assert found.notes["scorers"]["polite"]["digests"][0].startswith("sha256:")
    assert found.frame.toxic.equals(read(evaluations, run_id, "toxic").frame.toxic)
    assert "secret" not in json.dumps(found.notes) + found.frame.to_json()

    with pytest.raises(ConfigurationError) as refused:
        read(evaluations, run_id, "twice")
    assert refused.value.code == "mlflow.several_scores"
    with raises_code(ConfigurationError, "column.missing"):
        read(evaluations, run_id, "relevanc")
    with pytest.raises(ConfigurationError, match=r"tags\.language"):
        read(evaluations, run_id, "toxic", others=("tags.langauge",))


def test_scores_of_another_run_on_the_same_traces_do_not_count(evaluations: Evaluations, scorers) -> None:
    import mlflow

    first = evaluations.run([scorers["toxic"], scorers["relevance"]])
    with evaluations.signed_in():
        experiment = mlflow.get_run(first).info.experiment_id
        traces = mlflow.search_traces(locations=[experiment], run_id=first)
    second = evaluations.run([scorers["relevance"]], data=traces)
    assert len(read(evaluations, second, "relevance").frame) == ROWS
    with pytest.raises(ConfigurationError):
        read(evaluations, second, "toxic")
    assert len(read(evaluations, first, "relevance").frame) == ROWS


def test_a_score_that_somebody_corrected_by_hand(evaluations: Evaluations, scorers) -> None:
    import mlflow

    run_id = evaluations.run([scorers["toxic"]])
    with evaluations.signed_in():
        experiment = mlflow.get_run(run_id).info.experiment_id
        traces = mlflow.search_traces(locations=[experiment], run_id=run_id, return_type="list")
        bad = next(one for trace in traces for one in trace.info.assessments if one.name == "toxic" and one.value)
        mlflow.override_feedback(trace_id=bad.trace_id, assessment_id=bad.assessment_id, value=False)
    missing = read(evaluations, run_id, "toxic")
    assert missing.frame.toxic.isna().sum() == 1
    assert missing.notes["scorers"]["toxic"]["corrected_by_hand"] == 1
    used = read(evaluations, run_id, "toxic", overridden="use")
    assert not used.frame.toxic.any()


def test_a_score_beside_the_runs_does_not_count(evaluations: Evaluations, scorers) -> None:
    import mlflow

    run_id = evaluations.run([scorers["toxic"]])
    with evaluations.signed_in():
        experiment = mlflow.get_run(run_id).info.experiment_id
        trace = mlflow.search_traces(locations=[experiment], run_id=run_id, return_type="list")[0]
        mlflow.log_feedback(trace_id=trace.info.trace_id, name="toxic", value=True)
        mlflow.log_feedback(trace_id=trace.info.trace_id, name="by_a_person", value=True)
    assert read(evaluations, run_id, "toxic").frame.toxic.sum() == 1
    assert read(evaluations, run_id, "by_a_person").frame.by_a_person.notna().sum() == 1


def test_examples_on_which_the_application_failed(evaluations: Evaluations, scorers) -> None:
    def predict(question: str, id: int) -> str:
        if id in (3, 4):
            raise RuntimeError("down")
        return f"good answer {id}"

    rows = [{"inputs": {"question": f"question {at}", "id": at}} for at in range(ROWS)]
    run_id = evaluations.run([scorers["toxic"], scorers["relevance"]], data=rows, predict_fn=predict)
    found = read(evaluations, run_id, "toxic", "relevance")
    assert len(found.frame) == ROWS
    assert found.frame.toxic.isna().sum() == found.notes["failed"] == 2


def test_rows_without_a_trace_are_examples_without_a_score(evaluations: Evaluations, scorers) -> None:
    """Whoever deletes the traces of bad examples only makes them missing."""
    from mlflow import MlflowClient

    run_id = evaluations.run([scorers["toxic"]], answers_of(bad=3))
    with evaluations.signed_in():
        client = MlflowClient()
        experiment = client.get_run(run_id).info.experiment_id
        bad = [
            trace.info.trace_id
            for trace in client.search_traces(locations=[experiment], run_id=run_id, max_results=100)
            if any(one.name == "toxic" and one.value for one in trace.info.assessments)
        ]
        client.delete_traces(experiment, trace_ids=bad)
    found = read(evaluations, run_id, "toxic")
    assert len(found.frame) == ROWS
    assert found.frame.toxic.isna().sum() == found.notes["without_a_trace"] == 3


def test_a_run_that_was_evaluated_twice_is_refused(evaluations: Evaluations, scorers) -> None:
    run_id = evaluations.run([scorers["toxic"]], answers_of(bad=3))
    evaluations.run([scorers["toxic"]], answers_of(bad=3), in_run=run_id)
    with pytest.raises(ConfigurationError) as refused:
        read(evaluations, run_id, "toxic")
    assert refused.value.code == "mlflow.examples"


def test_the_one_run_that_scored_a_logged_model(evaluations: Evaluations, scorers) -> None:
    import mlflow

    with evaluations.signed_in():
        model_id = mlflow.create_external_model(name="assistant").model_id
        other = mlflow.create_external_model(name="another").model_id
    with pytest.raises(ConfigurationError) as refused:
        read(evaluations, None, "toxic", model_id=model_id)
    assert refused.value.code == "mlflow.no_scores"
    run_id = evaluations.run([scorers["toxic"]], model_id=model_id)
    found = read(evaluations, None, "toxic", model_id=model_id)
    assert (found.notes["run"], len(found.frame)) == (run_id, ROWS)
    assert read(evaluations, run_id, "toxic", model_id=model_id).frame.equals(found.frame)
    with pytest.raises(ConfigurationError) as refused:
        read(evaluations, run_id, "toxic", model_id=other)
    assert refused.value.code == "mlflow.other_model"

    evaluations.run([scorers["toxic"]], model_id=model_id)
    with pytest.raises(ConfigurationError) as refused:
        read(evaluations, None, "toxic", model_id=model_id)
    assert refused.value.code == "mlflow.several_runs"


def test_the_table_of_the_classic_evaluation(evaluations: Evaluations) -> None:
    import mlflow
    import pandas as pd

    data = pd.DataFrame({"inputs": ["a", "b", "c"], "predictions": ["x", "y", "z"], "truth": ["x", "z", "z"]})
    with evaluations.signed_in(), mlflow.start_run() as run:
        mlflow.models.evaluate(
            data=data,
            predictions="predictions",
            targets="truth",
            evaluator_config={"default": {"log_explainer": False}},
            extra_metrics=[mlflow.models.make_metric(eval_fn=_same, greater_is_better=True, name="same")],
        )
    found = read(evaluations, run.info.run_id, "same/score", others=("inputs",))
    assert found.frame["same/score"].tolist() == [1, 0, 1]
    with pytest.raises(ConfigurationError, match="same/score"):
        read(evaluations, run.info.run_id, "same")


def _same(predictions, targets):
    from mlflow.metrics import MetricValue

    return MetricValue(scores=[float(one == other) for one, other in zip(predictions, targets, strict=True)])


def test_runs_without_scores_and_without_a_name(evaluations: Evaluations) -> None:
    import mlflow

    with evaluations.signed_in(), mlflow.start_run() as run:
        mlflow.log_metric("accuracy", 1)
    with pytest.raises(ConfigurationError) as refused:
        read(evaluations, run.info.run_id, "toxic")
    assert refused.value.code == "mlflow.no_scores"
    with pytest.raises(ConfigurationError):
        read(evaluations, "0" * 32, "toxic")


def test_a_real_server_that_gives_few_at_a_time(mlflow_server: MlflowServer, scorers, monkeypatch) -> None:
    monkeypatch.setattr(mlflow_results, "_PAGE", 2)
    evaluations = Evaluations(mlflow_server.registry, "judged-on-a-server")
    run_id = evaluations.run([scorers["toxic"]], answers_of(bad=2)[:5])
    found = read(evaluations, run_id, "toxic", others=("inputs.id",))
    assert found.frame.sort_values("inputs.id").toxic.tolist() == [True, True, False, False, False]
    stranger = Evaluations(MlflowRegistry(mlflow_server.url, username="nobody", password="wrong"), "")
    with pytest.raises(AccessError):
        read(stranger, run_id, "toxic")
