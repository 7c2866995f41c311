"""Which roles somebody has in Airflow, as far as a task can tell: by the configuration of Airflow's own auth manager
for development, else by the function that ``[mlgov] role_source`` names. It guesses nothing: nobody has a role that it
is not told of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.providers.common.compat.sdk import conf

from airflow_mlgov.configuration import option
from airflow_mlgov.errors import ConfigurationError, DependencyError
from airflow_mlgov.exposure import everybody_is_admin, simple_auth_manager

if TYPE_CHECKING:
    from airflow_mlgov.evidence.statements import Person

API = "mlgov_airflow"
"""The connection to Airflow's own API server, for :func:`fab_roles`."""
_PATIENCE = 30.0
"""Seconds for one answer."""
RoleSource = Callable[[str, str], Iterable[str]]
"""Takes the id and the name of an account as the auth manager has them; gives its roles."""


def role_source() -> RoleSource:
    """What tells the roles of an account.

    :raises ConfigurationError: nothing does: ``[mlgov] role_source`` is not set or names no function, and Airflow's
        auth manager is not the one whose users stand in its configuration
    """
    named = option("role_source")
    if named:
        return _loaded(named)
    if simple_auth_manager() and not everybody_is_admin():
        return _in_the_configuration
    raise ConfigurationError(
        "the policy lets people approve by their role, and a task cannot tell who has which: name a function that asks "
        "your auth manager in [mlgov] role_source (airflow_mlgov.airflow_roles:fab_roles for Flask AppBuilder's; or a "
        "package.module:function of yours, given the id and the name of an account), "
        "or list people in the policy's groups",
        code="roles.no_source",
    )


def roles_of(who: Person) -> frozenset[str]:
    """What somebody is now.

    :raises ConfigurationError: see :func:`role_source`; or it gives no texts
    :raises DependencyError: the source fails; try again
    """
    source = role_source()
    try:
        found = source(who.id, who.name)
    except Exception as error:
        raise DependencyError(
            f"the roles of {who.name} could not be asked for ({type(error).__name__}: {error}); try again",
            code="roles.down",
        ) from error
    roles = None if isinstance(found, str) else list(found)
    if roles is None or not all(isinstance(role, str) for role in roles):
        raise ConfigurationError(
            "the function of [mlgov] role_source must give the names of roles, a text each", code="roles.no_source"
        )
    return frozenset(roles)


def fab_roles(_: str, name: str) -> list[str]:
    """The roles of an active user of Flask AppBuilder's auth manager, asked of Airflow's own API server; none of a user
    that is not there. For ``[mlgov] role_source = airflow_mlgov.airflow_roles:fab_roles``.

    The connection ``mlgov_airflow`` (type http) has the API server's URL, and an account that may read users.

    :raises ConfigurationError: there is no such connection
    :raises requests.RequestException: Airflow does not answer, or its answer is no
    """
    import requests

    from airflow_mlgov.hooks.connections import named

    known = named(API, "http", "--conn-host https://airflow.example --conn-login mlgov --conn-password …")
    url = str(known.host or "").rstrip("/")
    said = {"username": known.login, "password": known.password}
    with requests.Session() as http:
        let_in = http.post(f"{url}/auth/token", json=said, timeout=_PATIENCE)
        let_in.raise_for_status()
        http.headers["Authorization"] = f"Bearer {let_in.json()['access_token']}"
        answer = http.get(f"{url}/auth/fab/v1/users/{quote(name, safe='')}", timeout=_PATIENCE)
        if answer.status_code == requests.codes.not_found:
            return []
        answer.raise_for_status()
        user = answer.json()
    if user["username"] != name or not user.get("active"):
        return []
    return [role["name"] for role in user.get("roles") or ()]


def _in_the_configuration(_: str, name: str) -> Iterable[str]:
    return [role for user, role in _users() if user == name]


def users_with(roles: Iterable[str]) -> list[str]:
    """Who has one of the roles by the configuration; nobody where other auth managers are asked."""
    if option("role_source") or not simple_auth_manager():
        return []
    wanted = set(roles)
    return sorted(user for user, role in _users() if role in wanted)


def _users() -> list[tuple[str, str]]:
    """``name:role`` of each of ``[core] simple_auth_manager_users``."""
    entries = str(conf.get("core", "simple_auth_manager_users", fallback="")).split(",")
    split = (entry.strip().split(":") for entry in entries)
    return [(parts[0], parts[1]) for parts in split if len(parts) > 1]


def _loaded(named: str) -> RoleSource:
    from importlib import import_module

    module, _, name = named.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"[mlgov] role_source = {named} cannot be loaded ({error}): write package.module:function",
            code="roles.no_source",
        ) from None
    if not callable(found):
        raise ConfigurationError(f"[mlgov] role_source = {named} is no function", code="roles.no_source")
    return found  # type: ignore[no-any-return]
