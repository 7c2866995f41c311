"""The data gate: a suite over files, tables and frames. Begin with :func:`validate_data`."""

from __future__ import annotations

from typing import Any

from airflow_mlgov.results import GateResult


def validate_data(*args: Any, **kwargs: Any) -> GateResult:
    """See :func:`airflow_mlgov.gates.data_validation.gate.validate_data`, which is imported when it is called."""
    from airflow_mlgov.gates.data_validation import gate

    return gate.validate_data(*args, **kwargs)
