"""``airflow standalone`` with the executor that is configured, which Airflow's own command would replace by the local
one. A Celery worker is started beside it, by whoever wants one."""

from __future__ import annotations

import os

from airflow.cli.commands.standalone_command import StandaloneCommand


class WithCelery(StandaloneCommand):
    """The components but for the worker."""

    def calculate_env(self) -> dict[str, str]:
        """Nothing is forced."""
        return dict(os.environ)


if __name__ == "__main__":
    WithCelery().run()
