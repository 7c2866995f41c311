"""Crosswalks name only evidence that there is, and rules name only controls that there are."""

from datetime import date

import pytest

from airflow_mlgov import catalogue
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.statements import CLASSES
from airflow_mlgov.governance.crosswalks import controls, crosswalk, frameworks
from airflow_mlgov.governance.packs import codes_of, load_pack, shipped
from tests.codes import raises_code

PACKS = [load_pack(name) for name in shipped()]


def test_the_frameworks() -> None:
    assert frameworks() == ("ccpa", "eu-ai-act", "gdpr", "iso-42001", "nist-ai-rmf")
    with raises_code(ConfigurationError, "crosswalk.unknown"):
        crosswalk("iso-42002")


@pytest.mark.parametrize("name", frameworks())
def test_every_row_has_a_source_a_day_and_evidence_that_there_is(name: str) -> None:
    known = {f"gate:{gate}" for gate in catalogue.names()} | {f"statement:{one.kind}" for one in CLASSES.values()}
    known |= {f"rule:{code}" for code in codes_of(PACKS)}
    found = crosswalk(name)
    assert found.framework == name
    assert found.source
    assert date.fromisoformat(found.version)
    assert len({one.id for one in found.controls}) == len(found.controls) >= 4
    for control in found.controls:
        assert control.says
        assert control.evidence
        assert set(control.evidence) <= known, control.id


def test_rules_and_crosswalks_agree() -> None:
    known = controls()
    for word, rule in codes_of(PACKS).items():
        assert rule.controls, word
        for control in rule.controls:
            assert control in known, f"{word} speaks to {control}, which no crosswalk has"
            assert f"rule:{word}" in known[control].evidence, f"{control} does not name {word}"
    for name, control in known.items():
        for said in control.evidence:
            if said.startswith("rule:"):
                assert name in codes_of(PACKS)[said.removeprefix("rule:")].controls, f"{said} does not name {name}"


def test_what_was_law_on_a_day() -> None:
    annex = controls()["eu-ai-act:27"]
    assert not annex.applies(date(2026, 11, 30))
    assert annex.applies(date(2027, 12, 2))
    assert controls()["gdpr:35"].applies(date(2026, 11, 30))
