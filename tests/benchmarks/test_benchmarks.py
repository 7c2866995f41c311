"""The benchmarks' contenders do the same job: they give the same answers. Nothing here is about time."""

from __future__ import annotations

import ast
import os
from dataclasses import replace
from pathlib import Path

import pytest

import benchmarks
from airflow_mlgov.provider_info import get_provider_info
from benchmarks import __main__ as command
from benchmarks import spark
from benchmarks.contests import Sizes, cache_folder, contests
from benchmarks.environments import is_built
from benchmarks.measure import Contender, Contest, Measured, Run, Target, differing, measure
from benchmarks.table import render

SIZES = Sizes(rows=40_000, largest=40_000)
ENVIRONMENTS = cache_folder() / "environments"
DAGS = Path(benchmarks.__file__).parent / "dags"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


def _measured(contest: Contest) -> Measured:
    """The contest among those who are installed: no environment is built for a test."""
    there = [each for each in contest.contenders if is_built(each.environment, ENVIRONMENTS)]
    return measure(replace(contest, contenders=there), 1, ENVIRONMENTS, print, warm_up=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "key",
    [
        "fairness-20",
        "fairness-400",
        "two-groups",
        "intervals",
        "data",
        "cold-performance",
        "cold-task",
        "parse",
        "wide",
        "many",
        "csv",
        "csv-gz",
        "folders",
        "drift",
        "overlap",
        "cluster-policy-median",
        "start-help",
        "start-gate",
        "start-pack",
        "release-decision",
        "release-ledger",
        "ledger-full",
        "release-files",
    ],
)
def test_all_give_the_same_answers(key: str, folder: Path) -> None:
    measured = _measured(contests(folder, SIZES)[key]())
    assert measured.broken == {}
    assert measured.unlike == []
    (runs,) = measured.rounds
    assert list(runs) == [each.name for each in measured.contest.contenders]
    for run in runs.values():
        assert run.answer
        assert run.work_seconds > 0
        assert 0 < run.import_seconds < run.total_seconds
        assert run.peak_mb > 10


@pytest.mark.slow
@pytest.mark.parametrize("key", ["spark-data", "spark-fairness"])
def test_spark_gives_the_same_answers(
    key: str, folder: Path, spark_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark, "server", lambda: {"url": spark_server, "pid": os.getpid()})
    test_all_give_the_same_answers(key, folder)


@pytest.mark.slow
def test_the_answers_are_whole(folder: Path) -> None:
    """Enough is compared: six metrics of every group, and every expectation that counts values."""
    runs = _measured(contests(folder, SIZES)["memory-fairness"]()).rounds[0]
    assert len(next(iter(runs.values())).answer) == 20 * 6 + 6
    runs = _measured(contests(folder, SIZES)["memory-data"]()).rounds[0]
    answer = next(iter(runs.values())).answer
    assert answer["verdict"] == "PASS"
    assert len(answer) == 12
    assert answer["expect_column_values_to_not_be_null(age)"] > 0
    assert answer["expect_column_values_to_match_regex(email)"] > 0


def test_the_dag_has_every_operator() -> None:
    tree = ast.parse((DAGS / "every_operator.py").read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    info = get_provider_info()
    modules = {name for part in ("operators", "sensors") for item in info[part] for name in item["python-modules"]}
    assert modules <= imported


def test_a_target_is_met_or_not() -> None:
    faster, no_slower = Target("work_seconds", at_least=10), Target("peak_mb", at_most=1.5)
    assert faster.ratio(ours=2.0, theirs=30.0) == 15
    assert no_slower.ratio(ours=30.0, theirs=20.0) == 1.5
    assert [faster.is_met(10), faster.is_met(9.9), no_slower.is_met(1.5), no_slower.is_met(1.6)] == [
        True,
        False,
        True,
        False,
    ]


def test_answers_are_compared_where_they_meet() -> None:
    assert differing({"a": 1.0, "b": 2}, {"a": 1.0 + 1e-12, "c": 3}) == ""
    assert differing({"a": 1.0}, {"a": 1.001}) == "a is 1.0 and 1.001"
    assert differing({"a": "PASS"}, {"a": "FAIL"}) == "a is 'PASS' and 'FAIL'"
    assert differing({"a": None}, {"a": 0.0}) == "a is None and 0.0"
    assert differing({"a": 1}, {"b": 1}) == "they have no answer in common"


def _run(work: float, answer: float) -> Run:
    return Run(
        import_seconds=0.1,
        work_seconds=work,
        total_seconds=work + 0.2,
        cpu_seconds=work,
        peak_mb=100.0,
        answer={"x": answer},
    )


def _contest() -> Contest:
    contenders = (
        Contender("gate", "fairness:gate"),
        Contender("other", "x:y"),
        Contender("third", "x:z", {}, "aif360"),
    )
    target = Target("work_seconds", at_least=3)
    return Contest("key", "a job", contenders, (("other", target), ("third", target)))


def test_the_table_has_medians_of_the_ratios_and_who_is_missing() -> None:
    rounds = [{"gate": _run(1, 5), "other": _run(work, 5)} for work in (2, 4, 9)]
    shown = render([Measured(_contest(), rounds, {"third": "no package index"}, {})], "make bench")
    assert "| a job | other | work, s | 1 | 4 | 4.00x | >= 3x | met |" in shown
    assert "| a job | third | work, s | | | | >= 3x | not installable here: no package index |" in shown
    assert "| a job | other | 0.10 | 4.00 | 4.20 | 4.00 | 100 | 3 |" in shown


def test_unlike_answers_are_named_and_end_with_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unlike(contest: Contest, *_: object) -> Measured:
        return Measured(contest, [{"gate": _run(1, 5), "other": _run(2, 6)}], {}, {})

    monkeypatch.setattr(command, "contests", lambda *_: {"key": _contest})
    monkeypatch.setattr(command, "measure", unlike)
    out = tmp_path / "table.md"
    assert command.main(["--quick", "--folder", str(tmp_path), "--out", str(out)]) == 1
    assert "**answers differ**, a job: gate and other: x is 5 and 6" in out.read_text()
    assert command.main(["--only", "nothing", "--folder", str(tmp_path)]) == 2


def test_a_contender_that_dies_is_named() -> None:
    contest = replace(_contest(), contenders=(Contender("gate", "nowhere:gate"),))
    measured = measure(contest, 2, ENVIRONMENTS, print)
    assert measured.broken == {"gate": "ModuleNotFoundError: No module named 'benchmarks.nowhere'"}
    assert all(runs == {} for runs in measured.rounds)
