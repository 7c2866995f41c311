"""Drift against NumPy, SciPy, and numbers worked out by hand."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2, ks_2samp, kstwobign

from airflow_mlgov.data.duck import DuckTable
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.dataset_checks import distributions, drift, run_checks
from airflow_mlgov.gates.dataset_checks.distributions import kolmogorov_smirnov_p
from airflow_mlgov.gates.dataset_checks.drift import jensen_shannon_distance, population_stability_index
from airflow_mlgov.results import Check, Outcome, Severity, json_safe
from tests.codes import raises_code

PASS, FAIL, INCONCLUSIVE, ERROR = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR
ALL = {"psi": {"max": 0.2}, "js": {"max": 0.1}, "ks": {"max": 0.1}}


def compare(folder: Path, reference: Any, data: Any, **given: Any) -> dict[str, Check]:
    """Each check by its name."""
    for name, frame in (("reference", reference), ("data", data)):
        pd.DataFrame(frame).to_parquet(folder / f"{name}.parquet")
    rules = {"reference": str(folder / "reference.parquet"), **(given or ALL)}
    result = run_checks(str(folder / "data.parquet"), {"drift": rules})
    return {check.name: check for check in result.checks}


# -- the statistics ---------------------------------------------------------------------------------------------------


def test_psi_of_a_credit_scorecard_by_hand() -> None:
    """Shares 10, 20, 40, 20, 10 % against 8, 15, 40, 22, 15 %: each bin's part worked out on paper."""
    parts = [
        -0.02 * math.log(0.8),  # 0.004463
        -0.05 * math.log(0.75),  # 0.014384
        0.0,
        0.02 * math.log(1.1),  # 0.001906
        0.05 * math.log(1.5),  # 0.020273
    ]
    assert population_stability_index([100, 200, 400, 200, 100], [80, 150, 400, 220, 150]) == pytest.approx(sum(parts))
    assert sum(parts) == pytest.approx(0.041026, abs=5e-7)


def test_psi_counts_a_bin_that_one_side_lacks_as_half_a_row_and_one_that_both_lack_not_at_all() -> None:
    by_hand = (0.5 - 1.0) * math.log(0.5 / 1.0) + (0.5 - 0.5 / 100) * math.log(0.5 / (0.5 / 100))
    assert population_stability_index([100, 0, 0], [50, 50, 0]) == pytest.approx(by_hand)
    assert math.isnan(population_stability_index([0, 0], [1, 2]))


@pytest.mark.parametrize(
    ("p", "q"), [([1, 0], [0, 1]), ([1, 1], [1, 1]), ([10, 20, 70], [30, 30, 40]), ([5, 0], [1, 4])]
)
def test_js_is_scipys_distance_in_bits(p: list[int], q: list[int]) -> None:
    assert jensen_shannon_distance(p, q) == pytest.approx(float(jensenshannon(p, q, base=2)), abs=1e-12)


def test_js_is_a_distance_and_not_a_divergence() -> None:
    assert jensen_shannon_distance([7, 0], [0, 3]) == 1.0
    half = [(50, 50), (100, 0)]  # divergence by hand: h(3/4) - h(1/2)/2 = 0.811278 - 0.5
    assert jensen_shannon_distance(*half) == pytest.approx(math.sqrt(0.8112781 - 0.5), abs=1e-7)
    assert math.isnan(jensen_shannon_distance([], [1]))


def test_the_p_value_tends_to_kolmogorovs_distribution() -> None:
    n = m = 20_000
    for d in (0.005, 0.01, 0.02):
        assert kolmogorov_smirnov_p(d, n, m) == pytest.approx(kstwobign.sf(d * math.sqrt(n * m / (n + m))), rel=0.05)


@pytest.mark.parametrize("cells", [2, 5, 11, 50])
def test_what_chance_gives_is_the_chi_square_point(cells: int) -> None:
    exact = chi2.ppf(0.95, cells - 1) * (1 / 700 + 1 / 300)
    assert drift._psi_by_chance(cells, 700, 300) == pytest.approx(exact, rel=0.03)


