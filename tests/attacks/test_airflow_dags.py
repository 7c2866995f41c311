"""DAGs that are wrong on purpose, and runs whose conf was made up: what is demanded comes from the policy, and what is
judged is what the evidence names."""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_mlgov.operators.base import GateOperator
from airflow_mlgov.operators.form import FormOperator
from tests.live.waiting import patience
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


@attack
def test_a_conf_that_holds_a_template(live: LiveWorld) -> None:
    """A template field is rendered once: what comes out is text, and no secret comes of it."""
    said, secret = "{{ conn.mlgov_vault_promotion.password }}", live.secrets["the secret id of mlgov_vault_promotion"]
    alice = live.user("alice")
    for run in [alice.trigger(f"renders_{how}", {"said": said}) for how in ("text", "native")]:
        states = run.wait(timeout=patience(600))
        assert set(states.values()) == {"failed"}, states
        for task in states:
            log, fields = run.log(task), alice.look(f"{run.path}/taskInstances/{task}")["rendered_fields"]
            assert said in str(fields), task
            assert secret not in log + str(fields), task
            assert "internal.mistake" not in log, f"{task}: {log}"
    assert not [path for path in (live.directory / "dags").rglob("*") if secret in str(path)]


def shipped() -> list[type[BaseOperator]]:
    """The operators and sensors that the package ships."""
    packages = [import_module(f"airflow_mlgov.{name}") for name in ("operators", "sensors")]
    found = [(package.__name__, item.name) for package in packages for item in iter_modules(package.__path__)]
    names = [f"{package}.{name}" for package, name in found if name[0] != "_"]
    items = [item for name in names for item in vars(import_module(name)).values() if isinstance(item, type)]
    ours = [item for item in items if issubclass(item, BaseOperator) and item.__module__ in names]
    bases = (GateOperator, FormOperator)
    return [item for item in ours if item not in bases and not item.__name__.startswith("_")]


def test_every_template_field_is_in_the_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    """What all gates have alike is there with one of them."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "dags"))
    given: dict[type, set[str]] = {}
    for kind, said in import_module("rendered").TASKS:
        given.setdefault(kind, set()).update(said)
    of_gates = set().union(*(said for kind, said in given.items() if issubclass(kind, GateOperator)))
    for kind in shipped():
        said = given.get(kind, set()) | (of_gates if issubclass(kind, GateOperator) else set())
        assert set(kind.template_fields) - {"settings", "subject", "body"} <= said, kind.__name__
