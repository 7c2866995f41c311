"""Loads a model and predicts, in an interpreter that need not know this package: it is run by its path, and imports
nothing of ours. Refuses skops types that its order does not name."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
from typing import Any

OF_TWO, OF_MANY = ("binary:logistic", "binary"), ("multi:softprob", "multiclass")
"""Objectives of XGBoost's and LightGBM's whose predictions are probabilities of the classes 0, 1 …"""


def versions(names: list[str]) -> dict[str, str | None]:
    """Name -> installed version, or None."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def markers() -> dict[str, str]:
    """What PEP 508 markers ask of an interpreter."""
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": platform.python_version(),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def objective(model: Any) -> str:
    """What a bare booster of XGBoost's or LightGBM's was trained for; empty for anything else."""
    kind = f"{type(model).__module__}.{type(model).__name__}"
    if kind == "xgboost.core.Booster":
        return str(json.loads(model.save_config())["learner"]["objective"]["name"])
    if kind == "lightgbm.basic.Booster":
        return str(model.dump_model(num_iteration=1).get("objective") or "").partition(" ")[0]
    return ""


def decided(model: Any, predicted: Any) -> Any:
    """The predicted labels or numbers: of a bare booster that predicts probabilities the more probable class."""
    goal = objective(model)
    if goal in OF_TWO:
        return (predicted >= 0.5).astype(int)
    if goal in OF_MANY:
        return predicted.argmax(1)
    if getattr(predicted, "ndim", 1) > 1:
        raise SystemExit(f"the model predicts {predicted.shape[1]} numbers for a row, of which none is the prediction")
    return predicted


def predictions(order: dict[str, Any]) -> list[Any]:
    """What the model predicts for the order's features, as JSON values."""
    import pandas

    features = pandas.read_parquet("features.parquet")
    if order["skops"]:
        import skops.io

        model = skops.io.load(order["skops"], trusted=order["trusted"])
    else:
        import mlflow.pyfunc

        model = mlflow.pyfunc.load_model(order["model"])
    raw = model if order["skops"] else model.get_raw_model()
    answers: list[Any] = pandas.Series(decided(raw, model.predict(features))).tolist()
    return answers


def main() -> None:
    """Answer the order in the working folder."""
    with open("order.json") as file:
        order = json.load(file)
    if order["do"] == "describe":
        answer: dict[str, Any] = {"versions": versions(order["names"]), "markers": markers()}
    else:
        answer = {"predictions": predictions(order)}
    with open("answer.json", "w") as file:
        json.dump(answer, file)


if __name__ == "__main__":
    main()
