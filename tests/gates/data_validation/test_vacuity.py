"""No expectation holds whatever the data is: what is drawn for every type passes somewhere and fails somewhere, or is
refused."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlgov.data.file_tables import Files
from airflow_mlgov.gates.data_validation.arguments import SIGNATURES, checked
from airflow_mlgov.gates.data_validation.compilers import COMPILERS
from airflow_mlgov.gates.data_validation.expectations import Expectation
from airflow_mlgov.gates.data_validation.gx import Result
from airflow_mlgov.gates.data_validation.one_query import run_query
from airflow_mlgov.gates.data_validation.suite import load_suite
from airflow_mlgov.gates.data_validation.vacuity import vacuous
from tests.worlds.drawn import SLOW
from tests.worlds.suites import expect, suite

NUMBERS = st.sampled_from([-1, 0, 0.0, 0.5, 1, 1.0, 2, 100, 10**9, -(10**9)])
OPEN = st.one_of(st.none(), NUMBERS)
WORDS = ("", "a", ".*", "x?", "(a|)", "^", "%", "%%", "_", "a%", "[ab]+", "2024-01-31", "0")
TEXTS = st.sampled_from(WORDS)


LISTS = ("type_list", "regex_list", "like_pattern_list")
ARGUMENTS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("column", "column_A", "column_B"), st.sampled_from(["n", "t", "m"])),
    **dict.fromkeys(("min_value", "max_value"), st.one_of(OPEN, OPEN, TEXTS)),
    **dict.fromkeys(LISTS, st.lists(TEXTS, max_size=3)),
    **dict.fromkeys(("regex", "like_pattern", "type_", "strftime_format", "escape"), TEXTS),
    **dict.fromkeys(("value", "threshold", "sum_total", "column_index"), NUMBERS),
    "column_list": st.sampled_from([[], ["n"], ["n", "m"], ["m", "n", "t"], ["n", "n"]]),
    "column_set": st.sampled_from([[], ["n"], ["n", "m", "t"]]),
    "mostly": st.sampled_from([0, 0.0, 0.5, 1, "0", None]),
    "value_set": st.lists(st.one_of(TEXTS, NUMBERS), max_size=3),
    "value_pairs_set": st.lists(st.tuples(NUMBERS, NUMBERS).map(list), max_size=2),
    "quantile_ranges": st.tuples(OPEN, OPEN).map(lambda pair: {"quantiles": [0.5], "value_ranges": [[*pair]]}),
    "ignore_row_if": st.sampled_from(
        ["neither", "both_values_are_missing", "never", "any_value_is_missing", "either_value_is_missing"]
    ),
    "match_on": st.sampled_from(["any", "all"]),
    "allow_relative_error": st.sampled_from([False, "linear", "lower", "higher", "midpoint", "nearest"]),
}
"""What is drawn for each argument; a truth value for all others."""


@st.composite
def configurations(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    signature = SIGNATURES[kind]
    names = [*signature.required, *(name for name in signature.optional if draw(st.booleans()))]
    return {"type": kind, "kwargs": {name: draw(ARGUMENTS.get(name, st.booleans())) for name in names}}


@pytest.fixture(scope="module")
def nulls_and_others(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Columns of one kind each, without a value, and with values, sizes and gaps of every sort."""
    folder, chance = tmp_path_factory.mktemp("tables"), random.Random(7)
    tables = [pa.table({"n": pa.nulls(4, pa.float64()), "m": pa.nulls(4, pa.float64()), "t": pa.nulls(4, pa.string())})]
    for rows, scale in ((1, 0.0), (9, 1e3), (40, 1e12), (300, 0.3)):
        numbers = [[chance.choice([None, chance.uniform(-scale, scale)]) for _ in range(rows)] for _ in range(2)]
        texts = [
            chance.choice([None, "", "a", "zebra", "0", "x" * 150, "2024-01-31", "line\n", "_%%?a.*(a|)^"])
            for _ in range(rows)
        ]
        columns = {"n": pa.array(numbers[0], pa.float64()), "m": pa.array(numbers[1], pa.float64())}
        words = pa.array(texts, pa.string())
        tables.append(pa.table({**columns, "t": words}))
        tables.append(pa.table({"t": columns["n"], "n": words, "m": words[::-1]}))
        tables.append(pa.table({"t": columns["n"], "n": columns["m"], "m": words}))
        tables.append(pa.table({"t": words, "n": words[::-1], "m": columns["n"]}))
    tables.append(pa.table({"n": [1.0, 1.0], "m": [1.0, 1.0], "t": ["a", "a"], "more": [1, 2]}))
    tables.append(pa.table({"n": [5.0], "m": [-5.0], "t": ["b"]}))
    tables += [pa.table({"n": [1.0], "m": [2.0], "t": [3.0]}), pa.table({"n": ["a"], "m": ["b"], "t": ["c"]})]
    tables += [pa.table({key: [value, value] for key in "nmt"}) for value in (1e13, -1e13, *WORDS)]
    tables.append(pa.table({"t": pa.array([7, 8], pa.int8()), "n": [b"x", b"y"], "m": ["b", "c"]}))
    tables.append(pa.table({"other": [True]}))
    for at, table in enumerate(tables):
        pq.write_table(table, folder / f"{at}.parquet")
    return [folder / f"{at}.parquet" for at in range(len(tables))]


