"""Hands MLflow its credentials through the process's memory, by request origin. Refuses to put them into the
environment, into a URL, or into a request to any other host, port or scheme.

MLflow asks the ``mlflow.request_auth_provider`` entry point named in ``MLFLOW_TRACKING_AUTH`` (a name, no secret) for
an object that may change each request before it is sent; that object is :class:`OriginAuth`.
"""

from __future__ import annotations

import os
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.urls import server_url, shown_server

PROVIDER = "mlgov"
_AUTH_SETTING = "MLFLOW_TRACKING_AUTH"
_PORTS = {"http": 80, "https": 443}

_lock = threading.RLock()
_everywhere: dict[str, Counter[str]] = {}
"""Origin -> Authorization header -> how many ``using`` blocks hold it. MLflow's download threads read this."""
_here: ContextVar[Mapping[str, str]] = ContextVar("mlgov_mlflow_credentials")
"""Origin -> header of this thread's innermost blocks; wins over ``_everywhere``."""
_settings: dict[str, tuple[int, str | None]] = {}
"""Environment setting -> how many blocks hold it, and what it was before the first."""


def origin(uri: str) -> str | None:
    """``scheme://host:port`` of an http(s) URI, None for other URIs.

    :raises ConfigurationError: it has a port that is none
    """
    parts = server_url(uri)
    if parts.scheme.lower() not in _PORTS or not parts.hostname:
        return None
    scheme = parts.scheme.lower()
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname.lower()
    return f"{scheme}://{host}:{parts.port or _PORTS[scheme]}"


@contextmanager
def using(
    uri: str, *, username: str | None = None, password: str | None = None, token: str | None = None
) -> Iterator[None]:
    """Authenticate every MLflow request to ``uri``'s origin while the block runs, in all threads.

    Without credentials nothing is changed, and MLflow finds its own as it always does.

    :raises ConfigurationError: half a pair, both a token and a user name, credentials inside the URI or for a URI that
        is not http(s), or the entry point is not installed
    """
    header, where = authorization(uri, username=username, password=password, token=token), origin(uri)
    if header is None or where is None:
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(setting(_AUTH_SETTING, PROVIDER, override=True))
        _check_installed()
        stack.enter_context(_held(where, header))
        yield


def authorization(
    uri: str, *, username: str | None = None, password: str | None = None, token: str | None = None
) -> str | None:
    """The ``Authorization`` header for a server; None without credentials.

    :raises ConfigurationError: half a pair, both a token and a user name, credentials inside the URI or for a URI that
        is not http(s)
    """
    header, where = _header(username, password, token), origin(uri)
    if where and "@" in server_url(uri).netloc:
        raise ConfigurationError(
            f"{shown_server(uri)}: give user name and password apart from the URI", code="registry.credentials"
        )
    if header is not None and where is None:
        raise ConfigurationError(
            f"{shown_server(uri)} takes no user name, password or token: it is not http(s)",
            code="registry.credentials",
        )
    return header


@contextmanager
def setting(name: str, value: str, *, override: bool = False) -> Iterator[None]:
    """An MLflow setting that is not secret, for as long as any block holds it; what the user has set wins unless
    ``override``."""
    with _lock:
        holders, before = _settings.get(name, (0, os.environ.get(name)))
        _settings[name] = (holders + 1, before)
        if override or before is None:
            os.environ[name] = value
    try:
        yield
    finally:
        with _lock:
            holders, before = _settings.pop(name)
            if holders > 1:
                _settings[name] = (holders - 1, before)
            elif before is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = before


class OriginAuth:
    """Adds the ``Authorization`` header that belongs to a request's origin, and none if there is none.

    A redirect to another origin loses the header again: requests strips it.
    """

    def __call__(self, request: Any) -> Any:
        """Authenticate one prepared request."""
        where = origin(request.url)
        header = _header_for(where) if where else None
        if header is not None:
            request.headers["Authorization"] = header
            return request
        other = _users_own_auth()
        return other(request) if other is not None else request


class RequestAuthProvider:
    """What the ``mlflow.request_auth_provider`` entry point names."""

    def get_name(self) -> str:
        """The value of ``MLFLOW_TRACKING_AUTH`` that picks this provider."""
        return PROVIDER

    def get_auth(self) -> OriginAuth:
        """The object that requests calls for each request."""
        return OriginAuth()


def _header(username: str | None, password: str | None, token: str | None) -> str | None:
    if token and (username or password):
        raise ConfigurationError(
            "MLflow takes a token, or a user name and a password, not both", code="registry.credentials"
        )
    if bool(username) != bool(password):
        raise ConfigurationError(
            "MLflow needs a user name and a password; one of them is missing", code="registry.credentials"
        )
    if token:
        return f"Bearer {token}"
    if username and password:
        return "Basic " + b64encode(f"{username}:{password}".encode()).decode()
    return None


@contextmanager
def _held(where: str, header: str) -> Iterator[None]:
    with _lock:
        _everywhere.setdefault(where, Counter())[header] += 1
    mark = _here.set({**_here.get({}), where: header})
    try:
        yield
    finally:
        _here.reset(mark)
        with _lock:
            _everywhere[where][header] -= 1
            _everywhere[where] += Counter()  # drops what nobody holds any more
            if not _everywhere[where]:
                del _everywhere[where]


def _header_for(where: str) -> str | None:
    own = _here.get({}).get(where)
    if own is not None:
        return own
    with _lock:
        headers = list(_everywhere.get(where, ()))
    if len(headers) > 1:
        raise ConfigurationError(
            f"two identities are in use for {where}, and this thread belongs to neither", code="registry.two_identities"
        )
    return headers[0] if headers else None


def _users_own_auth() -> Any:
    """The provider that the user had chosen before ours took its place."""
    with _lock:
        name = _settings.get(_AUTH_SETTING, (0, None))[1]
    if not name or name == PROVIDER:
        return None
    from mlflow.tracking.request_auth.registry import fetch_auth

    return fetch_auth(name)


def _check_installed() -> None:
    from mlflow.tracking.request_auth.registry import fetch_auth

    if not isinstance(fetch_auth(PROVIDER), OriginAuth):
        raise ConfigurationError(
            "MLflow does not know the request auth provider 'mlgov': reinstall mlgov-core, so that its "
            "mlflow.request_auth_provider entry point is registered",
            code="registry.no_auth_provider",
        )
