"""Every code block of the documentation is run: by the page's own test, by what reads such a file, or by the test that
its mark names. What cannot be run on a machine without a cluster or an index is marked so, and these are few."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_mlgov import catalogue
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.reference.commands import commands
from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.pages import PAGES, ROOT, TOLD, Block, blocks, played

COMMANDS = commands()
BLOCKS = [block for page in PAGES for block in blocks(page)]
PLAYED = played()
NOT_HERE = {
    "docker": ("there is no Docker", "tests/test_compose.py"),
    "kubernetes": ("its client is not installed", "tests/admission/test_governance_pods.py"),
    "kubectl": ("there is no cluster", "tests/admission/test_deploy.py"),
    "make": ("it begins with a clone, and runs these tests", "tests/release"),
    "pytest": ("it is a run of these tests", "tests/attacks"),
}
"""Program of a block that is not run -> why, and what holds it instead."""
LANGUAGES = {"", "bash", "dockerfile", "ini", "python", "rego", "sql", "text", "toml", "yaml"}
_COMMAND = re.compile(r"\s*(?:(?:do|then|airflow|\w+\(\) \{|[A-Z_]+=\S+) )*mlgov (?=[a-z-])(.*)")


def of(*languages: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", [one for one in BLOCKS if one.language in languages], ids=str)


def unmarked(language: str) -> pytest.MarkDecorator:
    found = [one for one in BLOCKS if one.language == language and not one.mark and not one.file]
    return pytest.mark.parametrize("block", found, ids=str)


# -- who runs it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_each_is_run_or_says_why_not(block: Block) -> None:
    assert block.language in LANGUAGES
    kind, _, said = (block.mark or "").partition(": ")
    if kind == "not run":
        assert said in NOT_HERE, f"{block}: no reason"
        assert re.search(rf"\b{said}\b", block.text) or block.language == "dockerfile", f"{block}: {said} is not in it"
    elif kind == "run by":
        file, _, words = said.partition(": ")
        assert words
        assert words in (ROOT / file).read_text(), f"{block}: {file} has no {words}"
    elif block.language in ("bash", "text"):
        assert block.page in {*TOLD, *PLAYED}, f"{block}: nobody runs this page"
    elif block.file:
        others = " ".join(one.text for one in BLOCKS if one.page == block.page and one is not block)
        file = Path(block.file)
        assert file.stem in others or f"{file.parent} " in others, f"{block}: nothing uses {file}"
        assert block.page in {*TOLD, *PLAYED}
    elif block.language == "":
        assert not re.match(r"(mlgov|airflow|bao|vault) ", block.text), f"{block}: a command is bash"
    else:
        assert block.language in ("python", "yaml", "ini"), f"{block}: nothing runs {block.language}"


def test_few_are_not_run() -> None:
    assert all((ROOT / held).exists() for _, held in NOT_HERE.values())
    counted = [block.page for block in BLOCKS if (block.mark or "").startswith("not run")]
    assert sorted(counted) == sorted(
        ["CONTRIBUTING.md", *["docs/admission.md"] * 3, *["docs/deployment.md"] * 2, "docs/threat-model.md"]
    )


@pytest.mark.parametrize(("page", "test"), TOLD.items())
def test_a_story_is_told_by_its_test(page: str, test: str) -> None:
    assert f'"{Path(page).name}"' in (ROOT / test).read_text()


# -- what reads it ----------------------------------------------------------------------------------------------------


@of("python")
def test_python_is_python(block: Block) -> None:
    ast.parse(block.text)


NAMED: dict[str, Mapping[str, Any]] = {
    "README.md": {"PREDICTIONS": "predictions.parquet", "champion": "models:/credit_risk@champion"},
    "docs/gates.md": {"version": "models:/credit_risk/7"},
}
"""What a page's Python has said before it is shown."""


