"""The index against a plain dictionary, whatever order its keys come in."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.index_map import EMPTY, NOTHING, IndexMap, Mark
from tests.codes import raises_code

PUTS = st.lists(st.tuples(st.integers(0, 40).map(str), st.integers(1, 9)), max_size=60)


def mark(number: int) -> Mark:
    return Mark(number, bytes([number]) * 32)


@given(puts=PUTS)
@settings(max_examples=80, deadline=None)
def test_it_says_what_was_put_and_its_root_knows_no_order(puts: list[tuple[str, int]]) -> None:
    grown, plain = IndexMap(), dict[str, Mark]()
    for key, number in puts:
        grown.put(key, mark(number))
        plain[key] = mark(number)
    made = IndexMap.of(plain)
    assert (made.root, made.fresh) == (grown.root, grown.fresh)
    assert len(made.fresh) == max(0, 2 * len(plain) - 1)
    for key in map(str, range(45)):
        assert grown.get(key) == plain.get(key, NOTHING)


@given(puts=PUTS, more=PUTS)
@settings(max_examples=40, deadline=None)
def test_it_goes_on_from_nodes_that_are_elsewhere_and_old_roots_stay(
    puts: list[tuple[str, int]], more: list[tuple[str, int]]
) -> None:
    store: dict[bytes, bytes] = {}
    marks = {key: mark(number) for key, number in puts}
    first = IndexMap.of(marks)
    store |= first.fresh
    later = IndexMap(first.root, lambda names: {name: store[name] for name in names if name in store})
    for key, number in more:
        later.put(key, mark(number))
    store |= later.fresh
    after = IndexMap.of(marks | {key: mark(number) for key, number in more})
    assert later.root == after.root
    assert set(after.fresh) <= set(store)
    old = IndexMap(first.root, store.get and (lambda names: {name: store[name] for name in names}))
    assert all(old.get(key) == value for key, value in marks.items())


def test_the_root_of_nothing_has_no_node() -> None:
    assert IndexMap.of({}).root == EMPTY
    assert IndexMap().get("a") == NOTHING


def test_a_node_that_was_taken_or_altered_answers_nothing() -> None:
    made = IndexMap.of({str(number): mark(number) for number in range(1, 30)})
    store = made.fresh
    for name in store:
        if name == made.root:
            continue
        for altered, code in ((None, "index.node_missing"), (store[made.root], "index.node_wrong"), (b"", None)):
            given = {**store, name: altered} if altered is not None else {k: v for k, v in store.items() if k != name}
            asked = IndexMap(made.root, lambda names, given=given: {n: given[n] for n in names if n in given})
            with raises_code(EvidenceError, code or "index.node_wrong"):
                asked.prepare(map(str, range(1, 30)))
        break
    else:
        raise AssertionError("no node was tried")


def test_text_that_is_no_node_is_refused_by_whatever_name() -> None:
    for text in (b"", b"\x02", b"\x01\xff\xff" + bytes(64), b"\x00" + bytes(71)):
        name = hashlib.sha256(b"\x01mlgov-index-v1\x00" + text).digest()
        with raises_code(EvidenceError, "index.node_wrong"):
            IndexMap(name, lambda names, text=text: dict.fromkeys(names, text)).get("a")
