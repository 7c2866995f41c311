"""One life for every gate: time, open, judge, settings as applied, versions, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.reading import PLAIN, Reading
from airflow_mlgov.durations import seconds_of
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.bounds import MetricBound
from airflow_mlgov.gates.protocol import Elsewhere, Gate, GateSettings, Lookup, Question, S, Tightens
from airflow_mlgov.results import GateResult, Subject

if TYPE_CHECKING:
    from airflow_mlgov.data.relation import Relation
    from airflow_mlgov.gates.rulebook import Rulebook

Artifact = Callable[[], AbstractContextManager[Path]]
"""Fetches a model's own files."""


def run_gate(
    gate: Gate[S],
    data: Any,
    settings: S,
    bounds: Iterable[MetricBound] = (),
    *,
    subject: Subject | None = None,
    baseline: Any = None,
    lookup: Lookup | None = None,
    artifact: Artifact | None = None,
    elsewhere: Elsewhere | None = None,
    rulebook: Rulebook | None = None,
    report_dir: str | Path | None = None,
    memory_limit: str | None = None,
    time_limit: float | str | None = None,
) -> GateResult:
    """Run a gate.

    :param data: whatever :func:`airflow_mlgov.data.source.source_of` takes; nothing for a gate that ``reads`` none
    :param subject: the model version that is judged; None: the data itself
    :param baseline: the champion's rows, for gates that compare
    :param lookup: needed if ``gate.needs_lookup(settings)``
    :param artifact: fetches the model's own files, for gates that measure or load them
    :param elsewhere: needed if the settings name the data, see ``gate.names_data``
    :param rulebook: evaluates packs of rules, for gates that ask some
    :param report_dir: folder for a self-contained HTML report
    :param memory_limit: what the gate may hold in memory, such as ``512MB``: a query over the data spills to disk
        before, and what cannot is refused; may tighten what the settings say
    :param time_limit: seconds, or a duration such as ``2h``, after which whatever the gate does is stopped; may tighten
        what the settings say; an hour if neither does
    :raises ConfigurationError: a column, a setting or a bound is not what the gate can judge
    :raises MemoryLimitError: it needs more than ``memory_limit``
    :raises TimeLimitError: it takes longer than ``time_limit``
    :raises AccessError: a file system, a database or a registry refuses
    :raises DependencyError: one is down, or the data changed while it was being judged
    """
    from airflow_mlgov.data.limits import time_limit as within_time
    from airflow_mlgov.data.memory import memory_limit as within_memory
    from airflow_mlgov.data.source import require_declared

    limits, judged = _limits(settings, memory_limit, time_limit), tuple(bounds)
    limit, allowed = str(limits["memory_limit"]), seconds_of(limits["time_limit"])
    if report_dir is not None:
        require_writable(report_dir)
    started = datetime.now(UTC)
    if elsewhere is not None:
        named, named_baseline = gate.named_data(settings, judged, elsewhere)
        data, baseline = _either(data, named, "data"), _either(baseline, named_baseline, "baseline")
    if gate.reads and data is None:
        others = f", or have {' or '.join(gate.names_data)} name it" if gate.names_data else ""
        raise ConfigurationError(f"the gate {gate.name} needs rows to judge: name data{others}", code="data.missing")
    reading = gate.reading(settings)
    with (
        within_memory(limit, f"the gate {gate.name}"),
        within_time(allowed, f"the gate {gate.name}"),
        opened(data, baseline, limit, reading) if gate.reads else _nothing() as (relation, champion),
    ):
        if relation is not None and reading.types:
            require_declared(relation, reading)
        question = Question(
            settings,
            relation,
            champion,
            judged,
            lookup=lookup,
            artifact=artifact,
            rulebook=rulebook,
            report=report_dir is not None,
        )
        findings = gate.judge(question)
        read = findings.read
        if read is None:
            read = tuple(each.subject for each in (relation, champion) if each is not None)
        sides = [each for each in (relation, champion) if each is not None]
        read_as = {each.name: found for each in sides if (found := getattr(each, "read_as", None))}
    if subject is None and not read:
        raise ConfigurationError(
            f"the gate {gate.name} is over data and has not said what it has read: its Findings need `read`",
            code="gate.no_subject",
        )
    result = GateResult(
        gate=gate.name,
        subject=read[0] if subject is None else subject,
        checks=findings.checks,
        inputs=(*(read if subject is not None or gate.about == "model" else read[1:]), *findings.inputs),
        details={**findings.details, "read_as": read_as} if read_as else findings.details,
        libraries=_versions(findings.libraries),
        started_at=started,
        reports=findings.reports,
        settings=settings.applied,
        evaluation_digest=findings.evaluation_digest,
        suite_digest=findings.suite_digest,
        dataset_checks=findings.dataset_checks,
        purpose=findings.purpose,
    )
    return _reported(result, report_dir, findings.figures)


