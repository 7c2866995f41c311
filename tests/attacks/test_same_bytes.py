"""One artifact under two version numbers, and two artifacts under one: what was found out about bytes follows them, and
a number that came back stands for nothing that was found out about others."""

import pytest

from airflow_mlgov.errors import PromotionRefused
from airflow_mlgov.evidence.statements import GateStatement
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity
from tests.worlds.governed import PASSED, Governed
from tests.worlds.guarded import Guarded


def again(governed: Governed, version: ModelVersion) -> ModelVersion:
    """The same bytes, registered once more."""
    source = str(version.source)
    with governed.registry.calling("register it once more") as client:
        made = client.create_model_version(
            governed.model, source, version.run_id, model_id=source.removeprefix("models:/")
        )
    found = governed.registry.resolve({"name": governed.model, "version": str(made.version)})
    assert governed.registry.subject(found).digest == governed.registry.subject(version).digest
    return found


def codes(governed: Governed, version: ModelVersion) -> set[str]:
    before = governed.places()
    with pytest.raises(PromotionRefused) as caught:
        governed.promote(version)
    assert governed.places() == before
    return {code for code, _ in caught.value.reasons}


def test_a_rollback_follows_the_bytes_to_another_number(governed: Governed) -> None:
    first, second = governed.candidate(1.0), governed.candidate(2.0)
    governed.promote(first)
    governed.promote(second)
    governed.roll_back()
    twin = again(governed, second)
    assert codes(governed, twin) == {"promotion.withdrawn"}
    governed.judge(twin)
    governed.promote(twin)
    governed.roll_back()
    assert governed.places()[first.version] == PASSED
    assert codes(governed, second) == {"promotion.withdrawn"}


def test_no_rollback_leads_to_the_very_bytes_that_it_is_from(governed: Governed) -> None:
    first, second = governed.candidate(1.0), governed.candidate(2.0)
    for version in (first, second, again(governed, second)):
        governed.promote(version)
    assert governed.roll_back().model.version == first.version


def test_a_version_to_roll_back_to_is_of_other_bytes(governed: Governed) -> None:
    governed.policy_file.write_text(governed.policy_file.read_text() + "        rollback: required\n")
    version = governed.candidate()
    governed.promote(version)
    assert codes(governed, again(governed, version)) == {"rollback.missing"}


def test_a_number_that_came_back_hides_the_champion_from_no_comparison(governed: Governed) -> None:
    text, bound = governed.policy_file.read_text(), "roc_auc: {min: 0.75}"
    governed.policy_file.write_text(text.replace(bound, f"{bound}, roc_auc_vs_champion: {{min_change: -0.01}}"))
    compare_with_nobody(governed, governed.register(1.0), 0.95)
    governed.promote(governed.registry.resolve(f"{governed.model}/1"))
    with governed.registry.calling("delete the model") as client:
        client.delete_registered_model(governed.model)
    worse = governed.register(2.0)
    assert worse.version == "1"
    compare_with_nobody(governed, worse, 0.76)
    assert codes(governed, worse) == {"bound.not_met"}


def compare_with_nobody(governed: Governed, version: ModelVersion, auc: float) -> None:
    """The performance gate's evidence, told that there is no champion."""
    bound = Bound(min=0.75)
    relative = Check("roc_auc_vs_champion", Outcome.INCONCLUSIVE, None, Bound(min=-0.01), Severity.INFO)
    checks = (Check("roc_auc", bound.judge(auc), auc, bound), relative)
    result = GateResult("performance", governed.registry.subject(version), checks)
    governed.attest("performance", GateStatement.of(result, governed.context()))


def test_a_rejection_after_the_promotion_is_heard(guarded: Guarded) -> None:
    """Somebody who may approve says no to bytes that serve, or that a rollback would lead to."""
    first = guarded.green(1.0)
    guarded.promote(first)
    guarded.approve(first, "mallory", approved=False)  # whom the policy does not name
    assert guarded.explain(guarded.now(first)).allowed
    guarded.approve(first, "olga", approved=False)
    assert guarded.unfit(first) == {"approval.rejected"}
    guarded.promote(guarded.green(2.0))
    with pytest.raises(PromotionRefused, match="rejected by olga"):
        guarded.roll_back()
    guarded.approve(first, "olga")
    assert guarded.roll_back().model.version == first.version
    assert guarded.explain(guarded.now(first)).allowed
