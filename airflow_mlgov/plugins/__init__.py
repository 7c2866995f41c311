"""The Airflow plugin: a listener, and the board."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_mlgov.configuration import BOARD
from airflow_mlgov.plugins import board, listener


class MlgovPlugin(AirflowPlugin):
    """Registered through the ``airflow.plugins`` entry point."""

    name = "mlgov"
    listeners = [listener]  # noqa: RUF012 - Airflow declares it so
    fastapi_apps = [{"app": board.LazyBoard(), "url_prefix": BOARD, "name": "ML governance"}]  # noqa: RUF012
    external_views = board.views()
    react_apps = [board.card()]  # noqa: RUF012
