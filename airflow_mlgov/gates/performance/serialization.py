"""How a model is stored, told from its files alone. Refuses a skops file that holds a type which is not on the gate's
own list, whatever list the model brings along."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_mlgov.errors import ConfigurationError, not_installed
from airflow_mlgov.gates.children.process import clean

TRUSTED_TYPES = frozenset(
    {
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.tree._tree.Tree",
    }
)
"""What a skops file may hold besides what skops itself trusts: scikit-learn's own parts of common estimators, and
LightGBM's."""

_SCHEMA_LIMIT = 64_000_000
_BOOSTERS = {"xgboost": "xgboost.core.Booster", "lightgbm": "lightgbm.basic.Booster"}
"""Flavor -> the class that MLflow loads where the MLmodel names none."""
_PICKLED = (".pkl", ".pickle", ".joblib")


@dataclass(frozen=True)
class Stored:
    """A model's file and its format."""

    format: str
    """``skops``, ``pickle``, ``cloudpickle`` …, or the library whose own format it is."""
    file: Path

    @property
    def runs_code(self) -> bool:
        """Whether loading it can run what its author put there."""
        return self.format in ("pickle", "cloudpickle", "joblib")


def stored_model(model_dir: Path, description: Mapping[str, Any]) -> Stored:
    """What an ``MLmodel`` file says of the model's own file; anything unclear counts as a pickle.

    XGBoost's file is its own, read by the class that the MLmodel names; of LightGBM only a bare Booster's is, and
    MLflow stores its estimators as it does scikit-learn's.

    :param description: what ``scoring.inspect_model`` returns
    :raises ConfigurationError: it names no file, one that is not there, or a class that is not XGBoost's to read it
    """
    flavors = description["flavors"]
    loader = str(flavors["python_function"]["loader_module"])
    library = loader.removeprefix("mlflow.")
    flavor = flavors.get(library)
    flavor = flavor if isinstance(flavor, Mapping) else {}
    keys = ("data",) if library in _BOOSTERS else ("pickled_model", "data")
    named = next(filter(None, map(flavor.get, keys)), None) or flavors["python_function"].get("model_path")
    file = model_dir / str(named or "")
    if not named or not file.is_file():
        raise ConfigurationError(
            f"{model_dir.name} is not whole: its MLmodel names the file {clean(str(named))}", code="model.unreadable"
        )
    if library in _BOOSTERS:
        loads = str(flavor.get("model_class", _BOOSTERS[library]))
        if library == "xgboost" and not loads.startswith("xgboost."):
            raise ConfigurationError(
                f"refused to load {model_dir.name}: {clean(loads)} is no class of XGBoost's", code="model.untrusted"
            )
        if (library == "xgboost" or loads == _BOOSTERS[library]) and file.suffix not in _PICKLED:
            return Stored(library, file)
    format_ = str(flavor.get("serialization_format") or "pickle")
    return Stored(format_ if format_ in ("skops", "cloudpickle") else "pickle", file)


def require_trusted(file: Path, trusted: Collection[str] = TRUSTED_TYPES) -> list[str]:
    """The types in a skops file that skops does not trust by itself, all of which ``trusted`` allows; none is imported.

    :raises ConfigurationError: a type is not allowed, it is no skops file, or skops is not installed
    """
    try:
        import skops.io
    except ImportError as error:
        raise not_installed(error, "a model that is stored with skops") from None
    try:
        with zipfile.ZipFile(file) as packed:
            if packed.getinfo("schema.json").file_size > _SCHEMA_LIMIT:
                raise ConfigurationError(
                    f"refused to load {file.name}: its schema is larger than {_SCHEMA_LIMIT} bytes",
                    code="model.untrusted",
                )
        found = [str(name) for name in skops.io.get_untrusted_types(file=file)]
    except ConfigurationError:
        raise
    except Exception as error:  # skops has no exception of its own for a file of another kind
        raise ConfigurationError(
            f"{file.name} is not a readable skops file: {clean(str(error))}", code="model.unreadable"
        ) from None
    foreign = sorted(set(found) - set(trusted))
    if foreign:
        raise ConfigurationError(
            f"refused to load {file.name}: it holds the type {clean(', '.join(foreign[:5]))}, which is not trusted; "
            f"name it in trusted_types once you have read what it does, or gate on a table of predictions",
            code="model.untrusted",
        )
    return sorted(set(found))
