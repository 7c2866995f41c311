"""What every gate's settings have in common, whichever gate it is."""

import subprocess
import sys
from typing import Any

import pytest

from airflow_mlgov import catalogue
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.fairness.spec import FairnessSettings
from airflow_mlgov.gates.protocol import Gate, OpenMetrics, Strict
from airflow_mlgov.gates.tfdv.spec import TfdvSettings

FAIR = {"label": "y", "sensitive_features": ["sex"]}
HEAVY = ["pandas", "numpy", "duckdb", "mlflow", "great_expectations", "sklearn", "airflow", "sqlalchemy"]


@pytest.mark.parametrize("gate", catalogue.load_all(), ids=lambda gate: gate.name)
def test_a_gate_says_what_everything_else_is_made_from(gate: Gate[Any]) -> None:
    assert gate.__doc__
    assert gate.next_step.startswith("Next: ")
    for name, info in gate.Settings.model_fields.items():
        assert info.description, f"{gate.name}.{name} has no description"
        assert not info.description.endswith(".")


@pytest.mark.parametrize("name", catalogue.names())
def test_a_spec_is_light(name: str) -> None:
    script = (
        f"import sys; from airflow_mlgov import catalogue; catalogue.load({name!r}); "
        f"print(*(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({**FAIR, "lable": "y"}, "setting.unknown", "did you mean 'label'"),
        (
            {"sensitive_features": ["sex"]},
            "setting.missing",
            "label is missing, in the policy and where the gate is called (--label): column of the truth",
        ),
        ({**FAIR, "min_group_size": True}, "setting.wrong", "min_group_size should be a whole number, not True"),
        ({**FAIR, "confidence": 1}, "setting.wrong", "confidence should be less than 1, not 1"),
        ({**FAIR, "threshold": float("nan")}, "setting.wrong", "threshold should be a finite number, not nan"),
        ({**FAIR, "decide": "guess"}, "setting.wrong", "decide should be 'point' or 'interval', not 'guess'"),
        ({**FAIR, "sensitive_features": []}, "setting.wrong", "sensitive_features"),
    ],
)
def test_a_setting_that_is_wrong_is_named(given: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        FairnessSettings.read(given)
    assert caught.value.code == code
    assert words in str(caught.value)


def test_what_is_a_template_or_missing_is_not_refused_before_its_time() -> None:
    def is_template(value: Any) -> bool:
        return value == "{{ x }}"

    FairnessSettings.refuse({"min_group_size": "{{ x }}"}, "the DAG", is_template, True)
    with pytest.raises(ConfigurationError) as caught:
        FairnessSettings.refuse({"min_group_size": 0}, "the DAG", is_template, True)
    assert caught.value.code == "setting.wrong"
    with pytest.raises(ConfigurationError) as caught:
        TfdvSettings.refuse({"schema": "s", "anomalies": "a"}, "the DAG", is_template, True)
    assert caught.value.code == "setting.contradiction"


def test_labels_keep_their_type() -> None:
    for label in (1, True, "1", 1.5):
        settings = FairnessSettings.read({**FAIR, "positive_label": label})
        assert (settings.positive_label, type(settings.positive_label)) == (label, type(label))


def test_which_settings_decide_how_hard_a_gate_is_to_pass() -> None:
    strict = {gate.name: list(gate.Settings.marks(Strict)) for gate in catalogue.load_all()}
    assert strict["fairness"] == [
        "sample_weight", "decide", "confidence", "min_group_size", "min_positives", "min_negatives",
        "max_share_left_out", "missing_sensitive", "suppress_below",
    ]  # fmt: skip
    assert strict["performance"] == [
        "sample_weight",
        "decide",
        "confidence",
        "min_slice_size",
        "max_share_left_out",
        "suppress_below",
    ]
    decide = FairnessSettings.marks(Strict)["decide"]
    assert [decide.rank(word) for word in ("point", "interval", "guess")] == [0, 1, None]
    assert FairnessSettings.read(FAIR).applied["max_share_left_out"] == 0


def test_metrics_without_an_end() -> None:
    metrics = OpenMetrics([r"\w+_mean", r"\w+_mean_vs_champion"], ["relevance_mean"])
    assert "toxicity_mean" in metrics
    assert "toxicity_median" not in metrics
    assert list(metrics) == ["relevance_mean"]
