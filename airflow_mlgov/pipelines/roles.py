"""What a step is for: told from its commands, its operator, its objects, a policy's lists; from its name only to ask
for more, never to excuse.

A gate is what this package runs, or what the policy lists. A step's name makes it sensitive, and makes no gate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from airflow_mlgov.pipelines.manifest import SENSITIVE, Command, Manifest, Role, Step

_MODULES = ("airflow_mlgov", "airflow_mlgov.cli", "airflow_mlgov.cli.app")
_OURS: Mapping[str, Role] = {"promote": Role.PROMOTE, "rollback": Role.PROMOTE, "register": Role.REGISTER}
"""``mlgov …``."""
_DEPLOYING: tuple[tuple[str, ...], ...] = (
    ("kubectl", "apply"), ("kubectl", "create"), ("kubectl", "replace"), ("kubectl", "patch"),
    ("kubectl", "set", "image"), ("kubectl", "rollout"), ("kubectl", "scale"),
    ("oc", "apply"), ("oc", "create"), ("oc", "replace"), ("oc", "rollout"),
    ("helm", "install"), ("helm", "upgrade"), ("helmfile", "apply"), ("helmfile", "sync"), ("kustomize", "apply"),
    ("argocd", "app", "sync"), ("argocd", "app", "set"), ("flux", "reconcile"),
    ("terraform", "apply"), ("tofu", "apply"), ("pulumi", "up"), ("cdk", "deploy"), ("sam", "deploy"),
    ("serverless", "deploy"), ("sls", "deploy"),
    ("aws", "sagemaker", "create-endpoint"), ("aws", "sagemaker", "update-endpoint"),
    ("aws", "sagemaker", "create-model"), ("aws", "sagemaker", "create-transform-job"),
    ("aws", "lambda", "update-function-code"), ("aws", "ecs", "update-service"),
    ("gcloud", "ai", "endpoints", "deploy-model"), ("gcloud", "run", "deploy"), ("gcloud", "app", "deploy"),
    ("gcloud", "functions", "deploy"), ("az", "ml", "online-deployment"), ("az", "ml", "online-endpoint"),
    ("az", "ml", "batch-deployment"), ("az", "containerapp", "update"), ("az", "webapp", "deploy"),
    ("databricks", "bundle", "deploy"), ("databricks", "serving-endpoints"), ("mlflow", "deployments"),
    ("mlflow", "models", "serve"), ("bentoml", "deploy"), ("bentoml", "deployment"), ("bentoml", "cloud"),
    ("anyscale", "service", "rollout"), ("anyscale", "service", "deploy"),
    ("serve", "deploy"), ("serve", "run"), ("seldon", "model", "load"), ("modal", "deploy"), ("flyctl", "deploy"),
    ("fly", "deploy"), ("heroku", "container:release"), ("eb", "deploy"), ("nomad", "job", "run"),
    ("docker", "service", "update"), ("docker", "stack", "deploy"), ("ansible-playbook",),
)  # fmt: skip
_REGISTERING: tuple[tuple[str, ...], ...] = (
    ("aws", "sagemaker", "create-model-package"), ("aws", "sagemaker", "update-model-package"),
    ("az", "ml", "model", "create"), ("az", "ml", "model", "register"), ("gcloud", "ai", "models", "upload"),
    ("gto", "register"),
)  # fmt: skip
_PROMOTING: tuple[tuple[str, ...], ...] = (("gto", "assign"), ("mlflow", "registered-models"))
_BY_COMMAND = ((Role.DEPLOY, _DEPLOYING), (Role.REGISTER, _REGISTERING), (Role.PROMOTE, _PROMOTING))

_BY_NAME: tuple[tuple[Role, re.Pattern[str]], ...] = (
    (Role.PROMOTE, re.compile(r"(?:^|[^a-z])promot(?:e|es|ion)(?:[^a-z]|$)")),
    (Role.REGISTER, re.compile(r"(?:^|[^a-z])(?:register|registers|registration)(?:[^a-z]|$)")),
    (Role.DEPLOY, re.compile(r"(?:^|[^a-z])(?:deploy|deploys|deployment|rollout|go-?live)(?:[^a-z]|$)")),
)
_UNDOING = re.compile(r"(?:^|[^a-z])(?:undeploy|(?:stop|delete|remove|clean-?up|destroy|tear-?down)-)")
_MONITORING = re.compile(r"(?:^|[^a-z])(?:monitor|monitoring|drift)(?:[^a-z]|$)")
_TRAINING = re.compile(r"(?:^|[^a-z])(?:train|training|fit|retrain)(?:[^a-z]|$)")
_OPERATORS: Mapping[str, Role] = {
    "airflow_mlgov.operators.promotion.PromoteModelOperator": Role.PROMOTE,
    "airflow_mlgov.operators.rollback.RollbackModelOperator": Role.PROMOTE,
    "airflow_mlgov.operators.registration.RegisterModelOperator": Role.REGISTER,
    "airflow_mlgov.operators.approval.ApprovalGateOperator": Role.APPROVAL,
}
_HARMLESS = frozenset({
    "echo", "printf", "cd", "mkdir", "ls", "cat", "pwd", "pip", "pip3", "uv", "apt", "apt-get", "apk", "yum",
    "dnf", "brew", "npm", "git", "export", "sleep", "date", "true", ":", "cp", "mv", "rm", "chmod", "tar",
    "unzip", "touch", "which", "test", "conda", "mamba", "poetry", "source", "env",
})  # fmt: skip
"""Programs that no step is named ``deploy`` for."""
_HARMLESS_ACTIONS = (
    "actions/", "docker/setup-", "docker/login-action", "aws-actions/configure-", "azure/login",
    "google-github-actions/auth", "google-github-actions/setup-", "hashicorp/vault-action",
)  # fmt: skip
_GATE_OPERATOR = "airflow_mlgov.operators.base.GateOperator"


@dataclass(frozen=True)
class Lists:
    """What a policy says about steps that cannot be told from themselves."""

    gates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Gate -> commands (as they begin), images by digest, or actions by commit, that run it."""
    sensitive: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """``register``, ``promote`` or ``deploy`` -> commands, operators, actions, or names of steps."""
    harmless: tuple[str, ...] = ()
    """Ids of steps whose name alone makes them look sensitive."""


