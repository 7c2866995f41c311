"""Projects that Great Expectations itself has made, as suites: what is judged, on which data, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
import yaml

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.digests import hash_file
from airflow_mlgov.gates.data_validation import validate_data
from airflow_mlgov.operators.data_validation import DataValidationGateOperator
from airflow_mlgov.results import GateResult, Outcome
from tests.codes import raises_code
from tests.fixtures.airflow_runner import TaskRun
from tests.fixtures.postgres import PASSWORD
from tests.fixtures.shell import Run

pytestmark = pytest.mark.slow
GOOD = pd.DataFrame({"age": [20, 30, 40], "y": [0, 1, 1], "zip": ["01234", "NA", "99999"]})
BAD = GOOD.assign(age=[20, 30, 400])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a data source of each kind. What it would run says so in a file."""
    import great_expectations as gx
    from great_expectations.checkpoint import UpdateDataDocsAction

    folder = tmp_path_factory.mktemp("project")
    data = folder / "data"
    data.mkdir()
    GOOD.to_csv(data / "loans_2026-01.csv", index=False, sep=";")
    BAD.to_csv(data / "loans_2026-02.csv", index=False, sep=";")
    GOOD.to_parquet(folder / "loans.parquet")
    engine = sa.create_engine(f"sqlite:///{folder / 'loans.db'}")
    BAD.to_sql("loans", engine, index=False)
    engine.dispose()

    context = gx.get_context(mode="file", project_root_dir=folder)
    e = gx.expectations
    ages = context.suites.add(
        gx.ExpectationSuite(
            "ages", expectations=[e.ExpectColumnValuesToBeBetween(column="age", min_value=18, max_value=100)]
        )
    )
    labels = context.suites.add(
        gx.ExpectationSuite("labels", expectations=[e.ExpectColumnValuesToBeInSet(column="y", value_set=[0, 1])])
    )
    zips = context.suites.add(gx.ExpectationSuite("zips", expectations=[e.ExpectColumnValuesToNotBeNull(column="zip")]))
    files = context.data_sources.add_pandas_filesystem("files", base_directory=data)
    loans = files.add_csv_asset("loans", sep=";")
    frames = context.data_sources.add_pandas("frames")
    one = frames.add_parquet_asset("one", path=str(folder / "loans.parquet")).add_batch_definition("whole")
    handed = frames.add_dataframe_asset("handed").add_batch_definition_whole_dataframe("whole")
    database = context.data_sources.add_sqlite("database", connection_string=f"sqlite:///{folder / 'loans.db'}")
    table = database.add_table_asset("loans", table_name="loans")
    young = database.add_query_asset("young", query="SELECT * FROM loans WHERE age < 100")
    batches = {
        "january": (loans.add_batch_definition_path("january", path="loans_2026-01.csv"), ages),
        "january_labels": (loans.get_batch_definition("january"), labels),
        "january_zips": (loans.get_batch_definition("january"), zips),
        "newest": (
            loans.add_batch_definition_monthly("newest", regex=r"loans_(?P<year>\d{4})-(?P<month>\d{2})\.csv"), ages,
        ),
        "oldest": (
            loans.add_batch_definition_monthly(
                "oldest", regex=r"loans_(?P<year>\d{4})-(?P<month>\d{2})\.csv", sort_ascending=False
            ),
            ages,
        ),
        "parquet": (one, ages),
        "handed": (handed, ages),
        "table": (table.add_batch_definition_whole_table("whole"), ages),
        "daily": (table.add_batch_definition_daily("daily", column="age"), ages),
        "query": (young.add_batch_definition_whole_table("whole"), ages),
    }  # fmt: skip
    found = {
        name: context.validation_definitions.add(gx.ValidationDefinition(name=name, data=data, suite=suite))
        for name, (data, suite) in batches.items()
    }
    for name, wanted in {
        "nightly": [found["january"], found["january_labels"]],
        "everything": [found["january"], found["table"]],
    }.items():
        actions = [UpdateDataDocsAction(name="docs")]
        context.checkpoints.add(gx.Checkpoint(name=name, validation_definitions=wanted, actions=actions))
    (folder / "gx" / "plugins" / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
    return folder


@pytest.fixture
def project(made: Path) -> Iterator[Path]:
    """The folder with ``great_expectations.yml``; as it was, afterwards."""
    config = made / "gx" / "great_expectations.yml"
    before = config.read_text()
    yield made / "gx"
    config.write_text(before)


Judge = Callable[[str], GateResult]


@pytest.fixture
def judge(project: Path) -> Judge:
    return lambda name: validate_data(None, f"{project}:{name}")


def change(project: Path, old: str, new: str) -> None:
    """Edit the project's file as somebody would."""
    config = project / "great_expectations.yml"
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("name", "verdict", "data"),
    [
        ("january", Outcome.PASS, "loans_2026-01.csv"),
        ("newest", Outcome.FAIL, "loans_2026-02.csv"),
        ("oldest", Outcome.PASS, "loans_2026-01.csv"),
        ("parquet", Outcome.PASS, "loans.parquet"),
        ("table", Outcome.FAIL, "loans.db#table=loans"),
        ("query", Outcome.PASS, "#query=sha256:"),
    ],
)
def test_a_validation_definition_is_judged_on_the_data_that_it_names(
    judge: Judge, name: str, verdict: Outcome, data: str
) -> None:
    result = judge(name)
    assert result.verdict is verdict, result.summary()
    assert data in result.subject.name


