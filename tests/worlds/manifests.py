"""What ``deploy/kubernetes`` holds, read."""

from typing import Any

import yaml

from tests.worlds.admission import DEPLOY

FOLDER = DEPLOY / "kubernetes"


def objects(name: str) -> list[dict[str, Any]]:
    """The objects of a manifest, in order."""
    return [item for item in yaml.safe_load_all((FOLDER / name).read_text()) if item]


WORKER = {item["kind"]: item for item in objects("governance-worker.yaml")}
"""The governance worker's objects, by their kind."""
POD = WORKER["Deployment"]["spec"]["template"]["spec"]
