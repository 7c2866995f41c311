"""Tells a pandas or a Spark DataFrame from other things. Refuses to import either library for it."""

from __future__ import annotations

import sys
from typing import Any


def is_frame(data: Any) -> bool:
    """Whether ``data`` is a pandas DataFrame, told without importing pandas."""
    pandas: Any = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def is_spark_frame(data: Any) -> bool:
    """Whether ``data`` is a DataFrame of Spark (or Spark Connect), told without importing PySpark."""
    return any(
        part.__name__ == "DataFrame" and part.__module__.startswith("pyspark.sql") for part in type(data).__mro__
    )
