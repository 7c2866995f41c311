"""Overlap, leakage, freshness, volume and the model's signature over files, and the one mapping that asks for them."""

import math
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from airflow_mlgov.data.files import dataset_subject
from airflow_mlgov.errors import ConfigurationError, DependencyError
from airflow_mlgov.gates.dataset_checks import leakage
from airflow_mlgov.gates.dataset_checks.checks import SETTINGS, DatasetChecks, merge_checks, run_checks, with_reference
from airflow_mlgov.governance.schema import policy_schema
from airflow_mlgov.results import Check, Outcome, Severity, Subject
from tests.codes import raises_code
from tests.worlds.champion import Champion, signature

PASS, FAIL, INCONCLUSIVE, ERROR = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR
NOW = datetime(2024, 6, 15, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, **columns: Any) -> str:
    frame = pd.DataFrame(columns)
    frame.to_parquet(name) if name.endswith(".parquet") else frame.to_csv(name, index=False)
    return name


def run(data: str, **checks: Any) -> dict[str, Check]:
    return {check.name: check for check in run_checks(data, checks, now=NOW).checks}


# -- overlap ------------------------------------------------------------------------------------------------------


def test_overlap_is_the_share_of_rows_that_stand_in_both(folder: Path) -> None:
    train = write("train.parquet", a=[1, 2, 3, None], b=["x", "y", None, None])
    test = write("test.parquet", a=[1, 2, 3, None, 3], b=["x", "z", None, None, None])
    check = run(test, overlap={"with": train})["overlap"]
    assert (check.outcome, check.observed) == (FAIL, 4 / 5)
    assert check.values == {"rows": 5, "reference_rows": 4, "rows_in_both": 4, "columns": ["a", "b"]}
    assert run(test, overlap={"with": train, "max": 0.8})["overlap"].outcome is PASS


def test_overlap_equals_a_join_in_pandas(folder: Path) -> None:
    random = np.random.default_rng(4)
    train, test = (
        {"a": random.integers(0, 9, n), "b": random.choice(["x", "y", None], n), "c": random.random(n).round(1)}
        for n in (400, 300)
    )
    known = {tuple(map(str, row)) for row in pd.DataFrame(train).itertuples(index=False)}
    expected = sum(tuple(map(str, row)) in known for row in pd.DataFrame(test).itertuples(index=False))
    rules = {"with": write("train.csv", **train), "max": 1}
    assert run(write("test.parquet", **test), overlap=rules)["overlap"].values["rows_in_both"] == expected > 0


def test_overlap_is_that_of_values_however_they_are_stored(folder: Path) -> None:
    """A hash finds the rows that may be equal: it must be one for every two that are."""
    test = {"x": [0.0, -0.0, math.nan, None, 1.5, 2.0], "n": pd.array([1, 2, 3, None, 5, 6], dtype="Int8")}
    train = {"x": [-0.0, 0.0, math.nan, None, 1.5, 7.0], "n": pd.array([1, 2, 3, None, 4, 6], dtype="Int64")}
    for columns, expected in ((("x",), 5), (("n",), 5), (("x", "n"), 4)):
        sides = [
            write(f"{name}.parquet", **{column: side[column] for column in columns})
            for name, side in (("a", test), ("b", train))
        ]
        check = run(sides[0], overlap={"with": sides[1]})["overlap"]
        assert check.values["rows_in_both"] == expected, columns


def test_overlap_by_keys_alone(folder: Path) -> None:
    train = write("train.csv", id=["a", "b", "c"], x=[1, 2, 3])
    test = write("test.csv", id=["c", "d"], x=[9, 9])
    assert run(test, overlap={"with": train})["overlap"].outcome is PASS
    check = run(test, overlap={"with": train, "keys": ["id"], "severity": "warning"})["overlap"]
    assert (check.outcome, check.severity, check.observed) == (FAIL, Severity.WARNING, 0.5)
    assert "1 of 2 rows stand in train.csv too" in check.detail


