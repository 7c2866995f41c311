"""Two distributions of one tree: what each depends on and why, which files each has, and that each is whole by itself
in an environment that has nothing else."""

import json
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from airflow_mlgov import __version__
from airflow_mlgov.extras import EXTRAS
from tests.fixtures.shell import Installed, installed
from tests.worlds.governed import Governed
from tests.worlds.release import people

ROOT = Path(__file__).parents[1]
WHOLE = {"airflow-provider-mlgov": ROOT, "mlgov-core": ROOT / "core"}
PROJECTS = {name: tomllib.loads((folder / "pyproject.toml").read_text()) for name, folder in WHOLE.items()}
PROVIDER, CORE = (PROJECTS[name]["project"] for name in WHOLE)
INDIRECTLY = {"grpc": "pyspark-client"}
"""Module -> the package of its extra that depends on it."""
LARGEST = 300
"""Megabytes of an environment with mlgov-core alone."""

REASONS = {
    "mlgov-core": {
        "duckdb": "reads files and tables, and counts in them",
        "fsspec": "opens files at URLs, and writes checkpoints there",
        "gordon-to-regorus": "evaluates the rules of promotion where there is no OPA",
        "jinja2": "renders the report of a gate",
        "jsonschema": "says where a policy or a statement is wrong",
        "jsonschema-rs": "says whether one is, in a tenth of the time",
        "numpy": "computes intervals",
        "packaging": "compares versions of libraries",
        "pydantic": "reads the settings of gates",
        "pyyaml": "reads policies and pipelines",
        "requests": "asks MLflow",
        "securesystemslib": "signs and verifies",
        "sqlalchemy": "keeps the ledger",
        "tree-sitter": "reads the commands of pipelines",
        "tree-sitter-bash": "is their grammar",
        "typer": "is the command line",
        "urllib3": "tries requests again",
    },
    "airflow-provider-mlgov": {
        "mlgov-core": "is the engine",
        "apache-airflow": "is what it provides for",
        "apache-airflow-providers-standard": "has the operator that asks people",
        "apache-airflow-providers-common-compat": "is one import for every Airflow from 3.1",
        "apache-airflow-providers-hashicorp": "logs in to Vault by a connection",
        "fairlearn": "is fixed: metrics by group",
        "great-expectations": "is fixed: expectations",
        "hvac": "is fixed: keys in Vault",
        "mlflow": "is fixed: the model registry",
        "pandas": "is fixed: frames that a DAG hands over",
    },
}


def needs(project: dict[str, object], extra: str | None = None) -> dict[str, Requirement]:
    """What a project depends on itself, or what one of its extras adds."""
    found = project["dependencies"] if extra is None else project["optional-dependencies"][extra]
    return {item.name: item for item in map(Requirement, found)}


def brought(extra: str) -> set[str]:
    """Names of all that an extra of mlgov-core brings."""
    found = needs(CORE, extra)
    nested = found.pop("mlgov-core", None)
    return set(found).union(*(brought(name) for name in (nested.extras if nested else ())))


@pytest.mark.parametrize("project", [PROVIDER, CORE], ids=lambda project: project["name"])
def test_nothing_is_installed_without_a_reason(project: dict[str, object]) -> None:
    assert set(needs(project)) == set(REASONS[str(project["name"])])


def test_the_provider_depends_on_the_core_of_its_own_version() -> None:
    assert str(needs(PROVIDER)["mlgov-core"].specifier) == f"=={__version__}"
    for project in (PROVIDER, CORE):
        assert project["dynamic"] == ["version"]


def test_a_package_that_both_name_has_one_bound() -> None:
    both = [item for extra in CORE["optional-dependencies"] for item in needs(CORE, extra).values()]
    bounds = {item.name: str(item.specifier) for item in both if item.name != "mlgov-core"}
    for name in set(needs(PROVIDER)) & set(bounds):
        assert str(needs(PROVIDER)[name].specifier) == bounds[name]


