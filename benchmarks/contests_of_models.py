"""The contests about predictions where something is large, and what is to be reached in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.measure import Contender, Contest, Target
from benchmarks.models_at_size import INTERSECTIONS

_FEWEST = 20_000
_LOW = "150MB"
_WIDE = ["race", "street", "house", "sex"]


def contests_of_models(folder: Path, rows: int, largest: int) -> dict[str, Callable[[], Contest]]:
    """Key -> the contest.

    :param rows: of most of them
    :param largest: of the contest that is about rows alone
    """
    few = max(rows // 10, _FEWEST)
    return {
        "at-size-performance": lambda: _performance(folder, rows),
        "at-size-bounds": lambda: _bounds(folder, rows),
        "at-size-rows": lambda: _rows(folder, rows, largest),
        "at-size-slices": lambda: _slices(folder, few),
        "at-size-groups": lambda: _counted(folder, rows, "10,000 groups", ["street*house"]),
        "at-size-features": lambda: _counted(folder, rows, "4 wide features, none crossed", _WIDE),
        "at-size-intersections": lambda: _counted(folder, rows, "3 intersections", INTERSECTIONS),
        "at-size-classes": lambda: _counted(folder, rows, "50 classes", ["race"], classes=50),
        "at-size-areas": lambda: _areas(folder, rows),
    }


def _contest(
    key: str, what: str, theirs: str, contenders: tuple[Contender, ...], targets: Sequence[Target], note: str = ""
) -> Contest:
    return Contest(f"at-size-{key}", what, contenders, tuple((theirs, target) for target in targets), note)


def _performance(folder: Path, rows: int) -> Contest:
    options = {"path": str(data.crowd(folder, rows))}
    return _contest(
        "performance",
        f"performance gate, 8 metrics, intervals, {rows:,} rows",
        "scikit-learn by hand",
        (
            Contender("gate", "models_at_size:performance", options),
            Contender(f"gate within {_LOW}", "models_at_size:performance", {**options, "memory_limit": _LOW}),
            Contender("scikit-learn by hand", "performance:sklearn_by_hand", options),
        ),
        (Target("cpu_seconds", at_most=0.4), Target("peak_mb", at_least=2.5)),
        f"At 10 M rows at most 600 MB, and 300 MB within {_LOW}, were to be reached.",
    )


def _bounds(folder: Path, rows: int) -> Contest:
    options = {"path": str(data.crowd(folder, rows))}
    return _contest(
        "bounds",
        f"performance gate, 8 bounds and all that two classes have, {rows:,} rows",
        "8 bounds",
        (
            Contender("all bounds", "models_at_size:performance", {**options, "bounds": 100}),
            Contender("8 bounds", "models_at_size:performance", options),
        ),
        (Target("cpu_seconds", at_most=2),),
    )


def _rows(folder: Path, rows: int, largest: int) -> Contest:
    big, small = str(data.crowd(folder, largest)), str(data.crowd(folder, rows))
    contest = _contest(
        "rows",
        f"memory of the performance gate, {rows:,} rows to {largest:,} rows",
        f"{rows:,} rows",
        (
            Contender(f"{largest:,} rows at most", "models_at_size:performance", {"path": big}),
            Contender(f"{rows:,} rows", "models_at_size:performance", {"path": small}),
        ),
        (Target("peak_mb", at_most=2),),
        "The limit is 512 MB and what is imported.",
    )
    return Contest(contest.key, contest.what, contest.contenders, contest.targets, contest.note, same_answers=False)


def _slices(folder: Path, rows: int) -> Contest:
    options = {"path": str(data.crowd(folder, rows))}
    return _contest(
        "slices",
        f"performance gate, 4 metrics on 1,000 slices, {rows:,} rows",
        "scikit-learn's AUC by slice",
        (
            Contender("gate", "models_at_size:slices", options),
            Contender("scikit-learn's AUC by slice", "models_at_size:slices_by_sklearn", options),
        ),
        (Target("cpu_seconds", at_most=1.4),),
    )


def _counted(folder: Path, rows: int, what: str, features: list[str], classes: int = 2) -> Contest:
    options: dict[str, Any] = {"path": str(data.crowd(folder, rows)), "features": features}
    extra: dict[str, Any] = {}
    if classes > 2:
        options |= {"label": "kind", "prediction": "said"}
        extra = {"task": "multiclass"}
    return _contest(
        {"10,000 groups": "groups", "50 classes": "classes", "3 intersections": "intersections"}.get(what, "features"),
        f"fairness gate, {what}, {rows:,} rows",
        "GROUPING SETS by hand",
        (
            Contender("gate", "models_at_size:fairness", {**options, **extra}),
            Contender("GROUPING SETS by hand", "models_at_size:grouping_sets", {**options, "classes": classes}),
        ),
        (Target("cpu_seconds", at_most=2),),
        "The gate's time has the digest and the resamples in it.",
    )


def _areas(folder: Path, rows: int) -> Contest:
    options = {"path": str(data.crowd(folder, rows))}
    return _contest(
        "areas",
        f"fairness gate, AUC of 20 groups, {rows:,} distinct scores",
        "NumPy, one argsort",
        (
            Contender("gate", "models_at_size:areas", options),
            Contender(f"gate within {_LOW}", "models_at_size:areas", {**options, "memory_limit": _LOW}),
            Contender("NumPy, one argsort", "models_at_size:areas_by_argsort", options),
        ),
        (Target("cpu_seconds", at_most=1.3),),
    )
