"""The data gate as the catalogue knows it: its settings and its name. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from airflow_mlgov.data.reading import NAMES, Reading
from airflow_mlgov.gates.protocol import (
    Count,
    CsvSettings,
    Elsewhere,
    Findings,
    Gate,
    Local,
    Merge,
    Option,
    Place,
    Question,
    Rules,
)

if TYPE_CHECKING:
    from airflow_mlgov.data.relation import DataSource
    from airflow_mlgov.gates.bounds import MetricBound


class Checks(Merge):
    """How the policy's checks and a caller's become one: a caller may fill what is left open, and tighten a bound."""

    def merge(self, name: str, stated: Mapping[str, Any], given: Any) -> Any:  # noqa: ARG002
        """The policy's checks, and the caller's where the policy is silent.

        :raises ConfigurationError: the caller says something else, or narrows what is looked at
        """
        from airflow_mlgov.gates.dataset_checks.checks import merge_checks

        return merge_checks(stated, given)


class DataValidationSettings(CsvSettings):
    """What the data is held against, and by which engine."""

    suite: Rules = Field(
        description="Great Expectations suite (JSON or YAML: a path, or the suite itself) or TFDV schema.pbtxt; the "
        "policy's if omitted, whose digest evidence must have. Or a checkpoint or validation definition of a project, "
        "./gx:nightly: its suites are judged on the data that it names, and none of its actions is run",
    )
    engine: Annotated[Literal["auto", "duckdb", "great_expectations"], Local()] = Field(
        "auto",
        description="auto evaluates nearly all expectations in DuckDB, and hands the rows that DuckDB read to Great "
        "Expectations, in a process of its own, for the rest; duckdb refuses what it cannot evaluate; "
        "great_expectations evaluates there whatever it can. The rows of a table or query are read once, into a "
        "temporary file",
    )
    min_rows: Count = Field(
        1, description="fewer rows fail the gate, because most expectations hold for no rows at all"
    )
    checks: Annotated[Mapping[str, Any] | None, Checks(), Option(file=True)] = Field(
        None,
        description="what is checked beyond the suite, over files or a table: drift, overlap, leakage, freshness, "
        "volume, schema; a caller may fill and tighten what the policy says",
        json_schema_extra={"defined_as": "dataset_checks"},
    )
    reference: Annotated[Place | None, Local()] = Field(
        None,
        description="what drift and volume compare with if their own settings name nothing: a path, or champion, the "
        "data that the model's champion was trained on",
    )
    data_docs_dir: Annotated[Place | None, Local()] = Field(
        None, description="folder for Great Expectations' Data Docs, whose pages load assets from the web"
    )

    @classmethod
    def contradiction(cls, given: Mapping[str, Any]) -> str:
        """Data Docs are pages of Great Expectations'."""
        if given.get("engine") == "duckdb" and "data_docs_dir" in given:
            return "Data Docs are made by Great Expectations: leave engine at auto, or data_docs_dir out"
        return ""

    @property
    def all_checks(self) -> dict[str, Any] | None:
        """The checks, with the reference in those that name none."""
        from airflow_mlgov.gates.dataset_checks.checks import with_reference

        if self.reference is not None:
            return with_reference(self.checks, self.reference)
        return None if self.checks is None else dict(self.checks)


class DataValidationGate(Gate[DataValidationSettings]):
    """A Great Expectations suite, and checks beyond it, over files, a table or a query.

    The evidence counts for every model that was made from these bytes.
    """

    name = "data_validation"
    command = "data"
    about = "dataset"
    Settings = DataValidationSettings
    names_data = ("suite",)
    next_step = "Next: mend the data at its source and start the run again; the model was not trained on it."

    def names_its_data(self, name: str, given: Any) -> bool:
        """Whether a suite is a project's."""
        from airflow_mlgov.gates.data_validation.gx_project import names_project

        return super().names_its_data(name, given) and names_project(given)

    def named_data(
        self,
        settings: DataValidationSettings,
        bounds: tuple[MetricBound, ...],  # noqa: ARG002
        elsewhere: Elsewhere,  # noqa: ARG002
    ) -> tuple[DataSource | None, DataSource | None]:
        """The data that a project names."""
        from airflow_mlgov.gates.data_validation.gx_project import open_project
        from airflow_mlgov.gates.data_validation.gx_sources import source_of

        if not self.names_its_data("suite", settings.suite):
            return None, None
        return source_of(open_project(str(settings.suite))), None

    def digest_of(self, rules: Path) -> str | None:
        """That of a project's suites, if the policy names a project."""
        from airflow_mlgov.gates.data_validation.suite import load_suite

        return load_suite(str(rules)).digest if self.names_its_data("suite", str(rules)) else None

    def needs_lookup(self, settings: DataValidationSettings) -> bool:
        """Whether a check names the champion or a registered model."""
        from airflow_mlgov.gates.dataset_checks.checks import needs_lookup

        return needs_lookup(settings.all_checks)

    def reading(self, settings: DataValidationSettings) -> Reading:
        """What the suite's ``meta`` says of csv, and the policy or the caller, who come first."""
        from airflow_mlgov.gates.data_validation.suite import reading_of

        said = {name: getattr(settings, name) for name in NAMES if name in settings.model_fields_set}
        of_suite = reading_of(settings.suite)
        if said.get("types") and of_suite.get("types"):
            said["types"] = {**of_suite["types"], **said["types"]}
        return Reading.of({**of_suite, **said}, "csv")

    def judge(self, question: Question[DataValidationSettings]) -> Findings:
        """Run the suite and the checks."""
        from airflow_mlgov.gates.data_validation.gate import judge

        return judge(question)


GATE = DataValidationGate()
