"""The data gate over a Feast feature service: owners, PII tags, freshness of the features that a model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_mlgov.operators.base import BaseGateOperator
from airflow_mlgov.results import GateResult


class FeatureServiceGateOperator(BaseGateOperator):
    """Hold the feature views of a feature service against rules; the evidence names the registry by its digest.

    :param repo: folder that holds ``feature_store.yaml``
    :param service: name of the feature service
    :param rules: path of a YAML file, or the rules themselves: ``owner``, ``description``, ``ttl``, ``max_age``,
        ``pii``; see :func:`airflow_mlgov.gates.feature_store.load_rules`
    :param python: interpreter of an environment with Feast, which needs pandas < 3; the worker's own where None
    :param environment: names of environment variables of the worker that Feast may see, such as those that
        ``feature_store.yaml`` mentions; it sees no other
    :param timeout: seconds that Feast may take
    """

    gate = "data_validation"
    template_fields: Sequence[str] = ("repo", "service", "rules", "python")

    def __init__(
        self,
        *,
        repo: str,
        service: str,
        rules: str | Mapping[str, Any],
        python: str | None = None,
        environment: Sequence[str] = (),
        timeout: float = 300,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.repo = repo
        self.service = service
        self.rules = rules
        self.python = python
        self.environment = environment
        self.timeout = timeout

    def evaluate(self) -> GateResult:
        """Ask Feast, then judge."""
        from airflow_mlgov.gates.feature_store import judge_feature_service

        return judge_feature_service(
            self.repo,
            self.service,
            self.rules,
            python=self.python,
            environment=self.environment,
            timeout=self.timeout,
        )
