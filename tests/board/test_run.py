"""Where a task's state and its evidence disagree, it is said in words."""

from datetime import UTC, datetime

import pytest

from airflow_mlgov.board.run import Task, disagreement

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
