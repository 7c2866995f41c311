"""MLflow's REST calls that a release needs, on a registry behind http(s), without importing MLflow. Refuses an answer
that is no strict JSON or larger than any registry's, and never repeats a credential.

Methods, arguments and answers are those of ``MlflowClient``, as far as they are used here.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_mlgov import __version__
from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.digests import parse_json
from airflow_mlgov.extras import offered
from airflow_mlgov.registry.mlflow_errors import MlflowAnswer, Unreadable

if TYPE_CHECKING:
    import requests

_Answer = TypeVar("_Answer")

PATIENCE = {
    # MLflow's own defaults wait for minutes; a task is retried by Airflow instead.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""MLflow's settings, unless the user has set them."""

_API = "/api/2.0/mlflow/"
_FILES = "/api/2.0/mlflow-artifacts/artifacts"
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_CODES = {400: "BAD_REQUEST", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "ENDPOINT_NOT_FOUND"}
_MOST_JSON = 256 * 1024**2
"""Bytes of one answer: a page of 1,000 versions with all the tags that MLflow allows for is smaller."""
_PIECE = 1024**2
_PROMPT = "mlflow.prompt.is_prompt"
"""The tag of a prompt, which MLflow keeps among the models and does not show as one."""
_CREDENTIALS = "~/.mlflow/credentials"


@dataclass(frozen=True)
class Model:
    """A registered model, as far as it is read here."""

    name: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    latest_versions: tuple[Version, ...] = ()
    """The newest in each stage."""


@dataclass(frozen=True)
class Version:
    """A version of a registered model, under the names of MLflow's own entity."""

    name: str
    version: str
    run_id: str | None
    source: str | None
    current_stage: str | None
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    creation_timestamp: int
    user_id: str | None


class Page(list[Any]):
    """One page of an answer; ``token`` asks for the next one."""

    def __init__(self, items: Iterable[Any], token: str | None) -> None:
        super().__init__(items)
        self.token = token


def speaks_for(uri: str, authorization: str | None) -> bool:
    """Whether what the user has set of MLflow needs nothing that only MLflow itself can do.

    :param authorization: of the registry's own; if there is none, MLflow's settings say who asks
    """
    if os.environ.get("MLFLOW_TRACKING_AWS_SIGV4", "").lower() in ("true", "1"):
        return False
    if authorization is None and os.environ.get("MLFLOW_TRACKING_AUTH"):
        return False
    return uri.lower().startswith(("http://", "https://")) and not any(offered("mlflow.request_header_provider"))


