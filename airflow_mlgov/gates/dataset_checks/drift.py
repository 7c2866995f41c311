"""Drift of a dataset against reference data, column by column: population stability index, Jensen-Shannon distance,
Kolmogorov-Smirnov. Refuses to call drift what chance alone would give, and to skip a column without saying so.

Only counts leave the database: neither a bin's edge nor a category's name because either may be a person's value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from airflow_mlgov.data.names import require_columns
from airflow_mlgov.data.quoting import identifier
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import MetricBound, parse_bound, settle
from airflow_mlgov.gates.dataset_checks.distributions import Counts, KsTest, compare_numbers
from airflow_mlgov.gates.dataset_checks.settings import count_of, names_of, text_of
from airflow_mlgov.gates.dataset_checks.workbench import (
    Reference,
    Workbench,
    choose_columns,
    is_category,
    is_numeric,
    is_temporal,
)
from airflow_mlgov.results import Check, Outcome, Severity

STATISTICS = ("psi", "js", "ks")

_CATEGORIES = 200


@dataclass(frozen=True)
class DriftSettings:
    """``checks.drift``."""

    reference: str
    """Path of the data to compare with; ``champion`` for the data that the champion was trained on."""
    psi: Any = None
    """``{max: 0.2}``, with a ``severity`` where it is not critical."""
    js: Any = None
    ks: Any = None
    columns: Any = None
    """None: every column that both have, but points in time, which move by themselves."""
    exclude: Any = ()
    bins: Any = 10
    """How many bins of equal reference counts a numeric column has, besides the one for missing values."""
    min_rows: Any = 100
    """Fewer on either side decide nothing."""

    def __post_init__(self) -> None:
        text_of("reference", self.reference)
        for name in ("columns", "exclude"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if name == "columns" and value is None else names_of(name, value))
        count_of("bins", self.bins, 2, 100)
        count_of("min_rows", self.min_rows, 1)
        if not self.bounds:
            raise ConfigurationError(
                "give at least one bound, such as psi: {max: 0.2}, js: {max: 0.1} or ks: {max: 0.1}",
                code="bound.missing",
            )

    @property
    def bounds(self) -> tuple[MetricBound, ...]:
        """What is bounded.

        :raises ConfigurationError: a bound is not of the form ``{max: 0.2}``
        """
        given = {name: getattr(self, name) for name in STATISTICS}
        found = [parse_bound(name, value, STATISTICS, source="checks.drift") for name, value in given.items() if value]
        for item in found:
            if item.bound.max is None or item.bound.min is not None:
                raise ConfigurationError(
                    f"{item.metric} is bounded from above: {item.metric}: {{max: 0.2}}", code="bound.form"
                )
        return tuple(found)


def population_stability_index(reference: Sequence[int], data: Sequence[int]) -> float:
    """``sum (q - p) ln(q / p)`` over the bins' shares p of the reference and q of the data.

    A bin that is empty on one side counts there as half a row, so that the index is finite; one that is empty on both
    is left out. NaN where a side has no rows.

    Source: Siddiqi, Credit Risk Scorecards (2006); Kullback & Leibler's J, Ann. Math. Stat. 22 (1951) 79-86.
    """
    n, m = sum(reference), sum(data)
    if not n or not m:
        return math.nan
    pairs = [((r or 0.5) / n, (d or 0.5) / m) for r, d in zip(reference, data, strict=True) if r or d]
    return math.fsum((q - p) * math.log(q / p) for p, q in pairs)


def jensen_shannon_distance(reference: Sequence[int], data: Sequence[int]) -> float:
    """The square root of the Jensen-Shannon divergence in bits: 0 for the same shares, 1 for nothing in common. NaN
    where a side has no rows.

    Source: Lin, IEEE Trans. Inf. Theory 37 (1991) 145-151; that the root is a metric: Endres & Schindelin, IEEE Trans.
    Inf. Theory 49 (2003) 1858-1860.
    """
    n, m = sum(reference), sum(data)
    if not n or not m:
        return math.nan
    terms = []
    for p, q in ((r / n, d / m) for r, d in zip(reference, data, strict=True)):
        middle = (p + q) / 2
        terms += [share * math.log2(share / middle) for share in (p, q) if share]
    return math.sqrt(max(0.0, math.fsum(terms) / 2))


def check_drift(bench: Workbench, settings: DriftSettings, reference: Reference) -> list[Check]:
    """A check for each column and bound, and one that says which columns were left out.

    :raises ConfigurationError: a named column is not there, or no column is left
    """
    columns, left_out = _columns(bench, settings, reference)
    sizes = bench.row(f"SELECT (SELECT count(*) FROM {reference.view}), (SELECT count(*) FROM data)")  # noqa: S608
    unlike = {name: why for name in columns if (why := _unlike(bench.types[name], reference.types[name]))}
    judged = [name for name in columns if name not in unlike]
    numeric = [name for name in judged if not is_category(bench.types[name])]
    tested = any(item.metric == "ks" for item in settings.bounds)
    counts, tests = compare_numbers(bench, reference, numeric, sizes, settings.bins, ks=tested)
    counts |= {name: _by_category(bench, reference, name) for name in judged if name not in numeric}
    words = [name for name in judged if name not in numeric]
    if all(item.metric == "ks" for item in settings.bounds):
        unlike |= _not_for_ks(bench, words if settings.columns is not None else ())
        left_out |= _not_for_ks(bench, words if settings.columns is None else ())
    checks = [_scope(bench, settings, reference, left_out)]
    for item in settings.bounds:
        applies = columns if item.metric != "ks" else [name for name in columns if name in numeric or name in unlike]
        for name in applies:
            label = f"drift_{item.metric}({name})"
            if name in unlike:
                detail = "; ".join(filter(None, [unlike[name], bench.table.remark(name)]))
                checks.append(Check(label, Outcome.ERROR, None, item.bound, item.severity, detail))
            elif item.metric == "ks":
                checks.append(_judge_ks(label, item, tests[name], settings.min_rows))
            else:
                checks.append(_judge_bins(label, item, counts[name], sizes, settings.min_rows))
    if len(checks) == 1:
        raise ConfigurationError(
            "checks.drift bounds ks alone, and no column holds numbers: bound psi or js", code="checks.no_column"
        )
    return checks


def _columns(bench: Workbench, settings: DriftSettings, reference: Reference) -> tuple[list[str], dict[str, str]]:
    """What is compared, and what is not, with the reason."""
    if settings.columns is not None:
        chosen = choose_columns(list(bench.types), settings.columns, settings.exclude, bench.table.name)
        require_columns(reference.types, chosen, reference.name)
        return chosen, {}
    everything = {**bench.types, **reference.types}
    require_columns(everything, settings.exclude, bench.table.name)
    left_out = dict.fromkeys(settings.exclude, "excluded")
    chosen = []
    for name, kind in bench.types.items():
        if name in left_out or name not in reference.types:
            continue
        if is_temporal(kind):
            left_out[name] = "a point in time, which moves by itself: name it in columns to compare it"
        else:
            chosen.append(name)
    if not chosen:
        raise ConfigurationError(
            f"{bench.table.name} and {reference.name} share no column that can be compared", code="checks.no_column"
        )
    return chosen, left_out


def _not_for_ks(bench: Workbench, names: Sequence[str]) -> dict[str, str]:
    """Columns of words, and why they are not compared."""
    return {
        name: f"it holds {bench.types[name]}, and ks compares numbers: bound psi or js, or exclude it" for name in names
    }


def _unlike(kind: str, reference: str) -> str:
    """Why two types cannot be compared; empty where they can."""
    for test in (is_numeric, is_temporal, is_category):
        if test(kind) and test(reference):
            return ""
    if any(test(kind) for test in (is_numeric, is_temporal, is_category)):
        return f"the column is {kind} here and {reference} in the reference, so it cannot be compared"
    return f"a column of type {kind} cannot be compared: exclude it"


def _scope(bench: Workbench, settings: DriftSettings, reference: Reference, left_out: Mapping[str, str]) -> Check:
    """That no column of the reference went missing unseen."""
    wanted = settings.columns if settings.columns is not None else tuple(reference.types)
    gone = [name for name in wanted if name not in bench.types and name not in settings.exclude]
    new = [name for name in bench.types if name not in reference.types]
    order = list(Severity)
    severity = min((item.severity for item in settings.bounds), key=order.index)
    outcome = Outcome.FAIL if gone else Outcome.PASS
    detail = f"columns of the reference that are missing here: {', '.join(gone)}" if gone else ""
    values = {"missing": gone, "new": new, "left_out": dict(left_out)}
    return Check("drift_columns", outcome, len(gone), "every column of the reference", severity, detail, values)


def _judge_bins(label: str, item: MetricBound, counts: Counts, sizes: Sequence[int], min_rows: int) -> Check:
    cells = sum(1 for r, d in zip(counts.reference, counts.data, strict=True) if r or d)
    psi_by_chance = _psi_by_chance(cells, *sizes)
    if item.metric == "psi":
        observed, chance = population_stability_index(counts.reference, counts.data), psi_by_chance
    else:
        observed = jensen_shannon_distance(counts.reference, counts.data)
        chance = math.sqrt(psi_by_chance / (8 * math.log(2)))  # JSD in bits is PSI / (8 ln 2) for small changes
    n, m = sizes
    values = {
        "rows": m,
        "reference_rows": n,
        "bins": cells,
        "by_chance": chance,
        "missing_share": counts.data[-1] / m if m else None,
        "reference_missing_share": counts.reference[-1] / n if n else None,
    }
    if counts.new_categories:
        values |= {"new_categories": counts.new_categories, "new_category_share": counts.new / m}
    return _judged(label, item, observed, chance, (n, m), min_rows, values)


def _judge_ks(label: str, item: MetricBound, test: KsTest, min_rows: int) -> Check:
    n, m = test.n_reference, test.n
    # the 95 % point of Kolmogorov's distribution: Smirnov, Ann. Math. Stat. 19 (1948) 279-281
    chance = 1.3581 * math.sqrt((n + m) / (n * m)) if n and m else math.inf
    values = {"n": m, "n_reference": n, "p_value": test.p_value, "by_chance": chance}
    return _judged(label, item, test.statistic, chance, (n, m), min_rows, values)


def _judged(
    label: str,
    item: MetricBound,
    observed: float,
    chance: float,
    sizes: tuple[int, int],
    min_rows: int,
    values: Mapping[str, Any],
) -> Check:
    """A statistic is never below zero and grows by chance in small samples, so a small one passes and a large one fails
    only where chance alone would not give it in one of twenty tries."""
    outcome, detail = item.bound.judge(settle(observed)), ""
    if min(sizes) < min_rows:
        outcome, detail = Outcome.INCONCLUSIVE, f"{min(sizes)} values; at least {min_rows} are needed on both sides"
    elif outcome is Outcome.FAIL and observed <= chance:
        outcome = Outcome.INCONCLUSIVE
        detail = f"with so few rows chance alone gives up to {chance:.3g}: compare more rows, or fewer bins"
    elif outcome is Outcome.FAIL:
        detail = f"the distribution has moved: {item.metric} is {observed:.3g}, chance alone gives up to {chance:.3g}"
    return Check(label, outcome, observed, item.bound, item.severity, detail, values)


def _psi_by_chance(cells: int, n: int, m: int) -> float:
    """What the index exceeds in one of twenty tries where nothing has moved: ``(1/n + 1/m)`` times the 95 % point of
    chi-square with ``cells - 1`` degrees of freedom (Wilson and Hilferty's approximation of it).

    Source: Yurdakul & Naranjo, J. Risk Model Validation 14 (2020); Wilson & Hilferty, PNAS 17 (1931) 684-688.
    """
    if not n or not m:
        return math.inf
    degrees = max(cells - 1, 1)
    part = 2 / (9 * degrees)
    point = degrees * (1 - part + NormalDist().inv_cdf(0.95) * math.sqrt(part)) ** 3
    return point * (1 / n + 1 / m)


def _place(row: tuple[Any, ...]) -> tuple[int, int, int]:
    """Categories as they are told, the totals behind them."""
    return -row[-1], -row[0], row[1]


def _by_category(bench: Workbench, reference: Reference, name: str) -> Counts:
    """Rows by category: the reference's most frequent ones, its others as one, new ones as one, missing ones as one."""
    column = f"{identifier(name)}::VARCHAR"
    *top, (missing_r, missing_d, known_r, known_d, new_d, new_categories, _) = sorted(
        bench.rows(
            f"""
        WITH grouped AS (
            SELECT value, sum(r)::BIGINT AS r, sum(d)::BIGINT AS d FROM (
                SELECT {column} AS value, 1 AS r, 0 AS d FROM {reference.view}
                UNION ALL SELECT {column}, 0, 1 FROM data
            ) GROUP BY value
        ),
        marked AS (SELECT *, value IS NULL AS missing, value IS NOT NULL AND r > 0 AS known FROM grouped),
        top AS (SELECT r, d FROM marked WHERE known ORDER BY r DESC, value DESC LIMIT {_CATEGORIES})
        SELECT coalesce(sum(r) FILTER (missing), 0)::BIGINT, coalesce(sum(d) FILTER (missing), 0)::BIGINT,
               coalesce(sum(r) FILTER (known), 0)::BIGINT, coalesce(sum(d) FILTER (known), 0)::BIGINT,
               coalesce(sum(d) FILTER (NOT missing AND NOT known), 0)::BIGINT,
               count(*) FILTER (NOT missing AND NOT known), 0 AS place
        FROM marked
        UNION ALL SELECT r, d, 0::BIGINT, 0::BIGINT, 0::BIGINT, 0::BIGINT, 1 FROM top
        """  # noqa: S608 - quoted
        ),
        key=_place,
    )
    cells = [(int(r), int(d)) for r, d, *_ in top]
    other = known_r - sum(r for r, _ in cells), known_d - sum(d for _, d in cells)
    cells += [(int(other[0]), int(other[1])), (0, int(new_d)), (int(missing_r), int(missing_d))]
    return Counts(tuple(r for r, _ in cells), tuple(d for _, d in cells), int(new_d), new_categories)
