"""Two risk officers approve a release, and sign a waiver, in Airflow's own pages; the requester tries and cannot."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_mlgov.demo.airflow_api import Run
from airflow_mlgov.evidence.statements import GateStatement
from airflow_mlgov.evidence.verification import Evidence
from airflow_mlgov.gates.fairness import evaluate_fairness
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.words import plain
from tests.live.browser import CHROMIUM, Person, chromium
from tests.live.waiting import HANGS, answered, asks, patience
from tests.worlds.governed import PASSED
from tests.worlds.live import LiveModel, LiveWorld, ended

pytest.importorskip("playwright", reason="the browser needs playwright, of the 'test' extra")
pytestmark = [
    pytest.mark.live,
    pytest.mark.xdist_group("attacks-live"),
    pytest.mark.timeout(HANGS),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}: apt-get install chromium fonts-dejavu-core"),
]

PLAIN = "the affected product ends in December"
HOSTILE = (
    f"{PLAIN}\r\n\r## Approved by all\n| check | outcome |\n|---|---|\n<!-- \x1b[2K\u202e [see](https://evil.example) "
    "https://evil.example ![](https://evil.example/p) **bold** `x {{ conn.mlflow_default.password }}"
)
REASON = PLAIN if os.environ.get("MLGOV_SCREENSHOTS") else HOSTILE
"""What the run's conf says; a picture for the documentation shows a reason as people write it."""
WAIVED = "demographic_parity_ratio[sex]"


@dataclass(frozen=True)
class Office:
    """A world in which alice has asked for both already."""

    world: LiveWorld
    credit_risk: LiveModel
    """Version 1 is in production; version 2 has all but its approvals."""
    release: Run
    card_limits: LiveModel
    """Version 1 fails one bound of the fairness gate."""
    exception: Run


@pytest.fixture(scope="module")
def office(live: LiveWorld) -> Office:
    """The world that is attacked meanwhile, with two models that nobody attacks."""
    alice, credit_risk, card_limits = live.user("alice"), live.model("credit_risk"), live.model("card_limits")
    succession(credit_risk)
    unfair(card_limits)
    for dag in ("asks", "asks_for_a_waiver"):
        alice.wait_for_dag(dag, timeout=patience(120))
    release = alice.trigger("asks", {"model": credit_risk.model, "version": "2"})
    exception = alice.trigger("asks_for_a_waiver", {"model": card_limits.model, "reason": REASON})
    asks(alice, release, "approve")
    asks(alice, exception, "waiver")
    return Office(live, credit_risk, release, card_limits, exception)


@pytest.fixture
def sits_down(office: Office, tmp_path: Path) -> Iterator[Callable[[str], Person]]:
    """Whoever is named signs in, in a browser of their own."""
    with chromium() as browser:
        yield lambda name: Person(browser, office.world.airflow, name, tmp_path)


def test_two_officers_approve_and_the_requester_cannot(office: Office, sits_down: Callable[[str], Person]) -> None:
    model, run, alice = office.credit_risk, office.release, office.world.user("alice")
    version = model.registry.resolve(f"models:/{model.model}/2")
    gates = evidence_of(version, model, "gate")

    def signed() -> list[str]:
        return [item.statement.approver.name for item in evidence_of(version, model, "approval")]

    olga = sits_down("olga")
    subject = f"Approve {model.model} version 2 for production?"
    assert subject in olga.required_actions()
    olga.shoot("required-actions")
    olga.open(subject)
    assert_shown(olga, version, model, gates)
    assert not olga.may_press("Approve"), "without a reason"
    why = "as good as version 1, and the gap is small"
    answered(
        lambda: olga.answer("Approve", why, shot="approval-form"), lambda: "olga" in signed(), alice, run, "approve"
    )
    asks(alice, run, "approve")
    assert model.places()["2"] == (None, ()), "one of two"

    requester = sits_down("alice")
    requester.open_form(run, "approve")
    assert requester.answer("Approve", "I need it live today") == 403
    assert "You do not have permission" in requester.said()
    assert alice.answer_approval(run, "approve", approve=True, reason="I need it live today") == 403
    assert signed() == ["olga"]

    omar = sits_down("omar")
    omar.required_actions()
    omar.open(subject)
    answered(lambda: omar.answer("Approve", "documents complete"), lambda: "omar" in signed(), alice, run, "approve")
    ended(run, approve="success", promote="success")
    assert model.places() == {"1": ("Archived", ()), "2": PASSED}

    answers = evidence_of(version, model, "approval")
    first, second = (item.document["predicate"] for item in answers)
    assert (first["approver"], first["answer"]) == ({"id": "olga", "name": "olga"}, "approved")
    assert (second["approver"]["name"], second["answer"]) == ("omar", "approved")
    assert [item.statement.texts()["reason"] for item in answers] == [why, "documents complete"]
    for said in (first, second):
        assert set(said["shown"]) >= {item.sha256 for item in gates}
        assert said["mlgov"]["run"]["run_id"] == run.run_id


