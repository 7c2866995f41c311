"""Gates that are no product's, through the life that every gate has."""

from pathlib import Path

import pandas as pd

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.protocol import Findings, Gate, GateSettings, Question
from airflow_mlgov.gates.run import run_gate
from airflow_mlgov.results import Check, Outcome, Subject
from tests.codes import raises_code

FOUND = Subject("dataset", "elsewhere", "ab" * 32)
PASSED = (Check("there", Outcome.PASS),)


class Rows(Gate[GateSettings]):
    """Reads what it is given."""

    name = "rows"
    about = "dataset"
    Settings = GateSettings

    def judge(self, question: Question[GateSettings]) -> Findings:
        return Findings(PASSED, {"rows": len(question.data.frame())})


class Nothing(Gate[GateSettings]):
    """Finds its subject by itself."""

    name = "nothing"
    about = "dataset"
    Settings = GateSettings
    reads = False

    def judge(self, question: Question[GateSettings]) -> Findings:
        assert question.data is None
        return Findings(PASSED, read=(FOUND,), inputs=(Subject("rules", "the rules", "cd" * 32),))


def test_a_gate_that_reads_is_given_rows() -> None:
    result = run_gate(Rows(), pd.DataFrame({"a": [1, 2]}), GateSettings())
    assert (result.gate, result.subject.kind, result.details) == ("rows", "dataset", {"rows": 2})
    with raises_code(ConfigurationError, "data.missing"):
        run_gate(Rows(), None, GateSettings())


def test_a_gate_that_reads_no_data_names_what_it_found(tmp_path: Path) -> None:
    result = run_gate(Nothing(), None, GateSettings(), report_dir=tmp_path)
    assert (result.subject, result.verdict) == (FOUND, Outcome.PASS)
    assert [item.kind for item in result.inputs] == ["rules"]
    assert list(tmp_path.glob("nothing-*.html"))


class Silent(Nothing):
    """Forgets to say what it has read."""

    def judge(self, question: Question[GateSettings]) -> Findings:
        return Findings(PASSED)


def test_a_gate_over_data_that_does_not_say_what_it_has_read() -> None:
    with raises_code(ConfigurationError, "gate.no_subject"):
        run_gate(Silent(), None, GateSettings())
