"""What a Kubernetes container runs: its command and arguments, its image, the names of its environment variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from airflow_mlgov.pipelines.documents import Part
from airflow_mlgov.pipelines.manifest import Command, ExitCode, Step
from airflow_mlgov.pipelines.shell import Script, Shell, read_script, read_words
from airflow_mlgov.pipelines.shell_words import shell_of

_DECIDE = frozenset({"PATH", "LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "BASH_ENV"})
"""Variables that say which program a word means, and what it loads."""
_PROGRAMS = ("/bin", "/sbin", "/lib", "/lib64", "/usr")


def with_container(step: Step, container: Part, fills: str = "") -> tuple[Step, str]:
    """A step with what its container runs, and why not all of that can be read; empty if it can.

    :param container: ``image``, ``command``, ``args``, ``env``; ``source`` or ``script`` of Argo's and Tekton's
    :param fills: the platform that puts values into it
    """
    script = _script(container, fills)
    why = _replaces(container)
    found = replace(
        step,
        image=container["image"].text,
        commands=tuple(_unsure(one, why) for one in script.commands) if why else script.commands,
        env=tuple(name for part in container["env"].parts() if (name := part["name"].text)),
    )
    return found, script.problem


def hooked(step: Step, container: Part) -> list[Step]:
    """What the hooks of a container run, beside it: no gate; it may deploy."""
    hooks = [part for hook in ("postStart", "preStop") if (part := container.at("lifecycle", hook, "exec", "command"))]
    found = [one for hook in hooks for one in read_words(hook.texts(), hook.line).commands]
    why = "nothing waits for what runs beside it"
    commands = tuple(replace(one, exit_code=ExitCode.LOST, why=why, after=()) for one in found)
    named = replace(step, id=f"{step.id}/(hooks)", kind="container", commands=commands, line=container.line)
    return [named] if commands else []


def beside(step: Step, containers: Sequence[Part], fills: str = "") -> list[Step]:
    """What runs beside a step or before it, such as sidecars: no gate, for nothing waits for it; it may deploy."""
    found = []
    for at, part in enumerate(containers):
        known, _ = with_container(replace(step, id=f"{step.id}/(beside {at + 1})", line=part.line), part, fills)
        why = "nothing waits for what runs beside it"
        commands = tuple(replace(one, exit_code=ExitCode.LOST, why=why, after=()) for one in known.commands)
        if commands:
            found.append(replace(known, kind="container", commands=commands))
        found += hooked(known, part)
    return found


def _replaces(container: Part) -> str:
    """Why a word of a container may mean another program than its image's; empty if nothing says so."""
    for part in container["env"].parts():
        if part["name"].text in _DECIDE:
            return f"{part['name'].text} in its environment says what it runs"
    for part in container["volumeMounts"].parts():
        path = part["mountPath"].text.rstrip("/")
        if any(path == one or path.startswith(f"{one}/") for one in _PROGRAMS) or not path:
            return f"a volume is mounted over its programs, at {path or '/'}"
    return ""


def _unsure(command: Command, why: str) -> Command:
    return command if command.exit_code is ExitCode.LOST else replace(command, exit_code=ExitCode.UNKNOWN, why=why)


def _script(container: Part, fills: str) -> Script:
    if container["source"]:  # Argo: the command is given the source as a file
        words = container["command"].texts()
        shell, rest = shell_of(words, fills)
        if rest:
            shell = replace(shell, problem=f"{' '.join(words)} does not run the script")
        return read_script(container["source"].text, shell, container["source"].first_line)
    if container["script"]:  # Tekton: sh -e unless the script names its own interpreter
        shell = Shell("sh", errexit=True, fills=fills)
        return read_script(container["script"].text, shell, container["script"].first_line)
    if container["args"] and not container["command"]:
        return without_entrypoint(container["args"])
    parts = [*container["command"].several(), *container["args"].several()]
    first = next((part.line for part in parts), None)
    long = next((part.first_line for part in parts if "\n" in part.text), first)
    return read_words([part.text for part in parts], long, fills)


def without_entrypoint(args: Part) -> Script:
    """Arguments alone: the image says which program gets them, and may do anything with them."""
    why = "the image's own entrypoint runs it, which is not here"
    found = read_words(args.texts(), args.line)
    return Script(tuple(replace(one, exit_code=ExitCode.UNKNOWN, why=why, after=()) for one in found.commands))


def labels_of(metadata: Part) -> Mapping[str, str]:
    """Labels and annotations: what the author says, to ask for more and never to excuse."""
    return metadata["annotations"].labels() | metadata["labels"].labels()
