"""A waiver stretched beyond what was signed, and a glass broken by the wrong hand. The statements are signed with the
waiver's own key, past every check of the tools: the decision is what holds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.digests import hash_json
from airflow_mlgov.evidence.signing import sign_statement
from airflow_mlgov.evidence.statements import (
    EmergencyStatement,
    GateStatement,
    Person,
    ProvenanceStatement,
    Terms,
    WaiverStatement,
)
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.case import build_case
from airflow_mlgov.release.enforcement import enforce
from airflow_mlgov.release.waivers import break_glass, draft_terms
from airflow_mlgov.results import Bound, Check, GateResult, Subject
from tests.codes import raises_code
from tests.worlds.governed import PASSED
from tests.worlds.guarded import TRAINING_DATA, Guarded

RULES = """\
        waivers: {max_days: 30, signers: 2, audit_within: 14d, from: [olga, omar, tom, rita]}
        break_glass: {from: [olga], max_hours: 24, audit_within: 2d}
"""
NOW = datetime.now(UTC)
TERMS: dict[str, Any] = {
    "gate": "fairness",
    "check": "demographic_parity_ratio[sex]",
    "target": "production",
    "observed": 0.75,
    "min": 0.7,
    "max": None,
    "reason": "the sample is small",
    "ticket": "RISK-7",
    "risk_owner": "head of retail",
    "requesters": ["rita"],
    "expires": (NOW + timedelta(days=14)).isoformat(),
}


@pytest.fixture
def failed(guarded: Guarded) -> ModelVersion:
    """A version that fails one check by a little, under a policy that takes waivers."""
    guarded.policy_file.write_text(guarded.policy_file.read_text() + RULES)
    version = guarded.gated()
    guarded.weigh(version, ratio=0.75)
    return version


def sign(guarded: Guarded, version: ModelVersion, *people: str, state: str = "signed", **change: Any) -> None:
    subject = replace(guarded.subject(version), **change.pop("subject", {}))
    context = guarded.context(**change.pop("context", {}))
    duty, about = change.pop("duty", "waiver"), change.pop("subject_of_check", None)
    for name in people:
        terms = Terms.read({**TERMS, **change, **({"subject": about} if about else {})})
        statement = WaiverStatement(subject, context, terms, state, Person(name, name), "yes")
        guarded.attest(duty, statement)


DENIED = {"gate.not_passed", "bound.not_met"}
EXPIRED = {"expires": (NOW - timedelta(seconds=1)).isoformat()}
TOO_LONG = {"expires": (NOW + timedelta(days=31)).isoformat()}
STRETCHED: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "one person alone": (("olga",), {}),
    "one person twice": (("olga", "Olga "), {}),
    "whoever trained it": (("olga", "tom"), {}),
    "whoever asks for it": (("olga", "rita"), {}),
    "somebody nobody named": (("olga", "mallory"), {}),
    "another check": (("olga", "omar"), {"check": "demographic_parity_ratio[age]"}),
    "another gate": (("olga", "omar"), {"gate": "performance"}),
    "another target": (("olga", "omar"), {"target": "canary"}),
    "a value that is worse": (("olga", "omar"), {"min": 0.76}),
    "another digest": (("olga", "omar"), {"subject": {"digest": "f" * 64}}),
    "another model": (("olga", "omar"), {"subject": {"name": "harmless"}}),
    "another registry": (("olga", "omar"), {"subject": {"registry": "http://elsewhere.example"}}),
    "another environment": (("olga", "omar"), {"context": {"environment": "staging"}}),
    "after its end": (("olga", "omar"), EXPIRED),
    "longer than the policy allows": (("olga", "omar"), TOO_LONG),
}


def test_a_waiver_does_not_stretch(guarded: Guarded, failed: ModelVersion) -> None:
    """Not one of them, nor all of them together."""
    guarded.approve(failed)
    for name, (people, change) in STRETCHED.items():
        sign(guarded, failed, *people, **dict(change))
        assert guarded.refused(failed) == DENIED, name


def test_a_waiver_that_was_signed_with_another_key(guarded: Guarded, failed: ModelVersion) -> None:
    sign(guarded, failed, "olga", "omar", duty="approval")
    guarded.approve(failed)
    assert guarded.refused(failed) == {*DENIED, "evidence.unverified"}


def test_a_waiver_that_holds_and_then_does_not_any_more(guarded: Guarded, failed: ModelVersion) -> None:
    """It waives one measured value of one check, brings an audit that is owed, and ends with its date."""
    other = guarded.green(2.0)
    guarded.promote(other)
    sign(guarded, failed, "olga", "omar")
    guarded.approve(failed)
    guarded.promote(failed)
    assert guarded.places()[failed.version] == PASSED
    assert guarded.explain(guarded.now(failed)).allowed

    later = guarded.desk("promotion", issued_at=NOW + timedelta(days=15))
    done = enforce(later, warn_within=timedelta(days=1))
    ((obligation, demotion),) = done.violated
    assert obligation.state in ("overdue", "expired")
    assert f"rolled back to version {other.version}" in demotion.action
    assert guarded.places()[other.version] == PASSED
    assert guarded.unfit(failed) == {"promotion.superseded"}


def test_a_value_that_got_worse_after_the_waiver(guarded: Guarded, failed: ModelVersion) -> None:
    sign(guarded, failed, "olga", "omar")
    guarded.weigh(failed, ratio=0.69)
    guarded.approve(failed)
    assert guarded.refused(failed) == DENIED


def test_a_waiver_that_was_revoked(guarded: Guarded, failed: ModelVersion) -> None:
    sign(guarded, failed, "olga", "omar")
    sign(guarded, failed, "omar", state="revoked")
    sign(guarded, failed, "omar")  # the same terms, once more
    guarded.approve(failed)
    assert guarded.refused(failed) == DENIED


def test_no_waiver_where_the_policy_has_none(guarded: Guarded) -> None:
    version = guarded.gated()
    guarded.weigh(version, ratio=0.75)
    sign(guarded, version, "olga", "omar")
    guarded.approve(version)
    assert guarded.refused(version) == DENIED
    case = build_case(guarded.desk("waiver"), version, "production")
    with raises_code(ConfigurationError, "waiver.not_allowed"):
        draft_terms(
            case,
            gate="fairness",
            check=str(TERMS["check"]),
            stretch={"min": 0.7},
            reason="r",
            ticket="t",
            risk_owner="o",
            requesters=(),
            lifetime=timedelta(days=1),
            now=NOW,
        )


def test_terms_whose_name_was_borrowed(guarded: Guarded, failed: ModelVersion) -> None:
    """What was signed are the terms themselves; a digest that names others makes the statement none."""
    subject, context = guarded.subject(failed), guarded.context()
    narrow = {**TERMS, "min": 0.79}
    for name in ("olga", "omar"):
        statement = WaiverStatement(subject, context, Terms.read(narrow), "signed", Person(name, name), "yes")
        document = statement.as_json()
        assert document["predicate"]["terms_sha256"] == hash_json(narrow)
        document["predicate"]["terms_sha256"] = hash_json(TERMS)
        guarded.ledger.append(sign_statement(document, guarded.signer("waiver")))
    guarded.approve(failed)
    assert guarded.refused(failed) == {*DENIED, "evidence.unverified"}


def test_a_waiver_without_any_bound(guarded: Guarded, failed: ModelVersion) -> None:
    sign(guarded, failed, "olga", "omar", min=None)
    guarded.weigh(failed, ratio=0.01)
    guarded.approve(failed)
    assert guarded.refused(failed) >= DENIED


# -- break-glass ------------------------------------------------------------------------------------------------------


def smash(guarded: Guarded, version: ModelVersion, by: str = "olga", hours: float = 1, **change: Any) -> None:
    duty = change.pop("duty", "waiver")
    target = change.pop("target", "production")
    statement = EmergencyStatement(
        guarded.subject(version),
        guarded.context(**change),
        target=target,
        person=Person(by, by),
        reason="the old one loses money by the minute",
        expires=datetime.now(UTC) + timedelta(hours=hours),
    )
    guarded.attest(duty, statement)


SMASHED: dict[str, dict[str, Any]] = {
    "by somebody nobody named": {"by": "mallory"},
    "for another target": {"target": "canary"},
    "for too long": {"hours": 25},
    "after its end": {"hours": -1},
    "from the future": {"issued_at": NOW + timedelta(hours=2), "hours": 3},
    "in another environment": {"environment": "staging"},
}


def test_a_glass_that_was_not_for_breaking(guarded: Guarded, failed: ModelVersion) -> None:
    for name, change in SMASHED.items():
        smash(guarded, failed, **dict(change))
        assert guarded.refused(failed) == {*DENIED, "approval.missing"}, name


def test_what_no_emergency_overrides(guarded: Guarded, failed: ModelVersion) -> None:
    """A signature that does not verify, a person's no, and a model that comes from nowhere."""
    guarded.weigh(failed, duty="performance")
    guarded.approve(failed, "omar", approved=False)
    smash(guarded, failed)
    assert guarded.refused(failed) == {"evidence.unverified", "approval.rejected"}
    stranger = guarded.server.register(guarded.model, 2.0)
    smash(guarded, stranger)
    assert guarded.refused(stranger) == {"provenance.missing"}


