"""Who does what grows with something else than rows alone: columns, expectations, files, texts to be parsed, drift of
many columns, overlap of tables that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.contender import Answer, Steps


def suite_of(columns: int, expectations: int) -> dict[str, Any]:
    """Expectations over :func:`benchmarks.data.wide`, of three kinds for each column, again and again."""
    found = []
    for at in range(expectations):
        column, again = at % columns, at // columns
        name, other = {"column": f"c{column}"}, again % 3
        if other == 0:
            found.append(("expect_column_values_to_not_be_null", {**name, "mostly": 1 - again / 1000}))
        elif column % 3 == 2:
            pattern = f"^v[0-9]{{1,{2 + again}}}$"
            words = [f"v{word}" for word in range(50 - again % 7)]
            found.append(
                ("expect_column_values_to_be_in_set", {**name, "value_set": words})
                if other == 1
                else ("expect_column_values_to_match_regex", {**name, "regex": pattern})
            )
        elif other == 1:
            found.append(("expect_column_values_to_be_between", {**name, "min_value": again, "max_value": 900 + again}))
        else:
            found.append(("expect_column_mean_to_be_between", {**name, "min_value": 0, "max_value": 600 + again}))
    return {
        "name": "wide",
        "expectations": [{"type": kind, "kwargs": kwargs, "severity": "critical"} for kind, kwargs in found],
    }


def gate(path: str, columns: int, expectations: int) -> Steps:
    """The data gate."""
    from airflow_mlgov.gates.data_validation import validate_data

    yield None
    checks = validate_data(path, suite_of(columns, expectations)).checks[1:]
    return {str(at): check.values.get("unexpected_count", check.observed) for at, check in enumerate(checks)}


def great_expectations(path: str, columns: int, expectations: int) -> Steps:
    """Great Expectations on pandas."""
    import great_expectations as gx

    yield None
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("files").add_parquet_asset("wide", path=path)
    batch = asset.add_batch_definition("all").get_batch()
    suite = suite_of(columns, expectations)
    numbered = [{**item, "meta": {"at": at}} for at, item in enumerate(suite["expectations"])]
    found = batch.validate(gx.ExpectationSuite(name="wide", expectations=numbered)).results
    return {
        str(item.expectation_config.meta["at"]): item.result.get("unexpected_count", item.result.get("observed_value"))
        for item in found
    }


def one_query_with_filter(path: str, columns: int, expectations: int) -> Steps:
    """One query with an aggregate and a FILTER for each expectation, as it is written by hand."""
    import duckdb

    yield None
    parts = [_by_hand(item["type"], item["kwargs"]) for item in suite_of(columns, expectations)["expectations"]]
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT {', '.join(parts)} FROM read_parquet('{path}')").fetchone() or ()
    return {str(at): value for at, value in enumerate(found)}


def _by_hand(kind: str, kwargs: dict[str, Any]) -> str:
    column = kwargs["column"]
    match kind.removeprefix("expect_column_"):
        case "values_to_not_be_null":
            return f"count(*) FILTER ({column} IS NULL)"
        case "values_to_be_between":
            return f"count(*) FILTER ({column} NOT BETWEEN {kwargs['min_value']} AND {kwargs['max_value']})"
        case "values_to_be_in_set":
            return f"count(*) FILTER ({column} NOT IN {tuple(kwargs['value_set'])})"
        case "values_to_match_regex":
            return f"count(*) FILTER (NOT regexp_matches({column}, '{kwargs['regex']}'))"
    return f"avg({column}) FILTER (isfinite({column}::DOUBLE))"


_CSV_SUITE = {
    "name": "csv",
    "expectations": [
        {"type": kind, "kwargs": kwargs, "severity": "critical"}
        for kind, kwargs in (
            ("expect_column_values_to_not_be_null", {"column": "id"}),
            ("expect_column_values_to_be_unique", {"column": "id"}),
            ("expect_column_values_to_be_between", {"column": "age", "min_value": 18, "max_value": 90}),
            ("expect_column_values_to_be_between", {"column": "income", "min_value": 0, "mostly": 0.99}),
            ("expect_column_values_to_be_in_set", {"column": "country", "value_set": ["AT", "BE", "CH", "DE"]}),
            ("expect_column_mean_to_be_between", {"column": "score", "min_value": 0.45, "max_value": 0.55}),
            ("expect_column_unique_value_count_to_be_between", {"column": "city", "max_value": 600}),
        )
    ],
}


def csv_gate(path: str) -> Steps:
    """Seven expectations of a csv, by the data gate."""
    from airflow_mlgov.gates.data_validation import validate_data

    yield None
    return _numbered(validate_data(path, _CSV_SUITE).checks[1:])


def _numbered(checks: Any) -> Answer:
    return {str(at): check.values.get("unexpected_count", check.observed) for at, check in enumerate(checks)}


def csv_pandas(path: str) -> Steps:
    """The same by hand."""
    import pandas as pd

    yield None
    rows = pd.read_csv(path)
    known = {"AT", "BE", "CH", "DE"}
    found = (
        rows["id"].isna().sum(),
        rows["id"].duplicated(keep=False).sum(),
        (rows["age"].notna() & ~rows["age"].between(18, 90)).sum(),
        (rows["income"] < 0).sum(),
        (~rows["country"].isin(known)).sum(),
        rows["score"].mean(),
        rows["city"].nunique(),
    )
    return {str(at): value.item() if hasattr(value, "item") else value for at, value in enumerate(found)}


_FOLDERS_SUITE = {
    "name": "folders",
    "expectations": [
        {"type": kind, "kwargs": kwargs, "severity": "critical"}
        for kind, kwargs in (
            ("expect_column_values_to_not_be_null", {"column": "id"}),
            ("expect_column_values_to_be_between", {"column": "amount", "min_value": 0, "max_value": 90}),
            ("expect_column_values_to_be_in_set", {"column": "word", "value_set": ["w1", "w2", "w3"]}),
            ("expect_column_max_to_be_between", {"column": "day", "max_value": 100_000}),
        )
    ],
}


def folders_gate(path: str) -> Steps:
    """Four expectations of files in ``key=value`` folders, by the data gate."""
    from airflow_mlgov.gates.data_validation import validate_data

    yield None
    return _numbered(validate_data(path, _FOLDERS_SUITE).checks[1:4])


def folders_polars(path: str) -> Steps:
    """The same in Polars."""
    import polars as pl

    yield None
    rows = pl.scan_parquet(str(Path(path) / "**" / "*.parquet"), hive_partitioning=True)
    found = rows.select(
        pl.col("id").null_count().alias("0"),
        (~pl.col("amount").is_between(0, 90)).sum().alias("1"),
        (~pl.col("word").is_in(["w1", "w2", "w3"])).sum().alias("2"),
        pl.col("day").max().alias("last"),
    ).collect()
    return {name: value for name, value in found.row(0, named=True).items() if name != "last"}


def drift_gate(path: str, reference: str, columns: int) -> Steps:
    """The population stability index of every column, by the gate."""
    from airflow_mlgov.gates.dataset_checks import run_checks

    yield None
    result = run_checks(path, {"drift": {"reference": reference, "psi": {"max": 9}}})
    found = {check.name: check.observed for check in result.checks}
    return {f"c{at}": found[f"drift_psi(c{at})"] for at in range(columns)}


def drift_numpy(path: str, reference: str, columns: int) -> Steps:
    """The same column by column in NumPy: sorted, cut at the reference's deciles, counted."""
    import numpy as np
    import pyarrow.parquet as pq

    yield None
    answer = {}
    for at in range(columns):
        old, new = (np.sort(pq.read_table(each, columns=[f"c{at}"])[0].to_numpy()) for each in (reference, path))
        edges = [old[-(-part * len(old) // 10) - 1] for part in range(1, 10)]
        p, q = (np.diff([0, *np.searchsorted(side, edges, side="right"), len(side)]) / len(side) for side in (old, new))
        answer[f"c{at}"] = float(((q - p) * np.log(q / p)).sum())
    return answer


def overlap_gate(path: str, other: str) -> Steps:
    """Rows of one table that stand in another, by the gate."""
    from airflow_mlgov.gates.dataset_checks import run_checks

    yield None
    (check,) = run_checks(path, {"overlap": {"with": other, "max": 1}}).checks
    return {"rows in both": check.values["rows_in_both"]}


def overlap_by_hash(path: str, other: str) -> Steps:
    """The same in DuckDB by a hash of each row alone, which may take two rows for one."""
    import duckdb

    yield None
    hashes = "SELECT hash(name, street, city, country) AS h FROM read_parquet('{}')"
    with duckdb.connect() as connection:
        query = f"SELECT count(*) FROM ({hashes.format(path)}) SEMI JOIN ({hashes.format(other)}) AS o USING (h)"
        (count,) = connection.execute(query).fetchone() or (None,)
    return {"rows in both": count}