def test_overlap_leaves_out_what_names_the_split(folder: Path) -> None:
    train = write("train.csv", split=["train"] * 2, x=[1, 2])
    test = write("test.csv", split=["test"] * 2, x=[2, 3])
    assert run(test, overlap={"with": train})["overlap"].outcome is PASS
    assert run(test, overlap={"with": train, "exclude": ["split"]})["overlap"].observed == 0.5


def test_overlap_compares_text_as_written_and_never_with_numbers(folder: Path) -> None:
    train = write("train.csv", id=["7.5", "x"])  # text
    test = write("test.csv", id=[7.5, 8])  # text too, beside it
    assert run(test, overlap={"with": train})["overlap"].observed == 0.5
    train = write("train.csv", at=["2024-06-15T10:00:00", None, "soon"])  # text
    test = write("test.parquet", at=pd.to_datetime(["2024-06-15 10:00", "2024-06-16 10:00", None, None]))
    assert run(test, overlap={"with": train})["overlap"].observed == 0.75
    train = write("train.csv", flag=["true", "no"])
    for values in ([True, False], [1, 0]):
        check = run(write("test.parquet", flag=values), overlap={"with": train})["overlap"]
        assert check.outcome is ERROR
        assert "which are never the same" in check.detail
    assert run(write("test.csv", id=["01"]), overlap={"with": write("train.csv", id=["1"])})["overlap"].observed == 0


def test_overlap_without_rows_or_shared_columns(folder: Path) -> None:
    train, empty = write("train.csv", x=[1]), write("empty.parquet", x=pd.Series([], dtype="int64"))
    assert run(empty, overlap={"with": train})["overlap"].outcome is INCONCLUSIVE
    assert run(train, overlap={"with": empty})["overlap"].outcome is INCONCLUSIVE
    with raises_code(ConfigurationError, "checks.no_column"):
        run(train, overlap={"with": write("other.csv", y=[1])})


# -- leakage ------------------------------------------------------------------------------------------------------


def credit(rows: int = 2_000) -> dict[str, Any]:
    random = np.random.default_rng(6)
    y = random.integers(0, 2, rows)
    return {
        "y": y,
        "score": 0.8 * y + random.normal(0, 1, rows),
        "ties": y + random.poisson(1, rows),
        "minus": -0.8 * y + random.normal(0, 1, rows),
        "job": np.where(random.random(rows) < 0.3 + 0.3 * y, "a", "b"),
        "noise": random.normal(0, 1, rows),
    }


@pytest.mark.parametrize("chunk", [1_000_000, 300])
def test_leakage_is_the_area_under_the_roc_curve_of_one_feature(
    chunk: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leakage, "_CHUNK_ROWS", chunk)  # what is held at a time changes nothing
    data = credit()
    checks = run(write("train.parquet", **data), leakage={"label": "y"})
    assert set(checks) == {f"label_leakage({name})" for name in data if name != "y"}
    for name in ("score", "minus", "noise"):
        auc = roc_auc_score(data["y"], data[name])
        assert checks[f"label_leakage({name})"].observed == pytest.approx(max(auc, 1 - auc), abs=1e-12)
    ties = checks["label_leakage(ties)"].values
    assert ties["by_rank"] == pytest.approx(roc_auc_score(data["y"], data["ties"]), abs=1e-12)
    rates = pd.Series(data["y"]).groupby(data["job"]).transform("mean")
    assert checks["label_leakage(job)"].observed == pytest.approx(roc_auc_score(data["y"], rates), abs=1e-12)
    assert {check.outcome for check in checks.values()} == {PASS}
    assert checks["label_leakage(score)"].values["class_rows"] == sorted(np.bincount(data["y"]).tolist())


