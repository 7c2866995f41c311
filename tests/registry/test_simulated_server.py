"""The registry that simulations have in memory says and does what a real MLflow server does."""

import uuid
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from airflow_mlgov.errors import MlgovError
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.registry.protocol import ModelVersion, in_stage
from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.simulation.machine import Machine
from tests.worlds.simulation.registry import Server, simulated

ALIASES, TAGS = ("champion", "candidate"), ("mlgov.status", "team")
STAGES = ("None", "Staging", "Production", "production", "Archived", "Shelf")


def seen(version: ModelVersion) -> tuple[Any, ...]:
    return version.name, version.version, version.stage, version.aliases, dict(version.tags)


def state(registry: MlflowRegistry, name: str) -> Any:
    """All that a release reads of a model."""
    versions = [seen(version) for version in registry.versions(name)]
    single = [seen(registry.resolve({"name": name, "version": number})) for _, number, *_ in versions]
    staged = {stage: [item.version for item in in_stage(registry, name, stage)] for stage in ("Staging", "Production")}
    return versions, single, staged, dict(registry.aliases(name)), name in registry.names()


def drawn(dice: Random) -> Callable[[MlflowRegistry, Mapping[str, ModelVersion]], Any]:
    """Something that a release does, or a mistake."""
    number, alias = dice.choice(("1", "2", "3", "4")), dice.choice(ALIASES)
    stage, archive, back = dice.choice(STAGES), dice.random() < 0.5, dice.random() < 0.5
    tag, value = dice.choice(TAGS), dice.choice(("promoted to production", "", "x" * 300))
    return dice.choice(
        (
            lambda registry, of: registry.set_alias(of[number], alias, read_back=back),
            lambda registry, of: registry.delete_alias(of[number].name, alias),
            lambda registry, of: registry.transition_stage(of[number], stage, archive, read_back=back),
            lambda registry, of: registry.set_tags(of[number], {tag: value}),
            lambda registry, of: seen(registry.resolve(f"models:/{of[number].name}@{alias}")),
            lambda registry, of: seen(registry.resolve(f"models:/{of[number].name}/{number}")),
            lambda registry, of: registry.digest(of[number]),
        )
    )


def answer(act: Callable[..., Any], *given: Any) -> Any:
    try:
        return act(*given)
    except MlgovError as error:
        return type(error).__name__, error.code


def test_it_answers_as_mlflow_does(mlflow_server: MlflowServer) -> None:
    name, server, dice = f"twin_{uuid.uuid4().hex[:8]}", Server(), Random(5)
    for number in range(3):
        mlflow_server.register(name, float(number))
        server.register(name, {"MLmodel": b"flavors: {}\n", "data/weight.txt": str(float(number)).encode()})
    registries = mlflow_server.registry, simulated(server, Machine(5))
    versions = {number: ModelVersion(name, number) for number in ("1", "2", "3", "4")}
    for _ in range(60):
        act = drawn(dice)
        real, model = (answer(act, registry, versions) for registry in registries)
        assert model == real
        real, model = (state(registry, name) for registry in registries)
        assert model == real


def test_of_a_model_that_is_not_there(mlflow_server: MlflowServer) -> None:
    nobody = f"nobody_{uuid.uuid4().hex[:8]}"
    for act in (
        lambda registry: registry.versions(nobody),
        lambda registry: registry.aliases(nobody),
        lambda registry: registry.resolve(f"models:/{nobody}/1"),
        lambda registry: registry.set_alias(ModelVersion(nobody, "1"), "champion"),
        lambda registry: registry.transition_stage(ModelVersion(nobody, "1"), "Production"),
        lambda registry: registry.subject(ModelVersion(nobody, "1")),
    ):
        real, model = (answer(act, it) for it in (mlflow_server.registry, simulated(Server(), Machine(1))))
        assert model == real
