"""MLflow edited by hand: alias, stage and tags belong to whoever has EDIT, and say nothing about what may serve."""

from typing import Any

import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.statements import GateStatement, ProvenanceStatement
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.promotion import promote
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity, Subject
from tests.codes import raises_code, refuses
from tests.worlds.governed import PASSED, Governed


def incidents(governed: Governed, **given: Any) -> dict[str, str]:
    """Code -> what was done about it."""
    return {item.code: item.action for item in governed.reconcile(**given).open}


def unfit(governed: Governed, version: ModelVersion, **given: Any) -> set[str]:
    answer = governed.explain(governed.now(version), **given)
    assert not answer.allowed
    return {code for code, _ in answer.reasons}


def put_by_hand(governed: Governed, version: ModelVersion) -> None:
    """What the buttons in MLflow's UI do."""
    governed.registry.set_alias(version, "champion")
    governed.registry.transition_stage(version, "Production", archive_existing=True)


def test_an_unjudged_version_put_into_production(governed: Governed) -> None:
    champion = governed.candidate(1.0)
    governed.promote(champion)
    intruder = governed.server.register(governed.model, 2.0)
    put_by_hand(governed, intruder)
    assert unfit(governed, intruder) == {"promotion.missing"}
    assert incidents(governed) == {"alias.moved": "none", "stage.moved": "none"}
    signed = [entry.kind for entry in governed.ledger.entries(model=governed.model)]
    assert signed.count("incident") == 2
    assert set(incidents(governed, revert=True).values()) == {"reverted"}
    assert governed.places() == {champion.version: PASSED, intruder.version: (None, ())}
    assert incidents(governed) == {}
    assert governed.explain(governed.now(champion)).allowed


def test_a_first_version_put_into_production_without_any_promotion(governed: Governed) -> None:
    version = governed.candidate()
    put_by_hand(governed, version)
    assert unfit(governed, version) == {"promotion.missing"}
    assert incidents(governed, revert=True) == {"evidence.missing": "reverted"}
    assert governed.places() == {version.version: (None, ())}


def test_a_version_that_was_promoted_once_put_back(governed: Governed) -> None:
    first, second = governed.candidate(1.0), governed.candidate(2.0)
    governed.promote(first)
    governed.promote(second)
    put_by_hand(governed, first)
    assert unfit(governed, first) == {"promotion.superseded"}
    assert set(incidents(governed, revert=True).values()) == {"reverted"}
    assert governed.places()[second.version] == PASSED
    assert governed.places()[first.version][1] == ()
    assert governed.places()[first.version][0] != "Production"


def test_a_version_that_was_rolled_back_from_put_back(governed: Governed) -> None:
    first, second = governed.candidate(1.0), governed.candidate(2.0)
    governed.promote(first)
    governed.promote(second)
    governed.roll_back()
    put_by_hand(governed, second)
    assert unfit(governed, second) == {"promotion.superseded"}
    with refuses("promotion.withdrawn"):
        governed.promote(second)
    assert set(incidents(governed, revert=True).values()) == {"reverted"}
    assert governed.places()[first.version] == PASSED


def test_forged_tags(governed: Governed) -> None:
    champion = governed.candidate(1.0)
    governed.promote(champion)
    version = governed.server.register(governed.model, 2.0)
    lies = {
        "mlgov.performance": "PASS",
        "mlgov.performance.evidence": governed.ledger.get(2).reference,
        "mlgov.digest": f"sha256:{governed.registry.digest(champion)}",
        "mlgov.promotion": governed.ledger.entries(kind="promotion")[-1].reference,
        "mlgov.status": "promoted to production",
    }
    governed.registry.set_tags(version, lies)
    with refuses("evidence.missing"):
        governed.promote(version)
    governed.registry.set_tags(version, lies)
    assert unfit(governed, version) == {"promotion.missing"}
    seen = governed.reconcile().open
    assert {item.code for item in seen} == {"tags.forged"}
    assert len(seen) == len(lies)
    assert incidents(governed, revert=True) == {"tags.forged": "reverted"}
    assert not set(lies.values()) & set(governed.now(version).tags.values())
    assert governed.places() == {champion.version: PASSED, version.version: (None, ())}


def test_the_alias_on_a_version_that_was_promoted_elsewhere(governed: Governed) -> None:
    """A lesser target asks for less; whoever serves says as what."""
    lesser = "      sandbox:\n        alias: candidate\n        requires: [performance]\n"
    governed.policy_file.write_text(governed.policy_file.read_text() + lesser)
    champion, version = governed.candidate(1.0), governed.candidate(2.0)
    governed.promote(champion)
    promote(governed.desk("promotion"), version, "sandbox")
    governed.registry.set_alias(version, "champion")
    assert unfit(governed, version, target="production") == {"promotion.missing"}
    assert incidents(governed, revert=True) == {"alias.moved": "reverted"}
    assert governed.places()[champion.version] == PASSED


