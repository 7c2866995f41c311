"""One MLflow registry: find a model version, hash its exact bytes, move its stage and alias and read them back.

It executes nothing of a model, and never takes MLflow's silence for success.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow_mlgov.addresses import RegistryIdentity, one_spelling
from airflow_mlgov.data.scratch import scratch_folder
from airflow_mlgov.errors import ConfigurationError, DependencyError, EvidenceError
from airflow_mlgov.evidence.digests import hash_tree
from airflow_mlgov.registry import mlflow_copies, proxied_files
from airflow_mlgov.registry.credentials import authorization, origin, setting, using
from airflow_mlgov.registry.mlflow_errors import mlflow_errors, said_by_mlflow, store_errors
from airflow_mlgov.registry.protocol import LOGGED, REFERENCE, ModelNow, ModelVersion
from airflow_mlgov.registry.rest import PATIENCE, RestClient, speaks_for
from airflow_mlgov.results import Subject
from airflow_mlgov.urls import place_of, shown_server

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

STAGES = ("None", "Staging", "Production", "Archived")
"""MLflow's stages; there are no others."""

_SHOWN = 5
_LOOKED_AT = 1000
_DIGITS = 10
"""Of a version's number; MLflow keeps no larger one."""


_NO_SCHEME = re.compile(r"[\w-]+(\.[\w-]+)*:\d{1,5}(/.*)?")
"""A host and a port, which MLflow would take for a folder."""


