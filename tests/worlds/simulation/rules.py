"""The real engine of rules, as far away as a server: every question is a step of a machine."""

from __future__ import annotations

from typing import Any

from airflow_mlgov.errors import DependencyError
from airflow_mlgov.rego.embedded import embedded
from airflow_mlgov.rego.protocol import Bundle, Outline, PolicyEngine, Question
from tests.worlds.simulation.machine import Machine


class SimulatedEngine(PolicyEngine):
    """The embedded engine, which may be down."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    @property
    def name(self) -> str:
        """As the real one's."""
        return embedded().name

    def answer(self, question: Question) -> list[Any]:
        """As the real one."""
        return self._machine.step("opa ask", lambda: embedded().answer(question), _down, 10)

    def outline(self, bundle: Bundle) -> Outline:
        """As the real one."""
        return embedded().outline(bundle)


def _down(fate: str) -> Exception:
    return DependencyError(f"OPA {fate} (simulated)", code="opa.down")
