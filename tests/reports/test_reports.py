"""Reports about real models on a real ledger: every control, gaps first, the board's verdict and no other."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_mlgov.board.judging import Bench
from airflow_mlgov.board.keeper import Keeper
from airflow_mlgov.board.readers import EVERYTHING
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.statements import GateStatement
from airflow_mlgov.reports import fleet as fleets
from airflow_mlgov.reports.document import Report, make_report
from airflow_mlgov.reports.frameworks import framework, frameworks
from airflow_mlgov.reports.html import render_html
from airflow_mlgov.reports.markdown import render_markdown
from airflow_mlgov.reports.matter import find
from airflow_mlgov.reports.page import page_of
from airflow_mlgov.reports.speaking import State
from airflow_mlgov.results import Check, GateResult, Outcome
from tests.codes import raises_code
from tests.worlds.fleet import Fleet
from tests.worlds.governed import Governed
from tests.worlds.hostile import HOSTILE, same_shape

pytestmark = pytest.mark.xdist_group("board")

Reporting = Callable[..., Report]


class _Cells(HTMLParser):
    """The first paragraph of each row's head."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._at = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._at = "th" if tag == "th" and ("scope", "row") in attrs else "p" if tag == "p" and self._at == "th" else ""

    def handle_data(self, data: str) -> None:
        if self._at == "p":
            self.found.append(data)
            self._at = ""


def controls_in(page: str) -> set[str]:
    parser = _Cells()
    parser.feed(page)
    return set(parser.found)


def states(report: Report) -> dict[str, State]:
    return {line.control.id: line.state for line in report.lines}


def sentences(report: Report, control: str) -> str:
    line = next(line for line in report.lines if line.control.id == control)
    return " ".join(finding.sentence for finding in line.findings)


@pytest.mark.parametrize("of", frameworks())
@pytest.mark.parametrize("name", ["credit_risk", "fraud_detection"])
def test_no_control_is_left_out_of_any_format(report: Reporting, name: str, of: str) -> None:
    made = report(name, of)
    wanted = [control.id for control in framework(of).controls]
    said = json.loads(json.dumps(made.as_dict(), allow_nan=False))
    assert [one["id"] for section in said["sections"] for one in section["controls"]] == wanted
    assert set(wanted) <= controls_in(render_html(page_of(made)))
    text = render_markdown(page_of(made))
    assert all(f"| {control}<br>" in text or f"`{control}`<br>" in text for control in wanted)


@pytest.mark.parametrize("of", frameworks())
def test_no_report_says_that_a_control_is_met(report: Reporting, of: str) -> None:
    text = render_html(page_of(report("credit_risk", of)))
    assert not re.search(r"complian|conform(s|ant|ity is)|fulfil|satisf", text, re.IGNORECASE)
    assert "for people to say" in text


def test_what_is_fresh_names_its_day_and_its_entry(report: Reporting) -> None:
    made = report("credit_risk")
    assert states(made)["15(1)"] is State.PART  # the gate of scores by example was not asked for
    assert re.search(
        r"present and fresh until \d{4}-\d\d-\d\d: gate performance: PASS under the policy in force.*\[ledger:\d+@",
        sentences(made, "15(1)"),
    )
    assert states(made)["9(8)"] is State.FRESH
    assert states(made)["10(3)"] is State.PART
    assert "approved by olga" in sentences(made, "14")


def test_what_is_missing_says_so_and_whether_the_policy_asks_for_it(report: Reporting) -> None:
    made = report("card_limits")
    assert states(made)["14"] is State.MISSING
    assert "nobody has answered for the target 'production'" in sentences(made, "14")
    assert "the policy does not require it" in sentences(report("credit_risk"), "15(1)")
    assert "no audit after deployment yet; one is owed until" in sentences(made, "26(5)")


def test_what_is_waived_is_never_called_passed(report: Reporting) -> None:
    made = report("card_limits", "nist-ai-rmf")
    assert states(made)["MEASURE 2.11"] is State.WAIVED
    said = sentences(made, "MEASURE 2.11")
    assert re.search(r"waived until \d{4}-\d\d-\d\d: gate fairness: FAIL.*waived, not passed.*RISK-12", said)
    assert "olga, omar" in said
    assert next(line for line in made.lines if line.control.id == "MEASURE 2.11") in made.gaps


def test_what_fails_speaks_against_and_comes_first(report: Reporting) -> None:
    made = report("fraud_detection", "nist-ai-rmf")
    assert states(made)["MEASURE 2.11"] is State.AGAINST
    assert made.gaps[0].control.id == "MEASURE 2.11"
    assert made.verdict == "under the policy in force it may not serve"
    assert "gate.failed_since" in render_markdown(page_of(made))


def test_an_open_incident_speaks_against(report: Reporting) -> None:
    made = report("mortgage_pricing")
    assert states(made)["73"] is State.PART or states(made)["73"] is State.AGAINST
    assert "alias.moved" in sentences(made, "73")


