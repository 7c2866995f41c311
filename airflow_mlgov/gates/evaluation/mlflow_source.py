"""An evaluation in MLflow as a source, bound to what was read of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_mlgov.data.frames import FrameTable
from airflow_mlgov.data.relation import MEMORY_LIMIT
from airflow_mlgov.gates.evaluation.mlflow_results import Results, Wanted, read_results
from airflow_mlgov.gates.protocol import Tracking

if TYPE_CHECKING:
    from airflow_mlgov.data.duck import Duck


@dataclass(frozen=True, eq=False)
class MlflowResults:
    """An evaluation in MLflow as a source.

    :raises ConfigurationError: when it is opened: no such run or model, no scores, or scores that are not one for each
        example and name
    """

    tracking: Tracking
    wanted: Wanted

    @property
    def name(self) -> str:
        """``mlflow://host/#run=ID``, without credentials."""
        which = [f"run={self.wanted.run_id}"] if self.wanted.run_id else []
        which += [f"model={self.wanted.model_id}"] if self.wanted.model_id else []
        return f"mlflow://{self.tracking.uri.partition('://')[2] or self.tracking.uri}#{'&'.join(which)}"

    @contextmanager
    def open(self, *, memory_limit: str = MEMORY_LIMIT) -> Iterator[MlflowTable]:
        """The examples, read once."""
        from airflow_mlgov.data.duck import Duck

        with Duck(memory_limit) as duck, self.open_in(duck, "data") as table:
            yield table

    @contextmanager
    def open_in(self, duck: Duck, view: str) -> Iterator[MlflowTable]:
        """The examples as a view beside others."""
        yield MlflowTable(duck, view, self.name, read_results(self.tracking, self.wanted))


class MlflowTable(FrameTable):
    """The examples, bound to what was read of them."""

    def __init__(self, duck: Duck, view: str, name: str, read: Results) -> None:
        super().__init__(duck, view, name, read.frame)
        self.notes = read.notes
