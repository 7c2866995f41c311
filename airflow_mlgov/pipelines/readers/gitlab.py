"""GitLab CI: the jobs of a pipeline, with local includes, ``extends``, ``!reference`` and defaults resolved.

A job waits for all jobs of earlier stages, or for its ``needs``; one that ``rules`` have left out of the pipeline is
not waited for. Scripts run with ``-e`` and ``pipefail``; ``after_script`` never fails a job (CI/CD YAML reference).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_mlgov.pipelines.documents import Part, Tagged
from airflow_mlgov.pipelines.manifest import (
    AnyOf,
    Command,
    Decider,
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

_RESERVED = frozenset({
    "default", "include", "stages", "variables", "workflow", "image", "services", "before_script", "after_script",
    "cache", "spec", "types",
})  # fmt: skip
_STAGES = ("build", "test", "deploy")
_SHELL = Shell("bash", errexit=True, pipefail=True, fills="gitlab")
_PRODUCTION = re.compile(r"(?:^|[^a-z])(?:prod|prd|production|live)(?:[^a-z]|$)|^\$\{?\w+\}?$|^\$\[\[", re.I)
"""An environment that a variable names may be that one too."""
_DEPTH = 10
_NOT_DEPLOYING = frozenset({"stop", "prepare", "verify", "access"})

Job = Mapping[str, Part]


def matches(source: Source, document: Part) -> bool:
    """Whether a document is a pipeline of GitLab's."""
    if not document.is_map:
        return False
    if source.path.replace("\\", "/").rpartition("/")[2].endswith((".gitlab-ci.yml", ".gitlab-ci.yaml")):
        return True
    if document["jobs"].is_map or "apiVersion" in document:
        return False
    return (
        any(_is_job(name, job) for name, job in document.items()) or document["stages"].is_list or "include" in document
    )


def read(source: Source, document: Part, siblings: Sequence[Part] = ()) -> list[Manifest]:  # noqa: ARG001
    """The one pipeline of a file and what it includes."""
    reading = _Reading(source)
    reading.file(document, 0)
    reading.jobs()
    return [reading.manifest("gitlab", source.path)]


def _is_job(name: str, job: Part) -> bool:
    keys = ("script", "trigger", "extends", "run", "before_script", "stage")
    return name not in _RESERVED and job.is_map and any(key in job for key in keys)


