"""The data gate as the catalogue knows it: its settings and its name. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from airflow_mlgov.data.reading import NAMES, Reading
from airflow_mlgov.gates.protocol import (
    Count,
    CsvSettings,
    Findings,
    Gate,
    Local,
    Merge,
    Option,
    Place,
    Question,
    Rules,
)


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
        "policy's if omitted, whose digest evidence must have",
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
    next_step = "Next: mend the data at its source and start the run again; the model was not trained on it."

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
