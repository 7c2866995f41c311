"""Trains the example's credit-risk candidates and scores the held-out applications: put your own training here, the DAG
asks for `train_candidate` alone. Judges nothing: that is the gates' work, on the table of predictions that is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

TARGET, ROW_ID, SENSITIVE = "approve", "application", ("sex", "race")
FEATURES = (
    *("obrat", "hrat", "loanprc", "unver", "pubrec", "mortno"),
    *("mortlat1", "mortlat2", "cons", "unem", "dep", "self"),
)
Candidate = Literal["healthy", "biased"]
EXPERIMENT = "credit_risk"
ARTIFACT = "model"


def fit(train: pd.DataFrame, candidate: Candidate) -> Any:
    """A fitted scikit-learn classifier.

    ``healthy`` never sees sex or race, and approves where approval is the likelier decision.

    ``biased`` is what happens when somebody takes every column of the file and then "plays safe": race slips in as a
    feature, the model repeats the banks' past treatment of non-white applicants, and a cut-off of 0.8 turns that into
    refusals. Its ROC AUC is as good as the healthy one's, so a performance gate alone waves it through.
    """
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import FixedThresholdClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numeric = (StandardScaler(), list(FEATURES))
    if candidate == "healthy":
        model = make_pipeline(make_column_transformer(numeric), LogisticRegression())
    elif candidate == "biased":
        model = FixedThresholdClassifier(
            make_pipeline(
                make_column_transformer(numeric, (OneHotEncoder(drop="first"), ["race"])), LogisticRegression()
            ),
            threshold=0.8,
        )
    else:
        raise ValueError(f"candidate must be 'healthy' or 'biased', not {candidate!r}")
    return model.fit(train[columns_of(candidate)], train[TARGET])


def columns_of(candidate: Candidate) -> list[str]:
    """The columns that a candidate is trained on."""
    return [*FEATURES, "race"] if candidate == "biased" else list(FEATURES)


def predict(model: Any, applications: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """One row per application: id, the bank's decision, score, prediction, sex, race."""
    table = applications[[ROW_ID, TARGET, *SENSITIVE]].copy()
    table["score"] = model.predict_proba(applications[list(columns)])[:, 1]
    table["prediction"] = model.predict(applications[list(columns)]).astype(int)
    return table


def train_candidate(*, train: str, test: str, predictions: str, candidate: Candidate = "healthy") -> str:
    """Fit, score the held-out file, log to the MLflow that the caller has opened; returns the MLflow run id.

    :param train: csv to fit on
    :param test: csv of held-out applications
    :param predictions: parquet file to write the scored applications to, for the gates
    """
    import mlflow
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.metrics import roc_auc_score

    seen, held_out = pd.read_csv(train), pd.read_csv(test)
    columns = columns_of(candidate)
    model = fit(seen, candidate)
    scored = predict(model, held_out, columns)
    Path(predictions).parent.mkdir(parents=True, exist_ok=True)
    scored.to_parquet(predictions, index=False)
    sample = seen[columns].head(5)
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=candidate) as run:
        mlflow.log_params({"candidate": candidate, "features": ",".join(columns), "rows": len(seen)})
        mlflow.log_metric("test_roc_auc", roc_auc_score(scored[TARGET], scored["score"]))
        mlflow.sklearn.log_model(
            model,
            name=ARTIFACT,
            signature=infer_signature(sample, model.predict(sample)),
            # without the list MLflow loads the model again in a child process to find out: 11 s instead of 0.5 s
            pip_requirements=[f"{name}=={version(name)}" for name in ("scikit-learn", "skops", "pandas")],
        )
        return str(run.info.run_id)