@unmarked("python")
def test_python_runs(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow_server: MlflowServer
) -> None:
    """A DAG's is run as Airflow parses it, in a DAG of its own, under the policy of the README."""
    monkeypatch.setenv("AIRFLOW__MLGOV__POLICY", str(_policy(tmp_path, _completed(_readme()))))
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", mlflow_server.connection())
    names = {**_imported(), **NAMED.get(block.page, {})}
    is_of_a_dag = "Operator(" in block.text and "DAG(" not in block.text
    with names["DAG"](f"page_{block.line}") if is_of_a_dag else nullcontext() as dag:
        if is_of_a_dag:
            names |= _before(names)
        exec(compile(block.text, str(block), "exec"), names)
    if is_of_a_dag:
        assert {task.task_id for task in dag.tasks} > set(re.findall(r'task_id="(\w+)"', block.text))


def _imported() -> dict[str, Any]:
    """What the author of such a file has imported."""
    from typing import Annotated

    import mlflow
    from airflow.sdk import DAG, task
    from pydantic import Field
    from sklearn.linear_model import LogisticRegression

    import airflow_mlgov.operators
    from airflow_mlgov.assets import WatchedModel
    from airflow_mlgov.gates import protocol
    from airflow_mlgov.gates.evaluation import spec
    from airflow_mlgov.hooks.mlflow import MlflowHook
    from airflow_mlgov.provider_info import get_provider_info

    operators = {
        name: value
        for module in get_provider_info()["operators"][0]["python-modules"]
        for name, value in vars(__import__(module, fromlist=["_"])).items()
        if name.endswith("Operator")
    }
    assert airflow_mlgov.operators
    own = {"DAG": DAG, "task": task, "WatchedModel": WatchedModel, "MlflowHook": MlflowHook, "mlflow": mlflow}
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    return {**vars(protocol), **vars(spec), **operators, **own, "Annotated": Annotated, "Field": Field, "model": model}


def _before(names: Mapping[str, Any]) -> dict[str, Any]:
    """Tasks of the DAG that a page takes for given."""

    @names["task"]
    def train() -> str:
        return "run"

    register = names["RegisterModelOperator"](task_id="registered", model="credit_risk", run_id="r", datasets=["d.csv"])
    ends = {
        name: names["EmptyOperator"](task_id=f"{name}_") if "EmptyOperator" in names else register
        for name in ("approve", "promote")
    }
    return {"train": train(), "score_answers": train.override(task_id="score"), "register": register, **ends}


@of("yaml")
def test_yaml_is_yaml(block: Block) -> None:
    assert list(yaml.safe_load_all(block.text))


@unmarked("yaml")
def test_a_part_of_a_policy_is_one(block: Block, tmp_path: Path) -> None:
    """It is judged as ``mlgov policy check`` judges it, with what is around it."""
    policy = load_policy(_policy(tmp_path, _completed(yaml.safe_load(block.text))))
    for model in policy.models.values():
        for gate in model.gates:
            assert catalogue.load(gate)
            assert isinstance(model.bounds(gate), dict)


MODEL: dict[str, Any] = {
    "gates": {
        "performance": {"label": "y", "score": "s", "roc_auc": {"min": 0.75}},
        "fairness": {
            "label": "y",
            "prediction": "p",
            "sensitive_features": {"sex": ["female", "male"]},
            "demographic_parity_ratio": {"min": 0.8},
        },
    },
    "targets": {"production": {"alias": "champion", "requires": ["performance"]}},
}


def _completed(said: Any) -> dict[str, Any]:
    """A whole policy in which a part stands where it belongs."""
    if "models" in said:
        models = {name: {**MODEL, **section} for name, section in said["models"].items()}
        return {"version": 1, **said, "models": models}
    if set(said) <= {"targets", "external", "modes", "gates"}:
        own = said.get("targets", {})
        required = {name: {**MODEL["targets"]["production"], **target} for name, target in own.items()}
        return _completed({"models": {"m": {**said, **({"targets": required} if own else {})}}})
    return _completed({"models": {"m": {"gates": said}}})


def _readme() -> Any:
    [block] = [one for one in BLOCKS if (one.page, one.language) == ("README.md", "yaml")]
    return yaml.safe_load(block.text)


