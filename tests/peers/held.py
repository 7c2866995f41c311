"""Holds the data gate against the examples that the installed Great Expectations documents. Fetches nothing, and runs
no code of an example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa

from airflow_mlgov.gates.data_validation import validate_data
from airflow_mlgov.results import Outcome
from tests.peers.docstrings import Example

_BRACKETS = "[a] is a set of signs to SQL Server alone; in standard SQL, and here, it is itself"
KNOWN: dict[tuple[str, str], str] = {
    ("expect_column_quantile_values_to_be_between", "Failing 2"): "the example's data has no column test2",
    ("expect_column_values_to_be_unique", "Failing 2"): "the docstring says success of its own failing case",
    ("expect_column_values_to_match_like_pattern", "Passing 1"): _BRACKETS,
    ("expect_column_values_to_match_like_pattern_list", "Passing 1"): _BRACKETS,
    ("expect_column_values_to_not_match_like_pattern", "Failing 2"): _BRACKETS,
    ("expect_column_values_to_not_match_like_pattern_list", "Failing 2"): _BRACKETS,
}
"""Type and case -> why we say something else."""


@dataclass
class Held:
    """How the examples came out."""

    agreed: int = 0
    explained: dict[str, str] = field(default_factory=dict)
    differing: dict[str, str] = field(default_factory=dict)
    types: Counter[str] = field(default_factory=Counter)


def hold(examples: Iterable[Example]) -> Held:
    """Judge each example."""
    held = Held()
    for example in examples:
        rules = {"name": "peer", "expectations": [{"type": example.type, "kwargs": example.kwargs}]}
        check = validate_data(pa.table(example.columns), rules).checks[1]
        wanted = Outcome.PASS if example.success else Outcome.FAIL
        name = f"{example.type} {example.name}"
        held.types[example.type] += 1
        if check.outcome is wanted:
            held.agreed += 1
        elif (example.type, example.name) in KNOWN:
            held.explained[name] = KNOWN[example.type, example.name]
        else:
            held.differing[name] = f"{example.kwargs} is {check.outcome} and not {wanted}: {check.detail}"
    return held
