"""The performance gate: metrics against bounds, on slices, and against the current champion on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
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
    :param class_scores: of more than two classes: label -> the column with its probability
    :param task: ``binary``, ``multiclass`` or ``regression``; told by the bounded metrics where None
    :param positive_label: the label that counts as positive, where labels are not 0 and 1
    :param row_id: column that names a row, to align with the baseline
    :param confidence: of the intervals; 0.95 where None
    :param decide: ``point`` (where None) or ``interval``: a bound that the interval straddles is INCONCLUSIVE
    :param slices: columns to cut the rows by, ``a*b`` crosses two, for ``*_worst_slice`` bounds
    :param min_slice_size: rows below which a slice is not estimated; 30 where None
    :param score_model: load the model and score ``data`` in a child process that has no credentials. Off by default,
        for loading a model can run its code. Bounds on latency and on a clean process need it
    :param python: interpreter of an environment made for the model, for ``loads_in_clean_process``
    :param trusted_types: what a skops model may hold besides what the gate trusts itself
    """

    gate = "performance"
    template_fields: Sequence[str] = (*ModelGateOperator.template_fields, "baseline", "python")

    def __init__(
        self,
        *,
        baseline: str | None = None,
        label: str | None = None,
        score: str | None = None,
        prediction: str | None = None,
        class_scores: Mapping[Any, str] | None = None,
        task: str | None = None,
        positive_label: Any = None,
        row_id: str | None = None,
        confidence: float | None = None,
        decide: str | None = None,
        slices: Sequence[str] | None = None,
        min_slice_size: int | None = None,
        score_model: bool = False,
        python: str | None = None,
        trusted_types: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (python or trusted_types) and not score_model:
            raise ValueError("python and trusted_types are for loading the model: set score_model=True")
        self.baseline = baseline
        self.columns = {
            "label": label,
            "score": score,
            "prediction": prediction,
            "class_scores": class_scores,
            "task": task,
            "positive_label": positive_label,
            "row_id": row_id,
            "confidence": confidence,
            "decide": decide,
            "slices": slices,
            "min_slice_size": min_slice_size,
        }
        self.score_model = score_model
        self.python = python
        self.trusted_types = trusted_types

    def evaluate(self) -> GateResult:
        """Compute the metrics, or first the predictions where ``score_model`` was opted in."""
        from airflow_mlgov.gates.performance.budgets import evaluate_model, evaluate_predictions

        settings = self.settings(**self.columns)
        judged: dict[str, Any] = {"subject": self.registry.subject(self.version), "bounds": self.rules[1]}
        judged |= {"baseline": self.baseline or None, "settings": settings}
        if not self.score_model:
            return evaluate_predictions(self.data, self._download, **judged)
        with self._download() as folder:
            python = self.python or None
            return evaluate_model(folder, self.data, python=python, trusted_types=self.trusted_types, **judged)

    def _download(self) -> AbstractContextManager[Path]:
        return self.registry.download(self.version)
