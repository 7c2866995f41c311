"""Evidence of others: what stands for a gate without being it, and what was bent on the way into the ledger."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.external import DETAIL, Rule, judge_external, open_external, value_at
from airflow_mlgov.evidence.signing import TrustRoot, open_signer, sign_statement
from airflow_mlgov.evidence.statements import GateStatement
from airflow_mlgov.evidence.verification import verify_entry
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.results import Bound, Check, GateResult, Outcome
from tests.codes import raises_code
from tests.fixtures.shell import Run
from tests.worlds.governed import PASSED
from tests.worlds.guarded import Guarded
from tests.worlds.story import DATA, MODEL, Story

PREDICATE = "https://pentest.example/report/v1"
FOUND: dict[str, Any] = {"summary": {"critical": 0, "high": 2}, "signed off": True, "open": []}
POLICY = """\
version: 1
models:
  credit_risk:
    evidence_max_age: 30d
    external:
      pentest:
        predicate: {predicate}
        signed_by: ["{key}"]
        max_age: 10d
        rules:
          critical_findings: {{value: /summary/critical, max: 0}}
          high_findings: {{value: /summary/high, max: 3}}
    targets:
      production: {{alias: champion, requires: [pentest]}}
"""


class World:
    """A model that may serve once a tester from outside has said what the policy wants to hear."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tester, self.other = (
            open_signer(f"local:{folder / name}.pem", make_key=True) for name in ("tester", "other")
        )
        (folder / "mlgov.yaml").write_text(POLICY.format(predicate=PREDICATE, key=self.tester.public_key.keyid))
        self.policy = load_policy(folder / "mlgov.yaml")
        self.story = Story(folder, self.policy)
        trust = TrustRoot().with_key(self.story.signer.public_key, ["external", "registration", "performance"])
        for signer in (self.tester, self.other):
            trust = trust.with_key(signer.public_key, ["witness"])
        self.trust = self.story.trust = trust
        self.story.provenance((DATA,))

    def report(self, found: Any = FOUND, signer: Any = None, digest: str = MODEL.digest, kind: str = PREDICATE) -> str:
        """What the tester hands over."""
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "the model", "digest": {"sha256": digest}}],
            "predicateType": kind,
            "predicate": found,
        }
        return sign_statement(statement, signer or self.tester)

    @property
    def rules(self) -> dict[str, Rule]:
        return dict(self.policy.model("credit_risk").external["pentest"].rules)

    def result(
        self, envelope: str | None = None, rules: dict[str, Rule] | None = None, name: str = "pentest"
    ) -> GateResult:
        said = open_external(envelope or self.report(), self.trust)
        return judge_external(name, said, MODEL, rules or self.rules)

    def add(self, result: GateResult, **context: Any) -> Any:
        self.story.sign(GateStatement.of(result, self.story.context(**context)).as_json())
        return self.story.ledger.get(len(self.story.ledger.entries()))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_the_policy_takes_is_required_bounded_and_shown_as_a_gate(world: World) -> None:
    assert world.story.codes() == {"evidence.missing"}
    world.add(world.result(world.report({"summary": {"critical": 1, "high": 0}})))
    assert world.story.codes() == {"gate.not_passed", "bound.not_met"}
    world.add(world.result())
    decision = world.story.decide()
    assert decision.allowed, decision.reasons
    (shown,) = [
        item.statement for item in decision.relied_on if item.gate == "pentest" and item.sha256 in decision.needed
    ]
    assert isinstance(shown, GateStatement)
    assert {check.name: check.observed for check in shown.result.checks} == {"critical_findings": 0, "high_findings": 2}


BENT: dict[str, Callable[[World], GateResult]] = {
    "signed by a witness whom the policy does not name": lambda w: w.result(w.report(signer=w.other)),
    "of another predicate": lambda w: w.result(w.report(kind="https://pentest.example/plan/v1")),
    "read at another place": lambda w: w.result(
        w.report({"summary": {"critical": 9, "high": 0}, "other": 0}),
        {**w.rules, "critical_findings": Rule("/other", Bound(max=0))},
    ),
    "a check more": lambda w: w.result(rules={**w.rules, "more": Rule("/summary/high", Bound(max=9))}),
}


@pytest.mark.parametrize("how", BENT)
def test_what_the_policy_does_not_describe_is_refused(world: World, how: str) -> None:
    world.add(BENT[how](world))
    assert "external.other" in world.story.codes()


def test_bounds_of_ones_own_and_checks_left_out_are_refused(world: World) -> None:
    found = {"summary": {"critical": 5, "high": 0}}
    lenient = {**world.rules, "critical_findings": Rule("/summary/critical", Bound(max=9))}
    world.add(world.result(world.report(found), lenient))
    assert world.story.codes() == {"bound.not_met"}
    world.add(world.result(world.report(found), {"high_findings": world.rules["high_findings"]}))
    assert world.story.codes() == {"bound.not_checked"}


