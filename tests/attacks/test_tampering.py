"""One promoted model's evidence with anything in it changed: each field of each envelope, each column of each row, and
whatever hypothesis thinks of, also by somebody who computes every hash anew. Nothing of it is accepted that says
something else than what was signed."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.chain import Entry, Head, Verified, read_envelope, verified, walk
from airflow_mlgov.evidence.digests import canonical_json, hash_json
from airflow_mlgov.evidence.pack import Pack
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.verification import Evidence, verify_envelope
from airflow_mlgov.release.explanation import explain_bytes
from airflow_mlgov.results import Subject
from tests.codes import raises_code
from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.guarded import Guarded
from tests.worlds.ledger_owner import COLUMNS, Rows, copied, relinked, rewrite

SETTINGS = settings(max_examples=250, deadline=None, derandomize=True)


@dataclass(frozen=True)
class Bundle:
    """All that speaks for a champion, and for the one before it."""

    guarded: Guarded
    rows: Rows
    trust: TrustRoot
    champion: Subject
    former: Subject
    head: Head

    def entries(self, kind: str | None = None) -> list[Entry]:
        return [Entry(**row) for row in self.rows if kind in (None, row["kind"])]


@dataclass(frozen=True)
class Records:
    """Entries that are read as a ledger is."""

    kept: Sequence[Entry]

    def walk(self, checkpoints: Iterable[Head] = ()) -> Verified:
        return verified(self.kept, checkpoints)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer) -> Bundle:
    guarded = Guarded(tmp_path_factory.mktemp("bundle"), mlflow_server)
    first = guarded.green(1.0)
    guarded.promote(first)
    second = guarded.green(2.0)
    guarded.promote(second)
    entries = guarded.ledger.entries()
    made = Bundle(
        guarded,
        [asdict(entry) for entry in entries],
        TrustRoot.load(guarded.trust_file),
        guarded.registry.subject(second),
        guarded.registry.subject(first),
        walk(entries),
    )
    assert explain_bytes(made.champion, Records(entries), made.trust).allowed
    assert explain_bytes(made.former, Records(entries), made.trust).reasons[0][0] == "promotion.superseded"
    return made


# -- every field ------------------------------------------------------------------------------------------------------


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything in a JSON value, containers too."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from leaves(item, (*path, key))


def edited(value: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    """A copy in which ``change(container, key)`` was done to what is at the path."""
    copy = json.loads(json.dumps(value))
    container = copy
    for key in path[:-1]:
        container = container[key]
    change(container, path[-1])
    return copy


def remove(container: Any, key: Any) -> None:
    del container[key]


def alter(container: Any, key: Any) -> None:
    value = container[key]
    if isinstance(value, bool) or value is None:
        container[key] = not value
    elif isinstance(value, int | float):
        container[key] = value + 1
    elif isinstance(value, str):
        container[key] = f"{value}x" if value != "FAIL" else "PASS"
    else:
        container[key] = [value]


def twice(text: str, key: str, value: Any) -> str:
    """A JSON object's text in which a key stands a second time, with another value."""
    assert text.startswith("{")
    return "{" + f"{json.dumps(key)}: {json.dumps(value)}, " + text[1:]


def test_every_field_of_an_envelope(bundle: Bundle) -> None:
    other = json.loads(bundle.rows[0]["envelope"])
    tried = 0
    for entry in bundle.entries():
        envelope = json.loads(entry.envelope)
        assert set(envelope) == {"payload", "payloadType", "signatures"}
        assert set(envelope["signatures"][0]) == {"keyid", "sig"}
        spoilt = [json.dumps(edited(envelope, path, how)) for path in leaves(envelope) for how in (remove, alter)]
        spoilt += [twice(entry.envelope, key, envelope[key]) for key in envelope]
        signature = json.dumps(envelope["signatures"][0])
        spoilt += [
            json.dumps(envelope).replace(signature, twice(signature, key, value))
            for key, value in envelope["signatures"][0].items()
        ]
        spoilt += [
            json.dumps({**envelope, "signatures": signatures})
            for signatures in (
                [],
                {},
                None,
                "x",
                envelope["signatures"] * 2,
                [*envelope["signatures"], *other["signatures"]],
            )
            if signatures != envelope["signatures"]
        ]
        if envelope != other:
            spoilt += [json.dumps({**envelope, key: other[key]}) for key in ("payload", "signatures")]
        for text in spoilt:
            tried += 1
            if same_statement(bundle, text, entry.envelope):
                continue
            with pytest.raises(EvidenceError):
                verify_envelope(text, bundle.trust)
    assert tried > 200


