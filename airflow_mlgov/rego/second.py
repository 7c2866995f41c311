"""An engine beside the embedded one: no answer of its is taken that the embedded one does not give too."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_mlgov.rego.embedded import EmbeddedEngine, embedded, in_order
from airflow_mlgov.rego.protocol import Bundle, Outline, PolicyEngine, Question, RulesError, plain_json

_WHOLE = 2**53


class SecondEngine(PolicyEngine):
    """Has the embedded engine look at the rules and answer besides.

    :param engine: the embedded engine; that of this process if omitted
    """

    def __init__(self, engine: EmbeddedEngine | None = None) -> None:
        self._embedded = engine or embedded()

    @abstractmethod
    def theirs(self, question: Question) -> list[Any]:
        """What the engine itself says; sets in any order.

        :param question: whole numbers in its input are written as such
        """

    def outline(self, bundle: Bundle) -> Outline:
        """See :meth:`~airflow_mlgov.rego.protocol.PolicyEngine.outline`."""
        return self._embedded.outline(bundle)

    def answer(self, question: Question) -> list[Any]:
        """See :meth:`~airflow_mlgov.rego.protocol.PolicyEngine.answer`."""
        asked = replace(question, document=as_numbers(question.document))
        ours = self._embedded.answer(asked)
        outline = self._embedded.outline(asked.bundle)
        require_same(asked.rules, ours, in_order(outline, asked.rules, self.theirs(asked)), self.name)
        return ours


def require_same(rules: Sequence[str], ours: Sequence[Any], theirs: Sequence[Any], who: str) -> None:
    """Refuse two answers.

    :param who: the other engine
    :raises RulesError: they are not the same
    """
    for rule, one, other in zip(rules, ours, theirs, strict=True):
        if plain_json(as_numbers(one)) != plain_json(as_numbers(other)):
            raise RulesError(
                f"{who} and the embedded engine answer {rule} differently, so nothing is allowed: other rules are "
                "there, or the rules say what engines read differently; please report them if it is the second",
                code="rego.disagree",
            )


def as_numbers(value: Any) -> Any:
    """A value in which a whole number is written as one: 1.0 as 1, which OPA tells apart in texts."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        return int(value)
    if isinstance(value, Mapping):
        return {key: as_numbers(item) for key, item in value.items()}
    return [as_numbers(item) for item in value] if isinstance(value, list | tuple) else value
