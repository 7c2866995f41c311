"""Counts the rows of a predictions table by sensitive features, label and prediction, where the data is: one GROUP BY
in DuckDB for files, in the database for a table, in Spark for a DataFrame of its. Refuses to drop a row that lacks a
label or a prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from airflow_mlgov.data.cases import digest_of_counts
from airflow_mlgov.data.source import ColumnKind, Relation, compared_together, open_together, source_beside, source_of
from airflow_mlgov.data.steady_sums import SteadySums
from airflow_mlgov.data.values import key_of, require_comparable, require_numbers, require_plain
from airflow_mlgov.errors import ConfigurationError, DependencyError
from airflow_mlgov.gates.fairness.features import group_name, group_names
from airflow_mlgov.gates.statistics.weights import refuse_unsound, unsound
from airflow_mlgov.results import Subject

LIMIT = 200_000
"""More cells of one feature than this are no counts any more: a column of scores or of ids was named."""

_SOME = 5
"""Times the limit: rows that are looked at to see whether it would be passed."""
LARGEST = "1.7976931348623157e308"
"""Infinity is above it. NaN is above it too, or (BigQuery) compares as false with everything."""
_FINENESS = 24
"""Rows whose weights differ by no more than a 24th of a natural logarithm (4 %) are resampled with their mean weight:
sums are exact, and an interval's width is off by less than 0.02 %."""
_NUMBERS = (ColumnKind.INTEGER, ColumnKind.DECIMAL, ColumnKind.FLOAT)
_MISSING, _INFINITE = -1, -2
_SCORED = {_MISSING: None, _INFINITE: float("inf")}
_INFINITIES = (float("inf"), float("-inf"))


@dataclass(frozen=True)
class Columns:
    """Which columns of a predictions table mean what."""

    label: str
    prediction: str | None = None
    """The predicted label, or number of a regression; made from score and threshold if omitted."""
    score: str | None = None
    threshold: float = 0.5
    positive_label: Any = None
    """The favourable one; needed unless labels are 0 and 1."""
    champion_prediction: str | None = None
    """The champion's predicted label on the same row, where the table has one."""
    row_id: str | None = None
    """Names a row in both the candidate's and the champion's table, where they are two."""
    champion_score: str | None = None
    """The champion's score on the same row, where the table has one."""
    sample_weight: str | None = None
    """How much each row counts."""
    bins: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Sensitive column of numbers -> the edges that cut it into groups."""

    @property
    def predictor(self) -> str:
        """The column that predictions come from."""
        found = self.score if self.prediction is None else self.prediction
        if found is None:
            raise ConfigurationError(
                "name a prediction column, or a score column with a threshold", code="setting.missing"
            )
        return found


@dataclass(frozen=True)
class Cells:
    """The table of counts, one entry for each combination of values that has rows."""

    groups: Mapping[str, tuple[str | None, ...]]
    """Sensitive column -> the group's name."""
    label: tuple[Any, ...]
    """As stored; None where missing."""
    prediction: tuple[Any, ...]
    """As stored, or 0 and 1 where made from the score; None where missing."""
    champion: tuple[Any, ...]
    """The champion's prediction for the same rows; empty without a champion."""
    rows: tuple[int, ...]
    values: tuple[tuple[Any, ...], ...] = ()
    """Of the sensitive columns by name, as stored."""
    problems: tuple[str, ...] = field(default=())
    """Missing or infinite labels, predictions or scores: nothing is computed then."""
    weights: tuple[float, ...] = ()
    """The sum of the rows' weights; empty if they have none. Rows of one combination are then several cells, each of
    rows whose weights are nearly alike."""
    squares: tuple[float, ...] = ()
    """The sum of their squares."""

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self.rows)

    @property
    def table(self) -> list[list[Any]]:
        """One row for each cell: the groups by column name, label, prediction, number of rows."""
        names = [self.groups[column] for column in sorted(self.groups)]
        values = [map(_marked, self.label), map(_marked, self.prediction), self.rows]
        return [list(row) for row in zip(*names, *values, strict=True)]

    @property
    def case_digest(self) -> str:
        """See :func:`airflow_mlgov.data.cases.evaluation_digest`, of the label and the sensitive columns by name."""
        columns = (self.label, *self.values)
        mixed = any(len(set(map(type, column))) > 1 for column in columns)
        kinds = [map(type, column) for column in columns if mixed]
        sums: dict[tuple[Any, ...], int] = {}
        for key, count in zip(zip(*columns, *kinds, strict=True), self.rows, strict=True):
            sums[key] = sums.get(key, 0) + count  # predictions make several cells of one case
        return digest_of_counts((key[: len(columns)], count) for key, count in sums.items())