class RestClient:
    """One registry and one identity. Connects at the first call.

    :param uri: of the server, without credentials
    :param authorization: the header; if None, what MLflow's settings say
    """

    def __init__(self, uri: str, authorization: str | None) -> None:
        self.uri = uri.rstrip("/")
        self._authorization = authorization
        self._no_prompts: set[str] = set()

    # -- reading ------------------------------------------------------------------------------------------------------

    def get_registered_model(self, name: str) -> Model:
        """A model with its aliases."""
        found = self._ask("registered-models/get", name=name).get("registered_model")
        model = _read(_model, found)
        if _PROMPT in model.tags:
            raise MlflowAnswer("RESOURCE_DOES_NOT_EXIST", f"Registered Model with name={name} not found")
        self._no_prompts.add(name)
        return model

    def search_registered_models(self, max_results: int, page_token: str | None = None) -> Page:
        """Models by name, prompts left out."""
        wanted = f"tag.`{_PROMPT}` != 'true'"
        answer = self._ask("registered-models/search", filter=wanted, max_results=max_results, **_token(page_token))
        return Page(_read(_all(_model), answer.get("registered_models", [])), answer.get("next_page_token") or None)

    def get_model_version(self, name: str, version: str) -> Version:
        """A version with its stage, aliases and tags."""
        found = _read(_version, self._ask("model-versions/get", name=name, version=version).get("model_version"))
        if _PROMPT in found.tags:
            raise MlflowAnswer("RESOURCE_DOES_NOT_EXIST", f"Registered Model with name={name} not found")
        self._no_prompts.add(name)  # each version of a prompt has the tag
        return found

    def search_model_versions(self, wanted: str, max_results: int, page_token: str | None = None) -> Page:
        """Versions by one of MLflow's filters, without their aliases."""
        answer = self._ask("model-versions/search", filter=wanted, max_results=max_results, **_token(page_token))
        return Page(_read(_all(_version), answer.get("model_versions", [])), answer.get("next_page_token") or None)

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        """Where the files of a version are."""
        self._refuse_prompt(name)
        answer = self._ask("model-versions/get-download-uri", name=name, version=version)
        return _read(_text, answer.get("artifact_uri"))

    # -- changing -----------------------------------------------------------------------------------------------------

    def transition_model_version_stage(
        self, name: str, version: str, stage: str, archive_existing_versions: bool = False
    ) -> Version:
        """Move a version to a stage; the version as MLflow says that it is now."""
        self._refuse_prompt(name)
        wanted = {"name": name, "version": version, "stage": stage}
        wanted["archive_existing_versions"] = archive_existing_versions  # type: ignore[assignment]  # a truth value
        return _read(_version, self._tell("POST", "model-versions/transition-stage", wanted).get("model_version"))

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        self._refuse_prompt(name)
        self._tell("POST", "registered-models/alias", {"name": name, "alias": alias, "version": version})

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Remove an alias."""
        self._refuse_prompt(name)
        self._tell("DELETE", "registered-models/alias", {"name": name, "alias": alias})

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        """Write one tag on a version."""
        self._refuse_prompt(name)
        said = {"name": name, "version": version, "key": key, "value": str(value)}
        self._tell("POST", "model-versions/set-tag", said)

    # -- files --------------------------------------------------------------------------------------------------------

    def list_files(self, path: str) -> list[Any]:
        """What lies in a folder of the store that the server hands out itself; each with ``path``, a name."""
        return _read(list, self._json("GET", _FILES, params={"path": path}).get("files", []))

    def save_file(self, path: str, target: Path) -> int:
        """One of these files, written to ``target``; the status of the answer, 200 where it was.

        :param path: percent-encoded
        """
        with self._request("GET", f"{_FILES}/{path}", stream=True) as answer, target.open("xb") as file:
            if answer.ok:
                for piece in answer.iter_content(_PIECE):
                    file.write(piece)
            return answer.status_code

    # -- within -------------------------------------------------------------------------------------------------------

    def _refuse_prompt(self, name: str) -> None:
        if name not in self._no_prompts:
            self.get_registered_model(name)

    def _ask(self, what: str, **wanted: Any) -> dict[str, Any]:
        return self._json("GET", _API + what, params=wanted)

    def _tell(self, method: str, what: str, said: Mapping[str, Any]) -> dict[str, Any]:
        return self._json(method, _API + what, json=said)

    def _json(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        with self._request(method, path, stream=True, **given) as answer:
            body = _within_limit(answer)
        try:
            found = parse_json(body) if body.strip() else {}
        except EvidenceError:
            found = None
        if answer.status_code != 200:
            said = found if isinstance(found, dict) else {}
            code = said.get("error_code") or _CODES.get(answer.status_code, "INTERNAL_ERROR")
            raise MlflowAnswer(str(code), str(said.get("message", "")))
        if not isinstance(found, dict):
            raise Unreadable
        return found

    def _request(self, method: str, path: str, **given: Any) -> requests.Response:
        verify, certificate = self._tls
        return self._session.request(
            method,
            self.uri + path,
            verify=verify,  # of the session it would yield to REQUESTS_CA_BUNDLE
            cert=certificate,
            timeout=float(_set("MLFLOW_HTTP_REQUEST_TIMEOUT")),
            allow_redirects=os.environ.get("MLFLOW_ALLOW_HTTP_REDIRECTS", "true").lower() in ("true", "1"),
            **given,
        )

    @cached_property
    def _session(self) -> requests.Session:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        often = int(_set("MLFLOW_HTTP_REQUEST_MAX_RETRIES"))
        retry = Retry(
            total=often,
            status_forcelist=_TRANSIENT,
            allowed_methods=None,
            backoff_factor=float(_set("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR")),
            backoff_jitter=float(os.environ.get("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "1.0")),
        )
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        session.headers["User-Agent"] = f"airflow-provider-mlgov/{__version__}"
        workspace = os.environ.get("MLFLOW_WORKSPACE", "").strip()
        if workspace:
            session.headers["X-MLFLOW-WORKSPACE"] = workspace
        header = self._authorization or _authorization_of_settings()
        if header is not None:
            session.auth = _Header(header)
        return session

    @cached_property
    def _tls(self) -> tuple[bool | str, str | None]:
        insecure = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
        authority = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
        if insecure and authority:
            raise ConfigurationError(
                "MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH are both set: unset one of them",
                code="registry.credentials",
            )
        return authority or not insecure, os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH") or None


class _Header:
    """What requests asks for a credential: it stands before a ``.netrc``, and is not sent on to another origin."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = self._value
        return request


def _set(name: str) -> str:
    return os.environ.get(name, PATIENCE[name])


def _authorization_of_settings() -> str | None:
    """As MLflow finds it: the environment, then ``~/.mlflow/credentials``; a pair before a token."""
    import configparser

    kept = configparser.ConfigParser(interpolation=None)
    kept.read(Path(_CREDENTIALS).expanduser())
    names = ("mlflow_tracking_username", "mlflow_tracking_password")
    user, password = (os.environ.get(name.upper()) or kept.get("mlflow", name, fallback=None) for name in names)
    if user and password:
        return "Basic " + b64encode(f"{user}:{password}".encode()).decode()
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return f"Bearer {token}" if token else None


def _within_limit(answer: requests.Response) -> bytes:
    body = bytearray()
    for piece in answer.iter_content(_PIECE):
        body += piece
        if len(body) > _MOST_JSON:
            raise Unreadable
    return bytes(body)


def _token(page_token: str | None) -> dict[str, str]:
    return {"page_token": page_token} if page_token else {}


def _read(read: Callable[[Any], _Answer], found: Any) -> _Answer:
    try:
        return read(found)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise Unreadable from None


def _all(read: Callable[[Any], _Answer]) -> Callable[[Any], list[_Answer]]:
    return lambda items: [read(item) for item in items]


def _text(found: Any) -> str:
    if not isinstance(found, str):
        raise TypeError
    return found


def _model(found: Mapping[str, Any]) -> Model:
    aliases = {_text(item["alias"]): str(item["version"]) for item in found.get("aliases", ())}
    return Model(_text(found["name"]), aliases, _tags(found), tuple(map(_version, found.get("latest_versions", ()))))


def _version(found: Mapping[str, Any]) -> Version:
    return Version(
        name=_text(found["name"]),
        version=str(int(found["version"])),
        run_id=found.get("run_id"),
        source=found.get("source"),
        current_stage=found.get("current_stage"),
        aliases=tuple(_text(item) for item in found.get("aliases", ())),
        tags=_tags(found),
        creation_timestamp=int(found.get("creation_timestamp", 0)),
        user_id=found.get("user_id"),
    )


def _tags(found: Mapping[str, Any]) -> dict[str, str]:
    return {_text(item["key"]): _text(item.get("value", "")) for item in found.get("tags", ())}
