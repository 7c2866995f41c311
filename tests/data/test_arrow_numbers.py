"""Numbers of Arrow arrays as NumPy's: the same as PyArrow's own."""

import numpy as np
import pyarrow as pa
import pytest

from airflow_mlgov.data.arrow_numbers import array_of, numbers_of

KINDS = ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "float", "double"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", [[], [1, 2, 3, 100], [None, 1, 2, None, 7]])
def test_they_are_those_of_pyarrow(kind: str, values: list[int | None]) -> None:
    column = pa.array(values, getattr(pa, {"float": "float32", "double": "float64"}.get(kind, kind))())
    for part in (column, column[1:3], column[2:]):
        theirs = part.to_numpy(zero_copy_only=False)
        mine = numbers_of(part)
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


def test_whole_numbers_go_back() -> None:
    numbers = np.array([3, -1, 2**62], np.int64)
    assert array_of(numbers[::-1]).to_pylist() == [2**62, -1, 3]
    assert array_of(numbers[:0]).to_pylist() == []
