"""What a gate is: one class that says its name, what it is about, its settings, what may be bounded, and how it judges.

Everything else about it (operator arguments, command line, policy schema, strictness, tables in the docs) is made from
here. Imports nothing heavy, because a policy or a DAG file is read with it.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.fields import FieldInfo

from airflow_mlgov.data.limits import require_time_limit
from airflow_mlgov.data.reading import PLAIN, Reading
from airflow_mlgov.data.relation import bytes_of, require_memory_limit
from airflow_mlgov.durations import seconds_of
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.results import Check, Subject

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from airflow_mlgov.data.relation import DataSource, Relation
    from airflow_mlgov.gates.bounds import MetricBound
    from airflow_mlgov.gates.rulebook import Rulebook

Column = Annotated[str, Field(strict=True, min_length=1)]
"""The name of a column."""
Columns = tuple[Column, ...]
Count = Annotated[int, Field(strict=True, ge=1)]
"""A whole number of at least one."""
Share = Annotated[float, Field(strict=True, ge=0, lt=1)]
"""A share of the rows; never all of them."""
Confidence = Annotated[float, Field(strict=True, ge=0.5, lt=1)]
"""The level of an interval."""
Label = Annotated[str | bool | int | float, Field()]
"""A label as the data has it."""
Place = Annotated[str, Field(min_length=1)]
"""A path, or a name, of the machine that runs the gate."""


@dataclass(frozen=True)
class Strict:
    """Marks a setting that decides how hard a gate is to pass: a caller may make it stricter than the default or the
    policy, never looser, and the evidence states it as it was applied. One that changes what is estimated has no
    stricter side: it is ``same``, and only what the policy says, or nothing, will do."""

    larger_is: Literal["stricter", "looser", "same"] = "stricter"
    order: tuple[str, ...] = ()
    """Of a setting of words: from the mildest to the strictest."""

    def rank(self, value: Any) -> float | str | None:
        """The value as a number that can be compared (of ``same``: itself or its JSON); None if it is no value of the
        setting."""
        if self.larger_is == "same":
            return value if isinstance(value, str) else json.dumps(value, sort_keys=True) if value else None
        if isinstance(value, str):
            return self.order.index(value) if value in self.order else None
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def allows(self, value: Any, held: Any) -> bool:
        """Whether ``value`` is at least as strict as ``held``; what is no value of the setting is left to its type."""
        mine, theirs = self.rank(value), self.rank(held)
        if self.larger_is == "same":
            return mine == theirs
        if not isinstance(mine, int | float) or not isinstance(theirs, int | float):
            return True
        return mine >= theirs if self.larger_is == "stricter" else mine <= theirs


@dataclass(frozen=True)
class Local:
    """Marks a setting of the machine that runs the gate (a path, an interpreter, a limit of memory): the caller's own
    affair, so what it gives counts.

    :param in_policy: whether the policy may say it too: it is then a file of rules, its path relative to the policy
        file, and a promotion demands evidence that names the digest of the policy's (``Findings.suite_digest``)
    :param policy_folder: whether it is the folder of the policy file if a policy says anything of the gate
    """

    in_policy: bool = False
    policy_folder: bool = False


class Merge:
    """Marks a setting that the policy and a caller may both say; its subclass says how the two become one."""

    def merge(self, name: str, stated: Any, given: Any) -> Any:
        """The value that counts.

        :raises ConfigurationError: the caller says something that the policy does not allow
        """
        raise NotImplementedError

    def added(self, name: str, given: Any) -> Any:  # noqa: ARG002 - for those that refuse
        """What counts of a caller's value if a policy governs the gate and is silent about the setting.

        :raises ConfigurationError: only the policy may say it
        """
        return given


@dataclass(frozen=True)
class Tightens(Merge):
    """Marks a limit of what a gate may take: a caller may make it tighter than the policy, never wider.

    :param measure: of a value; the smaller is the tighter
    """

    measure: Callable[[Any], float]

    def merge(self, name: str, stated: Any, given: Any) -> Any:
        """The caller's, see :meth:`tighter`."""
        return self.tighter(name, stated, given, "the governance policy")

    def tighter(self, name: str, stated: Any, given: Any, who: str) -> Any:
        """What is given, if it is no wider than what is stated.

        :param who: has stated it, for messages
        :raises ConfigurationError: it is wider
        """
        if self.measure(given) <= self.measure(stated):
            return given
        mine, most = (f"{each:g}" if isinstance(each, float) else each for each in (given, stated))
        raise ConfigurationError(
            f"{name} is {mine} here, and {most} by {who}, which may only be made tighter: leave it out, or have "
            "that changed",
            code="setting.looser",
        )


