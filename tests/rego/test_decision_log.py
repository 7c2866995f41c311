"""What rules were asked and have answered, as OPA logs it."""

import json
import stat
from pathlib import Path

import pytest

from airflow_mlgov.cli.configured import from_environment
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.rego.choice import engine_of
from airflow_mlgov.rego.decision_log import Logged
from airflow_mlgov.rego.embedded import EmbeddedEngine, embedded
from airflow_mlgov.rego.protocol import Bundle, RulesError

MADE = Bundle({"a.rego": "package a\nx contains v if some v in input.l\ny := 1 if input.no"})


def test_each_rule_is_a_line_in_opas_format(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    engine = Logged(embedded(), path)
    assert engine.evaluate(MADE, ["data.a.x"], {"l": [1]}) == [[1]]
    with pytest.raises(RulesError):
        engine.evaluate(MADE, ["data.a.y"], {"l": []})
    answered, refused = (json.loads(line) for line in path.read_text().splitlines())
    assert answered["path"] == "a/x"
    assert answered["result"] == [1]
    assert answered["input"] == {"l": [1]}
    assert answered["bundles"] == {"mlgov": {"revision": MADE.digest}}
    assert answered["labels"]["engine"] == engine.name
    assert answered["timestamp"].endswith("Z")
    assert refused["error"]["code"] == "rego.undefined"
    assert "result" not in refused
    assert len({answered["decision_id"], refused["decision_id"]}) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_cannot_be_written_is_not_answered(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Logged(embedded(), tmp_path / "no" / "folder").evaluate(MADE, ["data.a.x"], {"l": [1]})
    assert caught.value.code == "file.not_writable"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"policy_engine": "rego"}, "rego.engine_unknown"),
        ({"policy_engine": "opa"}, "opa.address"),
        ({"policy_engine": "opa", "opa_url": "http://opa.example"}, "opa.address"),
        ({"policy_engine": "opa", "opa_url": "https://opa.example", "opa_timeout": "soon"}, "opa.limit"),
        ({"policy_engine": "opa", "opa_url": "https://opa.example", "opa_timeout": "0"}, "opa.limit"),
        ({"policy_engine": "opa", "opa_url": "https://opa.example", "opa_token_file": "/nowhere"}, "file.missing"),
    ],
)
def test_an_engine_that_is_configured_wrongly(said: dict[str, str], code: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        engine_of(lambda name: said.get(name, ""))
    assert caught.value.code == code


def test_commands_read_variables_and_then_airflows_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    assert from_environment("policy_engine") == ""
    assert isinstance(engine_of(from_environment), EmbeddedEngine)
    (tmp_path / "airflow.cfg").write_text("[core]\nx = %(y)s\n[mlgov]\npolicy_engine = opa-binary\nopa_program = /a\n")
    assert from_environment("policy_engine") == "opa-binary"
    monkeypatch.setenv("AIRFLOW__MLGOV__POLICY_ENGINE", "opa")
    assert from_environment("policy_engine") == "opa"
    monkeypatch.setenv("MLGOV_POLICY_ENGINE", "regorus")
    assert from_environment("policy_engine") == "regorus"
    monkeypatch.delenv("MLGOV_POLICY_ENGINE")
    (tmp_path / "token").write_text("secret-token\n")
    monkeypatch.setenv("MLGOV_OPA_URL", "https://opa.example:8181")
    monkeypatch.setenv("MLGOV_OPA_TOKEN_FILE", str(tmp_path / "token"))
    engine = engine_of(from_environment)
    assert engine.name == "opa at https://opa.example:8181"
    assert "secret-token" not in repr(engine.settings)  # type: ignore[attr-defined]
