"""Every reason to deny, from really signed evidence in a real ledger."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.evidence.digests import hash_file
from airflow_mlgov.evidence.signing import open_signer, sign_statement
from airflow_mlgov.evidence.statements import EmergencyStatement, Person, ProvenanceStatement, Terms, WaiverStatement
from airflow_mlgov.evidence.verification import collect
from airflow_mlgov.governance.decision import SHIPPED, Decision, apply_rules, decide
from airflow_mlgov.governance.policy import GovernancePolicy, load_policy
from airflow_mlgov.results import Bound, Check, Outcome, Severity
from tests.worlds.story import DATA, MODEL, REQUEST, Story


@pytest.fixture
def story(tmp_path: Path, policy: GovernancePolicy) -> Story:
    return Story(tmp_path, policy)


def test_all_green_is_allowed_and_says_on_what(story: Story) -> None:
    story.all_green()
    answer = story.decide()
    assert answer.allowed
    assert answer.reasons == ()
    assert [item.kind for item in answer.relied_on] == ["provenance", "gate", "gate", "gate", "approval"]
    assert len(answer.needed) == 3
    assert set(answer.document.as_json()) == {"input", "input_sha256", "bundle_sha256"}


def test_without_evidence_every_missing_thing_is_named(story: Story) -> None:
    answer = story.decide()
    assert not answer.allowed
    text = "\n".join(message for _, message in answer.reasons)
    for words in ("gate performance", "gate fairness", "no verified provenance", "0 of 1 approvals"):
        assert words in text


OLD = timedelta(days=8)
SABOTAGE: dict[str, tuple[Callable[[Story], Any], str]] = {
    "a newer FAIL": (lambda s: s.fairness(0.5), "gate.not_passed"),
    "a newer NaN": (lambda s: s.fairness(float("nan")), "gate.not_passed"),
    "a newer FAIL of the data": (lambda s: s.data(Outcome.FAIL), "gate.not_passed"),
    "an old run is the newest": (lambda s: s.performance(issued_at=datetime.now(UTC) - OLD), "evidence.stale"),
    "expired by its own date": (lambda s: s.performance(lifetime=timedelta(seconds=-1)), "evidence.stale"),
    "from the future": (lambda s: s.performance(issued_at=datetime.now(UTC) + OLD), "evidence.stale"),
    "a looser bound passed": (lambda s: s.fairness(0.5, bound=Bound(0.1, 2)), "bound.not_met"),
    "too high a ratio passed": (lambda s: s.fairness(1.5, bound=Bound(0.1, 2)), "bound.not_met"),
    "the check was left out": (
        lambda s: s.gate("performance", Check("accuracy", Outcome.PASS, 1.0)),
        "bound.not_checked",
    ),
    "the check observed nothing": (
        lambda s: s.gate("fairness", Check("demographic_parity_ratio[sex]", Outcome.PASS, None)),
        "bound.not_met",
    ),
    "the check was downgraded": (
        lambda s: s.gate(
            "fairness",
            Check("demographic_parity_ratio[sex]", Outcome.FAIL, 0.5, severity=Severity.INFO),
            Check("groups", Outcome.PASS),
        ),
        "bound.not_met",
    ),
    "smaller groups than the policy's": (
        lambda s: s.fairness(settings={"min_group_size": 29}),
        "settings.looser",
    ),
    "weights that the policy does not name": (
        lambda s: s.fairness(settings={"min_group_size": 30, "sample_weight": "w"}),
        "settings.other",
    ),
    "settings that nobody knows": (lambda s: s.fairness(settings={}), "settings.looser"),
    "another suite": (lambda s: s.data(suite_digest="e" * 64), "suite.differs"),
    "no suite at all": (lambda s: s.data(suite_digest=None), "suite.differs"),
    "more data came in unvalidated": (
        lambda s: s.provenance((DATA, replace(DATA, digest="e" * 64))),
        "evidence.missing",
    ),
    "the approver rejects later": (lambda s: s.approve(approved=False), "approval.rejected"),
    "the other officer rejects": (lambda s: s.approve("omar", approved=False), "approval.rejected"),
    "evidence newer than the approval": (lambda s: s.fairness(0.95), "approval.missing"),
    "an entry that does not verify": (
        lambda s: s.ledger.append(
            sign_statement(
                ProvenanceStatement(MODEL, s.context(), (), ()),
                open_signer(f"local:{s.folder / 'other.pem'}", make_key=True),
            )
        ),
        "evidence.unverified",
    ),
}


DRIFT = {"reference": "champion", "psi": {"max": 0.2}, "bins": 10}


@pytest.mark.parametrize(
    ("made", "refused"),
    [
        ({"drift": DRIFT}, False),
        ({"drift": {**DRIFT, "psi": {"max": 0.1, "severity": "critical"}, "ks": {"max": 0.3}}}, False),
        ({"drift": DRIFT, "volume": {"reference": "a.csv"}}, False),
        ({}, True),
        (None, True),
        ({"volume": {"reference": "a.csv"}}, True),
        ({"drift": {**DRIFT, "psi": {"max": 0.3}}}, True),
        ({"drift": {**DRIFT, "psi": {"max": 0.1, "severity": "warning"}}}, True),
        ({"drift": {**DRIFT, "reference": "train.csv"}}, True),
        ({"drift": {**DRIFT, "bins": 2}}, True),
        ({"drift": {"psi": {"max": 0.2}}}, True),
    ],
)
def test_the_policys_checks_over_the_data_were_made(
    story: Story, policy_file: Path, made: dict[str, Any] | None, refused: bool
) -> None:
    text = policy_file.read_text()
    section = f"{{suite: suite.json, checks: {json.dumps({'drift': DRIFT})}}}"
    policy_file.write_text(re.sub(r"data_validation: *\{[^}]*\}", f"data_validation: {section}", text))
    story.policy = load_policy(policy_file)
    assert "drift" in policy_file.read_text()
    story.all_green()
    suite = hash_file(policy_file.parent / "suite.json")
    story.data(suite_digest=suite, dataset_checks=made)
    assert ("data.not_checked" in story.codes()) is refused


@pytest.mark.parametrize("name", SABOTAGE)
def test_green_turns_to_a_named_refusal(story: Story, name: str) -> None:
    story.all_green()
    sabotage, code = SABOTAGE[name]
    sabotage(story)
    assert code in story.codes(), story.decide().reasons
    assert not story.decide().allowed


@pytest.mark.parametrize(
    "change", [{"environment": "test"}, {"model": replace(MODEL, registry="http://other")},
               {"model": replace(MODEL, digest="f" * 64)}]
)  # fmt: skip
def test_evidence_of_another_environment_registry_or_digest_is_worth_nothing(story: Story, change: dict) -> None:
    story.all_green()
    assert {"evidence.missing", "provenance.missing"} <= story.codes(replace(REQUEST, **change))


@pytest.mark.parametrize(
    ("approve", "codes"),
    [
        (lambda s: s.approve("rita"), {"approval.missing"}),
        (lambda s: s.approve("mallory"), {"approval.missing"}),
        (lambda s: s.approve(shown=[]), {"approval.missing"}),
        (lambda s: s.approve(issued_at=datetime.now(UTC) - OLD), {"approval.missing"}),
        (lambda s: s.approve(environment="test"), {"approval.missing"}),
    ],
)
def test_approvals_that_do_not_count(story: Story, approve: Callable[[Story], Any], codes: set[str]) -> None:
    story.provenance()
    story.data()
    story.performance()
    story.fairness()
    approve(story)
    assert codes <= story.codes() <= codes | {"approval.not_allowed"}


def test_requester_and_trainer_may_not_approve(story: Story) -> None:
    story.provenance(trainers=("omar",))
    story.data()
    story.performance()
    story.fairness()
    story.approve("omar")
    assert {"approval.missing", "approval.not_allowed"} == story.codes()
    story.approve("olga")
    assert "approval.not_allowed" in story.codes(replace(REQUEST, requesters=("olga",)))
    assert story.codes() == set()


def test_two_approvals_need_two_people(story: Story, policy_file: Path) -> None:
    from airflow_mlgov.governance.policy import load_policy

    policy_file.write_text(policy_file.read_text().replace("count: 1", "count: 2"))
    story.policy = load_policy(policy_file)
    story.all_green()
    story.approve("olga")
    assert story.codes() == {"approval.missing"}
    story.approve("omar")
    assert story.codes() == set()


def test_the_comparison_may_be_left_out_only_where_there_is_no_champion(story: Story) -> None:
    story.provenance()
    story.data()
    unmeasured = Check("roc_auc_vs_champion", Outcome.INCONCLUSIVE, None, severity=Severity.INFO)
    story.gate("performance", Check("roc_auc", Outcome.PASS, 0.9), unmeasured)
    story.fairness()
    story.approve()
    assert story.codes() == set()
    assert story.codes(replace(REQUEST, champion="2")) == {"bound.not_met"}


def test_a_provenance_without_datasets_does_not_do(story: Story) -> None:
    story.provenance(datasets=())
    story.performance()
    story.fairness()
    assert "provenance.no_datasets" in story.codes()


OURS = "package mlgov.promotion\nimport rego.v1\nneeded := []\nwaived := []\nexcused := []\nbroken_by := []\n"
RULE = "denied contains 1 if false\n"


@pytest.mark.parametrize(
    "rules",
    [
        "",
        "package other\nimport rego.v1\ndeny := []",
        OURS + "deny := []",
        OURS + RULE + "deny := input.nothing",
        OURS + RULE + "deny contains x if input.a < b",
        OURS + RULE + "deny := 7",
        OURS + RULE + 'deny contains to_number("x")',
        OURS.replace("excused := []", "excused := 1") + RULE + "deny := []",
    ],
)
def test_rules_that_do_not_evaluate_deny(rules: str) -> None:
    answer = apply_rules({SHIPPED: rules}, {"x": 1})
    assert [code for code, _ in answer.reasons] == ["engine.error"]
    assert answer.needed == ()


def test_the_least_that_evaluates_allows() -> None:
    assert apply_rules({SHIPPED: OURS + RULE + "deny := []"}, {"x": 1}).reasons == ()


@pytest.mark.parametrize(
    ("own", "denies"),
    [
        ("", True),
        ("deny := []", True),
        ("deny := set()", True),
        ("default deny := []", True),
        ("deny := [item | some item in []]", False),
        ('deny contains {"code": "c", "message": "m"} if input.request.version == "0"', False),
        ("allow := true", True),
    ],
)
def test_rules_of_ones_own_that_evaluate_to_nothing(story: Story, policy_file: Path, own: str, denies: bool) -> None:
    (policy_file.parent / "own.rego").write_text(f"package mlgov.custom\nimport rego.v1\n{own}\n")
    policy_file.write_text(policy_file.read_text().replace("version: 1\n", "version: 1\nrules: [own.rego]\n", 1))
    story.policy = load_policy(policy_file)
    story.all_green()
    assert story.codes() == ({"engine.error"} if denies else set())


def sign_exceptions(story: Story) -> None:
    """A waiver that two have signed and a break-glass, over a failed check."""
    end = datetime.now(UTC) + timedelta(days=1)
    terms = Terms(
        gate="fairness",
        check="demographic_parity_ratio[sex]",
        target="production",
        observed=0.7,
        min=0.6,
        max=None,
        reason="r",
        ticket="t",
        risk_owner="o",
        requesters=("rita",),
        expires=end.isoformat(),
    )
    for name in ("olga", "omar"):
        story.sign(WaiverStatement(MODEL, story.context(), terms, "signed", Person(name, name), "x"))
    story.sign(EmergencyStatement(MODEL, story.context(), "production", Person("olga", "olga"), "x", end))


EXCEPTIONS = """\
        approvals: {count: 1, from: [risk-officers], not: [trainer, requester]}
        waivers: {signers: 2}
        break_glass: {from: [olga]}