def test_two_officers_sign_a_waiver(office: Office, sits_down: Callable[[str], Person]) -> None:
    model, run = office.card_limits, office.exception
    alice, omar = office.world.user("alice"), office.world.user("omar")

    def signed() -> list[tuple[str, str, str]]:
        found = [item.statement for item in model.evidence("waiver")]
        return [(said.signer.name, said.state, said.reason) for said in found]

    olga = sits_down("olga")
    olga.open_form(run, "waiver")
    words = olga.text()
    for part in (
        f"Waive {WAIVED} for {model.model} version 1?",
        "while it is >= 0.55, until ",
        "Ticket: RISK-12",
        "Risk owner: head of retail",
        "Asked for by: alice",
        "2 signature(s) needed, from olga, omar",
    ):
        assert part in words
    assert f"Reason: {plain(REASON).replace('|', '¦')}" in words
    assert olga.page.locator("[href*='evil.example'], [src*='evil.example'], h2:has-text('Approved')").count() == 0
    (ratio,) = [row for row in olga.rows() if row[0] == WAIVED]
    assert ratio == [WAIVED, "0.602 (0.5185 to 0.6928)", "0.8 to 1.25", "FAIL"]
    why = "a small product, and it ends in December"
    answered(lambda: olga.answer("Approve", why, shot="waiver-form"), lambda: len(signed()) == 1, alice, run, "waiver")
    asks(alice, run, "waiver")
    assert alice.answer_approval(run, "waiver", approve=True, reason="please") == 403
    answered(
        lambda: omar.answer_approval(run, "waiver", approve=True, reason="the audit is planned"),
        lambda: len(signed()) == 2,
        alice,
        run,
        "waiver",
    )
    asks(alice, run, "approve")
    olga.open_form(run, "approve")
    assert f"Waived, not passed: {WAIVED} of fairness = 0.602" in olga.text()
    answered(lambda: olga.answer("Approve", "with the waiver"), lambda: bool(model.answers()), alice, run, "approve")
    ended(run, waiver="success", approve="success", promote="success")
    assert model.places() == {"1": PASSED}

    assert signed() == [("olga", "signed", why), ("omar", "signed", "the audit is planned")]
    assert [item.statement.verdict for item in model.evidence("gate") if item.gate == "fairness"] == ["FAIL"]
    waived = alice.look(f"{run.path}/taskInstances/promote/xcomEntries/return_value")["value"]["waived"]
    assert [(use["gate"], use["check"], round(use["observed"], 3)) for use in waived] == [("fairness", WAIVED, 0.602)]
    assert f"waived, not passed: {WAIVED}" in run.log("promote")


def succession(model: LiveModel) -> None:
    """Version 1 goes to production; version 2 passes its gates."""
    first = model.gated()
    for officer in ("olga", "omar"):
        model.approve(first, officer)
    model.promote(first)
    model.gated(weight=2.0)


def unfair(model: LiveModel) -> None:
    """Version 1 fails one bound of the fairness gate."""
    version = model.register(weight=3.0)
    model.judge_really(version)
    result = evaluate_fairness(
        str(model.folder / "dags" / "data" / "biased.parquet"),
        subject=model.registry.subject(version),
        label="y",
        prediction="prediction",
        sensitive_features={"sex": ["female", "male"]},
        bounds={"demographic_parity_ratio": {"min": 0.8, "max": 1.25}},
    )
    model.attest("fairness", GateStatement.of(result, model.context()))


def assert_shown(person: Person, version: ModelVersion, model: LiveModel, gates: list[Evidence]) -> None:
    """The page names the version, its bytes and its place, and has every check with value, bound and outcome."""
    words = person.text()
    for part in (
        f"{model.model} version 2 to production (stage Production and alias champion), in place of version 1",
        f"sha256:{model.registry.subject(version).digest}",
        "2 approval(s) needed, from olga, omar",
    ):
        assert part in words
    assert [item.gate for item in gates] == ["performance", "fairness"]
    rows = {row[0]: row for row in person.rows()}
    for item in gates:
        assert f"{item.gate}: PASS (ledger:{item.seq}@{item.sha256[:12]})" in words
        for check in item.document["predicate"]["mlgov"]["checks"]:
            ends = check["values"].get("interval")
            interval = f" ({ends['low']:.4g} to {ends['high']:.4g})" if ends else ""
            assert check["outcome"] == "PASS"
            if check["name"] not in rows:
                assert f"{check['name']} {check['observed']:.4g}" in words, "recorded, held to no bound"
                continue
            assert rows[check["name"]][1] == f"{check['observed']:.4g}{interval}"
            assert rows[check["name"]][4] == ("PASS" if check["severity"] == "critical" else "PASS (info)")
    assert rows["check"] == ["check", "measured", "version 1, same rows", "allowed", "outcome"]
    assert {name: row[3] for name, row in rows.items() if row[3] and name != "check"} == {
        "roc_auc": ">= 0.75",
        WAIVED: "0.8 to 1.25",
        "four_fifths[sex]": ">= 0.8",
    }
    assert rows["roc_auc"][1].startswith(rows["roc_auc"][2]), "the champion was judged on the same table"


def evidence_of(version: ModelVersion, model: LiveModel, kind: str) -> list[Evidence]:
    """What verifies about one version, of one kind."""
    return [item for item in model.evidence(kind) if item.subject.version == version.version]
