"""The Airflow plugin: a listener that notices when somebody sets a gate's state by hand."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_mlgov.plugins import listener


class MlgovPlugin(AirflowPlugin):
    """Registered through the ``airflow.plugins`` entry point."""

    name = "mlgov"
    listeners = [listener]  # noqa: RUF012 - Airflow declares it so