@dataclass(frozen=True)
class Counted:
    """What was counted of every feature, of all together or of each by itself."""

    by_feature: Mapping[str, Cells]

    @property
    def first(self) -> Cells:
        """Cells of all rows."""
        return next(iter(self.by_feature.values()))

    @property
    def rows(self) -> tuple[int, ...]:
        """How many rows each cell has."""
        return self.first.rows

    @property
    def problems(self) -> tuple[str, ...]:
        """Of labels, predictions or scores."""
        return self.first.problems

    @property
    def table(self) -> list[list[Any]]:
        """Every cell once."""
        different = {id(cells): cells for cells in self.by_feature.values()}
        return [row for cells in different.values() for row in cells.table]

    @property
    def case_digest(self) -> str | None:
        """None where features were counted apart: their counts do not name the rows."""
        together = all(cells is self.first for cells in self.by_feature.values())
        return self.first.case_digest if together else None


@dataclass(frozen=True)
class Pair:
    """The rows that are judged, and the champion's where they are a table of their own."""

    data: Relation
    baseline: Relation | None = None

    def require(self, *columns: str) -> None:
        """Refuse columns that are not in both."""
        for relation in filter(None, (self.data, self.baseline)):
            relation.require(*columns)

    @property
    def champion(self) -> Relation:
        """The baseline, once it is known to be there."""
        if self.baseline is None:
            raise ConfigurationError("there is no baseline to compare with", code="baseline.missing")
        return self.baseline

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """The datasets bound to their bytes or rows; none if a database or Spark has counted the one there is, because
        no row was read then."""
        relations = tuple(filter(None, (self.data, self.baseline)))
        return tuple(each.subject for each in relations) if self.data.is_local or len(relations) > 1 else ()


@contextmanager
def open_pair(data: Any, baseline: Any, memory_limit: str) -> Iterator[Pair]:
    """The rows of ``data`` where they are; with the champion's beside them, both in DuckDB.

    :param data: as :func:`airflow_mlgov.data.source.source_of` takes it
    :param baseline: the same; None if there is none
    :raises ConfigurationError: no such file, table or column
    :raises AccessError: the file system or the database refuses
    :raises DependencyError: the database is down, or a file changed while it was being read
    """
    if baseline is None:
        with source_of(data).open(memory_limit=memory_limit) as relation:
            yield Pair(relation)
        return
    source = source_of(data)
    sources = {"data": source, "baseline": source_beside(source, baseline)}
    with open_together(sources, memory_limit=memory_limit) as tables:
        yield Pair(tables["data"], tables["baseline"])


def as_written(pair: Pair, columns: Columns, sensitive: Sequence[str], *, labels: bool) -> None:
    """Have the names that stand in csv (labels, groups, ids) as they are written, see
    :func:`airflow_mlgov.data.source.compared_together`; and refuse lists as groups, and scores that are no numbers.

    :param labels: whether label and prediction are classes, not numbers
    """
    sides = list(filter(None, (pair.data, pair.baseline)))
    pair.data.require(*sensitive)
    require_plain(pair.data, dict.fromkeys(sensitive, "sensitive"))
    for name in sensitive:
        compared_together([(pair.data, name)])
    if columns.row_id is not None and pair.baseline is not None:
        pair.require(columns.row_id)
        compared_together([(side, columns.row_id) for side in sides])
    pair.require(columns.label)
    if labels:
        pair.data.require(*filter(None, (columns.prediction, columns.champion_prediction)))
        pair.require(*([columns.prediction] if columns.prediction else []))
        found = [(side, name) for side in sides for name in (columns.label, columns.prediction) if name]
        found += [(pair.data, columns.champion_prediction)] if columns.champion_prediction else []
        for side, name in found:
            require_plain(side, {name: "label" if name == columns.label else "prediction"})
        compared_together(found, "labels")
    numbers = {columns.score: "score"} if columns.score else {}
    if not labels:
        numbers |= {columns.label: "label"} | ({columns.prediction: "prediction"} if columns.prediction else {})
    for side in sides:
        side.require(*numbers)
        require_numbers(side, numbers)