def told(manifest: Manifest, lists: Lists) -> Manifest:
    """The manifest with the roles of its steps and of their commands."""
    steps = [_told(step, lists) for step in manifest.steps]
    groups = [step for step in steps if step.kind == "group" and not step.is_start]
    for group in groups:
        role = _named(group, lists) or (Role.DEPLOY if group.labels.get("environment") else None)
        inner = [at for at, step in enumerate(steps) if step.id.startswith(f"{group.id}/") and step.kind != "group"]
        if role is None or any(_is_sensitive(steps[at]) for at in inner):
            continue
        source = "environment" if group.labels.get("environment") else "name"
        _lend(steps, inner, role, source)
    return replace(manifest, steps=tuple(steps))


def _lend(steps: list[Step], inner: Sequence[int], role: Role, source: str) -> None:
    """Give a group's role to the first of its steps that may be what the group is named after."""
    for at in inner:
        step = steps[at]
        if step.role in (Role.GATE, Role.APPROVAL):
            continue
        if step.commands:
            commands = _lent(step.commands, role, source)
            if commands is not None:
                steps[at] = replace(step, commands=commands, role=role, role_from=source)
                return
        elif not step.operator.startswith(_HARMLESS_ACTIONS):
            steps[at] = replace(step, role=role, role_from=source)
            return


def _lent(commands: tuple[Command, ...], role: Role, source: str) -> tuple[Command, ...] | None:
    """Commands of which the first that may be sensitive is; None if none may."""
    for at, command in enumerate(commands):
        if command.role is Role.OTHER and not _is_harmless(command):
            return (*commands[:at], replace(command, role=role, role_from=source), *commands[at + 1 :])
    return None


def _is_harmless(command: Command) -> bool:
    words = command.words
    if words[0] in _HARMLESS:
        return True
    return bool(re.fullmatch(r"python[0-9.]*", words[0])) and tuple(words[1:3]) in (("-m", "pip"), ("-m", "venv"))


def _is_sensitive(step: Step) -> bool:
    return step.role in SENSITIVE or any(command.role in SENSITIVE for command in step.commands)


def _told(step: Step, lists: Lists) -> Step:
    step = replace(step, commands=tuple(_command(command, lists) for command in step.commands))
    for role, gate, source in _candidates(step, lists):
        return replace(step, role=role, role_from=source, gate=gate)
    if (named := _named(step, lists)) is None or step.kind == "group":
        return step
    if named not in SENSITIVE or not step.commands:
        return replace(step, role=named, role_from="name")
    commands = _lent(step.commands, named, "name")
    return step if commands is None else replace(step, commands=commands, role=named, role_from="name")


