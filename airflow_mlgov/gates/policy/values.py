"""A look at the values of columns: which are personal data, which are hashes, and which hashes other columns give away.

What is found are kinds, counts and names of columns; no value leaves this module.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.quoting import identifier, literal
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.policy.checksums import KINDS, Kind

if TYPE_CHECKING:
    from airflow_mlgov.data.duck import DuckTable
    from airflow_mlgov.data.relation import Relation

MAX_COLUMNS = 2_000
_MOST_DISTINCT = 200_000
_MOST_PLAIN = 300
_LIKELY = 1e-5
"""How seldom chance alone may give as many good check digits as were found."""
_MAIL = (
    r"[^\s@<>,;:\"()\[\]|]+\s?(?:@|＠|﹫|\(at\)|\[at\]|\{at\})\s?[^\s@<>,;:\"()\[\]|]+"
    r"(?:\.|\s?(?:\(dot\)|\[dot\]|\{dot\})\s?)\p{L}{2,}|\w+ at \w+ dot \p{L}{2,}"
)
_PHONE = r"\(?(?:\+|00)[1-9][0-9]{0,2}\)?(?:[ ./()-]*[0-9]){7,12}"
_NATIONAL = r"\(?[0-9]{3}\)?[-. ][0-9]{3}[-. ][0-9]{4}|0[0-9]{1,4}[ /-][0-9]{3,}(?:[ -]?[0-9]+)*"
_NUMBER = r"[A-Za-z0-9][A-Za-z0-9 ./+-]{5,42}[A-Za-z0-9]"
_HEX, _BASE64 = r"(?:0x|\\\\x)?[0-9A-Fa-f]{32,}", r"[A-Za-z0-9+/_-]{32,}={0,2}"
_SKIPPED = ("BOOLEAN", "DATE", "TIME", "INTERVAL", "ENUM")
_NESTED = ("STRUCT", "MAP", "UNION", "LIST", "ARRAY")


@dataclass(frozen=True)
class Seen:
    """What the values of one column are."""

    checked: int
    """Values that were looked at."""
    hashed: bool = False
    kinds: tuple[tuple[str, int], ...] = ()
    """Kind of personal data -> how many of the values."""
    encoded: str = ""
    """``hex`` or ``base64`` if they are text in that writing."""
    plain_of: tuple[tuple[str, str], ...] = ()
    """Column -> the digest of its values that they are."""

    def as_dict(self) -> dict[str, Any]:
        """As rules see it."""
        return {
            "checked": self.checked,
            "hashed": self.hashed,
            "kinds": [{"kind": kind, "rows": rows} for kind, rows in self.kinds],
            "encoded": self.encoded,
            "plain_of": [{"column": column, "by": by} for column, by in self.plain_of],
        }


@dataclass(frozen=True)
class Look:
    """What was looked at."""

    columns: Mapping[str, Seen]
    rows: int
    """Of the data."""
    looked_at: int
    """Rows of these."""


@dataclass
class _Column:
    name: str
    seen: Seen
    digests: set[str] = field(default_factory=set)
    """Of hashes: hex digits, lower-case."""
    plain: list[str] = field(default_factory=list)
    """Of what is no hash: a few hundred different values, to try whether they give a hash."""


def look_at(relation: Relation, *, sample: int | None) -> Look:
    """Look at every column.

    :param sample: how many rows to look at, chosen at random and always the same; None: all of them
    :raises ConfigurationError: there are no rows, or too many columns
    """
    if len(relation.columns) > MAX_COLUMNS:
        raise ConfigurationError(
            f"{relation.name} has more than {MAX_COLUMNS} columns: name those that are features", code="data.columns"
        )
    table = relation.in_duckdb()
    [[rows]] = table.rows(f"SELECT count(*) FROM {table.sql}")  # noqa: S608 - quoted
    if not rows:
        raise ConfigurationError(f"{relation.name} has no rows: there are no values to look at", code="data.empty")
    looked_at, chosen = rows, ""
    if sample is not None and sample < rows:
        chosen = f"hash(mlgov_row) % 1000000 < {max(1, sample * 1_000_000 // rows)}"
        [[looked_at]] = table.rows(f"SELECT count(*) FROM range(1, {rows + 1}) AS t(mlgov_row) WHERE {chosen}")  # noqa: S608
    columns = [_look(table, _rows_of(table, name, chosen), name, kind) for name, kind in table.types.items()]
    given_away = _given_away(columns)
    seen = {one.name: _with_plain(one.seen, given_away.get(one.name, ())) for one in columns}
    return Look(seen, rows, looked_at)


def _rows_of(table: DuckTable, name: str, chosen: str) -> str:
    """One column of the rows that are looked at, chosen by the hash of their number: the same ones of every column, and
    none of them held in memory."""
    if not chosen:
        return table.sql
    column = identifier(name)
    numbered = f"(SELECT {column}, row_number() OVER () AS mlgov_row FROM {table.sql})"  # noqa: S608 - quoted
    return f"(SELECT {column} FROM {numbered} WHERE {chosen})"  # noqa: S608 - quoted


def _with_plain(seen: Seen, plain_of: Sequence[tuple[str, str]]) -> Seen:
    return Seen(seen.checked, seen.hashed, seen.kinds, seen.encoded, tuple(plain_of))


def _as_text(name: str, kind: str) -> str | None:
    """A column's values as SQL text; None if no personal data that is told by its form can stand in it."""
    column, upper = identifier(name), kind.upper()
    nested = upper.endswith("]") or upper.startswith(_NESTED)
    if not nested and upper.startswith(_SKIPPED):
        return None if not upper.startswith("ENUM") else f"CAST({column} AS VARCHAR)"
    if upper == "BLOB":
        return f"hex({column})"
    if upper in ("FLOAT", "DOUBLE") or upper.startswith("DECIMAL"):
        whole = f"TRY_CAST({column} AS HUGEINT)"
        return f"CASE WHEN {whole} = {column} AND abs({column}) >= 1e8 THEN CAST({whole} AS VARCHAR) END"
    return f"CAST({column} AS VARCHAR)"


