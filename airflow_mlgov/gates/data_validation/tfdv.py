"""The data gate in the terms of TensorFlow Data Validation: a ``schema.pbtxt`` enforced without TensorFlow, the
``anomalies.pbtxt`` of a TFX pipeline judged, or TFDV itself asked in another environment. Refuses to call green what a
schema asks for and nothing has checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.data.file_kinds import DELIMITERS
from airflow_mlgov.data.files import FileSet, is_csv, opened
from airflow_mlgov.data.source import Relation
from airflow_mlgov.errors import ConfigurationError, not_installed
from airflow_mlgov.gates.children.environment import Backend, ask
from airflow_mlgov.gates.data_validation.expectations import Expectation, Suite
from airflow_mlgov.gates.data_validation.judging import findings_of, judge_suite
from airflow_mlgov.gates.data_validation.tfdv_schema import ACCEPTED, Compiled, Refusal, compile_schema
from airflow_mlgov.gates.protocol import Findings
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity, Subject
from airflow_mlgov.strict_files import read_file

if TYPE_CHECKING:
    from airflow_mlgov.gates.protocol import Question
    from airflow_mlgov.gates.tfdv.spec import TfdvSettings

TFDV = Backend(
    name="TensorFlow Data Validation",
    script="tfdv_check.py",
    libraries=("tensorflow-data-validation", "tensorflow-metadata"),
    requirements="tensorflow-data-validation==1.16.1 dill",
    schema={
        "type": "object",
        "required": ["anomalies", "examples"],
        "properties": {"anomalies": {"type": "string"}, "examples": {"type": "integer", "minimum": 0}},
        "additionalProperties": False,
    },
)
"""1.16.1 is the newest with wheels for glibc 2.36 (Debian 12), on Python 3.10 and 3.11; it forgets to ask for dill."""

_SEVERITIES = {
    "ERROR": (Outcome.FAIL, Severity.CRITICAL),
    "WARNING": (Outcome.FAIL, Severity.WARNING),
}


def load_schema(path: str | Path) -> Suite:
    """A ``schema.pbtxt`` as a suite, for the data gate over any source. What expectations cannot say is among them with
    a type that does not exist, which the data gate reports as an ERROR.

    :raises ConfigurationError: no such file, not a schema, or one that asks for nothing
    :raises AccessError: the file system refuses to read it
    """
    schema, text, digest = _read_schema(Path(path))
    compiled = compile_schema(schema, str(path), text)
    expectations = [*compiled.expectations]
    for refusal in compiled.refusals:
        name, _, part = refusal.what.partition(".")
        where = f"{refusal.where}: {refusal.what} {refusal.why}"
        kwargs = {"column": name} if part else {}
        kind = f"tfdv_{(part or name).replace('.', '_')}"
        expectations.append(Expectation(len(expectations) + 1, kind, kwargs, "critical", where))
    return Suite(str(path), digest, tuple(expectations), source=str(path))


def judge(question: Question[TfdvSettings]) -> Findings:
    """Judge the anomalies that a TFX pipeline found, or hold the data against a ``schema.pbtxt``: without TensorFlow,
    or by TFDV itself if the settings name the interpreter of an environment that has it.

    :raises ConfigurationError: the data, a file or the interpreter is not what it should be, or TFDV is missing there
    :raises AccessError: the file system refuses
    :raises ExternalError: TFDV crashed or took too long
    :raises DependencyError: the data changed while it was being validated
    """
    settings = question.settings
    if settings.anomalies is not None:
        return _findings_of_anomalies(Path(settings.anomalies))
    if settings.python is not None:
        return _ask_tfdv(question.data, settings, settings.python)
    schema, environment = Path(str(settings.schema)), settings.schema_environment
    return findings_of(judge_schema(question.data, schema, environment=environment, min_rows=settings.min_rows))


def judge_schema(relation: Relation, schema: Path, *, environment: str | None = None, min_rows: int = 1) -> GateResult:
    """Hold a dataset that is open against a ``schema.pbtxt``, without TensorFlow: presence, types, domains, unique
    counts, unknown columns, number of examples. What it asks for beyond that is an ERROR by name.

    :param environment: as TFDV's: only its features are expected
    :param min_rows: fewer rows than this fail the gate
    """
    parsed, text, digest = _read_schema(schema)
    columns = relation.in_duckdb().types
    compiled = compile_schema(parsed, str(schema), text, columns=columns, environment=environment)
    suite = Suite(str(schema), digest, tuple(compiled.expectations), source=str(schema))
    result = judge_suite(relation, suite, min_rows=min_rows)
    return replace(
        result,
        checks=(*result.checks, *_type_checks(compiled, columns), *_others(compiled)),
        inputs=(Subject("schema", str(schema), digest),),
        details={**result.details, "schema_environment": environment},
        suite_digest=digest,
        libraries={**result.libraries, "tensorflow-metadata": _metadata_version()},
    )


def judge_anomalies(path: str | Path) -> tuple[Check, ...]:
    """The checks that an ``anomalies.pbtxt`` (or a binary ``SchemaDiff.pb``) of a TFX pipeline amounts to: what TFDV
    calls an ERROR fails, a WARNING is a warning, an anomaly of no severity is an ERROR of ours. What descriptions quote
    of the data is left out.

    :raises ConfigurationError: no such file, or not anomalies
    :raises AccessError: the file system refuses to read it
    """
    path = Path(path)
    raw = read_file(path, "anomalies")
    return _judge(_parse(raw if path.suffix == ".pb" else _text(raw, path), str(path)), str(path))


def _findings_of_anomalies(path: Path) -> Findings:
    """That the anomalies are about these bytes is the caller's word because TFDV does not note what it read."""
    digest = hashlib.sha256(read_file(path, "anomalies")).hexdigest()
    return Findings(
        judge_anomalies(path),
        {"anomalies_sha256": digest, "bound_to_data_by": "the caller"},
        inputs=(Subject("anomalies", str(path), digest),),
        libraries={"tensorflow-metadata": _metadata_version()},
    )


