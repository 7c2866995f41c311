"""Who counts and compares groups: the fairness gate, Fairlearn on rows, a bare GROUP BY, Aequitas, AIF360."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.contender import Steps

METRICS = (
    "selection_rate",
    "true_positive_rate",
    "false_positive_rate",
    "false_negative_rate",
    "accuracy",
    "precision",
)
_TWO_GROUPS = (
    "demographic_parity_ratio",
    "demographic_parity_difference",
    "true_positive_rate_difference",
    "false_positive_rate_difference",
)


def gate(path: str, features: Sequence[str]) -> Steps:
    """The fairness gate over a file: six metrics of the groups of a feature, or of the intersection of two, with the
    intervals and the file's digest that it always has."""
    import duckdb  # noqa: F401
    import numpy.ma
    import numpy.random  # noqa: F401

    from airflow_mlgov.gates.fairness import evaluate_fairness
    from airflow_mlgov.results import Subject

    yield None
    feature = "*".join(features)
    result = evaluate_fairness(
        path,
        subject=Subject("model", "credit", "0" * 64, "1"),
        label="label",
        prediction="prediction",
        sensitive_features=[feature],
        bounds={f"{metric}_difference": {"max": 0.5} for metric in METRICS},
    )
    spread = {check.name.split("[")[0]: check.observed for check in result.checks if "_difference[" in check.name}
    return {**_by_group(result.details["rates"][feature]), **spread}


def gate_of_two_groups(path: str) -> Steps:
    """The fairness gate over one attribute of two groups."""
    import duckdb  # noqa: F401
    import numpy.ma
    import numpy.random  # noqa: F401

    from airflow_mlgov.gates.fairness import evaluate_fairness
    from airflow_mlgov.results import Subject

    yield None
    result = evaluate_fairness(
        path,
        subject=Subject("model", "credit", "0" * 64, "1"),
        label="label",
        prediction="prediction",
        sensitive_features=["sex"],
        bounds={metric: {"min": 0.0, "max": 1.0} for metric in _TWO_GROUPS},
    )
    found = {check.name.split("[")[0]: check.observed for check in result.checks}
    return {name: found[name] for name in _TWO_GROUPS}


def group_by(path: str, features: Sequence[str]) -> Steps:
    """The bare query, and the rates by plain arithmetic on its few rows."""
    import duckdb

    yield None
    names = ", ".join(features)
    query = f"SELECT {names}, label, prediction, count(*) FROM read_parquet(?) GROUP BY ALL"
    with duckdb.connect() as connection:
        found = connection.execute(query, [path]).fetchall()
    counts: dict[str, list[int]] = {}
    for *group, label, prediction, n in found:
        counts.setdefault("*".join(group), [0, 0, 0, 0])[2 * label + prediction] += n
    rates = {group: _rates(*cells) for group, cells in counts.items()}
    spread = {f"{metric}_difference": _spread(rates, metric) for metric in METRICS}
    return {**_by_group(rates), **spread}


def group_by_and_digest(path: str, features: Sequence[str]) -> Steps:
    """The same, and the SHA-256 of the file beside it: what binds any verdict to the bytes."""
    import hashlib
    from concurrent.futures import ThreadPoolExecutor

    counting = group_by(path, features)
    next(counting)
    yield None
    with Path(path).open("rb") as file, ThreadPoolExecutor(1) as thread:
        hashing = thread.submit(hashlib.file_digest, file, "sha256")
        answer = yield from counting
        hashing.result()
    return answer