def count_cells(pair: Pair, columns: Columns, sensitive: Sequence[str]) -> Cells:
    """Every combination of group, label and prediction with its number of rows.

    :param sensitive: the columns of all sensitive features
    :raises ConfigurationError: no rows, a missing column, or so many combinations that a column holds scores or ids
    """
    wanted = list(dict.fromkeys([columns.label, columns.predictor]))
    pair.require(*wanted)
    wanted += [name for name in dict.fromkeys([*sensitive, columns.champion_prediction]) if name]
    pair.data.require(*wanted)
    expressions = [*(group_sql(pair, columns, name) for name in sensitive), f"c.{pair.data.quote(columns.label)}"]
    expressions.append(_predicted(pair, columns, "c"))
    relation = f"{pair.data.sql} c"
    if pair.baseline is not None:
        require_same_rows(pair, columns)
        relation = paired_rows(pair, columns)
        expressions.append(_predicted(pair, columns, "b"))
    elif columns.champion_prediction:
        expressions.append(f"c.{pair.data.quote(columns.champion_prediction)}")
    listing = ", ".join(expressions)
    sums, by = "COUNT(*)", listing
    if columns.sample_weight is not None:
        _require_sound_weights(pair.data, columns.sample_weight)
        weight = f"CAST(c.{pair.data.quote(columns.sample_weight)} AS DOUBLE)"
        steady = SteadySums(pair.data, relation, [weight, f"{weight} * {weight}"])
        sums += f", {', '.join(steady.sql)}"
        by += f", CASE WHEN {weight} > 0 THEN FLOOR(LN({weight}) * {_FINENESS}) END"
    found = pair.data.rows(f"SELECT {listing}, {sums} FROM {relation} GROUP BY {by} LIMIT {LIMIT + 1}")  # noqa: S608
    if len(found) > LIMIT:
        raise _too_many(pair.data.name, wanted)
    if not found:
        raise ConfigurationError(f"the predictions table {pair.data.name} has no rows", code="data.empty")
    if columns.sample_weight is not None:  # rows of one combination are several cells, drawn again in their order
        *named, weights, squares = zip(*found, strict=True)
        found = sorted(zip(*named, steady.read(0, weights), steady.read(1, squares), strict=True), key=repr)
    return _cells(found, columns, sensitive)


def count_by_feature(pair: Pair, columns: Columns, features: Mapping[str, Sequence[str]]) -> Counted:
    """The cells of each feature: of all features together where those are few enough, and otherwise of each by itself,
    in one query of GROUPING SETS where the engine knows them.

    :param features: feature -> its columns
    :raises ConfigurationError: as of :func:`count_cells`; the limit of combinations is one of each feature
    """
    every = list(dict.fromkeys(column for names in features.values() for column in names))
    is_alone = columns.sample_weight is None and pair.baseline is None
    if pair.data.is_local and is_alone and len(features) > 1 and _are_many(pair, columns, every):
        return Counted(_count_in_sets(pair, columns, features))
    try:
        return Counted(dict.fromkeys(features, count_cells(pair, columns, every)))
    except ConfigurationError as error:
        if error.code != "group.too_many" or len(features) == 1:
            raise
    if is_alone and pair.data.has_grouping_sets:
        found = Counted(_count_in_sets(pair, columns, features))
    else:
        found = Counted(
            {name: count_cells(pair, columns, list(dict.fromkeys(names))) for name, names in features.items()}
        )
    if len({cells.total for cells in found.by_feature.values()}) > 1:
        raise DependencyError(
            f"the rows of {pair.data.name} changed while they were counted: run it again", code="data.changed"
        )
    return found