@pytest.mark.parametrize("found", [{}, {"summary": {}}, {"summary": {"critical": None, "high": "0"}}, {"summary": 0}])
def test_what_is_missing_never_passes(world: World, found: Any) -> None:
    result = world.result(world.report(found))
    assert result.verdict is Outcome.ERROR
    world.add(result)
    assert world.story.codes() >= {"gate.not_passed", "bound.not_met"}


def test_a_statement_about_other_bytes_or_by_nobody_known_is_not_added(world: World) -> None:
    with raises_code(ConfigurationError, "external.subject"):
        world.result(world.report(digest="9" * 64))
    stranger = open_signer(f"local:{world.folder / 'stranger.pem'}", make_key=True)
    with raises_code(EvidenceError, "key.unknown"):
        world.result(world.report(signer=stranger))
    with raises_code(EvidenceError, "external.key"):  # a key of ours is no witness
        world.result(world.report(signer=world.story.signer))
    with raises_code(EvidenceError, "external.malformed"):
        world.result(world.report({"long": "x" * 2_000_000}))


def changed(result: GateResult, **kept: Any) -> GateResult:
    return replace(result, details={DETAIL: {**result.details[DETAIL], **kept}})


def lied(result: GateResult) -> GateResult:
    return replace(result, checks=tuple(replace(check, observed=0, outcome=Outcome.PASS) for check in result.checks))


PAST_THE_DOOR: dict[str, tuple[Callable[[World], GateResult], str]] = {
    "another value than the envelope's": (
        lambda w: lied(w.result(w.report({"summary": {"critical": 7, "high": 0}}))), "external.differs",
    ),
    "a value where there is none": (lambda w: lied(w.result(w.report({}))), "external.differs"),
    "a check without a place": (
        lambda w: replace(w.result(), checks=(Check("critical_findings", Outcome.PASS, 0, Bound(max=0)),)),
        "external.differs",
    ),
    "an envelope about other bytes": (
        lambda w: changed(w.result(), **open_kept(w, w.report(digest="9" * 64))), "external.subject",
    ),
    "the name of another key": (lambda w: changed(w.result(), key=w.other.public_key.keyid), "external.differs"),
    "the name of another predicate": (lambda w: changed(w.result(), predicateType="x"), "external.differs"),
    "no envelope": (lambda w: replace(w.result(), details={DETAIL: {}}), "external.malformed"),
    "a gate of ours": (lambda w: replace(w.result(), gate="performance"), "external.shadow"),
}  # fmt: skip


def open_kept(world: World, envelope: str) -> dict[str, str]:
    said = open_external(envelope, world.trust)
    return {"envelope": envelope, "key": said.key, "predicateType": said.predicate_type, "sha256": said.sha256}


@pytest.mark.parametrize("how", PAST_THE_DOOR)
def test_whoever_adds_it_cannot_say_more_than_the_envelope(world: World, how: str) -> None:
    make, code = PAST_THE_DOOR[how]
    entry = world.add(make(world))
    with raises_code(EvidenceError, code):
        verify_entry(entry, world.trust)
    assert world.story.codes() >= {"evidence.unverified"}


def test_a_result_without_an_envelope_needs_a_key_for_the_name(world: World) -> None:
    entry = world.add(replace(world.result(), details={}))
    with raises_code(EvidenceError, "evidence.duty"):
        verify_entry(entry, world.trust)
    assert world.story.codes() == {"evidence.missing", "evidence.unverified"}


def test_a_key_for_the_name_does_not_make_an_envelope_needless(world: World) -> None:
    world.story.trust = world.trust.with_key(world.other.public_key, ["pentest"])
    result = replace(world.result(), details={})
    statement = GateStatement.of(result, world.story.context()).as_json()
    world.story.ledger.append(sign_statement(statement, world.other))
    assert world.story.codes() == {"external.other"}


def test_to_add_it_again_makes_it_no_younger(world: World) -> None:
    envelope = world.report()
    long_ago = datetime.now(UTC) - timedelta(days=11)
    world.add(world.result(envelope), issued_at=long_ago)
    assert world.story.codes() == {"evidence.stale"}
    world.add(world.result(envelope))
    assert world.story.codes() == {"evidence.stale"}
    world.add(world.result(world.report({**FOUND, "again": 1})))
    assert world.story.decide().allowed


@pytest.mark.parametrize("name", ["performance", "fairness", "approval", "witness", "external"])
def test_a_policy_whose_names_shadow_ours_is_refused(world: World, name: str) -> None:
    text = (world.folder / "mlgov.yaml").read_text().replace("pentest:\n", f"{name}:\n")
    (world.folder / "mlgov.yaml").write_text(text.replace("requires: [pentest]", f"requires: [{name}]"))
    with raises_code(ConfigurationError, "external.shadow", match="mlgov.yaml:6"):
        load_policy(world.folder / "mlgov.yaml")


def test_a_required_name_that_nothing_brings_is_refused_with_the_nearest(world: World) -> None:
    text = (world.folder / "mlgov.yaml").read_text().replace("requires: [pentest]", "requires: [pentets]")
    (world.folder / "mlgov.yaml").write_text(text)
    with raises_code(ConfigurationError, "policy.invalid", match="did you mean 'pentest'"):
        load_policy(world.folder / "mlgov.yaml")


