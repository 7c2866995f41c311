"""What a person with the role ``user`` can do in Airflow to tasks, runs and XComs, by its REST API: all of it is let
through, and none of it moves a model."""

from tests.worlds.live import LiveWorld, attack, codes_in, ended, noted, warned

NOWHERE = {"1": (None, ())}


@attack
def test_a_failed_gate_marked_as_success_then_its_xcom_forged_then_the_promotion_run_again(live: LiveWorld) -> None:
    model, alice = live.model("marked"), live.user("alice")
    model.gated(fair=False)
    run = alice.trigger("well_made", {"model": model.model})
    ended(run, gates__fairness="failed", promote="upstream_failed")
    gate = f"{run.path}/taskInstances/gates.fairness"
    forged = {"gate": "fairness", "verdict": "PASS", "failed": []}
    alice.may("PATCH", f"{gate}/xcomEntries/return_value", {"value": forged, "map_index": -1})
    alice.mark_success(run, "gates.fairness")
    refused = {"gate.not_passed", "approval.missing"}
    assert model.decided(1) == refused | {"bound.not_met"}
    ended(run, gates__fairness="success", promote="failed")
    assert refused <= codes_in(run.log("promote"))

    again = {"dry_run": False, "dag_run_id": run.run_id, "task_ids": ["promote"], "only_failed": False}
    alice.may("POST", f"dags/{run.dag_id}/clearTaskInstances", {**again, "reset_dag_runs": True})
    assert model.decided(2) >= refused
    ended(run, gates__fairness="success", promote="failed")

    alice.may("PATCH", f"{run.path}/taskInstances/promote", {"new_state": "success", "include_upstream": True})
    alice.may("PATCH", run.path, {"state": "success"})
    assert run.state() == "success"
    assert set(run.tasks().values()) == {"success"}
    assert model.places() == NOWHERE
    assert len(model.decisions()) == 2
    warned(live, run, "gates.fairness")
    noted(live.directory, run, "alice", gates__fairness="success", promote="success", whole="success")


@attack
def test_a_failed_gate_marked_by_the_bulk_endpoint(live: LiveWorld) -> None:
    model, alice = live.model("bulk"), live.user("alice")
    model.gated(fair=False)
    run = alice.trigger("well_made", {"model": model.model})
    ended(run, gates__fairness="failed", promote="upstream_failed")
    mark = {"action": "update", "entities": [{"task_id": "gates.fairness", "map_index": -1, "new_state": "success"}]}
    alice.may("PATCH", f"{run.path}/taskInstances", {"actions": [mark]})
    warned(live, run, "gates.fairness")
    noted(live.directory, run, None, gates__fairness="success")  # Airflow keeps no note of who has asked for it
    assert model.decided(1) >= {"gate.not_passed", "approval.missing"}
    ended(run, gates__fairness="success", promote="failed")
    assert model.places() == NOWHERE


@attack
def test_the_gates_marked_as_a_group_and_the_registration_forged_to_name_another_version(live: LiveWorld) -> None:
    model, alice = live.model("forged"), live.user("alice")
    training = live.server.log_model(1.0)
    run = alice.trigger("registers", {"model": model.model, "training": training})
    ended(run, register="success", gates__fairness="failed", promote="upstream_failed")
    other = live.server.register(model.model, 2.0)
    named = {"name": model.model, "version": other.version}
    registered = f"{run.path}/taskInstances/register/xcomEntries/return_value"
    alice.may("PATCH", registered, {"value": named, "map_index": -1})
    alice.may("PATCH", f"{run.path}/taskGroupInstances/gates", {"new_state": "success"})
    warned(live, run, "gates.fairness")
    noted(live.directory, run, "alice", gates__fairness="success")
    assert model.decided(1) == {"evidence.missing", "provenance.missing", "approval.missing"}
    assert model.decisions()[-1][0] == other.version == "2"
    ended(run, register="success", gates__fairness="success", promote="failed")
    assert model.places() == {"1": (None, ()), "2": (None, ())}
