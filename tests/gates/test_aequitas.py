from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.aequitas import CELLS, AequitasAudit, aequitas_disparities, count_outcomes
from airflow_mlgov.gates.children import network
from tests.codes import raises_code
from tests.gates.environments import interpreter

pytestmark = pytest.mark.slow

# Aequitas' compas_demo.ipynb: counts by race of ProPublica's two-years file, and its table of disparities.
FP_FN_TN_TP = {
    "African-American": (805, 532, 990, 1369),
    "Asian": (2, 3, 21, 6),
    "Caucasian": (349, 461, 1139, 505),
    "Hispanic": (87, 129, 318, 103),
    "Native American": (3, 1, 5, 9),
    "Other": (36, 90, 208, 43),
}
COUNTS = {group: dict(zip(("fp", "fn", "tn", "tp"), cells, strict=True)) for group, cells in FP_FN_TN_TP.items()}
FPR_FNR = {
    "African-American": (2.087696, 0.503301),
    "Asian": (0.404798, 0.599483),
    "Caucasian": (1.091838, 0.858266),
    "Hispanic": (1.0, 1.0),
    "Native American": (1.745690, 0.179845),
    "Other": (0.686829, 1.216996),
}


@pytest.fixture(scope="module")
def python() -> Path:
    """An interpreter beside Aequitas."""
    return interpreter("aequitas")


@pytest.fixture(scope="module")
def audit(python: Path) -> AequitasAudit:
    return aequitas_disparities(COUNTS, python=python, reference="Hispanic")


def test_the_published_disparities(audit: AequitasAudit) -> None:
    assert audit.reference == "Hispanic"
    assert list(audit.groups) == list(FPR_FNR)
    for group, (fpr, fnr) in FPR_FNR.items():
        assert audit.groups[group].disparities["fpr_disparity"] == pytest.approx(fpr, abs=5e-7)
        assert audit.groups[group].disparities["fnr_disparity"] == pytest.approx(fnr, abs=5e-7)
    assert audit.groups["African-American"].disparities["pprev_disparity"] == pytest.approx(1.972030, abs=5e-7)
    assert set(audit.libraries) == {"aequitas", "pandas", "python"}
    assert audit.libraries["pandas"] < "3"
    assert audit.child["network"] in (network.CUT, network.NOT_CUT)


def test_every_disparity_is_a_ratio_of_rates(audit: AequitasAudit) -> None:
    def rates(group: str) -> dict[str, float]:
        fp, fn, tn, tp = FP_FN_TN_TP[group]
        return {
            "fpr": fp / (fp + tn), "fnr": fn / (fn + tp), "tpr": tp / (fn + tp), "tnr": tn / (fp + tn),
            "precision": tp / (tp + fp), "fdr": fp / (tp + fp), "for": fn / (fn + tn), "npv": tn / (fn + tn),
            "pprev": (tp + fp) / (fp + fn + tn + tp),
        }  # fmt: skip

    reference = rates("Hispanic")
    for group, found in audit.groups.items():
        for name, rate in rates(group).items():
            assert found.metrics[name] == pytest.approx(rate)
            assert found.disparities[f"{name}_disparity"] == pytest.approx(rate / reference[name])
        fpr = found.disparities["fpr_disparity"]
        assert fpr is not None
        assert found.parities["FPR Parity"] is (0.8 <= fpr <= 1.25)
    assert audit.overall["Supervised Fairness"] is False


def test_the_largest_group_is_the_reference_where_none_is_named(python: Path) -> None:
    counts = {"few": dict.fromkeys(CELLS, 10), "many": {"tp": 40, "fp": 20, "fn": 20, "tn": 40}}
    audit = aequitas_disparities(counts, python=python, tau=0.6)
    assert (audit.reference, audit.tau) == ("many", 0.6)
    assert audit.groups["few"].disparities["fpr_disparity"] == pytest.approx(1.5)
    assert audit.groups["few"].parities["FPR Parity"] is True  # 1.5 <= 1 / 0.6
    nobody = {"a": {"tp": 5, "fp": 0, "fn": 5, "tn": 9}, "b": {"tp": 5, "fp": 3, "fn": 5, "tn": 9}}
    audit = aequitas_disparities(nobody, python=python, reference="a")
    assert audit.groups["b"].disparities["fpr_disparity"] == 10  # Aequitas' word for a division by 0
    assert audit.groups["b"].parities["FPR Parity"] is False
    assert audit.groups["a"].disparities["fpr_disparity"] is None
    assert audit.groups["a"].parities["FPR Parity"] is None


def test_counts_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("sex,y,p\n" + "".join(f"{row}\n" for row in ("f,1,1", "f,0,1", "m,1,0", "m,0,0", "m,0,0")))
    assert count_outcomes(path, attribute="sex", label="y", prediction="p") == {
        "f": {"tp": 1, "fp": 1, "fn": 0, "tn": 0},
        "m": {"tp": 0, "fp": 0, "fn": 1, "tn": 2},
    }
    path.write_text("sex,y,p\nf,1,1\n,0,1\n")
    with raises_code(ConfigurationError, "group.missing", match="1 rows have no sex"):
        count_outcomes(path, attribute="sex", label="y", prediction="p")
    for wrong in ("2", "0.5", "", "yes"):
        path.write_text(f"sex,y,p\nf,1,1\nm,{wrong},1\n")
        with raises_code(
            ConfigurationError, "label.not_binary", match="1 rows have a y or a p that is neither 0 nor 1"
        ):
            count_outcomes(path, attribute="sex", label="y", prediction="p")
    with raises_code(ConfigurationError, "column.missing", match='no column "gender"'):
        count_outcomes(path, attribute="gender", label="y", prediction="p")


@pytest.mark.parametrize(
    ("counts", "options", "code", "words"),
    [
        ({"a": dict.fromkeys(CELLS, 1)}, {}, "group.too_few", "at least 2 groups, not 1"),
        ({}, {}, "group.too_few", "at least 2 groups, not 0"),
        ({**COUNTS, "x": dict.fromkeys(CELLS, 0)}, {}, "group.counts", "the group 'x' needs"),
        ({**COUNTS, "x": {"tp": 1}}, {}, "group.counts", "the group 'x' needs"),
        ({**COUNTS, "x": {**dict.fromkeys(CELLS, 1), "tp": 1.5}}, {}, "group.counts", "the group 'x' needs"),
        ({**COUNTS, "x": {**dict.fromkeys(CELLS, 1), "tp": -1}}, {}, "group.counts", "the group 'x' needs"),
        ({**COUNTS, "x": {**dict.fromkeys(CELLS, 1), "tp": 60_000_000}}, {}, "data.too_many_rows", ""),
        (COUNTS, {"reference": "hispanic"}, "group.unknown", "reference group 'hispanic' is not among"),
        (COUNTS, {"tau": 0}, "setting.wrong", ""),
        (COUNTS, {"tau": math.nan}, "setting.wrong", ""),
        (COUNTS, {}, "environment.incomplete", "aequitas is missing there; install it: .* 'aequitas>=1.1' 'pandas<3'"),
    ],
)
def test_mistakes_of_the_user(counts: Any, options: dict[str, Any], code: str, words: str) -> None:
    with raises_code(ConfigurationError, code, words):
        aequitas_disparities(counts, python=sys.executable, **options)
