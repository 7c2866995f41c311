"""``mlgov init``: what it drafts holds, imports nothing of the demo, overwrites nothing, and leads to a promotion."""

import ast
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from airflow_mlgov.demo.data import make_data
from airflow_mlgov.evidence.signing import TrustRoot, duties
from airflow_mlgov.governance.policy import load_policy
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.openbao import OpenBaoServer
from tests.fixtures.shell import Run, at_a_terminal

TRAINING = """\
def learn(table):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression()).fit(table.drop(columns="approve"), table["approve"])
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data")).train.parent


def options(data: Path, **change: object) -> list[object]:
    given = {
        "--model": "loans",
        "--train": data / "train.csv",
        "--test": data / "test.csv",
        "--label": "approve",
        "--positive-label": 1,
        "--function": "my_training:learn",
        "--sensitive": "sex",
        "--row-id": "application",
        **{f"--{name.replace('_', '-')}": value for name, value in change.items()},
    }
    return [part for name, value in given.items() if value is not None for part in (name, value)]


def test_what_is_drafted_holds_and_imports_nothing_of_the_demo(run: Run, data: Path, tmp_path: Path) -> None:
    code, out, err = run("init", tmp_path / "new", *options(data, approver="olga"))
    assert code == 0, err
    made = tmp_path / "new"
    policy = load_policy(made / "dags" / "include" / "mlgov.yaml")
    target = policy.model("loans").target("production")
    assert target.requires == ("data_validation", "performance", "fairness")
    assert (target.approvers, target.excluded) == ({"olga"}, ("trainer", "requester"))
    assert policy.suite("loans") == made / "dags" / "include" / "suite.json"
    assert run("policy", "check", policy.path)[1] == "no mistake was found\n"
    assert run("gate", "data", "--data", data / "train.csv", "--suite", policy.suite("loans"))[0] == 0
    source = (made / "dags" / "loans_training.py").read_text()
    imported = {str(node.module) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    assert "my_training" in imported
    assert not any("demo" in name for name in imported)
    assert not any(word in source for word in ("roc_auc", "parity", "bounds="))
    assert [sorted(key.duties) for key in TrustRoot.load(made / "trust.json").keys] == [sorted(duties())]
    assert (made / "signing-key.pem").stat().st_mode & 0o777 == 0o600
    assert subprocess.run(["sh", "-n", str(made / "vault.sh")], check=False).returncode == 0
    assert f"put your function into {made}/dags/my_training.py: def learn(table)" in out
    assert "have olga approve it" in out


@pytest.mark.slow
def test_trees_are_among_what_the_drafted_dag_has_mlflow_write(run: Run, data: Path, tmp_path: Path) -> None:
    """MLflow refuses a model of types that are not named, after it was trained."""
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from skops.io import dumps, get_untrusted_types

    assert run("init", tmp_path / "new", *options(data, approver="olga"))[0] == 0
    (dag,) = (tmp_path / "new" / "dags").glob("*.py")
    (named,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(dag.read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TRUSTED"
    )
    for kind in (
        ExtraTreesClassifier,
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    ):
        model = kind(random_state=1).fit([[0.0], [1.0]] * 20, [0, 1] * 20)
        assert set(get_untrusted_types(data=dumps(model))) <= set(named), kind.__name__


def test_nothing_that_exists_is_overwritten(run: Run, data: Path, tmp_path: Path) -> None:
    for name in ("trust.json", "vault.sh", "dags/include/mlgov.yaml"):
        folder = tmp_path / name.replace("/", "-")
        file = folder / name
        file.parent.mkdir(parents=True)
        file.write_text("mine")
        code, _, err = run("init", folder, *options(data))
        assert (code, "[file.exists]" in err, str(file) in err) == (2, True, True)
        assert [path for path in folder.rglob("*") if path.is_file()] == [file]
        assert file.read_text() == "mine"


@pytest.mark.slow
def test_what_is_missing_is_told_at_once_or_asked_for_at_a_terminal(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run("init", tmp_path / "a", *options(data, model=None, positive_label=None))
    assert (code, "pass --model, --positive-label" in err) == (2, True), err
    monkeypatch.setenv("TERM", "dumb")
    words = ["init", tmp_path / "a", *options(data, model=None, positive_label=None)]
    code, shown = at_a_terminal(words, "my loans\n1\n")
    assert (code, "name of the registered model" in shown) == (0, True), shown
    assert load_policy(tmp_path / "a" / "dags" / "include" / "mlgov.yaml").model("my loans")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"label": "nobody"}, "column.missing"),
        ({"label": "dep"}, "init.label"),
        ({"positive_label": "yes"}, "init.label"),
        ({"sensitive": "hrat"}, "init.groups"),
        ({"function": "learn"}, "init.function"),
        ({"function": "a:b; import os"}, "init.function"),
        ({"train": "nobody.csv"}, "file.missing"),
        ({"model": "a/../../b"}, "policy.name"),
        ({"model": "a:b"}, "policy.name"),
        ({"model": " "}, "policy.name"),
        ({"model": "a\nb: {x: 1}"}, "policy.name"),
        ({"model": "a\x1b[31mb"}, "file.not_yaml"),
        ({"target": 'p"\n x'}, "policy.name"),
        ({"approver": ""}, "policy.invalid"),
    ],
)
def test_answers_that_lead_nowhere_write_nothing(
    run: Run, data: Path, tmp_path: Path, change: Mapping[str, Any], code: str
) -> None:
    result, _, err = run("init", tmp_path / "new", *options(data, **change))
    assert (result, f"[{code}]" in err) == (2, True), err
    assert not (tmp_path / "new").exists()


def test_a_password_in_an_address_is_in_no_file(run: Run, data: Path, tmp_path: Path) -> None:
    where = tmp_path / "new"
    code, out, err = run("init", where, *options(data, registry="http://me:hush@127.0.0.1:5000/"))
    assert code == 0, err
    assert "export MLFLOW_TRACKING_USERNAME" in out
    assert "MLFLOW_TRACKING_URI=http://127.0.0.1:5000/" in (where / "mlgov.env").read_text()
    assert [file for file in where.rglob("*") if file.is_file() and b"hush" in file.read_bytes()] == []


def test_a_name_that_is_too_long_for_a_file_is_cut_there_alone(run: Run, data: Path, tmp_path: Path) -> None:
    code, _, err = run("init", tmp_path / "a b; $c", *options(data, model="m" * 300))
    assert code == 0, err
    assert load_policy(tmp_path / "a b; $c" / "dags" / "include" / "mlgov.yaml").model("m" * 300)


def test_names_and_values_of_all_kinds_are_written_so_that_they_are_read_back(run: Run, tmp_path: Path) -> None:
    odd = 'a "b" {c} ${d} \\n # é'
    table = pd.DataFrame(
        {odd: ["ja", "no"] * 60, "g: [x]": ["on", "null", "1"] * 40, "x": range(120), "{{ y }}": [0.5, 1.5] * 60}
    )
    for name in ("train", "test"):
        table.to_parquet(tmp_path / f"{name}.parquet")
    given = options(tmp_path, label=odd, positive_label="no", sensitive="g: [x]", row_id=None, model=odd)
    given = [tmp_path / "train.parquet" if word == tmp_path / "train.csv" else word for word in given]
    given = [tmp_path / "test.parquet" if word == tmp_path / "test.csv" else word for word in given]
    code, _, err = run("init", tmp_path / "new", *given)
    assert code == 0, err
    model = load_policy(tmp_path / "new" / "dags" / "include" / "mlgov.yaml").model(odd)
    assert model.settings("performance")["label"] == odd
    assert model.settings("performance")["positive_label"] == "no"
    assert model.settings("fairness")["sensitive_features"] == {"g: [x]": ["1", "null", "on"]}
    (file,) = (tmp_path / "new" / "dags").glob("*.py")
    named = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id != "HERE"
    }
    assert (named["MODEL"], named["FEATURES"], named["KEPT"]) == (odd, ["x", "{{ y }}"], [odd, "g: [x]"])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_from_nothing_to_a_promoted_model_on_openbao_mlflow_and_airflow(
    run: Run, data: Path, tmp_path: Path, openbao: OpenBaoServer, mlflow_server: MlflowServer
) -> None:
    """As the output says: a function of one's own, Vault's script, `airflow dags test`, `mlgov verify`. Vault is a
    namespace with other mounts, and MLflow asks who one is."""
    home, model, space = tmp_path / "home", f"loans {uuid.uuid4().hex[:6]}", f"team-{uuid.uuid4().hex[:6]}"
    home.mkdir()
    code, _, err = run(
        "init", home / "new", *options(data, model=model, registry=mlflow_server.url), "--sensitive", "race"
    )
    assert code == 0, err
    (home / "new" / "dags" / "my_training.py").write_text(TRAINING)
    openbao.client.sys.create_namespace(path=space)
    before = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(home),
        "NO_PROXY": "127.0.0.1,localhost",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }

    def shell(text: str, **more: str) -> str:
        done = subprocess.run(
            ["sh", "-euc", text],
            cwd=home / "new",
            env={**before, **more},
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    settings = "set -a; . ./mlgov.env; export AIRFLOW__CORE__DAGS_FOLDER=$PWD/dags; set +a; "
    vault = {
        "VAULT_ADDR": openbao.addr,
        "VAULT_TOKEN": openbao.root_token,
        "VAULT_NAMESPACE": space,
        "TRANSIT_MOUNT": "team/transit",
        "KV_MOUNT": "team-kv",
    }
    login = {"MLFLOW_TRACKING_USERNAME": mlflow_server.username, "MLFLOW_TRACKING_PASSWORD": mlflow_server.password}
    said = shell(f"{settings} airflow db migrate >&2; ./vault.sh", **vault, **login)
    assert f"{len(duties())} duties moved" in said
    assert "these duties have these keys already" in shell(f"{settings} ./vault.sh", **vault, **login)
    assert openbao.root_token not in (home / "new" / "vault.env").read_text()

    settings += "set -a; . ./vault.env; set +a; "
    dag = next((home / "new" / "dags").glob("loans_*.py")).stem
    shell(f"{settings} airflow dags test {dag}")
    said = shell(f"{settings} mlgov verify 'models:/{model}@champion'", **login)
    assert "may serve" in said
    assert "promoted to 'production'" in said
    said = shell(f"{settings} mlgov doctor || true")
    assert "vault:team/transit/mlgov-promotion opens" in said
    assert "may not `update`" not in said
    used = {entry.key.keyid for entry in TrustRoot.load(home / "new" / "trust.json").keys}
    assert len(used) == len(duties()) + 1
