"""Has Airflow parse DAG files, and tells each DAG as a pipeline. DAG files are code: they run here, without credential,
network, Airflow's own database or its configuration. Refuses nothing that Airflow takes."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

READS_ROWS = False


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Every DAG, and why files cannot be parsed.

    :param request: ``place`` (a DAG file or a folder), ``path`` (more of ``sys.path``), ``plugins`` (a folder or empty)
    """
    place = Path(request["place"])
    folder = place if place.is_dir() else place.parent
    os.environ.update(
        {
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            **({"AIRFLOW__CORE__PLUGINS_FOLDER": request["plugins"]} if request["plugins"] else {}),
        }
    )
    sys.path += [str(folder), *request["path"]]
    bag = dag_bag()(dag_folder=str(place), bundle_path=folder)
    read_dag = import_module("airflow_mlgov.pipelines.readers.airflow").read_dag
    written = import_module("pydantic").TypeAdapter(import_module("airflow_mlgov.pipelines.manifest").Manifest)
    manifests, errors = [], {_short(file, folder): _last_line(said) for file, said in bag.import_errors.items()}
    for name, dag in sorted(bag.dags.items()):
        file = str(getattr(dag, "relative_fileloc", None) or name)
        try:
            manifests.append(written.dump_python(read_dag(dag, file), mode="json"))
        except Exception as error:
            errors[file] = f"the DAG {name} cannot be read: {type(error).__name__}"
    return {"dags": manifests, "errors": errors}


def dag_bag() -> Any:
    """Airflow's class that reads DAG files. It has this place since Airflow 3.2."""
    try:
        return import_module("airflow.dag_processing.dagbag").DagBag
    except ModuleNotFoundError:
        return import_module("airflow.models.dagbag").DagBag


def _short(file: str, folder: Path) -> str:
    path = Path(file)
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else file


def _last_line(said: str) -> str:
    return (said.strip().splitlines() or ["it cannot be parsed"])[-1]
