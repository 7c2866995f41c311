"""A look at the values of columns: which are personal data, which are hashes, and which hashes other columns give away.

What is found are kinds, counts and names of columns; no value leaves this module.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import permutations
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.quoting import identifier, literal
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.policy.checksums import KINDS, Kind
from airflow_mlgov.gates.policy.hashes import (
    BASE64,
    HEX,
    as_hex,
    digests_of,
    digests_of_two,
    from_base64,
    from_hex,
    is_even,
    parts_of,
)

if TYPE_CHECKING:
    from airflow_mlgov.data.duck import DuckTable
    from airflow_mlgov.data.relation import Relation

MAX_COLUMNS = 2_000
_MOST_DISTINCT = 200_000
_MOST_PLAIN = 300
_LIKELY = 1e-5
"""How seldom chance alone may give as many good check digits as were found."""
_MAIL = (
    r"[^\s@<>,;:\"()\[\]|]+\s?(?:@|%40|&#0*64;|&#x0*40;|&commat;|\(at\)|\[at\]|\{at\})\s?[^\s@<>,;:\"()\[\]|]+"
    r"(?:\.|\s?(?:\(dot\)|\[dot\]|\{dot\})\s?)\p{L}{2,}|\w+ at \w+ dot \p{L}{2,}"
)
_EXTENSION = r"(?:[ ,;]*(?i:ext|extension|x|dw)[. ]*[0-9]{1,6})?"
_PHONE = r"\(?(?:\+|00)[1-9][0-9]{0,2}\)?(?:[ ./()-]*[0-9]){7,12}" + _EXTENSION
_NATIONAL = (
    r"(?:(?:1[-. ])?\(?[0-9]{3}\)?[-. ]{1,2}[0-9]{3}[-. ][0-9]{4}|0[0-9]{1,4}[ /-][0-9]{3,}(?:[ -]?[0-9]+)*)"
    + _EXTENSION
)
_NUMBER = r"[A-Za-z0-9][A-Za-z0-9 ./+_-]{5,42}[A-Za-z0-9]"
_LABEL = r"""^["'<(\[]*(?:(?i:iban|account|card|cc|tel|phone|mobile|fax|ssn|id|nr|no)\b[ .:=#]*)?["']?|["'>)\]]*$"""
"""What stands around a number that somebody has copied."""
_SIGNS = {
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d",
    " ": "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000",
    "@": "\uff20\ufe6b",
    ".": "\u3002\uff0e\uff61",
    "+": "\uff0b\ufe62",
    "/": "\uff0f",
    "(": "\uff08",
    ")": "\uff09",
}
_UNSEEN = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_BARE = f"trim(regexp_replace(v, {literal(_LABEL)}, '', 'g'))"
_PAIRED_COLUMNS, _PAIRED_ROWS, _LONGEST_PAIRED = 24, 8, 200
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
    text: str = ""
    """SQL of its values as text; empty if it has none."""


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
    given_away = _given_away(columns, table)
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
    values = (
        f"(SELECT trim({_folded('r')}) AS v, r FROM (SELECT {text} AS r FROM {origin} "  # noqa: S608 - quoted
        f"WHERE {identifier(name)} IS NOT NULL))"
    )
    found = table.rows(
        "SELECT count(*), count(v), min(length(v)), max(length(v)), "  # noqa: S608 - quoted
        f"count(*) FILTER (regexp_full_match(v, {literal(HEX)})), "
        f"count(*) FILTER (regexp_full_match(v, {literal(BASE64)})), "
        f"count(*) FILTER (regexp_matches(v, {literal(_MAIL)}) OR regexp_matches(reverse(v), {literal(_MAIL)})), "
        f"count(*) FILTER (regexp_full_match({_BARE}, {literal(_PHONE)})), "
        f"count(*) FILTER (regexp_full_match({_BARE}, {literal(_NATIONAL)})) FROM {values}"
    )[0]
    filled, texts, shortest, longest, hexes, base64s, mails, phones, national = found
    if not texts:
        return _Column(name, Seen(filled))
    same_length = shortest == longest
    form = "hex" if hexes == texts else "base64" if base64s == texts else ""
    numbers = _distinct(table, values, f"regexp_full_match({_BARE}, {literal(_NUMBER)})", what=_BARE)
    kinds = [("e-mail addresses", mails)] if mails else []
    kinds += [("telephone numbers", count) for count in (max(phones, national),) if count >= 3 and count >= texts / 5]
    kinds += _numbers(numbers)
    some = [value for value, _ in _distinct(table, values, "true", _MOST_PLAIN)]
    encoded = _encoded(some)
    digests = set[str]()
    if form and same_length and not encoded:
        digests = {as_hex(value, form) for value, _ in _distinct(table, values, "true")}
    hashed = bool(digests) and is_even(digests)
    column = _Column(name, Seen(filled, hashed, tuple(kinds), encoded), text=text)
    if hashed:
        column.digests = digests
    else:
        column.plain = [value for value, _ in _distinct(table, values, "true", _MOST_PLAIN, what="r")]
    return column


def _folded(text: str) -> str:
    """SQL: digits and letters of all scripts, spaces and dashes as ASCII has them, and without what is not seen."""
    signs = _signs()
    seen = f"regexp_replace({text}, {literal(f'[{_UNSEEN}]')}, '', 'g')"
    told = f"translate({seen}, {literal(''.join(signs))}, {literal(''.join(signs.values()))})"
    return f"CASE WHEN strlen({text}) = length({text}) THEN {text} ELSE {told} END"


@cache
def _signs() -> dict[str, str]:
    """What is written otherwise and means the same -> in ASCII."""
    found = {sign: plain for plain, signs in _SIGNS.items() for sign in signs}
    for at in (*range(0x660, 0x1FC00), *range(0xFF21, 0xFF5B)):
        if (digit := unicodedata.decimal(chr(at), None)) is not None:
            found[chr(at)] = str(digit)
        elif 0xFF21 <= at <= 0xFF5A and chr(at).isalpha():
            found[chr(at)] = chr(at - 0xFEE0)
    return found


def _distinct(
    table: DuckTable, values: str, condition: str, most: int = _MOST_DISTINCT, what: str = "v"
) -> list[tuple[str, int]]:
    """Different values and how often each stands there; about as many as ``most``, those with the smallest hash, if
    there are more.

    :param what: SQL of what is wanted: ``v``, the value; ``r``, as it is written in the data
    """
    wanted = f"FROM {values} WHERE v <> '' AND {condition}"
    [[different]] = table.rows(f"SELECT approx_count_distinct(v) {wanted}")
    few = "" if different <= most else f" AND hash(v) % 1000000 < {max(1, most * 1_000_000 // different)}"
    found = table.rows(f"SELECT {what} AS w, count(*) {wanted}{few} GROUP BY w")
    return sorted((str(value), int(count)) for value, count in found)


def _numbers(values: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Kinds of numbers of which more values hold than chance explains."""
    bare = [(re.sub(r"[ ./_-]", "", value), value, count) for value, count in values]
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
    for writing, decode in (("hex", from_hex), ("base64", from_base64)):
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


