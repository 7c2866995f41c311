"""Where the rows are does not matter: csv, parquet, SQLite, PostgreSQL; any type; a champion beside the candidate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fairlearn.metrics as fm
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlgov.data.database import SqlSource
from airflow_mlgov.data.fingerprint import aggregate_subject
from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError
from airflow_mlgov.gates.fairness import counting, evaluate_fairness
from airflow_mlgov.results import GateResult, Outcome
from tests.codes import raises_code
from tests.fixtures.postgres import PASSWORD
from tests.worlds.counted import MODEL, Judge, by_name, rows_of

SETTINGS: dict[str, Any] = {"label": "y", "prediction": "p", "sensitive_features": ["sex"]}
BOUNDS = ["demographic_parity_ratio>=0.8", "equalized_odds_difference<=0.2"]


@pytest.fixture
def frame() -> pd.DataFrame:
    generator = np.random.default_rng(3)
    frame = pd.DataFrame({"id": np.arange(3000), "sex": generator.choice(["f", "m"], 3000)})
    frame["race"] = generator.choice(["a", "b", "ü*"[:1]], 3000)
    frame["y"] = generator.integers(0, 2, 3000)
    frame["s"] = np.clip(generator.normal(0.4 + 0.2 * frame.y, 0.2), 0, 1).round(2)
    frame["p"] = (frame.s >= 0.5).astype(int)
    return frame


def _numbers(result: GateResult) -> list[tuple[str, Any, Outcome]]:
    return [(check.name, check.observed, check.outcome) for check in result.checks]


# --- one answer wherever the rows are


def test_files_and_databases_give_the_same(frame: pd.DataFrame, tmp_path: Path, postgres: str) -> None:
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    (tmp_path / "parts").mkdir()
    for part in range(3):
        frame.iloc[part::3].to_parquet(tmp_path / "parts" / f"{part}.parquet", index=False)
    frame.to_sql("scored", sa.create_engine(f"sqlite:///{tmp_path / 'a.db'}"), index=False)
    server = sa.create_engine(sa.make_url(postgres).set(password=PASSWORD))
    frame.to_sql("scored", server, index=False, if_exists="replace")
    bounds = {
        **{
            name: {"min": 0} for name in ("demographic_parity_ratio", "equalized_odds_difference", "roc_auc_difference")
        },
        **{
            name: {"min": -1}
            for name in ("expected_calibration_error_group_max", "calibration_in_the_large_difference")
        },
    }
    settings = {**SETTINGS, "score": "s", "sensitive_features": ["sex", "sex*race"]}
    sources: list[Any] = [str(tmp_path / name) for name in ("a.csv", "a.parquet", "parts", "parts/*.parquet")]
    sources += [
        SqlSource(f"sqlite:///{tmp_path / 'a.db'}", table="scored"),
        SqlSource(postgres, table="scored", password=PASSWORD),
        SqlSource(postgres, query="SELECT * FROM scored WHERE id >= 0", password=PASSWORD),
    ]
    first, *others = [evaluate_fairness(source, subject=MODEL, bounds=bounds, **settings) for source in sources]
    assert first.verdict is Outcome.PASS
    for other in others:
        for mine, theirs in zip(first.checks, other.checks, strict=True):
            assert (mine.name, mine.outcome) == (theirs.name, theirs.outcome)
            assert theirs.observed == pytest.approx(mine.observed, abs=1e-9)
        assert other.evaluation_digest == first.evaluation_digest
        assert other.details["counts"] == first.details["counts"]
    assert len({result.inputs[0].digest for result in others[3:]}) == 1
    assert all(PASSWORD not in repr(result) for result in others)


def test_the_limit_of_combinations_is_one_of_each_feature(
    frame: pd.DataFrame, tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features that are many together are counted apart: by GROUPING SETS, or by a query each."""
    frame = frame.assign(street=[f"s{at % 7}" for at in range(len(frame))], age=[20 + at % 50 for at in frame.id])
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    frame.to_sql("wide", sa.create_engine(f"sqlite:///{tmp_path / 'a.db'}"), index=False)
    server = sa.create_engine(sa.make_url(postgres).set(password=PASSWORD))
    frame.to_sql("wide", server, index=False, if_exists="replace")
    sources = [
        str(tmp_path / "a.parquet"),
        SqlSource(f"sqlite:///{tmp_path / 'a.db'}", table="wide"),
        SqlSource(postgres, table="wide", password=PASSWORD),
    ]
    features = ["sex", "street", "age", "sex*street"]
    settings: dict[str, Any] = {**SETTINGS, "sensitive_features": features, "bins": {"age": [30, 60]}}
    together = [evaluate_fairness(source, subject=MODEL, bounds=BOUNDS, **settings) for source in sources]
    monkeypatch.setattr(counting, "LIMIT", 2 * 7 * 4)
    for source, expected in zip(sources, together, strict=True):
        apart = evaluate_fairness(source, subject=MODEL, bounds=BOUNDS, **settings)
        assert apart.checks == expected.checks
        assert apart.evaluation_digest == expected.evaluation_digest
        assert {**apart.details, "counts": None} == {**expected.details, "counts": None}
    del settings["bins"], settings["sensitive_features"]
    plain: dict[str, Any] = {**settings, "sensitive_features": ["sex", "street", "race"]}
    found = [evaluate_fairness(source, subject=MODEL, bounds=BOUNDS, **plain) for source in sources]
    monkeypatch.setattr(counting, "LIMIT", 200_000)
    whole = evaluate_fairness(sources[0], subject=MODEL, bounds=BOUNDS, **plain)
    assert {result.evaluation_digest for result in found} == {whole.evaluation_digest}
    with raises_code(ConfigurationError, "group.too_many"):
        monkeypatch.setattr(counting, "LIMIT", 10)
        evaluate_fairness(sources[0], subject=MODEL, bounds=BOUNDS, **plain)


