from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from airflow_mlgov.data.database import SqlSource
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.children import environment, network
from airflow_mlgov.gates.data_validation import validate_data
from airflow_mlgov.gates.data_validation.suite import load_suite
from airflow_mlgov.gates.data_validation.tfdv import judge_anomalies
from airflow_mlgov.gates.data_validation.tfdv_schema import feature_lines
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.gates.tfdv.spec import GATE, TfdvSettings
from airflow_mlgov.results import Check, GateResult, Outcome, Severity
from tests.codes import raises_code
from tests.fixtures.shell import Run

SCHEMA = """\
# feature { is a word in this comment
feature {
  name: "age" type: INT
  presence { min_fraction: 1 min_count: 1 }
  int_domain { name: "feature {" min: 18 max: 100 }
}
feature: { name: "grade" type: BYTES presence { min_fraction: 0.5 min_count: 1 } domain: "grades" }
feature < name: "income" type: FLOAT presence < min_count: 1 > float_domain < min: 0 disallow_inf: true > >
feature { name: "notes" type: BYTES lifecycle_stage: DEBUG_ONLY }
string_domain { name: "grades" value: "A" value: "B" }
dataset_constraints { min_examples_count: 2 }
"""
COLUMNS: dict[str, list[Any]] = {
    "age": [18, 30, 100], "grade": ["A", "B", None], "income": [0.0, 1.5, 2.5],
}  # fmt: skip

# What TFDV 1.16.1 wrote for ages 17, 30, 45, 200, grades A, B, C, D and a column extra, against a span before.
ANOMALIES = """\
baseline {
  feature { name: "age" type: INT int_domain { min: 18 max: 100 } presence { min_fraction: 1.0 min_count: 1 } }
  feature {
    name: "grade" type: BYTES string_domain { value: "A" value: "B" value: "C" }
    skew_comparator { infinity_norm { threshold: 0.5 } }
    drift_comparator { jensen_shannon_divergence { threshold: 0.1 } }
  }
}
anomaly_info {
  key: "age"
  value {
    description: "Unexpectedly small value: 17. Unexpectedly large value: 200."
    severity: ERROR
    short_description: "Multiple errors"
    reason {
      type: INT_TYPE_SMALL_INT
      short_description: "Out-of-range values"
      description: "Unexpectedly small value: 17."
    }
    reason {
      type: INT_TYPE_BIG_INT
      short_description: "Out-of-range values"
      description: "Unexpectedly large value: 200."
    }
    path { step: "age" }
  }
}
anomaly_info {
  key: "extra"
  value {
    description: "New column (column in data but not in schema)"
    severity: WARNING
    short_description: "New column"
    reason {
      type: SCHEMA_NEW_COLUMN
      short_description: "New column"
      description: "New column (column in data but not in schema)"
    }
    path { step: "extra" }
  }
}
anomaly_name_format: SERIALIZED_PATH
dataset_anomaly_info {
  description: "The dataset has 4 examples, which is fewer than expected."
  severity: ERROR
  short_description: "Low num examples in dataset."
  reason {
    type: DATASET_LOW_NUM_EXAMPLES
    short_description: "Low num examples in dataset."
    description: "The dataset has 4 examples, which is fewer than expected."
  }
}
drift_skew_info {
  path { step: "grade" }
  drift_measurements { type: JENSEN_SHANNON_DIVERGENCE value: 0.5487949406953986 threshold: 0.1 }
  skew_measurements { type: L_INFTY value: 0.25 threshold: 0.5 }
}
"""
CLEAN = 'baseline { feature { name: "age" type: INT } }\nanomaly_name_format: SERIALIZED_PATH\n'


def _write(folder: Path, columns: dict[str, Any], schema: str) -> tuple[Path, Path]:
    pq.write_table(pa.table(columns), folder / "data.parquet")
    (folder / "schema.pbtxt").write_text(schema)
    return folder / "data.parquet", folder / "schema.pbtxt"


def _validate(folder: Path, columns: dict[str, Any], schema: str, report_dir: Any = None, **more: Any) -> GateResult:
    data, path = _write(folder, columns, schema)
    return _judge(data, report_dir, schema=path, **more)


def _judge(data: Any, report_dir: Path | None = None, **settings: Any) -> GateResult:
    said = {name: str(value) for name, value in settings.items()}
    return run_gate(GATE, data, TfdvSettings.read(said), report_dir=report_dir)


