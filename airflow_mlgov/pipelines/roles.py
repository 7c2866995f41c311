"""What a step is for: told from its commands, its operator, its objects, a policy's lists; from its name only to ask
for more, never to excuse.

A gate is what this package runs, or what the policy lists. A step's name makes it sensitive, and makes no gate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from airflow_mlgov.pipelines.manifest import SENSITIVE, Command, ExitCode, Manifest, Role, Step, Unknown
from airflow_mlgov.pipelines.shell_words import STAND_IN, SWAYING

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
_WATCHING: tuple[tuple[str, ...], ...] = (
    ("aws", "sagemaker", "create-monitoring-schedule"), ("aws", "sagemaker", "start-monitoring-schedule"),
    ("gcloud", "ai", "model-monitoring-jobs", "create"), ("gcloud", "ai", "model-monitors"),
    ("databricks", "quality-monitors", "create"), ("databricks", "lakehouse-monitors", "create"),
    ("evidently",), ("nannyml",), ("nml",), ("whylogs",), ("deepchecks",), ("fiddler",), ("arize",),
)  # fmt: skip
"""What watches a model; only as a command of its own, for `pip install evidently` watches nothing."""
_BY_COMMAND = (*((Role.DEPLOY, one) for one in _DEPLOYING), *((Role.REGISTER, one) for one in _REGISTERING),
               *((Role.PROMOTE, one) for one in _PROMOTING))  # fmt: skip
_KNOWN = frozenset(one[0] for one in (*_DEPLOYING, *_REGISTERING, *_PROMOTING))

_STARTING: tuple[tuple[str, ...], ...] = (
    ("gh", "workflow", "run"), ("argo", "submit"), ("argo", "resubmit"), ("tkn", "pipeline", "start"),
    ("airflow", "dags", "trigger"), ("kfp", "run", "create"), ("kfp", "run", "submit"), ("glab", "ci", "run"),
    ("aws", "sagemaker", "start-pipeline-execution"), ("aws", "stepfunctions", "start-execution"),
    ("aws", "codepipeline", "start-pipeline-execution"), ("gcloud", "builds", "triggers", "run"),
)  # fmt: skip
"""What starts another pipeline."""
_STARTERS = frozenset(one[0] for one in _STARTING)
_READING = frozenset({
    "list", "ls", "get", "show", "describe", "status", "history", "logs", "get-logs", "query", "invoke", "predict",
    "help", "explain", "wait",
})  # fmt: skip
"""Words after a command of those above by which it looks and moves nothing."""
_MAKING = frozenset({"namespace", "ns", "secret", "serviceaccount", "sa", "token", "clusterrolebinding", "rolebinding"})
"""What ``kubectl create`` makes that serves nothing."""
_APPROVING = re.compile(r"--model-approval-status[= ](?!PendingManualApproval|Rejected)")
_CALLS: tuple[tuple[Role, re.Pattern[str]], ...] = (
    (Role.PROMOTE, re.compile(
        r"set_registered_model_alias|transition_model_version_stage|"
        r"/mlflow/(?:registered-models/alias|model-versions/transition-stage)"
    )),
    (Role.REGISTER, re.compile(
        r"\bregister_model\s*\(|create_model_version\s*\(|registered_model_name\s*=\s*[^\sN]|/mlflow/model-versions/create"
    )),
)  # fmt: skip
"""What a program says that is written into the command itself: Python, or a request to MLflow."""
_BY_NAME: tuple[tuple[Role, re.Pattern[str]], ...] = (
    (Role.PROMOTE, re.compile(r"(?:^|[^a-z])promot(?:e|es|er|ing|ion)(?:[^a-z]|$)")),
    (Role.REGISTER, re.compile(r"(?:^|[^a-z])(?:register|registers|registering|registration)(?:[^a-z]|$)")),
    (Role.DEPLOY, re.compile(r"(?:^|[^a-z])(?:deploy(?:s|er|ing|ments?)?|roll-?out|go-?live)(?:[^a-z]|$)")),
)
_UNDOING = re.compile(
    r"(?:^|[^a-z])(?:un|(?:stop|delete|remove|clean-?up|destroy|tear-?down)-(?:(?:the|old|all|review|model|endpoint)-)?)"
    r"(?:deploy\w*|promot\w*|register\w*|registration|roll-?out)"
)
_MONITORING = re.compile(r"(?:^|[^a-z])(?:monitor|monitoring|drift)(?:[^a-z]|$)")
_TRAINING = re.compile(r"(?:^|[^a-z])(?:train|training|fit|retrain)(?:[^a-z]|$)")
_OPERATORS: Mapping[str, Role] = {
    "airflow_mlgov.operators.promotion.PromoteModelOperator": Role.PROMOTE,
    "airflow_mlgov.operators.rollback.RollbackModelOperator": Role.PROMOTE,
    "airflow_mlgov.operators.registration.RegisterModelOperator": Role.REGISTER,
    "airflow_mlgov.operators.approval.ApprovalGateOperator": Role.APPROVAL,
    "airflow_mlgov.operators.audit.PostDeploymentAuditOperator": Role.MONITOR,
    "airflow_mlgov.operators.monitoring.MonitorModelOperator": Role.MONITOR,
    "airflow_mlgov.operators.reconcile.ReconcileRegistryOperator": Role.MONITOR,
    "airflow.providers.amazon.aws.operators.sagemaker.SageMakerCreateMonitoringScheduleOperator": Role.MONITOR,
}
_HARMLESS = frozenset({
    "echo", "printf", "cd", "mkdir", "ls", "cat", "pwd", "pip", "pip3", "uv", "apt", "apt-get", "apk", "yum",
    "dnf", "brew", "npm", "git", "export", "sleep", "date", "true", ":", "cp", "mv", "rm", "chmod", "tar",
    "unzip", "touch", "which", "test", "conda", "mamba", "poetry", "source", "env",
})  # fmt: skip
"""Programs that no step is named ``deploy`` for."""
_MOVING = frozenset({"cp", "mv", "tar", "npm", "git", "uv", "poetry"})
"""Those of them that may be what a step is named for, if nothing else in it is."""
_PRINTING = frozenset({
    "echo", "printf", "cat", "grep", "egrep", "rg", "sed", "awk", "jq", "yq", "which", "type", "man", "pip", "pip3",
    "apt", "apt-get", "apk", "yum", "dnf", "brew", "git", "test", "[", "export", "cd", "ls", "command", "tee", "logger",
})  # fmt: skip
"""Programs that run none of their words."""
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
    monitors: tuple[str, ...] = ()
    """Commands (as they begin), operators, actions, or ids of steps, that watch what is deployed."""


def told(manifest: Manifest, lists: Lists, *, by_name: bool = True) -> Manifest:
    """The manifest with the roles of its steps and of their commands.

    :param by_name: whether a step's name makes it sensitive
    """
    steps = [_swayed(_told(step, lists, by_name=by_name)) for step in manifest.steps]
    groups = [step for step in steps if step.kind == "group" and not step.is_start]
    for group in groups:
        role = _named(group, lists) or (Role.DEPLOY if group.labels.get("environment") else None)
        inner = [at for at, step in enumerate(steps) if step.id.startswith(f"{group.id}/") and step.kind != "group"]
        if role is None or any(_is_sensitive(steps[at]) for at in inner):
            continue
        source = "environment" if group.labels.get("environment") else "name"
        _lend(steps, inner, role, source)
    return replace(manifest, steps=tuple(steps), unknown=(*manifest.unknown, *_elsewhere(manifest)))


def _elsewhere(manifest: Manifest) -> list[Unknown]:
    """What the pipeline starts that is not in it."""
    found = []
    for step in manifest.steps:
        for command in step.commands:
            tails = [tail for tail in _tails(command.words) if _programs(tail) & _STARTERS]
            known = next((one for one in _STARTING for tail in tails if _is(tail, one)), None)
            if known:
                why = f"{step.id} starts another pipeline ({' '.join(known)}), which is judged by itself"
                found.append(Unknown(manifest.where(step, command.line), why))
    return list(dict.fromkeys(found))


def _swayed(step: Step) -> Step:
    """Gates whose shell is told by its environment to run something else before."""
    names = [name for name in step.env if SWAYING.fullmatch(name)]
    if not names:
        return step
    why = f"its environment sets {names[0]}"
    commands = tuple(
        replace(one, exit_code=ExitCode.UNKNOWN, why=why)
        if one.role is Role.GATE and one.exit_code is ExitCode.KEPT
        else one
        for one in step.commands
    )
    return replace(step, commands=commands)


def _lend(steps: list[Step], inner: Sequence[int], role: Role, source: str) -> None:
    """Give a group's role to the first of its steps that may be what the group is named after."""
    for moving in (False, True):
        for at in inner:
            step = steps[at]
            if step.role in (Role.GATE, Role.APPROVAL):
                continue
            if step.commands:
                commands = _lent(step.commands, role, source, moving=moving)
                if commands is not None:
                    steps[at] = replace(step, commands=commands, role=role, role_from=source)
                    return
            elif not step.operator.startswith(_HARMLESS_ACTIONS):
                steps[at] = replace(step, role=role, role_from=source)
                return


