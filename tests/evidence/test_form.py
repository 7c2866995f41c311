"""The quick look at a statement's form says what jsonschema says, over statements of every kind, valid and bent."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence import statements as st
from airflow_mlgov.evidence import verification
from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer, sign_statement
from airflow_mlgov.evidence.verification import has_form, verify_envelope
from tests.codes import raises_code
from tests.worlds.samples import LATER, STATEMENTS
from tests.worlds.statements import make_statement

SAMPLES = {name: make().as_json() for name, make in (STATEMENTS | LATER).items()}
ODD: list[Any] = [None, True, False, 0, 1, 2, 2.0, -1, 0.5, 10**30, "", "x", "a" * 64, "2026-01-01T00:00:00Z", [], [1],
                  {}, {"form": 2}, {"sha256": "a" * 64}, "\ud800", [[[[]]]], "PASS", "Ä" * 64]  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each holder and key in a document."""
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    for key, item in pairs:
        yield value, key
        yield from places(item)


def bent(document: Any, chance: random.Random) -> Any:
    """A copy with one to three things changed, left out, or added."""
    made = copy.deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        holder, key = chance.choice(list(places(made)))
        odd = copy.deepcopy(chance.choice(ODD))  # it may be changed next
        match chance.randint(0, 3):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[f"{key}x"] = odd
            case 2 if isinstance(holder, list):
                holder.append(odd)
            case _:
                holder[key] = odd
    return made


@pytest.mark.parametrize("name", SAMPLES)
def test_it_is_what_jsonschema_says(name: str) -> None:
    chance, document = random.Random(name), json.loads(json.dumps(SAMPLES[name]))
    kind, form = st.CLASSES[document["predicateType"]].kind, st.form_of(document)
    slow = verification._validator(form, kind)
    assert has_form(document, form, kind)
    assert slow.is_valid(document)
    answers = set()
    for _ in range(150):
        made = bent(document, chance)
        quick, exact = has_form(made, form, kind), slow.is_valid(made)
        whole = not any(isinstance(holder[key], str) and "\ud800" in holder[key] for holder, key in places(made))
        assert quick == exact if whole and "10" + "0" * 29 not in json.dumps(made) else quick <= exact, made
        answers.add(exact)
    assert answers == {True, False}


def test_what_is_not_told_quickly_is_looked_at_again(tmp_path: Path) -> None:
    """A number that Rust does not hold, and a line break that jsonschema lets pass, verify as they always did."""
    signer = open_signer(f"local:{tmp_path / 'k.pem'}", make_key=True)
    trust = TrustRoot().with_key(signer.public_key, duties())
    made = json.loads(json.dumps(make_statement().as_json()))
    made["predicate"]["mlgov"]["run"] = {"n": 10**400}
    assert verify_envelope(sign_statement(made, signer), trust).kind == "gate"


def test_without_the_quick_look_it_is_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(verification, "_quick_validator", lambda *_: None)
    signer = open_signer(f"local:{tmp_path / 'k.pem'}", make_key=True)
    trust = TrustRoot().with_key(signer.public_key, duties())
    made = json.loads(json.dumps(make_statement().as_json()))
    assert verify_envelope(sign_statement(made, signer), trust).kind == "gate"
    del made["predicate"]["mlgov"]["gate"]
    with raises_code(EvidenceError, "evidence.form"):
        verify_envelope(sign_statement(made, signer), trust)


def test_an_envelope_is_opened_once_and_under_other_keys_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signer, other = (open_signer(f"local:{tmp_path / name}", make_key=True) for name in ("k.pem", "other.pem"))
    trust = TrustRoot().with_key(signer.public_key, duties())
    envelope = sign_statement(make_statement(), signer)
    opened = []
    right = TrustRoot.open_envelope

    def count(self: TrustRoot, text: str | bytes) -> Any:
        opened.append(text)
        return right(self, text)

    monkeypatch.setattr(TrustRoot, "open_envelope", count)
    first = verify_envelope(envelope, trust, 1, "a")
    second = verify_envelope(envelope, trust, 7, "b")
    assert (first.seq, second.seq, second.sha256, first.document) == (1, 7, "b", second.document)
    assert len(opened) == 1
    with raises_code(EvidenceError, "signature.wrong"):
        verify_envelope(envelope.replace(json.loads(envelope)["payload"][:8], "AAAAAAAA"), trust)
    with raises_code(EvidenceError, "key.unknown"):
        verify_envelope(envelope, TrustRoot().with_key(other.public_key, duties()))
    with raises_code(EvidenceError, "key.unknown"):
        verify_envelope(envelope, TrustRoot())