def same_statement(bundle: Bundle, text: str, envelope: str) -> bool:
    """Whether nothing was changed: two signatures by one key over the same bytes are the only such case."""
    return json.loads(text) == json.loads(envelope) and text.count('"payload"') == 1


def test_every_field_of_every_statement(bundle: Bundle) -> None:
    """Changed in the payload of the envelope, the signature left as it is."""
    tried = 0
    for entry in bundle.entries():
        envelope, statement = json.loads(entry.envelope), read_envelope(entry.envelope)[1]
        paths = list(leaves(statement))
        for path in paths[:: max(1, len(paths) // 120)]:
            for how in (remove, alter):
                payload = canonical_json(edited(statement, path, how))
                text = json.dumps({**envelope, "payload": b64encode(payload).decode()})
                tried += 1
                with raises_code(EvidenceError, "signature.wrong"):
                    verify_envelope(text, bundle.trust)
        for key in statement:
            payload = twice(canonical_json(statement).decode(), key, statement[key]).encode()
            with pytest.raises(EvidenceError):
                verify_envelope(json.dumps({**envelope, "payload": b64encode(payload).decode()}), bundle.trust)
    assert tried > 1500


@pytest.mark.parametrize("keyid", [5, None, True])
def test_a_keyid_that_is_no_text(bundle: Bundle, keyid: Any) -> None:
    envelope = json.loads(bundle.rows[0]["envelope"])
    envelope["signatures"][0]["keyid"] = keyid
    with pytest.raises(EvidenceError):
        verify_envelope(json.dumps(envelope), bundle.trust)


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_of_every_row(bundle: Bundle, column: str) -> None:
    for index, row in enumerate(bundle.rows):
        other = bundle.rows[index - 1][column]
        values = [other] if other != row[column] else []
        values += [row[column] + 1, -1] if column == "seq" else ["", row[column] + "0", row[column].upper() + " "]
        for value in values:
            spoilt = [*bundle.rows[:index], {**row, column: value}, *bundle.rows[index + 1 :]]
            for subject in (bundle.champion, bundle.former):
                with pytest.raises(EvidenceError):
                    explain_bytes(subject, Records([Entry(**item) for item in spoilt]), bundle.trust)


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_in_the_database(bundle: Bundle, column: str, tmp_path: Any) -> None:
    """The same in a real ledger; whoever promotes or asks is told, and nothing moves."""
    owned = copied(bundle.guarded, tmp_path / "owned")
    index = 3
    spoilt: Any = -7 if column == "seq" else "f" * 64
    rewrite(owned, lambda rows: [*rows[:index], {**rows[index], column: spoilt}, *rows[index + 1 :]], relink=False)
    found = {"seq": "ledger.entry_missing", "prev": "ledger.chain_broken"}.get(column, "ledger.entry_changed")
    proven = "index.entry_hidden" if column == "subject_digest" else "ledger.entry_changed"
    owned.broken(owned.registry.resolve(f"{owned.model}/1"), found, by_proofs=proven)


def test_every_row_removed_or_doubled(bundle: Bundle) -> None:
    for index in range(len(bundle.rows)):
        without = [*bundle.rows[:index], *bundle.rows[index + 1 :]]
        again = [*bundle.rows[: index + 1], *bundle.rows[index:]]
        for rows in (without, again, relinked(without)):
            assert not accepted(bundle, bundle.champion, rows), bundle.rows[index]["kind"]
        if accepted(bundle, bundle.champion, relinked(again)):
            assert meaning(bundle, again) == meaning(bundle, bundle.rows)  # said twice, it counts once


def test_every_field_of_the_last_statements_by_whoever_computes_the_hashes_anew(bundle: Bundle) -> None:
    """Nothing that was signed later holds them fast: the signature alone does."""
    for index in (len(bundle.rows) - 2, len(bundle.rows) - 1):
        row = bundle.rows[index]
        envelope, statement = json.loads(row["envelope"]), read_envelope(row["envelope"])[1]
        for path in leaves(statement):
            for how in (remove, alter):
                payload = b64encode(canonical_json(edited(statement, path, how))).decode()
                spoilt = {**row, "envelope": json.dumps({**envelope, "payload": payload})}
                rows = [*bundle.rows[:index], spoilt, *bundle.rows[index + 1 :]]
                assert not accepted(bundle, bundle.champion, relinked(refiled(rows))), (row["kind"], path, how)


# -- whatever comes to mind -------------------------------------------------------------------------------------------


def accepted(bundle: Bundle, subject: Subject, rows: Rows, pack: bool = False, marks: Sequence[Head] = ()) -> bool:
    """Whether rows make a subject one that may serve; anything but an EvidenceError or a no is an error."""
    entries = tuple(Entry(**row) for row in rows)
    records = Pack(subject, None, entries, {}) if pack else Records(entries)
    try:
        return explain_bytes(subject, records, bundle.trust, checkpoints=marks).allowed
    except EvidenceError:
        return False


def meaning(bundle: Bundle, rows: Rows) -> list[str]:
    """The verified statements that an explanation reads, each once, in the order in which they first stand."""
    said: dict[str, None] = {}
    for row in rows:
        try:
            evidence: Evidence = verify_envelope(row["envelope"], bundle.trust)
        except EvidenceError:
            continue
        if evidence.kind != "policy":
            said[hash_json(evidence.document)] = None
    return list(said)


@dataclass(frozen=True)
class Change:
    """One change of the rows, with all that any kind of change may want to know."""

    how: Callable[[Rows, Change], Rows]
    index: int
    other: int
    column: str
    text: str
    path: tuple[Any, ...]
    position: float
    bit: int

    def __call__(self, rows: Rows) -> Rows:
        at, other = self.index % len(rows), self.other % len(rows)
        return self.how(rows, replace(self, index=at, other=other))


def put(rows: Rows, change: Change, **values: Any) -> Rows:
    return [*rows[: change.index], {**rows[change.index], **values}, *rows[change.index + 1 :]]


def in_envelope(rows: Rows, change: Change, do: Callable[[Any, Any], None]) -> Rows:
    try:
        document = edited(json.loads(rows[change.index]["envelope"]), change.path, do)
    except (ValueError, LookupError, TypeError):
        return rows  # spoilt by a change before
    return put(rows, change, envelope=json.dumps(document))


def removed(rows: Rows, change: Change) -> Rows:
    return [*rows[: change.index], *rows[change.index + 1 :]] if len(rows) > 1 else rows


def cut(rows: Rows, change: Change) -> Rows:
    return rows[: change.index + 1]


def doubled(rows: Rows, change: Change) -> Rows:
    return [*rows[: change.other], rows[change.index], *rows[change.other :]]


def swapped(rows: Rows, change: Change) -> Rows:
    found = list(rows)
    found[change.index], found[change.other] = found[change.other], found[change.index]
    return found


def column_written(rows: Rows, change: Change) -> Rows:
    return put(rows, change, **{change.column: change.text})


def column_of_another(rows: Rows, change: Change) -> Rows:
    return put(rows, change, **{change.column: rows[change.other][change.column]})


def field_removed(rows: Rows, change: Change) -> Rows:
    return in_envelope(rows, change, remove)


def field_altered(rows: Rows, change: Change) -> Rows:
    return in_envelope(rows, change, alter)


def field_of_another(rows: Rows, change: Change) -> Rows:
    def take(container: Any, key: Any) -> None:
        donor = json.loads(rows[change.other]["envelope"])
        container[key] = donor[change.path[0]] if len(change.path) == 1 else donor["signatures"][0]["sig"]

    return in_envelope(rows, change, take)


def bit_flipped(rows: Rows, change: Change) -> Rows:
    def flip(container: Any, key: Any) -> None:
        raw = bytearray(b64decode(container[key] + "=="))
        raw[int(change.position * len(raw))] ^= 1 << change.bit
        container[key] = b64encode(raw).decode()

    return in_envelope(rows, change, flip)


def statement_edited(rows: Rows, change: Change) -> Rows:
    """Something in a statement changed, the signature kept."""
    try:
        statement = read_envelope(rows[change.index]["envelope"])[1]
    except EvidenceError:
        return rows  # spoilt by a change before
    paths = list(leaves(statement))
    path = paths[int(change.position * len(paths))]
    payload = canonical_json(edited(statement, path, alter if change.bit else remove))
    document = {**json.loads(rows[change.index]["envelope"]), "payload": b64encode(payload).decode()}
    return put(rows, change, envelope=json.dumps(document))


def spaced(rows: Rows, change: Change) -> Rows:
    return put(rows, change, envelope=rows[change.index]["envelope"].replace(",", ", "))


def withheld(rows: Rows, change: Change) -> Rows:
    return put(rows, change, envelope="")


CHANGES = (
    removed, cut, doubled, swapped, column_written, column_of_another, field_removed, field_altered, field_of_another,
    bit_flipped, statement_edited, statement_edited, spaced, withheld,
)  # fmt: skip


def refiled(rows: Rows) -> Rows:
    """The columns that are copied out of each envelope made to fit it again."""
    found = []
    for row in rows:
        try:
            found.append({**row, **read_envelope(row["envelope"])[0]})
        except EvidenceError:
            found.append(row)
    return found


# the last entries are the ones that nothing signed later holds fast
a_row = st.one_of(st.integers(-4, -1), st.integers(0, 16))
a_change = st.builds(
    Change,
    how=st.sampled_from(CHANGES),
    index=a_row,
    other=a_row,
    column=st.sampled_from([name for name in COLUMNS if name != "seq"]),
    text=st.one_of(st.sampled_from(["", "0" * 64, "gate", "promotion", "2026-01-01"]), st.text(max_size=8)),
    path=st.sampled_from([("payload",), ("payloadType",), ("signatures",), ("signatures", 0, "sig")]),
    position=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)


@SETTINGS
@given(
    made=st.lists(a_change, min_size=1, max_size=3),
    relink=st.sampled_from([True, True, False]),
    refile=st.booleans(),
    pack=st.booleans(),
)
def test_no_change_says_something_else_and_is_accepted(
    bundle: Bundle, made: list[Change], relink: bool, refile: bool, pack: bool
) -> None:
    rows = bundle.rows
    for change in made:
        rows = change(rows)
    rows = refiled(rows) if refile else rows
    rows = relinked(rows) if relink else rows
    if accepted(bundle, bundle.champion, rows, pack):
        assert meaning(bundle, rows) == meaning(bundle, bundle.rows)
    if accepted(bundle, bundle.former, rows, pack):
        said = meaning(bundle, rows)
        assert said == meaning(bundle, bundle.rows)[: len(said)], "only a ledger that was cut may say so"
    # and where a checkpoint is kept elsewhere, not even that
    if accepted(bundle, bundle.champion, rows, pack, [bundle.head]):
        assert [row["hash"] for row in rows[: len(bundle.rows)]] == [row["hash"] for row in bundle.rows]
    assert not accepted(bundle, bundle.former, rows, pack, [bundle.head])
