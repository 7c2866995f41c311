"""The evaluation gate over scores in Spark says what it says of the same rows in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from airflow_mlgov.gates.bounds import parse_bounds
from airflow_mlgov.gates.evaluation.spec import GATE, EvaluationSettings
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.results import GateResult, Subject
from tests.worlds.spark import in_both, require_same

MODEL = Subject("model", "answers", "0" * 64, "1")
BOUNDS = [
    "toxic_rate<=0.03", "relevance_mean>=0.85", "relevance_p05>=0.5", "verdict_rate[harmful]<=0.05",
    "toxic_rate_worst_slice<=0.1", "relevance_mean_vs_champion>=-0.1",
]  # fmt: skip


def answers(rows: int = 400, seed: int = 3) -> pa.Table:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"id": [f"q{at}" for at in range(rows)], "toxic": np.arange(rows) % 100 == 0})
    frame["relevance"] = random.beta(9, 1, rows)
    frame.loc[::50, "relevance"] = None
    frame["verdict"] = np.where(np.arange(rows) % 40 == 0, "harmful", "safe")
    frame["language"] = np.where(np.arange(rows) % 4 == 0, "de", "é")
    frame["weight"] = random.uniform(0.5, 2, rows).round(2)
    return pa.Table.from_pandas(frame.sample(frac=1, random_state=seed), preserve_index=False)


def judged(data: Any, bounds: list[str], **settings: Any) -> GateResult:
    baseline = settings.pop("baseline", None)
    read = EvaluationSettings.read(settings)
    return run_gate(GATE, data, read, parse_bounds(bounds, GATE.metrics), subject=MODEL, baseline=baseline)


def test_the_same_as_of_a_file(spark_server: str, tmp_path: Path) -> None:
    both = in_both(answers(), tmp_path, spark_server)
    champion, theirs = in_both(answers(seed=4), tmp_path, spark_server, "champion")
    settings = {"row_id": "id", "slices": ["language"], "baseline": champion}
    here, there = (judged(data, BOUNDS, **settings) for data in both)
    require_same(there, here)
    assert there.evaluation_digest is not None
    assert [each.name for each in there.inputs] == [both[1].name, theirs.name]


def test_weights_and_no_names(spark_server: str, tmp_path: Path) -> None:
    both = in_both(answers(), tmp_path, spark_server)
    here, there = (judged(data, BOUNDS[:2], sample_weight="weight") for data in both)
    require_same(there, here)
    assert there.details == here.details