def test_it_says_what_great_expectations_says(made: Path, judge: Judge) -> None:
    import great_expectations as gx

    context = gx.get_context(mode="file", project_root_dir=made)
    for name in ("january", "january_zips", "newest", "oldest", "parquet", "table", "query"):
        theirs = context.validation_definitions.get(name).run()
        assert (judge(name).verdict is Outcome.PASS) == theirs.success, name
    assert judge("january_zips").verdict is Outcome.FAIL  # pandas takes the text NA for no value


def test_the_suites_of_a_checkpoint_are_judged_together_and_no_action_is_run(made: Path, judge: Judge) -> None:
    result = judge("nightly")
    assert result.verdict is Outcome.PASS
    names = {check.name for check in result.checks}
    assert {"expect_column_values_to_be_between(age)", "expect_column_values_to_be_in_set(y)"} < names
    assert not (made / "ran").exists()
    assert not list((made / "gx" / "uncommitted" / "data_docs").rglob("*.html"))


def test_evidence_names_the_digest_of_the_suites_own_file(project: Path, judge: Judge) -> None:
    assert judge("january").suite_digest == hash_file(project / "expectations" / "ages.json")
    assert judge("nightly").suite_digest not in (judge("january").suite_digest, judge("january_labels").suite_digest)
    assert {item.name for item in judge("january").inputs} == {f"{project}:january"}


def test_the_folder_above_will_do(made: Path) -> None:
    assert validate_data(None, f"{made}:january").verdict is Outcome.PASS


def test_secrets_come_from_the_environment_and_the_projects_variables(
    project: Path, judge: Judge, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sa.make_url(postgres).set(password=PASSWORD)
    engine = sa.create_engine(url)
    GOOD.to_sql("loans", engine, if_exists="replace", index=False)
    engine.dispose()
    address = f"postgresql+psycopg://{url.username}:${{LOANS_PASSWORD}}@{url.host}:{url.port}/$loans_database"
    config = yaml.safe_load((project / "great_expectations.yml").read_text())
    config["fluent_datasources"]["database"]["connection_string"] = address
    (project / "great_expectations.yml").write_text(yaml.safe_dump(config, sort_keys=False))
    variables = project / "uncommitted" / "config_variables.yml"
    variables.write_text(f"loans_database: {url.database}\nLOANS_PASSWORD: wrong\n")
    monkeypatch.setenv("LOANS_PASSWORD", PASSWORD)
    result = judge("table")
    assert result.verdict is Outcome.PASS, result.summary()
    assert result.subject.name.endswith(f"/{url.database}#table=loans")
    assert PASSWORD not in repr(result)
    monkeypatch.delenv("LOANS_PASSWORD")
    variables.write_text(f"loans_database: {url.database}\n")
    with raises_code(ConfigurationError, "suite.project", match=r"\$LOANS_PASSWORD has no value"):
        judge("table")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("handed", "pandas/dataframe|a dataframe asset"),
        ("daily", "partition_on_year_and_month_and_day"),
        ("everything", "about several data sets.*january, table"),
        ("january_", "no checkpoint and no validation definition 'january_'; there is january"),
        ("../nightly", "is no name of anything"),
    ],
)
def test_what_cannot_be_served_is_named(judge: Judge, name: str, words: str) -> None:
    with raises_code(ConfigurationError, "suite.project", match=words):
        judge(name)


