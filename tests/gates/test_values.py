"""Labels, groups and slices keep to the type of their column, from whatever the rows come."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from sklearn.metrics import average_precision_score

from airflow_mlgov.data.database import SqlSource
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness import evaluate_fairness
from airflow_mlgov.gates.performance import evaluate_performance
from airflow_mlgov.results import GateResult, Outcome
from tests.codes import raises_code
from tests.worlds.counted import MODEL

SOURCES = ("csv", "parquet", "frame", "category", "nullable", "arrow", "database")


def source(table: pa.Table, kind: str, folder: Path) -> Any:
    """The same rows, as one kind of source."""
    frame = table.to_pandas()
    if kind == "csv":
        frame.to_csv(folder / "a.csv", index=False)
        return str(folder / "a.csv")
    if kind == "parquet":
        pq.write_table(table, folder / "a.parquet")
        return str(folder / "a.parquet")
    if kind == "database":
        url = f"sqlite:///{folder / 'a.db'}"
        frame.to_sql("rows", sa.create_engine(url), index=False)
        return SqlSource(url, table="rows")
    if kind == "category":
        return frame.astype({name: "category" for name in frame if frame[name].dtype.kind not in "iuf"})
    return {"arrow": table, "nullable": frame.convert_dtypes()}.get(kind, frame.astype(object))


def performance(data: Any, bounds: Any, **settings: Any) -> GateResult:
    given = {"label": "y", "prediction": "p", **settings}
    return evaluate_performance(data, subject=MODEL, bounds=bounds, **given)


def fairness(data: Any, bounds: Any = ("demographic_parity_ratio>=0.8",), **settings: Any) -> GateResult:
    given = {"label": "y", "prediction": "p", "sensitive_features": ["g"], "decide": "point", **settings}
    return evaluate_fairness(data, subject=MODEL, bounds=list(bounds), **given)


def selected(shares: dict[Any, float], rows: int = 100) -> dict[str, list[Any]]:
    """So many rows of each group, of which a share is selected."""
    found: dict[str, list[Any]] = {"g": [], "y": [], "p": []}
    for group, share in shares.items():
        chosen = round(rows * share)
        found["g"] += [group] * rows
        found["p"] += [1] * chosen + [0] * (rows - chosen)
        found["y"] += [1, 0] * (rows // 2)
    return found


def by_group(result: GateResult) -> dict[str, Any]:
    return {group: of["selection_rate"] for group, of in result.details["rates"]["g"].items()}


@pytest.mark.parametrize("kind", SOURCES)
def test_codes_that_look_alike_as_numbers_are_other_classes(tmp_path: Path, kind: str) -> None:
    """Every prediction is wrong; read by float(), every one would be right."""
    codes = ["01", "1", "1_0", "10", "0E1", "0E2"] * 10
    wrong = ["1", "01", "10", "1_0", "0E2", "0E1"] * 10
    data = source(pa.table({"y": codes, "p": wrong}), kind, tmp_path)
    result = performance(data, ["accuracy>=0.5"], task="multiclass")
    assert (result.verdict, result.checks[0].observed) == (Outcome.FAIL, 0.0)
    assert result.details["classes"] == sorted(set(codes))


@pytest.mark.parametrize("kind", SOURCES)
def test_two_labels_that_look_alike_are_two(tmp_path: Path, kind: str) -> None:
    rows = {"y": ["01", "1"] * 40, "p": ["1", "01"] * 40, "g": ["a"] * 40 + ["b"] * 40}
    data = source(pa.table(rows), kind, tmp_path)
    result = performance(data, ["accuracy>=0.5"], positive_label="01")
    assert (result.verdict, result.checks[0].observed) == (Outcome.FAIL, 0.0)
    judged = fairness(data, ["accuracy_group_min>=0.5"], positive_label="01")
    assert (judged.verdict, judged.checks[0].observed) == (Outcome.FAIL, 0.0)


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("other", ["1", "01 ", "O1"])
def test_groups_that_look_alike_are_told_apart(tmp_path: Path, kind: str, other: str) -> None:
    data = source(pa.table(selected({"01": 0.1, other: 0.9, "2": 0.5})), kind, tmp_path)
    result = fairness(data)
    assert by_group(result) == {"01": 0.1, other: 0.9, "2": 0.5}
    assert result.checks[0].observed == pytest.approx(1 / 9)


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame", "arrow"])
@pytest.mark.parametrize("word", ["NA", "None", "N/A", "null", "nan", "(missing)"])
def test_words_that_readers_take_for_missing_are_groups(tmp_path: Path, kind: str, word: str) -> None:
    result = fairness(source(pa.table(selected({word: 0.46, "Yes": 0.44})), kind, tmp_path))
    assert by_group(result) == {word: 0.46, "Yes": 0.44}
    assert result.verdict is Outcome.PASS


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1] * 100 + [2] * 100, pa.int8()),
        pa.array([1.0] * 100 + [2.0] * 100),
        pa.array([Decimal(1)] * 100 + [Decimal(2)] * 100),
        pa.array([1] * 100 + [2] * 100, pa.uint64()),
    ],
    ids=lambda values: str(values.type),
)
@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_numbers_are_groups_by_value_whatever_holds_them(tmp_path: Path, values: pa.Array, kind: str) -> None:
    rows = pa.table({**selected({1: 0.5, 2: 0.5}), "g": values})
    result = fairness(source(rows, kind, tmp_path), sensitive_features={"g": [1, 2]})
    assert by_group(result) == {"1": 0.5, "2": 0.5}


@pytest.mark.parametrize("order", [["flag", "smoker"], ["smoker", "flag"]])
def test_the_names_of_one_features_groups_do_not_depend_on_anothers(order: list[str]) -> None:
    rows = pd.DataFrame(
        {"flag": [0, 1] * 100, "smoker": [True, True, False, False] * 50, "y": 1, "p": [1, 0, 0, 1] * 50}
    )
    result = fairness(rows, sensitive_features=order, reference={"smoker": True})
    assert set(result.details["rates"]["flag"]) == {"0", "1"}
    assert set(result.details["rates"]["smoker"]) == {"false", "true"}


def test_whole_numbers_beyond_floats_are_other_classes_and_slices(tmp_path: Path) -> None:
    large = 2**53
    rows = pd.DataFrame({"y": [large, large + 1] * 40, "p": [large + 1, large] * 40, "s": [large, large + 1] * 40})
    for data in (rows, str(tmp_path / "a.csv")):
        rows.to_csv(tmp_path / "a.csv", index=False)
        result = performance(
            data, ["accuracy<=0.1", "accuracy_worst_slice<=0.1"], task="multiclass", slices=["s"], decide="point"
        )
        assert result.verdict is Outcome.PASS
        assert result.details["classes"] == [str(large), str(large + 1)]
        (check,) = [check for check in result.checks if check.name == "accuracy_worst_slice"]
        assert check.values["slices"]["s"]["estimated"] == 2


@pytest.mark.parametrize("text", ["csv", "parquet"])
def test_text_beside_numbers_is_refused_with_both_named(tmp_path: Path, text: str) -> None:
    """The truth is text, what the model says are numbers."""
    rows = pd.DataFrame({"y": ["1", "0"] * 50, "p": [1, 0] * 50, "g": ["a", "b"] * 50})
    rows.to_parquet(tmp_path / "a.parquet")
    rows.to_csv(tmp_path / "a.csv", index=False)
    data, settings = str(tmp_path / f"a.{text}"), {"types": {"y": "text", "p": "int64"}} if text == "csv" else {}
    for gate in (performance, fairness):
        with raises_code(ConfigurationError, "value.types", r'column "y" holds text \(0, 1\).*"p" holds numbers'):
            gate(data, ["accuracy>=0.5" if gate is performance else "accuracy_group_min>=0.5"], **settings)
    if text == "csv":  # without a declaration both are what they look like
        assert performance(data, ["accuracy>=1"]).verdict is Outcome.PASS
        assert (
            performance(data, ["accuracy>=1"], types={"y": "text", "p": "text"}, positive_label="1").checks[0].observed
            == 1
        )


def test_a_csv_of_codes_and_one_of_numbers_are_one_data_set(tmp_path: Path) -> None:
    """The candidate's ids have zeros in front; the champion's happen to have none in this file but one."""
    ids = [f"{at:03d}" for at in range(1, 121)]
    rows = pd.DataFrame({"id": ids, "y": [0, 1] * 60, "p": [0, 1] * 60, "g": ["a"] * 60 + ["b"] * 60})
    rows.to_csv(tmp_path / "a.csv", index=False)
    rows.sample(frac=1, random_state=1).to_csv(tmp_path / "b.csv", index=False)
    rows.assign(id=list(range(1, 121))).to_csv(tmp_path / "c.csv", index=False)
    same = {"row_id": "id", "baseline": str(tmp_path / "b.csv")}
    result = performance(str(tmp_path / "a.csv"), ["accuracy_vs_champion>=0"], decide="point", **same)
    assert result.verdict is Outcome.PASS
    assert fairness(str(tmp_path / "a.csv"), ["accuracy_difference_vs_champion<=0"], **same).verdict is Outcome.PASS
    for gate, bound in ((performance, "accuracy_vs_champion>=0"), (fairness, "accuracy_difference_vs_champion<=0")):
        with raises_code(ConfigurationError, "baseline.other_rows"):
            gate(str(tmp_path / "a.csv"), [bound], row_id="id", baseline=str(tmp_path / "c.csv"))


def test_names_of_rows_of_two_types_are_refused(tmp_path: Path) -> None:
    rows = pd.DataFrame({"id": range(100), "y": [0, 1] * 50, "p": [0, 1] * 50, "g": ["a", "b"] * 50})
    rows.to_parquet(tmp_path / "a.parquet")
    rows.assign(id=rows.id.astype(str)).to_parquet(tmp_path / "b.parquet")
    for gate, bound in ((performance, "accuracy_vs_champion>=0"), (fairness, "accuracy_difference_vs_champion<=0")):
        with raises_code(ConfigurationError, "value.types"):
            gate(str(tmp_path / "a.parquet"), [bound], row_id="id", baseline=str(tmp_path / "b.parquet"))


@pytest.mark.parametrize(
    "nested", [pa.array([["a"], ["b"]] * 50), pa.array([{"k": 1}, {"k": 2}] * 50)], ids=["list", "struct"]
)
@pytest.mark.parametrize("role", ["y", "p", "g"])
@pytest.mark.parametrize("kind", ["parquet", "frame", "arrow"])
def test_lists_are_no_labels_groups_or_slices(tmp_path: Path, nested: pa.Array, role: str, kind: str) -> None:
    rows = {"y": pa.array([0, 1] * 50), "p": pa.array([0, 1] * 50), "g": pa.array(["a", "b"] * 50), role: nested}
    data = source(pa.table(rows), kind, tmp_path)
    with raises_code(ConfigurationError, "column.nested", f'column "{role}"'):
        performance(data, ["accuracy_worst_slice>=0.3"], task="multiclass", slices=["g"])
    with raises_code(ConfigurationError, "column.nested", f'column "{role}"'):
        fairness(data, task="multiclass")


def test_scores_that_one_word_makes_text_say_so(tmp_path: Path) -> None:
    rows = pd.DataFrame({"y": [0, 1] * 50, "s": [0.2, 0.7] * 50, "g": ["a", "b"] * 50}).astype({"s": object})
    rows.loc[::10, "s"] = "?"
    rows.to_csv(tmp_path / "a.csv", index=False)
    for gate in (performance, fairness):
        with raises_code(
            ConfigurationError, "column.not_numeric", r'"\?" stands 10 times.*missing_values: \["", "\?"\]'
        ):
            gate(str(tmp_path / "a.csv"), ["roc_auc>=0.5"] if gate is performance else ["roc_auc_difference<=1"],
                 prediction=None, score="s")  # fmt: skip


def test_what_was_read_as_what_is_in_the_evidence(tmp_path: Path) -> None:
    pd.DataFrame(selected({"01": 0.5, "1": 0.5})).to_csv(tmp_path / "a.csv", index=False, sep=";")
    result = fairness(str(tmp_path / "a.csv"), delimiter=";", types={"g": "str"})
    (read,) = result.details["read_as"].values()
    assert read == {
        "columns": {"g": "text", "y": "int64", "p": "int64"},
        "declared": {"types": {"g": "str"}, "delimiter": ";"},
    }


def aged(rows: int = 3000) -> pd.DataFrame:
    random = np.random.default_rng(5)
    age = random.integers(18, 80, rows)
    return pd.DataFrame({"g": age, "y": random.integers(0, 2, rows), "p": random.integers(0, 2, rows)})


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("kind", ["csv", "parquet", "database"])
def test_a_quantity_says_that_it_wants_bins_and_takes_them(tmp_path: Path, kind: str, continuous: bool) -> None:
    frame = aged()
    frame["g"] = frame.g + np.linspace(0, 0.9, len(frame)) if continuous else frame.g
    data = source(pa.Table.from_pandas(frame), kind, tmp_path)
    refused = fairness(data)
    assert refused.verdict is Outcome.ERROR
    assert "different numbers: a quantity is no group, so cut it by bins" in refused.checks[0].detail
    result = fairness(data, ["roc_auc_difference<=1", "demographic_parity_ratio>=0.5"], score="p", bins={"g": [25, 45]})
    expected = frame.p.groupby(pd.cut(frame.g, [0, 25, 45, 100], right=False)).mean().tolist()
    names = ["below 25", "25 to below 45", "45 and above"]
    assert by_group(result) == pytest.approx(dict(zip(names, expected, strict=True)))
    assert result.details["bins"] == {"g": {"edges": [25.0, 45.0], "groups": names}}
    quarters = fairness(data, bins={"g": 4})
    assert len(by_group(quarters)) == 4
    shares = [
        sum(cell["n"] for cell in quarters.details["counts"]["g"] if cell["group"] == name)
        for name in by_group(quarters)
    ]
    assert min(shares) > 0.2 * len(frame)
    assert quarters.evaluation_digest == result.evaluation_digest  # other bins are other groups of the same rows


def test_bins_of_what_is_no_sensitive_number_are_refused() -> None:
    rows = pd.DataFrame(selected({"a": 0.5, "b": 0.5}))
    with raises_code(ConfigurationError, "column.not_numeric"):
        fairness(rows, bins={"g": [1]})
    with raises_code(ConfigurationError, "group.unknown"):
        fairness(rows, bins={"y": [1]})
    with raises_code(ConfigurationError, "setting.wrong"):
        fairness(rows, bins={"g": [2, 1]})
    with raises_code(ConfigurationError, "group.bins"):
        fairness(pd.DataFrame(selected({1: 0.5})), bins={"g": 4})


def test_missing_and_infinite_numbers_lie_in_no_bin() -> None:
    rows = pd.DataFrame(selected({20.0: 0.5, 60.0: 0.5})).astype({"g": float})
    rows.loc[[0, 150], "g"] = [np.nan, np.inf]
    result = fairness(rows, bins={"g": [30]})
    assert result.verdict is Outcome.ERROR
    assert 'sensitive column "g" has 2 missing values' in result.checks[0].detail


def test_groups_of_single_people_are_named_nowhere(tmp_path: Path) -> None:
    rows = selected({"f": 0.5, "m": 0.5})
    rows = {"g": rows["g"] + [f"person-{at}" for at in range(40)], **{key: rows[key] + [1] * 40 for key in "yp"}}
    frame = pd.DataFrame(rows)
    result = fairness(frame, max_share_left_out=0.5, report_dir=str(tmp_path))
    assert "person-" not in str(result.as_dict() if hasattr(result, "as_dict") else (result.checks, result.details))
    assert "person-" not in "".join(path.read_text() for path in tmp_path.glob("*.html"))
    assert result.details["unnamed_groups"]["groups"] == {"g": 40}
    crossed = fairness(frame.assign(h=["a", "b"] * 120), sensitive_features=["g*h"])
    assert "person-" not in str((crossed.checks, crossed.details))
    undeclared = fairness(frame, sensitive_features={"g": ["f", "m"]})
    assert "person-" not in str(undeclared.checks)
    assert "40 of fewer than 5 rows each" in undeclared.checks[0].detail


def test_an_intersection_without_people_says_how_to_leave_it_out() -> None:
    rows = pd.DataFrame(selected({"a": 0.5, "b": 0.5})).assign(h=["x"] * 100 + ["y"] * 100)
    detail = fairness(rows, sensitive_features=["g*h"]).checks[0].detail
    assert "declare the groups of g*h that there are" in detail


def test_false_omission_rates_differ_where_nobody_is_selected() -> None:
    rows = pd.DataFrame({"g": ["a"] * 100 + ["b"] * 100, "y": [1] * 60 + [0] * 40 + [1] * 40 + [0] * 60, "p": 0})
    result = fairness(rows, ["for_disparity>=0.8", "demographic_parity_ratio>=0.8"], reference={"g": "a"})
    assert (result.checks[0].outcome, result.checks[0].observed) == (Outcome.FAIL, pytest.approx(2 / 3))
    assert result.checks[1].outcome is Outcome.INCONCLUSIVE


def test_average_precision_of_several_classes_is_scikit_learns() -> None:
    random = np.random.default_rng(3)
    scores = random.dirichlet([1, 1, 1], 300)
    truth = np.array([random.choice(3, p=row) for row in scores])
    frame = pd.DataFrame(scores, columns=["s0", "s1", "s2"]).assign(y=truth)
    result = performance(
        frame, ["average_precision>=0.1"], prediction=None, class_scores={0: "s0", 1: "s1", 2: "s2"}, decide="interval"
    )
    check = result.checks[0]
    assert check.observed == pytest.approx(average_precision_score(truth, scores))
    assert check.values["interval"]["low"] < check.observed < check.values["interval"]["high"]
