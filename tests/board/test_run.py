"""Where a task's state and its evidence disagree, it is said in words."""

from datetime import UTC, datetime

import pytest

from airflow_mlgov.board.run import Task, disagreement, told_run
from airflow_mlgov.evidence.statements import Context, GateStatement
from airflow_mlgov.evidence.verification import Evidence
from airflow_mlgov.results import Check, GateResult, Outcome, Subject

AT = datetime(2026, 11, 30, 10, 42, tzinfo=UTC)


@pytest.mark.parametrize(
    ("task", "outcome", "said"),
    [
        (Task("fairness", "success", True), "PASS", ""),
        (Task("fairness", "failed", True), "FAIL", ""),
        (Task("fairness", "running", True), "", ""),
        (
            Task("fairness", "success", True, "mallory", AT),
            "FAIL",
            "green by hand (marked by mallory at 10:42), the evidence says FAIL",
        ),
        (
            Task("fairness", "success", True, "mallory", AT),
            "",
            "green by hand (marked by mallory at 10:42), there is no evidence of it, and nothing will count it",
        ),
        (
            Task("fairness", "success", True),
            "FAIL",
            "green, but the evidence says FAIL: it only records, or a waiver covers it; promotion reads the evidence",
        ),
        (Task("fairness", "success", True), "", "green, and it has left no evidence"),
        (Task("train", "success", False), "", ""),
        (Task("fairness", "failed", True), "PASS", "red, but the evidence says PASS"),
        (
            Task("fairness", "failed", True, "mallory", AT),
            "PASS",
            "red by hand (marked by mallory), but the evidence says PASS",
        ),
    ],
)
def test_a_disagreement_is_told(task: Task, outcome: str, said: str) -> None:
    assert disagreement(task, outcome) == said


def test_a_mapped_task_has_a_line_for_each_index() -> None:
    def judged(seq: int, index: int, outcome: Outcome) -> Evidence:
        result = GateResult("performance", Subject("model", "credit", "a" * 64, str(index)), (Check("c", outcome),))
        context = Context("test", run={"dag_id": "d", "run_id": "r", "task_id": "gate", "map_index": index})
        return Evidence(seq, "", GateStatement.of(result, context), {})

    evidence = [judged(1, 0, Outcome.PASS), judged(2, 1, Outcome.FAIL)]
    tasks = [Task("gate", "success", True, map_index=index) for index in (0, 1, 2)]
    found = {line.name: (line.outcome, line.disagreement.partition(":")[0]) for line in told_run(evidence, tasks)}
    assert found == {
        "gate[0]": ("PASS", ""),
        "gate[1]": ("FAIL", "green, but the evidence says FAIL"),
        "gate[2]": ("", "green, and it has left no evidence"),
    }