def test_a_database_counts_itself(frame: pd.DataFrame, tmp_path: Path) -> None:
    """What is asked of it is an aggregate: as many rows come back as there are cells."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    frame.to_sql("scored", sa.create_engine(url), index=False)
    with counting.open_pair(SqlSource(url, table="scored"), None, "1GB") as pair:
        cells = counting.count_cells(pair, counting.Columns("y", "p"), ["sex", "race"])
    assert len(cells.rows) <= 2 * 3 * 4
    assert cells.total == 3000
    before = aggregate_subject("scored", cells.table)
    frame.assign(p=1 - frame.p).to_sql("scored", sa.create_engine(url), index=False, if_exists="replace")
    with counting.open_pair(SqlSource(url, table="scored"), None, "1GB") as pair:
        again = counting.count_cells(pair, counting.Columns("y", "p"), ["sex", "race"])
    assert aggregate_subject("scored", again.table).digest != before.digest
    assert again.case_digest == cells.case_digest


def test_no_row_leaves_a_database_that_counts_also_where_no_model_is_named(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The subject is then what was counted, and changes with it."""
    source = SqlSource(f"sqlite:///{tmp_path / 'a.db'}", table="scored")
    monkeypatch.setattr(SqlSource, "stream", lambda _: pytest.fail("a row was read"))
    digests = set()
    for predicted in (frame.p, 1 - frame.p):
        frame.assign(p=predicted).to_sql("scored", sa.create_engine(source.url), index=False, if_exists="replace")
        result = evaluate_fairness(source, bounds=BOUNDS, **SETTINGS)
        assert (result.subject.kind, result.subject.name) == ("dataset", source.name)
        digests.add(result.subject.digest)
    assert len(digests) == 2


