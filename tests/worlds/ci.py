"""The examples for CI systems, each run as its system would run it: the same order, shell, environment and stop."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import yaml

from tests.worlds.governed import Governed

EXAMPLES = Path(__file__).parents[2] / "examples"
CI = EXAMPLES / "ci"
FILES = {
    "github": "github/.github/workflows/release.yml",
    "gitlab": "gitlab/.gitlab-ci.yml",
    "jenkins": "jenkins/Jenkinsfile",
    "argo": "argo/workflow-template.yaml",
    "tekton": "tekton/pipeline.yaml",
    "kubeflow": "kubeflow/pipeline.yaml",
    "sagemaker": "sagemaker/pipeline.json",
}
GIVEN = ("MLGOV_LEDGER", "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "VAULT_ADDR",
         "VAULT_TOKEN")  # fmt: skip
"""What every one of them gets as a secret or a variable of the project."""


POLICY = """\
version: 1
models:
  {model}:
    gates:
      performance: {{label: y, score: s, roc_auc: {{min: 0.75}}}}
      fairness:
        label: y
        prediction: p
        sensitive_features: {{sex: [f, m]}}
        demographic_parity_ratio: {{min: 0.8}}
    targets:
      production: {{alias: champion, requires: [performance, fairness]}}
"""
"""What the examples are released under."""


@dataclass(frozen=True)
class Step:
    """One command of a pipeline, or the question whether to go on."""

    name: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """As the file has it."""

    @property
    def asks(self) -> bool:
        """Whether somebody is asked here."""
        return not self.command


def steps_of(platform: str, model: str) -> list[Step]:
    """The commands of an example in the order in which they start; those that install are left out."""
    return commands(_READERS[platform]((CI / FILES[platform]).read_text(), model))


def workflow_at(file: Path) -> list[Step]:
    """The commands of a workflow of GitHub's that takes no input."""
    return commands(_github(file.read_text(), ""))


def commands(found: Iterable[Step]) -> list[Step]:
    """All but what installs."""
    return [step for step in found if not any("pip install" in word for word in step.command)]


def run(steps: list[Step], folder: Path, settings: Mapping[str, str], path: str) -> tuple[list[str], int]:
    """Run them until one fails: the names of those that were started, and the last exit code.

    :param settings: what the names of a file's environment are here
    :param path: where programs are found
    """
    started = []
    for step in steps:
        started.append(step.name)
        if step.asks:
            continue
        said = {name: settings.get(name, value) for name, value in step.environment.items()} | _left_for_the_next(
            folder
        )
        environment = {"PATH": path, "HOME": str(folder), "MPLCONFIGDIR": str(folder), **said}
        done = subprocess.run(step.command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
        print(step.name, done.returncode, done.stdout, done.stderr)
        if done.returncode:
            return started, done.returncode
    return started, 0


def settings(governed: Governed) -> dict[str, str]:
    """What the names in the examples are here."""
    return {
        **{f"MLGOV_{name}": value for name, value in governed.settings.items()},
        "MLFLOW_TRACKING_URI": governed.server.url,
        "MLFLOW_TRACKING_USERNAME": governed.server.username,
        "MLFLOW_TRACKING_PASSWORD": governed.server.password,
    }


def write_rows(folder: Path, count: int = 1200, bias: float = 0.0) -> None:
    """What the model said of people in ``test.csv``.

    :param bias: how much less often women are accepted
    """
    draw, lines = Random(1), ["y,s,p,sex"]
    for row in range(count):
        sex, label = "fm"[row % 2], draw.random() < 0.5
        score = min(max(draw.gauss(0.65 if label else 0.35, 0.15) - (bias if sex == "f" else 0.0), 0.0), 1.0)
        lines.append(f"{int(label)},{score:.4f},{int(score > 0.5)},{sex}")
    (folder / "test.csv").write_text("\n".join(lines) + "\n")


def _left_for_the_next(folder: Path) -> dict[str, str]:
    """What steps of GitHub's have put into the environment of those that follow."""
    file = folder / "github.env"
    lines = file.read_text().splitlines() if file.exists() else []
    return dict(line.split("=", 1) for line in lines)


def _in_order(needs: Mapping[str, list[str]]) -> Iterator[str]:
    done: list[str] = []
    while len(done) < len(needs):
        ready = [name for name, before in needs.items() if name not in done and set(before) <= set(done)]
        assert ready, f"nothing can start after {done}"
        done.append(ready[0])
        yield ready[0]


def _github(text: str, model: str) -> Iterator[Step]:
    workflow = yaml.safe_load(text)
    above = _filled(workflow["env"], {})
    for name in _in_order({name: job.get("needs", []) for name, job in workflow["jobs"].items()}):
        job = workflow["jobs"][name]
        if job.get("environment") == "production":  # the other one has secrets, and no reviewers
            yield Step(f"{name}: reviewers")
        for step in job["steps"]:
            yield from _github_step(step, {**above, **_filled(job.get("env", {}), {})}, {"inputs.model": model})


def _github_step(step: Any, above: Mapping[str, str], inputs: Mapping[str, str]) -> Iterator[Step]:
    if str(step.get("uses", "")).startswith("./"):
        action = yaml.safe_load((CI / "github" / step["uses"] / "action.yml").read_text())
        given = {f"inputs.{name}": value for name, value in _filled(step["with"], inputs).items()}
        for inner in action["runs"]["steps"]:
            assert inner["shell"] == "bash"
            yield from _github_step(inner, above, given)
    elif "run" in step:
        said = {
            **above,
            "GITHUB_STEP_SUMMARY": "summary.md",
            "GITHUB_ENV": "github.env",
            **_filled(step.get("env", {}), inputs),
        }
        yield Step(step["name"], ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]), said)