@pytest.mark.parametrize(
    ("old", "new", "name", "words"),
    [
        ("type: pandas_filesystem", "type: spark_filesystem", "january", "spark_filesystem/csv"),
        ("sep: ;", "sep: ;\n        skiprows: 3", "january", "skiprows=3"),
        ("sep: ;", "sep: ;\n        converters: {age: evil}", "january", "converters"),
        ("regex: loans_2026-01.csv$", "regex: (loans", "january", "no regular expression"),
        ("regex: loans_2026-01.csv$", "regex: (?=loans).*", "january", "RE2"),
        ("regex: loans_2026-01.csv$", "regex: nothing", "january", "no file in"),
        ("class_name: ExpectationsStore", "class_name: ExpectationsStore\n    module_name: evil", "january", ""),
        (
            "class_name: TupleFilesystemStoreBackend\n      base_directory: expectations/",
            "class_name: DatabaseStoreBackend\n      module_name: evil",
            "january",
            "DatabaseStoreBackend",
        ),
    ],
)
def test_a_project_that_asks_for_more_is_refused_and_nothing_of_it_is_imported(
    made: Path, project: Path, judge: Judge, monkeypatch: pytest.MonkeyPatch, old: str, new: str, name: str, words: str
) -> None:
    monkeypatch.syspath_prepend(str(project / "plugins"))
    change(project, old, new)
    if words:
        with raises_code(ConfigurationError, "suite.project", match=words):
            judge(name)
    else:
        assert judge(name).verdict is Outcome.PASS
    assert not (made / "ran").exists()


SECRET = "hunter2-of-the-worker"
NAMED = "${AIRFLOW__CORE__FERNET_KEY}"


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        *(
            ("january", ("files", "assets", "loans", option), NAMED)
            for option in ("skiprows", "sep", "encoding", "decimal", "thousands", "quotechar", "na_values", "header")
        ),
        ("january", ("files", "assets", "loans", "dtype"), {"age": NAMED}),
        ("january", ("files", "assets", "loans", "names"), [NAMED]),
        ("january", ("files", "type"), NAMED),
        ("january", ("files", "base_directory"), f"/data/{NAMED}"),
        ("january", ("files", "data_context_root_directory"), f"/data/{NAMED}"),
        ("january", ("files", "assets", "loans", "batch_definitions", "january", "partitioner", "regex"), f"({NAMED}"),
        ("parquet", ("frames", "assets", "one", "path"), f"/data/{NAMED}"),
        ("table", ("database", "connection_string"), f"postgresql+psycopg://me:x@127.0.0.1:1/{NAMED}"),
        ("table", ("database", "connection_string"), f"postgresql+psycopg://me:x@{NAMED}.evil.example:1/x"),
        ("table", ("database", "connection_string"), f"sqlite:////tmp/{NAMED}.db"),
        ("table", ("database", "connection_string"), NAMED),
        ("table", ("database", "assets", "loans", "table_name"), NAMED),
        ("table", ("database", "assets", "loans", "schema_name"), NAMED),
        ("query", ("database", "assets", "young", "query"), f"SELECT '{NAMED}' AS age"),
    ],
)
def test_a_secret_of_the_worker_is_shown_by_no_part_of_a_project(
    project: Path, judge: Judge, monkeypatch: pytest.MonkeyPatch, name: str, path: tuple[str, ...], value: Any
) -> None:
    """A project may come from whoever opens a pull request; messages and evidence are read by many."""
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", SECRET)
    file = project / "great_expectations.yml"
    config = yaml.safe_load(file.read_text())
    part = config["fluent_datasources"]
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    with pytest.raises(ConfigurationError) as caught:
        judge(name)
    assert SECRET not in str(caught.value)
    assert caught.value.code in ("suite.project", "source.address")


