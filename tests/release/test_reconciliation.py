"""The registry changed by hand, on a real MLflow server: each change is one signed incident, and can be put back."""

import uuid
from datetime import timedelta

import pytest

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.release.incidents import UNFINISHED_AFTER
from airflow_mlgov.release.reconciliation import reconcile, render_incidents
from tests.codes import raises_code
from tests.worlds.governed import PASSED, Governed, spoil, statement_of


def codes(governed: Governed, **given: object) -> list[str]:
    return [item.code for item in governed.reconcile(**given).open]  # type: ignore[arg-type]


def test_a_registry_that_agrees_leaves_nothing(governed: Governed) -> None:
    version = governed.candidate()
    assert codes(governed) == []
    governed.promote(version)
    before = len(governed.kinds())
    result = governed.reconcile()
    assert render_incidents(result) == "the registry agrees with the ledger: 1 models"
    assert len(governed.kinds()) == before


def test_an_alias_moved_by_hand_is_noted_once_and_put_back(governed: Governed) -> None:
    first, second = governed.candidate(1.0), governed.candidate(2.0)
    governed.promote(first)
    governed.registry.set_alias(second, "champion")
    (incident,) = governed.reconcile().open
    assert (incident.code, incident.model.version, incident.expected) == ("alias.moved", second.version, "1")
    assert "alias champion is at version 2; by evidence it is version 1" in incident.message
    assert incident.new
    (again,) = governed.reconcile().open
    assert (again.new, again.reference) == (False, incident.reference)
    assert governed.kinds().count("incident") == 1
    assert [code for code, _ in governed.explain(governed.now(second)).reasons] == ["promotion.missing"]

    result = governed.reconcile(revert=True)
    assert [item.action for item in result.open] == ["reverted"]
    assert result.unsettled == ()
    assert governed.places() == {first.version: PASSED, second.version: (None, ())}
    assert codes(governed) == []
    assert governed.kinds().count("incident") == 2


def test_what_is_mended_by_hand_is_resolved(governed: Governed) -> None:
    version = governed.candidate()
    governed.promote(version)
    governed.registry.delete_alias(governed.model, "champion")
    (incident,) = governed.reconcile().open
    assert "alias champion is at nobody" in incident.message
    governed.registry.set_alias(version, "champion")
    result = governed.reconcile()
    assert result.open == ()
    assert len(result.resolved) == 1
    said = statement_of(governed.ledger.entries(kind="incident")[-1].envelope)["predicate"]
    assert (said["code"], said["state"]) == ("alias.moved", "resolved")


def test_a_stage_moved_by_hand_is_put_back(governed: Governed) -> None:
    first, second = governed.candidate(1.0), governed.candidate(2.0)
    governed.promote(first)
    governed.registry.transition_stage(second, "Production", archive_existing=True)
    assert codes(governed) == ["stage.moved"]
    assert [item.action for item in governed.reconcile(revert=True).open] == ["reverted"]
    assert governed.places()[first.version] == PASSED
    assert governed.places()[second.version][0] is None


def test_production_without_evidence_is_cleared(governed: Governed) -> None:
    version = governed.register()
    governed.registry.set_alias(version, "champion")
    governed.registry.transition_stage(version, "Production")
    assert codes(governed) == ["evidence.missing", "evidence.missing"]
    governed.reconcile(revert=True)
    assert governed.places() == {version.version: (None, ())}


def test_an_artifact_changed_in_place_is_found_and_not_reverted(governed: Governed) -> None:
    version = governed.candidate()
    governed.promote(version)
    spoil(governed.artifact(version))
    (incident,) = governed.reconcile(revert=True).open
    assert incident.code == "artifact.changed"
    assert incident.model.digest == incident.expected != incident.observed
    assert incident.action.startswith("not reverted: roll back")
    for path in governed.artifact(version).rglob("*"):
        if path.is_file():
            path.unlink()
    (gone,) = governed.reconcile().open
    assert "cannot be hashed" in gone.message


def test_nothing_is_put_back_that_does_not_hold(governed: Governed) -> None:
    first, second = governed.candidate(1.0), governed.candidate(2.0)
    governed.promote(first)
    governed.registry.set_alias(second, "champion")
    governed.judge(first, auc=0.5)
    result = governed.reconcile(revert=True)
    assert sorted(item.code for item in result.open) == ["alias.moved", "evidence.broken"]
    assert "performance is FAIL since" in next(item.action for item in result.open if item.code == "alias.moved")
    assert governed.places()[second.version][1] == ("champion",)


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("mlgov.fairness", "PASS"),
        ("mlgov.performance", "PASS"),
        ("mlgov.performance.evidence", "ledger:1@000000000000"),
        ("mlgov.status", "promoted to production"),
        ("mlgov.promotion", "ledger:7@aaaaaaaaaaaa"),
        ("mlgov.digest", "sha256:" + "0" * 64),
    ],
)
def test_forged_tags_are_found_and_set_right(governed: Governed, tag: str, value: str) -> None:
    version = governed.register()
    governed.judge(version, auc=0.5)
    governed.registry.set_tags(version, {tag: value, "mlgov.note": "a tag of somebody else's", "team": "x"})
    (incident,) = governed.reconcile().open
    assert incident.code == "tags.forged"
    assert f"tagged {tag}='{value[:20]}" in incident.message
    governed.reconcile(revert=True)
    assert governed.now(version).tags[tag] != value
    assert codes(governed) == []


def test_true_tags_are_left_alone(governed: Governed) -> None:
    version = governed.register()
    entry = governed.judge(version, auc=0.5)
    true = {"mlgov.performance": "FAIL", "mlgov.performance.evidence": entry.reference, "mlgov.status": "registered"}
    governed.registry.set_tags(version, true)
    assert codes(governed) == []


def test_a_promotion_that_nobody_ended_becomes_an_incident(governed: Governed, monkeypatch: pytest.MonkeyPatch) -> None:
    version = governed.candidate()

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(MlflowRegistry, "set_alias", fail)
    with pytest.raises(KeyboardInterrupt):
        governed.promote(version)
    monkeypatch.undo()
    later = governed.context().issued_at + UNFINISHED_AFTER + timedelta(minutes=1)
    assert "promotion.unfinished" not in codes(governed)
    assert "promotion.unfinished" in codes(governed, issued_at=later)
    governed.promote(version)
    assert codes(governed, issued_at=later) == []


def test_a_model_that_the_policy_does_not_know_may_not_sit_in_production(governed: Governed) -> None:
    stranger = f"stranger_{uuid.uuid4().hex[:8]}"
    version = governed.server.register(stranger)
    governed.registry.set_alias(version, "champion")
    result = reconcile(governed.desk("reconcile"), models=[stranger])
    assert [item.code for item in result.open] == ["model.ungoverned"]
    assert result.as_dict()["incidents"][0]["model"] == stranger


def test_a_model_that_nobody_knows_is_no_model_that_agrees(governed: Governed) -> None:
    with raises_code(ConfigurationError, "model.unknown", match=f"did you mean '{governed.model}'"):
        reconcile(governed.desk("reconcile"), models=[governed.model[:-1]])


def test_a_broken_ledger_stops_it(governed: Governed) -> None:
    import sqlite3

    governed.candidate()
    raw = sqlite3.connect(governed.folder / "ledger.db")
    raw.executescript("DROP TRIGGER mlgov_ledger_no_update; UPDATE mlgov_ledger SET recorded_at = '2020' WHERE seq = 1")
    with raises_code(EvidenceError, "ledger.entry_changed", match="entry 1 "):
        governed.reconcile()