def _filled(said: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Expressions with their values; a secret or a variable is what the runner gives under that name."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        return values[name] if name in values else f"<{name.partition('.')[2]}>"

    return {name: re.sub(r"\$\{\{ ([\w.]+) \}\}", value, text) for name, text in said.items()}


def _gitlab(text: str, model: str) -> Iterator[Step]:
    here, included = yaml.safe_load(text), yaml.safe_load((CI / "gitlab/mlgov.gitlab-ci.yml").read_text())
    assert here["include"] == [{"local": "mlgov.gitlab-ci.yml"}]
    jobs = {name: job for name, job in here.items() if isinstance(job, dict) and name != "workflow"}

    def whole(job: Mapping[str, Any]) -> dict[str, Any]:
        return {**(whole(included[job["extends"]]) if "extends" in job else {}), **job}

    stages = here["stages"]
    needs = {
        name: job.get("needs", [other for other, one in jobs.items()
                                if stages.index(one["stage"]) < stages.index(job["stage"])])
        for name, job in jobs.items()
    }  # fmt: skip
    for name in _in_order(needs):
        job = whole(jobs[name])
        if job.get("when") == "manual":
            assert job["allow_failure"] is False, "the pipeline would go on unasked"
            yield Step(f"{name}: manual")
        lines = [line for line in [*job.get("before_script", []), *job["script"]] if "pip install" not in line]
        said = {"GITLAB_USER_LOGIN": "alice", "MODEL": model, **_secrets(), **job.get("variables", {})}
        yield Step(name, ("bash", "-c", "\n".join(["set -eo pipefail", *lines])), said)


def _jenkins(text: str, model: str) -> Iterator[Step]:
    declared = dict(re.findall(r"^    (\w+) = (?:credentials\()?'([^']*)'", text, re.MULTILINE))
    for name, body in re.findall(r"stage\('(\w+)'\) \{\s+steps \{\n(.*?)\n      \}", text, re.DOTALL):
        command = re.fullmatch(r"\s+sh '([^']*)'", body)
        assert command or body.lstrip().startswith("input ")
        said = {**_secrets(), **declared, "MODEL": model}
        yield Step(name, ("sh", "-xe", "-c", command[1]), said) if command else Step(f"{name}: input")


def _argo(text: str, model: str) -> Iterator[Step]:
    spec = yaml.safe_load(text)["spec"]
    templates = {item["name"]: item for item in spec["templates"]}
    tasks = {item["name"]: item for item in templates[spec["entrypoint"]]["dag"]["tasks"]}
    needs = {name: re.findall(r"(\w+)\.Succeeded", task.get("depends", "")) for name, task in tasks.items()}
    for name in _in_order(needs):
        template = templates[tasks[name]["template"]]
        if "suspend" in template:
            yield Step(f"{name}: suspended")
        else:
            yield _container(name, template["container"], {"{{workflow.parameters.model}}": model})


def _tekton(text: str, model: str) -> Iterator[Step]:
    tasks = {item["name"]: item for item in yaml.safe_load(text)["spec"]["tasks"]}
    for name in _in_order({name: task.get("runAfter", []) for name, task in tasks.items()}):
        spec = tasks[name]["taskSpec"]
        for step in spec["steps"]:
            interpreter, _, script = step["script"].partition("\n")
            container = {**spec["stepTemplate"], "command": [interpreter.removeprefix("#!"), "-c", script]}
            yield _container(name, container, {"$(params.model)": model})


def _kubeflow(text: str, model: str) -> Iterator[Step]:
    made, _ = yaml.safe_load_all(text)
    tasks, values = made["root"]["dag"]["tasks"], {"model": model, "data": "test.csv"}
    for name in _in_order({name: task.get("dependentTasks", []) for name, task in tasks.items()}):
        assert not tasks[name].get("cachingOptions"), "a result from the cache judges nothing"
        label = made["components"][tasks[name]["componentRef"]["name"]]["executorLabel"]
        known = {f"{{{{$.inputs.parameters['{key}']}}}}": value for key, value in values.items()}
        yield _container(name, made["deploymentSpec"]["executors"][label]["container"], known)


def _sagemaker(text: str, model: str) -> Iterator[Step]:
    steps = {item["Name"]: item for item in json.loads(text)["Steps"]}
    for name in _in_order({name: step.get("DependsOn", []) for name, step in steps.items()}):
        assert "CacheConfig" not in steps[name]
        said = steps[name]["Arguments"]
        words = [model if word == {"Get": "Parameters.Model"} else word
                 for word in said["AppSpecification"]["ContainerArguments"]]  # fmt: skip
        yield Step(
            name, (*said["AppSpecification"]["ContainerEntrypoint"], *words), {**_secrets(), **said["Environment"]}
        )


def _container(name: str, container: Mapping[str, Any], values: Mapping[str, str]) -> Step:
    said = {item["name"]: values.get(item["value"], item["value"]) for item in container["env"]}
    words = [values.get(word, word) for word in [*container["command"], *container.get("args", [])]]
    return Step(name, tuple(words), {**_secrets(), **said})


def _secrets() -> dict[str, str]:
    return {name: f"<{name}>" for name in GIVEN}


_READERS: Mapping[str, Callable[[str, str], Iterator[Step]]] = {
    "github": _github,
    "gitlab": _gitlab,
    "jenkins": _jenkins,
    "argo": _argo,
    "tekton": _tekton,
    "kubeflow": _kubeflow,
    "sagemaker": _sagemaker,
}
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
"""With this environment's ``mlgov``."""
