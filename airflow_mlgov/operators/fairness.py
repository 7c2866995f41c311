"""The fairness gate: Fairlearn's disparities by sensitive feature, where the groups are large enough to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_mlgov.operators.base import ModelGateOperator
from airflow_mlgov.results import GateResult


class FairnessGateOperator(ModelGateOperator):
    """Judge a model version by how its predictions fall on groups of people.

    :param data: table of predictions: label, prediction and the sensitive features
    :param sensitive_features: columns, or column -> the groups that must be there; ``a*b`` judges an intersection
    :param label: column of the truth
    :param prediction: column of the predicted class; made from ``score >= threshold`` where there is none
    :param positive_label: the label that counts as positive, where labels are not 0 and 1
    :param min_group_size: rows below which a group's rates are not estimated
    """

    gate = "fairness"
    template_fields: Sequence[str] = (*ModelGateOperator.template_fields, "sensitive_features")

    def __init__(
        self,
        *,
        sensitive_features: Sequence[str] | Mapping[str, Sequence[Any] | None] | None = None,
        label: str | None = None,
        prediction: str | None = None,
        score: str | None = None,
        threshold: float | None = None,
        positive_label: Any = None,
        min_group_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sensitive_features = sensitive_features
        self.columns = {
            "label": label,
            "prediction": prediction,
            "score": score,
            "threshold": threshold,
            "positive_label": positive_label,
            "min_group_size": min_group_size,
        }

    def evaluate(self) -> GateResult:
        """Count, then hand the counts to Fairlearn."""
        from airflow_mlgov.gates.fairness import evaluate_fairness

        settings = self.settings(sensitive_features=self.sensitive_features, **self.columns)
        subject = self.registry.subject(self.version)
        return evaluate_fairness(self.data, subject=subject, bounds=self.rules[1], **settings)
