"""The one digest of several files, a data set's or a model's: SHA-256 over a listing of names and digests. Refuses
names by which two listings could look like one."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from airflow_mlgov.errors import ConfigurationError, MlgovError

_OURS = re.compile(rb"[0-9a-f]{64}  |mlgov-[a-z]+-v[0-9]")
_UNSAFE = frozenset({"Cc", "Zl", "Zp"})
"""Unicode's categories of control characters and of line and paragraph separators."""


def listing_digest(entries: Iterable[tuple[str, str]], *, error: type[MlgovError] = ConfigurationError) -> str:
    """SHA-256 over the lines ``<sha256>  <name>``, in the order given: the format of in-toto's ``dirHash``.

    :param entries: name and SHA-256 of each file
    :param error: what is raised
    :raises MlgovError: as ``error``: a name that cannot stand on a line of its own, or one that comes twice
    """
    digest, seen = hashlib.sha256(), set()
    for name, sha256 in entries:
        require_bindable(name, error=error)
        if name in seen:
            raise error(f"{name!r} is listed twice", code="file.not_bindable")
        seen.add(name)
        digest.update(f"{sha256}  {name}\n".encode())
    return digest.hexdigest()


def require_bindable(name: str, *, error: type[MlgovError] = ConfigurationError) -> None:
    """Refuse a name that a line cannot hold, or that nobody could read in one.

    :raises MlgovError: as ``error``: it has line breaks, control characters or backslashes, or is not UTF-8
    """
    if "\\" in name or any(unicodedata.category(sign) in _UNSAFE for sign in name):
        raise error(
            f"the file name {name!r} has a line break, a control character or a backslash, so it cannot be listed "
            "safely: rename the file",
            code="file.not_bindable",
        )
    try:
        name.encode()
    except UnicodeEncodeError:
        raise error(
            f"the file name {name!r} is not UTF-8, so it cannot be listed: rename the file", code="file.not_bindable"
        ) from None


def looks_like_a_listing(beginning: bytes) -> bool:
    """Whether a single file that begins so could have the digest of a listing, or of the rows of a table: its bytes
    are what is hashed for them."""
    return _OURS.match(beginning) is not None
