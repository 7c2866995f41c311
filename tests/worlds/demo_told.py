"""The demo as ``mlgov demo`` plays it, and every secret that it makes, as JSON: ``python -m tests.worlds.demo_told FILE
demo --work-dir …``."""

import json
import secrets
import sys
from pathlib import Path
from typing import Any

from airflow_mlgov.cli import main
from airflow_mlgov.demo import servers
from airflow_mlgov.demo.servers import write_private


def play(file: Path) -> None:
    """The command; the file is written also if it fails."""
    made: dict[str, str] = {}
    random, bao, airflow = secrets.token_urlsafe, servers.start_openbao, servers.start_airflow

    def token_urlsafe(size: int | None = None) -> str:
        value = random(size)
        made[f"random text {len(made)}"] = value
        return value

    def start_openbao(*given: Any, **more: Any) -> servers.OpenBao:
        started = bao(*given, **more)
        made.update({"OpenBao's root token": started.root_token, "OpenBao's unseal key": started.unseal_key})
        return started

    def start_airflow(*given: Any, **more: Any) -> servers.Airflow:
        known = more["connections"].items()
        made.update({f"the secret id of {name}": one["password"] for name, one in known if "password" in one})
        return airflow(*given, **more)

    secrets.token_urlsafe = token_urlsafe
    servers.start_openbao, servers.start_airflow = start_openbao, start_airflow
    try:
        main()
    finally:
        write_private(file, json.dumps(made))


if __name__ == "__main__":
    play(Path(sys.argv.pop(1)))