def _look(table: DuckTable, origin: str, name: str, kind: str) -> _Column:
    text = _as_text(name, kind)
    if text is None:
        [[filled]] = table.rows(f"SELECT count({identifier(name)}) FROM {origin}")  # noqa: S608 - quoted
        return _Column(name, Seen(filled))
    values = f"(SELECT trim({text}) AS v FROM {origin} WHERE {identifier(name)} IS NOT NULL)"  # noqa: S608 - quoted
    found = table.rows(
        "SELECT count(*), count(v), min(length(v)), max(length(v)), "  # noqa: S608 - quoted
        f"count(*) FILTER (regexp_full_match(v, {literal(_HEX)})), "
        f"count(*) FILTER (regexp_full_match(v, {literal(_BASE64)})), "
        f"count(*) FILTER (regexp_matches(v, {literal(_MAIL)}) OR regexp_matches(reverse(v), {literal(_MAIL)})), "
        f"count(*) FILTER (regexp_full_match(v, {literal(_PHONE)})), "
        f"count(*) FILTER (regexp_full_match(v, {literal(_NATIONAL)})) FROM {values}"
    )[0]
    filled, texts, shortest, longest, hexes, base64s, mails, phones, national = found
    if not texts:
        return _Column(name, Seen(filled))
    same_length = shortest == longest
    form = "hex" if hexes == texts else "base64" if base64s == texts else ""
    numbers = _distinct(table, values, f"regexp_full_match(v, {literal(_NUMBER)})")
    kinds = [("e-mail addresses", mails)] if mails else []
    kinds += [("telephone numbers", count) for count in (max(phones, national),) if count >= 3 and count >= texts / 5]
    kinds += _numbers(numbers)
    some = [value for value, _ in _distinct(table, values, "true", _MOST_PLAIN)]
    encoded = _encoded(some)
    hashed = bool(form) and same_length and not encoded
    column = _Column(name, Seen(filled, hashed, tuple(kinds), encoded))
    if hashed:
        column.digests = {_as_hex(value, form) for value, _ in _distinct(table, values, "true")}
    else:
        column.plain = some
    return column


def _distinct(table: DuckTable, values: str, condition: str, most: int = _MOST_DISTINCT) -> list[tuple[str, int]]:
    """Different values and how often each stands there; about as many as ``most``, those with the smallest hash, if
    there are more."""
    wanted = f"FROM {values} WHERE v <> '' AND {condition}"
    [[different]] = table.rows(f"SELECT approx_count_distinct(v) {wanted}")
    few = "" if different <= most else f" AND hash(v) % 1000000 < {max(1, most * 1_000_000 // different)}"
    found = table.rows(f"SELECT v, count(*) {wanted}{few} GROUP BY v")
    return sorted((str(value), int(count)) for value, count in found)