def _lent(
    commands: tuple[Command, ...], role: Role, source: str, *, moving: bool = False
) -> tuple[Command, ...] | None:  # fmt: skip
    """Commands of which the first that may be sensitive is; None if none may.

    :param moving: whether one that copies or pushes may be, too
    """
    for at, command in enumerate(commands):
        if command.role is Role.OTHER and (not _is_harmless(command) or (moving and _moves(command))):
            return (*commands[:at], replace(command, role=role, role_from=source), *commands[at + 1 :])
    return None


def _moves(command: Command) -> bool:
    words = command.words
    return words[0] in _MOVING and (words[0] != "git" or "push" in words)


def _is_harmless(command: Command) -> bool:
    words = command.words
    if words[0] in _HARMLESS:
        return True
    return bool(re.fullmatch(r"python[0-9.]*", words[0])) and tuple(words[1:3]) in (("-m", "pip"), ("-m", "venv"))


def _is_sensitive(step: Step) -> bool:
    return step.role in SENSITIVE or any(command.role in SENSITIVE for command in step.commands)


def _told(step: Step, lists: Lists, *, by_name: bool) -> Step:
    if step.commands:
        step = replace(step, commands=tuple(_command(command, lists) for command in step.commands))
    for role, gate, source in _candidates(step, lists):
        return replace(step, role=role, role_from=source, gate=gate)
    if step.kind == "group" or not by_name:
        return step
    source, named = "name", _named(step, lists)
    if step.labels.get("environment") and named not in SENSITIVE and step.id not in lists.harmless:
        source, named = "environment", Role.DEPLOY
    if named is None:
        return step
    if named not in SENSITIVE or not step.commands:
        return replace(step, role=named, role_from=source)
    commands = _lent(step.commands, named, source) or _lent(step.commands, named, source, moving=True)
    return step if commands is None else replace(step, commands=commands, role=named, role_from=source)


