"""Weights & Biases: a run for each registered model; its summary says how the model stands, its artifact is the audit
log.

What is about no model, such as the result of a gate over data, is in the run ``ledger``.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError
from airflow_mlgov.evidence.headlines import headline
from airflow_mlgov.extras import bringing
from airflow_mlgov.sinks.protocol import Arrived, Message

_SUMMED = frozenset({"gate", "decision", "promotion", "approval", "incident", "waiver", "audit"})


@dataclass(frozen=True)
class WandbSink:
    """Runs of a project, one for each model, that are gone on with; artifacts of the type ``audit-trail``, whose files
    are named by the numbers of their entries."""

    project: str
    entity: str | None = None
    key: Callable[[], str] | None = field(default=None, repr=False)
    """What gives the API key; None offline."""
    offline: str | None = None
    """Folder for runs that `wandb sync` sends later."""
    batch: int = 1_000

    @property
    def place(self) -> str:
        """The project."""
        return f"wandb://{self.entity or ''}/{self.project}"

    def last(self) -> Arrived | None:
        """Nothing: what is offline cannot be read, and the service answers late."""
        return None

    def deliver(self, messages: Sequence[Message]) -> None:
        """Go on with the run of each model that they are about."""
        try:
            import wandb
        except ImportError:
            raise ConfigurationError(
                f"Weights & Biases is not installed: {bringing('wandb')}", code="library.missing"
            ) from None

        def about(message: Message) -> str:
            return headline(message.entry, message.statement).model or "ledger"

        try:
            with tempfile.TemporaryDirectory(prefix="mlgov-wandb-") as scratch:
                for name, found in groupby(sorted(messages, key=about), about):  # sorted is stable: in order within
                    self._go_on(wandb, name, list(found), self.offline or scratch)
        except wandb.errors.AuthenticationError:
            raise AccessError("Weights & Biases refuses the API key", code="sink.refused") from None
        except (wandb.errors.CommError, OSError) as error:
            raise DependencyError(
                f"Weights & Biases cannot be reached: {type(error).__name__}", code="sink.down"
            ) from None
        except wandb.errors.Error as error:
            raise ConfigurationError(
                f"Weights & Biases does not take entries: {type(error).__name__}", code="sink.unusable"
            ) from None
        finally:
            wandb.teardown()  # its process, which else complains at the end of this one

    def _go_on(self, wandb: Any, name: str, messages: Sequence[Message], folder: str) -> None:
        digest = hashlib.sha256(f"{messages[0].ledger}/{name}".encode()).hexdigest()[:16]
        settings = wandb.Settings(
            api_key=self.key() if self.key else None, console="off", silent=True, disable_git=True, save_code=False,
            x_disable_stats=True, x_disable_meta=True,
        )  # fmt: skip
        run = wandb.init(
            project=self.project, entity=self.entity, name=name, id=f"mlgov-{digest}", job_type="governance",
            dir=folder, mode="offline" if self.offline else "online", resume=None if self.offline else "allow",
            reinit="create_new", settings=settings,
        )  # fmt: skip
        try:
            run.summary.update(_summary(messages))
            artifact = wandb.Artifact(f"audit-trail-{digest}", type="audit-trail", metadata={"model": name})
            first, last = messages[0].entry.seq, messages[-1].entry.seq
            with artifact.new_file(f"{first:012}-{last:012}.jsonl") as file:
                file.write("".join(message.as_line() for message in messages))
            run.log_artifact(artifact)
        finally:
            run.finish()


def _summary(messages: Sequence[Message]) -> Mapping[str, Any]:
    """How a model stands by its newest entries: outcome and key of each kind, by gate or target."""
    found: dict[str, Any] = {"mlgov/entries_to": messages[-1].entry.seq}
    for message in messages:
        said = headline(message.entry, message.statement)
        if message.entry.kind in _SUMMED:
            place = "/".join(part for part in ("mlgov", message.entry.kind, said.what) if part)
            found |= {place: said.outcome or "recorded", f"{place}/version": said.version, f"{place}/key": message.key}
    return found
