"""What stands in a pipeline's file besides its steps: images, what others publish, secrets in plain text."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_mlgov.pipelines.inventory import Inventory, inventory_of_tasks, looks_secret
from airflow_mlgov.pipelines.reading import read_manifests

FLOW = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n"
TOKEN = "ghp_" + "a1B2" * 9
KEY = "AKIA" + "ABCDEFGH12345678"


def read(tmp_path: Path, text: str, name: str = "w.yaml") -> Inventory:
    (tmp_path / name).write_text(text)
    return read_manifests([tmp_path / name]).manifests[0].inventory


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f"env: {{GH: {TOKEN}}}", "GH"),
        ("env: {DB_PASSWORD: hunter22}", "DB_PASSWORD"),
        ("env: {dbPassword: '12345678'}", "dbPassword"),
        ("with: {api-key: 0a1b2c3d4e5f}", "api-key"),
        (f"run: curl -H 'Authorization:{TOKEN}' x", "run"),
        (f"run: aws configure set aws_access_key_id {KEY}", "run"),
        ("run: psql postgresql://me:s3cret@db/x", "run"),
        ("run: mlflow login --password hunter22", "password"),
        ("run: export API_TOKEN=abcdef123456", "API_TOKEN"),
        ("run: docker login -p x --password='hunter22'", "password"),
        ("run: |\n          echo a\n          -----BEGIN RSA PRIVATE KEY-----", "run"),
    ],
)
def test_a_secret_in_plain_text(tmp_path, line, found) -> None:
    [secret] = read(tmp_path, f"{FLOW}      - {line}\n").secrets
    assert secret.text == found
    assert secret.where.startswith(f"{tmp_path}/w.yaml:")
    for value in (TOKEN, KEY, "hunter22", "s3cret", "0a1b2c3d4e5f", "12345678", "abcdef123456"):
        assert value not in repr(secret)


@pytest.mark.parametrize(
    "line",
    [
        "env: {GH: '${{ secrets.GH }}'}",
        "env: {DB_PASSWORD: $DB_PASSWORD}",
        "env: {DB_PASSWORD: '{{ conn.db.password }}'}",
        "env: {TOKEN_PATH: /var/run/token}",
        "env: {PASSWORD: vault:secret/db#password}",
        "env: {PASSWORD: ''}",
        "env: {max_token: '100000'}",
        "with: {token: '${{ github.token }}'}",
        "with: {ssh-key-name: deploy-production}",
        "run: mlflow login --password $PASSWORD",
        "run: export TOKEN=$(vault read -field=token x)",
        "run: psql postgresql://me:$PASSWORD@db/x",
        "run: psql postgresql://db/x",
        "run: 'gh secret list && gh secret set NAME'",
    ],
)
def test_a_name_or_a_reference_is_no_secret(tmp_path, line) -> None:
    assert read(tmp_path, f"{FLOW}      - {line}\n").secrets == ()


def test_a_secret_is_told_with_its_line_in_a_script(tmp_path) -> None:
    [secret] = read(tmp_path, f"{FLOW}      - run: |\n          echo a\n          export TOKEN={TOKEN}\n").secrets[:1]
    assert secret.where.endswith("w.yaml:8")


def test_images_wherever_they_stand(tmp_path) -> None:
    text = (
        "on: push\njobs:\n  a:\n    runs-on: x\n    container: python:3.11\n"
        "    services: {db: {image: 'postgres:15'}}\n"
        "    steps: [{uses: docker://alpine:3}, {uses: a/b@v1, with: {image: mine}}]\n"
    )
    found = read(tmp_path, text)
    assert [one.text for one in found.images] == ["python:3.11", "postgres:15"]
    assert [(one.text, bool(one.why)) for one in found.actions] == [("docker://alpine:3", True), ("a/b@v1", True)]


def test_init_containers_and_secrets_of_objects(tmp_path) -> None:
    text = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter22}\n---\n"
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: model}\nspec: {template: {spec: {initContainers: "
        "[{name: i, image: 'a:1'}], containers: [{name: c, image: 'b@sha256:" + "0" * 64 + "', env: "
        "[{name: API_TOKEN, value: abcdef123456}, "
        "{name: OTHER_TOKEN, valueFrom: {secretKeyRef: {name: a, key: b}}}]}]}}}\n"
    )
    found = read(tmp_path, text)
    assert {one.text for one in found.images} == {"a:1", "b@sha256:" + "0" * 64}
    assert {one.text for one in found.secrets} == {"password", "API_TOKEN"}


def test_gitlabs_includes_and_images(tmp_path) -> None:
    text = (
        "include:\n  - {project: a/b, ref: main, file: c.yml}\n  - {project: a/b, ref: " + "0" * 40 + ", file: c.yml}\n"
        "  - {remote: 'https://x.example/y.yml'}\n  - {local: z.yml}\n"
        "image: {name: python:3.11}\nstages: [a]\njob: {stage: a, services: ['redis:7'], script: [make]}\n"
    )
    found = read(tmp_path, text, ".gitlab-ci.yml")
    assert [bool(one.why) for one in found.actions] == [True, False, True]
    assert {one.text for one in found.images} == {"python:3.11", "redis:7"}


def test_a_jenkinsfile(tmp_path) -> None:
    text = (
        "pipeline {\n  agent { docker { image 'python:3.11' } }\n  environment { API_TOKEN = 'abcdef123456' }\n"
        "  stages { stage('a') { steps { sh 'make' } } }\n}\n"
    )
    found = read(tmp_path, text, "Jenkinsfile")
    assert [(one.text, one.where.rpartition(":")[2]) for one in found.images] == [("python:3.11", "2")]
    assert [(one.text, one.where.rpartition(":")[2]) for one in found.secrets] == [("API_TOKEN", "3")]


def test_arguments_of_tasks() -> None:
    tasks = {
        "a": {"image": "x:1", "env": {"DB_PASSWORD": "hunter22"}},
        "b": {"bash_command": "run --token abcdef123456"},
    }
    found = inventory_of_tasks(tasks, "dag.py")
    assert [(one.text, one.where) for one in found.images] == [("x:1", "dag.py (task a)")]
    assert [(one.text, one.where) for one in found.secrets] == [
        ("DB_PASSWORD", "dag.py (task a)"),
        ("token", "dag.py (task b)"),
    ]


@pytest.mark.parametrize("value", ["", "true", "inherit", "short", "${X}", "<your token>", "MY_SECRET_NAME", "read"])
def test_words_that_are_no_values(value) -> None:
    assert not looks_secret("API_TOKEN", value)
