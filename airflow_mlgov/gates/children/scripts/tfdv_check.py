"""Validates csv or parquet files against a schema with TensorFlow Data Validation. Refuses files whose columns stand in
another order in each because TFDV would read one under the other's names."""

from __future__ import annotations

import bz2
import csv
import gzip
import os
import tempfile
from importlib import import_module
from typing import Any

READS_ROWS = True

_CSV: dict[str, Any] = {".csv": open, ".gz": gzip.open, ".bz2": bz2.open}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The anomalies as text, which quotes values, and how many examples were seen.

    :param request: ``schema`` (text format), lists of files in ``data`` and, if given, ``previous`` and ``serving``,
        and ``environment``
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    tfdv = import_module("tensorflow_data_validation")
    text_format = import_module("google.protobuf.text_format")
    schema = text_format.Parse(request["schema"], import_module("tensorflow_metadata.proto.v0.schema_pb2").Schema())
    found = {
        name: _statistics(tfdv, schema, request[name]) for name in ("data", "previous", "serving") if request[name]
    }
    anomalies = tfdv.validate_statistics(
        found["data"],
        schema,
        environment=request["environment"],
        previous_statistics=found.get("previous"),
        serving_statistics=found.get("serving"),
    )
    return {
        "anomalies": text_format.MessageToString(anomalies),
        "examples": int(found["data"].datasets[0].num_examples),
    }


def _statistics(tfdv: Any, schema: Any, files: list[str]) -> Any:
    options = tfdv.StatsOptions(schema=_categorical(schema))
    if files[0].lower().endswith((".parquet", ".pq")):
        return tfdv.generate_statistics_from_dataframe(_frame(files), options, n_jobs=1)
    folder = tempfile.mkdtemp(dir=".")
    headers = [_header(path) for path in files]
    if any(header != headers[0] for header in headers):
        raise SystemExit("the csv files have their columns in another order in each; write them in one order")
    for number, path in enumerate(files):
        os.symlink(path, os.path.join(folder, f"{number:06}-{os.path.basename(path)}"))
    pattern = os.path.join(os.path.abspath(folder), "*")
    return tfdv.generate_statistics_from_csv(pattern, stats_options=options)


def _categorical(schema: Any) -> Any:
    """The features whose numbers are names, so that their unique values are counted. Of a whole schema, TFDV would take
    more for categories and then miss numbers that a bool_domain does not allow."""
    part = type(schema)()
    for feature in schema.feature:
        if feature.int_domain.is_categorical or feature.float_domain.is_categorical:
            part.feature.add().CopyFrom(feature)
    return part if part.feature else None


def _header(path: str) -> list[str]:
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in _CSV:
        raise SystemExit(f"TFDV does not read {suffix} files")
    with _CSV[suffix](path, "rt", encoding="utf-8", newline="") as file:
        return next(csv.reader(file), [])


def _frame(files: list[str]) -> Any:
    pandas, parquet = import_module("pandas"), import_module("pyarrow.parquet")
    # what pandas noted in the file may be of a newer pandas
    frames = [parquet.read_table(path, partitioning=None).to_pandas(ignore_metadata=True) for path in files]
    return frames[0] if len(frames) == 1 else pandas.concat(frames, ignore_index=True)