def test_text_with_a_blank_behind_it_is_another_group(frame: pd.DataFrame, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    frame["sex"] = np.where((frame.sex == "m") & (frame.id % 2 == 0), "m ", frame.sex)
    frame.to_sql("scored", sa.create_engine(url), index=False)
    settings = {**SETTINGS, "score": "s"}
    counted = evaluate_fairness(SqlSource(url, table="scored"), subject=MODEL, bounds=BOUNDS, **settings)
    ranked = evaluate_fairness(
        SqlSource(url, table="scored"), subject=MODEL, bounds=["roc_auc_difference<=0.5"], **settings
    )
    for result in (counted, ranked):
        assert set(result.details["rates"]["sex"]) == {"f", "m", "m "}


def test_databases_that_refuse_or_are_down(postgres: str) -> None:
    server = sa.create_engine(sa.make_url(postgres).set(password=PASSWORD))
    pd.DataFrame({"y": [0, 1], "p": [0, 1], "sex": ["f", "m"]}).to_sql("tiny", server, index=False, if_exists="replace")

    def judged(**source: Any) -> GateResult:
        return evaluate_fairness(SqlSource(**source), subject=MODEL, bounds=BOUNDS, **SETTINGS)

    with raises_code(ConfigurationError, "column.missing", match=r'no column "sexx".*did you mean "sex"'):
        evaluate_fairness(
            SqlSource(postgres, table="tiny", password=PASSWORD),
            subject=MODEL,
            bounds=BOUNDS,
            **{**SETTINGS, "sensitive_features": ["sexx"]},
        )
    with raises_code(ConfigurationError, "database.query"):
        judged(url=postgres, table="nowhere", password=PASSWORD)
    with pytest.raises(AccessError) as refused:
        judged(url=postgres, table="tiny", password="wrong-secret")
    assert "wrong-secret" not in str(refused.value)
    with pytest.raises(DependencyError):
        judged(url="postgresql+psycopg://postgres@127.0.0.1:1/postgres", table="tiny", password="x")
    with raises_code(ConfigurationError, "file.missing"):
        evaluate_fairness(
            SqlSource(postgres, table="tiny", password=PASSWORD),
            subject=MODEL,
            bounds=BOUNDS,
            baseline="a.csv",
            **SETTINGS,
        )


def test_a_baseline_of_another_kind_stands_beside_any_data(frame: pd.DataFrame, tmp_path: Path) -> None:
    """A table, a file and a frame are joined where all three can be read, and say the same."""
    other = frame.assign(p=(frame.s >= 0.4).astype(int))
    url = f"sqlite:///{tmp_path / 'a.db'}"
    for name, rows in (("mine", frame), ("theirs", other)):
        rows.to_sql(name, sa.create_engine(url), index=False)
        rows.to_parquet(tmp_path / f"{name}.parquet")
    pairs: list[tuple[Any, Any]] = [
        (str(tmp_path / "mine.parquet"), str(tmp_path / "theirs.parquet")),
        (SqlSource(url, table="mine"), SqlSource(url, table="theirs")),
        (SqlSource(url, table="mine"), str(tmp_path / "theirs.parquet")),
        (frame, other),
    ]
    bounds = ["accuracy_difference<=1", "accuracy_difference_vs_champion<=1"]
    settings = {**SETTINGS, "row_id": "id", "bounds": bounds}
    first, *others = [evaluate_fairness(mine, baseline=theirs, subject=MODEL, **settings) for mine, theirs in pairs]
    for each in others:
        assert _numbers(each) == _numbers(first)
        assert each.evaluation_digest == first.evaluation_digest
    table, file = others[1].inputs
    assert table.name.endswith("#table=mine")
    assert file == first.inputs[1]
    assert [subject.name for subject in others[2].inputs] == ["pandas DataFrame", "pandas DataFrame"]


_SPELLINGS = {
    "ints": lambda rows: rows.map({0: 0, 1: 1}),
    "booleans": lambda rows: rows.astype(bool),
    "floats": lambda rows: rows.astype(float),
    "strings": lambda rows: rows.map({0: "0", 1: "1"}),
    "nullable": lambda rows: rows.astype("Int64"),
    "arrow": lambda rows: rows.astype("int8[pyarrow]"),
    "categories": lambda rows: rows.astype("category"),
}


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    names=st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1), min_size=2, max_size=5
    ),
    counts=st.lists(st.tuples(*[st.integers(0, 9)] * 4), min_size=5, max_size=5),
    label=st.sampled_from(sorted(_SPELLINGS)),
    prediction=st.sampled_from(sorted(_SPELLINGS)),
    group=st.sampled_from(["text", "category", "arrow"]),
    as_csv=st.booleans(),
)
def test_counting_is_fairlearn_on_rows(
    tmp_path_factory: pytest.TempPathFactory,
    names: list[str],
    counts: list[tuple[int, int, int, int]],
    label: str,
    prediction: str,
    group: str,
    as_csv: bool,
) -> None:
    """Unicode names, empty cells, any spelling of labels: rates by group are what Fairlearn computes from the rows."""
    groups = sorted({f"g{name}" for name in names})
    frame = rows_of({(name,): cells for name, cells in zip(groups, counts, strict=False)}, "sex")
    if frame.empty:
        return
    plain, positive = frame.copy(), {}
    if "strings" in (label, prediction):  # which are compared with strings alone
        label, prediction, positive = "strings", "strings", {"positive_label": "1"}
        if not frame[["y", "p"]].any(axis=None):
            return
    frame["y"], frame["p"] = _SPELLINGS[label](plain.y), _SPELLINGS[prediction](plain.p)
    if group != "text":
        frame["sex"] = frame.sex.astype("category" if group == "category" else "string[pyarrow]")
    path = tmp_path_factory.mktemp("types") / ("a.csv" if as_csv else "a.parquet")
    frame.to_csv(path, index=False) if as_csv else frame.to_parquet(path, index=False)
    settings = {
        **SETTINGS,
        "min_group_size": 1,
        "min_positives": 1,
        "min_negatives": 1,
        "suppress_below": 1,
        **positive,
    }
    result = evaluate_fairness(str(path), subject=MODEL, bounds=["accuracy_difference<=1"], **settings)
    functions = {"selection_rate": fm.selection_rate, "true_positive_rate": fm.true_positive_rate}
    expected = fm.MetricFrame(
        metrics=functions, y_true=plain.y, y_pred=plain.p, sensitive_features=plain.sex.astype(object)
    ).by_group
    positives = plain.groupby("sex").y.sum()
    rates = result.details["rates"]["sex"]
    assert set(rates) == set(expected.index)
    for name, row in expected.iterrows():
        assert rates[name]["selection_rate"] == pytest.approx(row["selection_rate"], abs=1e-12)
        tpr = row["true_positive_rate"] if positives[name] else None
        assert rates[name]["true_positive_rate"] == (None if tpr is None else pytest.approx(tpr, abs=1e-12))


