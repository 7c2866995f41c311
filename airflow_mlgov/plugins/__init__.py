"""The Airflow plugin: a listener."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_mlgov.plugins import listener


class MlgovPlugin(AirflowPlugin):
    """Registered through the ``airflow.plugins`` entry point."""

    name = "mlgov"
    listeners = [listener]  # noqa: RUF012 - Airflow declares it so
