"""Turns what MLflow and its transports raise into this package's errors. Never repeats a response body of a failure
that is not about the request itself."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, MlgovError
from airflow_mlgov.extras import missing

_MISSING = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "ENDPOINT_NOT_FOUND"})
_REFUSED = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"})
_WRONG = frozenset({"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"})
_STATUS = re.compile(r"\b(401|403|404) Client Error")
_CLIENT_ERROR = re.compile(r"\b(4[0-9][0-9]) Client Error")
_FILE = re.compile(r"##### File (.*?) #####", re.DOTALL)
"""How MLflow names a file that it could not download."""
_TEXT_LIMIT = 300


class MlflowAnswer(Exception):
    """MLflow's server says that it does not do it.

    :param code: MLflow's own
    :param message: in its words
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.error_code, self.message = code, message


class FileAnswer(Exception):
    """MLflow's server does not hand over a file.

    :param name: of the file, within its model
    :param status: of the answer
    """

    def __init__(self, name: str, status: int) -> None:
        super().__init__(status)
        self.name, self.status = name, status


class Unreadable(Exception):
    """What a server answers is not what MLflow answers."""


def said_by_mlflow(error: Exception) -> str | None:
    """MLflow's own code of what its server or its client says; None where neither has said it."""
    return str(vars(error)["error_code"]) if isinstance(error, _from_mlflow_itself()) else None


def _from_mlflow_itself() -> tuple[type[Exception], ...]:
    """What MLflow's server and its client say; nothing raises the latter's while it is not imported."""
    loaded = sys.modules.get("mlflow.exceptions")
    return (MlflowAnswer, loaded.MlflowException) if loaded is not None else (MlflowAnswer,)


@contextmanager
def mlflow_errors(what: str, uri: str) -> Iterator[None]:
    """Run MLflow calls; raise our errors instead of its own.

    :param what: what was being tried, to follow "cannot" in the message: ``read the model 'credit_risk'``
    :param uri: the server, without credentials
    :raises DependencyError: MLflow cannot be reached, took too long or answered with a server error
    :raises AccessError: 401 or 403
    :raises ConfigurationError: what was asked for does not exist, or MLflow refused the request as invalid
    """
    import requests
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except FileAnswer as error:
        raise _from_file(error.status, error.name, what, uri) from error
    except Unreadable as error:
        raise DependencyError(
            f"cannot {what}: what {uri} answers is not what MLflow answers", code="registry.down"
        ) from error
    except _from_mlflow_itself() as error:
        raise _from_mlflow(error, what, uri) from error
    except requests.exceptions.HTTPError as error:
        status = error.response.status_code if error.response is not None else 500
        raise _from_status(status, what, uri) from error
    except ImportError as error:
        if absent := missing(error.name):
            raise ConfigurationError(f"cannot {what}: {absent}", code="library.missing") from error
        raise ConfigurationError(
            f"cannot {what}: the library for where its files are is not installed here ({error.name or error}); "
            "install it beside mlflow, such as boto3 for s3://",
            code="store.unknown",
        ) from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise ConfigurationError(f"cannot {what}: {uri} is not a valid URL", code="registry.address") from error
    except (requests.exceptions.RequestException, SQLAlchemyError, OSError) as error:
        raise DependencyError(
            f"cannot {what}: MLflow at {uri} is down or cannot be reached ({type(error).__name__})",
            code="registry.down",
        ) from error


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Have files fetched from a store by its own library; raise our errors instead of its own. Each store has
    exceptions of its own, whose words may hold a signed URL; those that :func:`mlflow_errors` knows are left to it.

    :param what: as of :func:`mlflow_errors`
    :raises DependencyError: the store is down or answered with a server error
    :raises AccessError: it refuses the identity, or this machine has none
    """
    import requests
    from sqlalchemy.exc import SQLAlchemyError

    known = (MlgovError, requests.exceptions.RequestException, SQLAlchemyError, ImportError, OSError)
    try:
        yield
    except Exception as error:
        if isinstance(error, (*known, *_from_mlflow_itself())):
            raise
        name = type(error).__name__
        if "Credentials" in name or _status_of(error) in (401, 403):
            raise AccessError(
                f"cannot {what}: the store of its files refuses this identity ({name}): give the worker's identity "
                "read access",
                code="registry.refused",
            ) from None
        raise DependencyError(
            f"cannot {what}: the store of its files is down or cannot be reached ({name})", code="registry.down"
        ) from None


def _status_of(error: Exception) -> int:
    """The HTTP status that a store's exception is about; 0 if it names none."""
    said = getattr(error, "response", None)
    found = said.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(said, dict) else None
    found = found or getattr(error, "status_code", None) or getattr(error, "code", None)
    return found if isinstance(found, int) else 0


def _from_mlflow(error: Any, what: str, uri: str) -> MlgovError:
    if type(error).__name__ == "InvalidUrlException":
        return ConfigurationError(f"cannot {what}: {uri} is not a valid URL", code="registry.address")
    code, message = str(error.error_code), str(error.message)
    status, file = _CLIENT_ERROR.search(message), _FILE.search(message)
    if status and file:
        return _from_file(int(status[1]), file[1], what, uri)
    if code in _REFUSED:
        return _from_status(403, what, uri)
    if code in _MISSING:
        return _from_status(404, what, uri)
    if code in _WRONG:
        return ConfigurationError(
            f"cannot {what}: MLflow at {uri} refused it: {message[:_TEXT_LIMIT]}", code="registry.invalid"
        )
    found = _STATUS.search(message)  # downloads run in threads, and only the text of their failures survives
    if found:
        return _from_status(int(found[1]), what, uri)
    return DependencyError(
        f"cannot {what}: MLflow at {uri} is down or answered with a server error ({code})", code="registry.down"
    )


def _from_file(status: int, name: str, what: str, uri: str) -> MlgovError:
    if not 400 <= status < 500 or status in (401, 403, 408, 429):
        return _from_status(status, what, uri)
    return ConfigurationError(
        f"cannot {what}: MLflow at {uri} does not hand over its file {name!r}: that is a link or no regular file, or "
        "its name holds what MLflow's proxy does not carry (#, ?, %, a backslash or a line break); put the file itself "
        "there under a plain name, and register the version anew",
        code="registry.file",
    )


def _from_status(status: int, what: str, uri: str) -> MlgovError:
    if status in (401, 403):
        return AccessError(
            f"cannot {what}: MLflow at {uri} refused the identity or it has no permission for this",
            code="registry.refused",
        )
    if status == 404:
        return ConfigurationError(
            f"cannot {what}: MLflow at {uri} has no such thing; if nothing is found there, it may be "
            "the address of something else",
            code="registry.not_found",
        )
    if 400 <= status < 500 and status not in (408, 429):
        return ConfigurationError(f"cannot {what}: MLflow at {uri} answered {status}", code="registry.invalid")
    return DependencyError(f"cannot {what}: MLflow at {uri} answered {status}", code="registry.down")
