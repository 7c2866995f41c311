"""Who holds a file against twelve expectations: the data gate, Great Expectations, SQL by hand, Pandera, Pointblank."""

from __future__ import annotations

from typing import Any

from benchmarks.contender import Steps
from benchmarks.data import COUNTRIES, EMAIL, SUITE

_OBSERVED = (
    "expect_table_row_count_to_be_between",
    "expect_column_mean_to_be_between",
    "expect_column_stdev_to_be_between",
    "expect_column_proportion_of_unique_values_to_be_between",
)
"""Expectations whose answer is what was observed; the answer of the others is how many values are unexpected."""

_SQL = f"""
SELECT count(*), count(*) - count(id), count(*) - count(age), count(id) - count(DISTINCT id),
       count(*) FILTER (age NOT BETWEEN 18 AND 90), count(*) FILTER (income < 0),
       count(*) FILTER (NOT regexp_matches(email, '^(?:{EMAIL})')), count(*) FILTER (country NOT IN {COUNTRIES}),
       avg(score), stddev_samp(amount), count(DISTINCT city) / count(city)
FROM read_parquet(?)
"""


def gate(path: str) -> Steps:
    """The data gate with its defaults; the file's digest is part of its work."""
    import duckdb  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    from airflow_mlgov.gates.data_validation import validate_data

    yield None
    result = validate_data(path, SUITE)
    answer: dict[str, Any] = {"verdict": str(result.verdict)}
    for check in result.checks:
        if check.name.startswith(_OBSERVED):
            answer[check.name] = check.observed
        elif "unexpected_count" in check.values:
            answer[check.name] = check.values["unexpected_count"]
    return answer


def great_expectations(path: str) -> Steps:
    """Great Expectations on pandas, as its documentation has it."""
    import great_expectations as gx

    yield None
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("files").add_parquet_asset("people", path=path)
    batch = asset.add_batch_definition("all").get_batch()
    result = batch.validate(gx.ExpectationSuite(**SUITE))
    answer: dict[str, Any] = {"verdict": "PASS" if result.success else "FAIL"}
    for item in result.results:
        kind, column = item.expectation_config.type, item.expectation_config.kwargs.get("column")
        name = f"{kind}({column})" if column else kind
        if kind in _OBSERVED:
            answer[name] = item.result["observed_value"]
        elif "unexpected_count" in item.result:
            answer[name] = item.result["unexpected_count"]
    return answer


def sql_by_hand(path: str) -> Steps:
    """What somebody who knows DuckDB writes."""
    import duckdb

    yield None
    with duckdb.connect() as connection:
        names = [name for name, *_ in connection.execute("DESCRIBE FROM read_parquet(?)", [path]).fetchall()]
        values = connection.execute(_SQL, [path]).fetchone() or ()
    rows, no_id, no_age, doubles, age, income, email, country, mean, stdev, share = values
    sound = (
        set(names) == set(SUITE["expectations"][0]["kwargs"]["column_set"]),
        rows >= 1000,
        no_id == 0,
        no_age <= 0.01 * rows,
        doubles == 0,
        age == 0,
        income <= 0.01 * rows,
        email <= 0.01 * rows,
        country == 0,
        0.45 <= mean <= 0.55,
        350 <= stdev <= 450,
        share <= 0.6,
    )
    return {
        "verdict": "PASS" if all(sound) else "FAIL",
        "expect_table_row_count_to_be_between": rows,
        "expect_column_values_to_not_be_null(id)": no_id,
        "expect_column_values_to_not_be_null(age)": no_age,
        "expect_column_values_to_be_between(age)": age,
        "expect_column_values_to_be_between(income)": income,
        "expect_column_values_to_match_regex(email)": email,
        "expect_column_values_to_be_in_set(country)": country,
        "expect_column_mean_to_be_between(score)": mean,
        "expect_column_stdev_to_be_between(amount)": stdev,
        "expect_column_proportion_of_unique_values_to_be_between(city)": share,
    }


def pandera(path: str) -> Steps:
    """Pandera's schema over a Polars frame; it says no more than whether all holds."""
    import pandera.polars as pa
    import polars as pl

    yield None

    def holds(test: Any) -> Any:
        return pa.Check(lambda given: given.lazyframe.select(test(pl.col(given.key))))

    schema = pa.DataFrameSchema(
        {
            "id": pa.Column(unique=True, nullable=False),
            "age": pa.Column(
                nullable=True,
                checks=[holds(lambda age: age.is_not_null().mean() >= 0.99), pa.Check.in_range(18, 90)],
            ),
            "income": pa.Column(checks=holds(lambda income: (income >= 0).mean() >= 0.99)),
            "email": pa.Column(checks=holds(lambda email: email.str.contains(f"^(?:{EMAIL})").mean() >= 0.99)),
            "country": pa.Column(checks=pa.Check.isin(COUNTRIES)),
            "score": pa.Column(checks=holds(lambda score: score.mean().is_between(0.45, 0.55))),
            "amount": pa.Column(checks=holds(lambda amount: amount.std().is_between(350, 450))),
            "city": pa.Column(checks=holds(lambda city: city.n_unique() / city.count() <= 0.6)),
            "active": pa.Column(),
        },
        strict=True,
        checks=pa.Check(lambda given: given.lazyframe.select(pl.len() >= 1000)),
    )
    try:
        schema.validate(pl.read_parquet(path), lazy=True)
    except pa.errors.SchemaErrors:
        return {"verdict": "FAIL"}
    return {"verdict": "PASS"}


def pointblank(path: str) -> Steps:
    """Pointblank's plan over a Polars frame."""
    import pointblank as pb
    import polars as pl

    yield None
    columns = set(SUITE["expectations"][0]["kwargs"]["column_set"])
    frame = pl.read_parquet(path)
    plan = (
        pb.Validate(frame)
        .specially(lambda data: set(data.columns) == columns)
        .specially(lambda data: len(data) >= 1000)
        .col_vals_not_null("id")
        .col_vals_not_null("age", thresholds=0.01)
        .rows_distinct("id")
        .col_vals_between("age", 18, 90, na_pass=True)
        .col_vals_ge("income", 0, thresholds=0.01)
        .col_vals_regex("email", f"^(?:{EMAIL})", thresholds=0.01)
        .col_vals_in_set("country", list(COUNTRIES))
        .specially(lambda data: 0.45 <= data["score"].mean() <= 0.55)
        .specially(lambda data: 350 <= data["amount"].std() <= 450)
        .specially(lambda data: data["city"].n_unique() / len(data) <= 0.6)
        .interrogate()
    )
    failed, shares = list(plan.n_failed().values()), list(plan.f_failed().values())
    allowed = [0, 0, 0, 0.01, 0, 0, 0.01, 0.01, 0, 0, 0, 0]
    named = (
        "expect_column_values_to_not_be_null(id)",
        "expect_column_values_to_not_be_null(age)",
        "expect_column_values_to_be_unique(id)",
        "expect_column_values_to_be_between(age)",
        "expect_column_values_to_be_between(income)",
        "expect_column_values_to_match_regex(email)",
        "expect_column_values_to_be_in_set(country)",
    )
    sound = all(share <= most for share, most in zip(shares, allowed, strict=True))
    return {"verdict": "PASS" if sound else "FAIL", **dict(zip(named, failed[2:9], strict=True))}
