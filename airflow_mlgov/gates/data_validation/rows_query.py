"""Holds the SQL of an ``UnexpectedRowsExpectation`` against what it may be: one SELECT over the rows that are judged,
by functions that are listed. Refuses whatever else DuckDB would run: files, settings, the environment, other tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from airflow_mlgov.gates.data_validation.columns import UnfitError

BATCH = "{batch}"
_MOST_SIGNS = 100_000

FUNCTIONS = frozenset(
    """
    ~~ !~~ ~~* !~~* ~~~ like_escape not_like_escape ilike_escape not_ilike_escape + - * / // % ** ^ || & | ~ ! << >>
    @> <@ && count count_star sum avg min max first last any_value median mode quantile quantile_cont quantile_disc
    stddev stddev_pop stddev_samp variance var_pop var_samp corr covar_pop covar_samp skewness kurtosis entropy fsum
    favg sumkahan product bool_and bool_or bit_and bit_or bit_xor approx_count_distinct arg_min arg_max min_by
    max_by string_agg list array_agg histogram count_if sum_no_overflow regr_slope regr_intercept row_number rank
    dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value abs ceil ceiling floor round
    round_even trunc sign sqrt cbrt exp ln log log2 log10 pow power mod gcd lcm greatest least isnan isinf isfinite
    even sin cos tan asin acos atan atan2 radians degrees pi factorial lower upper lcase ucase length len strlen
    char_length character_length substring substr left right trim ltrim rtrim replace reverse concat concat_ws
    contains starts_with prefix suffix ends_with position instr strpos lpad rpad repeat split_part string_split
    str_split split ascii chr unicode ord regexp_matches regexp_full_match regexp_replace regexp_extract levenshtein
    damerau_levenshtein jaccard jaro_similarity jaro_winkler_similarity hamming strip_accents translate initcap md5
    sha256 hash coalesce nullif ifnull if year month day hour minute second millisecond microsecond quarter week
    weekday dayofweek isodow dayofyear decade century epoch epoch_ms date_part datepart date_trunc datetrunc
    date_diff datediff date_sub datesub date_add age last_day make_date make_timestamp make_time strftime strptime
    try_strptime to_days to_months to_years to_hours to_minutes to_seconds dayname monthname date_bin time_bucket
    list_contains list_has array_contains list_length array_length list_distinct list_unique list_sort list_sum
    list_min list_max list_avg list_extract list_element array_extract struct_extract map_extract map_keys
    map_values cardinality element_at row struct_pack list_value json_extract json_extract_string json_valid
    json_array_length json_type -> ->> typeof unnest grouping date
    """.split()  # noqa: SIM905 - one a line would be 250 lines
)
"""Those that compute from their arguments alone."""

_NODES = ("SELECT_NODE", "SET_OPERATION_NODE")


def checked_query(query: str, view: str = "data") -> str:
    """The query with the rows' view for ``{batch}``, if it is one that may be run.

    :raises UnfitError: it may not
    """
    import duckdb

    if len(query) > _MOST_SIGNS:
        raise UnfitError(f"its query has more than {_MOST_SIGNS} signs")
    if BATCH not in query:
        raise UnfitError("its query does not name {batch}, so it says nothing of the data")
    text = query.replace(BATCH, view)
    with duckdb.connect(":memory:", config={"enable_external_access": "false", "lock_configuration": "true"}) as parser:
        try:
            (serialized,) = parser.execute("SELECT json_serialize_sql(?)", [text]).fetchall()[0]
        except duckdb.Error as error:
            raise UnfitError(f"its query cannot be read: {str(error).splitlines()[0][:120]}") from None
    parsed = json.loads(serialized)
    if parsed.get("error"):
        raise UnfitError(f"its query is not one SELECT: {str(parsed.get('error_message')).splitlines()[0][:120]}")
    if len(parsed["statements"]) != 1:
        raise UnfitError("its query is more than one statement")
    statement = parsed["statements"][0]
    named = {str(part["key"]).lower() for part in _parts(statement) if "key" in part and "value" in part}
    if view in named:
        raise UnfitError("its query gives the rows' own name to something else")
    for part in _parts(statement):
        _require_allowed(part, {view, *named})
    if not any(part.get("class") in ("COLUMN_REF", "STAR") for part in _parts(statement)):
        raise UnfitError("its query names no column, so it says nothing of the data")
    return text.strip().rstrip(";")


def _require_allowed(part: dict[str, Any], tables: set[str]) -> None:
    kind = part.get("type")
    if kind in ("TABLE_FUNCTION", "BASE_TABLE"):
        _require_rows(part, tables)
    elif kind == "SHOW_REF" or ("cte_map" in part and kind not in _NODES):
        raise UnfitError(f"its query is a {kind}; write one SELECT")
    if "function_name" in part:
        name = str(part["function_name"]).lower()
        if name not in FUNCTIONS or part.get("schema") or part.get("catalog"):
            raise UnfitError(f"its query calls {name[:60]}, which is not among the functions that it may call")
    if part.get("sample") or part.get("at_clause"):
        raise UnfitError("its query draws a sample, so it would not give the same answer twice")
    if part.get("class") in ("PARAMETER", "LAMBDA", "POSITIONAL_REFERENCE"):
        raise UnfitError("its query holds a parameter or a lambda, and may hold none")


def _require_rows(part: dict[str, Any], tables: set[str]) -> None:
    """What stands after FROM is the rows, or a part of the query itself."""
    if part["type"] == "TABLE_FUNCTION":
        name = part.get("function", {}).get("function_name")
        if name != "unnest":
            raise UnfitError(f"its query reads from the function {name}; it may read from {BATCH} alone")
        return
    name = str(part.get("table_name"))
    if name.lower() not in tables or part.get("schema_name") or part.get("catalog_name"):
        raise UnfitError(f'its query reads from "{name[:60]}"; it may read from {BATCH} alone')


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in the parsed statement."""
    waiting = [tree]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield found
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found
