"""Where an option comes from that was not given: ``MLGOV_LEDGER`` and the like, else ``[mlgov]`` of airflow.cfg, else
what a first try has left in ``$AIRFLOW_HOME/mlgov``. The settings of the operators; Airflow itself is imported for a
connection alone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_mlgov.addresses import RegistryIdentity
    from airflow_mlgov.evidence.ledger import Ledger
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry

_CONNECTION = "conn:"
"""Before the id of an Airflow connection."""
_STORED = re.compile(r"[a-z][a-z0-9+.-]*://[\w.-]+@")
"""An object store with the id of an Airflow connection."""
_FIRST_TRY = {
    "ledger": ("ledger.db", "sqlite:///{}"),
    "trust_root": ("trust.json", "{}"),
    "sign": ("signing-key.pem", "local:{}"),
}
"""Setting -> the file that a first try without any makes, and how the setting would name it."""
_FLAGS = {"trust_root": "trust"}
_WHICH = {"ledger": "ledger", "trust_root": "trust root", "sign": "signer", "policy": "policy"}


def is_completing() -> bool:
    """Whether a shell asks what a word may become, and nothing is to be done."""
    return "_MLGOV_COMPLETE" in os.environ


def configured(name: str) -> str | None:
    """A setting as the operators have it, None if there is none.

    :param name: of ``[mlgov]``: ``ledger``, ``trust_root``, ``policy``, ``sign``, ``environment``
    :raises ConfigurationError: airflow.cfg cannot be read
    """
    if name == "ledger" and not os.environ.get("MLGOV_LEDGER"):
        connection = from_environment("ledger_conn_id")
        if connection:
            return _CONNECTION + connection
    found = from_environment(name)
    if found or name not in _FIRST_TRY:
        return found or None
    file, written = _FIRST_TRY[name]
    path = Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser() / "mlgov" / file
    return written.format(path) if path.is_file() else None


def configured_policy(said: Path | None) -> Path | None:
    """The policy that is said, else the one of the settings; None if there is none."""
    found = None if said else configured("policy")
    return Path(found) if found else said


def required(name: str) -> Callable[[], str]:
    """What an option takes that has to be said somewhere."""

    def found() -> str:
        value = "" if is_completing() else configured(name)
        if value is None:
            flag = _FLAGS.get(name, name)
            raise ConfigurationError(
                f"which {_WHICH[name]}? pass --{flag}, or set MLGOV_{name.upper()}, or {name} under [mlgov] in "
                "airflow.cfg",
                code="option.missing",
            )
        return value

    return found


def ledger_at(where: str, *, create: bool = True) -> Ledger:
    """The ledger at a URL, or at an Airflow connection.

    :param where: a SQLAlchemy URL, or ``conn:ID``
    :param create: False for whoever only reads
    """
    connection = _connection_in(where)
    if connection is not None:
        from airflow_mlgov.cli import connections

        return connections.ledger(connection, create=create)
    from airflow_mlgov.evidence.ledger import open_ledger

    return open_ledger(where, create=create)


def registry_at(where: str | None, identity: RegistryIdentity | None, duty: str | None) -> MlflowRegistry:
    """The model registry at a URI, with ``MLFLOW_TRACKING_USERNAME`` and ``_PASSWORD``, or at an Airflow connection.

    :param where: a URI, or ``conn:ID``; if omitted, the connection that ``mlflow_conn_id`` of ``[mlgov]`` names
    :param identity: which registry it has to be; any if omitted
    :param duty: what the command does; it fills ``{duty}`` in the connection
    :raises ConfigurationError: there is none, or it is another registry
    """
    connection = _connection_in(where) if where else from_environment("mlflow_conn_id")
    if connection:
        from airflow_mlgov.cli import connections

        return connections.registry(connection, identity, duty)
    if not where:
        raise ConfigurationError(
            "which registry? pass --registry, or set MLFLOW_TRACKING_URI, or mlflow_conn_id under [mlgov] in "
            "airflow.cfg",
            code="option.missing",
        )
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry

    user, password = (os.environ.get(f"MLFLOW_TRACKING_{word}") for word in ("USERNAME", "PASSWORD"))
    return MlflowRegistry(where, username=user, password=password, identity=identity)


def registry_elsewhere(duty: str | None, named: str) -> MlflowRegistry:
    """Another registry, as a policy names it: an Airflow connection, or an address, which is asked without credentials.

    :raises ConfigurationError: there is no such connection, or no Airflow
    """
    if "://" not in named:
        return registry_at(f"{_CONNECTION}{named.removeprefix(_CONNECTION)}", None, duty)
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry

    return MlflowRegistry(named)


def data_at(where: str) -> Any:
    """Data as a command names it: ``s3://conn_id@bucket/key`` is opened with the credentials of that connection.

    :raises ConfigurationError: there is no such connection, or no Airflow
    """
    if not _STORED.match(where):
        return where
    from airflow_mlgov.cli import connections

    return connections.stored(where)


def vault_client(duty: str | None) -> Callable[[], Any] | None:
    """What gives a client of the duty's identity at Vault; None where Vault's own variables name one, or nobody does.

    :raises ConfigurationError: the connection has a placeholder for a duty, and the command has none
    """
    connection = "" if os.environ.get("VAULT_ADDR") else from_environment("vault_conn_id")
    if not connection:
        return None

    def client() -> Any:
        from airflow_mlgov.cli import connections

        return connections.vault(filled(connection, duty))

    return client


def password_of(conn_id: str) -> str:
    """The password of an Airflow connection.

    :raises ConfigurationError: there is no such connection, or no Airflow
    """
    from airflow_mlgov.cli import connections

    return connections.password(conn_id)


def filled(text: str, duty: str | None) -> str:
    """A setting with its ``{duty}`` filled in; keys in Vault are named with hyphens.

    :raises ConfigurationError: it has one, and the command is of no duty
    """
    if "{duty}" not in text:
        return text
    if duty is None:
        raise ConfigurationError(f"{text} holds {{duty}}: name the one that is meant", code="configuration.braces")
    return text.replace("{duty}", duty if text.startswith("local:") else duty.replace("_", "-"))


def _connection_in(where: str) -> str | None:
    """The id of the Airflow connection that is named, None if it is something else.

    :raises ConfigurationError: it says ``conn:`` and no id
    """
    if not where.startswith(_CONNECTION):
        return None
    if where == _CONNECTION:
        raise ConfigurationError("conn: names no connection: write conn:ID", code="connection.missing")
    return where.removeprefix(_CONNECTION)


def from_environment(name: str) -> str:
    """``MLGOV_POLICY_ENGINE``, ``MLGOV_OPA_URL`` and the like, else what ``[mlgov]`` of airflow.cfg says; empty if
    nobody says it.

    :raises ConfigurationError: airflow.cfg cannot be read
    """
    for variable in (f"MLGOV_{name.upper()}", f"AIRFLOW__MLGOV__{name.upper()}"):
        if os.environ.get(variable):
            return os.environ[variable]
    home = os.environ.get("AIRFLOW_HOME") or os.path.expanduser("~/airflow")
    file = Path(os.environ.get("AIRFLOW_CONFIG") or Path(home, "airflow.cfg"))
    if not file.is_file():
        return ""
    found = file.stat()
    return _settings_in(file, (found.st_mtime_ns, found.st_size, found.st_ino)).get(name, "")


@lru_cache(maxsize=1)
def _settings_in(file: Path, _state: tuple[int, ...]) -> Mapping[str, str]:
    """``[mlgov]`` of a file of settings, read once in each state of the file."""
    from configparser import Error, RawConfigParser

    from airflow_mlgov.strict_files import read_text

    parser = RawConfigParser()
    try:
        parser.read_string(read_text(file, "configuration"))
    except Error as error:
        raise misread(file, error) from None
    return dict(parser["mlgov"]) if parser.has_section("mlgov") else {}


def misread(file: str | Path, error: Exception) -> ConfigurationError:
    """That a file of settings cannot be parsed; of its lines none is quoted, for it may hold a secret.

    :param error: of :mod:`configparser`
    """
    section, name = getattr(error, "section", None), getattr(error, "option", None)
    line = next((number for number, _ in getattr(error, "errors", ())), getattr(error, "lineno", None))
    what = f"{name or 'a section'} stands twice in [{section}]" if section else "it is no configuration"
    return ConfigurationError(f"{file}{f':{line}' if line else ''}: {what}", code="configuration.file")
