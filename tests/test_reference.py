"""The tables of settings in the documentation."""

from pathlib import Path

from airflow_mlgov import catalogue
from airflow_mlgov.reference import filled
from airflow_mlgov.reference.settings import settings_table

DOCS = Path(__file__).parents[1] / "docs" / "gates.md"


def test_the_documentation_has_the_settings_that_the_gates_have() -> None:
    text = DOCS.read_text()
    assert filled(text) == text, "run python -m airflow_mlgov.reference docs/gates.md"
    own = [gate for gate in catalogue.load_all() if type(gate).__module__.startswith("airflow_mlgov.")]
    assert [gate.name for gate in own if f"<!-- settings of {gate.name} -->" not in text] == []


def test_a_table_says_what_is_stricter_and_what_is_of_the_machine() -> None:
    table = settings_table(catalogue.load("fairness"))
    assert "| `max_share_left_out` | `0.0` |" in table
    assert "**stricter: `error`**" in table
    assert "*not in the policy*" in settings_table(catalogue.load("tfdv"))
