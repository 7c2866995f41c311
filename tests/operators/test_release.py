"""The operators on a real MLflow server: the way to production, and the ways around it that end in a refusal."""

from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.checkpoints import make_checkpoint, write_checkpoint
from airflow_mlgov.evidence.signing import TrustRoot, open_signer
from airflow_mlgov.evidence.statements import Context
from airflow_mlgov.evidence.verification import collect
from airflow_mlgov.operators.approval import ApprovalGateOperator
from airflow_mlgov.operators.data_validation import DataValidationGateOperator
from airflow_mlgov.operators.fairness import FairnessGateOperator
from tests.fixtures.airflow_runner import TaskEnd
from tests.worlds.lineage import drawn
from tests.worlds.release import Release, answer, evidence, form_of, gated, people


def test_the_whole_way(release: Release) -> None:
    gated(release)
    asked = release.ask()
    assert asked.state == "awaiting_input"
    assert "demographic_parity_ratio[sex]" in form_of(asked).body
    assert f"sha256:{release.server.registry.digest(release.version)}" in form_of(asked).body
    assert release.promote().state == "failed"
    approved = release.ask(event=answer(asked))
    assert approved.state == "success", approved.error
    assert approved.xcom["approvals"][0]["by"] == "olga"
    done = release.promote()
    assert done.state == "success", done.error
    assert done.xcom["moved"] == {
        "stage": {"to": "Production", "previous": [], "archived": True},
        "alias": {"to": "champion", "previous": None},
    }
    assert release.version.stage == "Production"
    assert release.version.aliases == ("champion",)
    assert release.version.tags["mlgov.fairness"] == "PASS"
    assert release.version.tags["mlgov.status"] == "promoted to production"
    kinds = [entry.kind for entry in release.ledger.entries()]
    first, second = ["gate", "provenance", "gate", "gate"], ["approval", "decision", "intent", "promotion"]
    assert kinds == [*first, "policy", "decision", *second]
    assert release.ledger.verify()[0] == len(kinds)

    again = release.promote()
    assert again.xcom["moved"] == {}
    assert again.xcom["promotion"] == done.xcom["promotion"]
    assert len(release.ledger.entries(kind="promotion")) == 1


