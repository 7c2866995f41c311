"""Waive, break the glass and list what is owed, from a shell."""

import json
from datetime import timedelta

import pytest

from airflow_mlgov.release.waivers import find_terms
from tests.fixtures.shell import Run
from tests.worlds.exceptions import Exceptions
from tests.worlds.governed import PASSED

NEW = ["--gate", "performance", "--check", "roc_auc", "--min", "0.7", "--ticket", "R-1", "--risk-owner", "retail"]


def test_a_waiver_from_the_first_signature_to_its_end(exceptions: Exceptions, shell: Run, run: Run) -> None:
    governed, version = exceptions.governed, exceptions.version
    words = ["waive", version.uri, "--target", "production", "--reason", "market has changed"]
    code, out, _ = shell(*words, *NEW, "--person", "olga", "--requester", "rita", "--json", duty="waiver")
    assert code == 0
    first = json.loads(out)
    assert (first["signers"], first["needed"]) == (["olga"], 2)
    assert shell("promote", version.uri, "--target", "production")[0] == 1
    sha = first["waiver"]
    for person, message in (
        ("rita", "has asked for the waiver"),
        ("tom", "has trained"),
        ("olga", "signed it already"),
    ):
        code, _, err = shell(*words, "--cosign", sha, "--person", person, duty="waiver")
        assert code == 2
        assert message in err
    code, out, _ = shell(*words, "--cosign", sha[:12], "--person", "omar", duty="waiver")
    assert code == 0
    assert "2 of 2 signatures: olga, omar" in out
    code, out, _ = shell("promote", version.uri, "--target", "production")
    assert code == 0
    assert governed.places()[version.version] == PASSED

    where = ["--ledger", governed.ledger_url, "--trust", governed.trust_file]
    code, out, _ = run("obligations", *where)
    assert code == 0
    assert "roc_auc of the gate performance is waived until" in out
    code, out, _ = run("obligations", *where, "--model", governed.model, "--json")
    assert json.loads(out)[0]["state"] == "open"
    code, out, _ = shell(*words, "--revoke", sha, "--person", "olga", duty="waiver")
    assert code == 0
    assert "revoked" in out
    code, out, _ = run("obligations", *where)
    assert code == 1
    assert "revoked" in out
    assert run("obligations", *where, "--model", "another")[1] == "nothing is owed\n"


def test_words_that_make_no_waiver(exceptions: Exceptions, shell: Run) -> None:
    words = ["waive", exceptions.version.uri, "--target", "production", "--reason", "x", "--person", "olga"]
    for more, message in (
        ([], "a new waiver needs --gate, --check and --min or --max"),
        (["--cosign", "0" * 64], "0 waivers of"),
        ([*NEW[:-2], "--risk-owner", " "], "needs a risk_owner"),
        ([*NEW, "--days", "99"], "30 days at most"),
    ):
        code, _, err = shell(*words, *more, duty="waiver")
        assert code == 2
        assert message in err


def test_an_emergency(exceptions: Exceptions, shell: Run, run: Run) -> None:
    governed, version = exceptions.governed, exceptions.version
    words = ["break-glass", version.uri, "--target", "production", "--reason", "fraud wave"]
    code, _, err = shell(*words, "--person", "omar", duty="waiver")
    assert code == 2
    assert "omar may not break the glass" in err
    code, out, _ = shell(*words, "--person", "olga", "--hours", "2", duty="waiver")
    assert code == 0
    assert "olga broke the glass for 'production' for 2 h" in out
    assert "gate.not_passed" in out
    code, out, _ = shell("promote", version.uri, "--target", "production", "--json")
    assert code == 0
    assert [item["code"] for item in json.loads(out)["excused"]] == ["bound.not_met", "gate.not_passed"]
    where = ["--ledger", governed.ledger_url, "--trust", governed.trust_file]
    code, out, _ = run("verify", version.uri, *where)
    assert code == 0
    assert "the glass was broken by olga" in out
    assert exceptions.obligations(hours=3)[0].state == "expired"
    assert exceptions.obligations()[0].expires - governed.context().issued_at < timedelta(hours=2)
    with pytest.raises(ValueError, match="0 waivers"):
        find_terms(exceptions.case(), "0" * 8)