def _candidates(step: Step, lists: Lists) -> list[tuple[Role, str, str]]:
    """Roles of a step, the surest first; a sensitive command before a gate, so that no gate hides it."""
    found: list[tuple[Role, str, str]] = []
    for gate, entries in lists.gates.items():
        if _pinned(step, entries):
            found.append((Role.GATE, gate, "list"))
    for word, entries in lists.sensitive.items():
        if step.operator in entries or step.id in entries or set(step.classes) & set(entries):
            found.append((Role(word), "", "list"))
    if step.operator in lists.monitors or step.id in lists.monitors or set(step.classes) & set(lists.monitors):
        found.append((Role.MONITOR, "", "list"))
    if step.role is not Role.OTHER:  # the reader knows it from the platform's own types
        found.append((step.role, step.gate, step.role_from or "operator"))
    found += _by_class(step)
    commands = [command for command in step.commands if command.role in SENSITIVE]
    return found + [(command.role, "", command.role_from) for command in commands]


def _named(step: Step, lists: Lists) -> Role | None:
    """What a step's name says that it is."""
    if step.id in lists.harmless or step.is_start:
        return None
    said = f"{step.id.rpartition('/')[2]} {step.labels.get('name', '')} {step.operator}"
    said = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", said).lower().replace("_", "-").replace(" ", "-")
    said = _UNDOING.sub("", said)
    role = next((role for role, pattern in _BY_NAME if pattern.search(said)), None)
    if role is not None:
        return role
    if _MONITORING.search(said):
        return Role.MONITOR
    return Role.TRAIN if _TRAINING.search(said) else None


