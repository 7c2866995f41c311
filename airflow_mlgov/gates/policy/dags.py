"""DAGs as pipelines, from files that nothing here runs: Airflow parses them in a child process without credentials.

What such a child says is good for a look ahead, and never evidence: a file that means to deceive can bend its parser.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.children.environment import Backend, ExternalError, ask
from airflow_mlgov.gates.children.process import clean
from airflow_mlgov.pipelines.manifest import Manifest
from airflow_mlgov.pipelines.reading import Read

_TIMEOUT = 600.0
_TEXT = {"type": "string", "maxLength": 10_000}
AIRFLOW = Backend(
    "Airflow",
    "dags_parse.py",
    ("apache-airflow", "airflow-provider-mlgov"),
    "apache-airflow",
    {
        "type": "object",
        "required": ["dags", "errors"],
        "additionalProperties": False,
        "properties": {
            "dags": {"type": "array", "maxItems": 10_000, "items": {"type": "object"}},
            "errors": {"type": "object", "additionalProperties": _TEXT},
        },
    },
)


def read_dags(places: Iterable[str | Path], timeout: float = _TIMEOUT) -> Read:
    """Every DAG of files and folders; of a file that Airflow cannot parse, why.

    :param timeout: seconds for one of them
    :raises ConfigurationError: there is no such file, or Airflow is not installed here
    :raises ExternalError: the child crashed, took too long or gave no sound answer
    """
    found: list[Manifest] = []
    broken: list[tuple[str, str]] = []
    for place in places:
        if not Path(place).exists():
            raise ConfigurationError(f"no such DAG file or folder: {place}", code="file.missing")
        said = ask(AIRFLOW, sys.executable, _request(Path(place)), timeout=timeout).content
        found += map(_manifest, said["dags"])
        broken += [(clean(file), clean(why)) for file, why in sorted(said["errors"].items())]
    return Read(tuple(found), (), tuple(broken))


def _request(place: Path) -> dict[str, Any]:
    """With Airflow's plugins, which DAG files may import from, and the caller's ``PYTHONPATH``."""
    home = os.environ.get("AIRFLOW_HOME") or os.path.expanduser("~/airflow")
    plugins = Path(os.environ.get("AIRFLOW__CORE__PLUGINS_FOLDER") or Path(home, "plugins"))
    paths = [str(Path(part).absolute()) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    return {
        "place": str(place.absolute()),
        "path": paths,
        "plugins": str(plugins.absolute()) if plugins.is_dir() else "",
    }


def _manifest(said: Any) -> Manifest:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Manifest).validate_python(said)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise ExternalError(f"Airflow gave a DAG that is none: {clean(where)}", code="child.answer") from None