def test_one_in_twenty_comparisons_without_drift_exceeds_what_chance_gives() -> None:
    random = np.random.default_rng(3)
    shares, chance = np.full(10, 0.1), drift._psi_by_chance(10, 2_000, 1_000)
    psi = [
        population_stability_index(
            random.multinomial(2_000, shares).tolist(), random.multinomial(1_000, shares).tolist()
        )
        for _ in range(2_000)
    ]
    assert 0.035 < np.mean(np.array(psi) > chance) < 0.065


# -- over files ---------------------------------------------------------------------------------------------------


def samples(kind: str) -> tuple[Any, Any]:
    random = np.random.default_rng(11)
    if kind == "normal":
        return random.normal(0, 1, 30_000), random.normal(0.15, 1.1, 20_000)
    if kind == "same":
        return random.normal(0, 1, 30_000), random.normal(0, 1, 25_000)
    if kind == "ties":
        return random.poisson(3, 5_000), random.poisson(4, 3_000)
    if kind == "spike":
        return np.where(random.random(9_000) < 0.7, 0.0, random.lognormal(0, 2, 9_000)), random.lognormal(0, 2, 4_000)
    if kind == "infinite":
        extremes = [-math.inf, math.inf, -0.0, 5e-324, 1.7e308]
        return np.r_[random.normal(0, 1, 400), extremes * 9], np.r_[random.normal(0, 1, 300), extremes * 30]
    return np.arange(2_000), np.arange(2_000)[::-1].copy()


NOTHING_FITS = 10**12
"""Times that a column would be held; then it is counted in a grid."""