def _are_many(pair: Pair, columns: Columns, every: Sequence[str]) -> bool:
    """Whether the combinations of all columns together are clearly more than may be counted, as some rows show."""
    pair.data.require(columns.label, columns.predictor, *every, *filter(None, [columns.champion_prediction]))
    row = f"row({', '.join(_expressions(pair, columns, every))})"
    some = f"SELECT * FROM {pair.data.sql} LIMIT {_SOME * LIMIT}"  # noqa: S608 - quoted
    ((different,),) = pair.data.rows(f"SELECT approx_count_distinct({row}) FROM ({some}) c")  # noqa: S608 - quoted
    return bool(different > 2 * LIMIT)


def _expressions(pair: Pair, columns: Columns, every: Sequence[str]) -> list[str]:
    """Groups, label and predictions as SQL."""
    expressions = [group_sql(pair, columns, name) for name in every]
    expressions += [f"c.{pair.data.quote(columns.label)}", _predicted(pair, columns, "c")]
    if columns.champion_prediction:
        expressions.append(f"c.{pair.data.quote(columns.champion_prediction)}")
    return expressions


def _keys(expressions: Sequence[str]) -> tuple[str, str]:
    """Names of the expressions, and the expressions by these names."""
    named = [f"{expression} AS k{at}" for at, expression in enumerate(expressions)]
    return ", ".join(f"k{at}" for at in range(len(expressions))), ", ".join(named)


def _count_in_sets(pair: Pair, columns: Columns, features: Mapping[str, Sequence[str]]) -> dict[str, Cells]:
    """The cells of each feature by one query."""
    every = list(dict.fromkeys(column for names in features.values() for column in names))
    expressions = _expressions(pair, columns, every)
    keys, inner = _keys(expressions)
    judged = list(range(len(every), len(expressions)))
    sets = [[every.index(name) for name in dict.fromkeys(names)] for names in features.values()]
    marks = ", ".join(f"GROUPING(k{at})" for at in range(len(every)))
    listed = ", ".join(f"({', '.join(f'k{at}' for at in [*each, *judged])})" for each in map(sorted, sets))
    found = pair.data.rows(
        f"SELECT {keys}, COUNT(*), {marks} FROM (SELECT {inner} FROM {pair.data.sql} c) r "  # noqa: S608 - quoted
        f"GROUP BY GROUPING SETS ({listed}) LIMIT {len(sets) * LIMIT + 1}"
    )
    by_set: dict[tuple[int, ...], list[tuple[Any, ...]]] = {}
    for row in found:
        by_set.setdefault(tuple(row[len(expressions) + 1 :]), []).append(row)
    cells = {}
    for (feature, names), each in zip(features.items(), sets, strict=True):
        rows = by_set[tuple(int(at not in each) for at in range(len(every)))]
        if len(rows) > LIMIT:
            raise _too_many(pair.data.name, [columns.label, columns.predictor, *names])
        kept = [tuple(row[at] for at in [*each, *judged, len(expressions)]) for row in rows]
        cells[feature] = _cells(kept, columns, list(dict.fromkeys(names)))
    return cells


def _too_many(name: str, columns: Sequence[str]) -> ConfigurationError:
    return ConfigurationError(
        f"{name} has more than {LIMIT} combinations of {', '.join(columns)}: one of them holds scores, "
        "ages or ids; cut a quantity into groups (bins: {age: [25, 45, 65]}), and name a score as the score",
        code="group.too_many",
    )


def _require_sound_weights(data: Relation, name: str) -> None:
    """Refuse weights that are missing, negative, infinite, NaN or all zero; the rows are in DuckDB.

    :raises ConfigurationError: there are such
    """
    data.require(name)
    if data.columns[name] not in _NUMBERS:
        raise unsound(name, "holds something else than numbers")
    weight = f"CAST({data.quote(name)} AS DOUBLE)"
    ((missing, negative, infinite, total),) = data.rows(
        f"SELECT COUNT(*) FILTER ({weight} IS NULL OR isnan({weight})), COUNT(*) FILTER ({weight} < 0), "  # noqa: S608
        f"COUNT(*) FILTER (isinf({weight}) AND {weight} > 0), SUM({weight}) FROM {data.sql}"
    )
    refuse_unsound(name, missing, negative, infinite, total or 0.0)


