"""``docker-compose.yaml`` is held to what it says of itself; ``tests/live/test_compose_runs.py`` brings it up."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.provider_info import get_provider_info
from tests.worlds.compose import FILE, ROOT, services

SERVICES = services()
JOBS = {name for name, said in SERVICES.items() if said.get("restart") == "no"}
WORKERS = {"worker-default", "worker-governance"}


def values(said: Any) -> list[str]:
    """Every text below a part of the file."""
    if isinstance(said, dict):
        return [text for value in said.values() for text in values(value)]
    if isinstance(said, list):
        return [text for value in said for text in values(value)]
    return [str(said)]


def test_it_is_what_the_compose_specification_takes() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(FILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_of_one_version_and_says_whether_it_is_well(name: str) -> None:
    said = SERVICES[name]
    assert re.fullmatch(r"[\w./-]+:v?\d+(\.\d+)+(-static)?", said["image"]), (
        "an image without a version, or a major alone"
    )
    assert all(str(port).startswith("127.0.0.1:") for port in said.get("ports", []))
    if name in JOBS:
        assert "healthcheck" not in said
        return
    assert said["restart"] == "unless-stopped"
    assert said["healthcheck"]["test"]
    for other, how in said.get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in JOBS else "service_healthy"
        assert how["condition"] == wanted, f"{name} begins before {other} is there"


def test_no_password_stands_in_it() -> None:
    for name, said in SERVICES.items():
        for variable, value in (said.get("environment") or {}).items():
            if re.search("SECRET|PASSWORD|KEY|TOKEN", variable) and not re.search("BACKEND|UNACKED", variable):
                assert re.match(r"\$\{\w+:\?run make compose-init\}$|cat /run/secrets/|/run/secrets/|/opt/", value), (
                    name
                )
    assert not re.search(r"\$\{\w+(:?-[^}]*)?\}", FILE.read_text()), "a variable that may be empty, or has a default"


def test_its_options_of_mlgov_exist() -> None:
    options = set(get_provider_info()["config"]["mlgov"]["options"])
    found = {key for said in SERVICES.values() for key in said.get("environment") or {} if "__MLGOV__" in key}
    assert found
    assert {key.rpartition("__")[2].lower() for key in found} <= options


def test_a_worker_has_neither_the_database_nor_what_signs_log_ins() -> None:
    for name in WORKERS:
        said = SERVICES[name]
        assert not {key for key in said["environment"] if "SQL_ALCHEMY" in key or "JWT" in key or "SECRET_KEY" in key}
        queue = name.removeprefix("worker-")
        mine = {f"redis_{queue}"} | ({"opa.crt"} if queue == "governance" else set())
        assert set(said["secrets"]) == mine
        assert said["command"][said["command"].index("--queues") + 1] == queue
    holders = {name for name, said in SERVICES.items() if "airflow_jwt_secret" in said.get("secrets", [])}
    assert holders == {"airflow-apiserver", "airflow-scheduler"}


def test_the_gates_log_ins_reach_one_worker_alone() -> None:
    holders = {
        name for name, said in SERVICES.items() if "connections-governance" in " ".join(values(said.get("volumes")))
    }
    assert holders == {"worker-governance", "furnish", "volumes"}
    reach = {name for name, said in SERVICES.items() if "governance" in said.get("networks", [])}
    assert "worker-default" not in reach
    assert {"openbao", "opa", "worker-governance", "furnish"} <= reach
    dags = [str(one) for one in SERVICES["worker-governance"]["volumes"] if str(one).startswith("./dags")]
    assert dags
    assert all(Path(ROOT, one.split(":")[0]).is_file() for one in dags), "single files, each reviewed"


def test_the_image_has_no_linter_and_no_test_tool() -> None:
    said = (ROOT / "deploy" / "image" / "Dockerfile").read_text()
    installed = said[said.index("pip install") :]
    assert "[postgres,s3,scoring]" in installed
    assert not re.search(r"--requirement|\blint\b|\btest\b|ruff|mypy|pytest", installed)
    locked = {re.split("[=; ]", line)[0] for line in (ROOT / "deploy/image/celery.lock").read_text().splitlines()}
    others = {re.split("[=; ]", line)[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}
    assert not locked & others, "one version of each"


def test_secrets_are_drawn_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "dags" / "include").mkdir(parents=True)
    init = [sys.executable, str(ROOT / "deploy" / "compose" / "init.py"), str(tmp_path)]
    said = subprocess.run(init, capture_output=True, text=True, check=True).stdout
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    mounted = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert mounted <= set(made)
    for path in (tmp_path / ".env", *(tmp_path / "secrets").iterdir()):
        assert path.stat().st_mode & 0o777 == 0o600, path
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    roles = json.loads(made["postgres_roles.json"])
    assert set(roles) == {"airflow", "mlflow", "ledger_owner", "ledger", "ledger_reader"}
    everything = [made["postgres_password"], *roles.values(), made["opa_token"], made["airflow_jwt_secret"]]
    assert len(set(everything)) == len(everything)
    assert not [secret for secret in everything if secret in said]

    again = subprocess.run(init, capture_output=True, text=True, check=True).stdout
    assert "0 secrets made" in again
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == made
    (tmp_path / "secrets" / "opa_token").unlink()
    done = subprocess.run(init, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "complete it, or move it away" in done.stderr


def test_every_variable_is_in_the_one_env(tmp_path: Path) -> None:
    (tmp_path / "dags" / "include").mkdir(parents=True)
    subprocess.run(
        [sys.executable, str(ROOT / "deploy/compose/init.py"), str(tmp_path)], check=True, capture_output=True
    )
    given = {line.split("=")[0] for line in (tmp_path / ".env").read_text().splitlines()}
    assert set(re.findall(r"\$\{(\w+)", FILE.read_text())) == given
