"""The rulebook of this package: packs of rules, evaluated by the engine of promotion. Imports neither before it is
asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_mlgov.gates.rulebook import PackAnswer
    from airflow_mlgov.rego.protocol import PolicyEngine


class Packs:
    """What :class:`airflow_mlgov.gates.rulebook.Rulebook` asks for.

    :param engine: opens what evaluates, when a pack is asked; the embedded engine if omitted
    """

    def __init__(self, engine: Callable[[], PolicyEngine] | None = None) -> None:
        self._engine = engine

    def reads(self, packages: Sequence[str], folder: Path) -> frozenset[str]:
        """See :class:`airflow_mlgov.gates.rulebook.Rulebook`."""
        from airflow_mlgov.governance.packs import load_pack

        return frozenset().union(*(load_pack(word, folder).reads for word in packages))

    def judge(self, packages: Sequence[str], folder: Path, document: Mapping[str, Any]) -> tuple[PackAnswer, ...]:
        """See :class:`airflow_mlgov.gates.rulebook.Rulebook`."""
        from airflow_mlgov.governance.packs import ask, load_pack

        engine = None if self._engine is None else self._engine()
        return tuple(ask(load_pack(word, folder), document, engine) for word in packages)
