"""A part of ``make peers``: the examples of Great Expectations' docstrings that DuckDB answers alone, and all of
scikit-learn's metrics."""

import pytest

from tests.peers.docstrings import examples
from tests.peers.held import KNOWN, hold
from tests.peers.measured import DIFFERENT, measure
from tests.peers.metrics import printed

COMPILED = (
    "expect_column_distinct_values_to_contain_set",
    "expect_column_mean_to_be_between",
    "expect_column_pair_values_a_to_be_greater_than_b",
    "expect_column_quantile_values_to_be_between",
    "expect_column_values_to_be_between",
    "expect_column_values_to_be_of_type",
    "expect_column_values_to_match_like_pattern",
    "expect_column_values_to_match_regex",
    "expect_compound_columns_to_be_unique",
    "expect_table_columns_to_match_set",
)


def test_the_examples_of_great_expectations() -> None:
    read = list(examples())
    assert len(read) > 90  # of the docstrings of Great Expectations 1.24
    held = hold(example for example in read if example.type in COMPILED)
    assert not held.differing
    assert held.agreed > 15
    assert {(example.type, example.name) for example in read} >= set(KNOWN)


@pytest.mark.slow
def test_the_numbers_that_scikit_learn_prints() -> None:
    held = measure(printed())
    assert not held.differing
    assert held.agreed > 30  # of the docstrings of scikit-learn 1.9
    assert len(held.types) > 20
    assert len(held.explained) == len(DIFFERENT)