def test_a_feature_that_tells_the_label_fails(folder: Path) -> None:
    data = credit()
    data |= {
        "same": data["y"],
        "turned": -3.0 * data["y"],
        "word": np.where(data["y"] == 1, "repaid", "defaulted"),
        "zigzag": np.where(data["y"] == 1, 2, np.where(data["noise"] > 0, 1, 3)),
        "missing": np.where(data["y"] == 1, 1.0 + data["noise"], math.nan),
        "when": np.where(data["y"] == 1, np.datetime64("2024-01-02", "ms"), np.datetime64("2024-01-01", "ms")),
    }
    checks = run(write("train.parquet", **data), leakage={"label": "y", "exclude": ["score"]})
    failed = {name for name, check in checks.items() if check.outcome is FAIL}
    assert failed == {f"label_leakage({name})" for name in ("same", "turned", "word", "zigzag", "missing", "when")}
    assert "label_leakage(score)" not in checks
    assert "by its missing values" in checks["label_leakage(missing)"].detail
    assert checks["label_leakage(zigzag)"].observed == 1.0
    assert checks["label_leakage(zigzag)"].values["by_rank"] < 0.6


def test_an_id_does_not_tell_the_label_by_being_unique(folder: Path) -> None:
    data = credit()
    checks = run(write("t.parquet", **data, id=[f"r{i}" for i in range(2_000)]), leakage={"label": "y"})
    assert checks["label_leakage(id)"].observed == 0.5


def test_leakage_with_more_than_two_classes_is_of_the_class_that_is_told_best(folder: Path) -> None:
    random = np.random.default_rng(9)
    label = random.choice(["low", "middle", "high"], 900)
    x = np.where(label == "high", 5, 0) + random.normal(0, 1, 900)
    check = run(write("t.parquet", label=label, x=x), leakage={"label": "label", "max_auc": 0.9})["label_leakage(x)"]
    expected = max(max(a := roc_auc_score(label == name, x), 1 - a) for name in ("low", "middle", "high"))
    assert check.observed == pytest.approx(expected, abs=1e-12)
    assert check.outcome is FAIL


def test_rows_without_a_label_are_counted_and_left_out(folder: Path) -> None:
    data = credit()
    label = data["y"].astype(float)
    label[:500] = math.nan
    check = run(write("t.parquet", y=label, x=data["score"]), leakage={"label": "y"})["label_leakage(x)"]
    auc = roc_auc_score(label[500:], data["score"][500:])
    assert check.observed == pytest.approx(auc, abs=1e-12)
    assert check.values["unlabelled"] == 500


@pytest.mark.parametrize("y", [[1] * 200, [1] * 171 + [0] * 29, [None] * 200])
def test_one_class_or_a_handful_of_rows_decide_nothing(y: list[Any], folder: Path) -> None:
    data = write("t.parquet", y=pd.Series(y, dtype="float"), x=range(200))
    assert run(data, leakage={"label": "y"})["label_leakage(x)"].outcome is INCONCLUSIVE


def test_what_leakage_refuses(folder: Path) -> None:
    data = write("t.parquet", y=np.arange(100.0), x=range(100), z=[[1]] * 100, w=[0, 1] * 50)
    with raises_code(ConfigurationError, "label.too_many_classes", match="more than 20 values"):
        run(data, leakage={"label": "y"})
    with raises_code(ConfigurationError, "column.missing", match='no column "lable"'):
        run(data, leakage={"label": "lable"})
    with raises_code(ConfigurationError, "setting.wrong", match=r"max_auc must be a number within 0\.5 to 1"):
        run(data, leakage={"label": "w", "max_auc": 0.4})
    with raises_code(ConfigurationError, "checks.no_column"):
        run(data, leakage={"label": "w", "exclude": ["x", "y", "z"]})
    assert run(data, leakage={"label": "w"})["label_leakage(z)"].outcome is ERROR


