"""Jenkins: declarative pipelines. What a ``script`` block decides, what a shared library does, and scripted pipelines
cannot be told from the file and are said to be unknown.

Stages run one after the other until one fails; one that ``when`` skips stops nothing. ``sh`` runs with ``-xe`` and
without ``pipefail``. ``post`` runs whatever happened, ``success`` only after success.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from airflow_mlgov.pipelines.documents import Part
from airflow_mlgov.pipelines.groovy import Call, read_groovy
from airflow_mlgov.pipelines.manifest import (
    START,
    AnyOf,
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

_SHELL = Shell("sh", errexit=True, pipefail=False)
_AROUND = frozenset({
    "timeout", "retry", "withCredentials", "dir", "withEnv", "container", "node", "timestamps", "ansiColor",
    "lock", "withAWS", "ws", "wrap", "sshagent", "withDockerRegistry", "configFileProvider", "withKubeConfig",
    "withVault", "nodejs", "withMaven", "throttle", "waitUntil",
})  # fmt: skip
"""Steps that run their block and end as it ends."""
_SWALLOWING = frozenset({"catchError", "warnError"})
_CONTROL = frozenset({"if", "else", "for", "while", "try", "switch", "def", "parallel", "return", "catch", "do"})
_PLAIN = frozenset({
    "echo", "checkout", "git", "archiveArtifacts", "junit", "stash", "unstash", "cleanWs", "deleteDir", "error",
    "sleep", "publishHTML", "emailext", "mail", "slackSend", "readFile", "writeFile", "readJSON", "writeJSON",
    "readYaml", "fileExists", "tool", "milestone", "pwd", "isUnix", "properties", "unstable", "step",
    "recordIssues", "scanForIssues", "archive", "fingerprint", "discoverReferenceBuild", "bat", "powershell",
    "pwsh", "sh", "build", "input",
})  # fmt: skip
_BESIDE = frozenset({"pipeline", "import", "def", "package", "properties", "@Field", "final", "class", "#!groovy", ""})
"""What stands beside a pipeline and runs nothing by itself."""
_MANY = 5_000


def matches(source: Source) -> bool:
    """Whether a file is a Jenkinsfile, by its name or its beginning."""
    name = source.path.replace("\\", "/").rpartition("/")[2]
    if "jenkinsfile" in name.lower():
        return True
    known = name.endswith((".yaml", ".yml", ".json", ".py"))
    return not known and bool(re.search(r"^\s*pipeline\s*\{", source.text[:20_000], re.M))


def read(source: Source, document: Part | None = None, siblings: Sequence[Part] = ()) -> list[Manifest]:  # noqa: ARG001
    """The one pipeline of a Jenkinsfile."""
    reading = _Reading(source)
    calls = read_groovy(source.text, source.path)
    pipeline = next((call for call in calls if call.name == "pipeline" and call.body is not None), None)
    for call in calls:
        defined = re.match(r"(?:def|void|static|private|public|[A-Z]\w*) (\w+) \(", f"{call.name} {call.text}")
        if call.name.startswith("@Library") or call.name in ("library", "load"):
            reading.unread(call, "a shared library is not here", ("steps", "commands"))
        elif defined and defined.group(1) in _PLAIN | _AROUND | _SWALLOWING:
            reading.unread(call, f"{defined.group(1)} is no step of Jenkins's any more", ("commands",))
        elif call is not pipeline and not defined and call.name not in _BESIDE and not _sets(call):
            reading.unread(call, f"{call.name or call.text[:40]} stands beside the pipeline", ("steps", "commands"))
            for inner in _all([call]) if pipeline is not None else ():
                if inner.name == "sh":
                    reading.step_beside(inner)
    if pipeline is None:
        line = calls[0] if calls else Call("", 1)
        reading.unread(line, "a scripted pipeline cannot be judged: write it as a declarative one", ("steps", "order"))
    else:
        reading.pipeline(pipeline)
    return [reading.manifest("jenkins", source.path)]


class _Reading(Draft):
    def pipeline(self, call: Call) -> None:
        """The stages of a pipeline, and what runs after them."""
        self._agent(call)
        stages = call.first("stages")
        ends = self._sequence(list(stages.all("stage")) if stages else [], "", ()) if stages else []
        self._post(call, "(post)", ends)

    def step_beside(self, call: Call) -> None:
        """A command outside of the pipeline, which starts whatever becomes of it."""
        self._step(call, "(beside)", [], None, doubt=f"line {call.line}: it stands beside the pipeline")

    def _agent(self, call: Call) -> None:
        agent = call.first("agent")
        docker = agent.first("docker") if agent else None
        if docker:
            image = docker.said() or next((inner.said() for inner in docker.all("image")), "")
            self.containers.append(image)

    def _sequence(self, stages: Sequence[Call], prefix: str, needs: tuple[AnyOf, ...]) -> list[AnyOf]:
        before: list[AnyOf] = list(needs)
        ends: list[AnyOf] = []
        for stage in stages:
            end = self._stage(stage, prefix, tuple(before))
            need = (Need(end, Strength.SUCCESS_OR_SKIPPED, "a stage before it; a skipped one suffices"),)
            before.append(need)
            ends.append(need)
        return ends

    def _stage(self, stage: Call, prefix: str, needs: tuple[AnyOf, ...]) -> str:
        name = self._unused(f"{prefix}{stage.said() or 'stage'}".replace("EXPRESSION", "…"))
        when = stage.first("when")
        condition = _said(when) if when else ""
        asks = stage.first("input")
        self._agent(stage)
        whole = Step(
            name, stage.line, "group", condition=condition, decided_by=_decider(condition), constant=_constant(when)
        )
        asked = replace(whole, kind="approval", role=Role.APPROVAL, role_from="operator")
        first = self.open_group(asked if asks else whole, needs)
        ends: list[AnyOf] = []
        if stage.first("parallel"):
            for inner in stage.first("parallel").all("stage"):  # type: ignore[union-attr]
                ends.append(
                    (Need(self._stage(inner, f"{name}/", (first,)), Strength.SUCCESS_OR_SKIPPED, "beside others"),)
                )
        elif stage.first("stages"):
            ends = self._sequence(list(stage.first("stages").all("stage")), f"{name}/", (first,))  # type: ignore[union-attr]
        elif stage.first("matrix"):
            inner = stage.first("matrix").first("stages")  # type: ignore[union-attr]
            ends = self._sequence(list(inner.all("stage")) if inner else [], f"{name}/", (first,))
        elif steps := stage.first("steps"):
            chain: list[AnyOf] = [first]
            self._block(steps.body or [], name, chain, None)
            ends = chain[1:]
        self._post(stage, f"{name}/(post)", ends)
        self.close_group(whole, first, ends)
        return name

    def _post(self, call: Call, name: str, ends: Sequence[AnyOf]) -> None:
        post = call.first("post")
        for one in post.body or [] if post else []:
            good = one.name == "success"
            chain: list[AnyOf] = [
                (replace(need[0], strength=need[0].strength if good else Strength.DONE, why=f"post: {one.name}"),)
                for need in ends
            ]
            self._block(one.body or [], f"{name} {one.name}", chain, None)

    # -- steps --------------------------------------------------------------------------------------------------------

    def _block(self, calls: Sequence[Call], own: str, chain: list[AnyOf], ignored: str | None) -> None:
        """Steps one after the other; each is added to what the next ones need."""
        for call in calls:
            if len(self.steps) > _MANY:
                self.unread(call, f"there are more than {_MANY} steps", ("steps",))
                return
            if call.name in _SWALLOWING:
                self._block(call.body or [], own, chain, f"line {call.line}: {call.name}")
            elif call.name == "script":
                self._scripted(call, own, chain, ignored)
            elif call.body is not None and call.name in _AROUND:
                skips = re.search(r"skipIfLocked : (?!false)", call.text)
                why = f"line {call.line}: {call.name} may skip what it holds" if skips else ""
                self._block(call.body, own, chain, ignored or why or None)
            else:
                self._step(call, own, chain, ignored)

    def _scripted(self, call: Call, own: str, chain: list[AnyOf], ignored: str | None) -> None:
        body = call.body or []
        if any(inner.name in _CONTROL or "=" in inner.text.partition("(")[0] for inner in _all(body)):
            self.unread(call, f"{own}: what a script block decides cannot be told", ("steps", "conditions"))
            for inner in _all(body):
                if inner.name in ("sh", "build", "input"):
                    self._step(inner, own, chain, ignored, doubt=f"line {call.line}: it stands in a script block")
            return
        self._block(body, own, chain, ignored)

    def _step(self, call: Call, own: str, chain: list[AnyOf], ignored: str | None, doubt: str = "") -> None:
        name = self._unused(f"{own}/{call.name or 'step'}")
        step = Step(
            name, call.line, "call", call.name, needs=tuple(chain),
            fails=Failure.IGNORED if ignored else Failure.UNKNOWN if doubt else Failure.STOPS,
            fails_why=ignored or doubt,
            decided_by=Decider.UNKNOWN if doubt else Decider.ALWAYS, condition=doubt,
        )  # fmt: skip
        if call.name == "sh":
            step = self._shell(step, call)
        elif call.name == "input":
            step = replace(step, kind="approval", role=Role.APPROVAL, role_from="operator")
        elif call.name == "build":
            step = self._build(step, call)
        elif call.name in ("bat", "powershell", "pwsh"):
            self.unread(call, f"{name}: a script of {call.name} cannot be judged", ("commands",))
        elif call.name not in _PLAIN:
            self.unread(call, f"{name}: {call.name or call.text[:40]} is no step that is known here", ("commands",))
        self.steps.append(step)
        chain.append((Need(name, Strength.SUCCESS_OR_SKIPPED, "a step before it"),))

    def _shell(self, step: Step, call: Call) -> Step:
        text = call.said("script") or call.said()
        plain = re.fullmatch(
            r"\(? ?(?:(?:[^T]*[,(] ?)?script : )?TEXT ?(?:,.*)?\)?|\(? ?[^+]*\bscript : TEXT ?(?:,[^+]*)?\)?", call.text
        )
        line = next((at for key, value, at in call.texts if value == text), call.line)
        script = read_script(text, _SHELL, line)
        if script.problem or not text or not plain:
            self.unread(call, f"{step.id}: {script.problem or 'its script is not a plain text'}", ("commands",))
        commands = script.commands
        if not plain:
            why = f"line {call.line}: its script is not a plain text"
            commands = tuple(replace(one, exit_code=ExitCode.UNKNOWN, why=why) for one in commands)
        if re.search(r"returnStatus\s*:\s*(?!false\b)\S", call.text):
            commands = tuple(
                replace(one, exit_code=ExitCode.LOST, why=f"line {call.line}: returnStatus: true") for one in commands
            )
        return replace(step, kind="script", commands=commands)

    def _build(self, step: Step, call: Call) -> Step:
        job = call.said("job") or call.said()
        self.unread(call, f"the job {job} is not here", ("steps",))
        loose = re.search(r"(?:propagate|wait)\s*:\s*false", call.text)
        if loose:
            step = replace(step, fails=Failure.IGNORED, fails_why=f"line {call.line}: {loose.group()}")
        return replace(step, operator=f"build {job}", labels={"name": job})

    def _unused(self, name: str) -> str:
        taken = {step.id for step in self.steps} | {step.id.removesuffix(f"/{START}") for step in self.steps}
        number, wanted = 1, name
        while name in taken:
            number += 1
            name = f"{wanted} ({number})"
        return name

    def unread(self, call: Call, why: str, hides: tuple[str, ...]) -> None:
        """Say what cannot be read."""
        self.missing_at(f"{self.source.path}:{call.line}", why, hides)


def _all(calls: Sequence[Call]) -> list[Call]:
    found: list[Call] = []
    for call in calls:
        found.append(call)
        found += _all(call.body or [])
    return found


def _said(call: Call) -> str:
    parts = []
    for inner in call.body or []:
        words = " ".join(value for _, value, _ in inner.texts)
        parts.append(" ".join(f"{inner.name} {inner.text.replace('TEXT', '')} {words} {_said(inner)}".split()))
    return "; ".join(parts)


def _sets(call: Call) -> bool:
    """``String region = 'eu'``: a value, and no call."""
    return call.body is None and "=" in call.text and "(" not in call.text


def _constant(when: Call | None) -> bool:
    """Whether the condition of a stage has the same answer wherever it is asked: of the branch, of parameters."""
    known = ("branch", "tag", "buildingTag", "changeRequest", "not", "allOf", "anyOf", "expression", "beforeAgent",
             "beforeInput", "beforeOptions", "equals", "params", "return")  # fmt: skip
    for call in _all(when.body or []) if when is not None else ():
        plain = call.name.startswith("params.") and "(" not in call.text
        if (call.name not in known and not plain) or (
            call.name == "return" and not re.match(r"!? ?params\.", call.text)
        ):
            return False
    return True


def _decider(condition: str) -> Decider:
    if not condition:
        return Decider.ALWAYS
    return Decider.CALLER if "params" in condition else Decider.DATA
