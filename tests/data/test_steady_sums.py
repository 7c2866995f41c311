"""Sums that neither the order of rows nor the number of threads changes."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from airflow_mlgov.data.source import source_of
from airflow_mlgov.data.steady_sums import SteadySums


def _sums(frame: pd.DataFrame, *values: str) -> list[float]:
    with source_of(frame).open() as relation:
        steady = SteadySums(relation, relation.sql, values)
        (found,) = relation.rows(f"SELECT {', '.join(steady.sql)} FROM {relation.sql}")
        return [steady.read(at, [value])[0] for at, value in enumerate(found)]


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1.0, 1e12, 1e150])
def test_a_sum_is_exact_in_any_order(scale: float) -> None:
    values = np.random.default_rng(3).normal(size=50_000) * scale
    expected = float(sum(map(Fraction, values.tolist())))
    found = {_sums(pd.DataFrame({"v": np.random.default_rng(seed).permutation(values)}), "v")[0] for seed in range(4)}
    assert len(found) == 1
    assert found.pop() == pytest.approx(expected, rel=1e-15)


def test_what_is_not_finite_is_said_and_nothing_is_nothing() -> None:
    frame = pd.DataFrame({"v": [1.0, math.inf], "w": [0.0, 0.0], "n": [math.nan, 2.0], "u": [None, None]})
    endless, zero, unknown, nothing = _sums(frame, "v", "w", "n", "u::DOUBLE")
    assert (endless, zero) == (math.inf, 0.0)
    assert math.isnan(unknown) or unknown == 2.0  # NaN of a frame is NULL or NaN
    assert nothing is None