@dataclass(kw_only=True)
class _Reading(Draft):
    top: dict[str, Part] = field(default_factory=dict)
    """What the files say besides jobs; the last one counts."""
    named: dict[str, dict[str, Part]] = field(default_factory=dict)
    """Jobs and hidden jobs, merged over the files."""
    places: dict[str, Part] = field(default_factory=dict)
    """Where each job is written, last."""
    _done: dict[str, Job] = field(default_factory=dict)

    def file(self, document: Part, depth: int) -> None:
        """One file, after those that it includes."""
        for part in document["include"].several():
            self._include(part, depth)
        for key, part in document.items():
            if key in _RESERVED or not part.is_map:
                self.top[key] = part
            else:
                self.named[key] = _merged(self.named.get(key, {}), dict(part.items()))
                self.places[key] = part

    def _include(self, part: Part, depth: int) -> None:
        path = part["local"].text or (part.text if not part.text.startswith(("http://", "https://")) else "")
        if part["rules"]:
            self.missing(part, "it is included under a condition", ("steps", "conditions"))
        found = self.source.beside_root(path) if path and "*" not in path and depth < _DEPTH else None
        if found is None:
            what = (
                path or part["template"].text or part["component"].text or part["project"].text or part["remote"].text
            )
            self.missing(part, f"include of {what or part.text or 'a file'} is not here", ("steps", "order"))
            return
        for document in found[1]:
            self.file(document, depth + 1)

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def jobs(self) -> None:
        """All jobs of the pipeline."""
        names = [name for name in self.named if not name.startswith(".") and self._runs(name)]
        jobs = {name: self._job(name) for name in names}
        stages = [".pre", *(self.top["stages"].texts() if "stages" in self.top else _STAGES), ".post"]
        for name, job in jobs.items():
            needs = self._needs(name, job, jobs, stages)
            self._read(name, job, needs)

    def _runs(self, name: str) -> bool:
        job = self._job(name)
        return any(key in job for key in ("script", "trigger", "run"))

    def _job(self, name: str, depth: int = 0) -> Job:
        """A job with what it extends, and the defaults."""
        if name in self._done:
            return self._done[name]
        merged: dict[str, Part] = {}
        own = self.named[name]
        for other in own["extends"].texts() if "extends" in own else []:
            if other in self.named and depth < _DEPTH:
                merged = _merged(merged, self._job(other, depth + 1))
            else:
                self.missing(own["extends"], f"{name} extends {other}, which is not here", ("commands", "conditions"))
        merged = _merged(merged, own)
        if "rules" in merged:
            merged["rules"] = self._rules_of(name, merged["rules"])
        self._done[name] = merged
        return merged

    def _rules_of(self, name: str, rules: Part) -> Part:
        """Rules, with those that ``!reference`` takes from elsewhere in their place."""
        if not any(isinstance(part.value, Tagged) for part in rules.several()):
            return rules
        found: list[Any] = []
        for part in rules.several():
            keys = part.value.value if isinstance(part.value, Tagged) else None
            if keys is None:
                found.append(part.value)
                continue
            target = self.named.get(str(keys[0]), {}).get("rules") if isinstance(keys, list) and keys else None
            if target is None or any(isinstance(one.value, Tagged) for one in target.several()):
                self.missing(part, f"{name}: the rules of {keys} are not here", ("conditions",))
                found.append({"if": "unknown"})
            else:
                found += [one.value for one in target.several()]
        return rules.with_value(found)

    def _default(self, job: Job, key: str) -> Part:
        """A job's own value, or the default's."""
        if key in job:
            return job[key]
        inherit = job.get("inherit", Part(None))["default"]
        if inherit.truth is False or (inherit.is_list and key not in inherit.texts()):
            return Part(None)
        return (
            self.top["default"][key]
            if "default" in self.top and key in self.top["default"]
            else self.top.get(key, Part(None))
        )

    def _read(self, name: str, job: Job, needs: tuple[AnyOf, ...]) -> None:
        place = self.places[name]
        line, file = place.line, place.lines.file if place.lines.file != self.source.path else ""
        condition, decided, when, loose = self._conditions(job)
        fails, why = _failure(job, when, loose)
        environment = job.get("environment", Part(None))
        where = environment["name"].text or environment.text
        production = _PRODUCTION.search(where) or environment["deployment_tier"].text == "production"
        labels = {"environment": where} if production and environment["action"].text not in _NOT_DEPLOYING else {}
        commands = self._commands(name, job)
        blocking = when == "manual" and fails is Failure.STOPS
        if blocking:
            asked = Step(name, line, "approval", file=file, role=Role.APPROVAL, role_from="operator")
            needs = (self.open_group(asked, needs),)
        self.steps.append(
            Step(
                name, line, "call" if "trigger" in job else "script", _trigger(job), file=file, commands=commands,
                image=self._default(job, "image")["name"].text or self._default(job, "image").text, needs=needs,
                condition=condition, decided_by=decided, fails=fails, fails_why=why, labels=labels,
                env=tuple(key for part in (self.top.get("variables", Part(None)), job.get("variables", Part(None)))
                          for key, _ in part.items()),
            )
        )  # fmt: skip
        after = self._default(job, "after_script")
        if after:
            script = self._script(name, [after])
            self.steps.append(
                Step(
                    f"{name}/after_script", after.line, "script", file=file, commands=script,
                    needs=((Need(name, Strength.DONE, "after_script"),),),
                    fails=Failure.IGNORED, fails_why="after_script never fails a job",
                )
            )  # fmt: skip
        hooks = self._default(job, "hooks")["pre_get_sources_script"]
        if hooks:
            self.steps.append(Step(f"{name}/pre_get_sources_script", hooks.line, "script", file=file, needs=needs,
                                   commands=self._script(name, [hooks])))  # fmt: skip
        if "run" in job:
            self.missing(job["run"], f"{name} runs CI/CD steps, which are not here", ("commands",))
        if "trigger" in job:
            self.missing(job["trigger"], f"the pipeline that {name} triggers is not here", ("steps",))

    def _conditions(self, job: Job) -> tuple[str, Decider, str, bool]:
        """As :func:`_rules`, with the variables of the job that its rules read: another job may set them otherwise."""
        condition, decided, when, loose = _rules(job)
        own = {key: part.text for key, part in job.get("variables", Part(None)).items()}
        read = {key: own[key] for key in re.findall(r"\$\{?(\w+)", condition) if key in own}
        told = "".join(f", {key} being {value!r}" for key, value in sorted(read.items()))
        return condition + told, decided, when, loose

    def _commands(self, name: str, job: Job) -> tuple[Command, ...]:
        parts = [self._default(job, "before_script"), job.get("script", Part(None))]
        return self._script(name, parts)

    def _script(self, name: str, parts: Iterable[Part]) -> tuple[Command, ...]:
        """The commands of several lists, in one shell."""
        lines = [one for part in parts for one in self._lines(name, part, 0)]
        found: list[Command] = []
        text = "\n".join(text for text, _ in lines)
        script = read_script(text, _SHELL, 1)
        rows = [line for text, line in lines for line in _rows(text, line)]
        if script.problem:
            at = rows[script.line - 1] if script.line and script.line <= len(rows) else None
            self.missing_at(f"{self.source.path}:{at}" if at else "", f"{name}: {script.problem}", ("commands",))
        for command in script.commands:
            line = rows[command.line - 1] if command.line and command.line <= len(rows) else None
            found.append(replace(command, line=line, why=_relined(command.why, rows)))
        return tuple(found)

    def _lines(self, name: str, part: Part, depth: int) -> list[tuple[str, int | None]]:
        """Each line of a script and where it stands."""
        if isinstance(part.value, Tagged):
            return self._referred(name, part, depth)
        if part.is_list:
            return [one for inner in part.parts() for one in self._lines(name, inner, depth + 1)]
        return [(part.text, part.first_line)] if part.text else []

    def _referred(self, name: str, part: Part, depth: int) -> list[tuple[str, int | None]]:
        tagged = part.value
        keys = [str(key) for key in tagged.value] if isinstance(tagged.value, list) else []
        found = self._job(keys[0]).get(keys[1]) if len(keys) > 1 and keys[0] in self.named else None
        for key in keys[2:]:
            found = found[key] if found is not None else None
        if tagged.tag != "!reference" or not found or depth > _DEPTH:
            self.missing(part, f"{name}: {tagged.tag} {keys} is not here", ("commands",))
            return []
        return self._lines(name, found, depth + 1)

    # -- order --------------------------------------------------------------------------------------------------------

    def _needs(self, name: str, job: Job, jobs: Mapping[str, Job], stages: Sequence[str]) -> tuple[AnyOf, ...]:
        mine_if, _, when, _ = self._conditions(job)
        done = when in ("always", "on_failure")
        if "needs" in job:
            found = []
            for part in job["needs"].several():
                other = part["job"].text or part.text
                if other not in jobs:
                    if other or part["pipeline"] or part["project"]:
                        self.missing(
                            part, f"{name} needs {other or 'a job of another pipeline'}, which is not here", ("order",)
                        )
                    continue
                optional = part["optional"] and part["optional"].truth is not False
                other_if, decided, _, _ = self._conditions(jobs[other])
                absent = optional and decided is not Decider.ALWAYS and other_if != mine_if
                why = f"when: {when}" if done else "needs: optional" if optional else "needs"
                if absent:  # a job that is not in the pipeline hands on nothing that it would have waited for
                    why = f"needs: optional, and {other} may not be in the pipeline"
                found.append((Need(other, Strength.DONE if done or absent else Strength.SUCCESS, why),))
            return tuple(found)
        mine = self._stage(name, job, stages)
        if mine is None:
            return ()
        earlier = [
            other for other, that in jobs.items() if (at := self._stage(other, that, stages)) is not None and at < mine
        ]
        strength = Strength.DONE if done else Strength.SUCCESS_OR_SKIPPED
        why = f"when: {when}" if done else "an earlier stage"
        return tuple((Need(other, strength, why),) for other in earlier)

    def _stage(self, name: str, job: Job, stages: Sequence[str]) -> int | None:
        stage = job["stage"].text if "stage" in job else "test"
        if stage not in stages:
            part = job.get("stage", Part(None))
            self.missing(part, f"{name} is in stage {stage}, which no file here names", ("order",))
            return None
        return stages.index(stage)


