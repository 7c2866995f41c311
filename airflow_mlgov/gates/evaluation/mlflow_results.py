"""What MLflow keeps of an evaluation, as a table: a row for each example, a column for each scorer. Refuses to choose
among several scores of one name, several runs, or runs over the same examples twice; never reads a rationale."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlgov.data.names import require_columns
from airflow_mlgov.data.scratch import scratch_folder
from airflow_mlgov.errors import ConfigurationError, DependencyError

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Feedback, Run, Trace

    from airflow_mlgov.gates.protocol import Tracking

MOST_EXAMPLES = 100_000
_PAGE = 500
"""MLflow's server gives no more at a time."""
_MOST_BYTES = 256_000_000
_LISTED = 5
_CLASSIC_TABLE = "eval_results_table.json"
_SOURCE_RUN, _MODEL = "mlflow.assessment.sourceRunId", "mlflow.modelId"
_SCORER_DIGEST, _SCORER_TRACE = "mlflow.assessment.scorerDigest", "mlflow.trace.sourceScorer"


@dataclass(frozen=True)
class Wanted:
    """Which evaluation is read, and what of it."""

    run_id: str | None
    model_id: str | None
    scores: tuple[str, ...]
    """Names of scorers."""
    others: tuple[str, ...] = ()
    """``trace_id``, ``inputs`` (their SHA-256), ``inputs.NAME``, ``tags.NAME``, ``expectations.NAME``, or a scorer."""
    overridden: Literal["use", "missing"] = "missing"

    @property
    def needs_spans(self) -> bool:
        """Whether the examples' inputs are asked for: MLflow's summary of a trace cuts them off."""
        return any(name == "inputs" or name.startswith("inputs.") for name in self.others)


@dataclass(frozen=True)
class Results:
    """What was read."""

    frame: pd.DataFrame
    notes: Mapping[str, Any]
    """Aggregates for the evidence: how many examples, who scored them, what is missing and why."""


def read_results(tracking: Tracking, wanted: Wanted) -> Results:
    """The examples of an evaluation run, in the order of their traces' names.

    A run's own scores count; where it has none of a name, those that belong to no run. Scores that were corrected by
    hand are what ``overridden`` says. Rows of the run's data set that left no trace are examples without any score.

    :raises ConfigurationError: no such run or model, no scores, or scores that are not one for each example and name
    :raises DependencyError: MLflow is down, or traces were added or removed meanwhile
    """
    run_id = wanted.run_id or _run_of_model(tracking, wanted)
    with tracking.calling(f"read the run {run_id!r}") as client:
        run = client.get_run(run_id)
    traces = _traces(tracking, run.info.experiment_id, wanted.needs_spans, run_id=run_id)
    examples = [Example(trace, run_id) for trace in traces]
    if not any(example.is_scored for example in examples):
        return _classic(tracking, run_id, wanted)
    examples = [example for example in examples if example.is_scored or not example.is_scorers_own]
    _require_model(examples, wanted.model_id, run_id)
    return _results(examples, _rows_of(run), run_id, wanted)


@dataclass(frozen=True)
class Score:
    """One scorer's word on one example."""

    value: Any
    by_run: bool
    corrected: bool
    failed: bool
    source: str
    digest: str | None