def _ask_tfdv(relation: Relation, settings: TfdvSettings, python: str) -> Findings:
    path, environment = Path(str(settings.schema)), settings.schema_environment
    parsed, text, digest = _read_schema(path)
    compile_schema(parsed, str(path), text, environment=environment)  # an unknown environment would expect nothing
    others = {"previous": settings.previous, "serving": settings.serving}
    with ExitStack() as stack:
        sets = {name: _watched(stack, files) for name, files in others.items() if files is not None}
        given = {"data": _files_of(relation), **sets}
        request = {name: _files(given[name]) if name in given else None for name in ("data", *others)}
        answer = ask(TFDV, python, {**request, "schema": text, "environment": environment}, timeout=settings.timeout)
        subjects = {name: files.subject for name, files in sets.items()}
    anomalies = _parse(answer.content["anomalies"], "TFDV's answer")
    return Findings(
        (
            _examples(parsed, answer.content["examples"], str(path)),
            *_judge(anomalies, "TFDV's answer"),
            *_comparisons(parsed, anomalies, str(path), request),
        ),
        {
            "schema": str(path),
            "schema_environment": environment,
            "child": answer.child,
        },
        inputs=(
            Subject("schema", str(path), digest),
            *(replace(subject, kind=name) for name, subject in subjects.items()),
        ),
        suite_digest=digest,
        libraries=answer.libraries,
    )


# schema


def _type_checks(compiled: Compiled, columns: Mapping[str, str]) -> list[Check]:
    checks = []
    for name, wanted in compiled.types.items():
        stored = columns[name]
        fits = stored in ACCEPTED[wanted]
        detail = "" if fits else f"the column is {stored}, so TFDV would not take it for {wanted}"
        outcome = Outcome.PASS if fits else Outcome.FAIL
        checks.append(Check(f"type({name})", outcome, stored, wanted, Severity.CRITICAL, detail))
    return checks


