"""The reference in the documentation, made from the code."""

import inspect
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from airflow_mlgov import catalogue
from airflow_mlgov.reference import filled
from airflow_mlgov.reference.commands import commands
from airflow_mlgov.reference.operators import classes, parameters
from airflow_mlgov.reference.policy import keys
from airflow_mlgov.reference.settings import settings_table

DOCS = Path(__file__).parents[1] / "docs"
MADE = [path.name for path in sorted(DOCS.glob("*.md")) if "<!-- end -->" in path.read_text()]


@pytest.mark.parametrize("name", MADE)
def test_a_page_has_what_the_code_has(name: str) -> None:
    text = (DOCS / name).read_text()
    assert filled(text) == text, f"run python -m airflow_mlgov.reference docs/{name}"


def test_every_gate_has_its_table() -> None:
    text = (DOCS / "gates.md").read_text()
    own = [gate for gate in catalogue.load_all() if type(gate).__module__.startswith("airflow_mlgov.")]
    assert [gate.name for gate in own if f"<!-- settings of {gate.name} -->" not in text] == []


def test_a_table_says_what_is_stricter_and_what_is_of_the_machine() -> None:
    table = settings_table(catalogue.load("fairness"))
    assert "| `max_share_left_out` | `0.0` |" in table
    assert "**stricter: `error`**" in table
    assert "*not in the policy*" in settings_table(catalogue.load("tfdv"))


@pytest.mark.parametrize("part", ["operators", "sensors", "triggers", "hooks"])
def test_every_class_tells_of_each_of_its_parameters(part: str) -> None:
    found = list(classes(part))
    assert found
    for each in found:
        own = {
            name
            for base in each.__mro__
            if getattr(inspect.unwrap(base.__init__), "__module__", "").startswith("airflow_mlgov.")
            for name, item in inspect.signature(base.__init__).parameters.items()
            if name != "self" and item.kind is not item.VAR_KEYWORD
        }
        told = {name for name, _, _ in parameters(each)}
        ours = own & set(inspect.signature(each.__init__).parameters)
        assert ours <= told | {"context"}, f"{each.__name__}: {sorted(ours - told)}"


def test_every_command_and_every_key_of_a_policy_is_described() -> None:
    assert [path for path, each in commands().items() if not each.help] == []
    schema = json.loads(files("airflow_mlgov.governance").joinpath("policy.base.json").read_text("utf-8"))
    described = list(keys(schema))
    assert len(described) > 50
    assert [path for path, _, text in described if not text] == []


def test_connections_are_what_airflow_reads() -> None:
    from airflow.models.connection import Connection

    text = (DOCS / "configuration.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| `([\w]+)` \| `(\{.*?\})` \| ?(?:`([^`]+)`)? ?\|$", text, re.MULTILINE)
    assert len(rows) >= 5
    for name, text, uri in rows:
        read = Connection.from_json(text, name)
        assert read.host
        if uri:
            same = Connection(conn_id=name, uri=uri)
            wanted = (read.conn_type, read.host, read.login, read.schema or "")
            assert (same.conn_type, same.host, same.login, same.schema or "") == wanted