@pytest.mark.slow
def test_hundreds_of_groups(tmp_path: Path) -> None:
    generator = np.random.default_rng(11)
    frame = pd.DataFrame(
        {"sex": generator.choice(["f", "m"], 60_000), "zip": generator.integers(0, 200, 60_000).astype(str)}
    )
    frame["y"], frame["p"] = generator.integers(0, 2, 60_000), generator.integers(0, 2, 60_000)
    path = tmp_path / "a.parquet"
    frame.to_parquet(path)
    bounds = {"demographic_parity_difference": {"max": 1}, "equalized_odds_ratio": {"min": 0}}
    settings = {**SETTINGS, "sensitive_features": ["sex*zip"]}
    result = evaluate_fairness(str(path), subject=MODEL, bounds=bounds, **settings)
    checks, said = by_name(result), result.details["groups"]["sex*zip"]
    assert said["all"] == 400
    both = frame[["sex", "zip"]]
    for metric in bounds:
        expected = getattr(fm, metric)(frame.y, frame.p, sensitive_features=both)
        check = checks[f"{metric}[sex*zip]"]
        assert check.observed == pytest.approx(expected, abs=1e-12)
        assert len(check.values["by_group"]) == said["listed"] < 200
        assert check.values["resamples"] == 400


def test_a_column_of_scores_is_no_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "LIMIT", 50)
    path = tmp_path / "a.parquet"
    pd.DataFrame({"sex": np.linspace(0, 1, 500), "y": 1, "p": 0}).to_parquet(path)
    with raises_code(ConfigurationError, "group.too_many", match="more than 50 combinations of y, p, sex"):
        evaluate_fairness(str(path), subject=MODEL, bounds=BOUNDS, **SETTINGS)


# --- the case, whatever is predicted


def test_what_names_the_rows(frame: pd.DataFrame, judge: Judge) -> None:
    def digest(rows: pd.DataFrame, **kwargs: Any) -> str:
        return str(judge(rows, BOUNDS, **kwargs).evaluation_digest)

    first = digest(frame)
    assert digest(frame[::-1]) == first
    assert digest(frame.assign(p=1 - frame.p)) == first
    assert digest(frame.assign(y=frame.y.astype(float))) == first
    assert digest(frame.iloc[1:]) != first
    assert digest(frame.assign(y=1 - frame.y)) != first
    assert digest(frame, sensitive_features=["race"]) != first


def test_the_rows_of_a_regression_in_any_order(judge: Judge) -> None:
    """Sums of floats depend on their order in the last digits; what names the rows must not."""
    generator = np.random.default_rng(4)
    rows = pd.DataFrame({"sex": generator.choice(["f", "m"], 4000), "y": generator.lognormal(9, 2, 4000)})
    rows["p"] = rows.y * generator.lognormal(0, 0.3, 4000)
    settings: dict[str, Any] = {"task": "regression"}

    def digest(frame: pd.DataFrame) -> str:
        return str(judge(frame, {"mean_error_difference": {"max": 1e9}}, **settings).evaluation_digest)

    first = digest(rows)
    shuffled = {digest(rows.sample(frac=1, random_state=seed)) for seed in range(4)}
    sums = {float(rows.y.sample(frac=1, random_state=seed).cumsum().iloc[-1]) for seed in range(4)}
    assert len(sums) > 1
    assert shuffled == {first}
    assert digest(rows.assign(p=rows.p + 1)) == first
    assert digest(rows.assign(y=rows.y + 1)) != first