def test_the_version_leads_to_its_story(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    release.validate()
    release.register()
    assert "mlgov.story" not in release.version.tags
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.bank.example/af")
    release.performance()
    where = f"https://airflow.bank.example/af/mlgov/story?model={release.model}&version={release.version.version}"
    assert release.version.tags["mlgov.story"] == where


def test_nothing_is_promoted_from_a_ledger_whose_tail_was_cut(
    release: Release, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gated(release)
    release.ask(event=answer(release.ask()))
    kept = tmp_path / "kept"
    kept.mkdir()
    monkeypatch.setenv("AIRFLOW__MLGOV__CHECKPOINT", str(kept))
    assert "checkpoint.none" in str(release.promote().error)
    database = release.folder / "ledger.db"
    approved = database.read_bytes()
    assert release.fairness(str(release.folder / "biased.parquet")).xcom["verdict"] == "FAIL"
    context = Context("test")
    envelope = make_checkpoint(
        release.ledger, open_signer(f"local:{release.folder / 'checkpoint.pem'}", make_key=True), context
    )
    write_checkpoint(envelope, str(kept / "1.json"))
    database.write_bytes(approved)
    end = release.promote()
    assert end.state == "failed"
    assert "ledger.tail_cut" in str(end.error)
    assert release.version.stage in (None, "None")


def test_a_biased_candidate_is_stopped_and_tagged(release: Release) -> None:
    release.validate()
    release.register()
    end = release.fairness(str(release.folder / "biased.parquet"))
    assert end.state == "failed"
    assert "demographic_parity_ratio[sex]" in str(end.error)
    assert end.xcom["verdict"] == "FAIL"
    assert release.version.tags["mlgov.status"] == "stopped by fairness: FAIL"
    assert "demographic_parity_ratio[sex]" in release.version.tags["mlgov.fairness.failed"]
    assert release.ledger.entries(kind="gate")[-1].seq == end.xcom["evidence"]["seq"]


def test_a_gate_marked_as_success_leaves_no_evidence_and_promotion_says_so(release: Release) -> None:
    """Marking success is skipping the task: nothing ran, so nothing was signed."""
    release.validate()
    release.register()
    release.performance()
    end = release.promote()
    assert end.state == "failed"
    for words in ("evidence.missing: no verified evidence of the gate fairness", "approval.missing"):
        assert words in str(end.error)
    assert release.version.stage in (None, "None")
    assert release.version.tags["mlgov.status"] == "promotion refused"
    asked = release.ask()
    assert asked.state == "failed"
    assert "nothing to approve" in str(asked.error)


def test_recording_lets_the_task_pass_but_not_the_model(release: Release) -> None:
    gated(release)
    end = release.fairness(str(release.folder / "biased.parquet"), on_fail="record")
    assert (end.state, end.xcom["verdict"]) == ("success", "FAIL")
    assert "gate.not_passed" in str(release.promote().error)


def test_forged_tags_change_nothing(release: Release) -> None:
    release.register()
    release.server.registry.set_tags(release.version, {"mlgov.fairness": "PASS", "mlgov.status": "approved"})
    assert "evidence.missing" in str(release.promote().error)


def test_an_artifact_changed_after_its_gates_is_another_model(release: Release) -> None:
    gated(release)
    asked = release.ask()
    assert release.ask(event=answer(asked)).state == "success"
    digest = release.server.registry.digest(release.version)
    (artifact,) = [
        path
        for path in release.server.directory.rglob("MLmodel")
        if release.version.source.rpartition("/")[2] in path.parts
    ]
    artifact.write_text(artifact.read_text() + "\n# one byte more\n")
    assert release.server.registry.digest(release.version) != digest
    end = release.promote()
    assert end.state == "failed"
    assert "provenance.missing" in str(end.error)


def test_data_that_was_not_validated_is_named(release: Release) -> None:
    other = release.write("other.csv", people(seed=2))
    release.validate()
    release.register(datasets=[str(release.folder / "train.csv"), other])
    release.performance()
    release.fairness()
    assert "no verified evidence of the gate data_validation" in str(release.promote().error)


def test_registration_signs_where_the_model_is_served_from(release: Release) -> None:
    assert release.register(images=[f"registry.example/credit@sha256:{'7' * 64}"]).state == "success"
    (made,) = collect(release.ledger.walk(), TrustRoot.load(release.folder / "trust.json"), kind="provenance")[0]
    assert made.statement.place == release.server.registry.place(release.version)
    assert [(item.name, item.digest) for item in made.statement.images] == [("registry.example/credit", "7" * 64)]


def test_broken_rows_stop_the_run_with_the_numbers(release: Release) -> None:
    broken = people(seed=3)
    broken["y"] = broken["y"].astype(float)
    broken.loc[0, "age"], broken.loc[1, "y"] = 300, None
    end = release.validate(release.write("broken.csv", broken))
    assert end.state == "failed"
    assert "expect_column_values_to_be_between" in str(end.error)
    assert "300" not in str(end.error).replace("300 rows", "")


def test_the_edited_ledger_is_found_before_anything_moves(release: Release) -> None:
    import sqlite3

    gated(release)
    raw = sqlite3.connect(release.folder / "ledger.db")
    raw.executescript("DROP TRIGGER mlgov_ledger_no_update")
    raw.execute("UPDATE mlgov_ledger SET recorded_at = '2020' WHERE seq = 2")
    raw.commit()
    with pytest.raises(EvidenceError):
        release.ledger.verify()
    end = release.promote()
    assert end.state == "failed"
    assert "entry 2 was changed" in str(end.error)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"who": None}, "a default never approves"),
        ({"choice": "Reject", "reason": "too few applicants"}, "rejected by olga (ledger:"),
    ],
)
def test_answers_that_end_the_approval(release: Release, change: dict[str, Any], message: str) -> None:
    gated(release)
    asked = release.ask()
    end = release.ask(event=answer(asked, **change))
    assert end.state == "failed"
    assert message in str(end.error)
    if change.get("choice"):
        assert "approval.rejected" in str(release.promote().error)


