"""What every engine has to say alike: the probes, written down; a sample of them and modules drawn at random against a
real OPA server. ``make conformance`` asks all of it of all engines."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlgov.rego.binary import OpaBinary
from airflow_mlgov.rego.embedded import EmbeddedEngine
from airflow_mlgov.rego.protocol import Bundle, RulesError
from airflow_mlgov.rego.server import OpaServer
from tests.conformance.drawn import DOCUMENT, Module
from tests.conformance.harness import Opa, embedded_says, is_silent, same, shown
from tests.conformance.probes import RULE, Probe, probes

TOPICS = sorted({probe.topic for probe in probes()})
WANTED = [probe for probe in probes() if "want" in probe.said]


def test_there_are_enough_and_each_is_there_once() -> None:
    assert len(probes()) >= 150
    assert len({probe.name for probe in probes()}) == len(probes())
    assert len([probe for probe in probes() if "refused" in probe.said]) > 50


@pytest.mark.parametrize("topic", TOPICS)
def test_the_embedded_engine_says_what_is_written(topic: str) -> None:
    wrong = []
    for probe in probes():
        if probe.topic == topic:
            said = embedded_says(probe.modules, RULE, probe.input)
            if "disagree" in probe.said:
                good = said.kind == "value"
            elif "want" in probe.said:
                good = said.kind == "value" and same(said.value, probe.said["want"])
            else:
                good = said.kind == "refused" if "refused" in probe.said else said.kind not in ("value", "refused")
            wrong += [] if good else [(probe.name, probe.said, said)]
    assert wrong == []


@pytest.mark.parametrize("topic", TOPICS)
def test_opa_says_what_is_written(opa_over_tls: Any, topic: str) -> None:
    opa = Opa(opa_over_tls)
    wanted: list[Probe] = [probe for probe in WANTED if probe.topic == topic]
    sample = Random(15).sample(wanted, min(6, len(wanted)))
    found = [(probe, opa.says(probe.modules, RULE, probe.input)) for probe in sample]
    assert [probe.name for probe, said in found if not same(said.value, probe.said["want"])] == []


def test_every_engine_answers_as_it_is_used(opa_over_tls: Any) -> None:
    embedded = EmbeddedEngine()
    engines = [embedded, OpaServer(opa_over_tls.settings(), embedded), OpaBinary("opa", embedded)]
    for probe in Random(16).sample(WANTED, 3):
        said = [engine.evaluate(Bundle(probe.modules), [RULE], probe.input)[0] for engine in engines]
        assert all(same(value, probe.said["want"]) for value in said), probe.name
    for probe in probes():
        if "disagree" in probe.said:
            with pytest.raises(RulesError) as caught:
                engines[1].evaluate(Bundle(probe.modules), [RULE], probe.input)
            assert caught.value.code == "rego.disagree"
    embedded.close()


@given(st.integers(0, 2**32 - 1))
def test_modules_drawn_at_random_are_answered_alike_or_refused(opa_over_tls: Any, seed: int) -> None:
    module = Module(Random(seed))
    modules, rule = {"a.rego": module.text}, f"data.a.{module.rules[-1]}"
    ours = embedded_says(modules, rule, DOCUMENT)
    if ours.kind == "value":
        theirs = Opa(opa_over_tls).says(modules, rule, DOCUMENT)
        assert not is_silent(ours, theirs), shown([module.text], DOCUMENT, ours, theirs)
