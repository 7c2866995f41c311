"""The exact AUC of each group, and of all rows, with DeLong's covariances: of one model, or of two on the same rows.
Scores are sorted in memory as far as the memory limit allows, beyond it in files, or ranked in the database that holds
them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.relation import bytes_of
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness.counting import LARGEST, Columns, Pair, group_sql, paired_rows
from airflow_mlgov.gates.fairness.features import Feature, columns_of
from airflow_mlgov.gates.fairness.joint import Joint, Whole, mean_of
from airflow_mlgov.gates.statistics.delong import placements
from airflow_mlgov.gates.statistics.ranked import Ranked, rank
from airflow_mlgov.gates.statistics.sorting import sorted_in_file, sorted_in_memory

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_BYTES = 8
"""Of a score that is ranked in memory, and half of the memory limit may be taken by them."""
_PLACING = 128
"""Bytes of a row and a score where rows are placed in memory among several."""


@dataclass(frozen=True)
class Ranking:
    """How well the scores of each group separate its labels; every field of shape (groups,)."""

    auc: Array
    """The area under the ROC curve, ties counted half; NaN where a group lacks one of the labels."""
    error: Array
    """Its standard error. Source: DeLong et al., Biometrics 44 (1988) 837-845."""


def rank_groups(
    pair: Pair,
    columns: Columns,
    feature: Feature,
    positive: Mapping[Any, int],
    *,
    paired: bool = False,
    whole: bool = False,
) -> Joint:
    """The AUC of each of the feature's groups.

    :param positive: label as stored -> 1 or 0
    :param paired: of the champion too, where its scores are there
    :param whole: of all rows too
    :raises ConfigurationError: a score is missing or infinite, or the champion's scores are not named
    """
    scores, relation = scored(pair, columns, paired)
    cases = [f"CASE WHEN {score} >= -{LARGEST} AND {score} <= {LARGEST} THEN 0 ELSE 1 END" for score in scores]
    asked = ", ".join(f"SUM({case})" for case in cases)
    rows, *unusable = pair.data.rows(f"SELECT COUNT(*), {asked} FROM {relation}")[0]  # noqa: S608
    require_scores(dict(zip(score_names(columns), unusable, strict=False)), rows)
    several = len(scores) * (1 + whole)
    if not pair.data.is_local or (several > 1 and not _fits(pair, rows * several * _PLACING)):
        return _rank_in_database(pair, columns, feature, positive, whole, scores, relation)
    if several > 1:
        group, label, columns_read = _read(pair, columns, feature, positive, scores, relation)
        return _place_in_memory(group, label, columns_read, len(feature.groups), whole)
    found = ranking_of(_sorted(pair, columns, feature, positive, scores[0], relation))
    return Joint(found.auc[None], found.error[:, None, None] ** 2)


def _fits(pair: Pair, size: int) -> bool:
    return size <= bytes_of(pair.data.in_duckdb().duck.memory_limit) / 2


def ranking_of(sides: Iterable[Ranked]) -> Ranking:
    """The AUC of each group, from its sorted scores."""
    import numpy as np

    areas = [side.area for side in sides]
    return Ranking(np.array([area.value for area in areas]), np.sqrt([area.variance for area in areas]))


def ranking(scores: Array, labels: Array, groups: Array, size: int) -> Ranking:
    """The AUC of each group.

    :param scores: shape (rows,), finite
    :param labels: 0 or 1, shape (rows,)
    :param groups: the group's position, shape (rows,)
    :param size: how many groups there are
    """
    return ranking_of(rank(labels[groups == at], scores[groups == at]) for at in range(size))


def scored(pair: Pair, columns: Columns, paired: bool) -> tuple[list[str], str]:
    """The score as SQL, with the champion's where it is wanted and there, and what they stand in as ``c``.

    :raises ConfigurationError: a column is not there, or the champion is there without scores
    """
    score = f"c.{pair.data.quote(str(columns.score))}"
    if paired and pair.baseline is not None:
        pair.require(str(columns.score))
        return [score, f"b{score[1:]}"], paired_rows(pair, columns)
    pair.data.require(str(columns.score), *([columns.champion_score] if columns.champion_score else []))
    if paired and columns.champion_score:
        return [score, f"c.{pair.data.quote(columns.champion_score)}"], f"{pair.data.sql} c"
    if paired and columns.champion_prediction:
        raise ConfigurationError(
            "a change of AUC or calibration needs the champion's scores: name champion_score", code="setting.missing"
        )
    return [score], f"{pair.data.sql} c"


def score_names(columns: Columns) -> tuple[str, str]:
    """What messages call the columns of the candidate's and the champion's scores."""
    return str(columns.score), columns.champion_score or f"{columns.score} of the baseline"


def require_scores(unusable: Mapping[str, int], rows: int) -> None:
    """Refuse scores that are missing or infinite.

    :param unusable: column -> how many are
    """
    for name, count in unusable.items():
        if count:
            raise ConfigurationError(
                f'score column "{name}" has {count} missing or infinite values in {rows} rows; the gate drops no rows',
                code="score.missing",
            )


def _cells(
    pair: Pair, columns: Columns, feature: Feature, positive: Mapping[Any, int]
) -> tuple[Array, Array, Array, str]:
    """The group's position, the label as 0 or 1 and the number of rows of each cell of the table ``ranked``; and how a
    row finds its cell there."""
    import numpy as np

    names = [group_sql(pair, columns, name) for name in columns_of(feature.name)]
    names.append(f"c.{pair.data.quote(columns.label)}")
    listing = ", ".join(f"{name} AS k{at}" for at, name in enumerate(names))
    pair.data.rows(
        "CREATE OR REPLACE TEMP TABLE ranked AS SELECT *, row_number() OVER () - 1 AS cell FROM "  # noqa: S608
        f"(SELECT {listing}, COUNT(*) AS rows FROM {pair.data.sql} c GROUP BY ALL)"
    )
    *values, labels, rows, _ = zip(*pair.data.rows("SELECT * FROM ranked ORDER BY cell"), strict=True)
    same = " AND ".join(f"{name} IS NOT DISTINCT FROM k.k{at}" for at, name in enumerate(names))
    truth = np.array([positive[label] for label in labels])
    return np.array(feature.positions(values)), truth, np.array(rows), f"ranked k ON {same}"


def _read(
    pair: Pair,
    columns: Columns,
    feature: Feature,
    positive: Mapping[Any, int],
    scores: Sequence[str],
    relation: str,
) -> tuple[Array, Array, list[Array]]:
    """The group's position, the label as 0 or 1 and each score, of every row."""
    import numpy as np

    members, truth, _, joined = _cells(pair, columns, feature, positive)
    read = ", ".join(f"CAST({score} AS DOUBLE) AS s{at}" for at, score in enumerate(scores))
    found = pair.data.arrays(f"SELECT k.cell, {read} FROM {relation} JOIN {joined}")  # noqa: S608
    assert found is not None  # noqa: S101 - the caller has looked whether the rows are here
    cell = np.asarray(found["cell"])
    return members[cell], truth[cell], [np.asarray(found[f"s{at}"]) for at in range(len(scores))]