def _failed(result: GateResult) -> dict[str, Outcome]:
    return {check.name: check.outcome for check in result.failed}


def test_data_that_meets_the_schema(tmp_path: Path) -> None:
    result = _validate(tmp_path, COLUMNS, SCHEMA, report_dir=tmp_path / "report")
    assert result.verdict is Outcome.PASS, result.summary()
    checks = {check.name: check for check in result.checks}
    assert checks["expect_column_values_to_be_between(age)"].bound == "min_value=18, max_value=100"
    assert checks["expect_column_values_to_be_in_set(grade)"].bound == 'value_set=["A", "B"]'
    assert checks["expect_column_values_to_not_be_null(grade)"].bound == "mostly=0.5"
    assert checks["type(age)"].observed == "BIGINT"
    assert checks["skipped(notes)"].detail == "not judged: its lifecycle stage is DEBUG_ONLY"
    assert checks["skipped(notes)"].severity is Severity.INFO
    assert [item.kind for item in result.inputs] == ["schema"]
    assert "great_expectations" not in result.libraries  # one query, and nothing else
    assert "skipped(notes)" in Path(result.reports["Tfdv report"]).read_text()


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({"age": [17, 30, 100]}, "expect_column_values_to_be_between(age)"),
        ({"age": [18, 30, 101]}, "expect_column_values_to_be_between(age)"),
        ({"age": [18, 30, None]}, "expect_column_values_to_not_be_null(age)"),
        ({"age": [18.0, 30.0, 100.0]}, "type(age)"),
        ({"grade": ["A", None, None]}, "expect_column_values_to_not_be_null(grade)"),
        ({"grade": ["A", "C", "B"]}, "expect_column_values_to_be_in_set(grade)"),
        ({"income": [0.0, float("inf"), 1.0]}, "expect_column_values_to_be_between(income)"),
        ({"income": [1, 2, 3]}, "type(income)"),
        ({"other": [1, 2, 3]}, "expect_table_columns_to_match_set"),
    ],
)
def test_data_that_does_not(tmp_path: Path, change: dict[str, Any], failed: str) -> None:
    assert _failed(_validate(tmp_path, {**COLUMNS, **change}, SCHEMA)) == {failed: Outcome.FAIL}


@pytest.mark.parametrize("shape", ["shape { }", "shape { dim { size: 1 } }"])
@pytest.mark.parametrize("presence", ["", "presence { min_fraction: 0.9 }", "presence { min_fraction: 1 }"])
def test_a_shape_asks_for_a_value_in_every_row(tmp_path: Path, shape: str, presence: str) -> None:
    schema = f'feature {{ name: "income" type: INT {presence} {shape} }}'
    whole, most = [31_000, 44_000, 52_000] * 10, [31_000, 44_000] * 14 + [52_000, None]
    assert _validate(tmp_path, {"income": whole}, schema).verdict is Outcome.PASS
    result = _validate(tmp_path, {"income": most}, schema)
    assert _failed(result) == {"expect_column_values_to_not_be_null(income)": Outcome.FAIL}


@pytest.mark.parametrize("fraction", ["1.5", "-0.5", "nan", "inf"])
def test_a_fraction_that_is_none_is_an_error_by_name(tmp_path: Path, fraction: str) -> None:
    schema = f'feature {{ name: "grade" type: BYTES presence {{ min_fraction: {fraction} }} }}'
    result = _validate(tmp_path, {"grade": ["A", "B"]}, schema)
    assert _failed(result) == {"schema(grade.presence.min_fraction)": Outcome.ERROR}


def test_columns_and_rows_that_are_not_there(tmp_path: Path) -> None:
    without = {name: values for name, values in COLUMNS.items() if name != "income"}
    result = _validate(tmp_path, without, SCHEMA)
    assert _failed(result) == {
        "expect_column_to_exist(income)": Outcome.FAIL,
        "expect_table_columns_to_match_set": Outcome.FAIL,
    }
    one = {name: values[:1] for name, values in COLUMNS.items()}
    assert _failed(_validate(tmp_path, one, SCHEMA)) == {"expect_table_row_count_to_be_between": Outcome.FAIL}
    allowed = {**COLUMNS, "notes": [1, 2, 3]}  # neither judged nor unexpected
    assert _validate(tmp_path, allowed, SCHEMA).verdict is Outcome.PASS
    nothing = {**COLUMNS, "income": pa.array([None] * 3, pa.float64())}
    assert _validate(tmp_path, nothing, SCHEMA).verdict not in (Outcome.PASS, Outcome.ERROR)