def fairlearn_on_rows(path: str, features: Sequence[str], resamples: int = 0, scaled_to: int = 0) -> Steps:
    """Fairlearn's ``MetricFrame`` over the rows.

    :param resamples: of its bootstrap; its time is taken alone, and scaled
    :param scaled_to: as many resamples
    """
    import pandas as pd
    from fairlearn import metrics
    from sklearn.metrics import accuracy_score, precision_score

    yield None
    functions = {
        "selection_rate": metrics.selection_rate,
        "true_positive_rate": metrics.true_positive_rate,
        "false_positive_rate": metrics.false_positive_rate,
        "false_negative_rate": metrics.false_negative_rate,
        "accuracy": accuracy_score,
        "precision": precision_score,
    }
    rows = pd.read_parquet(path, columns=[*features, "label", "prediction"])
    given = {
        "metrics": functions,
        "y_true": rows["label"],
        "y_pred": rows["prediction"],
        "sensitive_features": rows[list(features)],
    }
    started = time.perf_counter()
    frame = metrics.MetricFrame(**given)
    plain = time.perf_counter() - started
    if resamples:
        started = time.perf_counter()
        metrics.MetricFrame(**given, n_boot=resamples, ci_quantiles=[0.025, 0.975], random_state=0)
        yield (time.perf_counter() - started - plain) / resamples * scaled_to
    rates = {
        "*".join(group if isinstance(group, tuple) else (group,)): dict(values)
        for group, values in frame.by_group.iterrows()
    }
    spread = {f"{metric}_difference": float(value) for metric, value in frame.difference().items()}
    return {**_by_group(rates), **spread}


def aequitas(path: str) -> Steps:
    """Aequitas' crosstabs and disparities of one attribute."""
    import pandas as pd
    from aequitas.bias import Bias
    from aequitas.group import Group

    yield None
    rows = pd.read_parquet(path, columns=["sex", "label", "prediction"])
    rows = rows.rename(columns={"label": "label_value", "prediction": "score"})
    groups, _ = Group().get_crosstabs(rows, attr_cols=["sex"])
    compared = Bias().get_disparity_predefined_groups(groups, original_df=rows, ref_groups_dict={"sex": "male"})
    female = compared.set_index("attribute_value").loc["female"]
    male = compared.set_index("attribute_value").loc["male"]
    return {
        "demographic_parity_ratio": min(female["pprev_disparity"], 1 / female["pprev_disparity"]),
        "demographic_parity_difference": abs(female["pprev"] - male["pprev"]),
        "true_positive_rate_difference": abs(female["tpr"] - male["tpr"]),
        "false_positive_rate_difference": abs(female["fpr"] - male["fpr"]),
    }


def aif360(path: str) -> Steps:
    """AIF360's metrics of one attribute."""
    import pandas as pd
    from aif360.datasets import BinaryLabelDataset
    from aif360.metrics import ClassificationMetric

    yield None
    rows = pd.read_parquet(path, columns=["sex", "label", "prediction"])
    rows["sex"] = (rows["sex"] == "male").astype(float)
    truth = BinaryLabelDataset(df=rows[["sex", "label"]], label_names=["label"], protected_attribute_names=["sex"])
    predicted = truth.copy()
    predicted.labels = rows[["prediction"]].to_numpy(dtype=float)
    found = ClassificationMetric(truth, predicted, unprivileged_groups=[{"sex": 0.0}], privileged_groups=[{"sex": 1.0}])
    impact = float(found.disparate_impact())
    return {
        "demographic_parity_ratio": min(impact, 1 / impact),
        "demographic_parity_difference": abs(float(found.statistical_parity_difference())),
        "true_positive_rate_difference": abs(float(found.equal_opportunity_difference())),
        "false_positive_rate_difference": abs(float(found.false_positive_rate_difference())),
    }


def _rates(tn: int, fp: int, fn: int, tp: int) -> dict[str, float]:
    return {
        "selection_rate": (fp + tp) / (tn + fp + fn + tp),
        "true_positive_rate": tp / (fn + tp),
        "false_positive_rate": fp / (tn + fp),
        "false_negative_rate": fn / (fn + tp),
        "accuracy": (tn + tp) / (tn + fp + fn + tp),
        "precision": tp / (fp + tp),
    }


def _spread(rates: Mapping[str, Mapping[str, float]], metric: str) -> float:
    values = [of_group[metric] for of_group in rates.values()]
    return max(values) - min(values)


def _by_group(rates: Mapping[str, Mapping[str, float | None]]) -> dict[str, float | None]:
    return {f"{metric} of {group}": of_group[metric] for group, of_group in rates.items() for metric in METRICS}