# -- freshness ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "timezone", "outcome"),
    [
        (["2024-06-14T13:00:00"], "UTC", PASS),
        (["2024-06-14T11:59:59"], "UTC", FAIL),
        (["2020-01-01", "2024-06-15 12:00:00", None], "UTC", PASS),
        (["2024-06-14T13:59:00+02:00"], "UTC", FAIL),
        (["2024-06-14T14:01:00+02:00"], "UTC", PASS),
        (["2024-06-14T13:59:00"], "Europe/Berlin", FAIL),
        (["2024-06-14T14:01:00"], "Europe/Berlin", PASS),
        (["2024-06-14T08:01:00"], "America/New_York", PASS),
        (["2024-06-14T07:59:00"], "America/New_York", FAIL),
        (["2024-06-14T12:01:00Z", "2024-06-15T12:04:00Z"], "UTC", PASS),
        (["2024-06-15T12:06:00Z"], "UTC", ERROR),
        (["infinity"], "UTC", ERROR),
        (["-infinity"], "UTC", INCONCLUSIVE),
        (["2024-06-15", "yesterday"], "UTC", ERROR),
        (["15/06/2024"], "UTC", ERROR),
        ([None, None], "UTC", INCONCLUSIVE),
    ],
)
def test_freshness_of_text(times: list[Any], timezone: str, outcome: Outcome, folder: Path) -> None:
    data = write("t.csv", at=[*times, None], x=1)
    rules = {"column": "at", "max_age": "1d", "timezone": timezone}
    assert run(data, freshness=rules)["freshness(at)"].outcome is outcome


def test_freshness_of_timestamps_and_dates(folder: Path) -> None:
    at = pd.Series(pd.to_datetime(["2024-06-14 13:00", "2024-06-01 00:00"]))
    data = write("t.parquet", naive=at, aware=at.dt.tz_localize("Asia/Tokyo"), day=at.dt.date, number=[1, 2])
    rules = {
        name: run(data, freshness={"column": name, "max_age": "1d"}) for name in ("naive", "aware", "day", "number")
    }
    outcomes = {name: checks[f"freshness({name})"].outcome for name, checks in rules.items()}
    assert outcomes == {"naive": PASS, "aware": FAIL, "day": FAIL, "number": ERROR}
    assert run(data, freshness={"column": "day", "max_age": "2d"})["freshness(day)"].outcome is PASS


def test_the_age_is_told_no_closer_than_a_hundredth_of_what_is_allowed(folder: Path) -> None:
    data = write("t.csv", at=[(NOW - timedelta(hours=30, seconds=17)).isoformat()])
    check = run(data, freshness={"column": "at", "max_age": "10d"})["freshness(at)"]
    assert (check.outcome, check.observed) == (PASS, 1.3)
    assert check.bound.max == 10  # type: ignore[union-attr]
    assert run(data, freshness={"column": "at", "max_age": "30h"})["freshness(at)"].outcome is FAIL
    assert "17" not in str(check.as_dict())


def test_what_freshness_refuses(folder: Path) -> None:
    data = write("t.csv", at=["2024-06-15"])
    for rules, code in (
        ({"column": "att"}, "column.missing"),
        ({"max_age": "2 days"}, "duration.form"),
        ({"timezone": "Mars/Olympus"}, "setting.wrong"),
        ({"severity": "fatal"}, "setting.wrong"),
    ):
        with raises_code(ConfigurationError, code):
            run(data, freshness={"column": "at", "max_age": "2d", **rules})


# -- volume -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "outcome"), [(49, FAIL), (50, PASS), (100, PASS), (200, PASS), (201, FAIL), (0, FAIL)]
)
def test_volume_is_a_multiple_of_the_reference(rows: int, outcome: Outcome, folder: Path) -> None:
    before, now = write("before.csv", x=range(100)), write("now.parquet", x=pd.Series(range(rows), dtype="int64"))
    check = run(now, volume={"reference": before, "min_ratio": 0.5, "max_ratio": 2})["volume"]
    assert (check.outcome, check.observed) == (outcome, rows / 100)
    assert check.values == {"rows": rows, "reference_rows": 100}