@pytest.mark.parametrize(
    "change", [{"reason": "  "}, {"who": "alice"}, {"who": "mallory"}, {"who": "mallory", "choice": "Reject"}]
)
def test_answers_that_do_not_count_make_it_ask_again(release: Release, change: dict[str, Any]) -> None:
    gated(release)
    asked = release.ask()
    assert release.ask(event=answer(asked, **change)).state == "awaiting_input"
    assert "approval.missing" in str(release.promote().error)


def test_an_approval_of_stale_content_is_refused(release: Release) -> None:
    gated(release)
    asked = release.ask()
    release.fairness()
    end = release.ask(event=answer(asked))
    assert end.state == "failed"
    assert "Airflow keeps a task's first form" in str(end.error)
    assert release.ledger.entries(kind="approval") == []


def test_a_time_out_never_approves(release: Release) -> None:
    gated(release)
    end = release.ask(event={"error": "timed out", "error_type": "timeout"})
    assert end.state == "failed"
    assert "a time-out never approves" in str(end.error)


def test_the_second_release_must_be_compared_with_the_champion(release: Release) -> None:
    gated(release)
    assert release.ask(event=answer(release.ask())).state == "success"
    assert release.promote().state == "success"
    release.register(0.5)
    release.performance(number="2")
    release.fairness(number="2")
    assert "bound.not_met: roc_auc_vs_champion" in str(release.ask("2").error)
    release.performance(number="2", baseline=str(release.folder / "good.parquet"))
    assert release.ask("2", event=answer(release.ask("2"))).state == "success"
    done = release.promote("2")
    assert done.xcom["moved"]["alias"] == {"to": "champion", "previous": "1"}
    assert {item.version: item.stage for item in release.server.registry.versions(release.model)} == {
        "1": "Archived",
        "2": "Production",
    }


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda r: r.performance(number="9"), "9"),
        (lambda r: r.performance("/nowhere.csv"), "nowhere"),
        (lambda r: r.promote(target="canary"), "unknown target 'canary'"),
        (lambda r: r.performance(bounds={"roc_auc": {"min": 0.5}}), "never loosen"),
        (lambda r: r.performance(bounds={"roc_acu": {"min": 0.9}}), 'Did you mean "roc_auc"'),
        (lambda r: r.fairness(sensitive_features=["race"]), "the governance policy says"),
        (lambda r: r.validate(suite="/nowhere.json"), "nowhere"),
        (lambda r: r.register(run_id="0" * 32), "0000"),
        (lambda r: r.register(datasets=["/nowhere.csv"]), "nowhere"),
        (lambda r: r.register(images=["registry.example/credit:7"]), "a tag may move"),
    ],
)
def test_mistakes_fail_at_once_and_name_the_thing(release: Release, run: Any, message: str) -> None:
    release.register()
    before = release.ledger.verify()
    end = run(release)
    assert end.state == "failed"
    assert type(end.error).__name__ == "AirflowFailException"
    assert message in str(end.error)
    assert release.ledger.verify() == before