def _reported(result: GateResult, directory: str | Path | None, figures: Mapping[str, str]) -> GateResult:
    if directory is None:
        return result
    from airflow_mlgov.gates.report import write_report

    title = f"{result.gate.replace('_', ' ').capitalize()} report"
    written = {title: str(write_report(result, directory, figures))}
    return replace(result, reports={**result.reports, **written})


@contextmanager
def opened(
    data: Any, baseline: Any, memory_limit: str, reading: Reading = PLAIN
) -> Iterator[tuple[Relation, Relation | None]]:
    """The rows where they are; with the champion's beside them, both in one DuckDB, or in one session of Spark.

    :param reading: how csv is read
    :raises ConfigurationError: no such file, table or column
    :raises AccessError: the file system or the database refuses
    :raises DependencyError: the database is down, or a file changed while it was being read
    """
    from airflow_mlgov.data.source import open_together, source_beside, source_of

    if baseline is None:
        with source_of(data, reading).open(memory_limit=memory_limit) as relation:
            yield relation, None
        return
    source = source_of(data, reading)
    sources = {"data": source, "baseline": source_beside(source, baseline, reading)}
    with open_together(sources, memory_limit=memory_limit) as tables:
        yield tables["data"], tables["baseline"]


@contextmanager
def _nothing() -> Iterator[tuple[Any, None]]:
    """No rows, for a gate that reads none."""
    yield None, None


def require_writable(directory: str | Path) -> None:
    """Found out before the work rather than after it.

    :raises ConfigurationError: the folder cannot be made or written to
    """
    import tempfile

    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"cannot write into {directory}: {error.strerror or error}", code="folder.not_writable"
        ) from None


def _limits(settings: GateSettings, memory_limit: str | None, time_limit: float | str | None) -> dict[str, Any]:
    """The settings', made tighter by the caller, or what holds if nobody says."""
    from airflow_mlgov.data.limits import TIME_LIMIT
    from airflow_mlgov.data.relation import MEMORY_LIMIT, require_memory_limit

    if memory_limit is not None:
        require_memory_limit(memory_limit)
    given: dict[str, Any] = {"memory_limit": memory_limit, "time_limit": time_limit}
    found = {"memory_limit": MEMORY_LIMIT, "time_limit": TIME_LIMIT}
    for name, mark in type(settings).marks(Tightens).items():
        stated, mine = getattr(settings, name), given[name]
        both = stated is not None and mine is not None
        said = mark.tighter(name, stated, mine, "its settings") if both else (mine if stated is None else stated)
        found[name] = found[name] if said is None else said
    return found


def _either(given: Any, named: Any, what: str) -> Any:
    if given is not None and named is not None:
        raise ConfigurationError(f"the {what} is named twice: as {given} and as {named.name}", code="data.twice")
    return given if named is None else named


def _versions(libraries: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    from importlib.metadata import version

    return dict(libraries) if isinstance(libraries, Mapping) else {name: version(name) for name in libraries}
