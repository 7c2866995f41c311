"""The pages of a real fleet: each verdict is the one of the command line, each list is what it is asked for."""

import csv
import io
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
from fastapi.testclient import TestClient

from airflow_mlgov.board import keeper
from airflow_mlgov.board.app import ROUTES, Door, ago, fresh, make_board, moment, until
from airflow_mlgov.board.keeper import Source
from airflow_mlgov.board.pages import NotShown
from airflow_mlgov.board.readers import EVERYTHING, Reader
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.signing import TrustRoot, open_signer, sign_statement
from airflow_mlgov.evidence.statements import GateStatement, ObservationStatement, Person
from airflow_mlgov.evidence.verification import verify_entry
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.release.case import build_case
from airflow_mlgov.release.explanation import explain
from tests.worlds.fleet import MEMBERS, Fleet

pytestmark = pytest.mark.xdist_group("board")

NAMED = ("/story", "/pack", "/report", "/verify")
"""Routes that name a model."""


def text(page: Any) -> str:
    """What a person reads of a page."""
    assert page.status_code == 200, page.text[:500]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


def rows(page: Any) -> dict[tuple[str, str], str]:
    """Model and version -> what its row says."""
    found = {}
    for row in page.text.split("<tr>")[2:]:
        words = " ".join(unescape(re.sub(r"<[^>]*>", " ", row)).split())
        name, _, version = words.split(" ")[:3]
        found[name, version] = words
    return found


def test_each_verdict_is_the_one_of_the_command_line(fleet: Fleet, board: TestClient) -> None:
    found, policy = rows(board.get("/board")), load_policy(fleet.policy_file)
    assert len(found) == 7
    for (name, version), said in found.items():
        member = fleet[name.removeprefix("fleet_")]
        resolved = member.registry.resolve(f"models:/{name}/{version}")
        if "serves since" in said:
            answer = explain(member.registry, resolved, member.ledger, member.trust, policy=policy, environment="test")
            assert ("should not serve" in said) is not answer.allowed, said
            assert all(message[:60] in said for _, message in answer.reasons), (said, answer.reasons)
        else:
            decision = build_case(member.desk("promotion"), resolved, "production").decision
            assert ("blocked" in said or "waits" in said) is not decision.allowed
            assert all(message[:60] in said for _, message in decision.reasons), (said, decision.reasons)


def test_the_board_shows_what_needs_somebody_first(board: TestClient) -> None:
    order = [name.removeprefix("fleet_") + version for name, version in rows(board.get("/board"))]
    assert order == [
        "collections1",
        "fraud_detection1",
        "mortgage_pricing1",
        "churn1",
        "credit_risk3",
        "card_limits1",
        "credit_risk2",
    ]
    said = text(board.get("/board"))
    for words in (
        "2 should not serve",
        "1 waits for approval",
        "! overdue audit of demographic_parity_ratio[sex]",
        "! incident alias champion is at version 2; by evidence it is version 1",
        "◇ waiver demographic_parity_ratio[sex] of fairness 19 days left",
        "✕ FAIL fairness",
        "too old since 9 days",
        "chain verified to entry",
    ):
        assert words in said, words


