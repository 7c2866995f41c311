"""Accounts whose names look like that of somebody whom the policy names, and a policy whose names nobody can read."""

from datetime import UTC, datetime, timedelta

import pytest

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.statements import (
    ApprovalStatement,
    EmergencyStatement,
    Person,
    ProvenanceStatement,
    identity,
)
from airflow_mlgov.evidence.verification import verify_entry
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.case import build_case
from airflow_mlgov.release.waivers import break_glass
from tests.codes import raises_code
from tests.worlds.guarded import BOTH, TRAINING_DATA, Guarded

LOOKALIKES = [
    "ｏｌｇａ",
    "Olga",
    "OLGA",
    "olga ",
    " olga",
    "оlga",
    "ol\u200bga",
    "olga\u00ad",
    "οlga",
    "𝐨𝐥𝐠𝐚",
    "olg\u0430",
    "olga\u034f",
    "olga\u2800",
    "ol\u17b4ga",
]
GLASS = "        break_glass: {from: [olga], max_hours: 24, audit_within: 2d}\n"


def answer(guarded: Guarded, version: ModelVersion, who: Person, roles: tuple[str, ...] = ()) -> None:
    guarded.attest("approval", approval(guarded, version, who, roles))


def approval(guarded: Guarded, version: ModelVersion, who: Person, roles: tuple[str, ...] = ()) -> ApprovalStatement:
    shown = [entry.envelope_sha256 for entry in guarded.ledger.entries() if entry.kind in ("gate", "waiver")]
    return ApprovalStatement(
        guarded.subject(version),
        guarded.context(),
        target="production",
        approver=who,
        approved=True,
        reason="looked at it",
        shown=tuple(shown),
        answered_at=datetime.now(UTC),
        roles=roles,
    )


@BOTH
def test_an_account_that_nobody_listed_approves_nothing_and_breaks_no_glass(guarded: Guarded) -> None:
    guarded.policy_file.write_text(guarded.policy_file.read_text() + GLASS)
    version = guarded.gated()
    end = datetime.now(UTC) + timedelta(hours=1)
    for name in LOOKALIKES:
        who = Person("77", name)
        answer(guarded, version, who)
        statement = EmergencyStatement(guarded.subject(version), guarded.context(), "production", who, "why", end)
        guarded.attest("waiver", statement)
        case = build_case(guarded.desk("waiver"), version, "production")
        with raises_code(ConfigurationError, "emergency.not_this_person"):
            break_glass(guarded.desk("waiver"), case, who, "why", timedelta(hours=1))
    assert guarded.refused(version) == {"approval.missing"}


@BOTH
def test_an_account_that_nobody_listed_takes_no_rejection_back(guarded: Guarded) -> None:
    version = guarded.gated()
    guarded.approve(version, "olga", approved=False)
    for name in LOOKALIKES:
        answer(guarded, version, Person("77", name))
    assert guarded.refused(version) == {"approval.missing", "approval.rejected"}
    guarded.approve(version, "omar")
    assert guarded.refused(version) == {"approval.rejected"}


@BOTH
def test_an_account_of_the_right_name_and_another_id(guarded: Guarded) -> None:
    guarded.policy_file.write_text('accounts: {olga: "3"}\n' + guarded.policy_file.read_text())
    version = guarded.gated()
    answer(guarded, version, Person("77", "olga"))
    assert guarded.refused(version) == {"approval.missing"}
    answer(guarded, version, Person("3", "olga"))
    guarded.promote(version)


@BOTH
def test_roles_that_nobody_goes_by_approve_nothing(guarded: Guarded) -> None:
    guarded.change_policy("[olga, omar]", "{role: RiskOfficer}")
    guarded.policy_file.write_text('accounts: {otto: "3"}\n' + guarded.policy_file.read_text())
    version = guarded.gated()
    for name, roles in (("olga", ()), ("vic", ("Viewer", "riskofficer")), ("otto", ("RiskOfficer",))):
        answer(guarded, version, Person("77", name), roles=roles)  # otto's account has another id
        assert guarded.refused(version) == {"approval.missing"}
    guarded.attest("performance", approval(guarded, version, Person("77", "marta"), roles=("RiskOfficer",)))
    assert guarded.refused(version) == {"approval.missing", "evidence.unverified"}  # no key for approvals