def _merged(base: Job, own: Job) -> dict[str, Part]:
    """Two mappings as ``extends`` merges them: mappings within them too, everything else replaced."""
    found = dict(base)
    for key, part in own.items():
        if key in found and found[key].is_map and part.is_map and found[key].value != part.value:
            inner = _merged(dict(found[key].items()), dict(part.items()))
            found[key] = part.with_value({name: one.value for name, one in inner.items()})
        else:
            found[key] = part
    return found


def _trigger(job: Job) -> str:
    trigger = job.get("trigger", Part(None))
    return trigger["project"].text or trigger.text


def _rules(job: Job) -> tuple[str, Decider, str, bool]:
    """Under what condition a job is in the pipeline, who decides it, its ``when``, and whether a rule lets it fail."""
    when = job["when"].text if "when" in job else "on_success"
    if "rules" not in job:
        said = [f"{key}: {_said(job[key])}" for key in ("only", "except") if key in job]
        never = when == "never"
        decided = Decider.NEVER if never else Decider.DATA if said else Decider.ALWAYS
        return "; ".join(said) or (f"when: {when}" if never else ""), decided, when, False
    rules = job["rules"].parts()
    conditions = [_said(rule) for rule in rules]
    whens = [rule["when"].text or when for rule in rules]
    loose = any(rule["allow_failure"] and rule["allow_failure"].truth is not False for rule in rules)
    found = next((one for one in whens if one in ("always", "on_failure")), None)
    found = found or ("manual" if whens and all(one in ("manual", "never") for one in whens) else "on_success")
    if whens and all(one == "never" for one in whens):
        return "rules: " + " | ".join(conditions), Decider.NEVER, found, loose
    open_end = bool(rules) and not any(key in rules[-1] for key in ("if", "changes", "exists")) and whens[-1] != "never"
    if open_end and "never" not in whens:
        return "", Decider.ALWAYS, found, loose
    return "rules: " + " | ".join(conditions), Decider.DATA, found, loose


