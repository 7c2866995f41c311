"""Spark's errors as this package's. Refuses to hand on what they quote: values, statements, tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_mlgov.data.limits import deadline
from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, MlgovError

_LOST = ("INVALID_HANDLE", "SESSION_", "OPERATION_NOT_FOUND", "CONNECT.")
_REFUSED = ("PERMISSION", "UNAUTHENTICATED", "INSUFFICIENT", "AUTHORIZATION")


@contextmanager
def spark_errors(name: str) -> Iterator[None]:
    """Spark's errors as ours. Its words quote values and statements, so only the class of the error is kept, and of a
    name that is not there its line."""
    until = deadline()
    until.check(f"a query over {name}")
    try:
        yield
    except MlgovError:
        raise
    except Exception as error:
        kind = type(error).__module__.partition(".")[0]
        if kind not in ("pyspark", "grpc"):
            raise
        if until.left <= 0:
            raise until.error(f"a query over {name}") from None
        raise _translated(name, error) from None


def _translated(name: str, error: Exception) -> MlgovError:
    condition = str(_told(error, "getCondition") or _told(error, "getErrorClass") or "")
    state = str(_told(error, "getSqlState") or "")
    words = " ".join(str(error).split())
    code = getattr(getattr(error, "code", lambda: None)(), "name", "") if hasattr(error, "code") else ""
    what = condition or code or type(error).__name__
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED") or condition.startswith(_REFUSED) or state.startswith("28"):
        return AccessError(f"{name}: Spark refused access ({what})", code="spark.refused")
    if state == "42501" or "UNAUTHENTICATED" in words[:400] or "PERMISSION_DENIED" in words[:400]:
        return AccessError(f"{name}: Spark refused access ({what})", code="spark.refused")
    if condition.startswith(_LOST) or code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
        return DependencyError(f"{name}: Spark does not answer, or has closed the session ({what})", code="spark.down")
    if state.startswith("22"):  # a data exception, whose words quote the value
        return ConfigurationError(f"{name} cannot be read: {what}", code="data.unreadable")
    if state.startswith("42") or type(error).__name__ in ("AnalysisException", "ParseException"):
        return ConfigurationError(
            f"{name}: Spark cannot run the query, or has no such table, path or column ({what}): {_first(words)}",
            code="spark.query",
        )
    return DependencyError(f"{name}: Spark could not finish the query ({what})", code="spark.down")


def _told(error: Exception, name: str) -> Any:
    try:
        return getattr(error, name)()
    except Exception:
        return None


def _first(words: str) -> str:
    """What an error says before it quotes a plan or a statement."""
    return re.split(r" SQLSTATE:|; line \d+|== SQL|JVM stacktrace", words)[0][:200]