@dataclass(frozen=True)
class Option:
    """How the command line calls a setting, if that is not ``--its-name``.

    :param name: of a setting that holds several, in the singular: ``--sensitive``
    :param file: its value stands in a YAML or JSON file
    :param example: how a pair of it looks: ``sex=male``
    """

    name: str = ""
    file: bool = False
    example: str = ""


def _bytes(text: str) -> int:
    require_memory_limit(text)
    return bytes_of(text)


def _size(text: str | None) -> str | None:
    if text is not None:
        _as_value_error(require_memory_limit, text)
    return text


def _time(given: float | str | None) -> float | str | None:
    if given is not None:
        _as_value_error(require_time_limit, _as_value_error(seconds_of, given))
    return given


def _as_value_error(check: Callable[[Any], Any], value: Any) -> Any:
    """What pydantic understands."""
    try:
        return check(value)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


class GateSettings(BaseModel):
    """Base of every gate's settings. A field's description, default, bounds and marks are the only place where a
    setting is defined."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    memory_limit: Annotated[str | None, AfterValidator(_size), Tightens(_bytes)] = Field(
        None,
        description="what the gate may hold in memory, such as 2GB; queries spill to disk before, and what cannot is "
        "refused. 512MB if nobody says",
    )
    time_limit: Annotated[float | str | None, AfterValidator(_time), Tightens(seconds_of)] = Field(
        None, description="how long the gate may take, in seconds or as a duration such as 2h; an hour if nobody says"
    )

    @classmethod
    def read(cls, given: Mapping[str, Any], where: str = "the settings") -> Self:
        """Settings as people write them.

        :param given: by name; one that is None counts as not given
        :param where: who wrote them, for messages
        :raises ConfigurationError: an unknown setting (the nearest is named), a missing one, or a value of the
            wrong type or range
        """
        said = {name: value for name, value in given.items() if value is not None}
        unknown = [name for name in said if name not in cls.model_fields]
        if unknown:
            raise ConfigurationError(
                f"{where}: unknown setting {unknown[0]!r}{_near(unknown[0], cls.model_fields)}", code="setting.unknown"
            )
        if why := cls.contradiction(said):
            raise ConfigurationError(f"{where}: {why}", code="setting.contradiction")
        try:
            return cls.model_validate(said)
        except ValidationError as error:
            raise _wrong(cls, error.errors()[0], where) from None

    @classmethod
    def refuse(cls, given: Mapping[str, Any], where: str, unknown_yet: Callable[[Any], bool], whole: bool) -> None:
        """Refuse what can be seen to be wrong before everything is known, as where a DAG file is read.

        :param unknown_yet: whether a value is a template or another task's result
        :param whole: whether nobody else adds to what is given
        :raises ConfigurationError: as :meth:`read`, but nothing is missing yet
        """
        said = {name: value for name, value in given.items() if value is not None}
        if whole and (why := cls.contradiction(said)):
            raise ConfigurationError(f"{where}: {why}", code="setting.contradiction")
        try:
            cls.model_validate(said)
        except ValidationError as error:
            for problem in error.errors():
                value = said.get(str(problem["loc"][0])) if problem["loc"] else None
                if problem["type"] != "missing" and not unknown_yet(value):
                    raise _wrong(cls, problem, where) from None

    @classmethod
    def contradiction(cls, given: Mapping[str, Any]) -> str:  # noqa: ARG003 - for those that have one
        """Why settings cannot stand together; empty if they can.

        :param given: those that somebody has given, by name
        """
        return ""

    @classmethod
    def marks(cls, kind: type[M]) -> dict[str, M]:
        """The settings that carry a mark of a kind, in the order of the class."""
        found = {}
        for name, info in cls.model_fields.items():
            mark = mark_of(info, kind)
            if mark is not None:
                found[name] = mark
        return found

    def given(self) -> dict[str, Any]:
        """The settings that somebody has given; the others have their defaults."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}

    @property
    def applied(self) -> dict[str, Any]:
        """What evidence states: the settings that decide how hard the gate is to pass."""
        marks = type(self).marks(Strict).items()
        found = {name: getattr(self, name) for name, mark in marks}
        fixed = {name: mark.rank(found[name]) for name, mark in marks if mark.larger_is == "same"}
        return {name: fixed.get(name, found[name]) for name in found if fixed.get(name, "") is not None}


