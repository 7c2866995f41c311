"""The examples for CI systems: run with real gates to a real promotion, stopped by whatever is no PASS, and guarded."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from airflow_mlgov.gates.policy.spec import GATE, PolicySettings
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.results import Outcome
from tests.fixtures.mlflow_server import MlflowServer
from tests.gates.environments import interpreter
from tests.worlds.ci import CI, FILES, PATH, POLICY, run, settings, steps_of, write_rows
from tests.worlds.governed import Governed

ASK = ("github", "gitlab", "jenkins", "argo")
"""Systems that can ask somebody between two steps."""


@pytest.fixture
def released(tmp_path: Path, mlflow_server: MlflowServer) -> Governed:
    governed = Governed(tmp_path, mlflow_server)
    governed.policy_file.write_text(POLICY.format(model=governed.model))
    return governed


@pytest.mark.slow
@pytest.mark.parametrize("platform", FILES)
def test_a_version_comes_to_production(platform: str, released: Governed, tmp_path: Path) -> None:
    version = released.register()
    write_rows(tmp_path)
    steps = steps_of(platform, version.uri)
    started, code = run(steps, tmp_path, settings(released), PATH)
    assert (code, started) == (0, [step.name for step in steps])
    assert released.registry.aliases(released.model) == {"champion": version.version}
    kinds = [entry.kind for entry in released.ledger.entries()]
    assert kinds == ["provenance", "gate", "gate", "policy", "decision", "intent", "promotion"]


@pytest.mark.slow
@pytest.mark.parametrize(("count", "bias", "code"), [(1200, 0.3, 1), (8, 0.0, 3), (0, 0.0, 2)])
def test_a_version_that_does_not(released: Governed, tmp_path: Path, count: int, bias: float, code: int) -> None:
    """FAIL, INCONCLUSIVE, and no rows at all."""
    version = released.register()
    write_rows(tmp_path, count, bias)
    started, ended = run(steps_of("gitlab", version.uri), tmp_path, settings(released), PATH)
    assert ended == code
    assert "promote" not in started
    assert released.registry.aliases(released.model) == {}


@pytest.mark.parametrize("code", [1, 2, 3, 137])
@pytest.mark.parametrize("gate", ["performance", "fairness"])
@pytest.mark.parametrize("platform", FILES)
def test_whatever_a_gate_ends_with_but_pass_stops(platform: str, gate: str, code: int, tmp_path: Path) -> None:
    """FAIL, an error, INCONCLUSIVE, a kill: the example's own part, for which only the exit code of `mlgov` matters."""
    program = tmp_path / "mlgov"
    program.write_text(f'#!/bin/sh\n[ "$2" = {gate} ] && exit {code}\nexit 0\n')
    program.chmod(0o755)
    steps = steps_of(platform, "models:/credit_risk/7")
    started, ended = run(steps, tmp_path, {}, f"{tmp_path}:{PATH}")
    assert ended == code
    assert not any(step.asks or "promote" in step.name.lower() for step in steps if step.name in started)


@pytest.mark.parametrize("platform", FILES)
def test_somebody_is_asked_between_the_gates_and_the_promotion(platform: str) -> None:
    steps = steps_of(platform, "models:/credit_risk/7")
    asks = [at for at, step in enumerate(steps) if step.asks]
    if platform not in ASK:
        assert asks == []
        return
    gates = [at for at, step in enumerate(steps) if any("gate" in word for word in step.command)]
    (promotes,) = [at for at, step in enumerate(steps) if any("mlgov promote" in word for word in step.command)
                   or step.command[:2] == ("mlgov", "promote")]  # fmt: skip
    assert len(gates) == 2
    assert max(gates) < asks[0] < promotes


@pytest.mark.parametrize("platform", FILES)
def test_its_gates_guard(platform: str) -> None:
    asked = {"manifest": str(CI / FILES[platform]), "require": ["performance", "fairness"]}
    result = run_gate(GATE, None, PolicySettings.read(asked), ())
    assert result.verdict is Outcome.PASS, result.summary()
    assert [check.values["guards"] for check in result.checks if (check.values or {}).get("role") == "promote"] == [
        ["fairness", "performance"]
    ]


def test_no_branch_of_others_brings_a_policy_and_has_secrets() -> None:
    """Whoever may push a branch may write a policy, a trust root and a pipeline of their own on it."""
    github = yaml.safe_load((CI / FILES["github"]).read_text())
    assert set(github[True]) == {"workflow_dispatch"}  # the word `on`, in YAML
    assert "secrets." not in str(github["env"])
    with_secrets = {name: job for name, job in github["jobs"].items() if "secrets." in str(job)}
    assert {name: job["environment"] for name, job in with_secrets.items()} == {
        "gates": "gates",
        "promote": "production",
    }
    assert github["jobs"]["gates"]["if"] == "github.ref_name == github.event.repository.default_branch"
    assert github["jobs"]["promote"]["needs"] == ["gates"]
    gitlab = yaml.safe_load((CI / FILES["gitlab"]).read_text())
    assert gitlab["workflow"]["rules"] == [{"if": '$CI_COMMIT_REF_PROTECTED == "true"'}]


@pytest.mark.parametrize("platform", FILES)
def test_what_is_said_of_the_model_is_no_part_of_a_shell_s_program(platform: str) -> None:
    said = "models:/m/1; touch owned #$(touch owned)"
    for step in steps_of(platform, said):
        if step.command[:1] in (("bash",), ("sh",), ("/bin/sh",)):
            assert said not in " ".join(step.command)


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.parametrize(("sdk", "made"), [("kfp", "kubeflow/pipeline.yaml"), ("sagemaker", "sagemaker/pipeline.json")])
def test_the_sdk_still_writes_that(sdk: str, made: str, tmp_path: Path) -> None:
    if "MLGOV_SOAK" not in os.environ:
        pytest.skip("installs the SDK, so it is made in `make soak` alone")
    shutil.copy(CI / Path(made).with_name("pipeline.py"), tmp_path)
    nobody = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "eu-west-1"}
    subprocess.run([interpreter(sdk, 600), tmp_path / "pipeline.py"], check=True, env={**os.environ, **nobody})
    assert (tmp_path / Path(made).name).read_text() == (CI / made).read_text()
