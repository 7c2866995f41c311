"""Approvals by whoever has a role in Airflow: told when the answer comes, and signed with it."""

import sys
from collections.abc import Iterable
from typing import Any

import pytest

from airflow_mlgov.airflow_roles import roles_of
from airflow_mlgov.errors import ConfigurationError, DependencyError
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import ApprovalStatement, Person
from airflow_mlgov.evidence.verification import collect, only
from tests.codes import raises_code
from tests.worlds.release import Release, answer, form_of, gated


def asked_of(who: str, name: str) -> Iterable[str]:
    """A directory of the bank, by account."""
    if name == "nobody":
        raise TimeoutError("the directory does not answer")
    return {"17": ["RiskOfficer", "Viewer"]}.get(who, ["Viewer"])


def told_wrongly(who: str, name: str) -> Any:
    return f"{who} {name}"


@pytest.fixture
def by_role(release: Release, monkeypatch: pytest.MonkeyPatch) -> Release:
    policy = release.folder / "mlgov.yaml"
    policy.write_text(policy.read_text().replace("[olga, omar]", "{role: op}"))
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "olga:op, vic:viewer")
    gated(release)
    return release


def answers(release: Release) -> list[ApprovalStatement]:
    good, _ = collect(release.ledger.walk(), TrustRoot.load(release.folder / "trust.json"), kind="approval")
    return [item.statement for item in only(good, ApprovalStatement)]


def test_whoever_has_the_role_approves_and_the_role_is_signed(
    by_role: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = by_role.ask()
    assert asked.state == "awaiting_input", asked.error
    assert "from whoever has the role op" in form_of(asked).body
    assert [user.id for user in form_of(asked).assigned_users] == ["olga"]
    assert by_role.ask(event=answer(asked, "vic")).state == "awaiting_input"
    assert by_role.ask(event=answer(asked, "olga")).state == "success"
    assert [(said.approver.name, said.roles) for said in answers(by_role)] == [("vic", ()), ("olga", ("op",))]
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "vic:viewer")  # what she was then is what counts
    assert by_role.promote().state == "success"


def test_a_rejection_by_the_role_ends_the_asking(by_role: Release) -> None:
    end = by_role.ask(event=answer(by_role.ask(), "olga", choice="Reject", reason="not yet"))
    assert (end.state, "rejected by olga (ledger:" in str(end.error)) == ("failed", True)


def test_nobody_is_asked_where_roles_cannot_be_told(by_role: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "bank.directory.AuthManager")
    end = by_role.ask()
    assert (end.state, "roles.no_source" in str(end.error)) == ("failed", True)


def test_roles_of_a_function_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    here = __name__
    assert here in sys.modules
    monkeypatch.setenv("AIRFLOW__MLGOV__ROLE_SOURCE", f"{here}:asked_of")
    assert roles_of(Person("17", "olga")) == {"RiskOfficer", "Viewer"}
    assert roles_of(Person("18", "olga")) == {"Viewer"}
    with raises_code(DependencyError, "roles.down", match="the directory does not answer"):
        roles_of(Person("1", "nobody"))
    for name in ("told_wrongly", "gone", "LIST"):
        monkeypatch.setenv("AIRFLOW__MLGOV__ROLE_SOURCE", f"{here}:{name}")
        with raises_code(ConfigurationError, "roles.no_source"):
            roles_of(Person("17", "olga"))


LIST = ["no function"]


def test_whoever_everybody_is_has_no_role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    with raises_code(ConfigurationError, "roles.no_source"):
        roles_of(Person("1", "admin"))