class MlflowRegistry:
    """An MLflow registry and the identity to use with it. Connects at the first call.

    :param uri: the registry: ``https://mlflow.example``, ``sqlite:////path/mlflow.db`` …
    :param username: with ``password``, for basic authentication
    :param token: a bearer token instead
    :param tracking_uri: where runs and artifacts are; the registry's own URI where None
    :param identity: which registry it has to be; if omitted, it is named by its address
    :raises ConfigurationError: it is another registry; at the first call, where the credentials do not fit together or
        the URI
    """

    def __init__(
        self,
        uri: str,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        tracking_uri: str | None = None,
        identity: RegistryIdentity | None = None,
    ) -> None:
        if _NO_SCHEME.fullmatch(uri):
            raise ConfigurationError(f"{uri} is no address of MLflow: write http://{uri}", code="registry.address")
        self.identity = identity or RegistryIdentity.at(uri)
        """Its name, and the addresses that lead to it."""
        if one_spelling(uri) not in self.identity.addresses:
            raise ConfigurationError(
                f"{one_spelling(uri)} is not the registry {self.identity.name}, which is at "
                f"{', '.join(sorted(self.identity.addresses))}: correct the connection, or add the address to the "
                "policy's registry_urls",
                code="registry.other",
            )
        self._uri = uri.rstrip("/") if origin(uri) else uri
        # Unity Catalog is a registry alone: runs and artifacts are in Databricks
        self._tracking_uri = tracking_uri or re.sub("^databricks-uc(?=$|:)", "databricks", self._uri)
        self._credentials = {"username": username, "password": password, "token": token}

    @property
    def uri(self) -> str:
        """What evidence names: its identity's name."""
        return self.identity.name

    def __repr__(self) -> str:
        return f"MlflowRegistry({self.uri!r})"

    # -- reading ------------------------------------------------------------------------------------------------------

    def resolve(self, reference: str | Mapping[str, Any]) -> ModelVersion:
        """The version that a reference means now.

        :param reference: ``models:/name/7``, ``models:/name@alias``, ``models:/name/Production``,
            ``models:/name/latest``, the same without ``models:/``, or a mapping with ``name`` and ``version``; or
            ``models:/m-…`` or ``runs:/RUN/NAME`` of a logged model that is registered as one version. The name is taken
            as it is written; if there is no such model, ``%20`` in it is a space
        :raises ConfigurationError: it is none of these, or no such model or version exists; the message says which do
        """
        if isinstance(reference, str) and (logged := LOGGED.fullmatch(reference)):
            return self._registered_as(reference, logged)
        name, which, alias = _parse(reference)
        if "%" in name and self._registered(name) is None:
            name = unquote(name)
        if alias:
            found = self.holder(name, alias)
        elif which.isdecimal():
            found = self._version(name, which) if len(which) < _DIGITS else None
        elif which == "latest":
            found = next(iter(self.versions(name)), None)
        else:
            found = next(iter(self.stage_holders(name, which)), None)
        if found is None:
            asked = f"alias {alias!r}" if alias else f"version {which}" if which.isdecimal() else f"stage {which!r}"
            raise ConfigurationError(
                f"the model {name!r} has no {asked} in {self.uri}; {self._what_there_is(name)}",
                code="registry.no_version",
            )
        return found

    def versions(self, name: str, run_id: str | None = None) -> tuple[ModelVersion, ...]:
        """All versions of a model, newest first, without their aliases (MLflow's search leaves them out; see
        :meth:`aliases`); empty where there is no such model.

        :param run_id: only those registered from this run
        """
        parts = [f"name={_quoted(name)}"] if _can_be_quoted(name) else []
        wanted = " and ".join([*parts, *([f"run_id={_quoted(run_id)}"] if run_id else [])])
        found = self._all_versions(wanted, f"list the versions of the model {name!r}")
        mine = [_version(item) for item in found if item.name == name]
        return tuple(sorted(mine, key=lambda item: int(item.version), reverse=True))

    def names(self) -> tuple[str, ...]:
        """Every registered model that this identity may see."""
        return tuple(sorted(item.name for item in self._all_models(100)))

    def overview(self) -> dict[str, ModelNow]:
        """Every registered model as it is now, by name: one query for a thousand of them."""
        return {item.name: _model_now(item) for item in self._all_models(_LOOKED_AT)}

    def tagged(self, tag: str) -> dict[str, dict[str, str]]:
        """Model -> version -> value, of every version that has a tag: one query for a thousand of them.

        :raises ConfigurationError: MLflow's search has no way to write the tag
        """
        if "`" in tag or not tag.strip():
            raise ConfigurationError(f"no version can be searched by the tag {tag!r}", code="registry.tag")
        found: dict[str, dict[str, str]] = {}
        for item in self._all_versions(f"tags.`{tag}` LIKE '%'", f"list the versions with the tag {tag!r}"):
            found.setdefault(item.name, {})[str(item.version)] = str((item.tags or {}).get(tag, ""))
        return found

    def newest(
        self, name: str, *, newer_than: int = 0, stage: str | None = None, alias: str | None = None
    ) -> ModelVersion | None:
        """The newest version above ``newer_than`` that holds the stage and the alias asked for; None where there is
        none yet, also where the model does not exist yet.

        :raises AccessError: the identity may not read the model
        :raises ConfigurationError: MLflow has no such stage
        """
        wanted = _stage(stage) if stage else None
        if alias is not None:
            model = self._registered(name)
            number = model.aliases.get(alias) if model is not None else None
            held = self._version(name, str(number)) if number is not None else None
            found = tuple(item for item in (held,) if item is not None)
        else:
            found = self.versions(name)
            if not found:  # MLflow lists nothing both where there is nothing and where one may not look
                self._registered(name)
        fits = (item for item in found if int(item.version) > newer_than and (not stage or item.stage == wanted))
        return next(fits, None)

    def holder(self, name: str, alias: str) -> ModelVersion | None:
        """The version that an alias points to, None where nothing holds it.

        :raises ConfigurationError: no such model
        """
        number = self._alias(name, alias)
        return self._version(name, number) if number is not None else None

    def aliases(self, name: str) -> dict[str, str]:
        """Every alias of a model and the version it points to; empty where there is no such model."""
        model = self._registered(name)
        return {alias: str(number) for alias, number in model.aliases.items()} if model is not None else {}

    def stage_holders(self, name: str, stage: str) -> tuple[ModelVersion, ...]:
        """Every version in a stage, newest first.

        :raises ConfigurationError: MLflow has no such stage
        """
        wanted = _stage(stage)
        return tuple(item for item in self.versions(name) if item.stage == wanted)

    def ping(self) -> None:
        """Ask the registry for one model's name: whether it answers, and knows the identity."""
        with self._asking("list the registered models") as client:
            client.search_registered_models(max_results=1)

    def run(self, run_id: str) -> dict[str, Any]:
        """A training run as plain data: ``run_id``, ``name``, ``status``, ``user``, ``params``, ``metrics`` (the latest
        of each), ``tags``, and ``datasets``, each with ``name``, ``digest`` (MLflow's own, of the first rows only),
        ``source`` and ``context``.

        :raises ConfigurationError: no such run
        """
        with self.calling(f"read the run {run_id!r}") as client:
            run = client.get_run(run_id)
        inputs = run.inputs.dataset_inputs if run.inputs else []
        return {
            "run_id": run.info.run_id,
            "name": run.info.run_name or "",
            "status": run.info.status,
            "user": run.data.tags.get("mlflow.user") or run.info.user_id or None,
            "params": dict(run.data.params),
            "metrics": dict(run.data.metrics),
            "tags": dict(run.data.tags),
            "datasets": [_dataset(item) for item in inputs],
        }

    # -- the exact bytes ----------------------------------------------------------------------------------------------

    @contextmanager
    def download(self, version: ModelVersion, digest: str | None = None) -> Iterator[Path]:
        """The version's files in a temporary directory; nothing in them is run or loaded.

        They come from where the registry says they are, not through ``models:/``, which would add a file of MLflow's
        own to them.

        :param digest: what they must have, because something is bound to it
        :raises ConfigurationError: the artifact is gone or empty
        :raises DependencyError: the files have another digest
        """
        with scratch_folder("model") as directory:
            try:
                path = self._downloaded(version, directory)
            except DependencyError as error:
                self.ping()  # which says so if it is MLflow itself that is down
                raise DependencyError(
                    f"cannot download {version}: MLflow at {self.uri} answers, but not for its files: the store behind "
                    "it is down, or one of them is no regular file or has a name that is not UTF-8",
                    code="registry.files_down",
                ) from error
            if not path.is_dir() or next(path.iterdir(), None) is None:
                raise ConfigurationError(
                    f"{version} in {self.uri} has no files: its artifact is gone or empty", code="registry.no_files"
                )
            if digest is not None and hash_tree(path) != digest:
                raise DependencyError(
                    f"the files of {version} in {self.uri} changed since they were hashed; start the gate again",
                    code="artifact.changed",
                )
            yield path

    def digest(self, version: ModelVersion) -> str:
        """The in-toto ``dirHash`` of the version's files, downloaded and hashed now."""
        with self.download(version) as path:
            return hash_tree(path)

    def subject(self, version: ModelVersion) -> Subject:
        """The version bound to its bytes as they are now."""
        return Subject("model", version.name, self.digest(version), version.version, self.uri)

    def place(self, version: ModelVersion) -> str:
        """Where the version's files are, as it may be signed; empty if its address holds parameters, which may be
        secrets."""
        with self._asking(f"ask where the files of {version} are") as client:
            where = str(client.get_model_version_download_uri(version.name, version.version))
        return "" if "?" in where or "#" in where else place_of(where)

    # -- changing -----------------------------------------------------------------------------------------------------

    def register(
        self, model: str, run_id: str, artifact_path: str = "model", source: str | None = None
    ) -> ModelVersion:
        """A version made from a run's model; the one that exists where this was registered before.

        :param artifact_path: the name it was logged under
        :param source: an artifact URI, or ``models:/m-…``, instead
        :raises ConfigurationError: no such run, or the run logged no model under that name
        """
        if source is None:
            source = self._logged_source(run_id, artifact_path)
        before = next((item for item in self.versions(model, run_id) if item.source == source), None)
        if before is not None:
            return before
        if self._registered(model) is None:
            self._create(model)
        model_id = source.removeprefix("models:/") if source.startswith("models:/m-") else None
        with self.calling(f"register a version of the model {model!r}") as client:
            return _version(client.create_model_version(model, source, run_id, model_id=model_id))

    def copies(self, model: str, key: str, source: ModelVersion | None) -> tuple[ModelVersion, ...]:
        """The versions of a model that :meth:`copy` (given a source) or :meth:`take` has made under a key, oldest
        first."""
        tagged = [item for item in self.versions(model) if item.tags.get(mlflow_copies.COPY_OF) == key]
        if source is not None:
            return tuple(item for item in reversed(tagged) if item.source == source.uri)
        with self.calling(f"look for copies among the versions of {model!r}") as client:
            return tuple(item for item in reversed(tagged) if mlflow_copies.is_made_of_files(client, item))

    def copy(self, version: ModelVersion, model: str, key: str) -> ModelVersion:
        """Copy a version into another model of this registry, which is made if there is none."""
        return self._copied(
            model, f"copy {version}", lambda client: mlflow_copies.make_from(client, version, model, key)
        )

    def take(self, folder: Path, model: str, key: str) -> ModelVersion:
        """Make a version of a model, which is made if there is none, of the files of another registry's."""
        return self._copied(
            model, "put the files of a copy", lambda client: mlflow_copies.make_of_files(client, folder, model, key)
        )

    def _copied(self, model: str, what: str, make: Callable[[MlflowClient], str]) -> ModelVersion:
        if self._registered(model) is None:
            self._create(model)
        with self.calling(f"{what} into the model {model!r}") as client:
            number = make(client)
        return self.resolve({"name": model, "version": number})

    def set_alias(self, version: ModelVersion, alias: str, *, read_back: bool = True) -> None:
        """Point an alias at a version, and read it back.

        :param read_back: False where the caller reads back all that it has set, together
        :raises EvidenceError: it reads back as another version: somebody else moved it at the same time
        """
        with self._asking(f"set the alias {alias!r} on {version}") as client:
            client.set_registered_model_alias(version.name, alias, version.version)
        if not read_back:
            return
        seen = self._alias(version.name, alias)
        if seen != version.version:
            raise EvidenceError(
                f"the alias {alias!r} was set to {version} and reads back as {seen or 'nobody'}",
                code="registry.not_read_back",
            )

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias, and read back that nothing holds it.

        :raises EvidenceError: something does
        """
        with self._asking(f"delete the alias {alias!r} of the model {name!r}") as client:
            client.delete_registered_model_alias(name, alias)
        seen = self._alias(name, alias)
        if seen is not None:
            raise EvidenceError(
                f"the alias {alias!r} of {name!r} was deleted and reads back as version {seen}",
                code="registry.not_read_back",
            )

    def transition_stage(
        self, version: ModelVersion, stage: str, archive_existing: bool = False, *, read_back: bool = True
    ) -> None:
        """Move a version to a stage, and read it back.

        :param archive_existing: also move every other version in that stage to ``Archived``
        :param read_back: False where the caller reads back all that it has set, together; MLflow's own answer has to
            say that it was moved all the same
        :raises EvidenceError: it reads back otherwise
        :raises ConfigurationError: MLflow has no such stage
        """
        wanted = _stage(stage)
        with self._asking(f"move {version} to stage {stage!r}") as client, warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # stages are deprecated in favour of aliases, and in use
            moved = client.transition_model_version_stage(
                version.name, version.version, stage, archive_existing_versions=archive_existing
            )
        now = self._version(version.name, version.version) if read_back else _version(moved)
        if now is None or now.stage != wanted:
            seen = now.stage if now else "gone"
            raise EvidenceError(
                f"{version} was moved to stage {stage!r} and reads back as {seen}", code="registry.not_read_back"
            )
        if archive_existing and wanted and read_back:
            others = [item.version for item in self.stage_holders(version.name, stage) if item.version != now.version]
            if others:
                raise EvidenceError(
                    f"stage {stage!r} still holds version {', '.join(others)} beside {version}",
                    code="registry.not_read_back",
                )

    def set_tags(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """Write tags on a version: for people to read, never to decide by."""
        with self._asking(f"tag {version}") as client:
            for key, value in tags.items():
                client.set_model_version_tag(version.name, version.version, key, value)

    def keep_report(self, version: ModelVersion, file: Path) -> str:
        """Put a file below ``mlgov`` beside the artifacts of the run that made a version; where MLflow shows it to
        people, empty where it has no page.

        :raises ConfigurationError: the version names no run, or all of the run's files are the model: one more would
            change its bytes
        """
        if version.run_id is None or _is_all_of_a_run(version):
            what = "names no run" if version.run_id is None else "is all its run's files, and one more would change it"
            raise ConfigurationError(f"{version} {what}: nothing is put beside it", code="registry.no_place")
        with self.calling(f"put {file.name} beside {version}") as client:
            client.log_artifact(version.run_id, str(file), "mlgov")
            run = client.get_run(version.run_id).info
        server = shown_server(self._tracking_uri or self._uri)
        if not server.startswith(("http://", "https://")):
            return ""
        return f"{server.rstrip('/')}/#/experiments/{run.experiment_id}/runs/{run.run_id}/artifacts/mlgov/{file.name}"

    # -- within -------------------------------------------------------------------------------------------------------

    @contextmanager
    def _asking(self, what: str) -> Iterator[MlflowClient | RestClient]:
        """As :meth:`calling`, by our own client where that will do."""
        with mlflow_errors(what, shown_server(self._uri)):
            rest = self._rest
            if rest is not None:
                yield rest
                return
        with self.calling(what) as client:
            yield client

    @cached_property
    def _rest(self) -> RestClient | None:
        """Our own client, which spares a process MLflow's import; None where the registry or a setting needs MLflow."""
        header = authorization(self._uri, **self._credentials)
        fits = origin(self._uri) and self._tracking_uri == self._uri and speaks_for(self._uri, header)
        return RestClient(self._uri, header) if fits else None

    @cached_property
    def _client(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self._tracking_uri, registry_uri=self._uri)

    @contextmanager
    def calling(self, what: str) -> Iterator[MlflowClient]:
        """MLflow's client with this identity while the block runs; what MLflow raises becomes this package's errors.

        :param what: what is being tried, to follow "cannot" in the message: ``read the run 'ab12'``
        """
        with ExitStack() as stack:
            stack.enter_context(mlflow_errors(what, shown_server(self._uri)))
            stack.enter_context(self.authenticated())
            for name, value in PATIENCE.items():
                stack.enter_context(setting(name, value))
            yield self._client

    @contextmanager
    def authenticated(self) -> Iterator[None]:
        """MLflow's own functions reach this registry with this identity while the block runs."""
        with using(self._uri, **self._credentials):
            yield

    def _downloaded(self, version: ModelVersion, directory: Path) -> Path:
        what = f"download {version}"
        with self._asking(what) as client:
            where = client.get_model_version_download_uri(version.name, version.version)
            path = proxied_files.path_of(where)
            if isinstance(client, RestClient) and path is not None:
                return proxied_files.download(client, path, directory)
        with self.calling(what), store_errors(what):
            import mlflow.artifacts

            found = mlflow.artifacts.download_artifacts(
                artifact_uri=where, dst_path=str(directory), tracking_uri=self._tracking_uri, registry_uri=self._uri
            )
        return Path(found)

    def _all_versions(self, wanted: str, what: str) -> list[MlflowVersion]:
        found: list[MlflowVersion] = []
        token = None
        with self._asking(what) as client:
            while True:
                page = client.search_model_versions(wanted, max_results=1000, page_token=token)
                found += page
                token = page.token
                if not token:
                    return found

    def _all_models(self, at_once: int) -> list[Any]:
        found: list[Any] = []
        token = None
        with self._asking("list the registered models") as client:
            while True:
                page = client.search_registered_models(max_results=at_once, page_token=token)
                found += page
                token = page.token
                if not token:
                    return found

    def _version(self, name: str, number: str) -> ModelVersion | None:
        with self._asking(f"read version {number} of the model {name!r}") as client:
            found = _or_none(lambda: client.get_model_version(name, number))
        return _version(found) if found is not None else None

    def _alias(self, name: str, alias: str) -> str | None:
        model = self._registered(name)
        if model is None:
            raise ConfigurationError(
                f"no registered model {name!r} in {self.uri}; {self._what_there_is(name)}", code="registry.no_model"
            )
        number = model.aliases.get(alias)
        return str(number) if number is not None else None

    def _registered(self, name: str) -> Any:
        with self._asking(f"read the model {name!r}") as client:
            return _or_none(lambda: client.get_registered_model(name))

    def _what_there_is(self, name: str) -> str:
        if self._registered(name) is None:
            with self._asking("list the registered models") as client:
                known = [item.name for item in client.search_registered_models(max_results=_LOOKED_AT)]
            near = get_close_matches(name, known, n=_SHOWN) or known[:_SHOWN]
            names = ", ".join(map(repr, near))
            return f"there is no model of that name, but {names}" if names else "it holds no models yet"
        numbers = [item.version for item in self.versions(name)[:_SHOWN]]
        return f"its newest versions are {', '.join(numbers)}" if numbers else "it has no versions yet"

    def _create(self, name: str) -> None:
        with self.calling(f"create the model {name!r}") as client:
            try:
                client.create_registered_model(name)
            except Exception as error:
                if said_by_mlflow(error) not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
                    raise

    def _registered_as(self, reference: str, logged: re.Match[str]) -> ModelVersion:
        """The one version that a logged model was registered as."""
        model_id, run_id = logged["model_id"], logged["run_id"]
        source = f"models:/{model_id}" if model_id else self._logged_source(run_id, logged["path"])
        if not _can_be_quoted(source):
            raise ConfigurationError(f"{reference!r} names no model version", code="registry.reference")
        with self.calling(f"find the versions that {reference} was registered as") as client:
            found = [_version(item) for item in client.search_model_versions(f"source_path = {_quoted(source)}")]
        mine = [item for item in found if item.source == source]
        if len(mine) == 1:
            return mine[0]
        names = ", ".join(item.uri for item in mine[:_SHOWN])
        raise ConfigurationError(
            f"{reference} is registered as {names}: name the one that is meant"
            if mine
            else f"{reference} is registered as no version in {self.uri}: `mlgov register` makes one",
            code="registry.logged_model",
        )

    def _logged_source(self, run_id: str, path: str) -> str:
        """MLflow 3 keeps a run's model as a LoggedModel, MLflow 2 kept it among the run's artifacts."""
        from mlflow.artifacts import list_artifacts

        with self.calling(f"find the model {path!r} of the run {run_id!r}") as client:
            run = client.get_run(run_id)
            outputs = run.outputs.model_outputs if getattr(run, "outputs", None) else []
            models = [(item.step, client.get_logged_model(item.model_id)) for item in outputs]
            named = [(step, item) for step, item in models if item.name == path]
            if named:
                return f"models:/{max(named, key=lambda pair: (pair[0], pair[1].creation_timestamp))[1].model_id}"
            source = f"{run.info.artifact_uri}/{path}"
            found = list_artifacts(source, tracking_uri=self.uri)  # by the run, MLflow asks what MLflow 2 does not know
            if any(item.path.rpartition("/")[2] == "MLmodel" for item in found):
                return source
        logged = ", ".join(repr(item.name) for _, item in models) or "none"
        raise ConfigurationError(
            f"the run {run_id!r} logged no model {path!r}; models it logged: {logged}", code="registry.no_logged_model"
        )


