"""Approvals that are none, in Airflow's own Required Actions: one's own run, one person twice, what was shown is not
what stands, nobody in time, the wrong person, a green tick instead of an answer."""

from tests.worlds.governed import PASSED
from tests.worlds.live import LiveWorld, attack, codes_in, ended, warned

NOWHERE = {"1": (None, ())}


@attack
def test_approving_ones_own_run(live: LiveWorld) -> None:
    model, olga, omar = live.model("own"), live.user("olga"), live.user("omar")
    model.gated()
    run = olga.trigger("asks", {"model": model.model})
    olga.waits(run)
    olga.answers(run, lambda: len(model.answers()) == 1, reason="it is mine, what could go wrong")
    olga.waits(run)
    assert {"approval.missing", "approval.not_allowed"} <= codes_in(run.log("approve"))
    assert model.places() == NOWHERE
    assert model.decisions() == []
    # what another risk officer says does count: the approval works
    omar.answers(run, lambda: len(model.answers()) == 2)
    ended(run, approve="success", promote="success")
    assert model.answers() == [("olga", "approved"), ("omar", "approved")]
    assert model.places() == {"1": PASSED}


@attack
def test_one_person_twice_then_the_waiting_approval_marked_as_success(live: LiveWorld) -> None:
    model, alice, olga = live.model("twice"), live.user("alice"), live.user("olga")
    model.gated()
    run = alice.trigger("asks", {"model": model.model})
    olga.waits(run)
    for name in ("alice", "admin", "vic"):
        assert live.user(name).answer_approval(run, "approve", approve=True, reason="let me") == 403
    olga.answers(run, lambda: len(model.answers()) == 1)
    olga.waits(run)
    olga.answers(run, lambda: "and not signed again" in run.log("approve"))
    olga.waits(run)
    assert model.answers() == [("olga", "approved")]
    assert "approval.missing: 1 of 2 approvals" in run.log("approve")
    alice.mark_success(run, "approve")
    assert model.decided(1) == {"approval.missing"}
    ended(run, approve="success", promote="failed")
    assert "1 of 2 approvals" in run.log("promote")
    assert model.places() == NOWHERE
    warned(live, run, "approve")


@attack
def test_approving_what_does_not_stand_any_more(live: LiveWorld) -> None:
    model, alice, olga = live.model("stale"), live.user("alice"), live.user("olga")
    version = model.gated()
    run = alice.trigger("asks", {"model": model.model})
    olga.waits(run)
    model.weigh_really(version)
    olga.answers(run, lambda: run.tasks()["approve"] == "failed", reason="as I was shown")
    ended(run, approve="failed", promote="upstream_failed")
    assert "trigger a new run to ask again" in run.log("approve")
    assert model.answers() == []
    assert model.refused(version) == {"approval.missing"}


@attack
def test_an_approval_that_nobody_answers(live: LiveWorld) -> None:
    model, alice = live.model("timed_out"), live.user("alice")
    model.gated()
    run = alice.trigger("asks_shortly", {"model": model.model})
    ended(run, approve="failed", promote="failed")
    assert "a time-out never approves" in run.log("approve")
    assert model.answers() == []
    assert model.decisions() == [("1", {"approval.missing"})]
    assert model.places() == NOWHERE


@attack
def test_a_model_of_tier_high_is_not_approved_where_an_answer_could_be_forged(live: LiveWorld) -> None:
    """Here, as with every LocalExecutor, task code can read the secret that the API server signs log-ins with."""
    model, alice = live.model("forgeable"), live.user("alice")
    model.gated()
    run = alice.trigger("asks_shortly", {"model": model.model})
    ended(run, approve="failed", promote="failed")
    assert "is of tier high, and an answer could be forged here" in run.log("approve")
    assert "worker.forgeable" in run.log("promote"), "nothing is decided about it there either"
    assert model.decisions() == []
    assert model.places() == NOWHERE


@attack
def test_a_viewer_may_do_none_of_it(live: LiveWorld) -> None:
    vic, alice = live.user("vic"), live.user("alice")
    run = alice.trigger("gateless", {"model": "live_nobody"})
    attempts = [
        ("PATCH", f"{run.path}/taskInstances/promote", {"new_state": "success"}),
        ("PATCH", f"{run.path}/taskInstances/promote/-1/hitlDetails", {"chosen_options": ["Approve"]}),
        ("POST", f"{run.path}/taskInstances/promote/xcomEntries", {"key": "return_value", "value": 1}),
        ("POST", f"dags/{run.dag_id}/clearTaskInstances", {"dry_run": False, "dag_run_id": run.run_id}),
        ("POST", f"dags/{run.dag_id}/dagRuns", {"logical_date": None, "conf": {}}),
        ("PATCH", run.path, {"state": "success"}),
    ]
    assert [vic.send(*attempt).status_code for attempt in attempts] == [403] * len(attempts)
    ended(run, promote="failed")
