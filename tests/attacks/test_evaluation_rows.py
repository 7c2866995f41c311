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
from airflow_mlgov.results import Bound, Check, GateResult, Subject
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


HOLDOUT = "postgresql://db.bank.example:5432/risk#table=holdout"


def judged_on(folder: Path, pinned: str, *read: tuple[str, str], rows: str = "e" * 64, auc: float = 0.9) -> set[str]:
    """The reasons if the policy pins the evaluation data and the gate says that it has read this, in this order."""
    pin = f"{{label: y, score: s, evaluation_data: {{{pinned}}}, "
    assert "{label: y, score: s, " in POLICY
    (folder / "mlgov.yaml").write_text(POLICY.replace("{label: y, score: s, ", pin))
    story = Story(folder, load_policy(folder / "mlgov.yaml"))
    story.provenance((DATA,))
    bound = Bound(min=0)
    result = GateResult(
        "performance",
        MODEL,
        (Check("roc_auc", bound.judge(auc), auc, bound),),
        tuple(Subject("dataset", name, digest) for name, digest in read),
        evaluation_digest=rows,
    )
    story.sign(GateStatement.of(result, story.context()).as_json())
    good, bad = collect(story.ledger.walk(), story.trust, [MODEL.digest])
    return {code for code, _ in decide(REQUEST, story.policy, good, bad).reasons}


RIGHT = "d" * 64


@pytest.mark.parametrize("pinned", [f"digest: {RIGHT}", f'table: "{HOLDOUT}"'])
def test_evidence_on_the_pinned_data_counts(tmp_path: Path, pinned: str) -> None:
    assert "data.other" not in judged_on(tmp_path, pinned, (HOLDOUT, RIGHT), ("champion.csv", "f" * 64))


def test_the_pinned_rows_count_in_whatever_file_they_lie(tmp_path: Path) -> None:
    assert "data.other" not in judged_on(tmp_path, f"digest: {RIGHT}", ("copy.csv", "f" * 64), rows=RIGHT)


@pytest.mark.parametrize(
    ("pinned", "read"),
    [
        (f"digest: {RIGHT}", [("holdout.csv", "f" * 64)]),
        (f"digest: {RIGHT}", [("easy.csv", "f" * 64), ("holdout.csv", RIGHT)]),  # the champion's alone is the pinned
        (f"digest: {RIGHT}", []),
        (f'table: "{HOLDOUT}"', [(HOLDOUT.replace("db.bank", "mine"), RIGHT)]),
        (f'table: "{HOLDOUT}"', [(f"{HOLDOUT}_easy", RIGHT)]),
        (f'table: "{HOLDOUT}"', [("holdout", RIGHT)]),
        (f'query: "{HOLDOUT.partition("#")[0]}#query=sha256:{"1" * 64}"', [(HOLDOUT, RIGHT)]),
    ],
)
def test_evidence_on_other_data_than_the_pinned_is_refused(
    tmp_path: Path, pinned: str, read: list[tuple[str, str]]
) -> None:
    assert "data.other" in judged_on(tmp_path, pinned, *read)