def test_a_csv(tmp_path: Path) -> None:
    data, schema = tmp_path / "data.csv", tmp_path / "schema.pbtxt"
    schema.write_text(
        'feature { name: "n" type: INT presence { min_count: 1 } }'
        'feature { name: "ok" type: BYTES bool_domain { true_value: "true" false_value: "false" } }'
        'feature { name: "day" type: BYTES }'
    )
    data.write_text("n,ok,day\n1,true,2026-01-01\n,false,2026-01-02\n")
    result = _judge(data, schema=schema)
    assert result.verdict is Outcome.PASS, result.summary()
    data.write_text("n,ok,day\n1.5,true,2026-01-01\n,maybe,2026-01-02\n")
    assert _failed(_judge(data, schema=schema)) == {
        "type(n)": Outcome.FAIL,
        "expect_column_values_to_be_in_set(ok)": Outcome.FAIL,
    }


FEATURE = 'feature { name: "x" type: INT presence { min_count: 1 } %s }'


@pytest.mark.parametrize(
    ("schema", "refused"),
    [
        (FEATURE % "drift_comparator { infinity_norm { threshold: 0.1 } }", "x.drift_comparator"),
        (FEATURE % "skew_comparator { infinity_norm { threshold: 0.1 } }", "x.skew_comparator"),
        (FEATURE % "distribution_constraints { min_domain_mass: 0.9 }", "x.distribution_constraints"),
        (FEATURE % "value_count { min: 1 max: 3 }", "x.value_count"),
        (FEATURE % "value_count { min: 1 }", "x.value_count"),
        (FEATURE % "value_counts { value_count { min: 1 max: 1 } }", "x.value_counts"),
        (FEATURE % "shape { dim { size: 2 } }", "x.shape"),
        (FEATURE % "unique_constraints { min: 1 max: 3 }", "x.unique_constraints"),
        (FEATURE % "string_domain { value: '1' }", "x.string_domain"),
        (FEATURE % "float_domain { min: 1 }", "x.float_domain"),
        (FEATURE % "bool_domain { true_value: 'yes' }", "x.bool_domain"),
        (FEATURE % "natural_language_domain { }", "x.natural_language_domain"),
        (FEATURE % "time_domain { string_format: '%%Y' }", "x.time_domain"),
        (FEATURE % "image_domain { }", "x.image_domain"),
        (FEATURE % "validation_derived_source { deriver_name: 'd' }", "x.validation_derived_source"),
        (FEATURE % "domain: 'nowhere'", "x.domain"),
        ('feature { name: "x" presence { min_count: 1 } }', "x.type"),
        ('feature { name: "x" type: STRUCT presence { min_count: 1 } }', "x.type"),
        ('feature { name: "x" type: INT group_presence { required: true } }', "x.group_presence"),
        ('feature { name: "x" type: INT presence { min_count: 9 } }', "x.presence.min_count"),
        (
            'feature { name: "x" type: FLOAT presence { min_count: 1 } float_domain { disallow_nan: true } }',
            "x.float_domain.disallow_nan",
        ),
        ('feature { name: "x" type: FLOAT presence { min_count: 1 } float_domain { min: nan } }', "x.float_domain.min"),
        (
            'feature { name: "x" type: FLOAT presence { min_count: 1 } float_domain { max: -inf } }',
            "x.float_domain.max",
        ),
        (FEATURE % "" + 'sparse_feature { name: "s" }', "sparse_feature.s"),
        (FEATURE % "" + 'weighted_feature { name: "w" }', "weighted_feature.w"),
        (
            FEATURE % "" + "dataset_constraints { num_examples_drift_comparator { min_fraction_threshold: 1 } }",
            "dataset_constraints.num_examples_drift_comparator",
        ),
    ],
)
def test_what_cannot_be_said_is_an_error_by_name(tmp_path: Path, schema: str, refused: str) -> None:
    columns: dict[str, Any] = {"x": [1.0, 2.0] if "FLOAT" in schema else [1, 2]}
    data, path = _write(tmp_path, columns, schema)
    result = _judge(data, schema=path)
    assert result.verdict is Outcome.ERROR
    errors = {check.name: check for check in result.checks if check.outcome is Outcome.ERROR}
    assert list(errors) == [f"schema({refused})"]
    assert f"{path}" in errors[f"schema({refused})"].detail
    suite = load_suite(path)
    kinds = [item for item in suite.expectations if item.type.startswith("tfdv_")]
    assert any(f": {refused} " in item.where for item in kinds)


