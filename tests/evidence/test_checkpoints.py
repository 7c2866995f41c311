"""Checkpoints kept elsewhere: signed, never overwritten, and held against the ledger."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.checkpoints import (
    heads_at,
    make_checkpoint,
    open_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from airflow_mlgov.evidence.ledger import Ledger, open_ledger
from airflow_mlgov.evidence.signing import TrustRoot, open_signer
from airflow_mlgov.evidence.statements import Context
from tests.codes import raises_code
from tests.worlds.statements import make_statement


@pytest.fixture
def trust(signer) -> TrustRoot:
    return TrustRoot().with_key(signer.public_key, ["checkpoint", "fairness"])


def test_a_checkpoint_holds_while_the_ledger_only_grows(ledger: Ledger, signer, trust: TrustRoot) -> None:
    with raises_code(ConfigurationError, "ledger.empty"):
        make_checkpoint(ledger, signer, Context("test"))
    for digest in "abc":
        ledger.attest(make_statement(digest=digest * 64), signer)
    envelope = make_checkpoint(ledger, signer, Context("test"))
    mark = open_checkpoint(envelope, trust)
    assert mark == ledger.verify()
    ledger.attest(make_statement(digest="d" * 64), signer)
    assert ledger.verify([mark]).size == 4


def test_a_checkpoint_of_another_ledger_does_not_hold(ledger: Ledger, signer, trust: TrustRoot, tmp_path: Path) -> None:
    other = open_ledger(f"sqlite:///{tmp_path / 'other.db'}")
    ledger.attest(make_statement(digest="a" * 64), signer)
    other.attest(make_statement(digest="b" * 64), signer)
    mark = open_checkpoint(make_checkpoint(other, signer, Context("test")), trust)
    with raises_code(EvidenceError, "checkpoint.differs"):
        ledger.verify([mark])


def test_only_the_checkpoint_key_signs_one(ledger: Ledger, signer, tmp_path: Path) -> None:
    ledger.attest(make_statement(), signer)
    envelope = make_checkpoint(ledger, signer, Context("test"))
    other = open_signer(f"local:{tmp_path / 'x.pem'}", make_key=True)
    gate_only = TrustRoot().with_key(signer.public_key, ["fairness"])
    with raises_code(EvidenceError, "evidence.duty"):
        open_checkpoint(envelope, gate_only)
    with raises_code(EvidenceError, "key.unknown"):
        open_checkpoint(envelope, TrustRoot().with_key(other.public_key, ["checkpoint"]))
    with raises_code(EvidenceError, "checkpoint.kind"):
        open_checkpoint(ledger.get(1).envelope, gate_only)


@pytest.mark.parametrize("where", ["{folder}/c.json", "memory://mlgov-{now}/c.json"])
def test_kept_in_a_file_or_an_object_store_and_never_overwritten(
    ledger: Ledger, signer, tmp_path: Path, where: str
) -> None:
    place = where.format(folder=tmp_path, now=datetime.now(UTC).timestamp())
    ledger.attest(make_statement(), signer)
    envelope = make_checkpoint(ledger, signer, Context("test"))
    write_checkpoint(envelope, place)
    assert json.loads(read_checkpoint(place)) == json.loads(envelope)
    with raises_code(ConfigurationError, "file.exists"):
        write_checkpoint("{}", place)
    assert json.loads(read_checkpoint(place)) == json.loads(envelope)


@pytest.mark.parametrize("where", ["{folder}/kept", "memory://mlgov-{now}/kept/"])
def test_a_place_of_several(ledger: Ledger, signer, trust: TrustRoot, tmp_path: Path, where: str) -> None:
    place = where.format(folder=tmp_path, now=datetime.now(UTC).timestamp())
    if "://" in place:
        fsspec.filesystem("memory").makedirs(place)
    else:
        Path(place).mkdir()
    with raises_code(ConfigurationError, "checkpoint.none"):
        heads_at([place], trust)
    for name in ("1.json", "2.json"):
        ledger.attest(make_statement(), signer)
        write_checkpoint(make_checkpoint(ledger, signer, Context("test")), f"{place.rstrip('/')}/{name}")
    assert [head.size for head in heads_at([place], trust)] == [1, 2]
    assert ledger.verify(heads_at([place, f"{place.rstrip('/')}/2.json"], trust)).size == 2
    write_checkpoint("{}", f"{place.rstrip('/')}/3.json")
    with pytest.raises(EvidenceError):
        heads_at([place], trust)


@pytest.mark.parametrize(
    ("place", "code"), [("/nowhere/c.json", "file.missing"), ("nosuchstore://b/c.json", "file.unreadable")]
)
def test_places_that_are_none(place: str, code: str) -> None:
    with raises_code(ConfigurationError, "file.not_writable"):
        write_checkpoint("{}", place)
    with raises_code(ConfigurationError, code):
        read_checkpoint(place)


def test_a_store_that_nothing_installed_opens_is_named_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    for act in (read_checkpoint, lambda where: write_checkpoint("{}", where)):
        with raises_code(ConfigurationError, "store.unknown", match=r"pip install '.*\[s3\]'"):
            act("s3://bucket/checkpoint.json")
