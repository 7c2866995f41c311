"""Pipelines made with the Kubeflow Pipelines SDK: prints file name -> text, as JSON. Run where ``kfp`` is installed."""

import json
import tempfile
from pathlib import Path

from kfp import compiler, dsl


@dsl.container_component
def fairness_gate():
    """A gate of this package."""
    return dsl.ContainerSpec(
        image="house/mlgov", command=["mlgov", "gate", "fairness"], args=["--data", "test.parquet"]
    )


@dsl.container_component
def piped_gate():
    """Its exit code goes to a pipe."""
    return dsl.ContainerSpec(image="house/mlgov", command=["sh", "-c", "mlgov gate fairness | tee log"])


@dsl.container_component
def promote():
    """What the gate is for."""
    return dsl.ContainerSpec(image="house/mlgov", command=["mlgov", "promote"], args=["models:/credit/7"])


@dsl.container_component
def tidy():
    """Anything."""
    return dsl.ContainerSpec(image="house/tools", command=["rm"], args=["-r", "scratch"])


@dsl.pipeline(name="guarded")
def guarded():
    gate = fairness_gate().set_caching_options(False)
    promote().after(gate)


@dsl.pipeline(name="cached")
def cached():
    promote().after(fairness_gate())


@dsl.pipeline(name="beside")
def beside():
    fairness_gate().set_caching_options(False)
    promote()


@dsl.pipeline(name="piped")
def piped():
    promote().after(piped_gate().set_caching_options(False))


@dsl.pipeline(name="ignored")
def ignored():
    gate = fairness_gate().set_caching_options(False)
    promote().after(gate).ignore_upstream_failure()


@dsl.pipeline(name="conditional")
def conditional(check: str = "yes"):
    with dsl.If(check == "yes", name="asked"):
        fairness_gate().set_caching_options(False)
    promote()


@dsl.pipeline(name="both-conditional")
def both_conditional(check: str = "yes"):
    with dsl.If(check == "yes", name="asked"):
        gate = fairness_gate().set_caching_options(False)
        promote().after(gate)


@dsl.pipeline(name="exit-handler")
def exit_handler():
    with dsl.ExitHandler(promote()):
        fairness_gate().set_caching_options(False)


@dsl.pipeline(name="looped")
def looped(slices: list = []):  # noqa: B006 - as the compiler wants it
    with dsl.ParallelFor(slices, name="each") as _:
        fairness_gate().set_caching_options(False)
    promote()


@dsl.pipeline(name="inner")
def checks():
    fairness_gate().set_caching_options(False)


@dsl.pipeline(name="nested")
def nested():
    promote().after(checks())


@dsl.pipeline(name="nested-uncached")
def nested_uncached():
    promote().after(checks().set_caching_options(False))


@dsl.pipeline(name="between")
def between():
    gate = fairness_gate().set_caching_options(False)
    middle = tidy().after(gate).ignore_upstream_failure()
    promote().after(middle)


PIPELINES = (
    guarded, cached, beside, piped, ignored, conditional, both_conditional, exit_handler, looped, nested,
    nested_uncached, between,
)  # fmt: skip
found = {}
for pipeline in PIPELINES:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        found[f"kubeflow_{pipeline.name.replace('-', '_')}.yaml"] = path.read_text()
print(json.dumps(found))