Rules = Annotated[Place | Mapping[str, Any], WithJsonSchema({"type": "string", "minLength": 1}), Local(in_policy=True)]
"""What is asked: a file, which the policy may name, or the rules themselves."""
SampleWeight = Annotated[Column | None, Strict(larger_is="same")]
"""The column of the rows' weights, of a survey or of exposures."""
WEIGHT_FIELD = Field(
    None,
    description="column of the rows' weights (of a survey, of exposures); minimum counts are then held against Kish's "
    "effective sample size, and intervals are resampled. A policy that names none allows none",
)


class Adds(Merge):
    """Marks a mapping that a caller may add to, and may not change."""

    def merge(self, name: str, stated: Mapping[str, Any], given: Any) -> Any:
        """Both.

        :raises ConfigurationError: the caller says something else of a name that the policy speaks of
        """
        other = [key for key, value in given.items() if stated.get(key, value) != value]
        if other:
            raise ConfigurationError(
                f"{name} is {given[other[0]]!r} for {other[0]} here, but the governance policy says "
                f"{stated[other[0]]!r}: leave it out, or have the policy changed",
                code="setting.not_the_policys",
            )
        return {**stated, **given}


def _columns_or_not(header: Any) -> Any:
    """``a,b`` and ``false``, as a command line writes them."""
    if not isinstance(header, str):
        return header
    return {"true": True, "false": False}.get(header.lower(), header.split(","))


class CsvSettings(GateSettings):
    """Base of the settings of gates that read data: how csv is read. What nobody says is told from the file, see
    :mod:`airflow_mlgov.data.csv_files`."""

    types: Annotated[Mapping[Column, str], Adds(), Option("--type", example="zip=text")] = Field(
        {},
        description="csv column -> text, int64, float64, boolean, date, timestamp, time or decimal(18,2); a column "
        "without a type is of what all its values are",
    )
    missing_values: Annotated[tuple[str, ...] | None, Option("--missing-value")] = Field(
        None, description="what a csv field holds where there is no value; the empty field alone if omitted"
    )
    delimiter: str | None = Field(None, description="what separates the fields of csv; a comma if omitted")
    encoding: str | None = Field(None, description="encoding of csv, such as cp1252; UTF-8 if omitted")
    decimal: str | None = Field(None, description="decimal sign of csv numbers; a point if omitted")
    thousands: str | None = Field(None, description="sign between the thousands of csv numbers; none if omitted")
    quote: str | None = Field(None, description='what stands around csv fields; " if omitted, nothing if empty')
    header: Annotated[bool | tuple[Column, ...] | None, BeforeValidator(_columns_or_not)] = Field(
        None, description="names of a csv's columns, if it has no header; false calls them column_1, column_2 …"
    )
    skip_rows: Annotated[int, Field(strict=True, ge=0)] | None = Field(
        None, description="lines of csv before its header; none if omitted"
    )

    @model_validator(mode="after")
    def _readable(self) -> Self:
        try:
            self.reading  # noqa: B018 - it refuses
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def reading(self) -> Reading:
        """How csv is read."""
        return Reading.of({name: getattr(self, name) for name in self.model_fields_set}, "csv")


M = TypeVar("M")
S = TypeVar("S", bound=GateSettings)


def mark_of(info: FieldInfo, kind: type[M]) -> M | None:
    """The mark of a kind that a field carries."""
    return next((mark for mark in info.metadata if isinstance(mark, kind)), None)


def shown_default(info: FieldInfo) -> str:
    """`` (default 30)``; nothing if there is none to speak of."""
    if info.is_required() or info.default_factory is not None or info.default in (None, (), {}, False):
        return ""
    return f" (default {info.default})"


