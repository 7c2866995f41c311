"""What an approver is shown: the data that was judged, what the champion has on the same rows and what it has on other
data, who made it, until when."""

from datetime import timedelta

import pytest

from airflow_mlgov.operators.approval import ApprovalGateOperator
from tests.fixtures.airflow_runner import TaskEnd
from tests.worlds.release import Release, answer, form_of, gated, people


def part(body: str, gate: str) -> str:
    return body.partition(f"### {gate}")[2].partition("\n### ")[0]


def ask(release: Release, number: str) -> TaskEnd:
    operator = ApprovalGateOperator(
        task_id="approve", model=release.ref(number), target="production", response_timeout=timedelta(hours=4)
    )
    return release.run(operator)


@pytest.fixture
def second(release: Release) -> Release:
    """A version that serves, judged on 1,200 rows, and another, judged on 900 rows of another region."""
    gated(release)
    asked = release.ask()
    assert release.ask(event=answer(asked)).state == "success"
    assert release.promote().state == "success"
    other = release.write("south.parquet", people(900, seed=3))
    for end in (
        release.register(2.0),
        release.performance(other, "2", baseline=other),
        release.fairness(other, "2"),
    ):
        assert end.state == "success", end.error
    return release


def test_the_form_shows_what_was_judged_and_keeps_other_data_apart(second: Release) -> None:
    asked = ask(second, "2")
    assert asked.state == "awaiting_input", asked.error
    body = form_of(asked).body
    performance, fairness = part(body, "performance"), part(body, "fairness")
    assert "south.parquet`, 900 rows, `sha256:" in performance
    assert "| check | measured | version 1, same rows | allowed | outcome |" in performance
    rows = [row.split("|") for row in performance.splitlines() if "`roc_auc" in row or "| roc_auc" in row]
    assert [row[3] for row in rows[:2]] == [rows[0][3]] * 2
    assert rows[0][3].strip("` ").startswith("0.")
    assert "| check | measured | allowed | outcome |" in fairness
    assert "**Not to be compared**: version 1 was judged on other data" in fairness
    assert "good.parquet, 1,200 rows" in fairness
    assert "- Selection rate by sex: female 0." in fairness
    assert " of 450" in fairness


def test_the_form_says_who_made_it_until_when_and_where_more_is_to_be_read(second: Release) -> None:
    body = form_of(ask(second, "2")).body
    assert "- Asked for by alice" in body
    assert "- Trained by " in body
    assert "train.csv" in body.partition("- Trained by ")[2].partition("\n")[0]
    assert " UTC" in body.partition("Answer by ")[2].partition("Policy")[0]
    assert f"[The version in MLflow]({second.server.registry.uri}/#/models/{second.model}/versions/2)" in body
    assert "[The story of this version](/mlgov/story?" in body
    assert "0 of 1,200 unexpected | at most 0 % allowed | PASS" in body


def test_what_was_held_to_a_bound_comes_first_and_information_is_one_line(second: Release) -> None:
    performance = part(form_of(ask(second, "2")).body, "performance")
    rows = [line for line in performance.splitlines() if line.startswith("| ")]
    assert len(rows) == 3
    assert "Recorded, held to no bound: " in performance
    assert "log_loss 0." in performance.replace("`", "")


def test_an_answer_in_a_loop_is_signed_once(release: Release) -> None:
    """Whoever may answer the form and is not named by the policy, and whoever is."""
    gated(release)

    def signed() -> list[str]:
        return [entry.reference for entry in release.ledger.entries(kind="approval")]

    asked = release.ask()
    for _ in range(4):
        assert release.ask(event=answer(asked, "mallory")).state == "awaiting_input"
        release.ask(event=answer(asked, "mallory", choice="Reject", reason="because"))
    assert len(signed()) == 2
    assert release.ask(event=answer(asked, "olga", choice="Reject", reason="no")).state == "failed"
    assert release.ask(event=answer(asked, "olga", choice="Reject", reason="no, no")).state == "failed"
    assert len(signed()) == 3
    assert release.ask(event=answer(asked, "olga")).state == "success"  # her last word is another
    assert len(signed()) == 4