def _pinned(step: Step, entries: Sequence[str]) -> bool:
    """Whether what the step runs is listed, and named so that it cannot change behind its name."""
    for entry in entries:
        if "@sha256:" in entry and step.image == entry and _entrypoint(step):
            return True
        if re.fullmatch(r"[^@\s]+@[0-9a-f]{40}", entry) and step.operator == entry:
            return True
        if step.kind == "check" and step.operator == entry:
            return True
    return False


def _entrypoint(step: Step) -> bool:
    """Whether the image's own program runs: with a command of the pipeline's the image says nothing."""
    asks = any(_asks_only(command.words) for command in step.commands)
    return step.kind != "script" and not asks and all(one.exit_code is ExitCode.UNKNOWN for one in step.commands)


def _by_class(step: Step) -> list[tuple[Role, str, str]]:
    if _GATE_OPERATOR in step.classes:
        return [(Role.GATE, step.gate, "operator")]
    return [(role, "", "operator") for name, role in _OPERATORS.items() if name in step.classes]


def _command(command: Command, lists: Lists) -> Command:
    words = command.words
    for gate, entries in lists.gates.items():
        if any(_begins(words, entry.split()) for entry in entries):
            return replace(command, role=Role.GATE, role_from="list", gate=gate)
    for word, entries in (*lists.sensitive.items(), ("monitor", lists.monitors)):
        if any(_begins(words, entry.split()) for entry in entries):
            return replace(command, role=Role(word), role_from="list")
    ours = _our_words(words)
    if ours[:1] == ("verify",) and not _asks_only(words):
        return _gate(command, "verify")
    if ours[:1] == ("gate",) and len(ours) > 1 and not _asks_only(words):
        name = ours[1].replace("-", "_")
        return _gate(command, _GATE_NAMES.get(name, name))
    role = next((role for tail in _tails(words) if (role := _by_words(tail))), None)
    if role is None and _watches(words, ours):
        role = Role.MONITOR
    return command if role is None else replace(command, role=role, role_from="command")


def _watches(words: Sequence[str], ours: Sequence[str]) -> bool:
    """Whether a command of its own watches what is deployed."""
    known = ours[:1] == ("reconcile",) or any(_is(words, one) for one in _WATCHING)
    return known and not _asks_only(words) and "--version" not in words


_GATE_NAMES = {"data": "data_validation", "features": "feature_service"}
"""What the command line calls a gate -> its name."""


def _gate(command: Command, name: str) -> Command:
    """A command as a gate; one in which anything may be put in may ask for its help alone."""
    found = replace(command, role=Role.GATE, role_from="command", gate=name)
    if command.exit_code is not ExitCode.KEPT:
        return found
    words = command.words
    loose = [
        words[at]
        for at in command.open
        if at == 0 or at - 1 in command.open or not re.fullmatch(r"--[a-z][a-z-]*", words[at - 1])
    ]
    if loose or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        shown = "what the platform puts in" if not loose or loose[0] == STAND_IN else loose[0]
        return replace(found, exit_code=ExitCode.UNKNOWN, why=f"{shown} may be an option that asks for its help alone")
    return found


def _asks_only(words: Sequence[str]) -> bool:
    """Whether a command of ours stops nothing: it shows its help, asks what if, or only warns."""
    text = " ".join(words).replace("=", " ")
    told = {"--help", "-h", "--what-if", "--version", "--show-completion", "--install-completion"}
    return bool(told & set(words)) or bool(re.search(r"--mode (?!enforce\b)", text))