def _numbers(values: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Kinds of numbers of which more values hold than chance explains."""
    bare = [(re.sub(r"[ ./-]", "", value), value, count) for value, count in values]
    found = []
    for kind in KINDS:
        fitting = [
            (said, count)
            for plain, value, count in bare
            if kind.form.fullmatch(said := value if kind.spaced else plain)
        ]
        held = [count for said, count in fitting if kind.holds(said)]
        if held and _beyond_chance(len(held), len(fitting), kind):
            found.append((kind.name, sum(held)))
    public = [count for value, count in values if _is_public_address(value)]
    if len(public) >= 3 and len(public) >= len(values) / 2:
        found.append(("IP addresses", sum(public)))
    return found


def _beyond_chance(held: int, fitting: int, kind: Kind) -> bool:
    """Whether chance alone would hardly give as many; different values are counted, not rows."""
    if kind.sure and held >= fitting / 20:
        return True
    if held < 1.5 * kind.chance * fitting:
        return False
    from scipy.stats import binom

    return float(binom.sf(held - 1, fitting, kind.chance)) <= _LIKELY


def _is_public_address(value: str) -> bool:
    try:
        return ipaddress.ip_address(value).is_global
    except ValueError:
        return False


def _encoded(values: Iterable[str]) -> str:
    """``hex`` or ``base64`` if nearly all of the values are readable text in it."""
    for writing, decode in (("hex", _from_hex), ("base64", _from_base64)):
        decoded = [decode(value) for value in values]
        readable = sum(raw is not None and len(raw) >= 6 and _is_text(raw) for raw in decoded)
        if decoded and readable >= 3 and readable >= 0.9 * len(decoded):
            return writing
    return ""


def _is_text(raw: bytes) -> bool:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return text.isprintable() and not re.fullmatch(r"[0-9A-Fa-f]{32,}", text)


def _from_hex(value: str) -> bytes | None:
    try:
        return bytes.fromhex(re.sub(r"^(?:0x|\\x)", "", value))
    except ValueError:
        return None


def _from_base64(value: str) -> bytes | None:
    if not re.fullmatch(r"[A-Za-z0-9+/_-]{8,}={0,2}", value) or value.isdigit():
        return None
    plain = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _as_hex(value: str, form: str) -> str:
    """A hash as hex digits, lower-case, however it is written."""
    raw = _from_hex(value) if form == "hex" else _from_base64(value)
    return raw.hex() if raw is not None else value.lower()


# -- what other columns give away ---------------------------------------------------------------------------------


_DIGESTS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "sha3_512", "blake2b", "blake2s")


def _given_away(columns: Sequence[_Column]) -> dict[str, list[tuple[str, str]]]:
    """Hashed column -> the columns whose plain values it holds a digest of, and which digest."""
    hashed = [one for one in columns if one.digests]
    found: dict[str, list[tuple[str, str]]] = {}
    lengths = {len(digest) for one in hashed for digest in one.digests}
    if not lengths:
        return {}
    for one in columns:
        tried: set[tuple[str, str]] = set()
        for value in one.plain:
            for by, digest in _digests_of(value):
                for length in lengths:
                    for target in hashed:
                        if (target.name, by) not in tried and digest[:length] in target.digests:
                            tried.add((target.name, by))
        for target in hashed:
            digests = sorted(digest for column, digest in tried if column == target.name)
            if digests:
                found.setdefault(target.name, []).append((one.name, digests[0]))
    return found


def _digests_of(value: str) -> Iterator[tuple[str, str]]:
    """The digests of a value in the writings in which people hash one."""
    digits = re.sub(r"\D", "", value)
    written = {value, value.strip(), value.strip().lower(), value.strip().upper(), re.sub(r"\s", "", value).lower()}
    raws = {text.encode() for text in written | ({digits} if len(digits) >= 5 else set())}
    raws |= {text.encode("utf-16-le") for text in written}
    for raw in raws:
        for name in _DIGESTS:
            yield name, hashlib.new(name, raw, usedforsecurity=False).hexdigest()
        yield "blake2b-256", hashlib.blake2b(raw, digest_size=32).hexdigest()
        yield "sha256 of sha256", hashlib.sha256(hashlib.sha256(raw).digest()).hexdigest()
