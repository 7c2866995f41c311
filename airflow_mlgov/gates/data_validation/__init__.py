"""The data gate: a suite over files, tables and frames. Begin with :func:`validate_data`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_mlgov.gates.protocol import Lookup
    from airflow_mlgov.results import GateResult


def validate_data(
    data: Any,
    suite: str | Path | Mapping[str, Any],
    *,
    lookup: Lookup | None = None,
    memory_limit: str | None = None,
    time_limit: float | str | None = None,
    report_dir: str | Path | None = None,
    **settings: Any,
) -> GateResult:
    """Validate a dataset against a suite.

    :param data: whatever a gate reads; None where the suite is a project's, which names it
    :param suite: Great Expectations 1.x suite: a JSON file, the same in YAML, or a mapping; a ``schema.pbtxt`` of
        TensorFlow Data Validation; or ``FOLDER:NAME`` of a Great Expectations project
    :param settings: those of :class:`airflow_mlgov.gates.data_validation.spec.DataValidationSettings`
    :raises ConfigurationError: the data, the suite or a setting is not what it should be; other parameters and errors
        as of :func:`airflow_mlgov.gates.run.run_gate`
    """
    from airflow_mlgov.gates.data_validation.spec import GATE, DataValidationSettings
    from airflow_mlgov.gates.protocol import Elsewhere
    from airflow_mlgov.gates.run import run_gate

    said = {
        name: str(value) if isinstance(value, Path) else value for name, value in {"suite": suite, **settings}.items()
    }
    return run_gate(
        GATE,
        data,
        DataValidationSettings.read(said, "the data gate"),
        lookup=lookup,
        elsewhere=Elsewhere(_no_tracking),
        memory_limit=memory_limit,
        time_limit=time_limit,
        report_dir=report_dir,
    )


def _no_tracking() -> Any:
    raise NotImplementedError("no suite names data in MLflow")