def test_a_schema_is_a_suite(tmp_path: Path) -> None:
    schema = SCHEMA.replace('feature { name: "notes" type: BYTES lifecycle_stage: DEBUG_ONLY }\n', "")
    data, path = _write(tmp_path, COLUMNS, schema)
    suite = load_suite(path)
    assert [item.position for item in suite.expectations] == list(range(1, len(suite.expectations) + 1))
    where = {item.kwargs.get("column"): item.where for item in suite.expectations if item.kwargs.get("column")}
    assert where == {
        "age": f'{path}:2 (feature "age")',
        "grade": f'{path}:7 (feature "grade")',
        "income": f'{path}:8 (feature "income")',
    }
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'data.db'}")
    frame = pq.read_table(data).to_pandas()
    frame.to_sql("loans", engine, index=False, dtype={"age": sa.Integer, "grade": sa.Text, "income": sa.Float})
    frame.assign(age=1, more="x").to_sql("others", engine, index=False)
    assert validate_data(SqlSource(str(engine.url), table="loans"), path).verdict is Outcome.PASS
    assert {
        "expect_column_values_to_be_between(age)": Outcome.FAIL,
        "expect_table_columns_to_match_set": Outcome.FAIL,
    }.items() <= _failed(validate_data(SqlSource(str(engine.url), table="others"), path)).items()


def test_a_suite_that_cannot_tell_unknown_columns(tmp_path: Path) -> None:
    data, path = _write(tmp_path, COLUMNS, SCHEMA)
    checks = validate_data(pd.read_parquet(data), path).checks
    check = {check.name: check for check in checks}["tfdv_unknown_columns"]
    assert check.outcome is Outcome.ERROR
    assert "some features may be absent (notes); use `mlgov gate tfdv`" in check.detail


def test_lines_of_features() -> None:
    assert feature_lines(SCHEMA) == [2, 7, 8, 9]
    assert feature_lines('string_domain { name: "feature {" }\n\nfeature{name:"x"}') == [3]


def test_environments(tmp_path: Path) -> None:
    schema = (
        'default_environment: "TRAINING" default_environment: "SERVING"'
        'feature { name: "x" type: INT presence { min_count: 1 } }'
        'feature { name: "label" type: INT presence { min_count: 1 } not_in_environment: "SERVING" }'
    )
    only, both = {"x": [1]}, {"x": [1], "label": [0]}
    assert _validate(tmp_path, only, schema, schema_environment="SERVING").verdict is Outcome.PASS
    assert _validate(tmp_path, both, schema, schema_environment="SERVING").verdict is Outcome.FAIL
    assert _validate(tmp_path, only, schema, schema_environment="TRAINING").verdict is Outcome.FAIL
    assert _validate(tmp_path, only, schema).verdict is Outcome.FAIL
    assert _validate(tmp_path, both, schema).verdict is Outcome.PASS
    with raises_code(
        ConfigurationError, "tfdv.environment", match="knows no environment SERVICE; it has: SERVING, TRAINING"
    ):
        _validate(tmp_path, only, schema, schema_environment="SERVICE")


@pytest.mark.parametrize(
    ("schema", "code", "words"),
    [
        ("", "suite.vacuous", ""),
        ("feature { type: INT }", "tfdv.feature", "feature 1 has no name"),
        ('feature { name: "x" } feature { name: "x" }', "tfdv.feature", ""),
        ('\nfeature { nam: "x" }', "tfdv.unreadable", "schema.pbtxt:2 is not text of a TFDV Schema message: .*nam"),
    ],
)
def test_schemas_that_are_none(tmp_path: Path, schema: str, code: str, words: str) -> None:
    with raises_code(ConfigurationError, code, words):
        _validate(tmp_path, {"x": [1]}, schema)
    with raises_code(ConfigurationError, "file.missing"):
        load_suite(tmp_path / "absent.pbtxt")


