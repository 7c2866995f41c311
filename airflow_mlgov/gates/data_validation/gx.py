"""Runs a suite in Great Expectations over a frame and hands back plain counts by expectation, in a child process
(``handed.py``). Refuses to pass on what Great Expectations would: row values, tracebacks, log noise."""

from __future__ import annotations

import copy
import logging
import math
import re
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from airflow_mlgov.gates.data_validation.expectations import Expectation
from airflow_mlgov.results import json_safe

_RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
"""Counts, and no row value (BASIC and COMPLETE carry some)."""

_COUNTS = (
    "element_count",
    "unexpected_count",
    "unexpected_percent",
    "unexpected_percent_total",
    "missing_count",
    "missing_percent",
)

_PUBLIC_OBSERVED = frozenset(
    {
        "expect_column_kl_divergence_to_be_less_than",
        "expect_column_mean_to_be_between",
        "expect_column_proportion_of_non_null_values_to_be_between",
        "expect_column_proportion_of_unique_values_to_be_between",
        "expect_column_stdev_to_be_between",
        "expect_column_sum_to_be_between",
        "expect_column_type_to_be",
        "expect_column_unique_value_count_to_be_between",
        "expect_column_values_to_be_in_type_list",
        "expect_column_values_to_be_of_type",
        "expect_table_column_count_to_be_between",
        "expect_table_column_count_to_equal",
        "expect_table_columns_to_match_ordered_list",
        "expect_table_columns_to_match_set",
        "expect_table_row_count_to_be_between",
        "expect_table_row_count_to_equal",
        "unexpected_rows_expectation",
    }
)
"""Where ``observed_value`` is an aggregate or a part of the schema. Anywhere else (min, max, median, quantiles,
distinct and most common values, expectations we do not know) it may be somebody's value and is withheld."""

_DIVERGENCE = "expect_column_kl_divergence_to_be_less_than"
_COUNTS_NULLS = frozenset({"expect_column_proportion_of_non_null_values_to_be_between"})
"""Column aggregates that mean something on a column of nulls."""

_SAFE_WORDS = (
    re.compile(r"No provider found for [\w.]+ using \w+"),
    re.compile(r'The column "[^"]*" in BatchData does not exist'),
    re.compile(r"Column values, min_value, and max_value must either be None or of the same type"),
    re.compile(r"Regex is not supported for dialect \w+"),
    re.compile(r"Values passed to \w+ must be of type string[^'\"]{0,200}"),
    re.compile(r"Expectation \w+ (?:can only|cannot|must|requires)[^'\"]{0,200}"),
    re.compile(r"(?:Columns?|m(?:in|ax)_value|value_set|mostly|threshold)[\w ,]* (?:must|can ?not)[^'\"]{0,200}"),
    re.compile(r"Cannot perform '\w+' with a dtyped \[\w+\] array"),
    re.compile(r"'(?:<|<=|>|>=)' not supported between instances of '\w+' and '\w+'"),
    re.compile(r"unsupported operand type\(s\) for [^:]{1,20}: '[\w.]+' and '[\w.]+'"),
)
"""What Great Expectations and pandas say in words of their own, without a value."""
_ERROR_CLASS = re.compile(r"^(?:[\w]+\.)*(\w+(?:Error|Exception|Warning))\b", re.MULTILINE)


@dataclass(frozen=True)
class Result:
    """What Great Expectations said of one expectation, without a row's value."""

    success: bool
    counts: Mapping[str, int | float | None]
    """Of a map expectation; empty for others."""
    observed: Any = None
    """A number or text that may be shown."""
    withheld: bool = False
    """There was an observed value, and it may be a row's."""
    undefined: bool = False
    """An aggregate came back as NaN or as nothing."""
    error: str = ""
    """Why it could not be evaluated; empty where it could."""
    nonnull: int | None = None
    """How many values that are not null a column aggregate was computed from."""
    note: str = ""
    """What else is to be told of the values that do not meet it."""


@dataclass(frozen=True)
class Run:
    """One run of a suite. An expectation that is in neither mapping got no answer."""

    results: Mapping[int, Result] = field(default_factory=dict)
    """By position in the suite."""
    dropped: Mapping[int, str] = field(default_factory=dict)
    """Position -> why Great Expectations would not take it."""
    surplus: int = 0
    """Results that belong to no expectation we handed in."""
    crash: str = ""
    """The class of the error that ended the run; empty where it ended well."""
    docs: str | None = None
    """The index page of the Data Docs, where they were asked for."""


def version() -> str:
    """The installed version of Great Expectations."""
    import great_expectations

    return str(great_expectations.__version__)