def test_the_alias_on_a_version_of_a_lesser_target_asked_for_by_the_alias_alone(governed: Governed) -> None:
    """Who serves names the alias, and neither a target nor a policy; some databases of MLflow tell no case apart."""
    lesser = "      sandbox:\n        alias: candidate\n        requires: [performance]\n"
    governed.policy_file.write_text(governed.policy_file.read_text() + lesser)
    champion, version = governed.candidate(1.0), governed.candidate(2.0)
    governed.promote(champion)
    promote(governed.desk("promotion"), version, "sandbox")
    champion_place, stage_place = ("alias", "Champion"), ("stage", "Production")
    assert governed.explain(governed.now(champion), place=champion_place).allowed
    governed.registry.set_alias(version, "champion")
    governed.registry.transition_stage(version, "Production", archive_existing=True)
    assert unfit(governed, version, place=champion_place) == {"promotion.missing"}
    assert unfit(governed, version, place=stage_place) == {"promotion.missing"}
    assert governed.explain(governed.now(version), place=("alias", "candidate")).allowed


def test_the_alias_on_a_version_that_was_promoted_in_another_environment_alone(governed: Governed) -> None:
    """Who does not say where it is to serve is asked, as soon as the model was promoted in several."""
    champion, version = governed.candidate(1.0), governed.register(2.0)
    governed.promote(champion)
    governed.environment = "sandbox"
    subject = governed.registry.subject(version)
    data = Subject("dataset", "train.csv", "d" * 64)
    governed.attest(
        "registration", ProvenanceStatement(subject, governed.context(), (data,), ("tom",), {"run_id": "r"})
    )
    governed.judge(version)
    governed.promote(version)
    with raises_code(ConfigurationError, "environment.not_named"):
        governed.explain(governed.now(version))
    assert unfit(governed, version, environment="test") == {"environment.differs"}


# -- hiding the champion from the comparison --------------------------------------------------------------------------


def compared(governed: Governed, version: ModelVersion, auc: float, change: float | None) -> None:
    """The performance gate's evidence with the comparison; None: it was told that there is nobody to compare with."""
    bound, least = Bound(min=0.75), Bound(min=-0.01)
    relative = Check("roc_auc_vs_champion", Outcome.INCONCLUSIVE, None, least, Severity.INFO)
    if change is not None:
        relative = Check("roc_auc_vs_champion", least.judge(change), change, least)
    checks = (Check("roc_auc", bound.judge(auc), auc, bound), relative)
    result = GateResult("performance", governed.registry.subject(version), checks)
    governed.attest("performance", GateStatement.of(result, governed.context()))


@pytest.fixture
def worse(governed: Governed) -> ModelVersion:
    """A version that is worse than the champion, and whose gate was given no champion to compare with."""
    text = governed.policy_file.read_text()
    bound = "roc_auc: {min: 0.75}"
    governed.policy_file.write_text(text.replace(bound, f"{bound}, roc_auc_vs_champion: {{min_change: -0.01}}"))
    champion = governed.register(1.0)
    compared(governed, champion, 0.95, None)
    governed.promote(champion)
    version = governed.register(2.0)
    compared(governed, version, 0.76, None)
    return version


def test_a_comparison_that_was_left_out(governed: Governed, worse: ModelVersion) -> None:
    with refuses("bound.not_met", "roc_auc_vs_champion"):
        governed.promote(worse)
    compared(governed, worse, 0.76, -0.19)
    with refuses("gate.not_passed"):
        governed.promote(worse)
    assert governed.places()["1"] == PASSED


def test_a_comparison_with_the_champion_of_before(governed: Governed, worse: ModelVersion) -> None:
    compared(governed, worse, 0.96, 0.01)
    better = governed.register(3.0)
    compared(governed, better, 0.99, 0.04)
    governed.promote(better)
    with refuses("comparison.stale"):
        governed.promote(worse)
    assert governed.places()[better.version] == PASSED


@pytest.mark.parametrize("trick", ["taken off", "put on the candidate"])
def test_the_champion_hidden_by_moving_its_alias_by_hand(governed: Governed, worse: ModelVersion, trick: str) -> None:
    if trick == "taken off":
        governed.registry.delete_alias(governed.model, "champion")
        governed.registry.transition_stage(governed.registry.resolve(f"{governed.model}/1"), "Archived")
    else:
        governed.registry.set_alias(worse, "champion")
    before = governed.places()
    with refuses("bound.not_met", "roc_auc_vs_champion"):
        governed.promote(worse)
    assert governed.places() == before


def test_the_rollback_blurred_by_moving_the_alias_by_hand_before(governed: Governed) -> None:
    first, second = governed.candidate(1.0), governed.candidate(2.0)
    governed.promote(first)
    governed.promote(second)
    put_by_hand(governed, first)
    governed.roll_back()
    with refuses("promotion.withdrawn"):
        governed.promote(second)
    assert governed.places()[first.version] == PASSED
