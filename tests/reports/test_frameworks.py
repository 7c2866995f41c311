"""No control of a framework is left out, and an organisation's own file is read as strictly as the package's."""

from datetime import date
from pathlib import Path

import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.governance.crosswalks import crosswalk
from airflow_mlgov.governance.crosswalks import frameworks as crosswalks
from airflow_mlgov.governance.packs import codes_of, load_pack, shipped
from airflow_mlgov.reports.frameworks import framework, frameworks
from tests.codes import raises_code


def numbered(prefix: str, *counts: int) -> list[str]:
    """``PREFIX 1.1`` and so on: as many of each as is said."""
    return [f"{prefix} {part}.{one}" for part, most in enumerate(counts, 1) for one in range(1, most + 1)]


def annex_a() -> list[str]:
    """ISO/IEC 42001 begins each group with 2."""
    counts = {"2": 3, "3": 2, "4": 5, "5": 4, "6.1": 2, "6.2": 7, "7": 5, "8": 4, "9": 3, "10": 3}
    return [
        f"A.{group}.{number}"
        for group, count in counts.items()
        for number in range(2, count + 2)
    ]  # fmt: skip


def paragraphs(article: int, *numbers: int) -> set[str]:
    return {f"{article}({number})" for number in numbers}


def headings(number: int, last: str) -> list[str]:
    return [f"{number}({chr(code)})" for code in range(ord("a"), ord(last) + 1)]


WHOLE = {
    "iso-42001": annex_a(),
    "nist-ai-rmf": [
        *numbered("GOVERN", 7, 3, 2, 3, 2, 2),
        *numbered("MAP", 6, 3, 5, 2, 2),
        *numbered("MEASURE", 3, 13, 3, 3),
        *numbered("MANAGE", 4, 4, 2, 3),
    ],
    "annex-iv": [*headings(1, "h"), *headings(2, "h"), *"3456789"],
    "model-card": [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "count"), [("iso-42001", 38), ("nist-ai-rmf", 72), ("annex-iv", 23), ("model-card", 9)]
)
def test_every_control_is_there_once_and_in_order(name: str, count: int) -> None:
    ids = [control.id for control in framework(name).controls]
    assert ids == WHOLE[name]
    assert len(ids) == count


def test_the_ai_acts_articles_9_to_15_are_there_by_paragraph() -> None:
    ids = {control.id for control in framework("eu-ai-act").controls}
    wanted = {"9", "11", "12", "14"} | paragraphs(9, *range(2, 11)) | paragraphs(10, *range(1, 7))
    wanted |= paragraphs(11, 2) | paragraphs(12, 2, 3) | paragraphs(13, 1, 2) | paragraphs(14, 2, 3, 4, 5)
    assert wanted | paragraphs(15, 1, 3, 4, 5) | {"13(3)(b)"} <= ids


def test_the_other_laws_have_what_their_reports_are_asked_for() -> None:
    gdpr = {control.id for control in framework("gdpr").controls}
    assert {"22", "22(2)", "22(3)", "22(4)", "35", "35(2)", "35(3)", "35(7)(a)", "35(7)(b)", "35(7)(c)", "35(7)(d)",
            "35(9)", "35(11)"} <= gdpr  # fmt: skip
    ccpa = {control.id for control in framework("ccpa").controls}
    assert {*(str(number) for number in range(7150, 7158)), "7200", "7220", "7221", "7222"} <= ccpa
    assert [section.title for section in framework("sr-11-7").sections] == [
        "Development, implementation and use", "Validation", "Governance, policies and controls",
    ]  # fmt: skip
    assert {"Conceptual soundness", "Ongoing monitoring", "Outcomes analysis"} <= {
        control.id for control in framework("sr-11-7").controls
    }


@pytest.mark.parametrize("name", frameworks())
def test_each_has_a_source_a_day_and_evidence_that_there_is(name: str) -> None:
    found, rules = framework(name), codes_of([load_pack(pack) for pack in shipped()])
    assert found.name == name
    assert found.source
    assert date.fromisoformat(found.version)
    for control in found.controls:
        assert control.evidence or control.people, f"{control.id}: neither a record nor a person speaks to it"
        for token in control.evidence:
            assert not token.startswith("rule:") or token.removeprefix("rule:") in rules, token


@pytest.mark.parametrize("name", crosswalks())
def test_no_control_of_a_crosswalk_is_left_out_and_what_it_says_is_said_there_alone(name: str) -> None:
    reported = {control.id: control for control in framework(name).controls}
    for control in crosswalk(name).controls:
        assert reported[control.id].says == control.says
        assert set(control.evidence) <= set(reported[control.id].evidence)
        assert reported[control.id].applies_from == control.applies_from


OWN = """\
form: mlgov/framework/1
framework: acme
title: "ACME's rules for models"
version: "3"
source: "intranet, page 7"
applies_from: 2026-01-01
sections:
- title: "Rules"
  controls:
  - {id: R1, says: "Somebody approves", evidence: ["statement:approval"]}
  - {id: R2, says: "It is fair", evidence: ["gate:fairness", "rule:acme.rules/no.friday", "gate:sbom"]}
"""


def test_an_organisation_has_one_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "acme.yaml"
    file.write_text(OWN)
    found = framework(str(file))
    assert (found.name, [control.id for control in found.controls]) == ("acme", ["R1", "R2"])


@pytest.mark.parametrize(
    ("before", "after", "code", "said"),
    [
        ("statement:approval", "statement:appproval", "framework.evidence", "did you mean 'approval'"),
        ("gate:fairness", "gate:fairnes", "framework.evidence", "fairness"),
        ("id: R2", "id: R1", "framework.form", "twice"),
        ("2026-01-01", "soon", "framework.form", "2027-12-02"),
        ('says: "It is fair", ', "", "framework.form", "lacks says"),
        ("sections:", "chapters:", "framework.form", "acme.yaml"),
    ],
)
def test_a_mistake_in_it_is_named(tmp_path: Path, before: str, after: str, code: str, said: str) -> None:
    file = tmp_path / "acme.yaml"
    file.write_text(OWN.replace(before, after))
    with raises_code(ConfigurationError, code, match=said):
        framework(str(file))


def test_a_framework_that_there_is_not_is_refused_with_the_one_that_was_meant() -> None:
    with raises_code(ConfigurationError, "framework.unknown", match="iso-42001"):
        framework("iso-42002")