def _sorted(
    pair: Pair, columns: Columns, feature: Feature, positive: Mapping[Any, int], score: str, relation: str
) -> list[Ranked]:
    """The sorted scores of each group; in a file that DuckDB has sorted, if they do not fit into memory."""
    import numpy as np

    table = pair.data.in_duckdb()
    members, truth, rows, joined = _cells(pair, columns, feature, positive)
    side = 2 * members + truth
    sizes = np.bincount(side, rows, 2 * len(feature.groups)).astype(np.int64)
    listed = ", ".join(map(str, side))
    pair.data.rows(f"CREATE OR REPLACE TEMP TABLE sided AS SELECT *, [{listed}][cell + 1] AS side FROM ranked")  # noqa: S608
    joined = joined.replace("ranked k", "sided k", 1)
    query = f"SELECT CAST({score} AS DOUBLE) AS score, k.side AS side FROM {relation} JOIN {joined}"  # noqa: S608
    if _fits(pair, int(rows.sum()) * _BYTES):
        parts = sorted_in_memory(table, query, sizes)
    else:
        parts = sorted_in_file(table, query, sizes)
    return [Ranked(positives, negatives) for negatives, positives in zip(parts[::2], parts[1::2], strict=True)]


def _place_in_memory(group: Array, label: Array, scores: Sequence[Array], size: int, whole: bool) -> Joint:
    import numpy as np

    models = len(scores)
    placed = np.empty((models * (1 + whole), len(label)))
    positive = label.astype(bool)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=size))[:-1]
    parts = [(slice(0, models), rows) for rows in np.split(order, ends)]
    parts += [(slice(models, None), np.arange(len(label)))] if whole else []
    for of, rows in parts:
        here = positive[rows]
        of_positives, of_negatives = placements(here, [score[rows] for score in scores])
        placed[of, rows[here]], placed[of, rows[~here]] = of_positives, of_negatives
    cell = 2 * group + label
    sums = np.stack([np.bincount(cell, one, 2 * size) for one in placed])
    products = np.stack([[np.bincount(cell, one * other, 2 * size) for other in placed] for one in placed])
    rows_of = np.bincount(cell, minlength=2 * size).astype(float)
    return _areas([(rows_of[at::2], sums[:, at::2], products[..., at::2]) for at in (0, 1)], models)


