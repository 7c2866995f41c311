"""Turns what MLflow and its transports raise into this package's errors. Never repeats a response body of a failure
that is not about the request itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, MlgovError

_MISSING = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "ENDPOINT_NOT_FOUND"})
_REFUSED = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"})
_WRONG = frozenset({"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"})
_STATUS = re.compile(r"\b(401|403|404) Client Error")
_CLIENT_ERROR = re.compile(r"\b(4[0-9][0-9]) Client Error")
_FILE = re.compile(r"##### File (.*?) #####", re.DOTALL)
"""How MLflow names a file that it could not download."""
_TEXT_LIMIT = 300


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
    from mlflow.exceptions import InvalidUrlException, MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except InvalidUrlException as error:
        raise ConfigurationError(f"cannot {what}: {uri} is not a valid URL", code="registry.address") from error
    except MlflowException as error:
        raise _from_mlflow(error.error_code, str(error.message), what, uri) from error
    except requests.exceptions.HTTPError as error:
        status = error.response.status_code if error.response is not None else 500
        raise _from_status(status, what, uri) from error
    except ImportError as error:
        raise ConfigurationError(
            f"cannot {what}: the library for where its files are is not installed here ({error.name or error}); "
            "install it beside mlflow, such as boto3 for s3://",
            code="store.unknown",
        ) from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise ConfigurationError(f"cannot {what}: {uri} is not a valid URL", code="registry.address") from error
    except (requests.exceptions.RequestException, SQLAlchemyError, OSError) as error:
        raise DependencyError(
            f"cannot {what}: MLflow at {uri} cannot be reached ({type(error).__name__})", code="registry.down"
        ) from error


def _from_mlflow(code: str, message: str, what: str, uri: str) -> MlgovError:
    status, file = _CLIENT_ERROR.search(message), _FILE.search(message)
    if status and file and int(status[1]) not in (401, 403, 408, 429):
        return ConfigurationError(
            f"cannot {what}: MLflow at {uri} answers {status[1]} for its file {file[1]!r}: that is a link or no "
            "regular file, or its name holds what MLflow's proxy does not carry (#, ?, % or a line break); put the "
            "file itself there under a plain name, and register the version anew",
            code="registry.file",
        )
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


def _from_status(status: int, what: str, uri: str) -> MlgovError:
    if status in (401, 403):
        return AccessError(
            f"cannot {what}: MLflow at {uri} refused the identity or it has no permission for this",
            code="registry.refused",
        )
    if status == 404:
        return ConfigurationError(f"cannot {what}: MLflow at {uri} has no such thing", code="registry.not_found")
    if 400 <= status < 500 and status not in (408, 429):
        return ConfigurationError(f"cannot {what}: MLflow at {uri} answered {status}", code="registry.invalid")
    return DependencyError(f"cannot {what}: MLflow at {uri} answered {status}", code="registry.down")