def _or_none(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        if said_by_mlflow(error) == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _parse(reference: str | Mapping[str, Any]) -> tuple[str, str, str]:
    """Name, version-or-stage, alias; one of the last two is empty."""
    if isinstance(reference, Mapping):
        name, number = reference.get("name"), reference.get("version")
        if not isinstance(name, str) or not name or not str(number).isdecimal():
            raise ConfigurationError(
                f"a model version needs a name and a version number, not {dict(reference)!r}", code="registry.reference"
            )
        return name, str(number), ""
    if not isinstance(reference, str):
        raise ConfigurationError(
            f"a model version is named by text or by what RegisterModelOperator hands over, not by {reference!r}: has "
            "the task before it handed over anything?",
            code="registry.reference",
        )
    match = REFERENCE.fullmatch(reference)
    if match is None:
        raise ConfigurationError(
            f"{reference!r} names no model version: write models:/name/7, models:/name@alias or "
            "models:/name/Production",
            code="registry.reference",
        )
    return match["name"], match["which"] or "", match["alias"] or ""


def _stage(stage: str) -> str | None:
    known = {item.lower(): item for item in STAGES}
    if stage.lower() not in known:
        raise ConfigurationError(f"MLflow has no stage {stage!r}, only {', '.join(STAGES)}", code="registry.no_stage")
    found = known[stage.lower()]
    return None if found == "None" else found


def _can_be_quoted(text: str) -> bool:
    """Whether MLflow's search has a way to write it; it has none for both kinds of quotes, or for a backslash."""
    return "\\" not in text and not ("'" in text and '"' in text)


def _is_all_of_a_run(version: ModelVersion) -> bool:
    """Whether a version's files are not in a folder of their own, so that whatever is put beside them is among them."""
    source = (version.source or "").rstrip("/")
    return source.rpartition("/")[2] in ("", "artifacts", "mlgov", version.run_id)


def _quoted(text: str) -> str:
    return f'"{text}"' if "'" in text else f"'{text}'"


def _model_now(entity: Any) -> ModelNow:
    newest = {_stage(item.current_stage or "None"): int(item.version) for item in entity.latest_versions or ()}
    return ModelNow({alias: str(number) for alias, number in entity.aliases.items()}, newest)


def _version(entity: MlflowVersion) -> ModelVersion:
    created = entity.creation_timestamp
    return ModelVersion(
        name=entity.name,
        version=str(entity.version),
        run_id=entity.run_id or None,
        source=entity.source or None,
        stage=None if entity.current_stage in (None, "", "None") else entity.current_stage,
        aliases=_words(entity.aliases),
        tags=dict(entity.tags or {}),
        created_at=datetime.fromtimestamp(created / 1000, UTC) if created else None,
        created_by=entity.user_id or None,
    )


def _words(values: Iterable[Any] | None) -> tuple[str, ...]:
    return tuple(sorted(str(value) for value in values or ()))


def _dataset(item: Any) -> dict[str, Any]:
    tags: Sequence[Any] = item.tags or ()
    return {
        "name": item.dataset.name,
        "digest": item.dataset.digest,
        "source": item.dataset.source,
        "context": next((tag.value for tag in tags if tag.key == "mlflow.data.context"), None),
    }
