"""Holds an input against its JSON Schema before any rule is asked: a field that is not there makes a rule say nothing,
in every engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_mlgov.rego.protocol import Bundle, RulesError

_MOST_KEPT = 32
_kept: dict[str, Any] = {}


def require_valid(bundle: Bundle, document: Mapping[str, Any]) -> None:
    """Refuse an input that is not what the bundle's schema says.

    :raises RulesError: names where in the input and what is wrong
    """
    if bundle.schema is None:
        return
    problem = next(_validator(bundle).iter_errors(document), None)
    if problem is not None:
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem.instance_path)
        raise RulesError(f"input{where} is not what the rules are written for: {problem.message}", code="rego.input")


def _validator(bundle: Bundle) -> Any:
    if bundle.key not in _kept:
        import jsonschema_rs

        while len(_kept) >= _MOST_KEPT:
            _kept.pop(next(iter(_kept)))
        try:
            _kept[bundle.key] = jsonschema_rs.validator_for(dict(bundle.schema or {}))
        except (ValueError, TypeError) as error:
            raise RulesError(f"the schema of the rules' input is none: {error}", code="rego.schema") from error
    return _kept[bundle.key]