def test_volume_against_nothing(folder: Path) -> None:
    empty, now = write("empty.parquet", x=pd.Series([], dtype="int64")), write("now.csv", x=[1])
    assert run(now, volume={"reference": empty, "max_ratio": 2})["volume"].outcome is INCONCLUSIVE
    for rules, code in (({}, "setting.missing"), ({"min_ratio": 3, "max_ratio": 2}, "setting.contradiction")):
        with raises_code(ConfigurationError, code):
            run(now, volume={"reference": empty, **rules})


# -- the model's signature ----------------------------------------------------------------------------------------


@pytest.fixture
def model(folder: Path) -> str:
    """An MLflow model as MLflow itself writes it."""
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    x = pd.DataFrame({"age": [30, 40], "pay": [1.5, 2.5], "old": [True, False]})
    fitted = LogisticRegression().fit(x, [0, 1])
    mlflow.sklearn.save_model(
        fitted,
        folder / "model",
        signature=infer_signature(x),
        serialization_format="cloudpickle",  # skops looks through every module that is imported: seconds
        pip_requirements=["scikit-learn"],
    )
    return "model"


def test_data_that_fits_the_models_signature(model: str, folder: Path) -> None:
    data = write("t.parquet", pay=[1.0], extra=[1], old=[True], age=[30])
    result = run_checks(data, {"schema": {"model": model}})
    assert [(check.name, check.outcome) for check in result.checks] == [
        ("schema(age)", PASS), ("schema(pay)", PASS), ("schema(old)", PASS), ("schema_extra_columns", PASS),
    ]  # fmt: skip
    assert result.checks[-1].severity is Severity.INFO
    assert "extra" in result.checks[-1].detail
    (subject,) = result.inputs
    assert (subject.kind, subject.name, len(subject.digest)) == ("signature", "model", 64)
    same = run_checks(data, {"schema": {"model": "model/MLmodel"}}).inputs[0]
    assert same.digest == subject.digest


def test_what_mlflow_refuses_fails_and_what_it_takes_passes(model: str, folder: Path) -> None:
    """MLflow's own schema enforcement is the reference."""
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    loaded = mlflow.pyfunc.load_model(model)
    good: dict[str, Any] = {"age": [30, 50], "pay": [1.0, 2.0], "old": [True, False]}
    for change in (
        {}, {"age": pd.array([1, 2], dtype="int32")}, {"age": [1.0, 2.0]}, {"age": ["a", "b"]}, {"pay": ["1", "2"]},
        {"pay": pd.array([1, 2], dtype="int64")}, {"pay": pd.array([1, 2], dtype="int32")}, {"old": [1, 0]},
        {"pay": [1.0, None]}, {"age": [30, None]}, {"pay": pd.array([1, 2], dtype="float32")},
    ):  # fmt: skip
        frame = pd.DataFrame({**good, **change})
        try:
            mlflow.models.utils._enforce_schema(frame, loaded.metadata.get_input_schema())
            taken = True
        except MlflowException:
            taken = False
        checks = run(write("t.parquet", **{**good, **change}), schema={"model": model})
        assert all(check.outcome is PASS for check in checks.values()) is taken, change


def test_a_missing_column_fails_unless_it_is_optional(folder: Path) -> None:
    checks = run(write("t.csv", pay=[1.5]), schema={"model": signature(pay="double", age="long", note="string?")})
    assert {name: check.outcome for name, check in checks.items()} == {
        "schema(pay)": PASS, "schema(age)": FAIL, "schema(note)": PASS, "schema_extra_columns": PASS,
    }  # fmt: skip
    assert 'no column "age"' in checks["schema(age)"].detail


