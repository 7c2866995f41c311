"""Disparities that others have published, from the counts behind them."""

from __future__ import annotations

import hashlib
import html
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from airflow_mlgov.gates.fairness import estimates
from airflow_mlgov.gates.fairness.resampling import closed_form
from airflow_mlgov.results import Outcome
from tests.worlds.counted import Judge, by_name

LOOSE = {"min_group_size": 1, "min_positives": 1, "min_negatives": 1}


def _outcomes(counts: dict[str, tuple[int, int]]) -> pd.DataFrame:
    """Rows whose label is also what is judged: group -> unfavourable, favourable."""
    rows = [(group, value) for group, cells in counts.items() for value, n in enumerate(cells) for _ in range(n)]
    frame = pd.DataFrame(rows, columns=["sex", "y"])
    return frame.assign(p=frame.y)


@pytest.mark.parametrize(
    ("counts", "difference", "ratio"),
    [
        # UCI German credit: good credit of 310 women and 690 men; of 149 people under 25 and 851 others
        ({"female": (109, 201), "male": (191, 499)}, 0.7232 - 0.6484, 0.6484 / 0.7232),
        ({"youth": (61, 88), "adult": (239, 612)}, 0.128550, 0.821248),
        # UCI Adult, 48,842 rows: more than 50 K
        ({"Female": (14423, 1769), "Male": (22732, 9918)}, 0.1945, 0.360),
        # Stock & Watson's HMDA sample: denied, 28.3 % against 9.3 %
        ({"white": (1852, 189), "black": (243, 96)}, 0.2832 - 0.0926, 0.0926 / 0.2832),
    ],
)
def test_published_disparities(
    judge: Judge, counts: dict[str, tuple[int, int]], difference: float, ratio: float
) -> None:
    bounds = {"demographic_parity_difference": {"max": 1}, "demographic_parity_ratio": {"min": 0}}
    checks = by_name(judge(_outcomes(counts), bounds))
    assert checks["demographic_parity_difference[sex]"].observed == pytest.approx(difference, abs=1e-4)
    assert checks["demographic_parity_ratio[sex]"].observed == pytest.approx(ratio, abs=5e-4)


def test_fairlearns_documentation_example(judge: Judge) -> None:
    """MetricFrame's docstring: accuracy 0.8 and 0.6, selection rate 0.8 and 0.4, differences 0.2 and 0.4."""
    frame = pd.DataFrame(
        {
            "y": [1, 1, 1, 1, 1, 0, 0, 1, 1, 0],
            "p": [0, 1, 1, 1, 1, 0, 0, 0, 1, 1],
            "sex": ["Female"] * 5 + ["Male"] * 5,
        }
    )
    bounds = {"accuracy_difference": {"max": 0.3}, "selection_rate_difference": {"max": 0.3}}
    result = judge(frame, bounds, **LOOSE, decide="point")
    rates = result.details["rates"]["sex"]
    assert [rates[sex]["accuracy"] for sex in ("Female", "Male")] == [0.8, 0.6]
    assert [rates[sex]["selection_rate"] for sex in ("Female", "Male")] == [0.8, 0.4]
    checks = by_name(result)
    assert (checks["accuracy_difference[sex]"].observed, checks["accuracy_difference[sex]"].outcome) == (
        0.2,
        Outcome.PASS,
    )
    assert (checks["selection_rate_difference[sex]"].observed, checks["selection_rate_difference[sex]"].outcome) == (
        0.4,
        Outcome.FAIL,
    )


def test_ten_people_decide_nothing(judge: Judge) -> None:
    """The interval of the same example, by hand: 4 of 5 against 2 of 5."""
    interval = closed_form((2, 5), (4, 5), "difference")
    assert interval.low == pytest.approx(0.4 - 1.959964 * (0.8 * 0.2 / 5 + 0.4 * 0.6 / 5) ** 0.5)
    frame = _outcomes({"Female": (1, 4), "Male": (3, 2)})
    assert judge(frame, {"selection_rate_difference": {"max": 0.3}}, **LOOSE).verdict is Outcome.INCONCLUSIVE


def test_of_many_groups_the_evidence_lists_the_ends_and_binds_all(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    group = np.arange(60 * 300) % 300
    predicted = rng.uniform(size=len(group)) < 0.3 + 0.001 * group
    rows = pd.DataFrame({"sex": [f"g{at}" for at in group], "y": rng.integers(0, 2, len(group)), "p": predicted * 1})
    bounds = {"demographic_parity_difference": {"max": 0.5}, "demographic_parity_ratio": {"min": 0.1}}
    few = judge(rows, bounds, report_dir=str(tmp_path / "report"))
    monkeypatch.setattr(estimates, "MOST_LISTED", 1000)
    every = judge(rows, bounds)
    assert [(c.name, c.outcome, c.observed, c.detail) for c in few.checks] == [
        (c.name, c.outcome, c.observed, c.detail) for c in every.checks
    ]
    assert len(every.details["rates"]["sex"]) == 300
    assert "groups" not in every.details
    listed, said = few.details["rates"]["sex"], few.details["groups"]["sex"]
    assert (said["all"], said["listed"]) == (300, len(listed))
    assert len(listed) < 150
    by_rate = sorted(every.details["rates"]["sex"].items(), key=lambda item: item[1]["selection_rate"])
    assert {by_rate[0][0], by_rate[-1][0]} <= set(listed)
    assert listed == {name: every.details["rates"]["sex"][name] for name in listed}
    (report,) = (tmp_path / "report").iterdir()
    (lines,) = re.findall("<pre>(.*?)</pre>", report.read_text(), re.DOTALL)
    assert hashlib.sha256(html.unescape(lines).encode()).hexdigest() == said["sha256"]