def test_the_card_has_what_needs_somebody_and_says_why(board: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def card() -> dict[str, tuple[str, str]]:
        said = board.get("/card.json").json()
        assert said["total"] == len(said["models"])
        return {one["model"].removeprefix("fleet_"): (one["word"], one["why"]) for one in said["models"]}

    said = card()
    assert list(said) == ["collections", "fraud_detection", "mortgage_pricing", "credit_risk"]
    assert said["mortgage_pricing"] == (
        "needs somebody",
        "alias champion is at version 2; by evidence it is version 1",
    )
    assert said["credit_risk"][0] == "waits for approval"
    assert all(why for _, why in said.values())
    monkeypatch.setattr("airflow_mlgov.board.pages.SOON", timedelta(days=15))
    due = f"{datetime.now(UTC) - timedelta(hours=3) + timedelta(days=14):%Y-%m-%d}"
    assert card()["card_limits"] == ("due soon", f"audit of demographic_parity_ratio[sex] is due {due}")


@pytest.mark.parametrize(
    ("query", "models"),
    [
        ({"q": "RISK"}, ["credit_risk", "credit_risk"]),
        ({"owner": "retail@bank.example"}, ["credit_risk", "card_limits", "credit_risk"]),
        ({"owner": "retail@bank"}, []),
        ({"state": "deny"}, ["collections", "fraud_detection"]),
        (
            {"sort": "model"},
            [
                "card_limits",
                "churn",
                "collections",
                "credit_risk",
                "credit_risk",
                "fraud_detection",
                "mortgage_pricing",
            ],
        ),
        ({"sort": "due", "state": "allow"}, ["card_limits", "credit_risk"]),
        ({"q": "' OR 1=1 --"}, []),
    ],
)
def test_the_board_is_filtered_and_sorted_by_its_url(board: TestClient, query: Any, models: list[str]) -> None:
    assert [name.removeprefix("fleet_") for name, _ in rows(board.get("/board", params=query))] == models


def test_a_story_tells_values_intervals_bounds_and_the_champion(board: TestClient, fleet: Fleet) -> None:
    page = board.get("/story", params={"model": "fleet_credit_risk", "version": "3"})
    said = text(page)
    for words in (
        "fleet_credit_risk version 3 … waits for approval",
        "Compared with version 2",
        "1 of 2 approvals: nobody else who may approve has approved the evidence that now stands",
        "olga ✓ approved looked at it",
        "Saw 3 pieces of evidence",
        "fairness: PASS (ledger:",
        "selection rate by sex",
        "roc_auc over versions",
        "PSI by column",
        "signed by the key",
    ):
        assert words in said, words
    checks = {check.name: check for check in fleet["credit_risk"].results["performance", 1].checks}
    assert f"roc_auc ✓ PASS {checks['roc_auc'].observed:.4g}" in said
    assert page.text.count("<svg") == page.text.count("The numbers") == 4


def test_a_story_without_a_version_is_of_what_serves(board: TestClient) -> None:
    assert "version 2 ✓ may serve" in text(board.get("/story", params={"model": "fleet_credit_risk"}))
    said = text(board.get("/story", params={"model": "fleet_card_limits"}))
    assert "ticket RISK-12 · risk owner head of retail · asked for by rita" in said


def test_verify_now_says_what_the_command_line_says(fleet: Fleet, board: TestClient) -> None:
    ours = {"origin": "http://testserver"}
    good = board.post("/verify", params={"model": "fleet_credit_risk"}, headers=ours)
    member = fleet["credit_risk"]
    digest = member.registry.subject(member.registry.resolve("models:/fleet_credit_risk/2")).digest
    assert f"hashes to sha256:{digest}" in text(good)
    assert "✓ may serve" in text(good)
    bad = board.post("/verify", params={"model": "fleet_fraud_detection"}, headers=ours)
    assert "✕ may not serve" in text(bad)
    assert "gate.failed_since" in text(bad)


@pytest.mark.parametrize(
    "headers", [{}, {"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site", "origin": "http://testserver"}]
)
def test_no_other_page_can_ask_for_a_verification(board: TestClient, headers: dict[str, str]) -> None:
    assert board.post("/verify", params={"model": "fleet_credit_risk"}, headers=headers).status_code == 403
    assert board.get("/verify", params={"model": "fleet_credit_risk"}).status_code == 405


def test_a_pack_from_the_board_verifies_offline(
    board: TestClient, fleet: Fleet, run: Callable[..., Any], tmp_path: Path
) -> None:
    answer = board.get("/pack", params={"model": "fleet_credit_risk"})
    assert answer.headers["content-disposition"] == 'attachment; filename="fleet_credit_risk-2.zip"'
    (tmp_path / "evidence.zip").write_bytes(answer.content)
    code, out, _ = run("verify", "--pack", tmp_path / "evidence.zip", "--trust", fleet.folder / "trust.json")
    assert (code, "may serve, because" in out) == (0, True)


def test_a_report_from_the_board_is_about_the_version_that_its_page_shows(board: TestClient) -> None:
    assert "Download report" in board.get("/story", params={"model": "fleet_credit_risk"}).text
    asked = {"model": "fleet_credit_risk", "version": "3", "framework": "iso-42001", "format": "json"}
    answer = board.get("/report", params=asked)
    assert answer.headers["content-disposition"] == 'attachment; filename="fleet_credit_risk-3-iso-42001.json"'
    assert answer.headers["content-type"] == "application/json"
    said = answer.json()
    assert (said["model"]["version"], said["role"]) == ("3", "candidate")
    assert {one["code"] for one in said["reasons"]} == {"approval.missing"}
    assert board.get("/report", params={**asked, "format": "html"}).text.startswith("<!doctype html>")
    assert board.get("/report", params={**asked, "framework": "iso-42002"}).status_code == 404
    assert board.get("/report", params={**asked, "framework": "../../etc/passwd.yaml"}).status_code == 404


def test_the_fleets_report_holds_what_the_board_shows_to_whoever_asks(
    board: TestClient, board_for: Callable[[Reader], TestClient]
) -> None:
    assert 'aria-label="Fleet report"' in board.get("/board").text
    answer = board.get("/fleet", params={"format": "json"})
    assert answer.headers["content-disposition"] == 'attachment; filename="fleet.json"'
    said = {(one["model"], one["version"]): one["state"] for one in answer.json()["models"]}
    assert set(said) == set(rows(board.get("/board")))
    page = board.get("/fleet", params={"format": "html"}).text
    assert "<h1>Every governed model</h1>" in page
    ann = board_for(Reader("ann", dags=frozenset({"fleet_churn_retraining"})))
    assert {one["model"] for one in ann.get("/fleet", params={"format": "json"}).json()["models"]} == {"fleet_churn"}
    page = ann.get("/fleet", params={"format": "html"}).text
    assert "The governed models that you may read" in page
    assert not re.search(r"fleet_(?!churn)", page)
    assert board_for(Reader("vic")).get("/fleet", params={"format": "json"}).status_code == 403
    assert board.get("/fleet", params={"format": "oscal"}).status_code == 404


def test_what_was_missed_comes_first(board: TestClient) -> None:
    said = text(board.get("/waivers"))
    assert said.index("! overdue 2 days over fleet_collections") < said.index("… owed 13 days left fleet_card_limits")
    assert "waiver of demographic_parity_ratio[sex] of fairness a small product, and it ends in December" in said


def test_the_audit_log_is_filtered(board: TestClient) -> None:
    def kinds(**query: str) -> set[str]:
        found = board.get("/audit.json", params=query).json()["entries"]
        return {f"{item['kind']} {item['model']} {item['person']}".strip() for item in found}

    assert kinds(person="omar", kind="approval") == {"approval fleet_credit_risk omar"}
    assert kinds(model="fleet_churn", kind="decision") == {"decision fleet_churn"}
    assert "gate" in kinds(model="fleet_churn"), "also what is about its data"
    assert kinds(since="2999-01-01") == set()
    assert kinds(until="2000-01-01") == set()
    assert "production ✕ denied" in text(board.get("/audit", params={"model": "fleet_churn"}))


def test_an_export_says_how_the_chain_and_each_signature_stand(board: TestClient, fleet: Fleet) -> None:
    said = board.get("/audit.json").json()
    head = open_ledger(fleet.ledger_url).verify()
    assert (said["chain"]["head"], said["chain"]["verified_to"]) == (head.head, head.size)
    assert {item["signature"] for item in said["entries"]} == {"verifies"}
    table = list(csv.DictReader(io.StringIO(board.get("/audit.csv").text)))
    assert [row["seq"] for row in table] == [str(number) for number in range(head.size, 0, -1)]


def test_the_policy_page_says_what_was_stopped(board: TestClient) -> None:
    said = text(board.get("/policy"))
    assert "it has stopped 1 decision that you may read" in said
    assert "The newest result of a required gate is not PASS gate.not_passed" in said
    assert "demographic_parity_ratio ≥ 0.8 and ≤ 1.25" in said
    assert "2 approvals from olga, omar not the trainer, not the requester" in said


def test_an_entry_is_shown_as_it_was_signed(board: TestClient) -> None:
    said = text(board.get("/entry", params={"seq": "1"}))
    assert '"_type": "https://in-toto.io/Statement/v1"' in said
    assert "✓ signature verifies" in said


def test_a_run_shows_its_gates(board: TestClient) -> None:
    dag = "fleet_churn_retraining"
    said = text(board.get("/run", params={"dag_id": dag}))
    assert "performance ✕ FAIL" in said
    assert "fleet_churn version 1" in said


def test_what_is_written_later_appears(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ledger.db", "trust.json", "mlgov.yaml", "suite.json"):
        copy(fleet.folder / name, tmp_path / name)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    source = Source(lambda: open_ledger(url, create=False), tmp_path / "trust.json", tmp_path / "mlgov.yaml")
    client, member = TestClient(make_board(source, Door(_all))), fleet["churn"]
    monkeypatch.setattr(keeper, "_AT_ONCE", 60.0)
    assert "candidate, blocked" in rows(client.get("/board"))["fleet_churn", "1"]
    later = open_ledger(url)
    version = member.registry.resolve("models:/fleet_churn/1")
    result = replace(member.results["performance", 1], subject=member.registry.subject(version))
    later.attest(GateStatement.of(result, member.context()), member.signer("performance"))
    monkeypatch.setattr(keeper, "_LOOKS_AGAIN", 0.0)
    assert "may be promoted" in rows(client.get("/board"))["fleet_churn", "1"]


def test_what_was_set_by_hand_is_told_in_the_run_and_in_the_story(fleet: Fleet, tmp_path: Path) -> None:
    for name in ("ledger.db", "trust.json", "mlgov.yaml", "suite.json"):
        copy(fleet.folder / name, tmp_path / name)
    member, later = fleet["churn"], open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    judged = verify_entry(later.entries(kind="gate", model="fleet_churn")[-1], TrustRoot.load(tmp_path / "trust.json"))
    run = {**judged.statement.context.run, "task_id": "by_hand"}
    context, who = replace(member.context(), run=run), (Person("alice", "alice"),)
    said = ObservationStatement.of(context, "task.marked", "success", "FairnessGateOperator", who, datetime.now(UTC))
    noted = later.attest(said, member.signer("observation"))
    source = Source(lambda: later, tmp_path / "trust.json", tmp_path / "mlgov.yaml")
    client = TestClient(make_board(source, Door(_all)))
    shown = text(client.get("/run", params={"dag_id": run["dag_id"], "run_id": run["run_id"]}))
    sentence = f"{run['dag_id']}.by_hand (run {run['run_id']}) was set to success by hand, by alice at"
    assert sentence in shown
    assert f"entry {noted.seq}" in shown
    story = client.get("/story", params={"model": "fleet_churn", "version": judged.subject.version})
    assert sentence in text(story)


async def _all(_: Any) -> Reader:
    return EVERYTHING


def test_nothing_of_a_ledger_that_does_not_hold_is_shown(fleet: Fleet, tmp_path: Path) -> None:
    for name in ("ledger.db", "trust.json", "mlgov.yaml", "suite.json"):
        copy(fleet.folder / name, tmp_path / name)
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        database.execute("DROP TRIGGER mlgov_ledger_no_update")
        database.execute("UPDATE mlgov_ledger SET subject_name = 'models:/other/1' WHERE seq = 5")
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    source = Source(lambda: open_ledger(url, create=False), tmp_path / "trust.json", tmp_path / "mlgov.yaml")
    page = TestClient(make_board(source, Door(_all))).get("/board")
    assert page.status_code == 500
    assert "the ledger does not hold: ledger entry 5 was changed after it was written" in page.text
    assert "fleet_" not in page.text


def test_every_page_keeps_scripts_frames_and_caches_out(board: TestClient) -> None:
    for route in (*(item for item in ROUTES if item != "/verify"), "/board.css", "/board.js", "/card.js"):
        answer = board.get(route, params={"model": "fleet_churn", "seq": "1", "dag_id": "x"})
        allowed = answer.headers["content-security-policy"]
        assert "default-src 'none'" in allowed
        assert "unsafe" not in allowed
        assert "http" not in allowed
        assert answer.headers["x-frame-options"] == "SAMEORIGIN"
        assert not re.search(r"<script>|<script [^>]*>[^<]|\son\w+=|style=|(src|href)=.(https?:)?//", answer.text)


# -- who may read what ------------------------------------------------------------------------------------------------


def test_rows_are_those_of_the_dags_that_one_may_read(board_for: Callable[[Reader], TestClient]) -> None:
    client = board_for(Reader("ann", dags=frozenset({"fleet_churn_retraining"})))
    assert {name for name, _ in rows(client.get("/board"))} == {"fleet_churn"}
    found = client.get("/audit.json").json()["entries"]
    assert {item["model"] or item["name"] for item in found} == {
        "fleet_churn",
        "s3://applications/fleet_churn/5.parquet",
    }
    for page in ("/board", "/waivers", "/audit", "/policy", "/card.json", "/audit.csv"):
        said = client.get(page).text
        assert not any(f"fleet_{name}" in said for name in MEMBERS if name != "churn"), page


@pytest.mark.parametrize("route", NAMED)
@pytest.mark.parametrize("model", ["fleet_credit_risk", "there_is_none", ""])
def test_a_foreign_model_is_refused_like_one_that_is_not_there(
    board_for: Callable[[Reader], TestClient], route: str, model: str
) -> None:
    client = board_for(Reader("ann", dags=frozenset({"fleet_churn_retraining"})))
    ask = client.post if route == "/verify" else client.get
    answer = ask(route, params={"model": model}, headers={"origin": "http://testserver"})
    assert answer.status_code == 403
    assert "fleet_credit" not in answer.text


def test_a_foreign_entry_and_a_foreign_run_are_refused(board_for: Callable[[Reader], TestClient]) -> None:
    client = board_for(Reader("ann", dags=frozenset({"fleet_churn_retraining"})))
    assert client.get("/entry", params={"seq": "1"}).status_code == 403
    assert client.get("/entry", params={"seq": "999999"}).status_code == 403
    assert client.get("/run", params={"dag_id": "fleet_credit_risk_retraining"}).status_code == 403
    assert client.get("/pack", params={"model": "fleet_churn"}).status_code == 403, "a pack names the whole chain"


def test_owners_and_approvers_always_read_theirs(board_for: Callable[[Reader], TestClient]) -> None:
    assert {name for name, _ in rows(board_for(Reader("retail@bank.example")).get("/board"))} == {
        "fleet_credit_risk",
        "fleet_card_limits",
    }
    assert len(rows(board_for(Reader("olga")).get("/board"))) == 7, "she may sign waivers of all"
    nobody = board_for(Reader("vic"))
    assert "There is no model that you may read" in nobody.get("/board").text
    assert nobody.get("/card.json").json()["models"] == []


def test_what_does_not_verify_makes_no_model_anybodys(fleet: Fleet, tmp_path: Path) -> None:
    for name in ("ledger.db", "trust.json", "mlgov.yaml", "suite.json"):
        copy(fleet.folder / name, tmp_path / name)
    url, member = f"sqlite:///{tmp_path / 'ledger.db'}", fleet["churn"]
    subject = member.registry.subject(member.registry.resolve("models:/fleet_churn/1"))
    forged = GateStatement.of(
        replace(member.results["fairness", 1], subject=subject), member.context(run={"dag_id": "anns_own"})
    )
    open_ledger(url).append(sign_statement(forged, open_signer(f"local:{tmp_path / 'stranger.pem'}", make_key=True)))
    source = Source(lambda: open_ledger(url, create=False), tmp_path / "trust.json", tmp_path / "mlgov.yaml")

    async def ann(_: Any) -> Reader:
        return Reader("ann", dags=frozenset({"anns_own"}))

    client = TestClient(make_board(source, Door(ann)))
    while 'http-equiv="refresh"' in client.get("/board").text:
        pass
    for page in ("/board", "/audit", "/waivers", "/run?dag_id=anns_own"):
        assert "churn" not in client.get(page).text, page


@pytest.mark.parametrize("route", ROUTES)
def test_whoever_is_not_signed_in_sees_nothing(fleet: Fleet, route: str) -> None:
    async def nobody(_: Any) -> Reader:
        raise NotShown(401, "sign in to Airflow first")

    client = TestClient(make_board(fleet.source, Door(nobody)))
    ask = client.post if route == "/verify" else client.get
    answer = ask(route, params={"model": "fleet_churn", "seq": "1"})
    assert answer.status_code == 401
    assert "churn" not in answer.text


def test_a_server_of_this_machine_answers_under_its_own_name(fleet: Fleet) -> None:
    client = TestClient(make_board(fleet.source, Door(_all, hosts=("127.0.0.1", "localhost", "[::1]"))))
    assert client.get("/board").status_code == 421, "a name that leads here from outside"
    for host in ("127.0.0.1:8480", "localhost", "[::1]:8480"):
        assert client.get("/board", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "date", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", 1e20, float("inf"), float("nan"), "x"]
)
def test_a_date_that_there_is_not_in_utc_ends_no_page(date: object) -> None:
    assert (moment(date), ago(date), until(date), fresh(date)) == ("unknown", "never", "", "")


@pytest.mark.parametrize("page", ["audit", "audit.csv", "audit.json"])
def test_a_filter_by_the_last_day_that_there_is_ends_no_page(board: TestClient, page: str) -> None:
    for name in ("since", "until"):
        assert board.get(f"/{page}", params={name: "9999-12-31T23:59:59-12:00"}).status_code == 200
