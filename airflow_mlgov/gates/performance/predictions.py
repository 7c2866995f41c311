"""Tables of predictions as arrays: labels and predictions as class numbers (or as numbers), scores as probabilities.
Refuses to drop rows, to guess the positive label, and to pair a champion's table with other rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.labels import binary_columns, classes_among, distinct, missing_problem, numeric_column
from airflow_mlgov.data.values import Key, in_order, keys_of, meant, require_one_sort, shown
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.performance.scorers import BUDGETS, CHURN, Task, needs_score
from airflow_mlgov.gates.performance.two_classes import NAMES, TwoClasses
from airflow_mlgov.gates.statistics.ranked import rank

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

_MOST_CLASSES = 200


@dataclass(frozen=True)
class Columns:
    """Which columns of a predictions table mean what."""

    label: str
    """The truth."""
    score: str | None = None
    """The probability (or any ranking score) of the positive label."""
    prediction: str | None = None
    """The predicted label, or the predicted number of a regression."""
    positive_label: Any = None
    """Needed unless labels are 0 and 1."""
    threshold: float = 0.5
    """Without a prediction column a row is predicted positive where its score reaches this."""
    row_id: str | None = None
    """Names a row in both the candidate's and the champion's table."""
    class_scores: Mapping[Any, str] | None = None
    """Of more than two classes: label -> the column of its probability."""
    sample_weight: str | None = None
    """How much each row counts; the candidate's table has it for both."""

    @property
    def weighted(self) -> list[str]:
        """The columns to read of the candidate."""
        return list(dict.fromkeys([*self.needed, *([self.sample_weight] if self.sample_weight else [])]))

    @property
    def needed(self) -> list[str]:
        """The columns to read of either table."""
        names = (self.row_id, self.label, self.score, self.prediction, *(self.class_scores or {}).values())
        return list(dict.fromkeys(name for name in names if name is not None))

    @property
    def predictors(self) -> list[str]:
        """The columns that hold what the model said."""
        names = (self.score, self.prediction, *(self.class_scores or {}).values())
        return [name for name in names if name is not None]


@dataclass(frozen=True)
class Sample:
    """Rows that are judged together."""

    task: Task
    label: Array
    """Shape (rows,): the number of the class, 1 being the positive one of two; floats of a regression."""
    prediction: Array
    """Like ``label``."""
    score: Array | None = None
    """Shape (rows,), of the positive class of two; (rows, classes) of more; None if there is none."""
    classes: tuple[str, ...] = ()
    """Names of the classes, in the order of their numbers; two where the task is binary."""
    problems: tuple[str, ...] = field(default=())
    """Missing or infinite values: nothing is computed then."""
    weight: Array | None = None
    """Shape (rows,); None if every row counts once."""

    def __len__(self) -> int:
        return len(self.label)

    @cached_property
    def two(self) -> TwoClasses:
        """The same of a binary task, without the rows; not of rows with weights."""
        import numpy as np

        label, prediction = self.label == 1, self.prediction == 1
        right, true, predicted = (int(np.count_nonzero(mask)) for mask in (label & prediction, label, prediction))
        counts = np.array([[len(self) - true - predicted + right, predicted - right], [true - right, right]])
        ranked = None if self.score is None else rank(label, np.asarray(self.score, dtype=float))
        return TwoClasses(counts, ranked, self.problems)

    def take(self, rows: Array) -> Sample:
        """Some of the rows.

        :param rows: a mask or positions
        """
        score = None if self.score is None else self.score[rows]
        weight = None if self.weight is None else self.weight[rows]
        return replace(self, label=self.label[rows], prediction=self.prediction[rows], score=score, weight=weight)


