"""GitHub Actions: a workflow, with the reusable workflows and composite actions of its own repository.

A job waits for the success of its ``needs``, and a step for that of the steps before it, unless its ``if`` holds a
status function. ``run`` has ``-e``, and ``pipefail`` only with ``shell: bash`` (workflow syntax reference,
"jobs.<job_id>.steps[*].shell").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from airflow_mlgov.pipelines.documents import Part
from airflow_mlgov.pipelines.expressions import ALL, Asked, asked
from airflow_mlgov.pipelines.manifest import (
    AnyOf,
    Command,
    Decider,
    ExitCode,
    Failure,
    Manifest,
    Need,
    Role,
    Step,
    Strength,
)
from airflow_mlgov.pipelines.readers.draft import Draft
from airflow_mlgov.pipelines.readers.source import Source
from airflow_mlgov.pipelines.shell import Shell, read_script
from airflow_mlgov.pipelines.shell_words import shell_of

_CALLER = re.compile(r"\b(?:inputs|github\.event\.inputs)\b")
_NEVER = re.compile(r"^(?:\$\{\{\s*)?false(?:\s*\}\})?$", re.I)
_ALWAYS = re.compile(r"^(?:\$\{\{\s*)?(?:true|success\s*\(\s*\))?(?:\s*\}\})?$", re.I)
_DEPTH = 10
_PRODUCTION = re.compile(r"(?:^|[^a-z])(?:prod|prd|production|live)(?:[^a-z]|$)|^\$\{\{", re.I)
"""An environment that is put in may be that one too."""
_CONSTANT = re.compile(
    r"(?:github|inputs|vars|matrix|needs|runner|strategy)(?:\.|$)|(?:contains|startsWith|endsWith|format|join|toJSON|fromJSON)\(\)",
    re.I,
)
_RUN_BY_ACTION = ("script", "run", "args", "command", "cmd", "commands", "inlinescript", "entrypoint")
"""Inputs by which actions are told what to run."""


def matches(source: Source, document: Part) -> bool:
    """Whether a document is a workflow."""
    at_home = ".github/workflows/" in source.path.replace("\\", "/")
    return document["jobs"].is_map and (at_home or ("on" in document and "stages" not in document))


def read(source: Source, document: Part, siblings: Sequence[Part] = ()) -> list[Manifest]:  # noqa: ARG001
    """The one pipeline of a workflow file."""
    reading = _Reading(source)
    reading.workflow(document, "", (), 0)
    name = document["name"].text or source.path.rpartition("/")[2]
    on = document["on"]
    return [reading.manifest("github", name, [key for key, _ in on.items()] or on.texts())]


@dataclass(kw_only=True)
class _Reading(Draft):
    file: str = ""
    """The file that is being read, if that is not the workflow's own."""
    env: tuple[str, ...] = ()
    """Names of the variables of the workflow and the job."""

    def workflow(self, document: Part, prefix: str, outer: tuple[AnyOf, ...], depth: int) -> list[str]:
        """The jobs of a workflow; the ids of their ends."""
        jobs = document["jobs"]
        shell = document.at("defaults", "run", "shell").text
        outer_env = (*self.env, *(key for key, _ in document["env"].items()))
        names = [name for name, _ in jobs.items()]
        for name, job in jobs.items():
            condition = job["if"].text
            needs = list(outer)
            for other in job["needs"].texts():
                if other in names:
                    needs.append((_after(prefix + other, other, condition),))
                else:
                    self.missing(job["needs"], f"job {name} needs {other}, which is not in this file", ("order",))
            self.env = (*outer_env, *(key for key, _ in job["env"].items()))
            self._job(prefix + name, job, tuple(needs), shell, depth)
        return [prefix + name for name in names]

    def _job(self, own: str, job: Part, needs: tuple[AnyOf, ...], shell: str, depth: int) -> None:
        condition = job["if"].text
        environment = job.at("environment", "name").text or job["environment"].text
        whole = Step(own, job.line, "group", file=self.file, condition=condition, decided_by=_decider(condition))
        approval = replace(whole, kind="approval", role=Role.APPROVAL, role_from="environment")
        first = self.open_group(approval if environment else whole, needs)
        if job["uses"]:
            ends = self._called(own, job["uses"], first, depth)
        else:
            for part in (job["container"], *(service for _, service in job["services"].items())):
                if image := part["image"].text or part.text:
                    self.containers.append(image)
            usual = "pwsh" if "windows" in " ".join(job["runs-on"].texts()).lower() else ""
            shell = job.at("defaults", "run", "shell").text or shell or usual
            ends = self._chain(own, job["steps"], first, shell, depth)
        fails, why = _failure(job["continue-on-error"])
        labels = {"name": job["name"].text} if job["name"] else {}
        if _PRODUCTION.search(environment):
            labels["environment"] = environment
        self.close_group(replace(whole, fails=fails, fails_why=why, labels=labels), first, ends)

    def _called(self, own: str, uses: Part, first: AnyOf, depth: int) -> list[AnyOf]:
        """A job that is another workflow."""
        found = self.source.beside_root(uses.text) if uses.text.startswith("./") and depth < _DEPTH else None
        if found is None or not found[1]:
            self.missing(uses, f"the workflow {uses.text} is not here", ("steps",))
            return []
        ends = replace(self, file=found[0].path).workflow(found[1][0], f"{own}/", (first,), depth + 1)
        return [(Need(end, Strength.SUCCESS_OR_SKIPPED, "a job of the workflow that it calls"),) for end in ends]

    def _chain(self, own: str, steps: Part, first: AnyOf, shell: str, depth: int) -> list[AnyOf]:
        """Steps one after the other; what the end of the whole needs."""
        before: list[str] = []
        known: dict[str, str] = {}
        for at, part in enumerate(steps.parts()):
            step = self._step(f"{own}/{_name(part, at, before, own)}", part, known)
            said = asked(step.condition)
            needs = (first, *((_behind(name, known, said, step.condition),) for name in before))
            if part["run"]:
                step = self._script(step, part, part["shell"].text or shell)
            elif part["uses"].text.startswith("./"):
                needs = (*needs, *self._composite(step, part["uses"], needs, depth))
            self.steps.append(replace(step, needs=needs))
            before.append(step.id)
            if part["id"]:
                known[part["id"].text] = step.id
            for inner in self._told(step, part):
                self.steps.append(replace(inner, needs=needs))
        return [(Need(name, Strength.SUCCESS_OR_SKIPPED, "its step"),) for name in before]

    def _told(self, step: Step, part: Part) -> list[Step]:
        """What an action is told to run, which counts as no gate."""
        said = {key.lower(): value for key, value in part["with"].items() if key.lower() in _RUN_BY_ACTION}
        text = " ".join(said[key].text for key in ("entrypoint", "args") if key in said)
        texts = [(text, part["with"].first_line)] if text else []
        texts += [(value.text, value.first_line) for key, value in said.items() if key not in ("entrypoint", "args")]
        found: list[Command] = []
        for one, line in texts:
            script = read_script(one, Shell("bash", fills="github"), line)
            found += [
                replace(command, exit_code=ExitCode.UNKNOWN, why="an action runs it, which is not here", after=())
                for command in script.commands
            ]
        return [Step(f"{step.id}/(with)", part.line, "script", file=self.file, commands=tuple(found))] if found else []

    def _step(self, own: str, part: Part, known: Mapping[str, str]) -> Step:
        condition = part["if"].text
        fails, why = _failure(part["continue-on-error"])
        read = asked(condition).read
        constant = all(_CONSTANT.match(one) or (one[:6] == "steps." and one.split(".")[1] in known) for one in read)
        return Step(
            own, part.line, "script" if part["run"] else "call", part["uses"].text, file=self.file,
            condition=condition, decided_by=_decider(condition), constant=constant, fails=fails, fails_why=why,
            env=(*self.env, *(key for key, _ in part["env"].items())),
            labels={"name": part["name"].text} if part["name"] else {},
        )  # fmt: skip

    def _script(self, step: Step, part: Part, shell: str) -> Step:
        script = read_script(part["run"].text, _shell(shell), part["run"].first_line)
        if script.problem:
            self.missing(part["run"], f"{step.id}: {script.problem}", ("commands",), script.line)
        return replace(step, commands=script.commands)

    def _composite(self, step: Step, uses: Part, needs: tuple[AnyOf, ...], depth: int) -> list[AnyOf]:
        """A step that is an action of the same repository."""
        names = [f"{uses.text.rstrip('/')}/{end}" for end in ("action.yml", "action.yaml")]
        found = next((one for name in names if (one := self.source.beside_root(name))), None)
        if found is None or depth >= _DEPTH:
            self.missing(uses, f"the action {uses.text} is not here", ("commands",))
            return []
        inner = found[1][0].at("runs", "steps") if found[1] else Part(None)
        if not inner.is_list:
            self.missing(uses, f"the action {uses.text} runs code of its own", ("commands",))
            return []
        whole = Step(step.id, uses.line, "group", file=self.file, condition=step.condition, decided_by=step.decided_by)
        first = self.open_group(whole, needs)
        return replace(self, file=found[0].path)._chain(step.id, inner, first, "", depth + 1)


