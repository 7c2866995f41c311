"""The traps of every platform, held by other tools where they are on the path: actionlint as it is, conftest and gator
with a rule that asks for the gate and for the order (``pipelines.rego``). A tool counts only where it accepts the
pipeline whose gate guards."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from airflow_mlgov.gates.policy.spec import GATE, PolicySettings
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.results import Outcome
from tests.worlds.pipelines import GUARDED
from tests.worlds.traps import TRAPS

RULE = Path(__file__).with_name("pipelines.rego")
TEMPLATE = """\
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: gatefirst}
spec:
  crd: {spec: {names: {kind: GateFirst}}}
  targets:
    - target: admission.k8s.gatekeeper.sh
      code:
        - engine: Rego
          source:
            version: v1
            rego: |
"""
CONSTRAINT = """\
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: GateFirst
metadata: {name: gate-first}
spec: {match: {kinds: [{apiGroups: [argoproj.io, tekton.dev, serving.kserve.io], kinds: ["*"]}]}}
"""


def ours(file: Path) -> bool:
    """Whether the pipeline is accepted."""
    return run_gate(GATE, None, PolicySettings.read({"manifest": str(file)}), ()).verdict is Outcome.PASS


def actionlint(file: Path) -> bool:
    """The same, by actionlint."""
    return _accepts(
        "actionlint", "-no-color", "-shellcheck=", "-pyflakes=", "-ignore", "label .* is unknown", str(file)
    )


def conftest(file: Path) -> bool:
    """The same, by conftest."""
    return _accepts("conftest", "test", "--policy", str(RULE), str(file))


def gator(file: Path) -> bool:
    """The same, by gator."""
    rule = RULE.read_text().replace("package main", "package gatefirst").replace("input.", "input.review.object.")
    rule = rule.replace("walk(input,", "walk(input.review.object,").replace("import rego.v1\n", "")
    rule = re.sub(r'deny contains (".*") if', r'violation contains {"msg": \1} if', rule)
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "template.yaml"
        lines = "".join(f"              {line}\n" for line in rule.splitlines())
        template.write_text(TEMPLATE + lines + CONSTRAINT)
        return _accepts("gator", "test", "--filename", str(template), "--filename", str(file))


TOOLS: dict[str, tuple[Callable[[Path], bool], frozenset[str]]] = {
    "actionlint": (actionlint, frozenset({"github"})),
    "conftest": (conftest, frozenset({"github", "gitlab", "argo", "kubeflow", "sagemaker", "tekton", "kubernetes"})),
    "gator": (gator, frozenset({"argo", "tekton", "kubernetes"})),
}
"""Tool -> how it is asked, and the platforms that it reads."""


def table() -> str:
    """Platform by platform, how many of the traps each tool refuses."""
    there = {name: tool for name, tool in TOOLS.items() if shutil.which(name)}
    rows = [f"| platform | traps | mlgov | {' | '.join(there)} |", f"|---|---|---|{'---|' * len(there)}"]
    with tempfile.TemporaryDirectory() as folder:
        for platform in GUARDED:
            traps = [trap.text for trap in TRAPS if trap.platform == platform and trap.code]
            asked = {"mlgov": (ours, frozenset(GUARDED)), **there}
            cells = [_refused(Path(folder), platform, traps, *tool) for tool in asked.values()]
            rows.append(f"| {platform} | {len(traps)} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _refused(
    folder: Path, platform: str, traps: list[str], accepts: Callable[[Path], bool], reads: frozenset[str]
) -> str:
    name, good = GUARDED[platform]
    file = folder / platform / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if platform not in reads:
        return "not read"
    file.write_text(good)
    if not accepts(file):
        return "refuses the one that guards"
    count = 0
    for text in traps:
        file.write_text(text)
        count += not accepts(file)
    return str(count)


def _accepts(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).returncode == 0


if __name__ == "__main__":
    print(table())
