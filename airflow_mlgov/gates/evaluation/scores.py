"""One column of scores as numbers: yes and no as 1 and 0, categories by their number, what is missing as NaN. Refuses
to guess what a text means, and values that no judge was declared to give."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlgov.data.values import key_of, keys_of, meant, number_in
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.evaluation.grammar import Statistic, nearest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from airflow_mlgov.gates.evaluation.spec import EvaluationSettings

    Array = np.ndarray[Any, Any]

Kind = Literal["yes or no", "numbers", "categories", "nothing"]

YES_AND_NO = (("yes", "no"), ("true", "false"), ("pass", "fail"))
"""The texts that are read as yes and no, in upper or lower case; a column keeps to one pair."""
UNKNOWN = "unknown"
"""Beside one of these pairs it is a missing score: what MLflow's own judges say when they cannot tell."""

_NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal")
_SHOWN = 5
_LONGEST = 24


@dataclass(frozen=True)
class Scores:
    """One column."""

    title: str
    """For messages: ``column "relevance"``, ``the champion's column "relevance"``."""
    kind: Kind
    values: Array
    """Shape (examples,), floats: the number, 1 for yes and 0 for no, or the category's place; NaN if missing."""
    categories: tuple[str, ...] = ()
    """Of categories, and of texts that mean yes and no: how they are written, in the order of their places."""
    problem: str = ""
    """Why nothing is computed from it: infinite scores, or scores that were declared impossible."""

    @property
    def missing(self) -> Array:
        """Which examples have no score."""
        import numpy as np

        return np.isnan(self.values)


def read_scores(
    table: pd.DataFrame, columns: Iterable[str], settings: EvaluationSettings, whose: str = ""
) -> dict[str, Scores]:
    """The judged columns of a table.

    :param whose: for messages: ``the champion's``
    :raises ConfigurationError: a column holds other things than numbers, truth values or text, or several of these
    """
    return {name: read_column(table[name], name, settings, whose) for name in columns}


def read_column(column: pd.Series, name: str, settings: EvaluationSettings, whose: str = "") -> Scores:
    """One column, see :func:`read_scores`."""
    import pandas as pd

    title = f'{whose} column "{name}"'.strip()
    values = column.astype(object).where(column.notna(), None)
    if not values.map(lambda value: isinstance(value, Hashable)).all():
        raise _mixed(title, values)
    values = values.where(~values.isin(_sentinels(settings.missing, values)), None)
    inferred = pd.api.types.infer_dtype(values, skipna=True)
    if inferred == "empty" or values.isna().all():
        return Scores(title, "nothing", _floats(values))
    if inferred == "boolean":
        return Scores(title, "yes or no", _floats(values), ("false", "true"))
    if inferred in _NUMBERS:
        return _numbers(title, values, settings.ranges.get(name))
    if inferred == "string":
        return _texts(title, values, settings.categories.get(name))
    raise _mixed(title, values)


def measured(scores: Scores, wanted: Statistic) -> Array:
    """The numbers that a statistic is made of, shape (examples,): 1 and 0 of a rate, the scores of a mean or a
    quantile; NaN where the score is missing. Of abstentions 1 where it is.

    :raises ConfigurationError: the column holds no such scores
    """
    import numpy as np

    if wanted.how == "abstention":
        return scores.missing.astype(float)
    if scores.kind == "nothing":
        return scores.values
    if wanted.how != "rate":
        if scores.kind != "numbers":
            raise ConfigurationError(
                f"{wanted.name} needs numbers, and {scores.title} holds {scores.kind}: bound a rate of it",
                code="score.kind",
            )
        return scores.values
    if wanted.category is not None:
        place = _place(scores, wanted.category)
        return np.where(scores.missing, np.nan, scores.values == place)
    return _yes(scores, wanted)


def never_seen(scores: Scores, wanted: Statistic) -> str:
    """A sentence about a bounded category that no example has; empty if some has."""
    if wanted.category is None or scores.kind != "categories" or wanted.category in scores.categories:
        return ""
    return f'no example is "{wanted.category}"'


def probably_meant(scores: Scores, wanted: Statistic, at_least: int) -> str | None:
    """A category that examples do have, and whose name is so near to the bounded one that this is probably a slip.

    :param at_least: examples that a category needs to be named
    """
    if not never_seen(scores, wanted):
        return None
    common = [name for at, name in enumerate(scores.categories) if (scores.values == at).sum() >= at_least]
    return nearest(wanted.category, common)


