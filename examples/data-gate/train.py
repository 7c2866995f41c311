"""Fits a model on ``train.csv``, logs it to MLflow, and says of each loan in ``test.csv`` what it thinks. Leaves the id
of its run in ``run_id`` and the loans with scores in ``scored.csv``, for the gate."""

from pathlib import Path

import mlflow
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

COLUMNS = ["age", "income", "debt"]

train, test = pd.read_csv("train.csv"), pd.read_csv("test.csv")
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train[COLUMNS], train.repaid)
with mlflow.start_run() as run:
    signature = mlflow.models.infer_signature(train[COLUMNS], model.predict(train[COLUMNS]))
    mlflow.sklearn.log_model(model, name="model", signature=signature, pip_requirements=["scikit-learn"])
Path("run_id").write_text(run.info.run_id)
test.assign(score=model.predict_proba(test[COLUMNS])[:, 1]).to_csv("scored.csv", index=False)