@pytest.mark.parametrize(
    ("pointer", "value"),
    [("/summary/high", 2), ("/signed off", 1), ("/open", 0), ("/gone", None), ("/summary/high/x", None), ("/a~1b", 3),
     ("/open/0", None), ("/summary", {"critical": 0, "high": 2})],
)  # fmt: skip
def test_a_pointer_names_what_is_there(pointer: str, value: Any) -> None:
    assert value_at({**FOUND, "a/b": 3}, pointer) == value


def test_from_a_testers_file_to_production(guarded: Guarded, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("USERNAME", guarded.server.username), ("PASSWORD", guarded.server.password)):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", guarded.server.url)
    tester = guarded.signer("tester")
    guarded.trust.with_key(tester.public_key, ["witness"]).save(guarded.trust_file)
    external = POLICY.partition("    external:")[2].partition("    targets:")[0]
    external = external.format(predicate=PREDICATE, key=tester.public_key.keyid)
    guarded.change_policy("    tier: medium\n", f"    tier: medium\n    external:{external}")
    guarded.change_policy("performance, fairness]", "performance, fairness, pentest]")
    version = guarded.gated()
    assert guarded.refused(version) == {"evidence.missing", "approval.missing"}

    def add(found: Any, name: str = "pentest") -> tuple[int, str, str]:
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "m", "digest": {"sha256": guarded.subject(version).digest}}],
            "predicateType": PREDICATE,
            "predicate": found,
        }
        file = guarded.folder / "pentest.json"
        file.write_text(sign_statement(statement, tester))
        return run(
            *("ledger", "add", file, "--as", name, "--model", version.uri, "--ledger", guarded.ledger_url),
            *("--trust", guarded.trust_file, "--policy", guarded.policy_file, "--environment", "test"),
            *("--sign", f"local:{guarded.folder / 'external.pem'}"),
        )

    code, _, err = add(FOUND, "pentets")
    assert (code, "did you mean 'pentest'" in err) == (2, True)
    code, out, err = add(FOUND)
    assert code == 0, err
    assert "gate pentest: PASS" in out
    assert "critical_findings = 0 (bound <= 0)" in out
    assert guarded.refused(version) == {"approval.missing"}
    guarded.approve(version)
    guarded.promote(version)
    assert guarded.places()[version.version] == PASSED


WRITTEN: dict[str, Callable[[dict[str, Any]], str]] = {
    "with spaces": lambda envelope: json.dumps(envelope, indent=3),
    "with a field more": lambda envelope: json.dumps({**envelope, "note": "x"}),
    "in another order": lambda envelope: json.dumps(dict(reversed(envelope.items()))),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_an_old_statement_in_an_envelope_that_is_written_in_another_way_is_as_old(world: World, how: str) -> None:
    envelope = world.report()
    at = datetime.now(UTC) - timedelta(days=365)
    world.add(world.result(envelope), issued_at=at)
    assert "evidence.stale" in world.story.codes()
    again = WRITTEN[how](json.loads(envelope))
    assert again != envelope
    world.add(world.result(again))
    assert "evidence.stale" in world.story.codes()
    world.add(world.result(world.report({"summary": {"critical": 0, "high": 1}})))  # a new one is new
    assert world.story.codes() == set()


@pytest.mark.parametrize("step", ["9" * 5_000, "01", "-1", "\u0663", "1e0"])
def test_a_place_in_a_list_that_is_none_names_nothing(step: str) -> None:
    """Python would refuse so many digits with an error of its own, and read Arabic ones."""
    assert value_at({"list": [1, 2, 3, 4]}, f"/list/{step}") is None
    assert value_at({"list": [1, 2, 3, 4]}, "/list/3") == 4


@pytest.mark.parametrize(("begins", "ends", "counts"), [(-9, None, True), (-9, -1, False), (1, None, False)])
def test_a_witness_whose_key_has_ended_adds_nothing(world: World, begins: int, ends: int | None, counts: bool) -> None:
    """Whoever still has the key that was taken from them signs whatever they like with it."""
    now, key = datetime.now(UTC), world.tester.public_key
    result = world.result()
    dates = {"valid_from": now + timedelta(days=begins), "valid_until": ends and now + timedelta(days=ends)}
    others = TrustRoot(tuple(item for item in world.trust.keys if item.key.keyid != key.keyid))
    bent = others.with_key(key, ["witness"], **dates)
    entry = world.add(result)
    if counts:
        assert open_external(world.report(), bent).key == key.keyid
        verify_entry(entry, bent)
        return
    with raises_code(EvidenceError, "external.key"):
        open_external(world.report(), bent)
    with raises_code(EvidenceError, "external.key"):
        verify_entry(entry, bent)
    if ends is not None:  # what was added while it was valid stays
        verify_entry(world.add(result, issued_at=now - timedelta(days=2)), bent)
