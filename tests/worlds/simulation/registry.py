"""MLflow's registry in memory, behind the REST calls of the real client: every request is a step of a machine.

What it answers is held equal to a real server by ``tests/registry/test_simulated_server.py``.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.registry.rest import RestClient
from tests.worlds.simulation.machine import Machine

URI = "http://mlflow.simulated"
TRIES = 3
"""Of the real client: the first, and two more."""
STAGES = {stage.lower(): stage for stage in ("None", "Staging", "Production", "Archived")}


class Refused(Exception):
    """The server says no."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


@dataclass
class Version:
    """One version, as the server keeps it."""

    number: int
    files: dict[str, bytes]
    stage: str = "None"
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Server:
    """What MLflow keeps; every change is told to whoever looks on."""

    models: dict[str, dict[int, Version]] = field(default_factory=dict)
    aliases: dict[str, dict[str, int]] = field(default_factory=dict)
    watch: Callable[[str, int, str], None] = lambda *_: None
    """Told of each change of place: model, version, where to."""

    def register(self, model: str, files: Mapping[str, bytes]) -> str:
        """A new version with its files."""
        versions = self.models.setdefault(model, {})
        self.aliases.setdefault(model, {})
        versions[len(versions) + 1] = Version(len(versions) + 1, dict(files))
        return str(len(versions))

    def answer(self, method: str, path: str, said: Mapping[str, Any]) -> Any:
        """The answer to one request, as JSON; the bytes of a file.

        :raises Refused: it refuses
        """
        what = path.removeprefix("/api/2.0/")
        if what.startswith("mlflow-artifacts/artifacts"):
            return self._file(what.removeprefix("mlflow-artifacts/artifacts").strip("/"), said)
        calls = {
            "GET mlflow/registered-models/get": self._get_model,
            "GET mlflow/registered-models/search": self._search_models,
            "GET mlflow/model-versions/get": self._get_version,
            "GET mlflow/model-versions/search": self._search_versions,
            "GET mlflow/model-versions/get-download-uri": self._where,
            "POST mlflow/model-versions/transition-stage": self._transition,
            "POST mlflow/model-versions/set-tag": self._tag,
            "POST mlflow/registered-models/alias": self._set_alias,
            "DELETE mlflow/registered-models/alias": self._delete_alias,
        }
        return calls[f"{method} {what}"](said)

    # -- calls --------------------------------------------------------------------------------------------------------

    def _get_model(self, said: Mapping[str, Any]) -> Any:
        return {"registered_model": self._model(self._named(said))}

    def _search_models(self, said: Mapping[str, Any]) -> Any:
        return {"registered_models": [self._model(name) for name in sorted(self.models)]}

    def _get_version(self, said: Mapping[str, Any]) -> Any:
        version = self._version(said)
        held = [alias for alias, number in self.aliases[said["name"]].items() if number == version.number]
        return {"model_version": {**self._shown(said["name"], version), "aliases": sorted(held)}}

    def _search_versions(self, said: Mapping[str, Any]) -> Any:
        match = re.fullmatch(r"name='([^']*)'", said["filter"])
        assert match, said["filter"]
        versions = self.models.get(match[1], {}).values()
        return {"model_versions": [self._shown(match[1], item) for item in versions]}

    def _where(self, said: Mapping[str, Any]) -> Any:
        return {"artifact_uri": f"mlflow-artifacts:/{said['name']}/{self._version(said).number}"}

    def _transition(self, said: Mapping[str, Any]) -> Any:
        stage, archive = STAGES[said["stage"].lower()], said["archive_existing_versions"]
        if archive and stage in ("None", "Archived"):
            raise Refused(500, "INTERNAL_ERROR")  # so says MLflow
        version = self._version(said)
        for other in self.models[said["name"]].values() if archive else ():
            if other.stage == stage and other is not version:
                other.stage = "Archived"
        version.stage = stage
        self.watch(said["name"], version.number, stage)
        return {"model_version": self._shown(said["name"], version)}

    def _tag(self, said: Mapping[str, Any]) -> Any:
        self._version(said).tags[said["key"]] = said["value"]
        return {}

    def _set_alias(self, said: Mapping[str, Any]) -> Any:
        number = self._version(said).number
        self.aliases[said["name"]][said["alias"]] = number
        self.watch(said["name"], number, said["alias"])
        return {}

    def _delete_alias(self, said: Mapping[str, Any]) -> Any:
        self.aliases[self._named(said)].pop(said["alias"], None)
        return {}

    def _file(self, path: str, said: Mapping[str, Any]) -> Any:
        model, number, *rest = (path or said["path"]).split("/")
        files, within = self.models[model][int(number)].files, "/".join(rest)
        if path:
            return files[within]
        start = f"{within}/" if within else ""
        below = {name.removeprefix(start).partition("/")[::2] for name in files if name.startswith(start)}
        return {"files": [{"path": name, "is_dir": bool(rest)} for name, rest in sorted(below)]}

    # -- within -------------------------------------------------------------------------------------------------------

    def _named(self, said: Mapping[str, Any]) -> str:
        name = str(said["name"])
        if name not in self.models:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST")
        return name

    def _version(self, said: Mapping[str, Any]) -> Version:
        found = self.models.get(said["name"], {}).get(int(said["version"]))
        if found is None:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST")
        return found

    def _model(self, name: str) -> Any:
        held = self.aliases[name].items()
        return {"name": name, "aliases": [{"alias": alias, "version": str(number)} for alias, number in sorted(held)]}

    def _shown(self, name: str, version: Version) -> Any:
        tags = [{"key": key, "value": value} for key, value in version.tags.items()]
        return {"name": name, "version": str(version.number), "current_stage": version.stage, "tags": tags}


class Client(RestClient):
    """The real client over a connection on which anything may happen."""

    def __init__(self, server: Server, machine: Machine) -> None:
        super().__init__(URI, None)
        self._server, self._machine = server, machine

    def _request(self, method: str, path: str, **given: Any) -> requests.Response:
        said = given.get("json") or given.get("params") or {}
        what = f"{method} {path.rpartition('/')[2]} {said.get('version', '')}"
        for tried in range(1, TRIES + 1):
            try:
                return self._machine.step(f"mlflow {what}", lambda: self._answered(method, path, said), _broken, 30)
            except (requests.RequestException, Refused):
                if tried == TRIES:
                    raise requests.exceptions.RetryError("simulated: too many error responses") from None
        raise AssertionError

    def _answered(self, method: str, path: str, said: Mapping[str, Any]) -> requests.Response:
        try:
            status, found = 200, self._server.answer(method, path, said)
        except Refused as error:
            if error.status >= 500:
                raise
            status, found = error.status, {"error_code": error.code, "message": error.code}
        answer = requests.Response()
        answer.status_code = status
        answer.raw = io.BytesIO(found if isinstance(found, bytes) else json.dumps(found).encode())
        return answer


def _broken(fate: str) -> Exception:
    return requests.exceptions.ReadTimeout(fate) if "hangs" in fate else requests.exceptions.ConnectionError(fate)


def simulated(server: Server, machine: Machine) -> MlflowRegistry:
    """The real registry class over it."""
    registry = MlflowRegistry(URI)
    registry.__dict__["_rest"] = Client(server, machine)
    return registry
