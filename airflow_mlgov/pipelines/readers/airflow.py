"""Airflow: a DAG as Airflow has parsed it. Its file is code, and is not read here.

A task waits for its upstream tasks as its trigger rule says. Any operator but a gate may skip itself, and what follows
it by ``all_success``; so ``none_failed`` hands on only what no skipped task can be before.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from types import CodeType
from typing import Any

from airflow_mlgov.pipelines.inventory import inventory_of_tasks
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
    Unknown,
)
from airflow_mlgov.pipelines.shell import Script, Shell, read_script, read_words

OURS = "airflow_mlgov."
_GATE = "airflow_mlgov.operators.base.BaseGateOperator"
_TRIGGERING = "TriggerDagRunOperator"
_RUN = frozenset({"execute", "judge", "pre_execute", "post_execute", "execute_complete", "resume_execution"})
"""Methods by which an operator of this package is a gate."""
_PROMOTING = frozenset({
    "PromoteModelOperator", "RollbackModelOperator", "set_registered_model_alias", "transition_model_version_stage",
})  # fmt: skip
"""Names by which Python promotes a model."""
_MOST_CODE = 1_000
"""Functions within a function that are looked into."""
_NEVER_SKIPPED = frozenset({"all_success", "all_done", "always", "none_failed"})
"""Trigger rules by which a task is not skipped where none before it was."""
_GIVEN = (
    "image", "bash_command", "env", "env_vars", "environment", "private_environment", "cmds", "command", "arguments",
    "op_args", "op_kwargs", "headers", "data", "sql", "conf", "endpoint",
)  # fmt: skip
"""Arguments of operators that may hold an image or a secret."""


def read_dag(dag: Any, source: str) -> Manifest:
    """A DAG as a manifest.

    :param dag: ``airflow.sdk.DAG`` or what a task finds as ``context["dag"]``
    :param source: its file, as messages name it
    """
    held = inventory_of_tasks({str(task.task_id): _arguments(task) for task in dag.tasks}, source)
    draft = replace(read_steps(dag, source), inventory=held)
    text = json.dumps(draft.as_dict(), sort_keys=True, separators=(",", ":"), default=str)
    return replace(draft, sha256=hashlib.sha256(text.encode()).hexdigest())


def read_steps(dag: Any, source: str, word: str = "") -> Manifest:
    """The same, without digest and inventory.

    :param word: without which a Bash script is not looked into
    """
    tasks = {str(task.task_id): task for task in dag.tasks}
    steady = _steady(tasks)
    unknown: list[Unknown] = []
    steps = tuple(_step(task, steady, unknown, source, word) for task in tasks.values())
    return Manifest("airflow", str(dag.dag_id), source, "", steps, tuple(unknown))


def _arguments(task: Any) -> dict[str, Any]:
    """What a task is given that may hold an image or a secret."""
    return {name: value for name in _GIVEN if (value := value_of(task, name)) is not None}


def _class_of(task: Any) -> type:
    """The operator's class, of a mapped one too."""
    inner = getattr(task, "operator_class", None)
    return inner if isinstance(inner, type) else type(task)


def classes_of(task: Any) -> tuple[str, ...]:
    """The dotted names of the operator's class and of its bases, of a mapped one too."""
    return _lineage(_class_of(task))


@lru_cache(maxsize=256)
def _lineage(operator: type) -> tuple[str, ...]:
    return tuple(f"{one.__module__}.{one.__qualname__}" for one in operator.__mro__ if one is not object)


def value_of(task: Any, name: str, default: Any = None) -> Any:
    """An argument of a task, of a mapped one as far as it is the same for all."""
    if (partial := getattr(task, "partial_kwargs", None)) is not None and _mapped(task):
        return partial.get(name, default)
    return getattr(task, name, default)


_UNTOLD = object()
"""What is known only when a task runs."""


