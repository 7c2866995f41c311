"""Init containers that check a model's bytes before anything of their pod starts: ``mlgov verify REF --into DIR``.

Counted only if nothing of the pod can have changed what they run or whom they ask: they come first, their failure
stops the pod, and every word is written out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_mlgov.admission.served import Container, Named, Problem, Serving, named_by
from airflow_mlgov.pipelines.documents import Part
from airflow_mlgov.pipelines.guards import judge
from airflow_mlgov.pipelines.manifest import Command, Manifest, Need, Role, Step
from airflow_mlgov.pipelines.readers.containers import with_container
from airflow_mlgov.pipelines.roles import Lists, told

_OPTIONS = ("ledger", "trust", "registry", "environment", "target", "into", "policy", "checkpoint")
_DEPLOY = "(serve)"
_ASKED = ("hostAliases", "dnsConfig", "dnsPolicy")
_TOKENS = "/var/run/secrets/"
"""Where Kubernetes, or a cloud, mounts the account's token into every container that does not forgo it."""


@dataclass
class Verifier:
    """One init container that verifies a model."""

    where: str
    pod: str
    image: str
    named: Named | None = None
    options: dict[str, str] = field(default_factory=dict)
    env: list[str] = field(default_factory=list)
    """Names of its variables; those with a value that is written out end in ``=``."""
    mounts: list[str] = field(default_factory=list)
    """Kinds of the volumes that it mounts."""
    fills: str = ""
    """The name of the volume that it leaves the verified files in."""
    problems: list[str] = field(default_factory=list)
    """Why it proves nothing."""

    def as_dict(self, versions: Sequence[tuple[str, str | None, str | None]]) -> dict[str, Any]:
        """JSON form.

        :param versions: what it verifies, see ``standing.Book``
        """
        return {
            "where": self.where,
            "image": self.image,
            "verifies": [meant(*one) for one in versions],
            "options": self.options,
            "env": self.env,
            "mounts": self.mounts,
            "problems": self.problems,
        }


def meant(name: str, version: str | None, alias: str | None) -> str:
    """A version in one spelling."""
    return f"models:/{name}/{version}" if alias is None else f"models:/{name}@{alias}"


def verifiers(serving: Serving) -> list[Verifier]:
    """The init containers of every pod that run ``mlgov verify``."""
    found = []
    for pod in dict.fromkeys(one.pod for one in serving.containers):
        inits = [one for one in serving.containers if one.pod == pod and one.kind == "initContainers"]
        found += _of_pod(inits, serving)
    for one in found:
        over = next((where for other in _others(one, serving) if (where := _mounted_over(other, one.fills))), "")
        if over:
            one.problems.append(f"{over} mounts another volume over what it has verified")
        writers = [other.where for other in _others(one, serving) if not _mounts_to_read(other.part, one.fills)]
        if one.fills and writers:
            one.problems.append(f"{writers[0]} may write to what it has verified: mount it readOnly there")
    return found


def served_by(found: Sequence[Verifier], serving: Serving) -> list[Named]:
    """What pods serve because a verifier has left it in a volume that another container of the pod mounts."""
    return [one.named for one in found if one.named is not None and one.fills and _others(one, serving)]


def _others(one: Verifier, serving: Serving) -> list[Container]:
    """The other containers of a verifier's pod that mount what it fills."""
    return [
        other
        for other in serving.containers
        if other.pod == one.pod
        and other.where != one.where
        and any(mount["name"].text == one.fills for mount in other.part["volumeMounts"].parts())
    ]


def _of_pod(inits: Sequence[Container], serving: Serving) -> list[Verifier]:
    steps: list[Step] = []
    for one in inits:
        if one.part["restartPolicy"].text == "Always":
            continue
        before = ((Need(steps[-1].id),),) if steps else ()
        steps.append(with_container(Step(one.where, needs=before), one.part)[0])
    last = ((Need(steps[-1].id),),) if steps else ()
    steps.append(Step(_DEPLOY, None, "object", needs=last, role=Role.DEPLOY, role_from="operator"))
    manifest = told(Manifest("kubernetes", "pod", "", "", tuple(steps)), Lists())
    deploy = next(one for one in judge(manifest) if one.step.id == _DEPLOY)
    guarding = {(ref.step, ref.command) for ref in deploy.guards}
    weak = {(one.gate.step, one.gate.command): f"{one.why} [{one.code}]" for one in deploy.weak}
    commands = {step.id: step.commands for step in manifest.steps}
    found, first = [], True
    for one in inits:
        mine = [(at, c) for at, c in enumerate(commands.get(one.where, ())) if c.gate == "verify"]
        for at, command in mine:
            made = _read(one, command, serving)
            if (one.where, at) not in guarding:
                made.problems.append(weak.get((one.where, at), "the pod does not wait for its success"))
            if not first:
                made.problems.append("another init container comes before it, and may change what it finds")
            if len(commands[one.where]) > 1:
                made.problems.append("it runs other commands too")
            found.append(made)
        if not mine and "verify" in " ".join((*one.part["command"].texts(), *one.part["args"].texts())).split():
            sidecar = one.part["restartPolicy"].text == "Always"
            why = "it is restarted always, so nothing waits for its end" if sidecar else "how it runs cannot be read"
            found.append(Verifier(one.where, one.pod, one.image, problems=[why]))
        first = first and bool(mine)
    return found


