"""Addresses of databases and servers, read and shown in one place: dialect or scheme, host, port, database are shown;
user, password, parameters and whatever else an address has may be a secret, and are not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


def database_url(text: str | URL) -> URL | None:
    """A SQLAlchemy URL; None if it is none. Its text may hold a password, so whoever says so does not show it."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
        url.get_backend_name()
    except (ArgumentError, ValueError, TypeError, AttributeError):
        return None
    return url if url.port is None or 0 < url.port < 65536 else None


def shown_database(url: URL, dialect: str | None = None) -> str:
    """A database's URL as it may be shown.

    :param dialect: what stands before ``://``; the URL's own dialect and driver if omitted
    """
    dialect = dialect or url.drivername
    host, database = (str(part or "").rpartition("@")[2] for part in (url.host, url.database))
    if url.get_backend_name() == "sqlite":
        return f"{dialect}:///{str(url.database or '').partition('?')[0]}"
    host = f"[{host}]" if ":" in host else host
    return f"{dialect}://{host}{f':{url.port}' if url.port else ''}/{database.partition('?')[0]}"


def server_url(text: str) -> SplitResult:
    """The parts of a server's URL.

    :raises ConfigurationError: its port is no port, or its host no host
    """
    try:
        parts = urlsplit(text)
        _ = parts.port, parts.hostname
    except ValueError:
        raise ConfigurationError(
            f"{shown_server(text)} is not the URL of a server: write scheme://host:port, with a port from 1 to 65535",
            code="registry.address",
        ) from None
    return parts


def shown_server(uri: str) -> str:
    """A server's URI as it may be shown and signed: no user, no password, no query, no trailing slash."""
    scheme, separator, rest = re.split("[?#]", uri, maxsplit=1)[0].partition("://")
    if not separator:
        return scheme
    return f"{scheme}://{rest.rpartition('@')[2].rstrip('/')}"  # to the last @: a password may hold a slash


def place_of(uri: str) -> str:
    """Where files are, as it may be signed and compared: no user with a password, no slash at the end.

    ``container@account`` of Azure's stores is no user and stays, as does a query: with another one it is another place.
    """
    scheme, separator, rest = uri.strip().partition(":")
    if not separator:
        return uri.strip()
    slashes = rest[: len(rest) - len(rest.lstrip("/"))]
    host, slash, path = rest.lstrip("/").partition("/")
    user, at, server = host.rpartition("@")
    shown = server if at and ":" in user else host
    return f"{scheme.lower()}:{slashes}{shown}{slash}{path}".rstrip("/")