@pytest.mark.parametrize("grid", [0, 500, 7])
@pytest.mark.parametrize("kind", ["normal", "same", "ties", "spike", "infinite", "identical"])
def test_ks_is_scipys_with_n_and_p(kind: str, grid: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if grid:
        monkeypatch.setattr(distributions, "_SORTING", NOTHING_FITS)
        monkeypatch.setattr(DuckTable, "most_cells", grid)  # a coarse grid leaves more to the second look
        monkeypatch.setattr(distributions, "_SPAN_ROWS", 4_000 * grid)
    else:
        monkeypatch.setattr(distributions, "_AT_ONCE", 1_000)
    reference, data = samples(kind)
    check = compare(tmp_path, {"x": reference}, {"x": data}, ks={"max": 0.1})["drift_ks(x)"]
    expected = ks_2samp(reference, data, method="asymp")
    assert check.observed == pytest.approx(float(expected.statistic), abs=1e-12)
    assert check.values["p_value"] == pytest.approx(float(expected.pvalue), rel=1e-6, abs=1e-300)
    assert (check.values["n_reference"], check.values["n"]) == (len(reference), len(data))


numbers = st.lists(
    st.one_of(st.none(), st.integers(-3, 3), st.floats(allow_nan=True, width=32)), min_size=1, max_size=60
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reference=numbers, data=numbers, grid=st.sampled_from([1, 3, 500]))
@pytest.mark.filterwarnings("ignore:divide by zero")  # SciPy, of one row a side
def test_ks_of_any_numbers(
    reference: list[Any], data: list[Any], grid: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DuckTable, "most_cells", grid)
    frames = [pd.DataFrame({"x": pd.Series(side, dtype="float64")}) for side in (reference, data)]
    sorted_ones = compare(tmp_path, *frames, **ALL, min_rows=1, bins=4)
    with monkeypatch.context() as patch:
        patch.setattr(distributions, "_SORTING", NOTHING_FITS)
        assert repr(compare(tmp_path, *frames, **ALL, min_rows=1, bins=4)) == repr(sorted_ones)
    check = sorted_ones["drift_ks(x)"]
    known = [frame["x"].dropna() for frame in frames]
    assert (check.values["n_reference"], check.values["n"]) == (len(known[0]), len(known[1]))
    if min(map(len, known)):
        assert check.observed == pytest.approx(float(ks_2samp(*known, method="asymp").statistic), abs=1e-12)
    else:
        assert check.outcome is INCONCLUSIVE


@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize("kind", ["normal", "ties"])
def test_numbers_are_binned_by_the_references_quantiles(
    kind: str, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fits:
        monkeypatch.setattr(distributions, "_SORTING", NOTHING_FITS)
    reference, data = samples(kind)
    check = compare(tmp_path, {"x": reference}, {"x": data}, psi={"max": 0.2}, js={"max": 0.1}, bins=5)
    quantiles = np.quantile(reference, [0.2, 0.4, 0.6, 0.8], method="inverted_cdf")
    edges = sorted({*quantiles, *(np.nextafter(b, -np.inf) for a, b in pairwise(quantiles) if a == b)})
    counts = [
        np.bincount(np.searchsorted(edges, side, side="left"), minlength=len(edges) + 1) for side in (reference, data)
    ]
    assert check["drift_psi(x)"].observed == pytest.approx(population_stability_index(*(c.tolist() for c in counts)))
    assert check["drift_js(x)"].observed == pytest.approx(float(jensenshannon(*counts, base=2)))


def test_a_value_that_most_rows_have_is_a_bin_of_its_own(tmp_path: Path) -> None:
    """Quantiles alone would put every row at or below the value into one bin, and see no drift there."""
    reference = np.r_[np.zeros(50), np.ones(950)]
    data = np.r_[np.zeros(600), np.ones(400)]
    checks = compare(tmp_path, {"flag": reference}, {"flag": data})
    by_hand = population_stability_index([50, 950], [600, 400])
    assert checks["drift_psi(flag)"].observed == pytest.approx(by_hand)
    assert checks["drift_psi(flag)"].outcome is checks["drift_ks(flag)"].outcome is FAIL
    assert checks["drift_ks(flag)"].observed == pytest.approx(0.55)


def test_missing_values_are_a_bin_of_their_own(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    reference, data = random.normal(0, 1, 1_000), random.normal(0, 1, 1_000)
    data[:300] = math.nan
    checks = compare(tmp_path, {"x": reference}, {"x": data}, **ALL)
    psi, ks = checks["drift_psi(x)"], checks["drift_ks(x)"]
    assert (psi.outcome, ks.outcome) == (FAIL, PASS)
    assert (psi.values["missing_share"], psi.values["reference_missing_share"]) == (0.3, 0.0)
    assert ks.values["n"] == 700


def test_categories_are_counted_by_value_and_new_ones_together(tmp_path: Path) -> None:
    reference = {"job": ["a"] * 500 + ["b"] * 300 + [None] * 200}
    data = {"job": ["a"] * 400 + ["b"] * 300 + ["c"] * 60 + ["d"] * 40 + [None] * 200}
    checks = compare(tmp_path, reference, data, psi={"max": 0.2}, js={"max": 0.5})
    psi = checks["drift_psi(job)"]
    assert psi.observed == pytest.approx(population_stability_index([500, 300, 0, 200], [400, 300, 100, 200]))
    assert checks["drift_js(job)"].observed == pytest.approx(
        float(jensenshannon([500, 300, 0, 200], [400, 300, 100, 200], base=2))
    )
    assert (psi.outcome, psi.values["new_categories"], psi.values["new_category_share"]) == (FAIL, 2, 0.1)
    assert not {"a", "b", "c", "d"} & set(str(json_safe(psi.as_dict())).replace("'", " ").split())


def test_an_id_drifts_unless_it_is_excluded(tmp_path: Path) -> None:
    reference, data = {"id": [f"r{i}" for i in range(900)]}, {"id": [f"d{i}" for i in range(900)]}
    assert compare(tmp_path, reference, data, psi={"max": 0.2})["drift_psi(id)"].outcome is FAIL
    more = ({**reference, "x": range(900)}, {**data, "x": range(900)})
    checks = compare(tmp_path, *more, psi={"max": 0.2}, exclude=["id"])
    assert set(checks) == {"drift_columns", "drift_psi(x)"}
    assert checks["drift_columns"].values["left_out"] == {"id": "excluded"}


def test_rare_categories_of_the_reference_are_one_bin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "_CATEGORIES", 2)
    reference = {"job": ["a"] * 50 + ["b"] * 40 + ["c"] * 20 + ["d"] * 10}
    data = {"job": ["a"] * 50 + ["b"] * 40 + ["c"] * 5 + ["d"] * 25}
    assert compare(tmp_path, reference, data, psi={"max": 0.2})["drift_psi(job)"].observed == 0


def test_the_same_data_has_no_drift_however_it_is_stored(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    frame = pd.DataFrame(
        {
            "x": random.normal(0, 1, 500).round(3),
            "flag": random.random(500) < 0.2,
            "job": random.choice(["a", "b"], 500),
        }
    )
    frame.to_csv(tmp_path / "reference.csv", index=False)
    frame.sample(frac=1, random_state=1).to_parquet(tmp_path / "data.parquet")
    rules = {"reference": str(tmp_path / "reference.csv"), **ALL}
    result = run_checks(str(tmp_path / "data.parquet"), {"drift": rules})
    observed = {check.name: check.observed for check in result.checks}
    assert observed == {
        "drift_columns": 0, "drift_psi(x)": 0, "drift_psi(flag)": 0, "drift_psi(job)": 0, "drift_js(x)": 0,
        "drift_js(flag)": 0, "drift_js(job)": 0, "drift_ks(x)": 0,
    }  # fmt: skip
    assert [item.name for item in result.inputs] == [str(tmp_path / "reference.csv")]
    assert result.inputs[0].kind == "dataset"
    assert len(result.inputs[0].digest) == 64


# -- what decides nothing -----------------------------------------------------------------------------------------


def test_too_few_rows_decide_nothing(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    checks = compare(tmp_path, {"x": random.normal(0, 1, 1_000)}, {"x": random.normal(3, 1, 99)})
    assert {check.outcome for name, check in checks.items() if name != "drift_columns"} == {INCONCLUSIVE}
    assert "at least 100" in checks["drift_psi(x)"].detail
    checks = compare(tmp_path, {"x": random.normal(0, 1, 1_000)}, {"x": random.normal(3, 1, 99)}, **ALL, min_rows=50)
    assert {check.outcome for name, check in checks.items() if name != "drift_columns"} == {FAIL}


def test_what_chance_alone_gives_is_no_drift(tmp_path: Path) -> None:
    random = np.random.default_rng(8)
    frames = {"x": random.normal(0, 1, 150)}, {"x": random.normal(0, 1, 150)}
    checks = compare(tmp_path, *frames, psi={"max": 0.0001}, ks={"max": 0.0001})
    for name in ("drift_psi(x)", "drift_ks(x)"):
        assert checks[name].outcome is INCONCLUSIVE
        assert checks[name].observed < checks[name].values["by_chance"]
        assert "chance alone" in checks[name].detail


def test_no_rows_and_no_values_decide_nothing(tmp_path: Path) -> None:
    full, empty = pd.DataFrame({"x": np.arange(500.0)}), pd.DataFrame({"x": pd.Series([], dtype=float)})
    nothing = pd.DataFrame({"x": pd.Series([None] * 500, dtype=float)})
    for reference, data in ((full, empty), (empty, full), (empty, empty)):
        checks = compare(tmp_path, reference, data)
        assert {check.outcome for name, check in checks.items() if "(" in name} == {INCONCLUSIVE}
        assert all(check.as_dict() for check in checks.values())
    checks = compare(tmp_path, full, nothing)
    assert (checks["drift_psi(x)"].outcome, checks["drift_ks(x)"].outcome) == (FAIL, INCONCLUSIVE)


def test_a_column_that_went_missing_fails_and_a_new_one_is_told(tmp_path: Path) -> None:
    column = np.arange(300.0)
    checks = compare(
        tmp_path, {"x": column, "gone": column}, {"x": column, "new": column}, psi={"max": 0.2, "severity": "warning"}
    )
    assert checks["drift_columns"].outcome is FAIL
    assert checks["drift_columns"].severity is checks["drift_psi(x)"].severity is Severity.WARNING
    assert checks["drift_columns"].values == {"missing": ["gone"], "new": ["new"], "left_out": {}}


def test_a_column_of_another_type_is_an_error(tmp_path: Path) -> None:
    checks = compare(tmp_path, {"x": np.arange(300.0)}, {"x": ["a"] * 300})
    assert {checks[f"drift_{name}(x)"].outcome for name in ALL} == {ERROR}
    assert "VARCHAR here and DOUBLE in the reference" in checks["drift_psi(x)"].detail
    checks = compare(tmp_path, {"x": [[1]] * 300, "y": range(300)}, {"x": [[1]] * 300, "y": range(300)}, psi={"max": 1})
    assert checks["drift_psi(x)"].outcome is ERROR
    assert "exclude it" in checks["drift_psi(x)"].detail


def test_points_in_time_are_compared_only_where_they_are_named(tmp_path: Path) -> None:
    times = {"at": pd.date_range("2024-01-01", periods=400, freq="h"), "x": np.arange(400.0)}
    later = {"at": pd.date_range("2024-02-01", periods=400, freq="h"), "x": np.arange(400.0)}
    checks = compare(tmp_path, times, later)
    assert "drift_ks(at)" not in checks
    assert "moves by itself" in checks["drift_columns"].values["left_out"]["at"]
    checks = compare(tmp_path, times, later, **ALL, columns=["at"])
    assert checks["drift_ks(at)"].outcome is FAIL
    assert checks["drift_ks(at)"].observed == 1.0


@pytest.mark.parametrize(
    ("rules", "code", "words"),
    [
        ({}, "bound.missing", ""),
        ({"psi": {"max": 0.2, "maximum": 1}}, "bound.form", "unknown keys maximum"),
        ({"psi": {"min": 0.2}}, "bound.form", r"psi: {max: 0.2}"),
        ({"psi": 0.2}, "bound.form", ""),
        ({"psi": {"max": 0.2}, "colums": ["x"]}, "setting.unknown", "unknown key 'colums'; did you mean 'columns'"),
        ({"psi": {"max": 0.2}, "columns": ["xx"]}, "column.missing", 'no column "xx"'),
        ({"psi": {"max": 0.2}, "exclude": ["y"]}, "column.missing", 'no column "y"'),
        ({"psi": {"max": 0.2}, "exclude": ["x"]}, "checks.no_column", ""),
        ({"psi": {"max": 0.2}, "columns": "x"}, "setting.wrong", ""),
        ({"psi": {"max": 0.2}, "bins": 1}, "setting.wrong", ""),
        ({"psi": {"max": 0.2}, "bins": 2.5}, "setting.wrong", ""),
        ({"psi": {"max": 0.2}, "min_rows": 0}, "setting.wrong", ""),
        ({"psi": {"max": math.nan}}, "bound.not_a_number", ""),
    ],
)
def test_settings_that_do_not_hold(rules: dict[str, Any], code: str, words: str, tmp_path: Path) -> None:
    with raises_code(ConfigurationError, code, words):
        compare(tmp_path, {"x": range(200)}, {"x": range(200)}, **{"bins": 10, **rules})


def test_ks_alone_needs_numbers(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "checks.no_column"):
        compare(tmp_path, {"x": ["a"] * 200}, {"x": ["a"] * 200}, ks={"max": 0.1})


def test_ks_alone_says_which_columns_it_cannot_judge(tmp_path: Path) -> None:
    before, now = {"x": range(200), "grade": ["a"] * 200}, {"x": range(200), "grade": ["b"] * 200}
    named = compare(tmp_path, before, now, ks={"max": 0.1}, columns=["x", "grade"])
    assert named["drift_ks(x)"].outcome is Outcome.PASS
    assert named["drift_ks(grade)"].outcome is Outcome.ERROR
    left_out = compare(tmp_path, before, now, ks={"max": 0.1})
    assert "drift_ks(grade)" not in left_out
    (scope,) = (check for check in left_out.values() if "grade" in str(check.as_dict()))
    for check in (named["drift_ks(grade)"], scope):
        assert "psi or js" in str(check.as_dict())


def test_a_file_is_not_compared_with_itself(tmp_path: Path) -> None:
    pd.DataFrame({"x": range(200)}).to_csv(tmp_path / "a.csv", index=False)
    path = str(tmp_path / "a.csv")
    with raises_code(ConfigurationError, "reference.same"):
        run_checks(path, {"drift": {"reference": path, **ALL}})


def test_neither_an_edge_nor_a_value_gets_into_the_evidence(tmp_path: Path) -> None:
    secret = 48_151.62342
    frames = {"pay": [secret] * 150 + list(range(150))}, {"pay": [secret] * 20 + list(range(280))}
    checks = compare(tmp_path, *frames)
    assert "48151" not in str([json_safe(check.as_dict()) for check in checks.values()])
