"""What OpenLineage's provider would be told of a task that has ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.fixtures.airflow_runner import TaskEnd


@dataclass(frozen=True)
class Drawn:
    """A task in the lineage graph."""

    told: Any
    """As the provider takes it."""

    @property
    def inputs(self) -> list[str]:
        return [node.name for node in self.told.inputs]

    @property
    def outputs(self) -> list[str]:
        return [node.name for node in self.told.outputs]

    @property
    def tests(self) -> dict[str, str]:
        """Name of a check -> ``pass`` or ``fail``."""
        return {item.name: item.status for item in self.told.run_facets["test"].tests}

    @property
    def evidence(self) -> Any:
        return self.told.run_facets["mlgov_evidence"]

    def __str__(self) -> str:
        from openlineage.client.serde import Serde

        return json.dumps([Serde.to_dict(item) for item in (*self.told.inputs, *self.told.outputs)])


def drawn(end: TaskEnd) -> Drawn:
    """By the method that the provider calls for such an end."""
    if end.state == "success":
        return Drawn(end.task.get_openlineage_facets_on_complete(None))
    return Drawn(end.task.get_openlineage_facets_on_failure(None))