# --- the champion on the same rows


def test_change_against_the_champion(frame: pd.DataFrame, tmp_path: Path, judge: Judge) -> None:
    """Fair enough on its own, and less fair than what serves today."""
    generator = np.random.default_rng(8)
    biased = frame.assign(p=np.where(generator.random(3000) < np.where(frame.sex == "f", 0.42, 0.52), 1, 0))
    fair = frame.assign(p=np.where(generator.random(3000) < 0.5, 1, 0))
    fair.sample(frac=1, random_state=1).to_parquet(tmp_path / "champion.parquet")
    bounds = {
        "demographic_parity_difference": {"max": 0.2},
        "demographic_parity_difference_vs_champion": {"max_change": 0.01},
    }
    expected = [
        fm.demographic_parity_difference(rows.y, rows.p, sensitive_features=rows.sex) for rows in (biased, fair)
    ]
    options = {"baseline": str(tmp_path / "champion.parquet"), "row_id": "id"}
    apart = judge(biased, bounds, **options)
    beside = judge(biased.assign(c=fair.p), bounds, champion_prediction="c")
    for result in (apart, beside):
        check = by_name(result)["demographic_parity_difference_vs_champion[sex]"]
        assert check.observed == pytest.approx(expected[0] - expected[1], abs=1e-12)
        assert check.values["champion"] == pytest.approx(expected[1])
        assert check.outcome is Outcome.FAIL
        assert by_name(result)["demographic_parity_difference[sex]"].outcome is Outcome.PASS
    assert len(apart.inputs) == 2
    assert apart.evaluation_digest == beside.evaluation_digest
    same = judge(biased, bounds, baseline=str(tmp_path / "test.parquet"), row_id="id")
    check = by_name(same)["demographic_parity_difference_vs_champion[sex]"]
    assert (check.observed, check.outcome) == (0.0, Outcome.PASS)
    assert (check.values["interval"]["low"], check.values["interval"]["high"]) == (0.0, 0.0)


def test_without_a_champion(frame: pd.DataFrame, judge: Judge) -> None:
    bounds = {"accuracy_difference": {"max": 0.2}, "accuracy_difference_vs_champion": {"max_change": 0.01}}
    first = by_name(judge(frame, bounds))["accuracy_difference_vs_champion[sex]"]
    assert (first.outcome, str(first.severity)) == (Outcome.INCONCLUSIVE, "info")
    refused = judge(frame, bounds, on_no_champion="fail")
    assert by_name(refused)["accuracy_difference_vs_champion[sex]"].outcome is refused.verdict is Outcome.FAIL


@pytest.mark.parametrize(
    ("champion", "code", "words"),
    [
        (lambda f: f.iloc[1:], "baseline.other_rows", "2999 rows are in both tables, but the candidate has 3000"),
        (lambda f: f.assign(id=0), "row_id.twice", "3000 rows and 1 ids"),
        (lambda f: f.assign(y=1 - f.y), "baseline.other_rows", "differs from the candidate's in 3000 of 3000 rows"),
        (lambda f: f.drop(columns="p"), "column.missing", 'no column "p"'),
        (lambda f: f.drop(columns="id"), "column.missing", 'no column "id"'),
    ],
)
def test_a_champion_on_other_rows(
    frame: pd.DataFrame, tmp_path: Path, judge: Judge, champion: Any, code: str, words: str
) -> None:
    champion(frame).to_parquet(tmp_path / "champion.parquet")
    bounds = {"accuracy_difference_vs_champion": {"max_change": 0.01}}
    with raises_code(ConfigurationError, code, words):
        judge(frame, bounds, baseline=str(tmp_path / "champion.parquet"), row_id="id")


def test_a_champion_without_a_row_id(frame: pd.DataFrame, tmp_path: Path, judge: Judge) -> None:
    with raises_code(ConfigurationError, "setting.missing"):
        judge(frame, {"accuracy_difference": {"max": 1}}, baseline=str(tmp_path / "test.parquet"))