"""


@pytest.mark.parametrize(
    ("observed", "waived"),
    [(0.7, True), (0.5, False), (None, False)],
)
def test_an_interval_that_straddles_its_bound_may_be_waived(
    story: Story, policy_file: Path, observed: float | None, waived: bool
) -> None:
    """Where a value was measured; a group too small to estimate has none."""
    with_policy(story, policy_file, EXCEPTIONS.splitlines(keepends=True)[0], EXCEPTIONS.rpartition("        break")[0])
    story.all_green()
    straddling = Check("demographic_parity_ratio[sex]", Outcome.INCONCLUSIVE, observed, Bound(0.8, 1.25))
    story.gate("fairness", straddling, settings={"min_group_size": 30})
    sign_exceptions(story)
    assert [use["observed"] for use in story.decide().waived] == ([observed] if waived else [])
    assert ("gate.not_passed" in story.codes()) is not waived


@pytest.mark.skipif(
    not shutil.which("opa"), reason="OPA is not on the PATH (go install github.com/open-policy-agent/opa)"
)
@pytest.mark.parametrize("exceptions", [False, True])
def test_opa_gives_the_same_answer(story: Story, policy_file: Path, exceptions: bool) -> None:
    """The rules are plain Rego: the official engine must agree with the embedded one, rule by rule."""
    import json

    if exceptions:
        with_policy(story, policy_file, EXCEPTIONS.splitlines(keepends=True)[0], EXCEPTIONS)
    story.all_green()
    story.fairness(0.7)
    if exceptions:
        sign_exceptions(story)
    answer = story.decide()
    assert bool(answer.waived) == bool(answer.excused) == exceptions
    rules = str(files("airflow_mlgov.governance") / "rego" / "promotion.rego")

    def opa(rule: str) -> Any:
        done = subprocess.run(
            ["opa", "eval", "--strict-builtin-errors", "-d", rules, "-I", f"data.mlgov.promotion.{rule}"],
            input=json.dumps(answer.input), capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        return json.loads(done.stdout)["result"][0]["expressions"][0]["value"]

    for rule, ours in (("deny", answer.reasons), ("excused", answer.excused)):
        assert sorted((item["code"], item["message"]) for item in opa(rule)) == list(ours)
    assert sorted(opa("needed")) == list(answer.needed)
    assert opa("waived") == list(answer.waived)
    assert sorted(opa("broken_by")) == list(answer.broken_by)


def test_a_champion_that_does_not_hold_is_no_rollback_target(story: Story, policy_file: Path) -> None:
    from airflow_mlgov.governance.policy import load_policy

    story.all_green()
    broken = replace(REQUEST, champion="2", rollback_problem="its artifact was changed")
    assert story.codes(broken) == set()
    policy_file.write_text(policy_file.read_text() + "        rollback: required\n")
    story.policy = load_policy(policy_file)
    assert story.codes(replace(REQUEST, champion="2")) == set()
    assert story.codes(broken) == {"rollback.missing"}


def test_the_same_bytes_under_another_name_are_another_model(story: Story, policy_file: Path) -> None:
    from airflow_mlgov.governance.policy import load_policy

    story.all_green()
    text = policy_file.read_text()
    section = text[text.index("  credit_risk:") :].replace("credit_risk", "pricing")
    policy_file.write_text(text + section)
    story.policy = load_policy(policy_file)
    pricing = replace(REQUEST, model=replace(MODEL, name="pricing"))
    assert {"evidence.missing", "provenance.missing", "approval.missing"} <= story.codes(pricing)
    assert story.codes() == set()


def with_policy(story: Story, policy_file: Path, old: str, new: str) -> None:
    from airflow_mlgov.governance.policy import load_policy

    text = policy_file.read_text()
    assert old in text
    policy_file.write_text(text.replace(old, new, 1))
    story.policy = load_policy(policy_file)


def test_a_comparison_with_the_champion_before_is_stale(story: Story) -> None:
    story.all_green()
    compared = next(item.seq for item in story.decide().relied_on if item.gate == "performance")
    assert story.codes(replace(REQUEST, champion="2", champion_since=compared - 1)) == set()
    assert story.codes(replace(REQUEST, champion="2", champion_since=compared + 1)) == {"comparison.stale"}


def test_what_was_rolled_back_needs_new_measurements(story: Story) -> None:
    story.all_green()
    request = replace(REQUEST, withdrawn_at=story.ledger.last()[0])
    assert story.codes(request) == {"promotion.withdrawn"}
    story.performance()
    story.fairness()
    story.approve()
    assert story.codes(request) == set()


CAPPED = "roc_auc: {min: 0.75}\n        max_tries: {same_data: 2, same_model: 2}"


def test_tries_on_the_same_data_are_counted_and_capped(story: Story, policy_file: Path) -> None:
    with_policy(story, policy_file, "roc_auc: {min: 0.75}", CAPPED)
    story.all_green()
    assert story.codes() == set()
    tried = {"gate": "performance", "data": "e" * 64, "runs": 1, "models": 1, "datasets": 1}

    def judge(digest: str, data: str) -> None:
        bounds = Check("roc_auc", Outcome.PASS, 0.8), Check("roc_auc_vs_champion", Outcome.PASS, 0.0)
        model = replace(MODEL, digest=digest * 64, version=digest)
        story.gate("performance", *bounds, subject=model, evaluation_digest=data * 64)

    def answer_now() -> Decision:
        good, bad = collect(story.ledger.walk(), story.trust, [MODEL.digest, DATA.digest])
        history = collect(story.ledger.walk(), story.trust, model=MODEL.name)[0]
        return decide(REQUEST, story.policy, good, bad, history=history)

    judge("a", "e")
    judge("b", "e")
    judge("b", "e")
    answer = answer_now()
    assert answer.input["tries"][0] == {**tried, "runs": 3, "models": 2, "datasets": 2}
    assert "tries.exceeded" not in {code for code, _ in answer.reasons}
    judge("c", "e")
    assert ("tries.exceeded", "the gate performance has judged 3 different models on the same evaluation data, and the policy allows 2: hold out fresh data") in answer_now().reasons  # fmt: skip # noqa: E501
    judge("a", "f")
    codes = [message for code, message in answer_now().reasons if code == "tries.exceeded"]
    assert codes == ["the gate performance has judged this model on 3 different evaluation data, and the policy allows 2: a new try needs a new model"]  # fmt: skip # noqa: E501


def test_own_rules_add_reasons_and_take_none_away(story: Story, policy_file: Path) -> None:
    own = policy_file.parent / "own.rego"
    own.write_text(
        "package mlgov.custom\nimport rego.v1\n"
        'deny contains {"code": "trainer.alone", "message": m} if {\n'
        '  some item in input.evidence\n  item.kind == "provenance"\n  count(item.trainers) == 1\n'
        '  m := sprintf("only %s trained it", [item.trainers[0]])\n}\n'
    )
    with_policy(story, policy_file, "version: 1\n", "version: 1\nrules: [own.rego]\n")
    story.all_green()
    answer = story.decide()
    assert answer.reasons == (("custom.trainer.alone", "only tom trained it"),)
    assert set(answer.bundle) == {"mlgov.yaml", SHIPPED, "own.rego"}
    own.write_text(
        "package mlgov.promotion\nimport rego.v1\nin_scope(gate, item) if true\nmeets(check, bound) if true\n"
        'fresh(item) if true\nexcluded contains "nobody" if false\n'
    )
    story.fairness(0.1)
    with_policy(story, policy_file, "version: 1\n", "version: 1\n")
    assert story.codes() == {"engine.error"}
    own.write_text(own.read_text() + "\n")
    (policy_file.parent / "second.rego").write_text(
        "package mlgov.custom\nimport rego.v1\ndeny contains x if { false; x := 1 }"
    )
    with_policy(story, policy_file, "rules: [own.rego]", "rules: [own.rego, second.rego]")
    assert {"gate.not_passed", "bound.not_met"} <= story.codes()


@pytest.mark.parametrize(
    "rules",
    [
        "package mlgov.other\nimport rego.v1\ndeny contains 1 if false",
        "package mlgov.custom\nimport rego.v1\ndeny := input.nothing",
        'package mlgov.custom\nimport rego.v1\ndeny contains "a string"',
        'package mlgov.custom\nimport rego.v1\ndeny contains {"code": "x"}',
        "package mlgov.custom\nimport rego.v1\ndeny contains m if { m := http.send({}) }",
        "package mlgov.custom\nimport rego.v1\ndeny contains m if { input.evidnce == missspelt }",
    ],
)
def test_own_rules_that_say_nothing_deny(story: Story, policy_file: Path, rules: str) -> None:
    (policy_file.parent / "own.rego").write_text(rules)
    with_policy(story, policy_file, "version: 1\n", "version: 1\nrules: [own.rego]\n")
    story.all_green()
    assert story.codes() == {"engine.error"}


def test_an_old_pass_put_in_again_is_not_the_newest(story: Story) -> None:
    story.all_green()
    old = story.ledger.entries(kind="gate")[-1].envelope
    story.fairness(0.5)
    story.ledger.append(old)
    assert "gate.not_passed" in story.codes()
