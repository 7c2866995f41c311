"""One registered version that nobody can look at, and a date without a zone: neither stops nor blinds the rest."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_mlgov.errors import EvidenceError, PromotionRefused
from airflow_mlgov.evidence.signing import sign_statement
from airflow_mlgov.evidence.statements import EmergencyStatement, Person
from airflow_mlgov.evidence.verification import verify_envelope
from airflow_mlgov.governance import replay
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.enforcement import enforce
from airflow_mlgov.release.explanation import replay_all
from airflow_mlgov.release.obligations import list_obligations
from airflow_mlgov.release.reconciliation import reconcile, render_incidents
from tests.codes import raises_code
from tests.worlds.governed import PASSED
from tests.worlds.guarded import KEY_FILES, OPENBAO, Guarded
from tests.worlds.samples import shipped

SOURCES = ["dbfs:/x", "s3://nobody-has-this-bucket/x"]


def promoted(guarded: Guarded, weight: float) -> ModelVersion:
    version = guarded.green(weight)
    guarded.promote(version)
    return version


def hostile(guarded: Guarded, source: str) -> ModelVersion:
    """A version whose files are where nobody can look; anybody with EDIT may register one."""
    with guarded.registry.calling("register") as client:
        made = client.create_model_version(guarded.model, source)
    return guarded.registry.resolve({"name": guarded.model, "version": str(made.version)})


@pytest.mark.parametrize("source", SOURCES)
def test_a_version_that_nobody_can_look_at_hides_nothing(guarded: Guarded, source: str) -> None:
    version = guarded.green()
    guarded.promote(version)
    bad = hostile(guarded, source)
    guarded.registry.set_alias(bad, "champion")
    guarded.registry.set_tags(bad, {"mlgov.fairness": "PASS"})
    guarded.weigh(version, ratio=0.5)
    codes = sorted(item.code for item in guarded.reconcile().open)
    assert codes == ["alias.moved", "evidence.broken", "tags.forged"]
    guarded.weigh(version)
    guarded.reconcile(revert=True)
    assert guarded.places()[version.version] == PASSED
    assert guarded.reconcile().open == ()


def test_a_model_that_nobody_can_look_at_is_an_incident_and_the_others_go_on(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, stranger = guarded.green(), f"aaa_{guarded.model}"
    guarded.registry._create(stranger)
    guarded.promote(version)
    guarded.registry.delete_alias(guarded.model, "champion")
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry

    right = MlflowRegistry.versions

    def blind(self: MlflowRegistry, name: str, *given: Any) -> Any:
        if name == stranger:
            raise RuntimeError("a driver of somebody's store")
        return right(self, name, *given)

    monkeypatch.setattr(MlflowRegistry, "versions", blind)
    result = reconcile(guarded.desk("reconcile"), revert=True, models=[stranger, guarded.model])
    assert [item.code for item in result.open] == ["model.unseen", "alias.moved"]
    assert [item.code for item in result.unsettled] == ["model.unseen"]
    assert guarded.places()[version.version] == PASSED
    assert "could not be looked at" in render_incidents(result)
    again = reconcile(guarded.desk("reconcile"), models=[stranger, guarded.model])
    assert [(item.code, item.new) for item in again.open] == [("model.unseen", False)]
    monkeypatch.undo()
    assert len(reconcile(guarded.desk("reconcile"), models=[stranger, guarded.model]).resolved) == 1


def test_an_earlier_version_that_nobody_can_look_at_stops_no_rollback(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest, older, _ = [promoted(guarded, weight) for weight in (1.0, 2.0, 3.0)]
    from airflow_mlgov.errors import DependencyError
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry

    right = MlflowRegistry.subject

    def away(self: MlflowRegistry, version: ModelVersion) -> Any:
        if version.version == older.version:
            raise DependencyError("the store of this version is down", code="registry.down")
        return right(self, version)

    monkeypatch.setattr(MlflowRegistry, "subject", away)
    guarded.roll_back()
    assert guarded.places()[oldest.version] == PASSED


def test_a_decision_that_cannot_be_made_again_blinds_no_other(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = guarded.gated()
    guarded.refused(version)
    guarded.approve(version)
    guarded.promote(version)
    right, calls = replay.replay, []

    def once(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 1:
            raise KeyError("request")
        return right(*given)

    monkeypatch.setattr(replay, "replay", once)
    first, second = replay_all(guarded.ledger, guarded.trust)
    assert [code for code, _ in first.now] == ["engine.error"]
    assert second.same


# -- dates ------------------------------------------------------------------------------------------------------------

GLASS = "        break_glass: {from: [olga], max_hours: 24, audit_within: 2d}\n"
WITHOUT = ["2030-01-01T00:00:00", "2030-01-01", "2030-01-01T00:00:00+00", "20300101T000000Z", "2030-13-01T00:00:00Z"]


ENDS = [*WITHOUT, "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "soon", ""]


@pytest.mark.parametrize(
    ("guarded", "form", "date"),
    [
        *((KEY_FILES, form, date) for form in (1, 2) for date in ENDS),
        *((OPENBAO, form, WITHOUT[0]) for form in (1, 2)),
    ],
    indirect=["guarded"],
)
def test_an_end_that_names_no_moment_excuses_nothing_and_stops_nobody(guarded: Guarded, date: str, form: int) -> None:
    guarded.policy_file.write_text(guarded.policy_file.read_text() + GLASS)
    version = guarded.gated()
    guarded.weigh(version, ratio=0.5)
    end = datetime.now(UTC) + timedelta(hours=1)
    who = Person("olga", "olga")
    statement = EmergencyStatement(
        guarded.subject(version), guarded.context(), "production", who, "why", end, form=form
    )
    document = json.loads(json.dumps(statement.as_json()))
    document["predicate"]["expires"] = date
    envelope = sign_statement(document, guarded.signer("waiver"))
    if form == 2:
        with raises_code(EvidenceError, "evidence.form"):
            verify_envelope(envelope, guarded.trust)
    guarded.ledger.append(envelope)
    with pytest.raises(PromotionRefused):
        guarded.promote(version)
    assert list_obligations(guarded.ledger.walk(), guarded.trust, datetime.now(UTC)) == []
    assert enforce(guarded.desk("promotion"), warn_within=timedelta(days=1)).violated == ()


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_an_old_date_without_a_zone_says_the_same_everywhere(zone: str) -> None:
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        for name in ("waiver_without_zone", "emergency_without_zone"):
            seen = shipped(1)[name].as_input()
            assert seen.get("terms", seen)["expires_ns"] == 0
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()
