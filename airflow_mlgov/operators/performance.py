"""The performance gate: metrics against bounds, and against the current champion on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from airflow_mlgov.operators.base import ModelGateOperator
from airflow_mlgov.results import GateResult


class PerformanceGateOperator(ModelGateOperator):
    """Judge a model version by its predictions.

    :param data: table of predictions: label, score and/or prediction. With ``score_model`` a table of features
    :param baseline: the champion's predictions on the same rows, for ``*_vs_champion`` bounds
    :param label: column of the truth
    :param score: column of the score of the positive class
    :param prediction: column of the predicted class, or value for regression
    :param positive_label: the label that counts as positive, where labels are not 0 and 1
    :param row_id: column that names a row, to align with the baseline
    :param score_model: load the model and score ``data`` in a child process that has no credentials. Off by default,
        for loading a model can run its code
    """

    gate = "performance"
    template_fields: Sequence[str] = (*ModelGateOperator.template_fields, "baseline")

    def __init__(
        self,
        *,
        baseline: str | None = None,
        label: str | None = None,
        score: str | None = None,
        prediction: str | None = None,
        positive_label: Any = None,
        row_id: str | None = None,
        score_model: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.baseline = baseline
        self.columns = {
            "label": label,
            "score": score,
            "prediction": prediction,
            "positive_label": positive_label,
            "row_id": row_id,
        }
        self.score_model = score_model

    def evaluate(self) -> GateResult:
        """Compute the metrics, or first the predictions where ``score_model`` was opted in."""
        from airflow_mlgov.gates.inputs import dataset_subject
        from airflow_mlgov.gates.performance import evaluate_performance

        settings = self.settings(**self.columns)
        bounds, subject = self.rules[1], self.registry.subject(self.version)
        baseline = self.baseline or None
        if not self.score_model:
            return evaluate_performance(self.data, subject=subject, bounds=bounds, baseline=baseline, **settings)
        with TemporaryDirectory(prefix="mlgov-scores-") as folder:
            features = dataset_subject(self.data)
            scored = self._scored(Path(folder) / "scored.parquet", settings)
            result = evaluate_performance(scored, subject=subject, bounds=bounds, baseline=baseline, **settings)
        return replace(result, inputs=(features, *result.inputs[1:]))

    def _scored(self, output: Path, settings: dict[str, Any]) -> str:
        from airflow_mlgov.gates.scoring import score_model

        kept = [settings[name] for name in ("label", "row_id") if settings.get(name)]
        settings.setdefault("score", "score")
        with self.registry.download(self.version) as folder:
            score_model(folder, self.data, output, keep=kept, positive_label=settings.get("positive_label"))
        return str(output)
