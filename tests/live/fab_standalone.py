"""``airflow standalone`` with the auth manager of Flask AppBuilder, which Airflow's own command would replace by the
one for development. Run by the Python of that environment; the people are those of
``[core] simple_auth_manager_users``."""

from __future__ import annotations

import json
import os
from pathlib import Path

from airflow.cli.commands.standalone_command import StandaloneCommand
from airflow.configuration import conf
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.providers.fab.www.security import permissions as p

TEAMS = ("Retail", "Wholesale")
"""Roles that may see what DAGs let them see by ``access_control``, and no other DAG."""
INSPECTOR = "Inspector"
"""A role as a team's, which may also read connections and audit logs."""


class WithFab(StandaloneCommand):
    """The components, and the people of the configuration with their roles."""

    def calculate_env(self) -> dict[str, str]:
        """Nothing is forced."""
        return dict(os.environ)

    def find_user_info(self) -> None:
        """Nobody is made up."""

    def initialize_database(self) -> None:
        """The tables, the roles, the people."""
        super().initialize_database()
        passwords = json.loads(Path(conf.get("core", "simple_auth_manager_passwords_file")).read_text())
        with get_application_builder() as builder:
            manager = builder.sm
            manager.sync_roles()
            of_a_team = [right for right in manager.VIEWER_PERMISSIONS if right != (p.ACTION_CAN_READ, p.RESOURCE_DAG)]
            of_a_team += [
                (p.ACTION_CAN_CREATE, p.RESOURCE_DAG_RUN),
                (p.ACTION_CAN_EDIT, p.RESOURCE_TASK_INSTANCE),
                (p.ACTION_CAN_EDIT, p.RESOURCE_HITL_DETAIL),
            ]
            more = [(p.ACTION_CAN_READ, p.RESOURCE_CONNECTION), (p.ACTION_CAN_READ, p.RESOURCE_AUDIT_LOG)]
            roles = [{"role": team, "perms": of_a_team} for team in TEAMS]
            manager.bulk_sync_roles([*roles, {"role": INSPECTOR, "perms": of_a_team + more}])
            for entry in conf.get("core", "simple_auth_manager_users").split(","):
                name, _, role = entry.partition(":")
                manager.add_user(
                    name, name, role, f"{name}@example.com", manager.find_role(role), password=passwords[name]
                )


if __name__ == "__main__":
    WithFab().run()