@pytest.mark.parametrize(
    ("kind", "values", "outcome"),
    [
        ("double", ["1", "2"], PASS), ("double", ["1.5", ""], PASS), ("double", ["a"], FAIL),
        ("long", ["1", "2"], PASS), ("long", ["1", ""], FAIL), ("long", ["1.5"], FAIL),
        ("integer", ["2147483647"], PASS), ("integer", ["2147483648"], FAIL),
        ("string", ["1"], PASS), ("string", ["true", ""], PASS), ("boolean", ["true", "false"], PASS),
        ("boolean", ["1", "0"], FAIL), ("datetime", ["2024-01-01"], PASS), ("datetime", ["soon"], FAIL),
        ("double", ["", ""], FAIL), ("object", ["1"], ERROR),
    ],
)  # fmt: skip
def test_a_csv_is_judged_by_what_a_reader_can_make_of_it(
    kind: str, values: list[str], outcome: Outcome, folder: Path
) -> None:
    Path("t.csv").write_text("x,row\n" + "".join(f"{value},1\n" for value in values))
    assert run("t.csv", schema={"model": signature(x=kind)})["schema(x)"].outcome is outcome


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{}", "signature.no_inputs"), ("[1]", "signature.no_inputs"), ("{", "signature.unreadable"),
        ('{"inputs": [{"type": "tensor", "tensor-spec": {}}]}', "signature.no_inputs"),
        ('{"inputs": [{"type": "double"}]}', "signature.no_inputs"),
        ('{"inputs": [{"type": "long", "name": "x"}, {"type": "long", "name": "x"}]}', "column.twice"),
        ('{"signature": {"inputs": "nonsense"}}', "signature.no_inputs"),
    ],
)  # fmt: skip
def test_what_is_no_signature(content: str, code: str, folder: Path) -> None:
    Path("signature.json").write_text(content)
    with raises_code(ConfigurationError, code):
        run(write("t.csv", x=[1]), schema={"model": "signature.json"})
    with raises_code(ConfigurationError, "file.missing"):
        run("t.csv", schema={"model": "nowhere.json"})


@pytest.mark.slow
def test_names_that_the_queries_use_themselves(folder: Path) -> None:
    """Columns may be called what a query calls its own, and hold quotes."""
    random = np.random.default_rng(2)
    names = ["v", "t", "r", "d", "p0", "c0", "value", "given", "moment", "data", "other", "place", 'a "b"', "it's", "é"]
    label = random.integers(0, 2, 400)
    for own in names:
        columns = {name: random.normal(0, 1, 400) for name in names}
        columns[own] = label
        columns["word"] = random.choice(["x", "y"], 400)
        now, before = write("now.parquet", **columns), write("before.csv", **columns)
        rules = {"reference": before, "psi": {"max": 0.1}, "ks": {"max": 0.1}}
        checks = run(now, drift=rules, leakage={"label": own}, overlap={"with": before, "max": 1})
        assert {check.outcome for check in checks.values()} == {PASS}
        assert checks["overlap"].observed == 1
        for name in set(names) - {own}:
            auc = roc_auc_score(label, columns[name])
            assert checks[f"label_leakage({name})"].observed == pytest.approx(max(auc, 1 - auc), abs=1e-12)
    times = {name: ["2024-06-15T11:00:00Z"] for name in names} | {"at": ["1999-01-01"]}
    for name in names:
        data = write("t.csv", **times)
        assert run(data, freshness={"column": name, "max_age": "1d"})[f"freshness({name})"].outcome is PASS