def require_columns_for(asked: Iterable[str], columns: Columns, task: Task) -> None:
    """Refuse metrics that the named columns cannot give.

    :param asked: metrics without ``_vs_champion`` and the like
    :raises ConfigurationError: a column is missing, named twice, or of another task
    """
    asked = list(asked)
    if task == "regression" and columns.prediction is None:
        wanting = next((metric for metric in asked if metric not in BUDGETS), "a regression")
        raise ConfigurationError(
            f"{wanting} needs the prediction column: name it as prediction", code="setting.missing"
        )
    if task == "regression" and CHURN in asked:
        raise ConfigurationError(
            "churn is of decisions, and a regression makes none: bound a change of its error", code="bound.other_task"
        )
    has_scores = columns.score if task == "binary" else columns.class_scores
    for metric in asked:
        if needs_score(metric) and not has_scores:
            how = "the column as score" if task == "binary" else "a column for each class as class_scores"
            raise ConfigurationError(
                f"{metric} needs scores, not predicted labels: name {how}", code="bound.needs_scores"
            )
    if not columns.predictors:
        raise ConfigurationError("name a score column, a prediction column, or both", code="setting.missing")
    if task == "multiclass" and not (columns.prediction or columns.class_scores):
        raise ConfigurationError(
            "more than two classes need a prediction column, class_scores, or both", code="setting.missing"
        )
    if columns.label in columns.predictors:
        raise ConfigurationError(
            f'column "{columns.label}" is named as the label and as what predicts it', code="setting.contradiction"
        )
    if columns.sample_weight in (columns.label, *columns.predictors):
        raise ConfigurationError(
            f'column "{columns.sample_weight}" is named as sample_weight and as the label or what predicts it',
            code="setting.contradiction",
        )
    if isinstance(columns.threshold, bool) or not math.isfinite(columns.threshold):
        raise ConfigurationError(f"the threshold must be a number, not {columns.threshold!r}", code="setting.wrong")


def prepare(table: pd.DataFrame, columns: Columns, task: Task, whose: str, classes: Sequence[Key] = ()) -> Sample:
    """One table's rows as arrays.

    :param whose: ``candidate`` or ``champion``, for messages
    :param classes: what :func:`classes_of` returns; of a multiclass task only
    :raises ConfigurationError: no rows, or labels or scores that are not of the task
    """
    if table.empty:
        raise ConfigurationError(f"the {whose}'s predictions table has no rows", code="data.empty")
    roles = _roles(table, columns, task)
    problems = [missing_problem(column, f"{whose}'s {role}") for role, column in roles.items()]
    if any(problems):
        nothing = roles["label"].to_numpy()
        return Sample(task, nothing, nothing, problems=tuple(problem for problem in problems if problem))
    if task == "regression":
        label, prediction = (numeric_column(roles[role], role).to_numpy() for role in ("label", "prediction"))
        return Sample(task, label, prediction)
    return _binary(roles, columns) if task == "binary" else _multiclass(roles, columns, classes)


def classes_of(tables: Iterable[pd.DataFrame], columns: Columns) -> tuple[Key, ...]:
    """Every class among labels, predictions and ``class_scores``, numbers before words.

    :raises ConfigurationError: labels of two types, or so many that they must be something else
    """
    roles = [("label", columns.label), *([("prediction", columns.prediction)] if columns.prediction else [])]
    held: dict[str, list[Any]] = {}
    for table in tables:
        for role, name in roles:
            held.setdefault(f'{role} column "{name}"', []).extend(distinct(table[name].dropna(), role))
    seen = set(classes_among(held))
    of_scores = {meant(label, seen) for label in columns.class_scores or {}}
    if of_scores and seen - of_scores:
        name = next(name for name, values in held.items() if set(keys_of(values).values()) - of_scores)
        raise ConfigurationError(
            f"{name} holds classes without a column in class_scores: {shown(seen - of_scores)}",
            code="score.class_missing",
        )
    seen |= {key for key in of_scores if key is not None}
    if len(seen) > _MOST_CLASSES:
        raise ConfigurationError(
            f'"{columns.label}" has {len(seen)} different labels, more than the {_MOST_CLASSES} that are taken for '
            f"classes; set task to regression where it holds a quantity",
            code="label.too_many_classes",
        )
    return tuple(in_order(seen))


