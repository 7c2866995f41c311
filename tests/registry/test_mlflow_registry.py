"""The registry against a real MLflow server with basic authentication."""

import http.server
import os
import threading
import uuid
from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, EvidenceError
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.registry.protocol import ModelVersion, name_in
from tests.fixtures.mlflow_server import MlflowServer, tracking
from tests.fixtures.proxy import proxy_of, says


@pytest.fixture(scope="module")
def registry(mlflow_server: MlflowServer) -> MlflowRegistry:
    return mlflow_server.registry


@pytest.fixture(scope="module")
def two(mlflow_server: MlflowServer) -> tuple[ModelVersion, ModelVersion]:
    """Two versions of the model ``scorecard``."""
    return mlflow_server.register("scorecard", 1.0), mlflow_server.register("scorecard", 2.0)


def files_of(server: MlflowServer, version: ModelVersion) -> Path:
    """Where the server keeps a version's files."""
    return next(path for path in server.directory.rglob("artifacts") if path.parent.name == version.source[8:])


def test_every_way_to_name_a_version(registry, two):
    first, second = two
    assert (first.version, second.version) == ("1", "2")
    registry.set_alias(first, "naming")
    registry.transition_stage(first, "Staging")
    named = [{"name": "scorecard", "version": 1}, {"name": "scorecard", "version": "1", "run_id": "x"}]
    written = ["models:/scorecard/1", "scorecard/1", "models:/scorecard@naming", "models:/scorecard/Staging"]
    for reference in (*named, *written):
        assert registry.resolve(reference).version == "1", reference
    assert registry.resolve("models:/scorecard/latest").version == "2"
    found = registry.resolve("models:/scorecard/1")
    assert (found.stage, found.aliases, found.run_id) == ("Staging", ("naming",), first.run_id)
    assert found.created_at is not None
    assert found.source.startswith("models:/m-")


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("models:/scorecard/99", "no version 99 in http.*newest versions are 2, 1"),
        ("models:/scorecard@nobody", "no alias 'nobody'.*newest versions are 2, 1"),
        ("models:/scorecard/Archived", "no stage 'Archived'.*newest versions are 2, 1"),
        ("models:/scorecard/Prod", "MLflow has no stage 'Prod'"),
        ("models:/scoercard/1", "no model of that name, but .*'scorecard'"),
        ("models:/scoercard@champion", "no model of that name, but .*'scorecard'"),
        ("models:/m-0123", "registered as no version.*mlgov register"),
        ("runs:/abc/model", "the run 'abc'.*has no such thing"),
        ({"name": "scorecard"}, "needs a name and a version"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(registry, two, reference, says):
    with pytest.raises(ConfigurationError, match=f"(?s){says}"):
        registry.resolve(reference)


def test_a_logged_model_names_the_version_that_it_is_registered_as(registry, mlflow_server):
    """By its id and by its run, as MLflow 3 names it; on the server, by MLflow's own registration too."""
    name, run_id = f"logged_{uuid.uuid4().hex[:8]}", mlflow_server.log_model(4.0)
    with pytest.raises(ConfigurationError, match="mlgov register") as caught:
        registry.resolve(f"runs:/{run_id}/model")
    assert caught.value.code == "registry.logged_model"
    version = registry.register(name, run_id)
    assert version.source.startswith("models:/m-")
    for reference in (version.source, f"runs:/{run_id}/model"):
        assert registry.resolve(reference).uri == f"models:/{name}/1"
    with tracking(registry):
        other = mlflow.register_model(f"runs:/{mlflow_server.log_model(5.0)}/model", name)
    assert registry.resolve(other.source).version == "2"
    registry.register(f"{name}_b", run_id)
    with pytest.raises(ConfigurationError, match=f"{name}/1") as caught:
        registry.resolve(version.source)
    assert caught.value.code == "registry.logged_model"
    for wrong in ("models:/m-nobody", "runs:/nobody/model", f"runs:/{run_id}/other"):
        with pytest.raises(ConfigurationError):
            registry.resolve(wrong)


def test_the_digest_is_stable_and_says_whose_bytes(registry, two, mlflow_server):
    first, second = two
    subject = registry.subject(first)
    assert subject.digest == registry.digest(first) != registry.digest(second)
    assert (subject.kind, subject.name, subject.version, subject.registry) == (
        "model",
        "scorecard",
        "1",
        mlflow_server.url,
    )


def test_one_changed_or_added_byte_changes_the_digest(registry, mlflow_server):
    version = mlflow_server.register("tampered")
    before = registry.digest(version)
    readme = files_of(mlflow_server, version) / "registered_model_meta"
    readme.write_text("x")
    added = registry.digest(version)
    readme.unlink()
    assert registry.digest(version) == before != added
    model = files_of(mlflow_server, version) / "MLmodel"
    model.write_text(model.read_text() + "\n")
    assert registry.digest(version) != before


def test_download_is_the_tree_as_it_was_logged_and_is_removed(registry, two, mlflow_server):
    with registry.download(two[0]) as path:
        names = {item.relative_to(path).as_posix() for item in path.rglob("*") if item.is_file()}
        kept = path
    stored = files_of(mlflow_server, two[0])
    assert names == {item.relative_to(stored).as_posix() for item in stored.rglob("*") if item.is_file()}
    assert "MLmodel" in names
    assert not kept.exists()


def test_an_artifact_that_is_gone_is_not_an_empty_digest(registry, mlflow_server):
    version = mlflow_server.register("gone")
    where = files_of(mlflow_server, version)
    where.rename(where.with_name("elsewhere"))
    with pytest.raises(ConfigurationError):
        registry.digest(version)


def test_a_run_on_a_server_of_mlflow_2_is_registered_by_its_artifacts(mlflow_server, tmp_path):
    """Such a server knows no logged models, and has nothing where it is asked for them."""
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    with proxy_of(mlflow_server.url) as proxy:
        proxy.breaks(says(404, b"not found", "text/html"), lambda what: "/logged-models" in what)
        registry = replace(mlflow_server, url=proxy.url).registry
        with tracking(registry), mlflow.start_run() as run:
            mlflow.log_artifacts(str(tmp_path), "model")
        made = registry.register(f"second_{uuid.uuid4().hex[:8]}", run.info.run_id)
        assert made.source == f"{run.info.artifact_uri}/model"
        assert registry.subject(made).digest == mlflow_server.registry.subject(made).digest
        with pytest.raises(ConfigurationError, match="logged no model 'other'"):
            registry.register(made.name, run.info.run_id, "other")


def test_registering_again_is_the_same_version(registry, mlflow_server):
    run_id = mlflow_server.log_model(3.0)
    first = registry.register("idempotent", run_id)
    again = registry.register("idempotent", run_id)
    assert (first.version, again.version, again.run_id) == ("1", "1", run_id)
    assert len(registry.versions("idempotent")) == 1
    by_source = registry.register("idempotent", run_id, source=first.source)
    assert by_source.version == "1"


def test_a_model_of_mlflow_2_among_the_runs_artifacts(registry, mlflow_server):
    with tracking(registry), mlflow.start_run() as run:
        mlflow.log_text("flavors: {}\n", "old/MLmodel")
    version = registry.register("old", run.info.run_id, artifact_path="old")
    assert version.source.endswith("/old")
    with registry.download(version) as path:
        assert [item.name for item in path.iterdir()] == ["MLmodel"]


def test_a_run_without_that_model(registry, mlflow_server):
    run_id = mlflow_server.log_model(name="classifier")
    with pytest.raises(ConfigurationError, match="logged no model 'model'; models it logged: 'classifier'"):
        registry.register("nothing", run_id)
    with pytest.raises(ConfigurationError, match="no such thing"):
        registry.register("nothing", "0" * 32)
    assert registry.versions("nothing") == ()


def test_the_alias_moves_and_reads_back(registry, two):
    first, second = two
    registry.set_alias(first, "champion")
    assert registry.holder("scorecard", "champion").version == "1"
    registry.set_alias(second, "champion")
    assert registry.holder("scorecard", "champion").version == "2"
    registry.delete_alias("scorecard", "champion")
    assert registry.holder("scorecard", "champion") is None
    with pytest.raises(ConfigurationError):
        registry.set_alias(first, "v1")


def test_the_stage_moves_and_archives(registry, two):
    first, second = two
    registry.transition_stage(first, "Production")
    registry.transition_stage(second, "Production")
    assert [item.version for item in registry.stage_holders("scorecard", "Production")] == ["2", "1"]
    registry.transition_stage(first, "Production", archive_existing=True)
    assert [item.version for item in registry.stage_holders("scorecard", "Production")] == ["1"]
    assert registry.resolve("scorecard/2").stage == "Archived"
    registry.transition_stage(first, "None")
    assert registry.resolve("scorecard/1").stage is None
    with pytest.raises(ConfigurationError, match="no stage 'Live'"):
        registry.transition_stage(first, "Live")


def test_an_alias_that_reads_back_as_another_is_an_error(registry, two, mlflow_server):
    """Two promoters at once: what MLflow answers to the second question is not what was set."""
    first, second = two

    class Raced(MlflowRegistry):
        def _alias(self, name, alias):
            return second.version

    raced = Raced(mlflow_server.url, mlflow_server.username, mlflow_server.password)
    with pytest.raises(EvidenceError, match="reads back as 2"):
        raced.set_alias(first, "raced")


def test_tags_and_runs(registry, two):
    registry.set_tags(two[0], {"mlgov.status": "registered"})
    assert registry.resolve("scorecard/1").tags["mlgov.status"] == "registered"
    with tracking(registry), mlflow.start_run() as started:
        mlflow.log_param("C", 1.0)
        mlflow.log_metric("auc", 0.9)
        mlflow.log_input(mlflow.data.from_pandas(pd.DataFrame({"x": [1.0]}), name="tiny"), context="training")
    run = registry.run(started.info.run_id)
    assert run["params"] == {"C": "1.0"}
    assert run["metrics"] == {"auc": 0.9}
    assert run["status"] == "FINISHED"
    assert run["user"]
    assert [(item["name"], item["context"]) for item in run["datasets"]] == [("tiny", "training")]


def test_newest(registry, two, mlflow_server):
    assert registry.newest("not-yet") is None
    assert registry.newest("scorecard").version == "2"
    assert registry.newest("scorecard", newer_than=2) is None
    registry.set_alias(two[0], "candidate")
    assert registry.newest("scorecard", alias="candidate").version == "1"
    assert registry.newest("scorecard", newer_than=1, alias="candidate") is None
    assert registry.newest("scorecard", stage="Staging") is None


def test_permissions(mlflow_server, two):
    mlflow_server.create_user("reader", "reader-password", {"scorecard": "READ"})
    mlflow_server.create_user("stranger", "stranger-password", {"scorecard": "DENY"})
    reader = MlflowRegistry(mlflow_server.url, "reader", "reader-password")
    assert reader.digest(two[0]) == mlflow_server.registry.digest(two[0])
    for forbidden in (
        lambda: reader.set_alias(two[0], "mine"),
        lambda: reader.transition_stage(two[0], "Production"),
        lambda: reader.set_tags(two[0], {"a": "b"}),
    ):
        with pytest.raises(AccessError, match="no permission"):
            forbidden()
    stranger = MlflowRegistry(mlflow_server.url, "stranger", "stranger-password")
    with pytest.raises(AccessError):
        stranger.newest("scorecard")
    with pytest.raises(AccessError):
        stranger.resolve("scorecard/1")


def test_a_wrong_password_is_refused_and_not_repeated(mlflow_server, two):
    wrong = MlflowRegistry(mlflow_server.url, "admin", "wrong-password")
    for call in (wrong.ping, lambda: wrong.resolve("scorecard/1"), lambda: wrong.digest(two[0])):
        with pytest.raises(AccessError) as caught:
            call()
        assert "wrong-password" not in str(caught.value) + repr(caught.value.__cause__)
    assert "wrong-password" not in repr(wrong)
    assert "MLFLOW_TRACKING_AUTH" not in os.environ


def test_a_server_that_is_down():
    with pytest.raises(DependencyError, match=r"cannot list the registered models: MLflow at http://127.0.0.1:9 "):
        MlflowRegistry("http://127.0.0.1:9", "u", "p").ping()


@pytest.mark.parametrize(
    ("status", "error"), [(500, DependencyError), (503, DependencyError), (404, ConfigurationError), (401, AccessError)]
)
def test_answers_of_something_that_is_not_well(status, error):
    class Broken(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"<html>the password was hunter2</html>"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(error) as caught:
            MlflowRegistry(f"http://127.0.0.1:{server.server_port}", token="t0ken-value").ping()
        assert "hunter2" not in str(caught.value)
        assert "t0ken-value" not in str(caught.value)
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
def test_a_registry_in_a_database_without_a_server(tmp_path):
    local = MlflowRegistry(f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(ConfigurationError, match="it holds no models yet"):
        local.resolve("scorecard/1")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "MLmodel").write_text("flavors: {}\n")
    from mlflow import MlflowClient

    client = MlflowClient(local.uri)
    run = client.create_run(client.create_experiment("e", artifact_location=f"{tmp_path}/artifacts"))
    version = local.register("local", run.info.run_id, source=f"{tmp_path}/files")
    assert local.subject(version).registry == f"sqlite:///{tmp_path}/mlflow.db"
    assert local.digest(replace(version, tags={})) == local.digest(version)


@pytest.mark.parametrize(
    "name",
    ["Crédit risk O'Neil (v2)", 'weird "quoted" %20 name', "日本語モデル", "a=b & c;d", "cat.schema.model", "100%",
     "50%25", "it's \"both\"", "back\\slash", "who@where", "a?b#c", "a+b", "tab\there", "%2e%2e"],
)  # fmt: skip
def test_odd_names_are_found_and_hashed(registry, mlflow_server, name):
    version = mlflow_server.register(name)
    registry.set_alias(version, "champion")
    for reference in (f"models:/{name}/1", f"{name}@champion", f"models:/{name}/latest", {"name": name, "version": 1}):
        assert registry.resolve(reference).name == name
    subject = registry.subject(version)
    assert (subject.name, len(subject.digest)) == (name, 64)
    assert [item.version for item in registry.versions(name)] == ["1"]
    assert name_in(version.uri) == name_in(f"{name}@champion") == name


def test_a_space_may_be_written_as_in_a_url(registry, mlflow_server):
    mlflow_server.register("two words")
    assert registry.resolve("models:/two%20words/1").name == "two words"
    mlflow_server.register("two%20words")
    assert registry.resolve("models:/two%20words/1").name == "two%20words"


def test_an_address_without_a_scheme_is_not_taken_for_a_folder() -> None:
    with pytest.raises(ConfigurationError, match=r"write http://127\.0\.0\.1:5000"):
        MlflowRegistry("127.0.0.1:5000")