def _anomalies(folder: Path, text: str) -> dict[str, Check]:
    (folder / "anomalies.pbtxt").write_text(text)
    return {check.name: check for check in judge_anomalies(folder / "anomalies.pbtxt")}


def test_anomalies_are_judged_by_severity(tmp_path: Path) -> None:
    checks = _anomalies(tmp_path, ANOMALIES)
    assert {name: (check.outcome, check.severity) for name, check in checks.items()} == {
        "validated": (Outcome.PASS, Severity.CRITICAL),
        "anomaly(age)": (Outcome.FAIL, Severity.CRITICAL),
        "anomaly(extra)": (Outcome.FAIL, Severity.WARNING),
        "anomaly(the dataset)": (Outcome.FAIL, Severity.CRITICAL),
        "drift(grade, JENSEN_SHANNON_DIVERGENCE)": (Outcome.FAIL, Severity.CRITICAL),
        "skew(grade, L_INFTY)": (Outcome.PASS, Severity.CRITICAL),
    }
    assert checks["anomaly(age)"].detail == "INT_TYPE_SMALL_INT, INT_TYPE_BIG_INT"
    assert "17" not in str([check.as_dict() for check in checks.values()])  # somebody's age


def test_no_anomaly_passes_only_in_a_result(tmp_path: Path) -> None:
    assert {name: check.outcome for name, check in _anomalies(tmp_path, CLEAN).items()} == {"validated": Outcome.PASS}
    for text in ("", "baseline { }", "anomaly_name_format: SERIALIZED_PATH", f"{CLEAN} data_missing: true"):
        assert _anomalies(tmp_path, text)["validated"].outcome is Outcome.ERROR
    info = 'anomaly_info { key: "x" value { %s } }'
    unknown = _anomalies(tmp_path, CLEAN + info % "severity: UNKNOWN")["anomaly(x)"]
    assert (unknown.outcome, unknown.severity) == (Outcome.ERROR, Severity.CRITICAL)
    assert _anomalies(tmp_path, CLEAN + info % "")["anomaly(x)"].outcome is Outcome.ERROR
    measured = 'drift_skew_info { path { step: "x" } drift_measurements { type: L_INFTY value: nan threshold: 0.1 } }'
    assert _anomalies(tmp_path, CLEAN + measured)["drift(x, L_INFTY)"].outcome is Outcome.INCONCLUSIVE


def test_binary_anomalies(tmp_path: Path) -> None:
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0.anomalies_pb2 import Anomalies

    message = text_format.Parse(ANOMALIES, Anomalies())
    (tmp_path / "SchemaDiff.pb").write_bytes(message.SerializeToString())
    assert {check.name for check in judge_anomalies(tmp_path / "SchemaDiff.pb")} == set(_anomalies(tmp_path, ANOMALIES))
    (tmp_path / "SchemaDiff.pb").write_bytes(b"\xff\xff\xff")
    with raises_code(ConfigurationError, "tfdv.unreadable"):
        judge_anomalies(tmp_path / "SchemaDiff.pb")
    with raises_code(
        ConfigurationError, "tfdv.unreadable", match=r"anomalies.pbtxt:1 is not text of a TFDV Anomalies message$"
    ):
        _anomalies(tmp_path, "Ada Lovelace")


def test_on_the_command_line(run: Run, tmp_path: Path) -> None:
    data, schema = _write(tmp_path, COLUMNS, SCHEMA)
    (tmp_path / "anomalies.pbtxt").write_text(ANOMALIES)
    command = ["gate", "tfdv", "--data", str(data)]
    code, out, err = run(*command, "--schema", schema)
    assert code == 0, err
    assert "gate tfdv: PASS" in out
    code, out, _ = run(*command, "--anomalies", tmp_path / "anomalies.pbtxt", "--json")
    assert code == 1
    assert [check["name"] for check in json.loads(out)["checks"]][:2] == ["validated", "anomaly(age)"]
    assert _judge(data, anomalies=tmp_path / "anomalies.pbtxt").details["bound_to_data_by"] == "the caller"
    code, _, err = run(*command)
    assert (code, "give either --schema or --anomalies" in err) == (2, True)
    code, _, err = run(*command, "--schema", schema, "--previous", data)
    assert (code, "name its interpreter with --python" in err) == (2, True)
    code, _, err = run(*command, "--schema", schema, "--python", sys.executable)
    assert code == 2
    assert "-m pip install tensorflow-data-validation==1.16.1 dill" in err