def _others(compiled: Compiled) -> list[Check]:
    """What cannot be said is an ERROR; what TFDV does not enforce is noted."""
    checks = [_refused(refusal) for refusal in compiled.refusals]
    for name, why in compiled.notes.items():
        checks.append(Check(f"skipped({name})", Outcome.PASS, None, None, Severity.INFO, f"not judged: {why}"))
    return checks


def _refused(refusal: Refusal) -> Check:
    detail = f"{refusal.where}: {refusal.what} {refusal.why}"
    return Check(f"schema({refusal.what})", Outcome.ERROR, None, None, Severity.CRITICAL, detail)


def _read_schema(path: Path) -> tuple[Any, str, str]:
    """The parsed schema, its text, and the digest of its bytes."""
    raw = read_file(path, "schema")
    text = _text(raw, path)
    return _parse_text(text, "schema_pb2", "Schema", str(path)), text, hashlib.sha256(raw).hexdigest()


# anomalies


def _judge(anomalies: Any, source: str) -> tuple[Check, ...]:
    found = [*anomalies.anomaly_info.items()]
    if anomalies.HasField("dataset_anomaly_info"):
        found.append(("the dataset", anomalies.dataset_anomaly_info))
    checks = [_bound(anomalies, source, len(found))]
    checks += [_anomaly(name, info) for name, info in sorted(found)]
    for info in anomalies.drift_skew_info:
        path = ".".join(info.path.step)
        for kind in ("drift", "skew"):
            checks += [_measured(kind, path, item) for item in getattr(info, f"{kind}_measurements")]
    return tuple(checks)


def _bound(anomalies: Any, source: str, found: int) -> Check:
    """An empty file is a sound message too, and says nothing."""
    which = anomalies.WhichOneof("baseline_schema")
    features = len(getattr(anomalies, which).feature) if which else 0
    if anomalies.data_missing:
        detail = f"{source} says that there was no data, so nothing was judged"
    elif not features:
        detail = f"{source} names no schema that the data was held against, so it says nothing"
    else:
        detail = ""
    outcome = Outcome.ERROR if detail else Outcome.PASS
    bound = "a result of validating data against a schema"
    return Check("validated", outcome, features, bound, Severity.CRITICAL, detail, {"anomalies": found})


def _anomaly(name: str, info: Any) -> Check:
    severity = _enum(info, "severity")
    outcome, weight = _SEVERITIES.get(severity, (Outcome.ERROR, Severity.CRITICAL))
    types = [_enum(reason, "type") for reason in info.reason]
    detail = ", ".join(dict.fromkeys(types)) or "no reason is given"
    if severity not in _SEVERITIES:
        detail = f"its severity is {severity}, so nothing is known: {detail}"
    return Check(f"anomaly({name})", outcome, severity, "no anomaly", weight, detail, {"types": types})


def _measured(kind: str, path: str, item: Any) -> Check:
    name, value = f"{kind}({path}, {_enum(item, 'type')})", float(item.value)
    if not item.HasField("threshold"):
        return Check(name, Outcome.PASS, value, None, Severity.INFO, "no threshold is set")
    bound = Bound(max=float(item.threshold), source="schema")
    return Check(name, bound.judge(value), value, bound)


def _examples(schema: Any, seen: int, source: str) -> Check:
    """TFDV 1.16.1 forgets max_examples_count where no min_examples_count is beside it."""
    most = schema.dataset_constraints.max_examples_count or None
    bound = Bound(min=1, max=most, source=source)
    outcome = bound.judge(seen)
    detail = "" if outcome is Outcome.PASS else f"{seen} examples"
    return Check("row_count", outcome, seen, bound, Severity.CRITICAL, detail)


