"""Which extra brings a package that not every installation has, and what to type; what packages offer. Imports none of
them.

``[project.optional-dependencies]`` of ``core/pyproject.toml`` says what an extra holds; ``docs/install.md`` says who
needs which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, distributions

CORE, PROVIDER = "mlgov-core", "airflow-provider-mlgov"

EXTRAS: Mapping[str, str] = {
    "anyio": "board",
    "boto3": "s3",
    "deltalake": "delta",
    "fairlearn": "fairness",
    "fastapi": "board",
    "fpdf": "reports",
    "great_expectations": "great-expectations",
    "grpc": "spark",
    "hvac": "vault",
    "matplotlib": "reports",
    "mlflow": "mlflow",
    "pandas": "tables",
    "psycopg": "postgres",
    "pyarrow": "tables",
    "pyiceberg": "iceberg",
    "pyspark": "spark",
    "s3fs": "s3",
    "scipy": "statistics",
    "skops": "scoring",
    "sklearn": "statistics",
    "tensorflow_metadata": "tfdv",
    "uvicorn": "board",
    "wandb": "wandb",
}
"""Module at the top -> the extra of either distribution that brings it."""
_NAMES = {"fpdf": "fpdf2", "sklearn": "scikit-learn", "great_expectations": "Great Expectations", "mlflow": "MLflow"}
_STORES = {"s3": "s3fs", "s3a": "s3fs"}
"""Scheme of a URL -> the module that opens it."""


def offered(group: str) -> Iterator[EntryPoint]:
    """The entry points of a group, as ``importlib.metadata.entry_points`` has them, which parses those of every one."""
    holders = {each.name for each in distributions() if group in (each.read_text("entry_points.txt") or "")}
    for name in sorted(holders):
        yield from distribution(name).entry_points.select(group=group)  # of two versions the first that is found


def bringing(extra: str) -> str:
    """The command that installs an extra of what is installed here."""
    try:
        distribution(PROVIDER)
    except PackageNotFoundError:
        return f"pip install '{CORE}[{extra}]'"
    return f"pip install '{PROVIDER}[{extra}]'"


def missing(module: str | None) -> str | None:
    """Which package is not there and the command that installs it; None if it is no package that an extra brings.

    :param module: its name, as the ``name`` of an ``ImportError`` has it
    """
    top, _, below = (module or "").partition(".")
    if top == "airflow" or (top == "airflow_mlgov" and below):
        wanted = f"'{PROVIDER}[demo]'" if below.startswith("demo") else PROVIDER
        return f"the provider of Airflow is not installed: pip install {wanted}"
    if top not in EXTRAS:
        return None
    return f"{_NAMES.get(top, top)} is not installed: {bringing(EXTRAS[top])}"


def opening(scheme: str) -> str:
    """What to do where no installed package opens a URL of a scheme."""
    return bringing(EXTRAS[_STORES[scheme]]) if scheme in _STORES else "install what fsspec opens it with"