def test_tfdv_itself_reads_files_alone(tmp_path: Path) -> None:
    _, schema = _write(tmp_path, COLUMNS, SCHEMA)
    with raises_code(ConfigurationError, "data.no_files"):
        _judge(pa.table(COLUMNS).to_pandas(), schema=schema, python=sys.executable)


# Beside TFDV itself: 2.5 GB, so only where somebody has installed it.

TFDV_PYTHON = "MLGOV_TEST_TFDV_PYTHON"
MASS = (
    'feature { name: "x" type: BYTES string_domain { value: "a" } distribution_constraints { min_domain_mass: 0.75 } }'
)
CATEGORICAL = 'feature { name: "x" type: INT int_domain { is_categorical: true } unique_constraints { min: 1 max: 3 } }'
CASES: list[tuple[dict[str, Any], str]] = [
    (COLUMNS, SCHEMA),
    *(
        ({**COLUMNS, **change}, SCHEMA)
        for change in (
            {"age": [17, 30, 100]}, {"age": [18, 30, None]}, {"age": [18.5, 30.0, 100.0]}, {"grade": ["A", None, None]},
            {"grade": ["A", "C", "B"]}, {"income": [0.0, float("inf"), 1.0]}, {"income": [1, 2, 3]}, {"new": [1, 2, 3]},
            {"notes": [1, 2, 3]}, {"income": [-0.5, 0.0, 1.0]},
        )
    ),
    ({"age": [20, 30], "grade": ["A", "B"]}, SCHEMA),
    ({"x": ["a", "a", "a", "b"]}, MASS),
    ({"x": ["a", "a", "b", "b"]}, MASS),
    ({"x": ["a", "b", "c", None]}, 'feature { name: "x" type: BYTES unique_constraints { min: 1 max: 3 } }'),
    ({"x": ["a", "b", "c", "d"]}, 'feature { name: "x" type: BYTES unique_constraints { min: 1 max: 3 } }'),
    ({"x": [1, 2, 3, 3]}, CATEGORICAL),
    ({"x": [1, 2, 3, 4]}, CATEGORICAL),
    ({"x": [True, False]}, 'feature { name: "x" type: INT bool_domain { } }'),
    ({"x": [0, 1, 2]}, 'feature { name: "x" type: INT bool_domain { } }'),
    ({"x": [0.0, 1.0]}, 'feature { name: "x" type: FLOAT bool_domain { } }'),
    ({"x": ["yes", "no"]}, 'feature { name: "x" type: BYTES bool_domain { true_value: "yes" false_value: "no" } }'),
    ({"x": ["yes", "maybe"]}, 'feature { name: "x" type: BYTES bool_domain { true_value: "yes" false_value: "no" } }'),
    ({"x": [0.1]}, 'feature { name: "x" type: FLOAT float_domain { min: 0.1 } }'),
    ({"x": [0.2]}, 'feature { name: "x" type: FLOAT float_domain { max: 0.2 } }'),
    ({"x": [1, 2, 3]}, 'feature { name: "x" type: INT presence { min_fraction: 1 min_count: 3 } }'),
    ({"x": [1, 2]}, 'feature { name: "x" type: INT presence { min_fraction: 1 min_count: 3 } }'),
    ({"x": [1, 2]}, 'feature { name: "x" type: INT } feature { name: "y" type: INT }'),
    ({"x": [1, 2]}, 'feature { name: "x" type: INT } dataset_constraints { max_examples_count: 2 }'),
    ({"x": [1, 2]}, 'feature { name: "x" type: INT shape { dim { size: 1 } } }'),
    ({"x": [1, 2]}, 'feature { name: "x" type: INT value_count { min: 1 max: 1 } }'),
    *(
        ({"x": [1, 2]}, f'feature {{ name: "x" type: INT lifecycle_stage: {stage} int_domain {{ max: 1 }} }}')
        for stage in ("UNKNOWN_STAGE", "PLANNED", "ALPHA", "BETA", "PRODUCTION", "DEPRECATED", "DEBUG_ONLY", "DISABLED")
    ),
    ({"x": [1, 2]}, 'feature { name: "x" type: INT deprecated: true int_domain { max: 1 } }'),
]  # fmt: skip
STRICTER = ({"x": [1, 2, 3]}, 'feature { name: "x" type: INT } dataset_constraints { max_examples_count: 2 }')
"""TFDV 1.16.1 lets this pass."""
ASK_ALL = """\
import json, sys
sys.path.insert(0, sys.argv[1])
import tfdv_check
from google.protobuf import text_format
from tensorflow_metadata.proto.v0.anomalies_pb2 import Anomalies
found = []
for number, schema in enumerate(json.load(open("schemas.json"))):
    order = {"data": [f"{number}.parquet"], "previous": None, "serving": None, "environment": None, "schema": schema}
    anomalies = text_format.Parse(tfdv_check.answer(order)["anomalies"], Anomalies())
    found.append(sorted(anomalies.anomaly_info) + ["dataset"] * anomalies.HasField("dataset_anomaly_info"))
json.dump(found, open("found.json", "w"))
"""


