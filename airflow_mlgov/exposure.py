"""Could somebody answer an approval in another's name, or sign for a duty that is not this task's? What this process
can read of Airflow's configuration and connections says so.

Whoever holds the API server's signing secret can make a token of anybody; whoever can log in as two duties, or read two
keys, can sign what neither should. Names where it lies; never reads it out, and logs in nowhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from configparser import RawConfigParser
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, conf

from airflow_mlgov.configuration import filled, home, option
from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_mlgov.governance.policy import ModelPolicy

HIGH = "high"
"""The tier whose models are refused where evidence could be forged."""
_SECRETS_IN_EXTRA = ("jwt_token", "gcp_keyfile_dict")
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


def signable(duties: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each duty that task code of this process could sign for, and by what. An identity of the worker's own
    (Kubernetes, a cloud) is Vault's to bound and is not seen here: ``mlgov doctor`` asks it.

    :param duties: those that are asked about
    """
    for duty in duties:
        by = _signs_by(duty)
        if by:
            yield duty, by


def require_own_worker(own: Sequence[str], model: ModelPolicy) -> None:
    """Refuse a model of tier high where an answer could be forged, or where this worker could sign for another duty
    than the task's own.

    :param own: the duties that the task signs for
    :raises ConfigurationError: it could (``worker.forgeable``, ``worker.other_duties``)
    """
    if model.tier != HIGH:
        return
    from airflow_mlgov.evidence.signing import duties

    if found := exposures():
        why = "; ".join(f"{problem}: {mend}" for problem, mend in found)
        raise ConfigurationError(
            f"{model.name} is of tier high, and an answer could be forged here: {why}", code="worker.forgeable"
        )
    others = list(signable(other for other in duties() if other not in own))
    if others:
        shown = "; ".join(f"{other} by {by}" for other, by in others[:3])
        told = f"{'duty' if len(own) == 1 else 'duties'} {', '.join(own)}"
        raise ConfigurationError(
            f"{model.name} is of tier high, and this worker of the {told} could sign for {len(others)} other "
            f"duties too ({shown}): give each duty a queue whose workers have its identity alone, see docs/identity.md",
            code="worker.other_duties",
        )


def holds_secret(conn_id: str) -> bool:
    """Whether a connection that this process can read has something to log in with."""
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return False
    return bool(connection.password) or any(connection.extra_dejson.get(key) for key in _SECRETS_IN_EXTRA)


def _signs_by(duty: str) -> str | None:
    scheme, _, place = filled("sign", duty).partition(":")
    if not scheme:
        return f"the key file {home() / 'signing-key.pem'}, which is every duty's"
    if scheme == "local":
        path = Path(place).expanduser()
        return f"the key file {path}" if os.access(path, os.R_OK) else None
    conn_id = filled("vault_conn_id", duty)
    if scheme != "vault" or not conn_id:
        return None
    if "{duty}" not in option("vault_conn_id"):
        return f"the connection {conn_id}, which is every duty's"
    return f"the connection {conn_id}" if holds_secret(conn_id) else None


def _config_file() -> Path:
    """Where Airflow looks for airflow.cfg."""
    path = os.environ.get("AIRFLOW_CONFIG") or str(home().parent / "airflow.cfg")
    return Path(os.path.expandvars(path)).expanduser()