def _numbers(title: str, values: pd.Series, of: tuple[float, float] | None) -> Scores:
    import numpy as np

    numbers = _floats(values)
    infinite = int(np.isinf(numbers).sum())
    problem = f"{title} holds {infinite} infinite scores" if infinite else ""
    if of is not None and not problem:
        low, high = of
        outside = int(((numbers < low) | (numbers > high)).sum())
        problem = f"{outside} scores of {title} lie outside {low:g} to {high:g}" if outside else ""
    return Scores(title, "numbers", numbers, problem=problem)


def _texts(title: str, values: pd.Series, declared: Collection[str] | None) -> Scores:
    import numpy as np
    import pandas as pd

    codes, found = pd.factorize(values, sort=True)
    texts = [str(text) for text in found]
    numbers = np.where(codes < 0, np.nan, codes.astype(float))
    pair = None if UNKNOWN in (declared or ()) else _pair(texts)
    problem = ""
    if declared is not None:
        other = int(np.isin(codes, [at for at, text in enumerate(texts) if text not in declared]).sum())
        problem = f"{other} scores of {title} are none of its declared categories" if other else ""
    if pair is None:
        return Scores(title, "categories", numbers, tuple(texts), problem)
    truth = np.array([1.0 - pair.index(text.casefold()) if text.casefold() in pair else np.nan for text in texts])
    return Scores(title, "yes or no", np.where(codes < 0, np.nan, truth[codes]), (pair[1], pair[0]), problem)


def _pair(texts: Collection[str]) -> tuple[str, str] | None:
    """The one pair of yes and no that the texts keep to."""
    folded = {text.casefold() for text in texts} - {UNKNOWN}
    return next((pair for pair in YES_AND_NO if folded and folded <= set(pair)), None)


def _yes(scores: Scores, wanted: Statistic) -> Array:
    import numpy as np

    if scores.kind == "yes or no":
        return scores.values
    known = scores.values[~scores.missing]
    if scores.kind == "numbers" and np.isin(known, (0, 1)).all():
        return scores.values
    pairs = ", ".join("/".join(pair) for pair in YES_AND_NO)
    raise ConfigurationError(
        f"{wanted.name} is the share of true or yes, and {scores.title} holds {_seen(scores)}: true and false, "
        f"1 and 0, or the texts {pairs} would do; {wanted.column}_rate[<category>] is the share of one value",
        code="score.not_yes_or_no",
    )


def _place(scores: Scores, category: str) -> float:
    """The number that stands for a category; one that nothing equals if no example has it."""
    if scores.kind == "numbers":
        number = number_in(category)
        if number is None:
            raise ConfigurationError(f'{scores.title} holds numbers, and "{category}" is none', code="score.kind")
        return float(number)
    names = scores.categories
    if scores.kind == "yes or no":
        if category.casefold() not in names:
            raise ConfigurationError(
                f'{scores.title} holds {" and ".join(names)}, and no "{category}"',
                code="bound.unknown_category",
            )
        return float(names.index(category.casefold()))
    return float(names.index(category)) if category in names else -1.0


def _sentinels(missing: Sequence[str | int | float], values: pd.Series) -> list[Any]:
    """What stands for a missing score: numbers by value, also where a command line could only write them as text; a
    truth value is neither."""
    keys = keys_of(value for value in values.dropna().unique() if not isinstance(value, bool))
    wanted = {meant(word, keys.values()) if isinstance(word, str) else key_of(word) for word in missing}
    return [value for value, key in keys.items() if key in wanted]


def _floats(values: pd.Series) -> Array:
    import numpy as np

    return np.asarray(values.astype("float64").to_numpy(), dtype=float)


def _seen(scores: Scores) -> str:
    """What the column holds, in a few words; many different values are counted and not shown."""
    import numpy as np

    known = np.unique(scores.values[~scores.missing])
    if len(known) > 2 * _SHOWN:
        return f"{len(known)} different {'numbers' if scores.kind == 'numbers' else 'texts'}"
    named = scores.categories or [f"{number:g}" for number in known]
    texts = [text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…" for text in named]
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def _mixed(title: str, values: pd.Series) -> ConfigurationError:
    types = sorted({type(value).__name__ for value in values.dropna()})
    return ConfigurationError(
        f"{title} holds values of type {' and '.join(types[:_SHOWN])}: a score is a number, true or false, or a text, "
        "and one column keeps to one of these",
        code="score.kind",
    )
