"""A target that is a copy: what is served is a version of another registered model, with the bytes that were proven."""

import threading
from pathlib import Path

import pytest

from airflow_mlgov.addresses import RegistryIdentity
from airflow_mlgov.admission.served import Named
from airflow_mlgov.admission.standing import Book
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.ledger import Ledger
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.release.champion_data import RegistryLookup
from tests.codes import raises_code
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.shell import Run
from tests.worlds.copied import Copied, killed_after
from tests.worlds.governed import statement_of


@pytest.fixture
def copied(tmp_path: Path, mlflow_server: MlflowServer) -> Copied:
    return Copied(tmp_path, mlflow_server)


def codes(world: Copied, version: object, **given: object) -> set[str]:
    answer = world.explain(version, **given)  # type: ignore[arg-type]
    return {code for code, _ in answer.reasons}


def test_a_version_is_promoted_replaced_and_rolled_back_as_its_copy(
    copied: Copied, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = copied.candidate(1.0)
    done = copied.promote(first)
    assert done.as_dict()["copy"] == f"models:/{copied.target}/1"
    assert copied.copies() == {"1": ("champion",)}
    assert copied.places() == {first.version: (None, ())}
    said = statement_of(copied.ledger.entries(kind="promotion")[-1].envelope)["predicate"]["copy"]
    assert (said["name"], said["version"]) == (copied.target, "1")
    assert said["digest"] == copied.registry.digest(first) == copied.registry.digest(copied.copy("1"))
    assert copied.copy("1").tags["mlgov.status"] == "promoted to production"

    answer = copied.explain(copied.copy("1"), place=("alias", "champion"))
    assert answer.allowed
    assert any(f"made of {copied.model} version {first.version}" in fact for fact in answer.facts)
    assert codes(copied, first) == {"promotion.copied"}
    assert copied.promote(first).moved == {}  # there already
    assert copied.reconcile().open == ()

    second = copied.candidate(2.0)
    assert copied.promote(second).moved["alias"] == {"to": "champion", "previous": "1"}
    assert copied.copies() == {"1": (), "2": ("champion",)}
    assert codes(copied, copied.copy("1")) == {"promotion.superseded"}
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", copied.server.username)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", copied.server.password)
    where = ("--registry", copied.server.url, "--ledger", copied.ledger_url, "--trust", str(copied.trust_file))
    told = run("verify", f"models:/{copied.target}@champion", *where, "--policy", str(copied.policy_file))
    assert told[0] == 0, told

    back = copied.roll_back()
    assert (back.placed.name, back.placed.version) == (copied.target, "1")
    assert copied.copies() == {"1": ("champion",), "2": ()}  # no copy is made again
    assert copied.explain(copied.copy("1")).allowed
    assert codes(copied, copied.copy("2")) == {"promotion.superseded"}
    assert copied.reconcile().open == ()

    policy, here = load_policy(copied.policy_file), RegistryIdentity.at(copied.server.url)
    book = Book(copied.ledger.walk(), copied.trust, policy, here, lambda: copied.context().issued_at)

    def stands(name: str, version: str) -> list[bool]:
        return [one.reasons == () for one in book.standings(Named("env", "", "registry", name, version))]

    assert (stands(copied.target, "1"), stands(copied.target, "2")) == ([True], [False])
    assert stands(copied.model, first.version) == [False]
    by_alias = book.standings(Named("env", "", "registry", copied.target, None, "champion"))
    assert [(one.name, one.version, one.reasons) for one in by_alias] == [(copied.target, "1", ())]
    files = book.standings(Named("env", copied.registry.place(copied.copy("1")), "place"))
    assert (copied.target, "1", ()) in {(one.name, one.version, one.reasons) for one in files}
    assert book.standings(Named("env", "", "registry", copied.target, "9")) == []


@pytest.mark.parametrize(
    ("owner", "step", "times"),
    [(MlflowRegistry, "copy", 1), (Ledger, "attest", 3), (MlflowRegistry, "set_alias", 1), (Ledger, "attest", 4)],
)
def test_killed_after_any_step_and_started_again_there_is_one_copy(
    copied: Copied, monkeypatch: pytest.MonkeyPatch, owner: type, step: str, times: int
) -> None:
    version = copied.candidate()
    with killed_after(monkeypatch, owner, step, times):
        copied.promote(version)
    copied.promote(version)
    assert copied.copies() == {"1": ("champion",)}
    assert len(copied.ledger.entries(kind="promotion")) == 1
    assert copied.explain(copied.copy("1")).allowed
    assert copied.reconcile().open == ()


def test_two_that_promote_at_once_make_one_copy(copied: Copied) -> None:
    version = copied.candidate()
    both = [threading.Thread(target=copied.promote, args=(version,)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(120)
    assert copied.copies() == {"1": ("champion",)}
    assert len(copied.ledger.entries(kind="promotion")) == 1


def test_who_holds_the_copies_alias_is_the_champion(copied: Copied) -> None:
    version = copied.candidate()
    lookup = RegistryLookup(
        copied.registry, copied.ledger, copied.trust, copied.environment, copied.model,
        load_policy(copied.policy_file).model(copied.model).target("production"),
    )  # fmt: skip
    assert lookup.champion_data() is None
    by_hand = copied.server.register(copied.target, 3.0)
    copied.registry.set_alias(by_hand, "champion")
    with raises_code(ConfigurationError, "champion.no_provenance", match=f"{copied.target}/1"):
        lookup.champion_data()
    done = copied.promote(version)
    replaced = statement_of(copied.ledger.entries(kind="promotion")[-1].envelope)["predicate"]["replaces"]
    assert (done.placed.version, replaced) == ("2", f"{copied.target}/1")
    assert lookup.champion_data() is not None


def test_a_copy_in_another_registry_has_files_of_its_own(
    tmp_path: Path, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    world = Copied(tmp_path, mlflow_server, elsewhere=f"sqlite:///{tmp_path}/other.db")
    version = world.candidate()
    with killed_after(monkeypatch, MlflowRegistry, "take"):
        world.promote(version)
    assert world.copies() == {"1": ()}
    done = world.promote(version)
    assert world.copies() == {"1": ("champion",)}
    assert done.placed.registry == world.there.uri != world.registry.uri
    assert world.reconcile().open == ()
    from airflow_mlgov.release.explanation import explain

    def answer() -> set[str]:
        told = explain(world.there, world.copy("1"), world.ledger, world.trust)
        return {"allowed"} if told.allowed else {code for code, _ in told.reasons}

    assert answer() == {"allowed"}
    second = world.candidate(2.0)
    world.promote(second)
    world.roll_back()
    assert world.copies() == {"1": ("champion",), "2": ()}
    (weight,) = [path for path in (tmp_path / "mlruns").rglob("weight.txt") if path.read_text() == "1.0"]
    weight.write_text("9.9")
    assert answer() == {"promotion.missing"}
    assert [item.code for item in world.reconcile(revert=True).open] == ["artifact.changed"]
