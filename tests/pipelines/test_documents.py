"""The one strict loader of pipelines' files."""

from __future__ import annotations

import contextlib
import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlgov.errors import ConfigurationError, MlgovError
from airflow_mlgov.pipelines.documents import read_documents
from airflow_mlgov.pipelines.reading import KINDS
from tests.codes import raises_code
from tests.worlds.pipelines import GUARDED, judged


def test_scalars_are_those_of_yaml_1_2():
    (document,) = read_documents(b"on: push\nyes: no\nversion: 1.10\ncount: 007\ndate: 2024-01-01\n", "f")
    assert document.value == {"on": "push", "yes": "no", "version": "1.10", "count": "007", "date": "2024-01-01"}


def test_anchors_and_merges_are_resolved_and_every_part_has_its_line():
    text = b"base: &b\n  a: 1\n  b: 2\njob:\n  <<: *b\n  b: 3\n  script: |\n    one\n    two\n"
    (document,) = read_documents(text, "f")
    assert document["job"].value == {"b": 3, "script": "one\ntwo\n", "a": 1}
    assert (document["job"]["a"].line, document["job"]["b"].line, document["job"]["script"].first_line) == (2, 6, 8)


def test_several_documents():
    assert [one["kind"].text for one in read_documents(b"kind: a\n---\nkind: b\n", "f")] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"a: 1\na: 2\n", "file.key_twice"),
        (b"? [a]\n: 1\n", "file.key_not_text"),
        (b"a: [\n", "file.not_yaml"),
        (b"\xff\xfe", "file.not_text"),
        (b"a: &a [*a]\n", "file.too_deep"),
        (b"[" * 5000, "file.too_deep"),
        (b"- " * 200_000, "file.too_deep"),
        (b"{a: " * 100_000, "file.too_deep"),
        (b"? " * 100_000, "file.too_deep"),
        (b"--- a\n" * 501, "file.too_many"),
        (b"x" * (1 << 21), "file.too_large"),
        (b"image: {{ .Values.image }}-x\n", "file.not_yaml"),
    ],
)
def test_what_is_refused(text, code):
    with raises_code(ConfigurationError, code):
        read_documents(text, "f")


def test_a_bomb_of_a_billion_nodes_is_refused_before_it_unfolds():
    rows = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    rows += [f"a{at}: &a{at} [{','.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 10)]
    started = time.process_time()
    with raises_code(ConfigurationError, "file.too_many"):
        read_documents("\n".join(rows).encode(), "f")
    assert time.process_time() - started < 2


KEYS = [
    "jobs", "steps", "run", "uses", "if", "needs", "script", "stages", "extends", "include", "rules", "when",
    "kind", "apiVersion", "spec", "templates", "dag", "tasks", "name", "template", "depends", "container",
    "command", "args", "Steps", "Type", "Name", "Arguments", "root", "components", "deploymentSpec",
    "executors", "taskSpec", "runAfter", "finally", "manifest", "id", "commands",
]  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["mlgov gate x", "always()", "*"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=25,
)
WORDS = [
    "pipeline {", "}", "stage('a') {", "steps {", "sh 'x'", '"', "'''", "/*", "//", "(", ")", "\n", "script {",
    "if (x)", "$",
]  # fmt: skip


@pytest.mark.parametrize("platform", KINDS)
@settings(max_examples=60, deadline=None)
@given(value=VALUES, seed=st.integers(0, 10**6))
def test_no_shape_of_a_manifest_is_a_traceback(platform, value, seed, tmp_path_factory):
    """A well-formed pipeline of each platform in which one part is something else."""
    (document,) = read_documents(GUARDED[platform][1].encode(), "f")
    found = json.loads(json.dumps(document.value))
    randomly, here = random.Random(seed), found
    for _ in range(randomly.randint(0, 6)):
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            break
        key = randomly.choice(keys)
        if not isinstance(here[key], dict | list) or randomly.random() < 0.3:
            here[key] = value
            break
        here = here[key]
    path = tmp_path_factory.getbasetemp() / f"{platform}.json"
    path.write_text(json.dumps(found))
    with contextlib.suppress(MlgovError):
        judged({"manifest": str(path), "kind": platform})


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=30))
def test_no_jenkinsfile_is_a_traceback(tmp_path_factory, words):
    path = tmp_path_factory.getbasetemp() / "Jenkinsfile"
    path.write_text(" ".join(words))
    with contextlib.suppress(MlgovError):
        judged({"manifest": str(path)})
