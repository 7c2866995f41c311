"""Argo Workflows made with hera: prints file name -> text, as JSON. Run where ``hera`` is installed."""

import json

from hera.workflows import DAG, Container, Parallel, Steps, Workflow
from hera.workflows.models import ContinueOn

GATE = ["mlgov", "gate", "fairness"]


def containers(gate=GATE, args=("--data", "test.parquet")):
    """The gate and what it is for."""
    return (
        Container(name="gate", image="house/mlgov", command=list(gate), args=list(args)),
        Container(name="promote", image="house/mlgov", command=["mlgov", "promote"], args=["models:/credit/7"]),
    )


def dag(name, wire, *, gate=GATE, args=("--data", "test.parquet"), **given):
    """A workflow of a DAG of two tasks."""
    with Workflow(generate_name=f"{name}-", entrypoint="main", **given) as workflow:
        first, last = containers(gate, args)
        with DAG(name="main"):
            wire(first, last)
    return workflow


def guarded(gate, promote):
    gate(name="check") >> promote(name="release")


def beside(gate, promote):
    gate(name="check")
    promote(name="release")


def after_failure(gate, promote):
    gate(name="check").on_failure(promote(name="release"))


def either(gate, promote):
    release = promote(name="release", depends="check.Succeeded || check.Failed")
    gate(name="check")
    return release


def skipped(gate, promote):
    gate(name="check", when="{{workflow.parameters.check}} == yes") >> promote(name="release")


def both_skipped(gate, promote):
    check = gate(name="check", when="{{workflow.parameters.check}} == yes")
    promote(name="release", depends="check.Succeeded")
    return check


def repeated(gate, promote):
    gate(name="check", with_param="{{workflow.parameters.slices}}") >> promote(name="release")


def continued(gate, promote):
    gate(name="check", continue_on=ContinueOn(failed=True))
    promote(name="release", dependencies=["check"])


found = {
    "guarded": dag("guarded", guarded),
    "beside": dag("beside", beside),
    "after_failure": dag("after-failure", after_failure),
    "either": dag("either", either),
    "skipped": dag("skipped", skipped, arguments={"check": "no"}),
    "both_skipped": dag("both-skipped", both_skipped, arguments={"check": "no"}),
    "repeated": dag("repeated", repeated, arguments={"slices": "[]"}),
    "continued": dag("continued", continued),
    "lost": dag("lost", guarded, gate=["sh", "-c"], args=["mlgov gate fairness --data t.parquet || true"]),
}
with Workflow(generate_name="steps-", entrypoint="main") as found["steps"]:
    first, last = containers()
    with Steps(name="main"):
        first(name="check")
        last(name="release")
with Workflow(generate_name="steps-parallel-", entrypoint="main") as found["steps_parallel"]:
    first, last = containers()
    with Steps(name="main"), Parallel():
        first(name="check")
        last(name="release")
with Workflow(generate_name="on-exit-", entrypoint="gate", on_exit="promote") as found["on_exit"]:
    containers()
print(json.dumps({f"argo_{name}.yaml": workflow.to_yaml() for name, workflow in found.items()}))