def mapped_over(task: Any, name: str) -> list[Any]:
    """What a mapped task is given for an argument, one after the other; :data:`_UNTOLD` where another task says it."""
    if not _mapped(task):
        return []
    over = getattr(getattr(task, "expand_input", None), "value", None)
    if isinstance(over, Mapping):
        given = over.get(name, [])
        return list(given) if isinstance(given, list | tuple) else [_UNTOLD]
    if not isinstance(over, list | tuple):
        return [_UNTOLD]
    return [one.get(name) if isinstance(one, Mapping) else _UNTOLD for one in over]


def scripts_of(task: Any) -> list[str]:
    """The Bash scripts that a task runs."""
    return [one for one in (value_of(task, "bash_command"), *mapped_over(task, "bash_command")) if isinstance(one, str)]


def promotes_by_code(task: Any) -> bool:
    """Whether the function of a Python task names what promotes: an operator, or a call of the registry."""
    waiting = [getattr(inspect.unwrap(called), "__code__", None)] if callable(called := _function(task)) else []
    for _ in range(_MOST_CODE):
        if not waiting:
            break
        code = waiting.pop()
        if isinstance(code, CodeType):
            if not _PROMOTING.isdisjoint(code.co_names):
                return True
            waiting += [one for one in code.co_consts if isinstance(one, CodeType)]
    return False


def _function(task: Any) -> Any:
    found = value_of(task, "python_callable")
    while isinstance(found, partial):
        found = found.func
    return found


def rule_of(task: Any) -> str:
    """The trigger rule, as a word: of operators it is an enum, of mapped ones a text."""
    rule = value_of(task, "trigger_rule", "all_success")
    return str(getattr(rule, "value", rule))


def _mapped(task: Any) -> bool:
    return hasattr(task, "expand_input") or bool(getattr(task, "is_mapped", False))


def _in_mapped_group(task: Any) -> bool:
    group = getattr(task, "task_group", None)
    while group is not None:
        if type(group).__name__ == "MappedTaskGroup":
            return True
        group = getattr(group, "parent_group", None)
    return False


def _bent(task: Any) -> str:
    """Why a gate's class says nothing of what it runs: what makes it one is replaced; empty if nothing is."""
    if _GATE not in classes_of(task):
        return ""
    for one in _class_of(task).__mro__:
        if one.__module__.partition(".")[0] == "airflow_mlgov":
            break
        replaced = sorted(_RUN & set(vars(one)))
        if replaced:
            return f"{one.__qualname__} replaces {replaced[0]}"
    own = sorted(_RUN & set(getattr(task, "__dict__", {})))
    if own:
        return f"its {own[0]} is replaced"
    hooks = [name for name in ("pre_execute", "post_execute") if _hook(task, name)]
    return f"its {hooks[0]} runs code of its own" if hooks else ""


def _hook(task: Any, name: str) -> bool:
    """Whether a task was given code to run around it."""
    return getattr(task, f"_{name}_hook", None) is not None or (_mapped(task) and value_of(task, name) is not None)


def _steady(tasks: Mapping[str, Any]) -> set[str]:
    """Tasks that nothing can skip: gates that are not mapped, behind nothing but such."""
    found: set[str] = set()
    waiting = [
        name
        for name, task in tasks.items()
        if _GATE in classes_of(task)
        and not _mapped(task)
        and not _in_mapped_group(task)
        and not _bent(task)
        and rule_of(task) in _NEVER_SKIPPED
    ]
    changed = True
    while changed:
        changed = False
        for name in waiting:
            if name not in found and set(tasks[name].upstream_task_ids) <= found:
                found.add(name)
                changed = True
    return found


