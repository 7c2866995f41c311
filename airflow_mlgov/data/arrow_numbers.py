"""Numbers of Arrow arrays as NumPy's and back, without a copy and without pandas, which PyArrow imports for either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Numbers = np.ndarray[Any, Any]

_NAMES = {"double": "float64", "float": "float32"}


def numbers_of(column: pa.Array) -> Numbers:
    """Numbers of any width; NaN where one is missing."""
    import numpy as np

    if column.null_count:
        return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
    kind = np.dtype(_NAMES.get(str(column.type), str(column.type)))
    return np.frombuffer(column.buffers()[1], kind, len(column), column.offset * kind.itemsize)


def array_of(numbers: Numbers) -> pa.Array:
    """Whole numbers."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers.astype("<i8"))])
