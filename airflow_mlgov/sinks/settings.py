"""``[mlgov] sinks``: a JSON list of where the audit trail goes, and how sinks are made of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.strict_files import MAX_BYTES, read_text
from airflow_mlgov.urls import server_url

if TYPE_CHECKING:
    from airflow_mlgov.sinks.protocol import Sink

Secret = Callable[[str], str]
"""What gives the password of a connection."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    """Under which its progress is kept: another name begins at the ledger's first entry."""


class FolderEntry(_Entry):
    """``{"name": "archive", "kind": "folder", "url": "s3://audit/mlgov"}``"""

    kind: Literal["folder"]
    url: Annotated[str, Field(min_length=1)]

    def made(self, _: Secret) -> Sink:
        """The sink."""
        from airflow_mlgov.sinks.folder import FolderSink

        return FolderSink(self.url)


class WebhookEntry(_Entry):
    """``{"name": "siem", "kind": "webhook", "url": "https://siem.bank.example/mlgov", "conn_id": "siem"}``"""

    kind: Literal["webhook"]
    url: Annotated[str, Field(min_length=1)]
    conn_id: str | None = None
    """Connection whose password is the secret that signs."""
    secret_file: str | None = None
    """File that holds it, where there is no Airflow."""

    def made(self, secret: Secret) -> Sink:
        """The sink.

        :raises ConfigurationError: no secret, or two; no URL of http
        """
        from airflow_mlgov.sinks.webhook import WebhookSink

        if server_url(self.url).scheme.lower() not in ("http", "https"):
            raise ConfigurationError(
                f"the sink {self.name} posts to http or https, and its URL is of neither", code="sink.settings"
            )
        if bool(self.conn_id) == bool(self.secret_file):
            raise ConfigurationError(
                f"the sink {self.name} signs with one secret: give conn_id, or secret_file", code="sink.settings"
            )
        if self.conn_id:
            conn_id = self.conn_id
            return WebhookSink(self.url, lambda: secret(conn_id))
        file = Path(str(self.secret_file))
        return WebhookSink(self.url, lambda: read_text(file, "secret").strip())


class WandbEntry(_Entry):
    """``{"name": "wandb", "kind": "wandb", "project": "credit", "conn_id": "wandb"}``"""

    kind: Literal["wandb"]
    project: Annotated[str, Field(min_length=1)]
    entity: str | None = None
    conn_id: str | None = None
    """Connection whose password is the API key; none is needed offline."""
    offline: str | None = None
    """Folder in which runs are kept for `wandb sync`, where the service is not asked."""

    def made(self, secret: Secret) -> Sink:
        """The sink.

        :raises ConfigurationError: neither a connection nor a folder, or both
        """
        from airflow_mlgov.sinks.wandb import WandbSink

        if bool(self.conn_id) == bool(self.offline):
            raise ConfigurationError(f"the sink {self.name} needs conn_id, or offline", code="sink.settings")
        conn_id = self.conn_id or ""
        return WandbSink(self.project, self.entity, None if self.offline else lambda: secret(conn_id), self.offline)


_ENTRIES = TypeAdapter(list[Annotated[FolderEntry | WebhookEntry | WandbEntry, Field(discriminator="kind")]])


def open_sinks(text: str, secret: Secret) -> dict[str, Sink]:
    """The sinks of ``[mlgov] sinks``, by name.

    :param secret: what gives the password of a connection; asked when something is delivered
    :raises ConfigurationError: none is named, a mistake in the list, or two of one name
    """
    if not text.strip():
        raise ConfigurationError(
            'no sink is named: set [mlgov] sinks to a list such as [{"name": "archive", "kind": "folder", "url": '
            '"s3://audit/mlgov"}]',
            code="sink.none",
        )
    try:
        entries = _ENTRIES.validate_python(json.loads(text[:MAX_BYTES]))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"[mlgov] sinks, {where}: {first['msg']}", code="sink.settings") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"[mlgov] sinks is not JSON: {error}", code="sink.settings") from None
    names = [entry.name for entry in entries]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigurationError(f"[mlgov] sinks names {twice} twice", code="sink.settings")
    return {entry.name: entry.made(secret) for entry in entries}