def group_sql(pair: Pair, columns: Columns, name: str) -> str:
    """A sensitive column's group as SQL: the column, or the bin that its number lies in, by name."""
    column = f"c.{pair.data.quote(name)}"
    edges = columns.bins.get(name)
    if not edges:
        return column
    lows = [f"{column} >= -{LARGEST}", *(f"{column} >= {edge!r}" for edge in edges)]
    highs = [*(f"{column} < {edge!r}" for edge in edges), f"{column} <= {LARGEST}"]
    ladder = " ".join(
        f"WHEN {low} AND {high} THEN '{group}'" for low, high, group in zip(lows, highs, bin_names(edges), strict=True)
    )
    return f"CASE {ladder} END"


def bin_names(edges: Sequence[float]) -> list[str]:
    """``below 25``, ``25 to below 45``, ``45 and above``."""
    names = [group_name(edge) for edge in edges]
    between = [f"{low} to below {high}" for low, high in pairwise(names)]
    return [f"below {names[0]}", *between, f"{names[-1]} and above"]


def edges_of(relation: Relation, name: str, wanted: int | Sequence[float]) -> tuple[float, ...]:
    """The edges of a column's bins.

    :param wanted: the edges themselves, or how many bins of about equal size there are to be
    :raises ConfigurationError: the column holds no numbers, or too few different ones
    """
    relation.require(name)
    require_numbers(relation, {name: "binned"})
    if not isinstance(wanted, int):
        return tuple(wanted)
    column = f"c.{relation.quote(name)}"
    there = f"{column} >= -{LARGEST} AND {column} <= {LARGEST}"
    found = relation.rows(
        f"SELECT {column}, COUNT(*) FROM {relation.sql} c WHERE {there} GROUP BY {column} LIMIT {LIMIT + 1}"  # noqa: S608
    )
    if len(found) > LIMIT and not relation.is_local:
        raise ConfigurationError(
            f'"{name}" has more than {LIMIT} different numbers in {relation.name}: give the edges of its bins',
            code="group.too_many",
        )
    if len(found) > LIMIT:
        shares = ", ".join(repr(at / wanted) for at in range(1, wanted))
        (((low, *rest),),) = relation.rows(
            f"SELECT list_prepend(min({column})::DOUBLE, quantile_disc({column}::DOUBLE, [{shares}])) "  # noqa: S608
            f"FROM {relation.sql} c WHERE {there}"
        )
    else:
        counts = sorted((float(value), int(count)) for value, count in found)
        low, rest = (counts[0][0] if counts else 0.0), _quantiles(counts, wanted)
    edges = tuple(sorted({float(edge) for edge in rest} - {float(low)}))
    if not edges:
        raise ConfigurationError(
            f'"{name}" of {relation.name} has too few different numbers to be cut into {wanted} bins: give the edges, '
            "or take the numbers as groups",
            code="group.bins",
        )
    return edges


def _quantiles(counts: Sequence[tuple[float, int]], bins: int) -> list[float]:
    """Where each bin but the first begins, so that all have about as many rows."""
    total, below, found = sum(count for _, count in counts), 0, []
    starts = [at * total / bins for at in range(1, bins)]
    for value, count in counts:
        found += [value for start in starts if below <= start < below + count]
        below += count
    return found


def _predicted(pair: Pair, columns: Columns, table: str) -> str:
    """The prediction as SQL: the column, or the score held against the threshold."""
    column = f"{table}.{pair.data.quote(columns.predictor)}"
    if columns.prediction is not None:
        return column
    bar = repr(columns.threshold)
    return (
        f"CASE WHEN {column} IS NULL THEN {_MISSING} WHEN {column} >= {bar} AND {column} <= {LARGEST} THEN 1 "
        f"WHEN {column} < {bar} AND {column} >= -{LARGEST} THEN 0 ELSE {_INFINITE} END"
    )


def paired_rows(pair: Pair, columns: Columns) -> str:
    """Candidate and champion joined by row.

    :raises ConfigurationError: no row_id, or it is not in both tables
    """
    if columns.row_id is None:
        raise ConfigurationError(
            "a baseline needs row_id, the column that names a row in both tables", code="setting.missing"
        )
    key = pair.data.quote(columns.row_id)
    pair.require(columns.row_id)
    require_comparable(pair.data, pair.champion, columns.row_id, "row_id")
    require_comparable(pair.data, pair.champion, columns.label, "label")
    return f"{pair.data.sql} c JOIN {pair.champion.sql} b ON c.{key} = b.{key}"


