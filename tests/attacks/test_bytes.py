"""The artifact or the data changed under the evidence, and a model file that runs code when it is loaded."""

import os
import pickle
from pathlib import Path

import pytest

from airflow_mlgov.data.files import dataset_subject
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.statements import GateStatement, ProvenanceStatement
from airflow_mlgov.gates.performance import evaluate_performance
from airflow_mlgov.gates.performance.scoring import score_model
from airflow_mlgov.results import Outcome
from tests.worlds.governed import PASSED
from tests.worlds.guarded import Guarded
from tests.worlds.release import people


def test_the_artifact_changed_after_the_gates(guarded: Guarded) -> None:
    version = guarded.green()
    weight = guarded.artifact(version) / "data" / "weight.txt"
    weight.write_text("666")
    assert guarded.refused(version) == {"evidence.missing", "provenance.missing", "approval.missing"}
    weight.write_text("1.0")
    guarded.promote(version)


def test_a_file_added_to_the_artifact_after_the_gates(guarded: Guarded) -> None:
    version = guarded.green()
    (guarded.artifact(version) / "data" / "hook.py").write_text("import os")
    assert guarded.refused(version) == {"evidence.missing", "provenance.missing", "approval.missing"}


def test_the_artifact_changed_after_the_promotion(guarded: Guarded) -> None:
    """Nothing stops the change; whoever verifies when loading is not taken in, and the reconciler tells."""
    version = guarded.green()
    guarded.promote(version)
    (guarded.artifact(version) / "data" / "weight.txt").write_text("666")
    assert guarded.unfit(version) == {"promotion.missing"}
    (incident,) = guarded.reconcile(revert=True).open
    assert incident.code == "artifact.changed"
    assert "not reverted" in incident.action
    assert guarded.places() == {version.version: PASSED}


def test_the_data_changed_after_its_validation(guarded: Guarded) -> None:
    path = guarded.folder / "train.csv"
    people(seed=1).to_csv(path, index=False)
    guarded.validate(dataset_subject(str(path)))
    with path.open("a") as file:
        file.write("17,male,1,0.9,1\n")
    version = guarded.server.register(guarded.model)
    made_from = [dataset_subject(str(path))]
    subject = guarded.registry.subject(version)
    guarded.attest("registration", ProvenanceStatement(subject, guarded.context(), tuple(made_from), ("tom",)))
    guarded.judge(version)
    guarded.weigh(version)
    guarded.approve(version)
    assert guarded.refused(version) == {"evidence.missing"}
    guarded.validate(made_from[0], Outcome.FAIL)
    guarded.approve(version)
    assert guarded.refused(version) == {"gate.not_passed"}


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return (os.open, (str(self.mark), os.O_CREAT))


MLMODEL = """\
flavors:
  python_function:
    loader_module: {loader}
    {key}: {file}
"""


LOADERS = (
    ("mlflow.pyfunc.model", "python_model", "model.pkl"),
    ("mlflow.sklearn", "code", "code"),
    ("os", "model_path", "model.pkl"),
    ("mlflow.sklearn", "model_path", "../model.pkl"),
)


def test_a_model_that_runs_code_when_it_is_loaded(guarded: Guarded) -> None:
    """Gates over predictions, promotion and verification never load it; scoring, which is opted in to, refuses."""
    mark = guarded.folder / "it-ran"
    predictions = guarded.folder / "predictions.parquet"
    people().to_parquet(predictions)
    version = guarded.server.register(guarded.model)
    artifact = guarded.artifact(version)
    (artifact / "model.pkl").write_bytes(pickle.dumps(Payload(mark)))
    for loader, key, file in LOADERS:
        (artifact / "MLmodel").write_text(MLMODEL.format(loader=loader, key=key, file=file))
        with guarded.registry.download(version) as folder, pytest.raises(ConfigurationError, match="refused to load"):
            score_model(folder, predictions, guarded.folder / "scored.parquet", columns=["age"])
    subject = guarded.registry.subject(version)
    result = evaluate_performance(str(predictions), subject=subject, label="y", score="score", bounds=["roc_auc>=0.75"])
    guarded.attest("performance", GateStatement.of(result, guarded.context()))
    assert guarded.refused(version) == {"evidence.missing", "provenance.missing", "approval.missing"}
    assert guarded.unfit(version) == {"promotion.missing"}
    assert not mark.exists()
    pickle.loads((artifact / "model.pkl").read_bytes())
    assert mark.exists(), "the payload is real"