def test_nobody_says_of_themselves_what_they_are(guarded: Guarded) -> None:
    guarded.change_policy("[olga, omar]", "{role: RiskOfficer}")
    mallory = Person("66", "mallory")
    key = guarded.signer("of-mallory").public_key
    guarded.trust.with_key(key, ["approval"], person=mallory).save(guarded.trust_file)
    version = guarded.gated()
    (guarded.folder / "approval.pem").write_bytes((guarded.folder / "of-mallory.pem").read_bytes())
    entry = guarded.attest("approval", approval(guarded, version, mallory, roles=("RiskOfficer",)))
    with raises_code(EvidenceError, "evidence.person", match="mallory signs what they are"):
        verify_entry(entry, guarded.trust)
    assert guarded.refused(version) == {"approval.missing", "evidence.unverified"}


@BOTH
def test_the_trainer_approves_by_no_role(guarded: Guarded) -> None:
    guarded.change_policy("[olga, omar]", "{role: RiskOfficer}")
    version = guarded.gated()
    answer(guarded, version, Person("77", "trainer"), roles=("RiskOfficer",))
    assert guarded.refused(version, requesters=["trainer"]) == {"approval.missing", "approval.not_allowed"}
    answer(guarded, version, Person("78", "marta"), roles=("RiskOfficer",))
    guarded.promote(version)


@pytest.mark.parametrize("spelling", [name for name in LOOKALIKES if name.strip()])
def test_whoever_trained_it_stays_out_under_another_spelling(guarded: Guarded, spelling: str) -> None:
    version = guarded.server.register(guarded.model)
    subject = guarded.subject(version)
    guarded.attest("registration", ProvenanceStatement(subject, guarded.context(), (TRAINING_DATA,), (spelling,)))
    guarded.validate()
    guarded.judge(version)
    guarded.weigh(version)
    guarded.approve(version, "olga")
    assert guarded.refused(version) == {"approval.missing", "approval.not_allowed"}
    guarded.approve(version, "omar")
    assert guarded.refused(version, requesters=["omar", "\uff4fmar"]) >= {"approval.missing"}


@pytest.mark.parametrize("name", LOOKALIKES)
def test_one_person_is_one_whatever_the_spelling(name: str) -> None:
    assert identity(name) == "olga"


@pytest.mark.parametrize(
    "name", ["оlga", "ol\u200bga", "olga\u00ad", "ｏｌｇａ", "olga\u202e", "olga ", "olgα", "\u3164olga", "ol\u0085ga"]
)
@pytest.mark.parametrize("where", ["group", "member", "approver", "glass"])
def test_a_policy_whose_names_nobody_can_read_is_refused(guarded: Guarded, name: str, where: str) -> None:
    text = guarded.policy_file.read_text()
    quoted = '"' + "".join(f"\\u{ord(sign):04x}" for sign in name) + '"'
    changed = {
        "group": text.replace("groups: {", f"groups: {{{quoted}: [omar], "),
        "member": text.replace("[olga, omar]", f"[{quoted}, omar]"),
        "approver": text.replace("from: [risk-officers]", f"from: [{quoted}]"),
        "glass": text + GLASS.replace("olga", quoted),
    }[where]
    assert changed != text
    guarded.policy_file.write_text(changed)
    with raises_code(ConfigurationError, "policy.name"):
        load_policy(guarded.policy_file)


@pytest.mark.parametrize(
    "name", ["José", "Ольга", "山田太郎", "김철수", "o'neill-smith", "olga.b_2@bank.example", "Ünal Öz"]
)
def test_names_of_people_are_names(guarded: Guarded, name: str) -> None:
    guarded.change_policy("[olga, omar]", f'["{name}", omar]')
    assert name in load_policy(guarded.policy_file).model(guarded.model).target("production").approvers
