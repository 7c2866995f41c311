"""Hashes: in which writings they stand, whether digits could be one, and the digests that people make of a value."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

HEX, BASE64 = r"(?:0x|\\x)?[0-9A-Fa-f]{32,}", r"[A-Za-z0-9+/_-]{32,}={0,2}"
_UUID = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_VERSION_AT, _VARIANT_AT, _UUID_DIGITS = 12, 16, 32
_FEW, _ENOUGH, _MOST = 20, 100, 400
"""Different values, below which nothing is told; from which on each place must take most digits; that are looked at."""
DIGESTS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "sha3_512", "blake2b", "blake2s")
_RARE = tuple(name for name in ("sha512_256", "ripemd160", "sm3") if name in hashlib.algorithms_available)
_TWICE = ("md5", "sha1", "sha256")
_BETWEEN = ("", ":", "|", "-", "_", ",", ";", " ", "$")


def from_hex(value: str) -> bytes | None:
    """The bytes that hex digits stand for; None if it is none."""
    try:
        return bytes.fromhex(re.sub(r"^(?:0x|\\x)", "", value))
    except ValueError:
        return None


def from_base64(value: str) -> bytes | None:
    """The same of base64, also that of URLs, and without its end."""
    if not re.fullmatch(r"[A-Za-z0-9+/_-]{8,}={0,2}", value) or value.isdigit():
        return None
    plain = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def as_hex(value: str, form: str = "") -> str:
    """A hash as hex digits, lower-case, however it is written; also one that looks like a UUID.

    :param form: ``hex`` or ``base64``; as the value looks if omitted
    """
    if _UUID.fullmatch(value):
        return value.replace("-", "").lower()
    form = form or ("hex" if re.fullmatch(HEX, value) else "base64")
    raw = from_hex(value) if form == "hex" else from_base64(value)
    if raw is None or re.fullmatch(rb"[0-9A-Fa-f]{32,}", raw):  # also hex digits in base64
        return (raw or value.encode()).decode().lower()
    return raw.hex()


def is_even(digests: set[str]) -> bool:
    """Whether the digits could be a hash's: each place takes all digits. What is counted up, put together or written
    otherwise does not; few values tell nothing, and the version of a UUID is always the same."""
    some = sorted(digests)[:: max(1, len(digests) // _MOST)]
    if any(not re.fullmatch("[0-9a-f]{32,}", one) for one in some):
        return False
    if len(some) < _FEW:
        return True
    if all(one.isdecimal() for one in some):
        return False
    least = 12 if len(some) >= _ENOUGH else 2
    is_uuid = all(len(one) == _UUID_DIGITS and one[_VERSION_AT] in "4" and one[_VARIANT_AT] in "89ab" for one in some)
    places = (at for at in range(len(some[0])) if not (is_uuid and at in (_VERSION_AT, _VARIANT_AT)))
    return all(len({one[at] for one in some}) >= least for at in places)


def parts_of(digest: str, lengths: Iterable[int]) -> Iterator[str]:
    """A digest, its beginnings and its ends, of some lengths."""
    for length in lengths:
        if length <= len(digest):
            yield digest[:length]
        if length < len(digest):
            yield digest[-length:]


@cache
def _begun(name: str) -> _Hash:
    """A hash of nothing. To copy one takes a third of the time in which OpenSSL finds an algorithm by its name."""
    return hashlib.new(name, usedforsecurity=False)


def _hashed(name: str, raw: bytes) -> str:
    made = _begun(name).copy()
    made.update(raw)
    return made.hexdigest()


def digests_of(value: str) -> Iterator[tuple[str, str]]:
    """The digests of a value in the writings in which people hash one."""
    bare = value.strip()
    digits = re.sub(r"\D", "", value)
    written = {value, bare, bare.lower(), bare.upper(), re.sub(r"\s", "", value).lower(), f"{bare}\n", bare[::-1]}
    written |= {digits} if len(digits) >= 5 else set()
    if digits == bare:  # as numbers are written elsewhere
        written |= {f"{bare}.0", *(bare.zfill(width) for width in range(len(bare) + 1, 13))}
    raws = {text.encode() for text in written}
    raws |= {text.encode("utf-16-le") for text in (value, bare, bare.lower(), bare.upper())}
    for raw in raws:
        for name in (*DIGESTS, *_RARE):
            yield name, _hashed(name, raw)
        yield "blake2b-256", hashlib.blake2b(raw, digest_size=32).hexdigest()
        yield "sha256 of sha256", _hashed("sha256", hashlib.sha256(raw).digest())
    for text in (bare, bare.lower()):
        yield "HMAC with an empty key", hmac.new(b"", text.encode(), "sha256").hexdigest()
        once = {name: _hashed(name, text.encode()) for name in _TWICE}
        for name, digest in once.items():
            for outer in _TWICE:
                yield f"{outer} of {name}", _hashed(outer, digest.encode())


def digests_of_two(one: str, other: str) -> Iterator[tuple[str, str]]:
    """The digests of two values put together, one of which may be a salt."""
    for between in _BETWEEN:
        raw = f"{one}{between}{other}".encode()
        for name in DIGESTS:
            yield name, _hashed(name, raw)
    yield "HMAC", hmac.new(one.encode(), other.encode(), "sha256").hexdigest()
