"""One spelling for each address of a registry, and the identity that evidence names it by. Opens no connection.

Two spellings of one address must never be two registries: rejections, withdrawals, tries and locks would not carry
over.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.urls import before_query, server_of

_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
_FILES = ("sqlite", "file")
_HERE = "127.0.0.1"
_HERE_BY_NAME = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_SAFE = "/-._~!$&'()*+,;=:@"


@dataclass(frozen=True)
class RegistryIdentity:
    """What evidence names a registry by, and every address that it is reached under."""

    name: str
    """The policy's ``registry_id``; the address in its one spelling, if the policy has none."""
    addresses: frozenset[str] = frozenset()
    """In their one spelling, see :func:`one_spelling`."""

    @classmethod
    def at(cls, address: str) -> RegistryIdentity:
        """A registry that is named by its address."""
        spelt = one_spelling(address)
        return cls(spelt, frozenset({spelt}))

    @classmethod
    def named(cls, name: str, addresses: Iterable[str] = ()) -> RegistryIdentity:
        """A registry with a name of its own, or with one address that names it and others that lead to it.

        :raises ConfigurationError: neither the name nor anything else is an address
        """
        own = one_spelling(name) if "://" in name else name
        spelt = {one_spelling(item) for item in addresses} | ({own} if "://" in name else set())
        if not spelt:
            raise ConfigurationError(
                f"the registry_id {name!r} is no URL, so nobody can tell which registry it is: list its addresses as "
                "registry_urls in the policy",
                code="registry.no_address",
            )
        return cls(own, frozenset(spelt))

    def of(self, registry: str | None) -> str | None:
        """What evidence says of a registry, in one word for one registry: this one's name if it is meant."""
        if registry is None or registry == self.name:
            return registry
        spelt = one_spelling(registry)
        return self.name if spelt in self.addresses else spelt


def one_spelling(address: str) -> str:
    """An address in its one spelling, without user, password, query and fragment.

    Scheme and host in lower case, the host as IDNA has it, an IP address as ``ipaddress`` writes it, everything that
    means this machine as ``127.0.0.1``, no port that is the scheme's own, no superfluous slash, dot or escape in the
    path, no driver of SQLAlchemy's. The path of a file is absolute and free of links. What cannot be read stays as it
    is.
    """
    scheme, separator, rest = address.strip().partition(":")
    scheme = scheme.lower().partition("+")[0]
    if rest.startswith("//") and scheme not in _FILES and len(scheme) > 1:
        return _server(scheme, server_of(rest[2:], scheme))
    text = before_query(address.strip())
    if not separator or scheme in _FILES or len(scheme) == 1:
        return _file(text, scheme if separator else "")
    return f"{scheme}:{text.partition(':')[2]}"


@lru_cache(maxsize=1024)
def _server(scheme: str, rest: str) -> str:
    bare = f"{scheme}://{rest}"
    try:
        parts = urlsplit(bare)
        port = parts.port
    except ValueError:
        return bare.rstrip("/")
    host = _host(parts.hostname or "")
    shown = f"[{host}]" if ":" in host else host
    ending = "" if port is None or port == _PORTS.get(scheme) else f":{port}"
    return f"{scheme}://{shown}{ending}{_path(parts.path)}"


def _host(text: str) -> str:
    name = unquote(text).strip().rstrip(".").lower()
    number = _ip(name)
    if number is not None:
        here = number.is_loopback or number.is_unspecified
        return _HERE if here else str(number)
    with suppress(UnicodeError):
        name = name.encode("idna").decode()
    number = _ip(name)  # full-width digits are digits to IDNA
    if number is not None and (number.is_loopback or number.is_unspecified):
        return _HERE
    if name.endswith(".localhost") or name in _HERE_BY_NAME:
        return _HERE
    return name if number is None else str(number)


def _ip(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Also in the forms that a resolver takes: ``127.1``, ``0x7f000001``, ``2130706433``, IPv4 inside IPv6."""
    try:
        number = ipaddress.ip_address(name.partition("%")[0].strip("[]"))
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(name)) if re.match(r"[0-9]", name) else None
        except (OSError, ValueError):
            return None
    return getattr(number, "ipv4_mapped", None) or number


def _path(text: str) -> str:
    kept: list[str] = []
    for part in unquote(text).split("/"):
        if part == "..":
            kept[-1:] = []
        elif part not in ("", "."):
            kept.append(quote(part, safe=_SAFE.replace("/", "")))
    return "".join(f"/{part}" for part in kept)


def _file(text: str, scheme: str) -> str:
    """SQLAlchemy writes three slashes before a relative path and four before an absolute one."""
    if scheme not in _FILES:
        return f"file://{os.path.realpath(text)}" if os.sep in text or text in (".", "..") else text
    rest = text.partition(":")[2]
    if scheme == "sqlite":
        path = rest.removeprefix("///") if rest.startswith("///") else rest.removeprefix("//")
        return f"sqlite:///{os.path.realpath(path)}" if path and path != ":memory:" else f"sqlite:///{path}"
    path = urlsplit(f"file:{rest}").path or rest
    return f"file://{os.path.realpath(unquote(path))}"