def _step(
    task: Any, steady: set[str], unknown: list[Unknown], source: str, word: str
) -> Step:  # fmt: skip
    name, classes = str(task.task_id), classes_of(task)
    fails, why = Failure.STOPS, ""
    if _GATE in classes and value_of(task, "on_fail") == "record":
        fails, why = Failure.IGNORED, "on_fail='record'"
    elif _GATE in classes and any(one not in (None, "fail") for one in mapped_over(task, "on_fail")):
        fails, why = Failure.UNKNOWN, "what it is mapped over may say on_fail='record'"
    if bent := _bent(task):
        fails, why = Failure.UNKNOWN, bent
    if getattr(task, "is_teardown", False):
        fails, why = Failure.IGNORED, "it is a teardown, whose failure counts for nothing"
    mapped = _mapped(task) or _in_mapped_group(task)
    step = Step(
        name, None, "operator", classes[0], classes=classes, needs=tuple(_needs(task, steady)),
        condition="it is mapped, and skipped where there is nothing to map over" if mapped else "",
        decided_by=Decider.DATA if mapped or (name not in steady and _GATE not in classes) else Decider.ALWAYS,
        fails=fails, fails_why=why, retries=int(value_of(task, "retries", 0) or 0),
        gate=str(getattr(_class_of(task), "gate", "") or ""),
    )  # fmt: skip
    if promotes_by_code(task):
        step = replace(step, role=Role.PROMOTE, role_from="code")
    if _TRIGGERING in (one.rpartition(".")[2] for one in classes):
        unknown.append(
            Unknown(
                source,
                f"{name} starts the DAG {value_of(task, 'trigger_dag_id')}, which is judged by itself",
                ("steps",),
            )
        )
    return _with_commands(step, task, unknown, source, word)


def _with_commands(step: Step, task: Any, unknown: list[Unknown], source: str, word: str) -> Step:
    scripts = [script for script in scripts_of(task) if word in script]
    words = [value_of(task, key) for key in ("cmds", "arguments")]
    other = value_of(task, "command")
    if scripts:
        each = [read_script(one, Shell("bash", errexit=False, fills="jinja")) for one in scripts]
        problem = next((one.problem for one in each if one.problem), "")
        script = Script(tuple(command for one in each for command in one.commands), problem)
    elif isinstance(other, str) or (isinstance(other, list | tuple) and other):  # of Docker, of SSH
        known = read_script(other, Shell("bash", fills="jinja")) if isinstance(other, str) else _listed(other)
        return replace(step, commands=_elsewhere(known), image=str(value_of(task, "image", "") or ""))
    elif words[1] and not words[0]:
        return replace(step, commands=_elsewhere(_listed(words[1])), image=str(value_of(task, "image", "") or ""))
    elif any(isinstance(one, list | tuple) and one for one in words):
        script = _listed([word for one in words if isinstance(one, list | tuple) for word in one])
    else:
        return step
    if script.problem:
        unknown.append(Unknown(source, f"{step.id}: {script.problem}", ("commands",)))
    return replace(step, commands=script.commands, image=str(value_of(task, "image", "") or ""))


def _listed(words: Any) -> Script:
    return read_words([str(word) for word in words], fills="jinja") if isinstance(words, list | tuple) else Script()


def _elsewhere(script: Script) -> tuple[Command, ...]:
    """Commands that something starts which is not here."""
    why = "the image's own entrypoint, or another machine, runs it"
    return tuple(replace(one, exit_code=ExitCode.UNKNOWN, why=why, after=()) for one in script.commands)


def _needs(task: Any, steady: set[str]) -> Iterable[AnyOf]:
    rule = rule_of(task)
    upstream = sorted(str(name) for name in task.upstream_task_ids)
    why = f"trigger_rule={rule}"
    if rule == "all_success":
        return [(Need(name, Strength.SUCCESS, why),) for name in upstream]
    if rule == "one_success":
        return [tuple(Need(name, Strength.SUCCESS, why) for name in upstream)] if upstream else []
    if rule in ("none_failed", "none_failed_min_one_success"):
        return [(Need(name, Strength.SUCCESS if name in steady else Strength.DONE, why),) for name in upstream]
    return [(Need(name, Strength.DONE, why),) for name in upstream]