@pytest.fixture(scope="module")
def tfdv_python() -> str:
    python = os.environ.get(TFDV_PYTHON)
    if not python:
        pytest.skip(
            f"TFDV needs an environment of its own (2.5 GB): set {TFDV_PYTHON} to the interpreter of one with "
            "tensorflow-data-validation==1.16.1 and dill"
        )
    return python


def test_the_same_verdicts_as_tfdv(tfdv_python: str, tmp_path: Path) -> None:
    ours = []
    for number, (columns, schema) in enumerate(CASES):
        result = _validate(tmp_path, columns, schema)
        assert result.verdict in (Outcome.PASS, Outcome.FAIL), result.summary()
        ours.append(result)
        (tmp_path / "data.parquet").rename(tmp_path / f"{number}.parquet")
    (tmp_path / "schemas.json").write_text(json.dumps([schema for _, schema in CASES]))
    (tmp_path / "ask_all.py").write_text(ASK_ALL)
    scripts = str(Path(environment.__file__).with_name("scripts"))
    done = subprocess.run(
        [tfdv_python, "ask_all.py", scripts], cwd=tmp_path, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = json.loads((tmp_path / "found.json").read_text())
    unlike = [
        (case, anomalies, result.summary())
        for case, anomalies, result in zip(CASES, theirs, ours, strict=True)
        if (result.verdict is Outcome.PASS) != (not anomalies)
    ]
    assert unlike == []
    assert _validate(tmp_path, *STRICTER).verdict is Outcome.FAIL
    assert 10 < sum(not anomalies for anomalies in theirs) < len(theirs) - 10


def test_tfdv_itself(tfdv_python: str, tmp_path: Path) -> None:
    data, schema = tmp_path / "data.csv", tmp_path / "schema.pbtxt"
    data.write_text("age,grade\n17,A\n30,B\n")
    schema.write_text(
        'feature { name: "age" type: INT int_domain { min: 18 } }'
        'feature { name: "grade" type: BYTES drift_comparator { infinity_norm { threshold: 0.4 } } }'
    )
    result = _judge(data, schema=schema, python=tfdv_python)
    assert result.libraries["tensorflow-data-validation"]
    assert result.details["child"]["network"] in (network.CUT, network.NOT_CUT)
    assert _failed(result) == {"anomaly(age)": Outcome.FAIL, "drift(grade)": Outcome.ERROR}
    assert "nothing was compared: give previous data" in next(c.detail for c in result.checks if "drift" in c.name)
    schema.write_text(schema.read_text() + "dataset_constraints { max_examples_count: 1 }")
    before = tmp_path / "before.csv"
    before.write_text("age,grade\n30,A\n30,A\n")
    data.write_text("age,grade\n18,A\n30,B\n")
    result = _judge(data, schema=schema, python=tfdv_python, previous=before)
    assert _failed(result) == {
        "row_count": Outcome.FAIL,
        "anomaly(grade)": Outcome.FAIL,
        "drift(grade, L_INFTY)": Outcome.FAIL,
    }
    assert [item.kind for item in result.inputs] == ["schema", "previous"]
