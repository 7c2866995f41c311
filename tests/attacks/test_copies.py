"""A target that is a copy, attacked: copies by hand, copies of other bytes, copies of what does not hold any more."""

from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.statements import Copy, IntentStatement, PromotionStatement
from airflow_mlgov.registry.mlflow_copies import COPY_OF
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.promotion import promote
from airflow_mlgov.release.reconciliation import reconcile
from airflow_mlgov.results import Subject
from tests.codes import raises_code, refuses
from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.copied import Copied
from tests.worlds.governed import spoil

OTHER = """\
  other:
    gates:
      performance: {label: y, score: s, roc_auc: {min: 0.7}}
    targets:
      production: {alias: champion, requires: [performance]}
"""
"""A model that has the alias itself, so that whoever has it without being governed is an incident."""


@pytest.fixture
def copied(tmp_path: Path, mlflow_server: MlflowServer) -> Copied:
    return Copied(tmp_path, mlflow_server)


def unfit(world: Copied, version: ModelVersion, **given: Any) -> set[str]:
    answer = world.explain(version, **given)
    assert not answer.allowed
    return {code for code, _ in answer.reasons}


def by_hand(world: Copied, version: ModelVersion, **tags: str) -> ModelVersion:
    """What the button "Promote model" of MLflow's UI does, and the alias."""
    made = world.registry.copy(version, world.target, "by hand")
    world.registry.set_tags(made, tags)
    world.registry.set_alias(made, "champion")
    return made


def test_a_copy_made_by_hand_of_what_was_proven_and_of_what_was_not(copied: Copied) -> None:
    good, unjudged = copied.candidate(1.0), copied.server.register(copied.model, 2.0)
    copied.promote(good)
    for version in (good, unjudged):
        made = by_hand(copied, version, **{"mlgov.status": "promoted to production", "mlgov.performance": "PASS"})
        assert unfit(copied, made, place=("alias", "champion")) == {"promotion.missing"}
        assert unfit(copied, made) == {"promotion.missing"}
        found = copied.reconcile(revert=True).open
        assert {item.code: item.action for item in found} == {"alias.moved": "reverted", "tags.forged": "reverted"}
        assert copied.copies()["1"] == ("champion",)
    assert copied.reconcile().open == ()
    assert copied.explain(copied.copy("1")).allowed


def test_the_bytes_of_a_copy_changed_after_it_was_promoted(copied: Copied) -> None:
    version = copied.candidate()
    copied.promote(version)
    spoil(copied.artifact(version))  # MLflow's own copies within a registry share their files
    assert unfit(copied, copied.copy("1")) == {"promotion.missing"}
    assert [item.code for item in copied.reconcile(revert=True).open] == ["artifact.changed"]
    with refuses("evidence.missing"):
        copied.promote(version)


