"""Trying until it passes: the same rows in another dress are the same rows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from airflow_mlgov.evidence.statements import GateStatement
from airflow_mlgov.evidence.verification import collect
from airflow_mlgov.gates.performance import evaluate_performance
from airflow_mlgov.governance.decision import decide
from airflow_mlgov.governance.policy import load_policy
from tests.worlds.story import DATA, MODEL, REQUEST, Story

POLICY = """\
version: 1
models:
  credit_risk:
    gates:
      performance: {label: y, score: s, roc_auc: {min: 0}, max_tries: {same_data: 1}}
    targets:
      production: {alias: champion, requires: [performance]}
"""
ROWS = pd.DataFrame({"id": range(60), "y": [0, 1, 1] * 20, "s": [0.2, 0.7, 0.4, 0.6] * 15})
DRESSES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "as they were": lambda rows: rows,
    "the label as a float": lambda rows: rows.astype({"y": "float64"}),
    "the label in a byte": lambda rows: rows.astype({"y": "int8"}),
    "the label as a truth value": lambda rows: rows.astype({"y": "bool"}),
    "the label as text": lambda rows: rows.astype({"y": str}),
    "the label as text with a point": lambda rows: rows.astype({"y": "float64"}).astype({"y": str}),
    "the label as a word": lambda rows: rows.assign(y=rows.y.map({1: "True", 0: "False"})),
    "the key as text": lambda rows: rows.astype({"id": str}),
    "the key as a float": lambda rows: rows.astype({"id": "float64"}),
    "in another order": lambda rows: rows.iloc[::-1],
    "with a column more": lambda rows: rows.assign(noise=range(len(rows))),
}


def tries(folder: Path, dress: Callable[[pd.DataFrame], pd.DataFrame], row_id: str | None) -> set[str]:
    """The reasons after another model was judged on the rows as they were, and this one on them in a dress."""
    (folder / "mlgov.yaml").write_text(POLICY)
    story = Story(folder, load_policy(folder / "mlgov.yaml"))
    story.provenance((DATA,))
    other = replace(MODEL, digest="c" * 64, version="2")
    for number, (subject, rows) in enumerate(((other, ROWS), (MODEL, dress(ROWS.assign(s=ROWS.s / 2))))):
        path = folder / f"{number}.parquet"
        rows.to_parquet(path)
        positive = {"text": str(max(rows.y))} if pd.api.types.is_string_dtype(rows.y) else {}
        result = evaluate_performance(
            str(path),
            subject=subject,
            label="y",
            score="s",
            positive_label=positive.get("text"),
            row_id=row_id,
            bounds={"roc_auc": {"min": 0}},
        )
        story.sign(GateStatement.of(result, story.context()).as_json())
    good, bad = collect(story.ledger.walk(), story.trust, [MODEL.digest])
    history = collect(story.ledger.walk(), story.trust, model=MODEL.name)[0]
    answer = decide(REQUEST, story.policy, good, bad, history=history)
    return {code for code, _ in answer.reasons}


@pytest.mark.parametrize("row_id", ["id", None])
@pytest.mark.parametrize("dress", DRESSES)
def test_the_same_rows_in_another_dress(tmp_path: Path, dress: str, row_id: str | None) -> None:
    assert tries(tmp_path, DRESSES[dress], row_id) == {"tries.exceeded"}


def test_other_rows_are_other_data(tmp_path: Path) -> None:
    assert tries(tmp_path, lambda rows: rows.assign(y=[1, 0, 1, 0] * 15), "id") == set()
