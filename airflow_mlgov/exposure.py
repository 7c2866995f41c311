"""Could somebody answer an approval in another's name? What this process can read of Airflow's configuration says so.

Whoever holds the API server's signing secret can make a token of anybody. Names where it lies; never reads it out.
"""

from __future__ import annotations

import os
from configparser import RawConfigParser
from pathlib import Path

from airflow.providers.common.compat.sdk import conf

from airflow_mlgov.configuration import home

_SECRET_FORMS = ("jwt_secret", "jwt_secret_cmd", "jwt_secret_secret")


def api_secret_source() -> str | None:
    """Where this process could read what the API server signs its tokens with: the name of an environment variable,
    ``airflow.cfg``, or the path of the private key; None where there is only the random default of this process.

    Asks neither ``conf.get`` nor ``conf.as_dict`` for the secret: both run the command that ``jwt_secret_cmd`` names.
    """
    private_key = conf.get("api_auth", "jwt_private_key_path", fallback=None)
    if private_key:  # Airflow uses no secret then
        return str(private_key) if os.access(private_key, os.R_OK) else None
    for form in _SECRET_FORMS:
        variable = f"AIRFLOW__API_AUTH__{form.upper()}"
        if os.environ.get(variable):
            return variable
    written = RawConfigParser(strict=False)
    written.read(_config_file(), encoding="utf-8")
    found = any(written.get("api_auth", form, fallback="") for form in _SECRET_FORMS)
    return "airflow.cfg" if found else None


def simple_auth_manager() -> bool:
    """Whether Airflow's auth manager is the one for development."""
    return "SimpleAuthManager" in str(conf.get("core", "auth_manager", fallback=""))


def everybody_is_admin() -> bool:
    """Whether Airflow lets everybody in as the same administrator, without a log-in."""
    return simple_auth_manager() and bool(conf.getboolean("core", "simple_auth_manager_all_admins", fallback=False))


def exposures() -> list[tuple[str, str]]:
    """Each reason why an approval could be forged from here, and its mend."""
    found = []
    if everybody_is_admin():
        found.append(
            (
                "[core] simple_auth_manager_all_admins lets everybody answer an approval as the same administrator",
                "set it to False, or use the auth manager of your organisation",
            )
        )
    source = api_secret_source()
    if source:
        found.append(
            (
                f"task code here can read what the API server signs tokens with ({source}) and answer as anybody",
                "run tasks on workers of their own that do not have it: neither in their environment nor as [api_auth] "
                "jwt_secret of their airflow.cfg",
            )
        )
    return found


def _config_file() -> Path:
    """Where Airflow looks for airflow.cfg."""
    path = os.environ.get("AIRFLOW_CONFIG") or str(home().parent / "airflow.cfg")
    return Path(os.path.expandvars(path)).expanduser()
