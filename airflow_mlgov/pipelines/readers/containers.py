"""What a Kubernetes container runs: its command and arguments, its image, the names of its environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from airflow_mlgov.pipelines.documents import Part
from airflow_mlgov.pipelines.manifest import ExitCode, Step
from airflow_mlgov.pipelines.shell import Script, Shell, read_script, read_words


def with_container(step: Step, container: Part) -> tuple[Step, str]:
    """A step with what its container runs, and why not all of that can be read; empty if it can.

    :param container: ``image``, ``command``, ``args``, ``env``; ``source`` or ``script`` of Argo's and Tekton's
    """
    script = _script(container)
    found = replace(
        step,
        image=container["image"].text,
        commands=script.commands,
        env=tuple(name for part in container["env"].parts() if (name := part["name"].text)),
    )
    return found, script.problem


def _script(container: Part) -> Script:
    if container["source"]:  # Argo: the command is given the source as a file
        words = container["command"].texts()
        program = words[0].rpartition("/")[2] if words else ""
        flags = "".join(word[1:] for word in words[1:] if word.startswith("-") and not word.startswith("--"))
        shell = Shell(program, errexit="e" in flags, pipefail="pipefail" in words)
        return read_script(container["source"].text, shell, container["source"].first_line)
    if container["script"]:  # Tekton: sh -e unless the script names its own interpreter
        return read_script(container["script"].text, Shell("sh", errexit=True), container["script"].first_line)
    if container["args"] and not container["command"]:
        return without_entrypoint(container["args"])
    parts = [*container["command"].several(), *container["args"].several()]
    first = next((part.line for part in parts), None)
    long = next((part.first_line for part in parts if "\n" in part.text), first)
    return read_words([part.text for part in parts], long)


def without_entrypoint(args: Part) -> Script:
    """Arguments alone: the image says which program gets them, and may do anything with them."""
    why = "the image's own entrypoint runs it, which is not here"
    found = read_words(args.texts(), args.line)
    return Script(tuple(replace(one, exit_code=ExitCode.UNKNOWN, why=why, after=()) for one in found.commands))


def labels_of(metadata: Part) -> Mapping[str, str]:
    """Labels and annotations: what the author says, to ask for more and never to excuse."""
    return metadata["annotations"].labels() | metadata["labels"].labels()