def _said(part: Part) -> str:
    if part.is_map:
        return ", ".join(f"{key}: {_said(one)}" for key, one in part.items())
    return " ".join(" ".join(part.texts()).split()) if part.is_list else " ".join(part.text.split())


def _failure(job: Job, when: str, loose: bool) -> tuple[Failure, str]:
    said = job.get("allow_failure", Part(None))
    where = f"line {said.line}: " if said.line else ""
    if said.is_map:
        return Failure.IGNORED, f"{where}allow_failure: exit_codes"
    if said and said.truth is not False:
        return Failure.IGNORED, f"{where}allow_failure: {said.text}"
    if loose:
        return Failure.IGNORED, "a rule says allow_failure: true"
    if when == "manual" and "rules" not in job and not said:
        return Failure.IGNORED, "when: manual outside rules does not block"
    return Failure.STOPS, ""


def _rows(text: str, first: int | None) -> list[int | None]:
    return [None if first is None else first + at for at in range(text.count("\n") + 1)]


def _relined(why: str, rows: Sequence[int | None]) -> str:
    """The lines of a joined script, as those of the file."""
    head, said, rest = why.partition(": ")
    if not head.startswith("line ") or not said or not head[5:].isdigit():
        return why
    at = int(head[5:])
    line = rows[at - 1] if at <= len(rows) else None
    return f"line {line}: {rest}" if line else rest
