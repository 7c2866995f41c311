"""What gates say of the same rows here and in an object store, by the connection ``lake``: ``python -m
tests.worlds.object_store`` puts them there, judges, and prints JSON. Run by an interpreter that has the provider."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from airflow_mlgov import catalogue
from airflow_mlgov.errors import MlgovError
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.gates.strictness import held_to
from airflow_mlgov.hooks.object_store import stored
from airflow_mlgov.results import Subject

MODEL = Subject("model", "m", "ab" * 32, "1", registry="http://r")
_SUITE = {
    "name": "applicants",
    "expectations": [
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}, "severity": "critical"},
        {
            "type": "expect_column_mean_to_be_between",
            "kwargs": {"column": "s", "min_value": 0, "max_value": 0.4},
            "severity": "critical",
        },
    ],
}
GATES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "data_validation": ({"suite": _SUITE}, []),
    "performance": ({"label": "y", "score": "s", "slices": ["g"]}, ["roc_auc>=0.7", "roc_auc_worst_slice>=0.99"]),
    "fairness": (
        {"label": "y", "prediction": "p", "sensitive_features": ["g"]},
        ["demographic_parity_difference<=0.5"],
    ),
    "evaluation": ({"row_id": "id"}, ["s_mean>=0.9", "s_p90<=1"]),
}
PLACES = ("rows.parquet", "rows.csv", "by_year")


def put(folder: Path) -> None:
    """Rows in a folder, at each of :data:`PLACES`."""
    random, size = np.random.default_rng(5), 600
    label = random.integers(0, 2, size)
    score = np.round((label + 3 * random.random(size)) / 4, 6)
    frame = pd.DataFrame(
        {
            "id": range(size),
            "y": label,
            "p": (score > 0.5).astype(int),
            "s": score,
            "g": random.choice(["f", "m"], size),
        }
    )
    frame.to_parquet(folder / "rows.parquet", index=False)
    frame.to_csv(folder / "rows.csv", index=False)
    frame.assign(year=random.choice([2024, 2025], size)).to_parquet(folder / "by_year", partition_cols=["year"])


def said(gate_name: str, data: Any) -> dict[str, Any]:
    """What a gate says of them; code and words where it cannot."""
    given, bounds = GATES[gate_name]
    gate = catalogue.load(gate_name)
    settings, held = held_to(gate, None, given, list(bounds), "the test")
    try:
        result = run_gate(gate, stored(data), settings, held, subject=None if gate.about == "dataset" else MODEL)
    except MlgovError as error:
        return {"code": error.code, "said": str(error)}
    read = [subject.digest for subject in (result.subject, *result.inputs) if subject.kind == "dataset"]
    checks = [[check.name, str(check.outcome), check.observed] for check in result.checks]
    return {"verdict": str(result.verdict), "checks": checks, "read": read, "evaluated": result.evaluation_digest}


def main(conn_id: str) -> dict[str, Any]:
    """Place -> gate -> what is said of it here, and there."""
    import s3fs
    from airflow.sdk import ObjectStoragePath

    with tempfile.TemporaryDirectory() as folder:
        put(Path(folder))
        if conn_id != "lake":
            return said("data_validation", f"s3://{conn_id}@bucket/rows.csv")
        store = ObjectStoragePath("s3://bucket", conn_id="lake").fs
        assert isinstance(store, s3fs.S3FileSystem)
        store.makedirs("bucket", exist_ok=True)
        store.put(f"{folder}/", "bucket/", recursive=True)
        answers: dict[str, Any] = {
            place: {
                gate: {
                    "here": said(gate, str(Path(folder, place))),
                    "there": said(gate, f"s3://lake@bucket/{place}"),
                }
                for gate in GATES
            }
            for place in PLACES
        }
        assert all(answers[place][gate]["here"].get("verdict") for place in PLACES for gate in GATES), answers
        answers["missing"] = said("data_validation", "s3://lake@bucket/nowhere.csv")
        answers["no bucket"] = said("data_validation", "s3://lake@elsewhere/rows.csv")
        return answers


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
