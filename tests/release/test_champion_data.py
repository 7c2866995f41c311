"""What the champion was trained on, on a real registry and a real ledger, and drift against it through the gate."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlgov.data.files import dataset_subject
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.statements import ProvenanceStatement
from airflow_mlgov.gates.dataset_checks import run_checks
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.champion_data import RegistryLookup
from airflow_mlgov.results import Outcome, Severity, Subject
from tests.codes import raises_code
from tests.worlds.governed import Governed

DRIFT = {"reference": "champion", "ks": {"max": 0.1}}


def lookup(governed: Governed, environment: str = "test") -> RegistryLookup:
    goal = load_policy(governed.policy_file).model(governed.model).target("production")
    return RegistryLookup(governed.registry, governed.ledger, governed.trust, environment, governed.model, goal)


def train(governed: Governed, weight: float, *datasets: Subject, duty: str = "registration") -> ModelVersion:
    """A version that was made from these datasets."""
    version = governed.server.register(governed.model, weight)
    subject = governed.registry.subject(version)
    statement = ProvenanceStatement(subject, governed.context(), datasets, ("tom",), {"run_id": "r"})
    governed.attest(duty, statement)
    return version


def write(folder: Path, name: str, shift: int = 0) -> str:
    pd.DataFrame({"age": np.arange(500) + shift}).to_csv(folder / name, index=False)
    return str(folder / name)


def test_the_champion_by_the_ledger(governed: Governed, tmp_path: Path) -> None:
    first, second, now = (write(tmp_path, name, shift) for name, shift in (("1.csv", 0), ("2.csv", 40), ("3.csv", 60)))
    assert lookup(governed).champion_data() is None
    (check,) = run_checks(now, {"drift": DRIFT}, lookup=lookup(governed)).checks
    assert (check.outcome, check.severity) == (Outcome.PASS, Severity.INFO)

    champion = train(governed, 1.0, dataset_subject(first))
    governed.judge(champion)
    assert lookup(governed).champion_data() is None  # registered, not promoted
    governed.promote(champion)
    assert lookup(governed).champion_data() == dataset_subject(first)
    with raises_code(ConfigurationError, "champion.no_provenance"):
        lookup(governed, "other").champion_data()
    result = run_checks(now, {"drift": DRIFT}, lookup=lookup(governed))
    by_name = {check.name: check for check in result.checks}
    assert (by_name["drift_ks(age)"].outcome, by_name["drift_ks(age)"].observed) == (Outcome.FAIL, 0.12)
    assert result.inputs == (dataset_subject(first),)

    successor = train(governed, 2.0, dataset_subject(second))
    governed.judge(successor)
    governed.promote(successor)
    checks = run_checks(now, {"drift": DRIFT}, lookup=lookup(governed)).checks
    assert {check.name: check.observed for check in checks}["drift_ks(age)"] == 0.04
    governed.roll_back()
    assert lookup(governed).champion_data() == dataset_subject(first)

    write(tmp_path, "1.csv", 60)  # overwritten by somebody
    with pytest.raises(ConfigurationError, match=r"1\.csv with sha256:\w{12}, and the file there now is"):
        run_checks(now, {"drift": DRIFT}, lookup=lookup(governed))


def test_a_champion_that_was_set_by_hand(governed: Governed, tmp_path: Path) -> None:
    """Before anything was promoted by evidence, the registry says who is champion."""
    data = write(tmp_path, "1.csv")
    version = train(governed, 1.0, dataset_subject(data))
    governed.registry.set_alias(version, "champion")
    assert lookup(governed).champion_data() == dataset_subject(data)


def test_what_a_champion_was_trained_on_must_be_known(governed: Governed, tmp_path: Path) -> None:
    one, two = (dataset_subject(write(tmp_path, name, shift)) for shift, name in enumerate(("1.csv", "2.csv")))
    several = train(governed, 1.0, one, two)
    governed.registry.set_alias(several, "champion")
    with raises_code(ConfigurationError, "champion.several_datasets", match=r"\(.*1\.csv, .*2\.csv\)"):
        lookup(governed).champion_data()
    unsigned = governed.server.register(governed.model, 2.0)
    governed.registry.set_alias(unsigned, "champion")
    with raises_code(ConfigurationError, "champion.no_provenance"):
        lookup(governed).champion_data()
    forged = train(governed, 3.0, one, duty="performance")
    governed.registry.set_alias(forged, "champion")
    with raises_code(ConfigurationError, "champion.no_provenance"):
        lookup(governed).champion_data()


def test_a_signature_that_the_registry_holds(governed: Governed, tmp_path: Path) -> None:
    version = governed.register()
    with lookup(governed).signature_of(version.uri) as folder:
        assert (folder / "MLmodel").is_file()
        shown: Any = (folder / "MLmodel").read_text()
    assert "flavors" in shown