def test_what_gets_too_old_is_stale(bench: Bench, fleet: Fleet) -> None:
    later = replace(bench, now=bench.now + timedelta(days=30))
    made = make_report(framework("nist-ai-rmf"), find(later, fleet["credit_risk"].model))
    assert states(made)["MEASURE 2.5"] is State.STALE
    assert "stale since" in sentences(made, "MEASURE 2.5")


def test_a_control_that_does_not_apply_yet_says_from_when(report: Reporting) -> None:
    made = report("credit_risk", "ccpa")
    line = next(line for line in made.lines if line.control.id == "7221")
    assert line.applies is (made.made_at.date() >= line.control.applies_from)
    assert line.control.applies_from.isoformat() == "2027-01-01"


@pytest.mark.parametrize(
    "name", ["credit_risk", "card_limits", "fraud_detection", "mortgage_pricing", "collections", "churn"]
)
def test_the_verdict_is_that_of_the_board_and_of_mlgov_verify(report: Reporting, fleet: Fleet, name: str) -> None:
    made, member = report(name), fleet[name]
    said = {(one["code"], one["message"]) for one in made.as_dict()["reasons"]}
    assert said == set(made.matter.standing.reasons)
    if made.matter.standing.role == "serves":
        version = member.registry.resolve({"name": member.model, "version": made.matter.model.version})
        answer = member.explain(version, policy=made.matter.bench.policy)
        assert (answer.allowed, set(answer.reasons)) == (
            made.matter.standing.allowed,
            set(made.matter.standing.reasons),
        )


def test_what_serves_is_meant_if_no_version_is_named(report: Reporting) -> None:
    assert report("credit_risk").matter.model.version == "2"
    assert report("credit_risk", version="3").matter.standing.role == "candidate"
    with raises_code(ConfigurationError, "report.no_evidence", match="it does about 1, 2, 3"):
        report("credit_risk", version="9")


def test_a_rule_that_was_asked_and_found_nothing_is_fresh_and_one_that_found_something_is_not(
    governed: Governed,
) -> None:
    from datetime import UTC, datetime

    from airflow_mlgov.governance.policy import load_policy

    version = governed.candidate()
    governed.promote(version)

    def asked(outcome: Outcome) -> State:
        check = Check("mlgov.model/use.missing", outcome, values={"code": "use.missing", "pack": "mlgov.model"})
        result = GateResult("policy", governed.registry.subject(version), (check,))
        governed.attest("policy", GateStatement.of(result, governed.context()))
        bench = Bench(governed.ledger.walk(), governed.trust, load_policy(governed.policy_file), datetime.now(UTC))
        return states(make_report(framework("eu-ai-act"), find(bench, governed.model)))["13(3)(b)"]

    assert asked(Outcome.PASS) is State.FRESH
    assert asked(Outcome.FAIL) is State.AGAINST


# -- what others have written -----------------------------------------------------------------------------------------


def test_words_of_the_organisation_are_text_and_said_to_be_its_own(report: Reporting) -> None:
    made = report("credit_risk", "annex-iv", words={"1(e)": "two racks in Frankfurt"}, sha256="a" * 64)
    assert states(made)["1(e)"] is State.SAID
    assert "two racks in Frankfurt" in render_html(page_of(made))
    with raises_code(ConfigurationError, "report.words", match=re.escape("1(e)")):
        report("credit_risk", "annex-iv", words={"1e": "?"})


def test_hostile_words_are_text_in_every_format(report: Reporting) -> None:
    def made(words: str) -> Report:
        return report("credit_risk", "annex-iv", words={"1(e)": words})

    same_shape(lambda words: render_html(page_of(made(words))), html=True)
    same_shape(lambda words: render_markdown(page_of(made(words))), markdown=True)


def test_a_hostile_framework_is_text_too(bench: Bench, fleet: Fleet, tmp_path: Path) -> None:
    def page(words: str) -> str:
        file = tmp_path / "acme.yaml"
        control = {"id": "R1", "says": words, "people": words, "evidence": ["statement:approval"]}
        said = {
            "form": "mlgov/framework/1", "framework": "acme", "title": words, "version": "1", "source": words,
            "note": words, "applies_from": "2026-01-01", "sections": [{"title": words, "controls": [control]}],
        }  # fmt: skip
        file.write_text(yaml.safe_dump(said))
        return render_html(page_of(make_report(framework(str(file)), find(bench, fleet["credit_risk"].model))))

    same_shape(page, html=True)
    assert "<script" not in page(HOSTILE)


# -- the fleet --------------------------------------------------------------------------------------------------------


def test_the_fleet_counts_what_the_board_counts(bench: Bench, fleet: Fleet) -> None:
    keeper = Keeper(fleet.source)
    while not keeper.look().complete or keeper.progress.unjudged:
        pass
    found = fleets.standings(bench)
    assert fleets.said(bench, found)["counts"] == keeper.rows.summary(EVERYTHING)
    page = render_html(fleets.page_of_fleet(bench, found))
    for member in fleet.members.values():
        assert member.model in page
    assert "alias.moved" in page
    assert "RISK-12" not in page  # a ticket is the waiver's; what was excepted, until when and by whom is here
    assert "a small product, and it ends in December" in page