def require_same_rows(pair: Pair, columns: Columns) -> None:
    """Refuse a baseline of other rows. It reads both tables whole, so it is asked once, when the rows are counted.

    :raises ConfigurationError: the row_id does not name rows, or ids or labels differ
    """
    joined = paired_rows(pair, columns)
    key, label = pair.data.quote(str(columns.row_id)), pair.data.quote(columns.label)
    sizes = pair.data.rows(
        f"SELECT (SELECT COUNT(*) FROM {pair.data.sql}), (SELECT COUNT(DISTINCT {key}) FROM {pair.data.sql}), "  # noqa: S608
        f"(SELECT COUNT(*) FROM {pair.champion.sql}), (SELECT COUNT(DISTINCT {key}) FROM {pair.champion.sql}), "
        f"(SELECT COUNT(*) FROM {joined}), "
        f"(SELECT COUNT(*) FROM {joined} WHERE c.{label} IS DISTINCT FROM b.{label})"
    )[0]
    rows, ids, others, other_ids, both, unlike = sizes
    if ids < rows or other_ids < others:
        raise ConfigurationError(
            f'row_id column "{columns.row_id}" does not name rows: the candidate has {rows} rows and {ids} ids, the '
            f"baseline {others} rows and {other_ids} ids",
            code="row_id.twice",
        )
    if both != rows or both != others:
        raise ConfigurationError(
            f'by row_id "{columns.row_id}" {both} rows are in both tables, but the candidate has {rows} and the '
            f"baseline {others}: both must predict the same rows",
            code="baseline.other_rows",
        )
    if unlike:
        raise ConfigurationError(
            f'the label column "{columns.label}" of the baseline differs from the candidate\'s in {unlike} of {rows} '
            "rows: they are not the same rows",
            code="baseline.other_rows",
        )


def _cells(found: Sequence[tuple[Any, ...]], columns: Columns, sensitive: Sequence[str]) -> Cells:
    weighted = columns.sample_weight is not None
    weights, squares = zip(*(row[-2:] for row in found), strict=True) if weighted else ((), ())
    *values, rows = zip(*(row[:-2] if weighted else row for row in found), strict=True)
    groups = {name: group_names(values[at]) for at, name in enumerate(sensitive)}
    label, prediction, *rest = values[len(sensitive) :]
    if columns.prediction is None:
        role, prediction = "score", tuple(_SCORED.get(value, value) for value in prediction)
        rest = [tuple(_SCORED.get(value, value) for value in champion) for champion in rest]
    else:
        role = "prediction"
    of_champion = columns.champion_prediction or f"{columns.predictor} of the baseline"
    problems = [_problem(label, rows, f'label column "{columns.label}"')]
    problems.append(_problem(prediction, rows, f'{role} column "{columns.predictor}"'))
    problems += [_problem(champion, rows, f'{role} column "{of_champion}"') for champion in rest]
    found_problems = tuple(problem for problem in problems if problem)
    stored = tuple(values[at] for at, _ in sorted(enumerate(sensitive), key=lambda pair: pair[1]))
    champion = rest[0] if rest else ()
    return Cells(groups, label, prediction, champion, rows, stored, found_problems, weights, squares)


def _marked(value: Any) -> str | None:
    """A label with its sort, so that the text 1 is not the number 1."""
    key = key_of(value)
    return None if key is None else f"{key.sort}: {key.written}"


def _problem(values: Sequence[Any], rows: Sequence[int], what: str) -> str:
    missing = sum(n for value, n in zip(values, rows, strict=True) if value is None or value != value)
    infinite = sum(n for value, n in zip(values, rows, strict=True) if value in _INFINITIES)
    found = [
        f"{count} {word} value{'s' if count > 1 else ''}"
        for count, word in ((missing, "missing"), (infinite, "infinite"))
        if count
    ]
    return f"{what} has {' and '.join(found)} in {sum(rows)} rows" if found else ""
