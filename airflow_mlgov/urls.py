"""Addresses of databases and servers, read and shown in one place: dialect or scheme, host, port, database are shown;
user, password, parameters and whatever else an address has may be a secret, and are not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_HOST = re.compile(r"\[.*\](:[0-9]+)?|[^:]*(:[0-9]+)?")
_WITHOUT_PORTS = ("s3", "s3a", "s3n", "gs", "gcs")
"""Schemes of stores whose names are no hosts: what looks like a port there is the beginning of a password."""


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
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return before_query(scheme)
    return f"{scheme}://{server_of(rest, scheme).rstrip('/')}"


def server_of(rest: str, scheme: str) -> str:
    """What stands behind ``scheme://`` in the address of a server, without its user and its query."""
    return before_query(without_password(rest, scheme)).rpartition("@")[2]  # to the last @: a user may hold a slash


def without_password(rest: str, scheme: str) -> str:
    """What stands behind ``scheme://``, from the last @ on where it begins with ``user:password``: such a password may
    hold each of ``/ ? # @`` unescaped. A user without a password stays: it may be a container, or a connection's id.
    """
    user, _, host = re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")
    sound = _HOST.fullmatch(host) and (scheme.lower() not in _WITHOUT_PORTS or ":" not in host)
    return rest if sound and ":" not in user else rest.rpartition("@")[2]


def before_query(text: str) -> str:
    """An address without its query and its fragment."""
    return re.split("[?#]", text, maxsplit=1)[0]


def place_of(uri: str) -> str:
    """Where files are, as it may be signed and compared: no user with a password, no slash at the end.

    ``container@account`` of Azure's stores is no user and stays, as does a query: with another one it is another place.
    """
    scheme, separator, rest = uri.strip().partition(":")
    if not separator:
        return uri.strip()
    bare = rest.lstrip("/")
    return f"{scheme.lower()}:{rest[: len(rest) - len(bare)]}{without_password(bare, scheme)}".rstrip("/")