def is_sensitive(command: Command) -> bool:
    """Whether a command by itself registers, promotes or deploys."""
    return any(_by_words(tail) for tail in _tails(command.words))


def _our_words(words: Sequence[str], *, anywhere: bool = False) -> tuple[str, ...]:
    """What follows ``mlgov``, without its options; empty if this is another program.

    :param anywhere: whether it counts wherever the program lies
    """
    program = words[0].rpartition("/")[2] if anywhere else words[0]
    if program == "mlgov":
        rest = words[1:]
    elif words[:2] == ("airflow", "mlgov"):
        rest = words[2:]
    elif re.fullmatch(r"python[0-9.]*", words[0]) and (module := _module(words[1:])):
        rest = module
    else:
        return ()
    return tuple(word for word in rest if not word.startswith("-"))


def _module(words: Sequence[str]) -> tuple[str, ...]:
    """What follows ``-m airflow_mlgov``; empty if Python runs something else."""
    rest = tuple(words)
    while rest and re.fullmatch(r"-[uBEIOsSb]+|-W\w+|-[WX]", rest[0]):
        rest = rest[2:] if rest[0] in ("-W", "-X") else rest[1:]
    return rest[2:] if len(rest) > 2 and rest[0] == "-m" and rest[1] in _MODULES else ()


def _tails(words: Sequence[str]) -> list[tuple[str, ...]]:
    """A command, and each command that its program may run: ``xargs -r kubectl apply``, ``ssh host mlgov promote``."""
    if not words:
        return []
    whole = tuple(words)
    return [whole] if words[0] in _PRINTING else [whole[at:] for at in range(min(len(whole), 60))]


def _by_words(words: tuple[str, ...]) -> Role | None:
    """The role of a command that registers, promotes or deploys."""
    ours = _our_words(words, anywhere=True)
    if ours and ours[0] in _OURS and "--help" not in words:
        return _OURS[ours[0]]
    role = next((role for role, one in _BY_COMMAND if _is(words, one)), None) if _programs(words) & _KNOWN else None
    if role is not None:
        return Role.PROMOTE if role is Role.REGISTER and _APPROVING.search(" ".join(words)) else role
    if words[0] in _PRINTING:
        return None
    return next((role for role, pattern in _CALLS if any(pattern.search(word) for word in words)), None)


def _programs(words: Sequence[str]) -> set[str]:
    """The programs that a command may start by its first word: ``/usr/bin/aws`` and ``${KUBECTL}`` too."""
    program = words[0].rpartition("/")[2]
    return {program, program.strip("${}").lower()}


def _is(words: Sequence[str], known: Sequence[str]) -> bool:
    """Whether a command is a known one, wherever its options stand: ``kubectl -v 5 apply``."""
    if known[0] not in _programs(words):
        return False
    rest, waiting, option = list(words[1:]), list(known[1:]), False
    while waiting and rest:
        word = rest.pop(0)
        if word == waiting[0]:
            waiting.pop(0)
            option = False
        elif word.startswith("-"):
            option = "=" not in word
        elif option or word in ("beta", "alpha"):
            option = False
        else:
            return False
    return not waiting and not _only_looks(known, rest)


def _only_looks(known: Sequence[str], rest: Sequence[str]) -> bool:
    """Whether a known command looks at something, or tries what it would do, and moves nothing."""
    if len(known) > 1 and rest and rest[0] in _READING:
        return True
    if known == ("kubectl", "create") and rest and rest[0] in _MAKING:
        return True
    dry = [word.partition("=")[2] for word in rest if word == "--dry-run" or word.startswith("--dry-run=")]
    return known[0] in ("kubectl", "oc", "helm") and bool(dry) and set(dry) <= {"", "client", "server"}


def _begins(words: Sequence[str], known: Sequence[str]) -> bool:
    return bool(known) and tuple(words[: len(known)]) == tuple(known)