def _comparisons(schema: Any, anomalies: Any, source: str, request: Mapping[str, Any]) -> Iterator[Check]:
    """An ERROR for each comparison that the schema asks for and TFDV has not made: without the other data it keeps
    silent."""
    measured = {
        (kind, ".".join(info.path.step))
        for info in anomalies.drift_skew_info
        for kind in ("drift", "skew")
        if getattr(info, f"{kind}_measurements")
    }
    for feature in schema.feature:
        for kind, other in (("drift", "previous"), ("skew", "serving")):
            asked = feature.HasField(f"{kind}_comparator") and (kind, feature.name) not in measured
            if asked:
                why = f"give {other} data" if request[other] is None else "TFDV has not measured it"
                detail = f"{source} asks for {kind} of {feature.name}, and nothing was compared: {why}"
                yield Check(f"{kind}({feature.name})", Outcome.ERROR, None, None, Severity.CRITICAL, detail)
    limits = schema.dataset_constraints
    unmade = ["num_examples_version_comparator"] + (
        ["num_examples_drift_comparator"] if request["previous"] is None else []
    )
    for name in unmade:
        if limits.HasField(name):
            detail = f"{source} asks for {name}, and nothing was compared"
            yield Check(name, Outcome.ERROR, None, None, Severity.CRITICAL, detail)


# files and messages


def _watched(stack: ExitStack, data: str | Path) -> FileSet:
    return stack.enter_context(opened(str(data)))


def _files_of(relation: Relation) -> FileSet:
    """The files that the gate has opened, and watches."""
    table = relation.in_duckdb().as_files() if relation.is_local else None
    if table is None:
        raise ConfigurationError(f"{relation.name}: TFDV reads csv and parquet files alone", code="data.no_files")
    return table.files


def _files(file_set: FileSet) -> list[str]:
    if len({is_csv(path) for path in file_set.files}) > 1:
        raise ConfigurationError(
            f"{file_set.data} holds csv and parquet files; TFDV takes one kind", code="data.mixed_kinds"
        )
    if any(path.suffix.lower() in DELIMITERS and DELIMITERS[path.suffix.lower()] != "," for path in file_set.files):
        raise ConfigurationError(
            f"{file_set.data} is not separated by commas; TFDV reads csv with commas alone", code="data.mixed_kinds"
        )
    if any(file_set.partitions.values()):
        raise ConfigurationError(
            f"{file_set.data} has columns in the names of its folders, which TFDV would not see",
            code="data.partitioned",
        )
    return [str(path.absolute()) for path in file_set.files]


def _parse(content: str | bytes, source: str) -> Any:
    if isinstance(content, str):
        return _parse_text(content, "anomalies_pb2", "Anomalies", source)
    message = _module("anomalies_pb2").Anomalies()
    try:
        message.ParseFromString(content)
    except import_module("google.protobuf.message").DecodeError:
        raise ConfigurationError(f"{source} is not a binary Anomalies message", code="tfdv.unreadable") from None
    return message


def _parse_text(text: str, module: str, kind: str, source: str) -> Any:
    text_format = import_module("google.protobuf.text_format")
    try:
        return text_format.Parse(text, getattr(_module(module), kind)())
    except text_format.ParseError as error:
        where = f":{error.GetLine()}" if error.GetLine() else ""
        why = f": {error}" if kind == "Schema" else ""  # anomalies quote the data
        raise ConfigurationError(
            f"{source}{where} is not text of a TFDV {kind} message{why}", code="tfdv.unreadable"
        ) from None


def _module(name: str) -> Any:
    try:
        return import_module(f"tensorflow_metadata.proto.v0.{name}")
    except ImportError as error:
        raise not_installed(error, "a schema.pbtxt or anomalies.pbtxt") from None


def _metadata_version() -> str:
    from importlib.metadata import version

    return version("tensorflow-metadata")


def _enum(message: Any, name: str) -> str:
    """The word of an enum's value; its number where the word is not known here."""
    values = message.DESCRIPTOR.fields_by_name[name].enum_type.values_by_number
    number = getattr(message, name)
    return str(values[number].name) if number in values else str(number)


def _text(raw: bytes, path: Path) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text (byte {error.start})", code="file.not_text") from None
