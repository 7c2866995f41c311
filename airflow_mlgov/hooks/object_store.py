"""Files in an object store by the credentials of an Airflow connection, named as Airflow names them:
``s3://conn_id@bucket/key``. Leaves every other name as it is."""

from __future__ import annotations

import re
from typing import Any

from airflow_mlgov.errors import ConfigurationError

_NAMED = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<conn_id>[\w.-]+)@(?P<rest>.*)", re.DOTALL)


def stored(data: Any) -> Any:
    """A source for a URL with a connection's id in it; whatever else is given, as it is: a URL without one is opened
    with what fsspec finds in the environment.

    :raises ConfigurationError: no such connection, or no provider that knows the scheme is installed
    """
    found = _NAMED.fullmatch(data) if isinstance(data, str) else None
    if found is None:
        return data
    from airflow.sdk import BaseHook, ObjectStoragePath

    from airflow_mlgov.data.file_tables import Files

    url = f"{found['scheme']}://{found['rest']}"
    try:
        BaseHook.get_connection(found["conn_id"])  # without one, a provider would open it as the machine's own identity
        path = ObjectStoragePath(url, conn_id=found["conn_id"])
        store = path.fs, path.path
    except Exception as error:  # of whichever provider: some name no connection, some cannot be imported
        raise ConfigurationError(
            f"{found['scheme']}:// with the Airflow connection {found['conn_id']!r} cannot be opened here "
            f"({type(error).__name__}): is the connection there, and the provider of its type installed?",
            code="store.unknown",
        ) from None
    return Files(url, store)
