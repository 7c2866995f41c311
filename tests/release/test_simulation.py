"""Promotion, rollback, audit and reconciliation by processes that fail, hang, go unanswered and die, told by a seed."""

import os
import secrets
from collections import Counter
from pathlib import Path

import pytest

from tests.worlds.simulation.machine import FATES
from tests.worlds.simulation.world import World

SOAK = "MLGOV_SOAK" in os.environ
SEEDS = [int(seed) for seed in os.environ.get("MLGOV_SEEDS", "").split(",") if seed]
"""Stories to tell again."""
STEPS = 10_000 if SOAK else 500
STORY = 250
"""Steps of one story, until all is up again; so short that many begin anew."""


def told(seed: int, folder: Path, **given: bool) -> World:
    world = World(seed, folder, **given)
    world.live(STORY)
    return world


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.parametrize("proven", [False, True], ids=["walked", "proven"])
def test_nothing_stands_that_may_not_nothing_is_lost_and_whoever_tries_again_gets_there(
    tmp_path: Path, proven: bool
) -> None:
    ends, fates, steps = Counter[str](), Counter[str](), 0
    seeds = iter(SEEDS or ((secrets.randbits(32) for _ in range(STEPS)) if SOAK else range(STEPS)))
    while (SEEDS or steps < STEPS) and (seed := next(seeds, None)) is not None:
        world = told(seed, tmp_path, proven=proven)
        story = "\n".join(world.machine.story)
        assert not world.wrong, f"{story}\n{world.wrong}\nagain: MLGOV_SEEDS={seed} pytest {__name__}"
        ends, fates, steps = ends + world.ends, fates + world.machine.fates, steps + world.machine.steps
    print(f"{steps} steps: {dict(ends)}; {fates.total()} went wrong")
    if SOAK:
        happened = {fate.partition(" ")[2] for fate in fates}
        assert happened == set(FATES)
        assert {"Killed", "DependencyError", "PromotionRefused", "done", "stands"} <= set(ends)


@pytest.mark.slow
def test_a_seed_tells_the_same_story_again(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first, again = told(7, tmp_path), told(7, tmp_path / "again")
    assert len(first.machine.story) > STORY
    assert [line.replace("/again", "") for line in again.machine.story] == first.machine.story