# -- data sets, reach, lifetimes --------------------------------------------------------------------------------------

MORE = Subject("dataset", "more.csv", "a" * 64)


def counted(guarded: Guarded, data: Subject, rows: float, least: float = 600) -> None:
    """The data gate's evidence with a value that may fail."""
    bound = Bound(min=least)
    result = GateResult("data_validation", data, (Check("row_count", bound.judge(rows), rows, bound),))
    guarded.attest("data_validation", GateStatement.of(result, guarded.context()))


def test_a_waiver_for_one_data_set_covers_no_other(guarded: Guarded) -> None:
    guarded.policy_file.write_text(guarded.policy_file.read_text() + RULES)
    version = guarded.server.register(guarded.model)
    made = ProvenanceStatement(guarded.subject(version), guarded.context(), (TRAINING_DATA, MORE), ("tom",))
    guarded.attest("registration", made)
    guarded.judge(version)
    guarded.weigh(version)
    counted(guarded, TRAINING_DATA, 590)
    counted(guarded, MORE, 580)
    data = {"gate": "data_validation", "check": "row_count", "observed": 590.0, "min": 550}
    for subject in (TRAINING_DATA.digest, None):
        sign(guarded, version, "olga", "omar", **data, **({"subject_of_check": subject} if subject else {}))
        guarded.approve(version)
        assert guarded.refused(version) == {"gate.not_passed"}
    case = build_case(guarded.desk("waiver"), version, "production")
    words = {
        "reason": "r",
        "ticket": "t",
        "risk_owner": "o",
        "requesters": (),
        "lifetime": timedelta(days=1),
        "now": NOW,
    }
    draft = {"gate": "data_validation", "check": "row_count", "stretch": {"min": 550}, **words}
    with raises_code(ConfigurationError, "waiver.which_data"):
        draft_terms(case, **draft)
    assert draft_terms(case, **draft, data="more.csv").subject == MORE.digest
    sign(guarded, version, "olga", "omar", **{**data, "observed": 580.0}, subject_of_check=MORE.digest)
    guarded.approve(version)
    guarded.promote(version)
    assert guarded.places()[version.version] == PASSED