def test_bytes_that_change_while_they_are_copied_are_not_promoted(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, inner = copied.candidate(), MlflowRegistry.copy

    def changed(*given: Any) -> ModelVersion:
        made = inner(*given)
        spoil(copied.artifact(version))
        return made

    monkeypatch.setattr(MlflowRegistry, "copy", changed)
    with raises_code(EvidenceError, "copy.differs"):
        copied.promote(version)
    assert copied.copies() == {"1": ()}
    assert "intent" not in copied.kinds()


def test_a_version_that_pretends_to_be_the_copy_is_not_taken_for_it(
    tmp_path: Path, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the tag and the very bytes, in a place that whoever put it there can write to later."""
    monkeypatch.chdir(tmp_path)
    world = Copied(tmp_path, mlflow_server, elsewhere=f"sqlite:///{tmp_path}/other.db")
    version = world.candidate()
    model = world.registry.subject(version)
    key = f"{world.registry.uri}#models:/{version.name}/{version.version}@sha256:{model.digest}"
    with world.there.calling("plant a copy") as client:
        run = client.create_run("0").info
        with world.registry.download(version) as folder:
            client.log_artifacts(run.run_id, str(folder), "model")
        client.create_registered_model(world.target)
        client.create_model_version(world.target, f"{run.artifact_uri}/model", run.run_id, tags={COPY_OF: key})
    assert world.there.digest(world.copy("1")) == model.digest
    world.promote(version)
    assert world.copies() == {"1": (), "2": ("champion",)}


def test_what_a_copy_was_made_of_is_rejected_fails_or_was_never_proven(copied: Copied) -> None:
    unproven = copied.register(1.0)
    with refuses("evidence.missing"):
        copied.promote(unproven)
    assert copied.registry.versions(copied.target) == ()  # nothing was copied either
    forged = copied.register(2.0)
    copied.judge(forged, duty="registration")  # by a key that may not
    with refuses("evidence.unverified"):
        copied.promote(forged)
    version = copied.candidate(3.0)
    copied.promote(version)
    copied.judge(version, auc=0.5)
    assert unfit(copied, copied.copy("1")) == {"gate.failed_since"}
    assert [item.code for item in copied.reconcile().open if item.code != "tags.forged"] == ["evidence.broken"]


def test_a_promotion_that_names_a_copy_by_another_key_or_of_other_bytes(copied: Copied) -> None:
    version = copied.candidate()
    copied.promote(version)
    model = copied.registry.subject(version)
    made = by_hand(copied, version)
    there = Subject("model", copied.target, model.digest, made.version, copied.registry.uri)

    def claim(duty: str, copy: Subject) -> None:
        intent = IntentStatement(
            model, copied.context(), target="production", action="promote", state="opened",
            before={"stage": [], "alias": None}, after={"stage": None, "alias": "champion"}, grounds="0" * 64,
            copy=Copy(copy),
        )  # fmt: skip
        entry = copied.attest(duty, intent)
        promotion = PromotionStatement(
            model, copied.context(), target="production", action="promote", decision="0" * 64,
            intent=entry.envelope_sha256, moved={}, replaces=None, reason="",
            checkpoint=copied.ledger.walk().head.mark, copy=Copy(copy),
        )  # fmt: skip
        copied.attest(duty, promotion)

    claim("performance", there)
    assert "promotion.missing" in unfit(copied, made)
    claim("promotion", there)  # even the right key needs a decision that allowed it
    assert "decision.missing" in unfit(copied, made)
    with raises_code(EvidenceError, "evidence.form"):
        from airflow_mlgov.evidence.verification import verify_envelope

        claim("promotion", Subject("model", copied.target, "9" * 64, "7", copied.registry.uri))
        verify_envelope(copied.ledger.entries(kind="promotion")[-1].envelope, copied.trust)


def test_copies_into_a_governed_model_or_into_anothers_copies(copied: Copied) -> None:
    policy = copied.policy_file.read_text()
    section = policy[policy.index(f"  {copied.model}:") :]
    for other in (copied.target, "dev.credit.other"):
        copied.policy_file.write_text(policy + section.replace(copied.model, other))
        with raises_code(ConfigurationError, "policy.copy"):
            copied.desk("promotion")
    copied.policy_file.write_text(policy.replace(f"copy_to: {copied.target}", f"copy_to: {copied.model}"))
    with raises_code(ConfigurationError, "policy.copy"):
        copied.desk("promotion")


@pytest.mark.parametrize("same", ["http://LOCALHOST:{port}/", "http://me:secret@127.1:{port}", "by case"])
def test_a_place_under_another_spelling_is_the_same_place(copied: Copied, same: str) -> None:
    """A lesser target, or a lesser model, would move the alias of the one that takes more."""
    policy, port = copied.policy_file.read_text(), copied.server.url.rpartition(":")[2]
    section = policy[policy.index(f"  {copied.model}:") :]
    other = f"{{model: {copied.target}, registry: '{same.format(port=port)}'}}"
    other = copied.target.upper() if same == "by case" else other
    lesser = f"      lesser: {{copy_to: {other}, alias: champion, requires: [performance]}}\n"
    another = section.replace(f"copy_to: {copied.target}", f"copy_to: {other}").replace(copied.model, "dev.other")
    version = copied.candidate()
    for text, code in ((policy + lesser, "policy.place_shared"), (policy + another, "policy.copy")):
        copied.policy_file.write_text(text)
        for target in ("production", "lesser") if text.endswith(lesser) else ("production",):
            with raises_code(ConfigurationError, code):
                promote(copied.desk("promotion"), version, target)
    itself = other.replace(copied.target, copied.model).replace(copied.target.upper(), copied.model.upper())
    copied.policy_file.write_text(policy.replace(f"copy_to: {copied.target}", f"copy_to: {itself}"))
    with raises_code(ConfigurationError, "policy.copy"):
        copied.promote(version)
    assert copied.registry.versions(copied.target) == ()


@pytest.mark.parametrize("same", ["{url}", "http://LOCALHOST:{port}/", "http://me:secret@127.1:{port}"])
def test_the_copies_model_is_the_same_however_the_policy_spells_its_registry(copied: Copied, same: str) -> None:
    """A model that the reconciler takes for nobody's would be an incident for ever, and not looked at if named."""
    url, policy = copied.server.url, copied.policy_file.read_text()
    other = f"{{model: {copied.target}, registry: '{same.format(url=url, port=url.rpartition(':')[2])}'}}"
    copied.policy_file.write_text(policy.replace(f"copy_to: {copied.target}", f"copy_to: {other}") + OTHER)
    copied.promote(copied.candidate())
    for models in (None, [copied.target]):
        found = reconcile(copied.desk("reconcile"), models=models)
        assert [item for item in found.open if item.model.name in (copied.model, copied.target)] == []
    by_hand(copied, copied.candidate(2.0))
    found = reconcile(copied.desk("reconcile"), models=[copied.target])
    assert [item.code for item in found.open] == ["alias.moved"]


def test_a_model_whose_name_differs_in_case_holds_no_copies(copied: Copied) -> None:
    """Where the registry tells case apart, it is another model, which serves without evidence."""
    policy = copied.policy_file.read_text()
    copied.policy_file.write_text(policy + OTHER)
    copied.promote(copied.candidate())
    twin = copied.server.register(copied.target.upper(), 9.0)
    copied.registry.set_alias(twin, "champion")
    found = reconcile(copied.desk("reconcile"), models=[twin.name])
    assert [(item.code, item.model.name) for item in found.open] == [("model.ungoverned", twin.name)]


def test_a_copy_outlives_what_it_was_made_of(copied: Copied) -> None:
    first, second = copied.candidate(1.0), copied.candidate(2.0)
    copied.promote(first)
    copied.promote(second)
    with copied.registry.calling("delete the source") as client:
        client.delete_model_version(first.name, first.version)
    assert copied.roll_back().placed.version == "1"
    assert copied.copies() == {"1": ("champion",), "2": ()}
    assert copied.explain(copied.copy("1")).allowed
    with copied.registry.calling("delete the whole source") as client:
        client.delete_registered_model(copied.model)
    copied.server.register(copied.model, 9.0)  # whose number is that of the copy's source
    assert copied.explain(copied.copy("1")).allowed
    assert copied.reconcile(revert=True).open == ()


def test_other_versions_under_the_number_or_the_name_of_a_copy(copied: Copied) -> None:
    copied.promote(copied.candidate())
    with copied.registry.calling("rename the copies' model") as client:
        client.rename_registered_model(copied.target, f"{copied.target}_before")
    renamed = copied.registry.resolve(f"models:/{copied.target}_before@champion")
    assert unfit(copied, renamed, place=("alias", "champion")) == {"promotion.missing"}
    impostor = copied.server.register(copied.target, 9.0)
    copied.registry.set_alias(impostor, "champion")
    assert impostor.version == "1"
    assert unfit(copied, impostor, place=("alias", "champion")) == {"promotion.missing"}
    assert [item.code for item in copied.reconcile(revert=True).open] == ["artifact.changed"]


def test_another_registry_that_keeps_other_bytes_than_it_was_given(
    tmp_path: Path, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    world = Copied(tmp_path, mlflow_server, elsewhere=f"sqlite:///{tmp_path}/other.db")
    version, inner = world.candidate(), MlflowRegistry.take

    def bent(*given: Any) -> ModelVersion:
        made = inner(*given)
        for file in (tmp_path / "mlruns").rglob("weight.txt"):
            file.write_text("9")
        return made

    with monkeypatch.context() as patch, raises_code(EvidenceError, "copy.differs"):
        patch.setattr(MlflowRegistry, "take", bent)
        world.promote(version)
    assert world.copies() == {"1": ()}
    assert world.promote(version).placed.version == "2"  # the bent one is not taken again


def test_evidence_about_a_copy_is_none_about_what_it_is_made_of(copied: Copied) -> None:
    version = copied.register(1.0)
    made = copied.registry.copy(version, copied.target, "by hand")
    copied.judge(made)
    with refuses("evidence.missing"):
        copied.promote(version)
    with raises_code(ConfigurationError, "policy.model_unknown"):
        copied.promote(made)