def passes(path: Path, items: list[Expectation]) -> dict[int, bool | None]:
    """By position; None where nothing was judged."""
    with Files(str(path)).open() as table:
        results = run_query(table, items).results
    return {position: _passes(result) for position, result in results.items()}


def _passes(result: Result) -> bool | None:
    counts = result.counts
    judged = counts["element_count"] - counts.get("missing_count", 0) if "element_count" in counts else result.nonnull
    return None if result.error or result.undefined or judged == 0 else result.success


@pytest.mark.slow
def test_what_passes_on_nulls_and_on_any_data_is_refused(nulls_and_others: list[Path]) -> None:
    """Nor what passes on any data that has a value to judge."""
    seen = set()

    @settings(SLOW, max_examples=5)
    @given(st.tuples(*(st.lists(configurations(kind), min_size=3, max_size=3) for kind in sorted(COMPILERS))))
    def hold(drawn: tuple[list[dict[str, Any]], ...]) -> None:
        items = [item for item in checked(load_suite(suite(*(one for some in drawn for one in some)))) if _sound(item)]
        seen.update(item.type for item in items)
        found = [passes(path, items) for path in nulls_and_others]
        judged = [[one[item.position] for one in found if one.get(item.position) is not None] for item in items]
        vacuously = [item for item, those in zip(items, judged, strict=True) if those and all(those)]
        assert not vacuously, "\n".join(f"{item.type} {item.kwargs}" for item in vacuously)

    hold()
    assert len(seen) > 40  # of all that is compiled; of the others, nothing sound was drawn


def _sound(item: Expectation) -> bool:
    return not item.problem and not vacuous(item)


@pytest.mark.parametrize(
    "item",
    [
        expect("table_row_count_to_be_between", min_value=0),
        expect("table_column_count_to_be_between", min_value=1),
        expect("column_value_lengths_to_be_between", column="t", min_value=0),
        expect("column_value_lengths_to_be_between", column="t", min_value=-3, strict_min=True),
        expect("column_stdev_to_be_between", column="n", min_value=0),
        expect("column_unique_value_count_to_be_between", column="n", min_value=0),
        expect("column_proportion_of_unique_values_to_be_between", column="n", min_value=0, max_value=1),
        expect("column_proportion_of_non_null_values_to_be_between", column="n", max_value=1),
        expect("column_values_to_match_regex", column="t", regex=".*"),
        expect("column_values_to_match_regex", column="t", regex="a*|b"),
        expect("column_values_to_match_regex_list", column="t", regex_list=["a", "x?"]),
        expect("column_values_to_match_like_pattern", column="t", like_pattern="%"),
        expect("column_pair_values_to_be_equal", column_A="n", column_B="n"),
        expect("column_pair_values_a_to_be_greater_than_b", column_A="n", column_B="n", or_equal=True),
        expect(
            "column_quantile_values_to_be_between",
            column="n",
            quantile_ranges={"quantiles": [0.5], "value_ranges": [[None, None]]},
        ),
        expect("column_mean_to_be_between", column="n"),
        expect("column_values_to_match_json_schema", column="t", json_schema={"title": "any"}),
    ],
    ids=lambda item: f"{item['type']}",
)
def test_what_any_data_would_meet(item: dict[str, Any]) -> None:
    (found,) = checked(load_suite(suite(item)))
    assert not found.problem
    assert vacuous(found)


@pytest.mark.parametrize(
    "item",
    [
        expect("table_row_count_to_be_between", min_value=1),
        expect("column_value_lengths_to_be_between", column="t", min_value=0, strict_min=True),
        expect("column_stdev_to_be_between", column="n", min_value=0, strict_min=True),
        expect("column_proportion_of_non_null_values_to_be_between", column="n", max_value=0.9),
        expect("column_values_to_match_regex", column="t", regex="^a*$"),
        expect("column_values_to_match_regex_list", column="t", regex_list=["a", "x?"], match_on="all"),
        expect("column_values_to_be_between", column="t", min_value="2024-01-31"),
        expect("column_pair_values_a_to_be_greater_than_b", column_A="n", column_B="n"),
    ],
    ids=lambda item: f"{item['type']}",
)
def test_what_some_data_would_not_meet(item: dict[str, Any]) -> None:
    (found,) = checked(load_suite(suite(item)))
    assert not found.problem
    assert not vacuous(found)
