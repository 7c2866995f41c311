"""DAGs that are wrong on purpose, and runs whose conf was made up: what is demanded comes from the policy, and what is
judged is what the evidence names."""

from tests.worlds.live import LiveWorld, attack, ended

NOWHERE = {"1": (None, ())}


@attack
def test_a_bound_loosened_by_conf_and_a_promotion_that_runs_whatever_happened(live: LiveWorld) -> None:
    model, alice = live.model("loosened"), live.user("alice")
    model.gated(fair=False)
    run = alice.trigger("loosens", {"model": model.model, "min": 0.1})
    ended(run, fairness="failed", promote="failed")
    said = run.log("fairness")
    assert "a DAG may tighten a bound, never loosen it" in said
    assert "0.8 to 1.25" in said
    assert "0.1 to 1.25" in said
    assert model.decisions() == [("1", {"evidence.missing", "approval.missing"})]
    assert model.places() == NOWHERE


@attack
def test_a_gate_that_is_skipped_under_none_failed(live: LiveWorld) -> None:
    model, alice = live.model("skipped"), live.user("alice")
    model.gated(fair=False)
    run = alice.trigger("skips", {"model": model.model})
    ended(run, start="success", fairness="skipped", promote="failed")
    assert model.decisions() == [("1", {"evidence.missing", "approval.missing"})]
    assert model.places() == NOWHERE


@attack
def test_a_dag_without_the_gate(live: LiveWorld) -> None:
    model, alice = live.model("gateless"), live.user("alice")
    model.gated(fair=False)
    run = alice.trigger("gateless", {"model": model.model})
    ended(run, promote="failed")
    assert "no verified evidence of the gate fairness" in run.log("promote")
    assert model.decisions() == [("1", {"evidence.missing", "approval.missing"})]
    assert model.places() == NOWHERE


@attack
def test_a_gate_that_judges_another_model(live: LiveWorld) -> None:
    model, harmless, alice = live.model("another"), live.model("harmless"), live.user("alice")
    model.gated(fair=False)
    harmless.gated(2.0, fair=False)
    run = alice.trigger("judges_another", {"model": model.model, "other": harmless.model})
    ended(run, fairness="success", promote="failed")
    assert [item.statement.verdict for item in harmless.evidence("gate") if item.gate == "fairness"] == ["PASS"]
    assert model.decisions() == [("1", {"evidence.missing", "approval.missing"})]
    assert model.places() == harmless.places() == NOWHERE


@attack
def test_a_conf_that_names_another_version_or_a_model_nobody_governs(live: LiveWorld) -> None:
    model, alice = live.model("conf"), live.user("alice")
    model.approve(model.gated())
    live.server.register(model.model, 2.0)
    stranger = live.server.register("live_stranger", 3.0)
    unjudged = alice.trigger("gateless", {"model": model.model, "version": "2"})
    ungoverned = alice.trigger("gateless", {"model": stranger.name, "version": stranger.version})
    ended(unjudged, promote="failed")
    ended(ungoverned, promote="failed")
    assert model.decisions() == [("2", {"evidence.missing", "provenance.missing", "approval.missing"})]
    assert "does not govern the model 'live_stranger'" in ungoverned.log("promote")
    assert model.places() == {"1": (None, ()), "2": (None, ())}
    assert live.server.registry.aliases(stranger.name) == {}