def align(table: pd.DataFrame, champion: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The champion's rows in the candidate's order.

    :raises ConfigurationError: they are not the same rows
    """
    if columns.row_id is None:
        if len(table) != len(champion):
            raise ConfigurationError(
                f"the baseline has {len(champion)} rows and the candidate {len(table)}: both must predict the same "
                f"rows; name a row_id column, or score the champion on the candidate's rows",
                code="baseline.other_rows",
            )
        aligned = champion.reset_index(drop=True)
    else:
        aligned = _align_by_id(table, champion, columns.row_id)
    mine, theirs = (_compared(frame[columns.label], "label") for frame in (table, aligned))
    _require_alike("label", columns.label, mine, theirs)
    unlike = sum(one != other for one, other in zip(mine, theirs, strict=True))
    if unlike:
        hint = "" if columns.row_id else "; if the order differs, name a row_id column"
        raise ConfigurationError(
            f'the label column "{columns.label}" of the baseline differs from the candidate\'s in {unlike} of '
            f"{len(mine)} rows: they are not the same rows{hint}",
            code="baseline.other_rows",
        )
    return aligned


def _roles(table: pd.DataFrame, columns: Columns, task: Task) -> dict[str, pd.Series]:
    names = {"label": columns.label, "prediction": columns.prediction}
    if task == "binary":
        names = {"label": columns.label, "score": columns.score, "prediction": columns.prediction}
    elif task == "multiclass":
        names |= {f"score of {label}": column for label, column in (columns.class_scores or {}).items()}
    return {role: table[name] for role, name in names.items() if name is not None}


def _binary(roles: Mapping[str, pd.Series], columns: Columns) -> Sample:
    score = numeric_column(roles["score"], "score").to_numpy() if "score" in roles else None
    coded = binary_columns({r: roles[r] for r in ("label", "prediction") if r in roles}, columns.positive_label)
    label = coded["label"].to_numpy()
    if "prediction" in coded:
        return Sample("binary", label, coded["prediction"].to_numpy(), score, NAMES)
    if score is None:
        raise ConfigurationError("name a score column, a prediction column, or both", code="setting.missing")
    return Sample("binary", label, (score >= columns.threshold).astype("int64"), score, NAMES)


def _multiclass(roles: Mapping[str, pd.Series], columns: Columns, classes: Sequence[Key]) -> Sample:
    import numpy as np

    names = tuple(key.written for key in classes)
    label = _coded(roles["label"], classes)
    if not columns.class_scores:
        return Sample("multiclass", label, _coded(roles["prediction"], classes), None, names)
    by_class = {meant(given, classes): f"score of {given}" for given in columns.class_scores}
    score = np.column_stack([numeric_column(roles[by_class[name]], by_class[name]) for name in classes])
    prediction = _coded(roles["prediction"], classes) if "prediction" in roles else score.argmax(axis=1)
    return Sample("multiclass", label, prediction, score, names)


def _coded(column: pd.Series, classes: Sequence[Key]) -> Array:
    numbers = {key: number for number, key in enumerate(classes)}
    coded: Array = column.map({value: numbers[key] for value, key in keys_of(column.unique()).items()}).to_numpy(
        "int64"
    )
    return coded


def _compared(column: pd.Series, role: str) -> list[Key | None]:
    """The values of a column as they are compared, in their order."""
    keys = keys_of(distinct(column, role))
    return [keys.get(value) for value in column]


def _require_alike(role: str, name: str, mine: Iterable[Key | None], theirs: Iterable[Key | None]) -> None:
    """Refuse a column that candidate and baseline hold as different types."""
    titles = (f'the candidate\'s {role} column "{name}"', f'the baseline\'s {role} column "{name}"')
    sides = (mine, theirs)
    require_one_sort(
        {title: {key for key in side if key is not None} for title, side in zip(titles, sides, strict=True)},
        f"{role}s",
    )


def _align_by_id(table: pd.DataFrame, champion: pd.DataFrame, row_id: str) -> pd.DataFrame:
    for whose, frame in (("candidate", table), ("baseline", champion)):
        missing, twice = int(frame[row_id].isna().sum()), int(frame[row_id].duplicated().sum())
        if missing or twice:
            raise ConfigurationError(
                f'row_id column "{row_id}" does not name rows: the {whose} has {missing} without and {twice} repeated',
                code="row_id.twice",
            )
    keys, others = (_compared(frame[row_id], "row_id") for frame in (table, champion))
    _require_alike("row_id", row_id, keys, others)
    mine, theirs = set(keys), set(others)
    if mine != theirs:
        raise ConfigurationError(
            f'by row_id "{row_id}" {len(mine - theirs)} of the candidate\'s rows are not in the baseline and '
            f"{len(theirs - mine)} of the baseline's not in the candidate: both must predict the same rows",
            code="baseline.other_rows",
        )
    at = {key: position for position, key in enumerate(others)}
    return champion.iloc[[at[key] for key in keys]].reset_index(drop=True)
