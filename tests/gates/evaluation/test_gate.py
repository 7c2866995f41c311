"""Scores of examples against bounds: what passes, what fails, and what is left open."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import parse_bounds
from airflow_mlgov.gates.evaluation.gate import judge_scores
from airflow_mlgov.gates.evaluation.grammar import METRICS, with_default
from airflow_mlgov.gates.evaluation.spec import EvaluationSettings
from airflow_mlgov.results import Check, Outcome, Severity
from tests.codes import raises_code

ROWS = 400


@pytest.fixture
def table() -> pd.DataFrame:
    """Four hundred judged answers: 1 in 100 toxic, relevance around 0.9, two languages, three verdicts."""
    random = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "id": [f"q{at}" for at in range(ROWS)],
            "toxic": np.arange(ROWS) % 100 == 0,
            "relevance": random.beta(9, 1, ROWS),
            "verdict": np.where(
                np.arange(ROWS) % 40 == 0, "harmful", np.where(np.arange(ROWS) % 7 == 0, "mild", "safe")
            ),
            "language": np.where(np.arange(ROWS) % 4 == 0, "de", "en"),
        }
    )


def judged(table, bounds, champion=None, **settings) -> dict[str, Check]:
    parsed = with_default(parse_bounds(bounds, METRICS))
    checks, _ = judge_scores(table, champion, parsed, EvaluationSettings.read(settings))
    return {check.name: check for check in checks}


def test_rates_means_quantiles_and_abstentions(table: pd.DataFrame) -> None:
    found = judged(
        table,
        [
            "toxic_rate<=0.03",
            "relevance_mean>=0.85",
            "relevance_p05>=0.5",
            "verdict_rate[harmful]<=0.05",
            "verdict_rate[mild]<=0.05",
        ],
    )
    assert {name: str(check.outcome) for name, check in found.items()} == {
        "toxic_rate": "PASS",
        "relevance_mean": "PASS",
        "relevance_p05": "PASS",
        "verdict_rate[harmful]": "PASS",
        "verdict_rate[mild]": "FAIL",
        "abstention_rate": "PASS",
    }
    assert found["toxic_rate"].observed == 0.01
    assert found["toxic_rate"].values["interval"]["method"] == "wilson"
    assert found["relevance_mean"].values["interval"]["method"] == "bootstrap BCa"
    assert found["relevance_p05"].values["interval"]["method"] == "order statistics"


def test_an_interval_that_straddles_its_bound_decides_nothing(table: pd.DataFrame) -> None:
    open_end = judged(table, ["toxic_rate<=0.012"])["toxic_rate"]
    assert open_end.outcome is Outcome.INCONCLUSIVE
    assert "more examples" in open_end.detail
    assert judged(table, ["toxic_rate<=0.012"], decide="point")["toxic_rate"].outcome is Outcome.PASS


def test_missing_scores_are_in_no_mean_and_always_in_the_abstention_rate(table: pd.DataFrame) -> None:
    table.loc[: ROWS // 10 - 1, "relevance"] = None
    found = judged(table, ["relevance_mean>=0.5", "toxic_rate<=0.05", "toxic_abstention_rate<=0"])
    assert found["relevance_mean"].values["n"] == 360
    assert found["relevance_mean"].values["missing"] == 40
    assert (found["abstention_rate"].outcome, found["abstention_rate"].observed) == (Outcome.FAIL, 0.1)
    assert found["toxic_abstention_rate"].outcome is Outcome.PASS
    allowed = judged(table, ["relevance_mean>=0.5", "abstention_rate<=0.1"])
    assert allowed["abstention_rate"].outcome is Outcome.PASS


def test_an_example_abstains_if_it_lacks_any_judged_score(table: pd.DataFrame) -> None:
    table.loc[:9, "relevance"] = None
    table["toxic"] = table["toxic"].astype(object)
    table.loc[5:14, "toxic"] = None
    assert judged(table, ["relevance_mean>=0.5", "toxic_rate<=0.05"])["abstention_rate"].observed == 15 / ROWS


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("bound", ["relevance_mean>=0.1", "relevance_p50>=0.1", "relevance_mean>=-1e9"])
def test_scores_that_are_no_numbers_never_pass(table: pd.DataFrame, score: float, bound: str) -> None:
    table["relevance"] = score
    assert next(iter(judged(table, [bound]).values())).outcome in (Outcome.INCONCLUSIVE, Outcome.ERROR)


def test_one_infinite_score_is_an_error(table: pd.DataFrame) -> None:
    table.loc[3, "relevance"] = np.inf
    found = judged(table, ["relevance_p50>=0.1", "toxic_rate<=0.05"])
    assert found["relevance_p50"].outcome is Outcome.ERROR
    assert found["toxic_rate"].outcome is Outcome.PASS
    assert found["abstention_rate"].outcome is Outcome.ERROR


def test_a_score_outside_its_range_is_an_error(table: pd.DataFrame) -> None:
    table.loc[3, "relevance"] = 85
    found = judged(table, ["relevance_mean>=0.5"], ranges={"relevance": [0, 1]})
    assert found["relevance_mean"].outcome is Outcome.ERROR
    assert "1 scores" in found["relevance_mean"].detail


def test_too_few_examples_decide_nothing(table: pd.DataFrame) -> None:
    found = judged(table.head(29), ["toxic_rate<=0.5", "relevance_mean>=0.1"])
    assert {str(found[name].outcome) for name in ("toxic_rate", "relevance_mean")} == {"INCONCLUSIVE"}
    assert judged(table.head(0), ["toxic_rate<=0.5"])["abstention_rate"].outcome is Outcome.INCONCLUSIVE


def test_perfect_scores_pass_if_their_range_is_known(table: pd.DataFrame) -> None:
    table["relevance"] = 1.0
    unknown = judged(table, ["relevance_mean>=0.8"])["relevance_mean"]
    assert unknown.outcome is Outcome.INCONCLUSIVE
    assert "declare ranges of relevance" in unknown.detail
    known = judged(table, ["relevance_mean>=0.8"], ranges={"relevance": [0, 1]})["relevance_mean"]
    assert known.outcome is Outcome.PASS


def test_a_quantile_near_the_end_says_how_many_examples_it_takes(table: pd.DataFrame) -> None:
    found = judged(table, ["relevance_p01>=0.1"])["relevance_p01"]
    assert found.outcome is Outcome.PASS  # 368 suffice
    few = judged(table.head(100), ["relevance_p01>=0.1"])["relevance_p01"]
    assert few.as_dict()["values"]["interval"]["low"] is None  # JSON has no infinity
    assert few.outcome is Outcome.INCONCLUSIVE
    assert "368 are not" in few.detail


def test_a_slip_of_a_categorys_name_does_not_pass(table: pd.DataFrame) -> None:
    slip = judged(table, ["verdict_rate[harmfull]<=0.05"])["verdict_rate[harmfull]"]
    assert slip.outcome is Outcome.INCONCLUSIVE
    assert 'did you mean "harmful"' in slip.detail
    absent = judged(table, ["verdict_rate[illegal]<=0.05"])["verdict_rate[illegal]"]
    assert (absent.outcome, absent.observed) == (Outcome.PASS, 0)
    assert 'no example is "illegal"' in absent.detail
    declared = judged(
        table, ["verdict_rate[harmfull]<=0.05"], categories={"verdict": ["safe", "mild", "harmful", "harmfull"]}
    )
    assert declared["verdict_rate[harmfull]"].outcome is Outcome.PASS


def test_the_worst_slice_is_found(table: pd.DataFrame) -> None:
    found = judged(table, ["toxic_rate_worst_slice<=0.1", "toxic_rate<=0.05"], slices=["language"])
    worst = found["toxic_rate_worst_slice"]
    assert (worst.outcome, worst.observed) == (Outcome.PASS, 0.04)
    assert worst.values["worst"] == "language=de"
    assert (
        judged(table, ["toxic_rate_worst_slice<=0.02"], slices=["language"])["toxic_rate_worst_slice"].outcome
        is Outcome.INCONCLUSIVE
    )


def test_a_slice_without_scores_is_left_out_and_counted(table: pd.DataFrame) -> None:
    table.loc[table.language == "de", "relevance"] = None
    found = judged(table, ["relevance_mean_worst_slice>=0.5", "abstention_rate<=0.3"], slices=["language"])
    worst = found["relevance_mean_worst_slice"]
    assert worst.outcome is Outcome.INCONCLUSIVE
    assert "100 of 400 rows" in worst.detail


def test_few_examples_of_a_slice_are_not_named(table: pd.DataFrame) -> None:
    table.loc[:2, "language"] = "a village"
    found = judged(table, ["toxic_rate_worst_slice<=0.5"], slices=["language"])
    assert "village" not in json.dumps(found["toxic_rate_worst_slice"].as_dict())


def test_the_champion_on_the_same_examples(table: pd.DataFrame) -> None:
    champion = table.assign(relevance=table.relevance * 0.99, toxic=False).sample(frac=1, random_state=1)
    found = judged(
        table,
        ["relevance_mean_vs_champion>=-0.02", "toxic_rate_vs_champion<=0.005", "relevance_p50_vs_champion>=-0.05"],
        champion,
        row_id="id",
    )
    assert found["relevance_mean_vs_champion"].outcome is Outcome.PASS
    assert found["relevance_mean_vs_champion"].values["matched"] == ROWS
    assert found["toxic_rate_vs_champion"].outcome is Outcome.INCONCLUSIVE
    assert found["toxic_rate_vs_champion"].values["interval"]["method"] == "newcombe"
    assert found["relevance_p50_vs_champion"].outcome is Outcome.PASS


def test_examples_that_do_not_match_are_counted_and_bounded(table: pd.DataFrame) -> None:
    champion = table.iloc[4:]
    found = judged(table, ["relevance_mean_vs_champion>=-0.02"], champion, row_id="id")["relevance_mean_vs_champion"]
    assert found.outcome is Outcome.INCONCLUSIVE
    assert (found.values["candidate_only"], found.values["champion_only"]) == (4, 0)
    allowed = judged(table, ["relevance_mean_vs_champion>=-0.02"], champion, row_id="id", max_share_unmatched=0.01)
    assert allowed["relevance_mean_vs_champion"].outcome is Outcome.PASS


def test_pairs_without_a_score_are_bounded(table: pd.DataFrame) -> None:
    champion = table.copy()
    champion.loc[:39, "relevance"] = None
    found = judged(table, ["relevance_mean_vs_champion>=-0.02"], champion, row_id="id")["relevance_mean_vs_champion"]
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.values["without_a_score"] == 40


def test_a_worse_candidate_fails_whatever_does_not_match(table: pd.DataFrame) -> None:
    found = judged(
        table.assign(relevance=table.relevance - 0.3),
        ["relevance_mean_vs_champion>=-0.02"],
        table.iloc[4:],
        row_id="id",
    )
    assert found["relevance_mean_vs_champion"].outcome is Outcome.FAIL


def test_no_champion_yet(table: pd.DataFrame) -> None:
    bound = ["relevance_mean_vs_champion>=-0.02", "toxic_rate<=0.05"]
    recorded = judged(table, bound, row_id="id")["relevance_mean_vs_champion"]
    assert (recorded.outcome, recorded.severity) == (Outcome.INCONCLUSIVE, Severity.INFO)
    failed = judged(table, bound, row_id="id", on_no_champion="fail")["relevance_mean_vs_champion"]
    assert failed.outcome is Outcome.FAIL


def test_a_comparison_needs_names_of_examples(table: pd.DataFrame) -> None:
    with pytest.raises(ConfigurationError) as refused:
        judged(table, ["relevance_mean_vs_champion>=-0.02"], table)
    assert refused.value.code == "setting.missing"


def test_a_champions_column_that_holds_something_else_is_named_as_its(table: pd.DataFrame) -> None:
    champion = table.assign(toxic="maybe")
    with raises_code(ConfigurationError, "score.not_yes_or_no", match="champion's"):
        judged(table, ["toxic_rate_vs_champion<=0.02"], champion, row_id="id")


def test_the_evidence_holds_no_value_of_an_example(table: pd.DataFrame) -> None:
    table.loc[7, "verdict"] = "the customer's name is Erika Mustermann"
    champion = table.iloc[1:]
    parsed = with_default(
        parse_bounds(
            ["verdict_rate[safe]>=0.1", "verdict_rate[saef]<=0.5", "toxic_rate_vs_champion<=0.1", "relevance_p50>=0.1"],
            METRICS,
        )
    )
    checks, details = judge_scores(table, champion, parsed, EvaluationSettings(row_id="id"))
    said = json.dumps([check.as_dict() for check in checks]) + json.dumps(details)
    assert "Erika" not in said
    assert "q7" not in said


def test_the_same_scores_give_the_same_answer_in_any_order(table: pd.DataFrame) -> None:
    bounds = ["relevance_mean>=0.85", "relevance_p50_vs_champion>=-0.1", "relevance_mean_worst_slice>=0.5"]
    champion = table.assign(relevance=table.relevance**1.1)
    shuffled = table.sample(frac=1, random_state=4)
    one = judged(table, bounds, champion, row_id="id", slices=["language"])
    other = judged(shuffled, bounds, champion, row_id="id", slices=["language"])
    for name, check in one.items():
        assert check.observed == pytest.approx(other[name].observed, abs=1e-12)
        assert check.outcome is other[name].outcome
        ends, again = (found.values["interval"] for found in (check, other[name]))
        assert (ends["low"], ends["high"]) == pytest.approx((again["low"], again["high"]), abs=1e-12)
    assert asdict(one["relevance_mean"])["name"] == "relevance_mean"
