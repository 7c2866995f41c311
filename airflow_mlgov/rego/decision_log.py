"""What rules were asked and have answered, in the format of OPA's decision logs, one line for each rule.

The input is written as it is; whoever asks for the log says who may read it. The file is made for its owner alone.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_mlgov.errors import AccessError, ConfigurationError
from airflow_mlgov.rego.protocol import Bundle, Outline, PolicyEngine, Question, RulesError

_TYPE = "openpolicyagent.org/decision_logs"


class Logged(PolicyEngine):
    """An engine whose answers are written down before anybody sees them: what cannot be written is not answered.

    :param engine: what evaluates
    :param path: the file that lines are added to
    """

    def __init__(self, engine: PolicyEngine, path: Path) -> None:
        self._engine, self._path = engine, path

    @property
    def engine(self) -> PolicyEngine:
        """The engine behind it."""
        return self._engine

    @property
    def name(self) -> str:
        """That of the engine behind it."""
        return self._engine.name

    def outline(self, bundle: Bundle) -> Outline:
        """See :meth:`~airflow_mlgov.rego.protocol.PolicyEngine.outline`."""
        return self._engine.outline(bundle)

    def answer(self, question: Question) -> list[Any]:
        """See :meth:`~airflow_mlgov.rego.protocol.PolicyEngine.answer`.

        :raises ConfigurationError: the log cannot be written
        :raises AccessError: the file system refuses
        """
        began = time.perf_counter_ns()
        try:
            found = self._engine.answer(question)
        except RulesError as error:
            said = {"code": error.code, "message": str(error)}
            self._write(question, [(rule, {"error": said}) for rule in question.rules], began)
            raise
        results = [(rule, {"result": value}) for rule, value in zip(question.rules, found, strict=True)]
        self._write(question, results, began)
        return found

    def _write(self, question: Question, results: Sequence[tuple[str, Mapping[str, Any]]], began: int) -> None:
        took = time.perf_counter_ns() - began
        lines = [
            {
                "type": _TYPE,
                "labels": {"app": "airflow_mlgov", "engine": self.name},
                "decision_id": str(uuid.uuid4()),
                "path": rule.removeprefix("data.").replace(".", "/"),
                "bundles": {"mlgov": {"revision": question.bundle.digest}},
                "input": question.document,
                **result,
                "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
                "metrics": {"timer_server_handler_ns": took},
            }
            for rule, result in results
        ]
        text = "".join(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n" for line in lines)
        try:
            with open(
                os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="utf-8"
            ) as file:
                file.write(text)
        except PermissionError:
            raise AccessError(f"may not write {self._path}: permission denied", code="file.refused") from None
        except OSError as error:
            raise ConfigurationError(
                f"cannot write {self._path}: {error.strerror or error}", code="file.not_writable"
            ) from None
