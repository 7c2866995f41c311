"""The gates as components of Kubeflow Pipelines: ``python pipeline.py`` writes ``pipeline.yaml``. Needs ``kfp``.

A gate's result is never taken from the cache: `set_caching_options(False)`. Kubeflow asks nobody; let the policy ask,
whose `approvals` the promotion demands, signed (`mlgov approve`).
"""

from pathlib import Path

from kfp import compiler, dsl, kubernetes

IMAGE = "registry.example/mlgov-core:1"
SETTINGS = {
    "MLGOV_POLICY": "mlgov.yaml",
    "MLGOV_TRUST_ROOT": "trust.json",
    "MLGOV_SIGN": "vault:mlgov-{duty}",
    "MLGOV_ENVIRONMENT": "production",
}
NAMES = ("MLGOV_LEDGER", "MLFLOW_TRACKING_URI", "VAULT_ADDR", "VAULT_TOKEN")
"""Keys of the Kubernetes secret `mlgov`."""


@dsl.container_component
def performance_gate(model: str, data: str):
    """Fails unless the verdict is PASS."""
    return dsl.ContainerSpec(
        image=IMAGE, command=["mlgov", "gate", "performance"], args=["--model", model, "--data", data, "--record"]
    )


@dsl.container_component
def fairness_gate(model: str, data: str):
    """Fails unless the verdict is PASS."""
    return dsl.ContainerSpec(
        image=IMAGE, command=["mlgov", "gate", "fairness"], args=["--model", model, "--data", data, "--record"]
    )


@dsl.container_component
def promote(model: str):
    """Moves the version if signed evidence allows it."""
    return dsl.ContainerSpec(image=IMAGE, command=["mlgov", "promote"], args=[model, "--target", "production"])


def with_settings(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """What every command needs to know; secrets come from Kubernetes."""
    for name, value in SETTINGS.items():
        task.set_env_variable(name, value)
    kubernetes.use_secret_as_env(task, "mlgov", {name: name for name in NAMES})
    return task.set_caching_options(False)


@dsl.pipeline(name="model-release")
def release(model: str, data: str = "test.csv"):
    """Judge a version, then promote it."""
    gates = [
        with_settings(performance_gate(model=model, data=data)),
        with_settings(fairness_gate(model=model, data=data)),
    ]
    with_settings(promote(model=model)).after(*gates)


if __name__ == "__main__":
    compiler.Compiler().compile(release, str(Path(__file__).with_name("pipeline.yaml")))