def _name(part: Part, at: int, before: Sequence[str], own: str) -> str:
    """What a step is called: its id, its name, its action, its position; unique in its job."""
    name = part["id"].text or part["name"].text or part["uses"].text.partition("@")[0] or f"step {at + 1}"
    name = name.replace("/", "-")
    return f"{name} ({at + 1})" if f"{own}/{name}" in before else name


def _after(step: str, job: str, condition: str) -> Need:
    """A job's need of another: its success, unless a status function lets it start after a failure."""
    said = asked(condition)
    if not said.status or ALL in said.succeeded:
        return Need(step, Strength.SUCCESS, "needs")
    if job in said.succeeded:
        return Need(step, Strength.SUCCESS, f"if: {condition}")
    return Need(step, Strength.SUCCESS_OR_SKIPPED if said.unfailed else Strength.DONE, f"if: {condition}")


def _behind(step: str, known: Mapping[str, str], said: Asked, condition: str) -> Need:
    """A step's need of one before it in its job."""
    if not said.status or ALL in said.succeeded:
        return Need(step, Strength.SUCCESS_OR_SKIPPED, "a step before it")
    if any(known.get(name) == step for name in said.succeeded):
        return Need(step, Strength.SUCCESS, f"if: {condition}")
    return Need(step, Strength.DONE, f"if: {condition}")


