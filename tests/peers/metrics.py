"""The examples in the docstrings of scikit-learn's metrics: labels, predictions or scores, and the number printed. They
are read, and never run."""

from __future__ import annotations

import ast
import doctest
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

FUNCTIONS = {
    "accuracy_score": "accuracy",
    "average_precision_score": "average_precision",
    "balanced_accuracy_score": "balanced_accuracy",
    "brier_score_loss": "brier_score",
    "d2_absolute_error_score": "d2_absolute_error_score",
    "d2_brier_score": "d2_brier_score",
    "d2_log_loss_score": "d2_log_loss_score",
    "explained_variance_score": "explained_variance",
    "f1_score": "f1",
    "jaccard_score": "jaccard",
    "log_loss": "log_loss",
    "matthews_corrcoef": "matthews_corrcoef",
    "max_error": "neg_max_error",
    "mean_absolute_error": "mae",
    "mean_absolute_percentage_error": "neg_mean_absolute_percentage_error",
    "mean_gamma_deviance": "neg_mean_gamma_deviance",
    "mean_poisson_deviance": "neg_mean_poisson_deviance",
    "mean_squared_error": "neg_mean_squared_error",
    "mean_squared_log_error": "neg_mean_squared_log_error",
    "median_absolute_error": "neg_median_absolute_error",
    "precision_score": "precision",
    "r2_score": "r2",
    "recall_score": "recall",
    "roc_auc_score": "roc_auc",
    "root_mean_squared_error": "rmse",
    "root_mean_squared_log_error": "neg_root_mean_squared_log_error",
    "top_k_accuracy_score": "top_k_accuracy",
}
"""scikit-learn's function -> the gate's metric."""
OPTIONS = frozenset({"average", "k", "labels", "pos_label"})
"""Those that name one of the gate's metrics, or its columns; what other options ask for, the gate has not."""


@dataclass(frozen=True)
class Printed:
    """One call of a docstring."""

    function: str
    number: int
    """Of the call in its docstring, from 1."""
    call: str
    truth: list[Any]
    predicted: list[Any]
    """Labels, numbers or scores; lists of scores of several classes."""
    options: dict[str, Any]
    value: float
    within: float
    """How exactly it is printed."""


def printed() -> Iterator[Printed]:
    """Every call for one of the gate's metrics, of one list of labels, whose arguments and answer can be read."""
    from sklearn import metrics

    for function in FUNCTIONS:
        text = inspect.cleandoc(getattr(metrics, function).__doc__ or "")
        known: dict[str, Any] = {}
        number = 0
        for example in doctest.DocTestParser().get_examples(text):
            (statement,) = ast.parse(example.source).body
            if isinstance(statement, ast.Assign):
                _assign(known, statement)
            elif _calls(statement, function):
                number += 1
                found = _read(function, number, statement.value, known, example.want)  # type: ignore[attr-defined]
                if found is not None:
                    yield found


def _assign(known: dict[str, Any], statement: ast.Assign) -> None:
    for target in statement.targets:
        names = [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]
        try:
            values = {names[0]: _value(statement.value, known)} if isinstance(target, ast.Name) else {}
        except (KeyError, ValueError, TypeError):
            values = {}
        for name in names:
            known.pop(name, None)
        known.update(values)


def _calls(statement: ast.stmt, function: str) -> bool:
    value = getattr(statement, "value", None)
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == function


def _read(function: str, number: int, call: ast.Call, known: Mapping[str, Any], want: str) -> Printed | None:
    text = want.strip().removesuffix("...").rstrip(".")
    try:
        value = float(text)
        truth, predicted = (_value(each, known) for each in call.args)
        options = {str(word.arg): _value(word.value, known) for word in call.keywords}
    except (KeyError, ValueError, TypeError):
        return None
    if not OPTIONS.issuperset(options) or options.get("k", 2) != 2:
        return None
    if not isinstance(truth, list) or any(isinstance(each, list) for each in truth):
        return None
    within = 10.0 ** -len(text.partition(".")[2])
    return Printed(function, number, ast.unparse(call), truth, predicted, options, value, within)


def _value(node: ast.expr, known: Mapping[str, Any]) -> Any:
    """A literal, a name of one, a part of it, or an array of one."""
    match node:
        case ast.Name(id=name):
            return known[name]
        case ast.Subscript(value=of, slice=ast.Constant(value=int(place))):
            return _value(of, known)[place]
        case ast.Call(func=ast.Attribute(value=ast.Name(id="np"), attr="array"), args=[only], keywords=[]):
            return _value(only, known)
        case _:
            return ast.literal_eval(node)