def test_every_definition_of_a_checkpoint_is_judged(project: Path, judge: Judge) -> None:
    file = project / "checkpoints" / "nightly.json"
    before = file.read_text()
    checkpoint = json.loads(before)
    passing, failing = {"name": "january"}, {"name": "january_zips"}
    try:
        checkpoint["validation_definitions"] = [*[passing] * 100, failing]
        file.write_text(json.dumps(checkpoint))
        assert judge("nightly").verdict is Outcome.FAIL
        checkpoint["validation_definitions"] = [{"name": f"january_{number}"} for number in range(101)]
        file.write_text(json.dumps(checkpoint))
        with raises_code(ConfigurationError, "suite.project", match="more than 100 validation definitions"):
            judge("nightly")
    finally:
        file.write_text(before)


def test_of_several_stores_the_one_that_is_used_is_read(project: Path, judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "ages.json").write_text(json.dumps({"name": "ages", "expectations": []}))
    backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(tmp_path)}
    decoy = {"decoy": {"class_name": "ExpectationsStore", "store_backend": backend}}
    file = project / "great_expectations.yml"
    config = yaml.safe_load(file.read_text())
    config["stores"] = {**decoy, **config["stores"]}
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    assert judge("newest").verdict is Outcome.FAIL
    del config["expectations_store_name"]
    config["stores"]["another"] = config["stores"].pop("expectations_store")
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    with raises_code(ConfigurationError, "suite.project", match="2 stores of the kind ExpectationsStore"):
        judge("newest")


@pytest.mark.parametrize("name", ["x" * 5000, "é" * 150, "..", ".hidden", "a/../b", "a..b", "a\nb"])
def test_a_name_that_is_none_is_an_error_of_the_project(judge: Judge, name: str) -> None:
    with raises_code(ConfigurationError, "suite.project"):
        judge(name)


def test_an_expectation_of_the_projects_own_is_an_error_by_its_name(project: Path, judge: Judge) -> None:
    file = project / "expectations" / "ages.json"
    before = file.read_text()
    suite = json.loads(before)
    suite["expectations"][0]["type"] = "expect_column_values_to_be_evil"
    try:
        file.write_text(json.dumps(suite))
        result = judge("january")
    finally:
        file.write_text(before)
    assert result.verdict is Outcome.ERROR
    assert "expect_column_values_to_be_evil" in result.summary()


def test_at_the_command_line(project: Path, run: Run) -> None:
    code, out, err = run("gate", "data", "--suite", f"{project}:nightly")
    assert code == 0, err
    assert "PASS" in out
    assert run("gate", "data", "--suite", f"{project}:newest")[0] == 1
    code, _, err = run("gate", "data", "--suite", project)
    assert code == 2
    assert "name a checkpoint or a validation definition of it" in err
    assert "everything" in err
    code, _, err = run("gate", "data", "--suite", f"{project}:nightly", "--data", project.parent / "loans.parquet")
    assert (code, "named twice" in err) == (2, True)
    code, _, err = run("gate", "data", "--suite", project / "expectations" / "ages.json")
    assert (code, "data.missing" in err) == (2, True)


def test_as_a_task(
    project: Path, run_task: TaskRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, airflow_db: None
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__MLGOV__LEDGER", f"sqlite:///{tmp_path / 'ledger.db'}")
    given: dict[str, Any] = {"task_id": "validate", "suite": f"{project}:january"}
    end = run_task(DataValidationGateOperator(**given))
    assert end.state == "success", end.error
    assert end.xcom["subject"].endswith("/loans_2026-01.csv")
    with pytest.raises(ValueError, match="suite= names the data"):
        DataValidationGateOperator(**given, data="loans.csv")
    with pytest.raises(ValueError, match="give either data="):
        DataValidationGateOperator(task_id="validate", suite=str(project / "expectations" / "ages.json"))