# -- the mapping ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("checks", "code", "words"),
    [
        ({}, "checks.empty", ""),
        ({"drfit": {}}, "setting.unknown", "unknown key 'drfit'; did you mean 'drift'"),
        (
            {"volume": {"reference": "x", "min_ration": 1}},
            "setting.unknown",
            "unknown key 'min_ration'; did you mean 'min_ratio'",
        ),
        ({"freshness": {"column": "x"}}, "setting.missing", ""),
        ({"overlap": {}}, "setting.missing", ""),
        ({"overlap": None}, "checks.no_mapping", ""),
        ({"overlap": {"with": "t", "max": -1}}, "setting.wrong", "max must be a number within 0 to 1"),
        ({"overlap": {"with": "t", "max": True}}, "setting.wrong", ""),
        ({"overlap": {"with": "t", "keys": []}}, "setting.wrong", ""),
        ({"overlap": {"with": ""}}, "setting.wrong", ""),
        (["drift"], "checks.no_mapping", ""),
    ],
)
def test_a_mapping_that_does_not_hold(checks: Any, code: str, words: str, folder: Path) -> None:
    with raises_code(ConfigurationError, code, words):
        run_checks(write("t.csv", x=[1]), checks)


def test_the_policy_takes_the_same_keys() -> None:
    schema = policy_schema()["$defs"]["dataset_checks"]["properties"]
    assert {kind: set(part["properties"]) for kind, part in schema.items()} == {
        kind: {field.name.rstrip("_") for field in fields(cls)} for kind, cls in SETTINGS.items()
    }


def test_a_caller_fills_what_the_policy_leaves_open() -> None:
    policy = {"drift": {"psi": {"max": 0.2}}, "leakage": {"label": "y"}}
    given = {"drift": {"reference": "r.csv", "ks": {"max": 0.1}}, "volume": {"reference": "r.csv", "max_ratio": 2}}
    assert merge_checks(policy, given) == {
        "drift": {"psi": {"max": 0.2}, "reference": "r.csv", "ks": {"max": 0.1}},
        "leakage": {"label": "y"},
        "volume": {"reference": "r.csv", "max_ratio": 2},
    }
    assert merge_checks(None, given) == given
    assert merge_checks(policy, None) == policy == {"drift": {"psi": {"max": 0.2}}, "leakage": {"label": "y"}}


def test_a_caller_tightens_and_never_loosens() -> None:
    policy = {"drift": {"reference": "r.csv", "psi": {"max": 0.2}}, "overlap": {"with": "t.csv"}}
    assert merge_checks(policy, {"drift": {"psi": {"max": 0.1}}})["drift"]["psi"]["max"] == 0.1
    for given in (
        {"drift": {"psi": {"max": 0.3}}},
        {"drift": {"psi": {"max": 0.1, "severity": "info"}}},
        {"drift": {"reference": "other.csv"}},
        {"drift": {"exclude": ["income"]}},
        {"drift": {"columns": ["income"]}},
        {"drift": {"min_rows": 1}},
        {"drift": {"bins": 2}},
        {"overlap": {"max": 0.5}},
        {"overlap": {"keys": ["id"]}},
        {"overlap": {"severity": "info"}},
        {"overlap": "none"},
    ):
        with pytest.raises(ConfigurationError) as refused:
            merge_checks(policy, given)
        assert refused.value.code in {"bound.looser", "setting.not_the_policys", "checks.no_mapping"}


def test_one_reference_for_what_names_none() -> None:
    checks = {"drift": {"psi": {"max": 0.2}}, "volume": {"reference": "other.csv"}, "leakage": {"label": "y"}}
    assert with_reference(checks, "r.csv") == {
        "drift": {"reference": "r.csv", "psi": {"max": 0.2}}, "volume": {"reference": "other.csv"},
        "leakage": {"label": "y"},
    }  # fmt: skip
    with raises_code(ConfigurationError, "reference.unused"):
        with_reference({"leakage": {"label": "y"}}, "r.csv")


def test_a_reference_that_is_a_copy_is_told(folder: Path) -> None:
    now, copy = write("now.csv", x=range(500)), write("copy.csv", x=range(500))
    checks = run(now, drift={"reference": copy, "ks": {"max": 0.1}}, volume={"reference": copy, "max_ratio": 2})
    told = checks["reference(copy.csv)"]
    assert (told.outcome, told.severity) == (INCONCLUSIVE, Severity.WARNING)
    assert "so it can tell no change" in told.detail
    assert checks["drift_ks(x)"].outcome is PASS