def _candidates(step: Step, lists: Lists) -> list[tuple[Role, str, str]]:
    """Roles of a step, the surest first; a sensitive command before a gate, so that no gate hides it."""
    found: list[tuple[Role, str, str]] = []
    for gate, entries in lists.gates.items():
        if _pinned(step, entries):
            found.append((Role.GATE, gate, "list"))
    for word, entries in lists.sensitive.items():
        if step.operator in entries or step.id in entries or set(step.classes) & set(entries):
            found.append((Role(word), "", "list"))
    if step.role is not Role.OTHER:  # the reader knows it from the platform's own types
        found.append((step.role, step.gate, step.role_from or "operator"))
    found += _by_class(step)
    commands = [command for command in step.commands if command.role in SENSITIVE]
    return found + [(command.role, "", command.role_from) for command in commands]


def _named(step: Step, lists: Lists) -> Role | None:
    """What a step's name says that it is."""
    if step.id in lists.harmless or step.is_start:
        return None
    said = f"{step.id.rpartition('/')[2]} {step.labels.get('name', '')} {step.operator}".lower().replace("_", "-")
    if _UNDOING.search(said):
        return None
    role = next((role for role, pattern in _BY_NAME if pattern.search(said)), None)
    if role is not None:
        return role
    if _MONITORING.search(said):
        return Role.MONITOR
    return Role.TRAIN if _TRAINING.search(said) else None


def _pinned(step: Step, entries: Sequence[str]) -> bool:
    """Whether what the step runs is listed, and named so that it cannot change behind its name."""
    for entry in entries:
        if "@sha256:" in entry and step.image == entry:
            return True
        if re.fullmatch(r"[^@\s]+@[0-9a-f]{40}", entry) and step.operator == entry:
            return True
        if step.kind == "check" and step.operator == entry:
            return True
    return False


def _by_class(step: Step) -> list[tuple[Role, str, str]]:
    if _GATE_OPERATOR in step.classes:
        return [(Role.GATE, step.gate, "operator")]
    return [(role, "", "operator") for name, role in _OPERATORS.items() if name in step.classes]


def _command(command: Command, lists: Lists) -> Command:
    words = command.words
    for gate, entries in lists.gates.items():
        if any(_begins(words, entry.split()) for entry in entries):
            return replace(command, role=Role.GATE, role_from="list", gate=gate)
    for word, entries in lists.sensitive.items():
        if any(_begins(words, entry.split()) for entry in entries):
            return replace(command, role=Role(word), role_from="list")
    ours = _our_words(words)
    if ours[:1] == ("verify",) and not _asks_only(words):
        return replace(command, role=Role.GATE, role_from="command", gate="verify")
    if ours[:1] == ("gate",) and len(ours) > 1 and not _asks_only(words):
        name = ours[1].replace("-", "_")
        return replace(command, role=Role.GATE, role_from="command", gate=_GATE_NAMES.get(name, name))
    if ours and ours[0] in _OURS:
        return replace(command, role=_OURS[ours[0]], role_from="command")
    for role, known in _BY_COMMAND:
        if any(_begins(_bare(words), one) for one in known):
            return replace(command, role=role, role_from="command")
    return command


_GATE_NAMES = {"data": "data_validation", "features": "feature_service"}
"""What the command line calls a gate -> its name."""


def _asks_only(words: Sequence[str]) -> bool:
    """Whether a command of ours stops nothing: it shows its help, asks what if, or only warns."""
    text = " ".join(words).replace("=", " ")
    return bool({"--help", "-h", "--what-if"} & set(words)) or bool(re.search(r"--mode (?:warn|observe)\b", text))


def _our_words(words: Sequence[str]) -> tuple[str, ...]:
    """What follows ``mlgov``, without its options; empty if this is another program."""
    if words[:1] == ("mlgov",):
        rest = words[1:]
    elif words[:2] == ("airflow", "mlgov"):
        rest = words[2:]
    elif re.fullmatch(r"python[0-9.]*", words[0]) and len(words) > 2 and words[1] == "-m" and words[2] in _MODULES:
        rest = words[3:]
    else:
        return ()
    return tuple(word for word in rest if not word.startswith("-"))


def _bare(words: Sequence[str]) -> tuple[str, ...]:
    """A command without the options that stand before its subcommand: ``kubectl -n prod apply``."""
    found, rest = [words[0]], list(words[1:])
    while rest:
        word = rest.pop(0)
        if word.startswith("-"):
            if word in _WITH_VALUE and rest:
                rest.pop(0)
            continue
        found.append(word)
    return tuple(found)


_WITH_VALUE = frozenset({"-n", "--namespace", "--context", "--kubeconfig", "--profile", "--region", "--cluster", "-f"})


def _begins(words: Sequence[str], known: Sequence[str]) -> bool:
    return bool(known) and tuple(words[: len(known)]) == tuple(known)