class OpenMetrics(Collection[str]):
    """Metrics without an end, such as those named after columns.

    :param patterns: regular expressions of whole names, each with no ``^`` and ``$``; one that ends in
        ``_vs_champion`` is bounded by its change
    :param examples: a few names, for messages
    """

    def __init__(self, patterns: Sequence[str], examples: Sequence[str]) -> None:
        self.patterns = tuple(patterns)
        self.examples = tuple(examples)

    def __contains__(self, name: object) -> bool:
        import re

        return isinstance(name, str) and any(re.fullmatch(pattern, name) for pattern in self.patterns)

    def __iter__(self) -> Iterator[str]:
        return iter(self.examples)

    def __len__(self) -> int:
        return len(self.examples)


class Lookup(Protocol):
    """What only a registry and a ledger know."""

    def champion_data(self) -> Subject | None:
        """The dataset that the champion was trained on, as its provenance names it; None if there is no champion."""

    def signature_of(self, model: str) -> AbstractContextManager[Path]:
        """The folder of a model version that ``models:/…`` names."""


class Tracking(Protocol):
    """An MLflow server and the identity to use with it."""

    @property
    def uri(self) -> str:
        """Without credentials."""

    def calling(self, what: str) -> AbstractContextManager[MlflowClient]:
        """MLflow's client; what MLflow raises while the block runs becomes this package's errors.

        :param what: what is being tried, to follow "cannot" in a message
        """


@dataclass(frozen=True)
class Elsewhere:
    """Where data can be besides files, frames and databases."""

    tracking: Callable[[], Tracking]
    version_source: str | None = None
    """Where the registry says that the judged version came from, such as ``models:/m-…``."""


@dataclass(frozen=True)
class Question(Generic[S]):
    """What a gate is asked."""

    settings: S
    data: Relation
    """None, and not to be asked for, if the gate ``reads`` none."""
    baseline: Relation | None = None
    """The champion's rows, in columns of the same names."""
    bounds: tuple[MetricBound, ...] = ()
    lookup: Lookup | None = None
    artifact: Callable[[], AbstractContextManager[Path]] | None = None
    """Fetches the model's own files, for gates that measure or load them."""
    rulebook: Rulebook | None = None
    """Evaluates packs of rules, for gates that ask some."""
    report: bool = False
    """Whether a report is wanted, so that figures for it are worth drawing."""


@dataclass(frozen=True)
class Findings:
    """What a gate found."""

    checks: tuple[Check, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    """Aggregates for the evidence that belong to no single check."""
    inputs: tuple[Subject, ...] = ()
    """What was read besides the data and the baseline: suites, schemas, references."""
    read: tuple[Subject, ...] | None = None
    """What binds the data and the baseline, if it is not their bytes or rows: an aggregate of a database's, say."""
    evaluation_digest: str | None = None
    """Names the rows that a model was judged on, whatever it predicted for them."""
    suite_digest: str | None = None
    """Names the file of rules that the data was held against."""
    dataset_checks: Mapping[str, Any] | None = None
    """Drift, overlap, leakage and the like -> settings as applied."""
    libraries: Sequence[str] | Mapping[str, str] = ()
    """Distributions that computed it, whose versions are looked up; or names with versions."""
    reports: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)
    """Caption -> SVG or pre element, for the report."""
    purpose: Literal["gate", "what_if"] = "gate"
    """``what_if`` if what was read could have said anything of itself."""