def test_mlflow_down_is_retried_and_leaves_nothing(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", '{"conn_type": "mlflow", "host": "http://127.0.0.1:1"}')
    from airflow_mlgov.operators.promotion import PromoteModelOperator

    operator = PromoteModelOperator(task_id="promote", model=release.ref("1"), target="production", retries=1)
    end = release.run(operator, retries=1)
    assert end.state == "up_for_retry", end.error
    assert release.ledger.verify()[0] == 0


def test_impossible_operators_are_refused_when_the_dag_is_read() -> None:
    for make in (
        lambda: DataValidationGateOperator(task_id="x", suite="s"),
        lambda: DataValidationGateOperator(task_id="x", suite="s", data="d", table="t"),
        lambda: DataValidationGateOperator(task_id="x", suite="s", conn_id="c"),
        lambda: DataValidationGateOperator(task_id="x", suite="s", conn_id="c", data="d", table="t"),
        lambda: FairnessGateOperator(task_id="x", model="m", data="d", on_fail="ignore"),
        lambda: ApprovalGateOperator(task_id="x", model="m", target="t", defaults="Approve"),
    ):
        with pytest.raises(ValueError, match=r"give|on_fail|defaults"):
            make()


def test_a_failing_notification_never_changes_the_verdict(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: Any, **__: Any) -> None:
        raise RuntimeError("no template")

    monkeypatch.setattr("airflow_mlgov.notifications.words.render_gate_failed", explode)
    release.register()
    end = release.fairness(str(release.folder / "biased.parquet"))
    assert (end.state, end.xcom["verdict"]) == ("failed", "FAIL")
    assert type(end.error).__name__ == "AirflowFailException"


def test_rollback_and_reconciliation_as_tasks(release: Release) -> None:
    from airflow_mlgov.operators.reconcile import ReconcileRegistryOperator
    from airflow_mlgov.operators.rollback import RollbackModelOperator

    def reconcile(**given: Any) -> TaskEnd:
        return release.run(ReconcileRegistryOperator(task_id="reconcile", models=[release.model], **given))

    def roll_back(**given: Any) -> TaskEnd:
        operator = RollbackModelOperator(
            task_id="back", model=release.model, target="production", reason="why", **given
        )
        return release.run(operator)

    gated(release)
    assert release.ask(event=answer(release.ask())).state == "success"
    assert release.promote().state == "success"
    end = roll_back()
    assert end.state == "failed"
    assert "rollback.missing" in str(end.error)
    release.register(0.5)
    release.performance(number="2", baseline=str(release.folder / "good.parquet"))
    release.fairness(number="2")
    assert release.ask("2", event=answer(release.ask("2"))).state == "success"
    assert release.promote("2").state == "success"
    assert reconcile().xcom["incidents"] == []

    done = roll_back()
    assert done.state == "success", done.error
    assert done.xcom["moved"]["alias"] == {"to": "champion", "previous": "2"}
    back = drawn(done)
    assert (back.inputs, back.outputs) == (
        [release.model],
        [f"{release.model}@champion", f"{release.model}/Production"],
    )
    assert {node.facets["version"].datasetVersion for node in back.told.outputs} == {"1"}
    release.server.registry.set_alias(release.server.registry.resolve(release.ref("2")), "champion")
    end = reconcile()
    assert end.state == "failed"
    assert "alias.moved" in str(end.error)
    assert end.xcom["incidents"][0]["code"] == "alias.moved"
    assert drawn(end).inputs == [release.model]
    assert drawn(end).tests == {"alias.moved": "fail"}
    assert reconcile(fail_on_incident=False).state == "success"
    assert reconcile(revert=True).xcom["incidents"][0]["action"] == "reverted"
    assert release.version.aliases == ("champion",)


def test_the_form_says_how_often_the_data_was_tried(release: Release) -> None:
    gated(release)
    assert "First model to be judged on this evaluation data" in form_of(release.ask()).body
    release.register(0.5)
    release.performance(number="2")
    release.fairness(number="2")
    body = form_of(release.ask("2")).body
    assert "Tries so far: 2 model(s) were judged on this evaluation data (2 results)" in body


def test_a_what_if_is_signed_and_counted_and_makes_no_decision_better(release: Release) -> None:
    release.validate()
    release.register()
    release.fairness()
    end = release.performance(purpose="what_if")
    assert end.state == "success", end.error
    assert evidence(release)["mlgov"]["purpose"] == "what_if"
    assert "mlgov.performance" not in release.version.tags
    assert "evidence.missing" in str(release.promote().error)
    assert release.performance().state == "success"
    end = release.performance(purpose="what_if", bounds={"roc_auc": {"min": 0.9999}}, on_fail="record")
    assert (end.state, end.xcom["verdict"]) == ("success", "FAIL")
    assert release.version.tags["mlgov.performance"] == "PASS"
    asked = release.ask()
    assert asked.state == "awaiting_input", asked.error
    assert release.ask(event=answer(asked)).state == "success"
    end = release.promote()
    assert end.state == "success", end.error
    with pytest.raises(ValueError, match="purpose must be 'gate' or 'what_if'"):
        release.performance(purpose="curiosity")
