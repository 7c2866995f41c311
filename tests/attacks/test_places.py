"""Two targets at one place, a place that MLflow keeps for itself, and a move that ends halfway."""

from typing import Any

import pytest

from airflow_mlgov.errors import AccessError, ConfigurationError, EvidenceError, MlgovError
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.registry.protocol import ModelVersion
from tests.codes import raises_code
from tests.worlds.governed import PASSED
from tests.worlds.guarded import Guarded

CANARY = "      canary: {{{places}, requires: [performance]}}\n"


@pytest.mark.parametrize(
    "places", ["alias: champion", "alias: Champion", "alias: CHAMPION, stage: Staging", "stage: Production, alias: c"]
)
def test_a_lesser_target_at_the_place_of_another(guarded: Guarded, places: str) -> None:
    guarded.policy_file.write_text(guarded.policy_file.read_text() + CANARY.format(places=places))
    with raises_code(ConfigurationError, "policy.place_shared"):
        load_policy(guarded.policy_file)


@pytest.mark.parametrize("alias", ["latest", "Latest", "LATEST", "v1", "V22", "v0", "a" * 256])
def test_an_alias_that_mlflow_keeps_for_itself(guarded: Guarded, alias: str) -> None:
    guarded.change_policy("alias: champion", f"alias: {alias}")
    with raises_code(ConfigurationError, "policy.invalid"):
        load_policy(guarded.policy_file)


@pytest.mark.parametrize("alias", ["v1a", "version1", "v", "latest-good", "challenger"])
def test_other_aliases_are_taken(guarded: Guarded, alias: str) -> None:
    guarded.change_policy("alias: champion", f"alias: {alias}")
    assert load_policy(guarded.policy_file).model(guarded.model).target("production").alias == alias


FINAL: dict[str, MlgovError] = {
    "no right to the alias": AccessError("403", code="registry.refused"),
    "MLflow refuses the alias": ConfigurationError("400", code="registry.invalid"),
    "it reads back as another": EvidenceError("another", code="registry.not_read_back"),
}


@pytest.mark.parametrize("name", FINAL)
def test_what_was_moved_is_put_back_where_the_rest_fails_for_good(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    first = guarded.green(1.0)
    guarded.promote(first)
    second = guarded.green(2.0)
    right, before = MlflowRegistry.set_alias, guarded.places()

    def fail(self: MlflowRegistry, version: ModelVersion, alias: str, **given: Any) -> None:
        if version.version == second.version:
            raise FINAL[name]
        right(self, version, alias, **given)

    monkeypatch.setattr(MlflowRegistry, "set_alias", fail)
    with pytest.raises(type(FINAL[name])):
        guarded.promote(second)
    monkeypatch.undo()
    assert guarded.places() == before
    assert guarded.places()[first.version] == PASSED
    assert guarded.reconcile().open == ()
    guarded.promote(second)
    assert guarded.places()[second.version] == PASSED


@pytest.mark.parametrize("meddling", ["stage emptied", "stage shared", "alias moved"])
def test_what_somebody_moves_by_hand_during_a_promotion_is_found_when_it_is_read_back(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, meddling: str
) -> None:
    """While the alias is set, the stage is changed, or the alias right after: nothing is recorded as promoted."""
    first = guarded.green(1.0)
    guarded.promote(first)
    second = guarded.green(2.0)
    right = MlflowRegistry.set_alias

    def meddle(self: MlflowRegistry, version: ModelVersion, alias: str, **given: Any) -> None:
        right(self, version, alias, **given)
        if meddling == "alias moved":
            right(self, first, alias)
        else:
            moved = first if meddling == "stage shared" else second
            self.transition_stage(moved, "Production" if meddling == "stage shared" else "Staging")

    monkeypatch.setattr(MlflowRegistry, "set_alias", meddle)
    with raises_code(EvidenceError, "registry.not_read_back"):
        guarded.promote(second)
    monkeypatch.undo()
    assert "promotion" not in [item.kind for item in guarded.ledger.walk().entries()][-3:]
    guarded.promote(second)
    assert guarded.places()[second.version] == PASSED
    assert guarded.reconcile().open == ()


def test_a_failure_that_comes_in_between_the_decision_and_the_move(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate fails while the promotion signs its intent; nothing is moved."""
    version = guarded.green()
    before = guarded.places()
    from airflow_mlgov.release.mover import Mover

    right = Mover._announce

    def late(self: Mover, *given: Any) -> Any:
        guarded.weigh(version, ratio=0.5)
        return right(self, *given)

    monkeypatch.setattr(Mover, "_announce", late)
    with pytest.raises(MlgovError) as caught:
        guarded.promote(version)
    assert "gate.not_passed" in str(caught.value)
    assert guarded.places() == before
    monkeypatch.undo()
    assert guarded.reconcile().open == ()
