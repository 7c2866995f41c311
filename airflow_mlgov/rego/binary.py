"""The ``opa`` program, where it is present: one run for each evaluation, in a folder of its own, without environment.
No answer of its is taken that the embedded engine does not give too."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.rego.embedded import EmbeddedEngine
from airflow_mlgov.rego.protocol import Question, RulesError, plain_json
from airflow_mlgov.rego.second import SecondEngine

TIMEOUT_SECONDS = 20.0
_MAX_MEMORY = "1GiB"
"""What its garbage collector holds it to."""
_MAX_ADDRESSES = 8 * 1024**3
"""Bytes that it may map; Go maps more than it takes."""
_MOST_SHOWN = 500


class OpaBinary(SecondEngine):
    """Evaluates by ``opa eval``.

    :param program: its path, or its name if it is on the PATH
    :param engine: the embedded engine that looks at the rules and answers besides
    """

    def __init__(self, program: str, engine: EmbeddedEngine | None = None, timeout: float = TIMEOUT_SECONDS) -> None:
        super().__init__(engine)
        self.program, self.timeout = shutil.which(program) or program, timeout

    @cached_property
    def name(self) -> str:
        """``opa`` and its version.

        :raises ConfigurationError: there is no such program
        """
        said = self._run(["version"], b"", 10.0).decode(errors="replace").splitlines() or [""]
        return f"opa {said[0].removeprefix('Version: ')} ({self.program})"

    def theirs(self, question: Question) -> list[Any]:
        """See :meth:`~airflow_mlgov.rego.second.SecondEngine.theirs`."""
        bundle, rules = question.bundle, question.rules
        document, timeout = plain_json(question.document), question.timeout or self.timeout
        with tempfile.TemporaryDirectory(prefix="mlgov-opa-") as folder:
            for number, text in enumerate(bundle.modules.values()):
                Path(folder, f"{number}.rego").write_text(text, encoding="utf-8")
            if bundle.data:
                Path(folder, "data.json").write_bytes(plain_json(bundle.data))
            asked = ["eval", "--format=json", "--strict-builtin-errors", "--stdin-input", "--data", folder]
            said = json.loads(self._run([*asked, f"[{', '.join(rules)}]"], document, timeout) or b"{}")
        if said.get("errors"):
            what = "; ".join(str(item.get("message", "")) for item in said["errors"][:3])
            raise RulesError(f"{self.name}: {what[:_MOST_SHOWN]}", code="opa.answer")
        if not said.get("result"):
            raise RulesError(f"one of {', '.join(rules)} is undefined at {self.name}", code="rego.undefined")
        found: list[Any] = said["result"][0]["expressions"][0]["value"]
        return found

    def _run(self, arguments: Sequence[str], given: bytes, timeout: float) -> bytes:
        """What the program writes, JSON also where it fails."""
        try:
            process = subprocess.Popen(
                [self.program, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={"GOMEMLIMIT": _MAX_MEMORY, "HOME": os.devnull},
                cwd=os.sep,
            )
        except OSError as error:
            raise ConfigurationError(
                f"the program opa cannot be started at {self.program}: {error.strerror}", code="opa.no_program"
            ) from None
        with process:
            with suppress(OSError):
                _limit(process.pid)
            try:
                out, said = process.communicate(given, timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise RulesError(f"opa did not come to an end in {timeout:g} s", code="rego.limit") from None
            except BaseException:
                process.kill()
                raise
        if process.returncode and not out.strip():
            text = said.decode(errors="replace").strip()[:_MOST_SHOWN]
            raise RulesError(f"opa ended with code {process.returncode}: {text}", code="opa.answer")
        return out


def _limit(pid: int) -> None:
    import resource

    if hasattr(resource, "prlimit"):
        resource.prlimit(pid, resource.RLIMIT_AS, (_MAX_ADDRESSES, _MAX_ADDRESSES))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