def _given_away(columns: Sequence[_Column], table: DuckTable) -> dict[str, list[tuple[str, str]]]:
    """Hashed column -> the columns whose plain values it holds a digest of, and which digest."""
    targets: dict[str, set[str]] = {}
    for column in columns:
        for digest in column.digests:
            targets.setdefault(digest, set()).add(column.name)
    lengths = {len(digest) for digest in targets}
    if not lengths:
        return {}
    found: dict[str, list[tuple[str, str]]] = {}
    for one in columns:
        for target, by in _undone(one, targets, lengths).items():
            found.setdefault(target, []).append((one.name, by))
    for target, pair in _salted(columns, table, lengths):
        if pair not in found.setdefault(target, []):
            found[target].append(pair)
    return found


def _undone(one: _Column, targets: Mapping[str, Collection[str]], lengths: Collection[int]) -> dict[str, str]:
    """Hashed column -> the digest by which a column's plain values give it."""
    tried: dict[str, str] = {}
    for value in one.plain:
        for by, digest in digests_of(value):
            for part in parts_of(digest, lengths):
                for target in targets.get(part, ()):
                    tried[target] = min(by, tried.get(target, by))
    return tried


def _salted(
    columns: Sequence[_Column], table: DuckTable, lengths: Iterable[int]
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Hashes of two columns put together: a salt that stands beside the hash is none."""
    plain = [one for one in columns if one.plain][:_PAIRED_COLUMNS]
    hashed = [one for one in columns if one.digests]
    if len(plain) < 2:
        return
    wanted = ", ".join(f"CAST({one.text} AS VARCHAR)" for one in (*plain, *hashed))
    filled = " AND ".join(f"{identifier(one.name)} IS NOT NULL" for one in hashed[:1])
    for row in table.rows(f"SELECT {wanted} FROM {table.sql} WHERE {filled} LIMIT {_PAIRED_ROWS}"):  # noqa: S608
        here = {as_hex(str(value).strip()): one.name for one, value in zip(hashed, row[len(plain) :], strict=True)}
        said = [(one.name, str(value)) for one, value in zip(plain, row, strict=False) if value is not None]
        short = [(name, value) for name, value in said if len(value) <= _LONGEST_PAIRED]
        for (first, one), (second, other) in permutations(short, 2):
            for by, digest in digests_of_two(one, other):
                for part in parts_of(digest, lengths):
                    if part in here:
                        yield here[part], (f"{first} and {second}", by)
