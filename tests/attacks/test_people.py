"""People who approve for themselves, through the approval's own operator, each in Airflow's real task runner."""

from typing import Any

from tests.worlds.release import Release, answer, gated

NOT_ALLOWED = "approval.not_allowed: the approval by {} "


def approves(release: Release, who: str, user: str, **change: Any) -> Any:
    """Answer the form of a run that ``user`` has started."""
    asked = release.ask(user=user)
    assert asked.state == "awaiting_input", asked.error
    return release.ask(user=user, event=answer(asked, who=who, **change))


def nowhere(release: Release) -> bool:
    return release.server.registry.aliases(release.model) == {} and release.version.stage is None


def test_whoever_asked_for_it(release: Release) -> None:
    gated(release)
    assert approves(release, "olga", user="olga").state == "awaiting_input"
    end = release.promote(user="olga")
    assert NOT_ALLOWED.format("olga") in str(end.error)
    assert nowhere(release)


def test_whoever_asked_for_it_under_another_spelling(release: Release) -> None:
    gated(release)
    for name in (" Olga", "ＯＬＧＡ"):
        assert approves(release, name, user="olga").state == "awaiting_input"
    assert "approval.missing: 0 of 1" in str(release.promote(user="olga").error)
    assert nowhere(release)


def test_one_person_under_two_spellings_where_two_are_needed(release: Release) -> None:
    policy = release.folder / "mlgov.yaml"
    policy.write_text(policy.read_text().replace("count: 1", "count: 2"))
    gated(release)
    for name in ("olga", "OLGA "):
        assert approves(release, name, user="alice").state == "awaiting_input"
    assert "approval.missing: 1 of 2" in str(release.promote().error)
    assert nowhere(release)


def test_whoever_triggered_the_training(release: Release) -> None:
    """The registration's run was olga's; that she approves in the run of another helps nothing."""
    from airflow_mlgov.operators.registration import RegisterModelOperator

    release.validate()
    register = RegisterModelOperator(
        task_id="register",
        model=release.model,
        run_id=release.server.log_model(),
        datasets=[str(release.folder / "train.csv")],
    )
    assert release.run(register, user="olga").state == "success"
    release.performance()
    release.fairness()
    assert approves(release, "olga", user="alice").state == "awaiting_input"
    assert NOT_ALLOWED.format("olga") in str(release.promote(user="alice").error)
    assert nowhere(release)


def test_nobody_and_a_default(release: Release) -> None:
    gated(release)
    asked = release.ask()
    end = release.ask(event={**answer(asked), "responded_by_user": None, "timedout": True})
    assert end.state == "failed"
    assert "a default never approves" in str(end.error)
    assert nowhere(release)


def test_an_approval_of_ones_own_run_used_in_the_run_of_another(release: Release) -> None:
    gated(release)
    assert approves(release, "olga", user="olga").state == "awaiting_input"
    end = release.promote(user="alice")
    assert end.state == "failed"
    assert NOT_ALLOWED.format("olga") in str(end.error)
    assert nowhere(release)
