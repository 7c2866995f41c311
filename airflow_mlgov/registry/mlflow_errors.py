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
    except (requests.exceptions.RequestException, SQLAlchemyError, OSError) as error:
        raise DependencyError(
            f"cannot {what}: MLflow at {uri} cannot be reached ({type(error).__name__})", code="registry.down"
        ) from error


def _from_mlflow(code: str, message: str, what: str, uri: str) -> MlgovError:
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