def _read(container: Container, command: Command, serving: Serving) -> Verifier:
    part = container.part
    kinds = {volume.name: volume.kind for volume in serving.volumes if volume.where.startswith(f"{container.pod}.")}
    mounts = part["volumeMounts"].parts()
    made = Verifier(
        container.where,
        container.pod,
        container.image,
        env=[f"{one['name'].text}{'' if one['valueFrom'] else '='}" for one in part["env"].parts()],
        mounts=[kinds.get(one["name"].text, "unknown") for one in mounts if not _is_token(one, kinds)],
    )
    for key in _ASKED:
        if serving.pods[container.pod][key].value not in (None, [], "", {}, "ClusterFirst"):
            made.problems.append(f"the pod's {key} changes whom it asks")
    for key in ("envFrom", "workingDir", "lifecycle", "volumeDevices"):
        if part[key].value not in (None, [], "", {}):
            made.problems.append(f"{key} changes what it runs or whom it asks")
    references = _options(command.words, made)
    if len(references) != 1:
        made.problems.append("it must name one model")
    else:
        named = named_by(references[0], container.where)
        if isinstance(named, Problem) or named.kind != "registry":
            made.problems.append(f"{references[0]} is neither models:/name/version nor models:/name@alias")
        else:
            made.named = named
    if into := made.options.get("into"):
        made.fills = _volume_at(mounts, into)
        if not made.fills:
            made.problems.append(f"--into {into} is in no volume that it mounts, so nothing else sees it")
    return made


def _options(words: Sequence[str], made: Verifier) -> list[str]:
    """Fill the verifier's options; what is none."""
    rest, plain = list(words[words.index("verify") + 1 :]) if "verify" in words else [], []
    if words[:2] != ("mlgov", "verify"):
        made.problems.append("write it as `mlgov verify REF …`")
    while rest:
        word = rest.pop(0)
        if "$" in word or "EXPRESSION" in word:
            made.problems.append("a word is put together when it starts: write it out")
        if not word.startswith("-"):
            plain.append(word)
            continue
        name, separator, value = word.removeprefix("--").partition("=")
        if word == "--json":
            continue
        if name not in _OPTIONS or not word.startswith("--") or not (separator or rest):
            made.problems.append(f"the option {word} is not known here")
            continue
        if name in made.options:
            made.problems.append(f"the option --{name} stands twice")
        made.options[name] = value if separator else rest.pop(0)
    return plain


def _mounts_to_read(part: Part, volume: str) -> bool:
    mounts = [one for one in part["volumeMounts"].parts() if one["name"].text == volume]
    return all(one["readOnly"].value is True for one in mounts)


def _is_token(mount: Part, kinds: Mapping[str, str]) -> bool:
    """Whether it is the account's token, which is mounted into every container."""
    return mount["mountPath"].text.startswith(_TOKENS) and kinds.get(mount["name"].text) == "projected"


def _mounted_over(container: Container, volume: str) -> str:
    """The mount that hides part of a volume in a container; empty if none does."""
    mounts = container.part["volumeMounts"].parts()
    own = [one["mountPath"].text.rstrip("/") for one in mounts if one["name"].text == volume]
    for at, one in enumerate(mounts):
        path = one["mountPath"].text.rstrip("/")
        if one["name"].text != volume and any(path == place or path.startswith(f"{place}/") for place in own):
            return f"{container.where}.volumeMounts[{at}]"
    return ""


def _volume_at(mounts: Sequence[Part], path: str) -> str:
    """The name of the volume that a path lies in."""
    inside: Mapping[str, str] = {
        one["mountPath"].text.rstrip("/"): one["name"].text
        for one in mounts
        if re.fullmatch(rf"{re.escape(one['mountPath'].text.rstrip('/'))}(?:/.*)?", path) and ".." not in path
    }
    return inside[max(inside, key=len)] if inside else ""
