"""Evaluates Rego rules, embedded, in a child process with limits on time and memory. Whatever goes wrong is a
:class:`RulesError`, never an empty answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from airflow_mlgov.evidence.digests import canonical_json, parse_json
from airflow_mlgov.governance.rego_child import MAX_MEMORY

TIMEOUT_SECONDS = 20.0
_INHERITED = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


class RulesError(Exception):
    """Rules could not be evaluated, so nothing is allowed. Trying again does not help; the rules need mending."""


@dataclass(frozen=True)
class Job:
    """Modules that are loaded together, and the rules of theirs to evaluate."""

    modules: Mapping[str, str]
    """Name, for messages -> source."""
    rules: Sequence[str]
    """Paths such as ``data.mlgov.promotion.deny``; each must exist."""
    counted: str = ""
    """Name of a partial set to which at least one rule must add, by the syntax tree and not by what the rules say."""


def evaluate(jobs: Sequence[Job], document: Mapping[str, Any], timeout: float = TIMEOUT_SECONDS) -> list[list[Any]]:
    """The values of every job's rules over one input.

    :param timeout: seconds for all of it
    :raises RulesError: a syntax or safety error, a rule that does not exist or is undefined, a built-in that failed or
        is refused, a panic, too much memory, a time-out
    """
    asked = {"jobs": [asdict(job) for job in jobs], "input": canonical_json(document).decode()}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "airflow_mlgov.governance.rego_child"],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=timeout,
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
        )
    except subprocess.TimeoutExpired:
        raise RulesError(f"the rules did not come to an end in {timeout:g} s") from None
    except OSError as error:
        raise RulesError(f"the engine cannot be started: {error.strerror}") from error
    if done.returncode:
        why = f"{done.stderr.strip()[-300:]}; rules that take more than {MAX_MEMORY // 1024**2} MiB end so too"
        raise RulesError(f"the engine ended with code {done.returncode}: {why.lstrip('; ')}")
    answer = parse_json(done.stdout)
    if "error" in answer:
        raise RulesError(answer["error"])
    results: list[list[Any]] = answer["results"]
    return results