def test_every_extra_of_the_core_is_there_with_the_provider() -> None:
    always = needs(PROVIDER)["mlgov-core"].extras
    for extra in CORE["optional-dependencies"]:
        offered = PROVIDER["optional-dependencies"].get(extra)
        assert offered == [f"mlgov-core[{extra}]"] or brought(extra) <= set().union(*map(brought, always)), extra
    assert brought("all") == set().union(*map(brought, CORE["optional-dependencies"]))


def test_the_extra_that_an_error_names_brings_the_package() -> None:
    brings = packages_distributions()
    for module, extra in EXTRAS.items():
        distributions = {canonicalize_name(name) for name in brings[module]}
        assert distributions & brought(extra) or module in INDIRECTLY, module
        assert extra in CORE["optional-dependencies"]


def test_what_needs_airflow_is_listed_alike_in_both() -> None:
    left_out = PROJECTS["mlgov-core"]["tool"]["hatch"]["build"]["exclude"]
    taken = PROJECTS["airflow-provider-mlgov"]["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert [name.removeprefix("/") for name in left_out] == taken
    assert all((ROOT / name).exists() for name in taken)


LOADED = """
import importlib
from importlib.metadata import entry_points
from airflow_mlgov.provider_info import get_provider_info
for part in ("operators", "sensors", "triggers"):
    for item in get_provider_info()[part]:
        for module in item["python-modules"]:
            importlib.import_module(module)
for item in get_provider_info()["task-decorators"]:
    module, _, name = item["class-name"].rpartition(".")
    assert getattr(importlib.import_module(module), name)
for group in ("apache_airflow_provider", "airflow.plugins", "airflow.policy", "airflow_mlgov.gates"):
    assert [entry.load() for entry in entry_points(group=group) if entry.value.startswith("airflow_mlgov")], group
import airflow_mlgov.demo.story
"""
"""Everything that Airflow looks for is there."""

PROVIDERS = """
import subprocess, sys
from pathlib import Path
command = [Path(sys.executable).parent / "airflow", "providers", "list", "--output", "plain"]
print(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
"""
"""What Airflow's own command lists."""

DRAFTED = """
import sys
from airflow.sdk import DAG
sys.path.insert(0, {dags!r})
import loans_training
assert isinstance(loans_training.dag, DAG)
print(*loans_training.dag.task_ids)
"""


def starts_quickly(beside: Installed, folder: Path) -> None:
    """The README's commands for a model of one's own, where there is the wheel and no tree."""
    people().assign(row=range(len(people()))).to_csv(folder / "p.csv", index=False)
    drafted = ["--train", folder / "p.csv", "--test", folder / "p.csv", "--label", "y", "--positive-label", 1]
    words = [*drafted, "--sensitive", "sex", "--row-id", "row", "--function", "my_training:train", "--approver", "olga"]
    code, _, err = beside.run("init", folder / "governed", "--model", "loans", *words)
    assert code == 0, err
    assert beside.run("policy", "check", folder / "governed" / "dags" / "include" / "mlgov.yaml")[0] == 0
    tasks = beside.python(DRAFTED.format(dags=str(folder / "governed" / "dags"))).split()
    assert {"validate_data", "train", "register", "performance", "fairness", "approve", "promote"} == set(tasks)


BLOCKED = """
import importlib, sys
class NoAirflow:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "airflow" or name.startswith({floors!r}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, NoAirflow())
for name in {modules!r}:
    importlib.import_module(name)
"""


def core_modules() -> list[str]:
    """Every module of the core but what children run and nobody imports."""
    floors = [name.lstrip("/") for name in PROJECTS["mlgov-core"]["tool"]["hatch"]["build"]["exclude"]]
    files = [path.relative_to(ROOT) for path in (ROOT / "airflow_mlgov").rglob("*.py")]
    kept = [file for file in files if not str(file).startswith(tuple(floors)) and file.name != "__main__.py"]
    return sorted(".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in kept)


@pytest.mark.slow
def test_every_module_of_the_core_is_imported_where_airflow_is_not() -> None:
    floors = [name.strip("/").removesuffix(".py").replace("/", ".") for name in
              PROJECTS["mlgov-core"]["tool"]["hatch"]["build"]["exclude"]]  # fmt: skip
    script = BLOCKED.format(floors=tuple(floors), modules=core_modules())
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr


# -- the wheels --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of each distribution, built from its source distribution."""
    found = {}
    for name, folder in WHOLE.items():
        target = tmp_path_factory.mktemp(name)
        done = subprocess.run(
            [sys.executable, "-m", "uv", "build", "--quiet", str(folder), "--out-dir", str(target)],
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        if "hatchling" in done.stderr and done.returncode:
            pytest.skip(f"hatchling is not here and no index has it: {done.stderr[-300:]}")
        assert done.returncode == 0, done.stderr
        (found[name],) = target.glob("*.whl")
        (source,) = target.glob("*.tar.gz")
        with tarfile.open(source) as packed:
            assert any(member.endswith("/LICENSE") for member in packed.getnames())
    return found


@pytest.mark.slow
def test_no_file_is_in_both_wheels_and_none_is_left_out(built: dict[str, Path]) -> None:
    provider, core = ({name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
                      for wheel in built.values())  # fmt: skip
    assert not provider & core
    tracked = subprocess.run(
        ["git", "ls-files", "airflow_mlgov", "dags"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    expected = {name if name.startswith("airflow_mlgov") else f"airflow_mlgov/demo/{name}" for name in tracked}
    assert provider | core == expected


@pytest.fixture(scope="module")
def core(built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment with mlgov-core and nothing else."""
    return installed(tmp_path_factory.mktemp("core"), built["mlgov-core"])


@pytest.mark.slow
def test_the_core_alone_is_small_and_says_what_it_lacks(core: Installed, tmp_path: Path) -> None:
    assert core.megabytes() < LARGEST
    assert core.run("--version") == (0, f"mlgov {__version__}\n", "")
    assert not core.has("airflow", "mlflow", "pandas", "great_expectations", "fairlearn", "scipy", "pyarrow")
    people().to_csv(tmp_path / "p.csv", index=False)
    suite = {"name": "s", "expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "y"}}]}
    (tmp_path / "suite.json").write_text(json.dumps(suite))
    data = ["--data", tmp_path / "p.csv"]
    assert core.run("gate", "data", *data, "--suite", tmp_path / "suite.json")[0] == 0
    judged = ["--label", "y", "--prediction", "prediction"]
    bound = ["--bound", "demographic_parity_ratio>=0.8"]
    assert core.run("gate", "fairness", *data, *judged, "--sensitive", "sex", *bound)[0] == 0
    drafted = ["--train", tmp_path / "p.csv", "--test", tmp_path / "p.csv", "--label", "y", "--positive-label", 1]
    lacking = [
        ("tables", ["gate", "performance", *data, "--label", "y", "--score", "score", "--bound", "roc_auc>=0.7"]),
        ("tables", ["init", tmp_path / "new", "--model", "m", *drafted, "--sensitive", "sex", "--function", "a:b"]),
        ("delta", ["gate", "data", "--data", "delta:/nowhere", "--suite", tmp_path / "suite.json"]),
        ("s3", ["gate", "data", "--data", "s3://bucket/key.csv", "--suite", tmp_path / "suite.json"]),
        ("vault", ["trust", "add", "--trust", tmp_path / "t.json", "--duty", "fairness", "--sign", "vault:k"]),
        ("postgres", ["ledger", "verify", "--ledger", "postgresql+psycopg://127.0.0.1/x"]),
    ]
    for extra, words in lacking:
        code, _, err = core.run(*words)
        assert (code, f"pip install 'mlgov-core[{extra}]'" in err) == (2, True), err
    code, _, err = core.run("demo")
    assert (code, "pip install 'airflow-provider-mlgov[demo]'" in err) == (2, True), err


@pytest.mark.slow
def test_the_core_alone_verifies_and_promotes(core: Installed, governed: Governed, tmp_path: Path) -> None:
    good, other = governed.candidate(), governed.register(2.0)
    variables = {
        "MLFLOW_TRACKING_URI": governed.server.url,
        "MLFLOW_TRACKING_USERNAME": governed.server.username,
        "MLFLOW_TRACKING_PASSWORD": governed.server.password,
        "MLGOV_LEDGER": governed.ledger_url,
        "MLGOV_TRUST_ROOT": str(governed.trust_file),
        "MLGOV_POLICY": str(governed.policy_file),
        "MLGOV_ENVIRONMENT": "test",
        "MLGOV_SIGN": f"local:{governed.folder}/{{duty}}.pem",
    }
    code, out, err = core.run("promote", good.uri, "--target", "production", variables=variables)
    assert code == 0, out + err
    into, pack = tmp_path / "served", tmp_path / "evidence.zip"
    code, out, err = core.run("verify", f"models:/{governed.model}@champion", "--into", into, variables=variables)
    assert (code, any(into.iterdir())) == (0, True), out + err
    assert core.run("verify", other.uri, variables=variables)[0] == 1
    code, out, err = core.run("ledger", "export", "--model", good.uri, "--out", pack, variables=variables)
    assert code == 0, out + err
    offline = ["verify", "--pack", pack, "--trust", governed.trust_file, "--artifact", into]
    assert core.run(*offline)[0] == 0
    code, out, err = core.run("doctor", "--json", variables=variables)
    found = json.loads(out)["findings"]
    assert (code, [item for item in found if item["level"] == "problem"]) == (0, []), err


@pytest.mark.slow
def test_with_what_gates_need_every_gate_runs(built: dict[str, Path], tmp_path: Path) -> None:
    gates = installed(tmp_path / "environment", built["mlgov-core"], extra="gates")
    assert not gates.has("airflow", "mlflow")
    people().to_json(tmp_path / "p.jsonl", orient="records", lines=True)
    suite = {"name": "s", "expectations": [
        {"type": "expect_column_to_exist", "kwargs": {"column": "y"}},
        {"type": "expect_column_values_to_match_like_pattern", "kwargs": {"column": "sex", "like_pattern": "%male"}},
    ]}  # fmt: skip
    (tmp_path / "suite.json").write_text(json.dumps(suite))
    data = ["--data", tmp_path / "p.jsonl"]
    for words in (
        ["data", *data, "--suite", tmp_path / "suite.json"],
        ["performance", *data, "--label", "y", "--score", "score", "--bound", "roc_auc>=0.75"],
        ["fairness", *data, "--label", "y", "--prediction", "prediction", "--sensitive", "sex", "--bound",
         "equalized_odds_difference<=0.5"],
    ):  # fmt: skip
        code, out, err = gates.run("gate", *words)
        assert (code, "PASS" in out) == (0, True), out + err


@pytest.mark.slow
def test_the_provider_comes_with_all_that_its_operators_and_commands_are(
    built: dict[str, Path], tmp_path: Path
) -> None:
    beside = installed(tmp_path / "environment", *built.values())
    assert beside.run("--version") == (0, f"mlgov {__version__}\n", "")
    beside.python(LOADED)
    code, _, err = beside.run("suite", "propose", "--data", "delta:/nowhere")
    assert (code, "pip install 'airflow-provider-mlgov[delta]'" in err) == (2, True), err
    assert "airflow-provider-mlgov" in beside.python(PROVIDERS)
    starts_quickly(beside, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "check", "--quiet", "--python", str(beside.folder / "bin" / "python")],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