def _rank_in_database(
    pair: Pair,
    columns: Columns,
    feature: Feature,
    positive: Mapping[Any, int],
    whole: bool,
    scores: Sequence[str],
    relation: str,
) -> Joint:
    """A row's placement is its mid-rank among all less its mid-rank among its own label: how many rows of the other
    label are below it."""
    import numpy as np

    parts = [group_sql(pair, columns, name) for name in columns_of(feature.name)]
    label = f"c.{pair.data.quote(columns.label)}"

    def mid_rank(among: Sequence[str], score: str) -> str:
        partition = f"PARTITION BY {', '.join(among)} " if among else ""  # never by a score: not all take floats
        order = f"{partition}ORDER BY {score}"
        up_to = f"{order} RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
        return f"(RANK() OVER ({order}) + COUNT(*) OVER ({up_to})) / 2e0"

    placed = [
        f"{mid_rank(among, score)} - {mid_rank([*among, label], score)}"
        for among in ([parts, []] if whole else [parts])
        for score in scores
    ]
    pairs = [(one, other) for one in range(len(placed)) for other in range(one + 1)]
    keys = [f"k{at}" for at in range(len(parts))] + ["y"]
    inner = [f"{value} AS {key}" for value, key in zip([*parts, label], keys, strict=True)]
    inner += [f"{placement} AS p{at}" for at, placement in enumerate(placed)]
    asked = [f"SUM(p{at})" for at in range(len(placed))] + [f"SUM(p{one} * p{other})" for one, other in pairs]
    found = pair.data.rows(
        f"SELECT {', '.join([*keys, 'COUNT(*)', *asked])} FROM (SELECT {', '.join(inner)} FROM {relation}) r "  # noqa: S608
        f"GROUP BY {', '.join(keys)}"
    )
    values = list(zip(*found, strict=True))
    size = len(feature.groups)
    cell = 2 * np.array(feature.positions(values[: len(parts)]))
    cell += np.array([positive[label] for label in values[len(parts)]])
    if len(np.unique(cell)) < len(cell):
        raise ConfigurationError(
            f"{pair.data.name} spells a group of {feature.name}, or a label, in several ways (with spaces around, "
            "say), and the database ranks each apart: spell it in one way, in a query",
            code="group.spellings",
        )

    def by_cell(column: Sequence[Any]) -> Array:
        return np.bincount(cell, np.array(column, dtype=float), 2 * size)

    rows, *sums = map(by_cell, values[len(keys) :])
    products = np.empty((len(placed), len(placed), 2 * size))
    for (one, other), product in zip(pairs, sums[len(placed) :], strict=True):
        products[one, other] = products[other, one] = product
    moments = []
    for at in (0, 1):
        others = rows[1 - at :: 2]  # a placement becomes a share of the rows of the other label
        among = np.stack([others] * len(scores) + [np.full(size, others.sum())] * (len(placed) - len(scores)))
        with np.errstate(divide="ignore", invalid="ignore"):
            moments.append(
                (
                    rows[at::2],
                    np.stack(sums[: len(placed)])[:, at::2] / among,
                    products[..., at::2] / (among * among[:, None]),
                )
            )
    return _areas(moments, len(scores))


def _areas(moments: Sequence[tuple[Array, Array, Array]], models: int) -> Joint:
    """AUCs and their covariances from placements: those within the group first, then those among all rows.

    DeLong's covariance is that of the placements, by positives and negatives; between a group and all rows, which hold
    it, that of the group's rows in both. Source: DeLong et al., Biometrics 44 (1988) 837-845, equations 5 and 6.

    :param moments: of the negatives, then of the positives: how many, sums and sums of products of the placements,
        shapes (groups,), (placements, groups) and (placements, placements, groups)
    """
    import numpy as np

    within, every = slice(0, models), slice(models, None)
    (negatives, *_), (positives, sums, _) = moments
    with np.errstate(divide="ignore", invalid="ignore"):
        spreads = [mean_of(*moment)[1] for moment in moments]
        covariance = sum(spread[:, within, within] for spread in spreads)
        covariance = np.where((np.minimum(positives, negatives) < 2)[:, None, None], np.nan, covariance)
        areas = sums[within] / positives
        if len(sums) == models:
            return Joint(areas, covariance)
        across = sum(
            spread[:, within, every] * (rows / rows.sum())[:, None, None]
            for spread, (rows, *_) in zip(spreads, moments, strict=True)
        )
        totals = [mean_of(*(np.nan_to_num(part).sum(-1, keepdims=True) for part in moment)) for moment in moments]
        of_all = totals[0][1][0, every, every] + totals[1][1][0, every, every]
        return Joint(areas, covariance, Whole(totals[1][0][every, 0], of_all, across))
