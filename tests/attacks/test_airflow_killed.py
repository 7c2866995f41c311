"""Workers of a real Airflow that are killed in the middle of a gate and of a promotion: the next try ends either, and
the model is promoted once."""

from tests.worlds.governed import PASSED
from tests.worlds.live import LiveWorld, attack, ended


@attack
def test_a_worker_that_is_killed_in_a_gate_and_one_in_a_promotion(live: LiveWorld) -> None:
    model, alice = live.model("killed"), live.user("alice")
    version = model.gated(fair=False)
    judged = alice.trigger("killed_in_a_gate", {"model": model.model})
    ended(judged, fairness="success")
    assert judged.tries("fairness") == 2
    verdicts = [item.statement.verdict for item in model.evidence("gate") if item.gate == "fairness"]
    assert verdicts == ["PASS", "PASS"]  # it was killed once the first was stored, and the next try measures again
    model.approve(version)
    moved = alice.trigger("killed_in_a_promotion", {"model": model.model})
    ended(moved, promote="success")
    assert moved.tries("promote") == 2
    assert model.places() == {"1": PASSED}
    assert len(model.evidence("promotion")) == 1
    assert len(model.evidence("intent")) == 1
    assert model.reconcile().open == ()