class Gate(ABC, Generic[S]):
    """One gate. Its docstring is what help pages say about it."""

    name: ClassVar[str]
    """The duty, the word in the policy's ``requires`` and ``gates``."""
    about: ClassVar[Literal["model", "dataset", "pipeline"]]
    """What its verdict is about."""
    listed_as: ClassVar[Literal["datasets", "feature_services"]] = "datasets"
    """Which list of a model's provenance a gate over data judges: if it is required, all of the list."""
    Settings: ClassVar[type[GateSettings]]
    metrics: ClassVar[Collection[str]] = ()
    """What may be bounded; a gate without metrics has its bounds elsewhere, in a suite for instance."""
    next_step: ClassVar[str] = "Next: mend what is named above and start the run again."
    """What the owners read when it has stopped a release."""
    command: ClassVar[str] = ""
    """What the command line calls it; its name if empty."""
    reads: ClassVar[bool] = True
    """Whether it is given data: files, a table, a query. One that is not finds its subject by its settings, and names
    it as the first of ``Findings.read``."""
    names_data: ClassVar[Collection[str]] = ()
    """Settings that name the data where only this gate can read it, in place of files, a table or a query."""
    compares: ClassVar[bool] = False
    """Whether it compares with the champion's rows."""
    of_artifact: ClassVar[Collection[str]] = ()
    """Metrics of the model's own files, which an audit on live data does not measure again."""
    always: ClassVar[Mapping[str, Any]] = {}
    """Settings that a promotion holds evidence to even where the policy does not state them."""
    section: ClassVar[Mapping[str, Any]] = {}
    """Further keywords of JSON Schema for the gate's section of the policy."""

    def check_names(self, bound: str, settings: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002 - for overriders
        """The checks that evidence must hold for a bound of the policy.

        :param bound: the metric as the policy writes it
        :param settings: those that the policy states
        """
        return (bound,)

    def completed(self, bounds: tuple[MetricBound, ...]) -> tuple[MetricBound, ...]:
        """Bounds, and those that hold if nobody says otherwise: a caller may tighten them where a policy governs."""
        return bounds

    def names_its_data(self, name: str, given: Any) -> bool:  # noqa: ARG002 - for overriders
        """Whether one of :attr:`names_data` names the data by what was given for it."""
        return bool(given)

    def named_data(
        self,
        settings: S,  # noqa: ARG002 - for overriders
        bounds: tuple[MetricBound, ...],  # noqa: ARG002
        elsewhere: Elsewhere,  # noqa: ARG002
    ) -> tuple[DataSource | None, DataSource | None]:
        """The data and the champion's that :attr:`names_data` name; None for what they do not.

        :raises ConfigurationError: they name what is not the judged model's
        """
        return None, None

    def reading(self, settings: S) -> Reading:
        """How csv is read."""
        return settings.reading if isinstance(settings, CsvSettings) else PLAIN

    def needs_lookup(self, settings: S) -> bool:  # noqa: ARG002 - for overriders
        """Whether it asks the registry and the ledger."""
        return False

    def digest_of(self, rules: Path) -> str | None:  # noqa: ARG002 - for overriders
        """The SHA-256 that evidence has to name (``Findings.suite_digest``) if the policy names a file of rules.

        None if that is the file's own.

        :raises ConfigurationError: the file is not there, or cannot be read
        """
        return None

    @abstractmethod
    def judge(self, question: Question[S]) -> Findings:
        """Hold the data against settings and bounds.

        :raises ConfigurationError: a column, a setting or a bound is not what the gate can judge
        :raises AccessError: a file system, a database or a registry refuses
        :raises DependencyError: one is down
        """


def _near(word: str, known: Collection[str]) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


_WORDS = {
    "bool_type": "should be true or false",
    "dict_type": "should map names to values",
    "float_type": "should be a number",
    "int_from_float": "should be a whole number",
    "int_type": "should be a whole number",
    "mapping_type": "should map names to values",
    "string_type": "should be a text",
    "too_short": "holds too little",
    "tuple_type": "should be a list",
}
"""Kind of pydantic's complaint -> this package's words, where it speaks of Python's types."""


def _wrong(cls: type[GateSettings], problem: Any, where: str) -> ConfigurationError:
    """One complaint of pydantic's in this package's words."""
    name = str(problem["loc"][0]) if problem["loc"] else ""
    if problem["type"] == "missing":
        about = cls.model_fields[name].description
        option = f"--{name.replace('_', '-')}"
        return ConfigurationError(
            f"{where}: {name} is missing, in the policy and where the gate is called ({option}): {about}",
            code="setting.missing",
        )
    said = str(problem["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    text = _WORDS.get(problem["type"], said)
    value = problem["input"]
    shown = repr(value) if not isinstance(value, float) or math.isfinite(value) else str(value)
    if not name:
        return ConfigurationError(f"{where}: {text}", code="setting.wrong")
    inner = "".join(f"[{part!r}]" for part in problem["loc"][1:2])
    return ConfigurationError(f"{where}: {name}{inner} {text}, not {shown}", code="setting.wrong")