FAR: dict[str, dict[str, Any]] = {
    "beyond the metric's range": {"min": -1e308},
    "no number that a metric has": {"min": -0.1},
    "from a value that nobody has measured": {"min": 0.6, "observed": 0.65},
    "on the other side, without an end": {"max": 1e308},
}


def test_a_waiver_reaches_no_further_than_the_policy_says(guarded: Guarded, failed: ModelVersion) -> None:
    guarded.weigh(failed, ratio=0.75)
    guarded.approve(failed)
    for name, change in FAR.items():
        sign(guarded, failed, "olga", "omar", **{**TERMS, **change})
        guarded.approve(failed)
        assert guarded.refused(failed) == DENIED, name
    guarded.change_policy("audit_within: 14d", "audit_within: 14d, max_stretch: 0.01")
    sign(guarded, failed, "olga", "omar")
    guarded.approve(failed)
    assert guarded.refused(failed) == DENIED
    guarded.change_policy("max_stretch: 0.01", "max_stretch: 0.05")
    guarded.promote(failed)


def test_a_side_that_was_not_stretched_holds(guarded: Guarded, failed: ModelVersion) -> None:
    """The policy wants a ratio between 0.8 and 1.25; that it may go down to 0.7 says nothing of 1.9."""
    sign(guarded, failed, "olga", "omar")
    guarded.weigh(failed, ratio=1.9)
    guarded.approve(failed)
    assert guarded.refused(failed) == DENIED


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(seconds=-1), timedelta(days=-400)])
def test_no_exception_ends_before_it_begins(guarded: Guarded, failed: ModelVersion, lifetime: timedelta) -> None:
    case = build_case(guarded.desk("waiver"), failed, "production")
    words = {"reason": "r", "ticket": "t", "risk_owner": "o", "requesters": (), "now": NOW}
    draft = {"gate": "fairness", "check": TERMS["check"], "stretch": {"min": 0.7}, **words}
    with raises_code(ConfigurationError, "waiver.no_lifetime"):
        draft_terms(case, **draft, lifetime=lifetime)
    with raises_code(ConfigurationError, "emergency.no_lifetime"):
        break_glass(guarded.desk("waiver"), case, Person("olga", "olga"), "why", lifetime)
    with raises_code(ConfigurationError, "waiver.out_of_range"):
        draft_terms(case, **{**draft, "stretch": {"min": -1e308}}, lifetime=timedelta(days=1))
    with raises_code(ConfigurationError, "waiver.bound_too_far"):
        draft_terms(case, **{**draft, "stretch": {"max": 1e9}}, lifetime=timedelta(days=1))