def run_suite(frame: Any, name: str, expectations: Sequence[Expectation], docs_dir: Path | None = None) -> Run:
    """Evaluate ``expectations``, whose parameters and conditions have been put into effect, over a pandas DataFrame.

    :param name: of the suite
    """
    import great_expectations as gx

    with _quiet():
        ids = {str(uuid.uuid4()): expectation for expectation in expectations}
        configs, dropped = _build(ids)
        probes = _probes(configs)
        gx_suite = gx.ExpectationSuite(
            name=name, expectations=[*configs.values(), *(config for config, _ in probes.values())]
        )
        kept = {expectation.id for expectation in gx_suite.expectations}
        for key in configs.keys() - kept:
            dropped[ids[key].position] = "Great Expectations dropped it without saying why"
        context = _context()
        try:
            validated = _batch(context, frame).validate(gx_suite, result_format=_RESULT_FORMAT)
        except Exception as error:  # whatever it is, nothing is known, so nothing may pass
            return Run(dropped=dropped, crash=type(error).__name__)
        positions = {key: expectation.position for key, expectation in ids.items()}
        run = _collect(validated.to_json_dict()["results"], positions, probes)
        docs = _write_docs(context, gx_suite, validated, set(probes), docs_dir) if docs_dir else None
    return Run(run.results, dropped, run.surplus, docs=docs)


def _build(ids: Mapping[str, Expectation]) -> tuple[dict[str, dict[str, Any]], dict[int, str]]:
    """Each expectation as Great Expectations' configuration, built once alone so that a mistake has an address."""
    from great_expectations.compatibility.pydantic import ValidationError
    from great_expectations.exceptions import InvalidExpectationConfigurationError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    configs: dict[str, dict[str, Any]] = {}
    dropped: dict[int, str] = {}
    quantiles: set[str] = set()
    for key, item in ids.items():
        if item.type == "expect_column_quantile_values_to_be_between":
            column = str(item.kwargs.get("column"))
            if column in quantiles:  # its metric is kept by column, so the first's values would be judged
                dropped[item.position] = f"ask for all quantiles of {column} in one expectation"
                continue
            quantiles.add(column)
        config = {"type": item.type, "kwargs": copy.deepcopy(dict(item.kwargs)), "severity": item.severity, "id": key}
        try:
            ExpectationConfiguration(**copy.deepcopy(config)).to_domain_obj()
        except InvalidExpectationConfigurationError as error:
            dropped[item.position] = str(error).splitlines()[0]
            continue
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors())
            dropped[item.position] = f"wrong arguments: {wrong}"
            continue
        except (TypeError, ValueError) as error:
            dropped[item.position] = f"wrong arguments: {error}"
            continue
        configs[key] = config
    return configs, dropped


def _probes(configs: Mapping[str, dict[str, Any]]) -> dict[str, tuple[dict[str, Any], str]]:
    """For each column aggregate, a count of the values it is computed from: Great Expectations does not say, and calls
    a set of no values equal to what you like. Keyed by the probe's id, with the id it serves."""
    from great_expectations.expectations.expectation import ColumnAggregateExpectation
    from great_expectations.expectations.registry import get_expectation_impl

    probes = {}
    for key, config in configs.items():
        is_aggregate = issubclass(get_expectation_impl(config["type"]), ColumnAggregateExpectation)
        if is_aggregate and config["type"] not in _COUNTS_NULLS and "column" in config["kwargs"]:
            kwargs = {
                name: value
                for name, value in config["kwargs"].items()
                if name in ("column", "row_condition", "condition_parser")
            }
            probe_id = str(uuid.uuid4())
            probe = {"type": "expect_column_values_to_not_be_null", "kwargs": kwargs, "id": probe_id}
            probes[probe_id] = (probe, key)
    return probes


def _collect(
    raw: Sequence[Mapping[str, Any]], positions: Mapping[str, int], probes: Mapping[str, tuple[dict[str, Any], str]]
) -> Run:
    """Results by position. Great Expectations re-orders them, so only the id says which is whose."""
    nonnull: dict[str, int] = {}
    answers: dict[str, Mapping[str, Any]] = {}
    surplus = 0
    for item in raw:
        key = item["expectation_config"].get("id")
        if key in probes:
            counts = _counts(item["result"])
            total, missing = counts.get("element_count"), counts.get("unexpected_count")
            if total == 0:  # SQL sums no rows to NULL, so the other count is missing
                nonnull[probes[key][1]] = 0
            elif total is not None and missing is not None:
                nonnull[probes[key][1]] = int(total) - int(missing)
        elif key in positions and key not in answers:
            answers[key] = item
        else:
            surplus += 1
    probed = {served for _, served in probes.values()}
    results = {}
    for key, item in answers.items():
        result = _result(item, nonnull.get(key))
        if key in probed and key not in nonnull and not result.error:
            result = replace(result, error="Great Expectations did not say from how many values it was computed")
        results[positions[key]] = result
    return Run(results, surplus=surplus)


def _result(item: Mapping[str, Any], nonnull: int | None) -> Result:
    kind = item["expectation_config"]["type"]
    raw = item["result"] or {}
    error = _error(item.get("exception_info") or {})
    success, observed = json_safe(item["success"]), raw.get("observed_value")
    if not error and not isinstance(success, bool):
        error = f"Great Expectations answered success={success!r}, which is neither yes nor no"
    public = kind in _PUBLIC_OBSERVED
    if isinstance(observed, list):
        observed = ", ".join(map(str, observed))[:300]
    undefined = "observed_value" in raw and (
        (public and observed is None) or (isinstance(observed, float) and not math.isfinite(observed))
    )
    if kind == _DIVERGENCE and undefined and _is_infinite(observed, raw.get("details") or {}):
        undefined = False  # that is above every threshold
    shown = json_safe(observed) if public else None
    withheld = "observed_value" in raw and not public
    return Result(success is True, _counts(raw), shown, withheld, undefined, error, nonnull)