def _policy(folder: Path, document: Mapping[str, Any]) -> Path:
    """The file, with the files that it names beside it; what a page leaves out of a digest is filled in."""
    for rules in document.get("rules", ()):
        (folder / rules).parent.mkdir(exist_ok=True)
        (folder / rules).write_text(RULES)
    (folder / "credit_suite.json").write_text('{"name": "s", "expectations": []}')
    text = re.sub(
        r"\b[0-9a-f]{4}…", lambda found: found[0][:4] * 16, yaml.safe_dump(dict(document), allow_unicode=True)
    )
    (folder / "mlgov.yaml").write_text(text)
    return folder / "mlgov.yaml"


RULES = """\
package mlgov.custom

import rego.v1

# METADATA
# title: The owners were not told
# custom:
#   code: owners.told
#   severity: critical
deny contains {"code": "owners.told", "message": "nobody was told"} if {
	input.policy.tier == "high"
}
"""


@unmarked("ini")
def test_what_airflow_reads_is_read_by_what_uses_it(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.configuration import AirflowConfigParser

    from airflow_mlgov.provider_info import get_provider_info

    parser = AirflowConfigParser()
    parser.read_string(block.text)
    sections = re.findall(r"^ *\[(\w+)\]", block.text, re.MULTILINE)
    found = {name: parser.get(section, name) for section in sections for name in _options(block)}
    assert found
    if sections == ["mlgov"]:
        assert set(found) <= set(get_provider_info()["config"]["mlgov"]["options"])
    for name, value in found.items():
        assert value
        READ.get(name, _known)(value)


def _options(block: Block) -> list[str]:
    return re.findall(r"^(\w+) = ", block.text, re.MULTILINE)


def _sinks(text: str) -> None:
    from airflow_mlgov.sinks.settings import open_sinks

    assert list(open_sinks(text, lambda _: "secret")) == ["archive", "siem", "wandb"]


def _notifiers(text: str) -> None:
    from airflow_mlgov.notifications import read_notifiers

    found, mistakes = read_notifiers(text)
    assert (len(found), mistakes) == (2, [])


def _memory(text: str) -> None:
    from airflow_mlgov.data.relation import bytes_of

    assert bytes_of(text) == 2_000_000_000


def _seconds(text: str) -> None:
    from airflow_mlgov.durations import parse_duration

    assert parse_duration(text).total_seconds() == 1800


def _transport(text: str) -> None:
    import json

    assert json.loads(text)["type"] == "http"


def _known(text: str) -> None:
    assert "%" not in text


READ = {
    "sinks": _sinks,
    "notifiers": _notifiers,
    "memory_limit": _memory,
    "time_limit": _seconds,
    "transport": _transport,
    "namespace": str.isprintable,
}
"""Option -> what reads it; of the others here Airflow's own reading is all."""


@of("bash")
def test_each_command_is_one_with_options_that_it_has(block: Block) -> None:
    for line in block.commands():
        found = _COMMAND.match(line)
        if not found:
            continue
        words = _words(found[1])
        named = next((" ".join(words[:size]) for size in (3, 2, 1) if " ".join(words[:size]) in COMMANDS), None)
        assert named, f"{block}: no command: mlgov {' '.join(words[:2])}"
        known = {option for item in COMMANDS[named].params for option in (*item.opts, *item.secondary_opts)}
        given = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
        assert given <= known | {"--help", "--debug"}, f"{block}: mlgov {named}"


def _words(text: str) -> list[str]:
    text = text.replace("…", "...")
    try:
        return shlex.split(text)
    except ValueError:  # of a string that goes on in the next line
        return text.split()


def test_the_codes_that_pages_name_are_codes() -> None:
    """Of troubleshooting: a code that is none would be looked for in vain."""
    from airflow_mlgov.error_codes import MEANINGS
    from airflow_mlgov.governance.reasons import reasons

    known = {*MEANINGS, *reasons()}
    rows = re.findall(r"^\|(.*?)\|", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    named = {code for row in rows for code in re.findall(r"`([a-z_]+\.[a-z_]+)`", row)}
    assert len(named) > 5
    assert named <= known, named - known