@dataclass(frozen=True)
class Example:
    """One trace, and what the run says of it."""

    trace: Trace
    run_id: str
    scores: dict[str, list[Score]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", _scores(self.trace.info.assessments or (), self.run_id))

    @property
    def is_scored(self) -> bool:
        """Whether some scorer has said something, be it an error."""
        return bool(self.scores)

    @property
    def is_scorers_own(self) -> bool:
        """Whether a scorer left this trace of its own work."""
        return _SCORER_TRACE in self.trace.info.tags

    @property
    def model_id(self) -> str | None:
        """The logged model that it is about."""
        found: str | None = self.trace.info.trace_metadata.get(_MODEL)
        return found

    @property
    def expectations(self) -> dict[str, Any]:
        """Name -> what was expected."""
        known = (one for one in self.trace.info.assessments or () if one.expectation is not None)
        return {one.name: one.expectation.value for one in known}

    def other(self, name: str) -> Any:
        """A value that describes the example; None if it has none."""
        kind, _, rest = name.partition(".")
        if name == "trace_id":
            return self.trace.info.trace_id
        if kind == "tags" and rest:
            return self.trace.info.tags.get(rest)
        if kind == "expectations" and rest:
            return _plain(self.expectations.get(rest))
        if name == "inputs":
            return sha256(_canonical(self._inputs()).encode()).hexdigest()
        found = self._inputs()
        return _plain(found.get(rest)) if isinstance(found, Mapping) else None

    def _inputs(self) -> Any:
        return json.loads(self.trace.data.request) if self.trace.data.request else None


def _scores(assessments: Iterable[Any], run_id: str) -> dict[str, list[Score]]:
    """The valid scores by name. One that replaces another by hand is the run's if that one was."""
    found: dict[str, list[Score]] = {}
    known = {one.assessment_id: one for one in assessments}
    for one in known.values():
        if one.feedback is None or one.valid is False:
            continue
        first = _replaced(one, known)
        source_run = (first.metadata or {}).get(_SOURCE_RUN)
        if source_run not in (None, run_id):
            continue
        found.setdefault(one.name, []).append(
            Score(
                value=None if one.feedback.error is not None else one.feedback.value,
                by_run=source_run == run_id,
                corrected=first is not one,
                failed=one.feedback.error is not None,
                source=str(first.source.source_type),
                digest=(first.metadata or {}).get(_SCORER_DIGEST),
            )
        )
    return found


def _replaced(one: Feedback, known: Mapping[str, Any]) -> Any:
    """The first of a chain of corrections; a chain that leads nowhere ends where it breaks."""
    for _ in known:
        before = known.get(one.overrides)
        if before is None:
            break
        one = before
    return one


def _results(examples: Sequence[Example], rows: int | None, run_id: str, wanted: Wanted) -> Results:
    import pandas as pd

    names = dict.fromkeys(name for example in examples for name in example.scores)
    others = [name for name in wanted.others if name not in wanted.scores]
    _require(examples, wanted, names)
    examples = sorted(examples, key=lambda example: str(example.trace.info.trace_id))
    without_trace = max(0, (rows or 0) - len(examples))
    if rows is not None and len(examples) > rows:
        raise ConfigurationError(
            f"the run {run_id} has {len(examples)} examples and its data set {rows} rows: it was evaluated more than "
            "once, or other work left traces in it; evaluate in a run of its own",
            code="mlflow.examples",
        )
    columns: dict[str, list[Any]] = {"trace_id": [example.trace.info.trace_id for example in examples]}
    notes: dict[str, Any] = {
        "run": run_id,
        "examples": len(examples),
        "without_a_trace": without_trace,
        "failed": sum(str(example.trace.info.state).endswith("ERROR") for example in examples),
        "scorers": {},
    }
    for name in [*wanted.scores, *(other for other in others if other in names)]:
        columns[name], notes["scorers"][name] = _column(examples, name, wanted.overridden)
    for name in others:
        if name not in columns:
            columns[name] = [example.other(name) for example in examples]
    frame = pd.DataFrame({name: [*values, *[None] * without_trace] for name, values in columns.items()}, dtype=object)
    return Results(frame.infer_objects(), notes)


def _column(examples: Sequence[Example], name: str, overridden: str) -> tuple[list[Any], dict[str, Any]]:
    """One scorer's words on every example, and what the evidence says of them."""
    given = [example.scores.get(name, []) for example in examples]
    by_run = any(score.by_run for scores in given for score in scores)
    chosen = [[score for score in scores if score.by_run == by_run] for scores in given]
    several = sum(len(scores) > 1 for scores in chosen)
    if several:
        raise ConfigurationError(
            f'{several} examples have several scores called "{name}", and which one counts is not guessed: give each '
            "a name of its own, or evaluate again in a new run",
            code="mlflow.several_scores",
        )
    said = [scores[0] for scores in chosen if scores]
    notes = {
        "sources": dict(sorted(Counter(score.source for score in said).items())),
        "digests": sorted({score.digest for score in said if score.digest})[:_LISTED],
        "errors": sum(score.failed for score in said),
        "corrected_by_hand": sum(score.corrected for score in said),
        "by_the_run": by_run,
    }
    return [_value(scores[0], overridden) if scores else None for scores in chosen], notes


def _value(score: Score, overridden: str) -> Any:
    return None if score.corrected and overridden == "missing" else score.value


def _require(examples: Sequence[Example], wanted: Wanted, names: Collection[str]) -> None:
    """Refuse names that no example has."""
    described = {f"expectations.{name}" for example in examples for name in example.expectations}
    described |= {f"tags.{name}" for example in examples for name in example.trace.info.tags}
    free = [name for name in wanted.others if name in ("trace_id", "inputs") or name.startswith("inputs.")]
    where = "the evaluation"
    require_columns(names, wanted.scores, where)
    require_columns([*names, *sorted(described), "trace_id", "inputs", *free], wanted.others, where)


def _require_model(examples: Sequence[Example], model_id: str | None, run_id: str) -> None:
    other = sum(example.model_id != model_id for example in examples) if model_id else 0
    if other:
        raise ConfigurationError(
            f"{other} of {len(examples)} examples of the run {run_id} are not the model {model_id}'s",
            code="mlflow.other_model",
        )


def _run_of_model(tracking: Tracking, wanted: Wanted) -> str:
    """The one evaluation run that has scored a logged model's traces."""
    model_id = str(wanted.model_id)
    with tracking.calling(f"read the logged model {model_id!r}") as client:
        experiment = client.get_logged_model(model_id).experiment_id
    runs: set[str] = set()
    for trace in _traces(tracking, experiment, False, model_id=model_id):
        for one in trace.info.assessments or ():
            run_id = (one.metadata or {}).get(_SOURCE_RUN)
            if run_id and one.feedback is not None:
                runs.add(str(run_id))
    if len(runs) == 1:
        return runs.pop()
    if runs:
        named = ", ".join(sorted(runs)[:_LISTED]) + (" …" if len(runs) > _LISTED else "")
        raise ConfigurationError(
            f"{len(runs)} runs have scored the model {model_id}: {named}; name the one that counts (mlflow_run)",
            code="mlflow.several_runs",
        )
    raise ConfigurationError(
        f"no run in the experiment {experiment} has scored the model {model_id}: evaluate it with model_id, or name "
        "the run (mlflow_run)",
        code="mlflow.no_scores",
    )


def _traces(tracking: Tracking, experiment: str, spans: bool, **which: str) -> list[Trace]:
    found: dict[str, Trace] = {}
    token = None
    what = " ".join(f"{name.removesuffix('_id')} {value!r}" for name, value in which.items())
    with tracking.calling(f"read the traces of the {what}") as client:
        while True:
            page = client.search_traces(
                locations=[experiment],
                include_spans=spans,
                max_results=_PAGE,
                page_token=token,
                order_by=["timestamp_ms ASC"],
                **which,
            )
            before = len(found)
            found |= {trace.info.trace_id: trace for trace in page}
            if len(found) != before + len(page):
                raise DependencyError(
                    f"the traces of the {what} changed while they were read; try again", code="data.changed"
                )
            if len(found) > MOST_EXAMPLES:
                raise ConfigurationError(
                    f"the {what} has more than {MOST_EXAMPLES} traces: write the scores to a file",
                    code="mlflow.too_many",
                )
            token = page.token
            if not token or not page:
                return list(found.values())


def _rows_of(run: Run) -> int | None:
    """The rows of the data set that the run evaluated; None if it names none or several, or none that were counted."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    if len(inputs) != 1 or not inputs[0].dataset.profile:
        return None
    try:
        rows = json.loads(inputs[0].dataset.profile).get("num_rows")
    except (ValueError, AttributeError):
        return None
    return rows if isinstance(rows, int) and not isinstance(rows, bool) else None


def _classic(tracking: Tracking, run_id: str, wanted: Wanted) -> Results:
    """The table that ``mlflow.evaluate`` logs as a file of the run.

    :raises ConfigurationError: there is none either
    """
    import pandas as pd

    with tracking.calling(f"list the files of the run {run_id!r}") as client:
        tables = [item for item in client.list_artifacts(run_id) if item.path.endswith(_CLASSIC_TABLE)]
    if len(tables) != 1 or wanted.model_id:
        raise ConfigurationError(
            f"the run {run_id} has no scored traces, and {len(tables) or 'no'} tables named {_CLASSIC_TABLE}: name a "
            "run of mlflow.genai.evaluate or of mlflow.evaluate, or give the scores as a file",
            code="mlflow.no_scores",
        )
    if (tables[0].file_size or 0) > _MOST_BYTES:
        raise ConfigurationError(f"{tables[0].path} of the run {run_id} is too large", code="mlflow.too_many")
    with (
        scratch_folder("scores") as folder,
        tracking.calling(f"download {tables[0].path} of the run {run_id!r}") as client,
    ):
        text = Path(client.download_artifacts(run_id, tables[0].path, str(folder))).read_text()
    try:
        content = json.loads(text)
        frame = pd.DataFrame(content["data"], columns=content["columns"], dtype=object)
    except (ValueError, KeyError, TypeError):
        raise ConfigurationError(f"{tables[0].path} of the run {run_id} is no table", code="mlflow.no_scores") from None
    names = list(dict.fromkeys([*wanted.scores, *wanted.others]))
    require_columns(frame.columns, names, f"{tables[0].path} of the run {run_id}")
    return Results(frame[names].infer_objects(), {"run": run_id, "table": tables[0].path, "examples": len(frame)})


def _plain(value: Any) -> Any:
    return _canonical(value) if isinstance(value, list | dict) else value


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