def _is_infinite(observed: Any, details: Mapping[str, Any]) -> bool:
    """Whether a value or a bin of no weight was seen; Great Expectations gives no number then."""
    if observed is not None:
        return bool(observed == math.inf)
    seen, expected = (_weights(details.get(f"{which}_partition") or {}) for which in ("observed", "expected"))
    return any(weight > 0 and not expected.get(where) for where, weight in seen.items())


def _weights(partition: Mapping[str, Any]) -> dict[Any, float]:
    """The weight of each value; of each bin by its place, and of what lies below and above all bins."""
    weights = [weight or 0.0 for weight in partition.get("weights") or ()]
    tails = [weight or 0.0 for weight in partition.get("tail_weights") or ()]
    named = zip(map(str, partition.get("values") or range(len(weights))), weights, strict=False)
    return {**dict(named), **dict(zip(("below", "above"), tails, strict=False))}


def _counts(raw: Mapping[str, Any]) -> dict[str, int | float | None]:
    return {key: json_safe(raw[key]) for key in _COUNTS if key in raw}


def _error(info: Mapping[str, Any]) -> str:
    """A short cause without a value or a path in it. ``exception_info`` comes flat, or keyed by metric."""
    blocks = [info] if "raised_exception" in info else [block for block in info.values() if isinstance(block, Mapping)]
    raised = [block for block in blocks if block.get("raised_exception")]
    if not raised:
        return ""
    for block in raised:
        for words in _SAFE_WORDS:
            if found := words.search(str(block.get("exception_message"))):
                return found.group()
    classes = [name for block in raised for name in _ERROR_CLASS.findall(str(block.get("exception_traceback") or ""))]
    return classes[0] if classes else "an internal error"


@contextmanager
def _quiet() -> Iterator[None]:
    """Great Expectations logs what it dropped, with configuration and values; we say it ourselves."""
    logger, silence = logging.getLogger("great_expectations"), logging.NullHandler()
    propagate, logger.propagate = logger.propagate, False  # its children set levels of their own
    logger.addHandler(silence)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.removeHandler(silence)
        logger.propagate = propagate


def _context() -> Any:
    import great_expectations as gx
    import great_expectations.execution_engine.pandas_execution_engine as pandas_engine
    from great_expectations.data_context.types.base import ProgressBarsConfig

    if hasattr(pandas_engine, "HASH_THRESHOLD"):
        pandas_engine.HASH_THRESHOLD = (
            0  # else it hashes the frame twice (70 % of the time); our digest is of the bytes
        )
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def _batch(context: Any, frame: Any) -> Any:
    asset = context.data_sources.add_pandas("data").add_dataframe_asset("table")
    return asset.add_batch_definition_whole_dataframe("whole").get_batch(batch_parameters={"dataframe": frame})


def _write_docs(context: Any, suite: Any, validated: Any, probes: set[str], directory: Path) -> str:
    """Data Docs of this run in ``directory``: Great Expectations' own pages, fed with what the gate may show."""
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    directory.mkdir(parents=True, exist_ok=True)
    shown = copy.deepcopy(validated)
    shown.results = [_redacted(result) for result in shown.results if result.expectation_config.id not in probes]
    shown.meta = {
        "great_expectations_version": version(),
        "active_batch_definition": {"datasource_name": "data", "data_asset_name": "table"},
    }
    passed = sum(bool(result.success) for result in shown.results)
    shown.statistics = {
        "evaluated_expectations": len(shown.results),
        "successful_expectations": passed,
        "unsuccessful_expectations": len(shown.results) - passed,
        "success_percent": 100 * passed / len(shown.results) if shown.results else None,
    }
    shown.success = passed == len(shown.results)
    key = ValidationResultIdentifier(ExpectationSuiteIdentifier(suite.name), RunIdentifier(run_name="gate"), "table")
    context.validation_results_store.set(key, shown)
    for site in list(context.get_site_names()):
        context.delete_data_docs_site(site)
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(directory.absolute())}
    context.add_data_docs_site(
        "gate",
        {
            "class_name": "SiteBuilder",
            "store_backend": store,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )
    context.build_data_docs(site_names=["gate"])
    return str(directory / "index.html")


def _redacted(result: Any) -> Any:
    kind = result.expectation_config.type
    error = _error(result.exception_info or {})
    details: dict[str, Any] = _counts(result.result or {})
    if "element_count" not in details:
        details = {}  # the page's renderer expects all counts or none
    if "observed_value" in (result.result or {}):
        details["observed_value"] = result.result["observed_value"] if kind in _PUBLIC_OBSERVED else "withheld"
    result.success = bool(result.success)
    result.result = json_safe(details)
    result.exception_info = {
        "raised_exception": bool(error),
        "exception_message": error,
        "exception_traceback": "",
    }
    return result