def _decider(condition: str) -> Decider:
    if _ALWAYS.match(condition.strip()) or re.fullmatch(
        r"(?:\$\{\{\s*)?always\s*\(\s*\)(?:\s*\}\})?", condition.strip(), re.I
    ):
        return Decider.ALWAYS
    if _NEVER.match(condition.strip()):
        return Decider.NEVER
    return Decider.CALLER if _CALLER.search(condition) else Decider.DATA


def _failure(said: Part) -> tuple[Failure, str]:
    if not said or said.value is False or said.text == "false":
        return Failure.STOPS, ""
    where = f"line {said.line}: " if said.line else ""
    if said.value is True or said.text == "true":
        return Failure.IGNORED, f"{where}continue-on-error: true"
    return Failure.UNKNOWN, f"{where}continue-on-error: {said.text}"


def _shell(said: str) -> Shell:
    """How GitHub starts a script."""
    words = said.split()
    if not words:
        return Shell("bash", errexit=True, pipefail=False, fills="github")
    if words == ["bash"]:
        return Shell("bash", errexit=True, pipefail=True, fills="github")
    if words == ["sh"]:
        return Shell("sh", errexit=True, pipefail=False, fills="github")
    found, rest = shell_of(words, "github")
    return found if rest == ["{0}"] or len(words) == 1 else replace(found, problem=f"{said} does not run the script")