def test_the_bytes_are_those_that_the_rest_of_the_gate_judged(folder: Path) -> None:
    data, rules = write("t.csv", at=["2024-06-15"]), {"freshness": {"column": "at", "max_age": "2d"}}
    assert run_checks(data, rules, expected=dataset_subject(data), now=NOW).checks[0].outcome is PASS
    with raises_code(DependencyError, "data.changed"):
        run_checks(data, rules, expected=Subject("dataset", data, "0" * 64), now=NOW)


# -- the champion ---------------------------------------------------------------------------------------------------


def with_champion(data: str, named: Subject | None, **checks: Any) -> DatasetChecks:
    return run_checks(data, checks, lookup=Champion(named))


def test_drift_against_what_the_champion_was_trained_on(folder: Path) -> None:
    before, now = write("before.csv", x=range(500)), write("now.csv", x=range(250, 750))
    rules = {"reference": "champion", "ks": {"max": 0.1}}
    result = with_champion(now, dataset_subject(before), drift=rules, volume={"reference": "champion", "max_ratio": 1})
    checks = {check.name: check for check in result.checks}
    assert (checks["drift_ks(x)"].outcome, checks["drift_ks(x)"].observed) == (FAIL, 0.5)
    assert checks["volume"].outcome is PASS
    assert result.inputs == (dataset_subject(before),)


def test_a_first_model_has_nothing_to_compare_with(folder: Path) -> None:
    rules = {"reference": "champion", "ks": {"max": 0.1}}
    (check,) = with_champion(write("now.csv", x=range(500)), None, drift=rules).checks
    assert (check.name, check.outcome, check.severity) == ("drift", PASS, Severity.INFO)
    assert "no champion yet" in check.detail


def test_training_data_that_is_no_longer_there_is_not_compared_with(folder: Path) -> None:
    before, now = write("before.csv", x=range(500)), write("now.csv", x=range(500))
    old = Subject("dataset", before, "1" * 64)
    rules = {"reference": "champion", "ks": {"max": 0.1}}
    with raises_code(
        ConfigurationError,
        "reference.gone",
        match=r"trained on before\.csv with sha256:111111111111, and the file there",
    ):
        with_champion(now, old, drift=rules)
    with raises_code(ConfigurationError, "reference.gone"):
        with_champion(before, old, drift=rules)


def test_the_champions_own_training_data_has_not_drifted_but_overlaps(folder: Path) -> None:
    data = write("now.csv", x=range(500))
    rules = {"reference": "champion", "ks": {"max": 0.1}}
    (check,) = with_champion(data, dataset_subject(data), drift=rules).checks
    assert (check.outcome, check.severity) == (PASS, Severity.INFO)
    assert "byte for byte" in check.detail
    with raises_code(ConfigurationError, "reference.same"):
        with_champion(data, dataset_subject(data), overlap={"with": "champion"})


def test_a_signature_from_the_registry(model: str, folder: Path) -> None:
    data = write("t.parquet", pay=[1.0], old=[True], age=[30])
    result = with_champion(data, None, schema={"model": "models:/credit/7"})
    assert {check.outcome for check in result.checks} == {PASS}
    assert result.inputs[0].name == "models:/credit/7"


def test_the_champion_needs_to_be_looked_up(folder: Path) -> None:
    data = write("now.csv", x=[1])
    for checks in (
        {"drift": {"reference": "champion", "ks": {"max": 0.1}}},
        {"overlap": {"with": "champion"}},
        {"schema": {"model": "models:/credit/7"}},
    ):
        with raises_code(ConfigurationError, "reference.not_named"):
            run_checks(data, checks)
