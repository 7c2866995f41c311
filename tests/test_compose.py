"""No Docker engine is needed here: the file is held against itself and against the provider's options."""

from pathlib import Path

import yaml

from airflow_mlgov.provider_info import get_provider_info

COMPOSE = yaml.safe_load((Path(__file__).parents[1] / "docker-compose.yaml").read_text())


def test_services_know_each_other_and_listen_on_loopback_only() -> None:
    services = COMPOSE["services"]
    assert {"postgres", "openbao", "mlflow", "airflow-apiserver", "airflow-scheduler"} <= set(services)
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert {
            str(volume).split(":")[0] for volume in service.get("volumes", []) if not str(volume).startswith(".")
        } <= set(COMPOSE["volumes"]), name


def test_its_options_exist_and_it_holds_no_secret() -> None:
    environment = COMPOSE["x-airflow"]["environment"]
    options = {key.removeprefix("AIRFLOW__MLGOV__").lower() for key in environment if "MLGOV" in key}
    assert options
    assert options <= set(get_provider_info()["config"]["mlgov"]["options"])
    for key, value in environment.items():
        if any(word in key for word in ("SECRET", "KEY", "PASSWORD")) and not key.startswith("AIRFLOW__SECRETS"):
            assert str(value).startswith(("${", "/")), key
