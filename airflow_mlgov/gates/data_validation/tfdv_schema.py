"""Compiles a schema of TensorFlow Data Validation (``schema.pbtxt``) into expectations. Names whatever they cannot say,
so that it becomes an ERROR: nothing is left out in silence but what TFDV itself does not enforce."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.data_validation.expectations import Expectation

INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
FLOATS = ("FLOAT", "DOUBLE")
TEXTS = ("VARCHAR", "BLOB")

ACCEPTED: Mapping[str, tuple[str, ...]] = {
    "INT": (*INTEGERS, "BOOLEAN"),
    "FLOAT": FLOATS,
    "BYTES": (*TEXTS, "BOOLEAN"),
}
"""TFDV's type -> DuckDB's types that it may have: TFDV takes a bool for an INT, and ``true`` in a csv for BYTES."""

_TYPE_LISTS: Mapping[str, tuple[str, ...]] = {
    "INT": (
        "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "Int8", "Int16", "Int32", "Int64",
        "UInt8", "UInt16", "UInt32", "UInt64", "bool", "boolean", "int", *INTEGERS, "BOOLEAN",
    ),
    "FLOAT": ("float16", "float32", "float64", "Float32", "Float64", "float", *FLOATS, "DOUBLE_PRECISION", "REAL"),
    "BYTES": ("str", "string", "object", "category", "bytes", *TEXTS, "TEXT", "CHAR", "String"),
}  # fmt: skip
"""The same in the words of pandas and of SQL databases, for Great Expectations."""

_NOT_ENFORCED = ("PLANNED", "ALPHA", "DEPRECATED", "DISABLED", "DEBUG_ONLY")
"""Lifecycle stages that TFDV treats as deprecated: neither validated nor unexpected."""

_TRUTH = {"true": True, "false": False, "1": True, "0": False}
"""What a domain may name of a column that reads as truth values: those of a csv with ``true`` and ``false`` do."""

_LARGEST = 1.7976931348623157e308

_SCHEMA_FIELDS = frozenset({
    "feature", "string_domain", "int_domain", "float_domain", "default_environment", "annotation",
    "dataset_constraints", "tensor_representation_group", "represent_variable_length_as_ragged",
})  # fmt: skip
_FEATURE_FIELDS = frozenset({
    "name", "deprecated", "presence", "shape", "value_count", "type", "domain", "int_domain", "float_domain",
    "string_domain", "bool_domain", "distribution_constraints", "annotation", "in_environment", "not_in_environment",
    "lifecycle_stage", "unique_constraints",
})  # fmt: skip


@dataclass(frozen=True)
class Refusal:
    """A part of the schema that expectations cannot say."""

    what: str
    """``age.drift_comparator``."""
    why: str
    where: str


@dataclass(frozen=True)
class Compiled:
    """What a schema asks of a table."""

    expectations: tuple[Expectation, ...]
    types: Mapping[str, str]
    """Column -> the TFDV type that it must have; of columns that are to be judged."""
    refusals: tuple[Refusal, ...]
    notes: Mapping[str, str]
    """Feature -> why nothing is asked of it."""


@dataclass
class _Output:
    """Gathers while features are compiled."""

    source: str
    expectations: list[Expectation] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)

    def expect(self, where: str, kind: str, **kwargs: Any) -> None:
        self.expectations.append(Expectation(len(self.expectations) + 1, kind, kwargs, "critical", where))

    def refuse(self, where: str, what: str, why: str) -> None:
        self.refusals.append(Refusal(what, why, where))


def compile_schema(
    schema: Any, source: str, text: str, *, columns: Mapping[str, str] | None = None, environment: str | None = None
) -> Compiled:
    """What ``schema`` asks of a table.

    :param schema: a ``schema_pb2.Schema``
    :param source: the file's name, for messages
    :param text: its text, for line numbers
    :param columns: the table's columns -> DuckDB's type; if omitted, features that may be absent are asked for, types
        become expectations, and unknown columns are refused where a feature may be absent
    :param environment: as TFDV's: only its features are expected
    :raises ConfigurationError: no feature, one named twice or not at all, an environment that the schema does not know
    """
    _require_sound(schema, source, environment)
    output = _Output(source)
    lines = feature_lines(text)
    active, tolerated = [], []
    for position, feature in enumerate(schema.feature):
        line = f":{lines[position]}" if len(lines) == len(schema.feature) else ""
        where = f'{source}{line} (feature "{feature.name}")'
        reason = _not_enforced(feature)
        if reason:
            output.notes[feature.name] = reason
            tolerated.append(feature.name)
        elif environment is not None and not _in_environment(schema, feature, environment):
            output.notes[feature.name] = f"not in the environment {environment}"
        else:
            active.append((feature, where))
    _columns(output, [feature for feature, _ in active], tolerated, columns)
    for feature, where in active:
        _feature(output, schema, feature, where, columns)
    _dataset(output, schema)
    return Compiled(tuple(output.expectations), output.types, tuple(output.refusals), output.notes)


def feature_lines(text: str) -> list[int]:
    """The line of each ``feature {`` at the top of a text-format schema."""
    lines, depth, line = [], 0, 1
    token = re.compile(r'#[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|\bfeature\s*:?\s*[{<]|[{}<>]|\n')
    for match in token.finditer(text):
        found = match[0]
        if found.startswith("feature") and depth == 0:
            lines.append(line)
        if found[-1] in "{<" and not found.startswith(("#", '"', "'")):
            depth += 1
        elif found in "}>":
            depth -= 1
        line += found.count("\n")
    return lines


def _require_sound(schema: Any, source: str, environment: str | None) -> None:
    names = [feature.name for feature in schema.feature]
    if not names:
        raise ConfigurationError(f"{source} names no feature, so it asks for nothing", code="suite.vacuous")
    if "" in names:
        raise ConfigurationError(f"{source}: feature {names.index('') + 1} has no name", code="tfdv.feature")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"{source}: more than one feature is named {', '.join(twice)}", code="tfdv.feature")
    known = {*schema.default_environment}
    known |= {name for item in schema.feature for name in (*item.in_environment, *item.not_in_environment)}
    if environment is not None and environment not in known:
        raise ConfigurationError(
            f"{source} knows no environment {environment}; it has: {', '.join(sorted(known)) or 'none'}",
            code="tfdv.environment",
        )


def _not_enforced(feature: Any) -> str:
    stage = feature.DESCRIPTOR.fields_by_name["lifecycle_stage"].enum_type.values_by_number[feature.lifecycle_stage]
    if stage.name in _NOT_ENFORCED:
        return f"its lifecycle stage is {stage.name}"
    return "it is deprecated" if feature.deprecated else ""


def _in_environment(schema: Any, feature: Any, environment: str) -> bool:
    if environment in feature.not_in_environment:
        return False
    return bool(environment in feature.in_environment or environment in schema.default_environment)


def _is_required(feature: Any) -> bool:
    return bool(feature.presence.min_fraction > 0 or feature.presence.min_count > 0)


def _columns(
    output: _Output, active: Sequence[Any], tolerated: Sequence[str], columns: Mapping[str, str] | None
) -> None:
    """A column that the schema does not name is an error in TFDV."""
    kind = "expect_table_columns_to_match_set"
    required = [feature.name for feature in active if _is_required(feature)]
    optional = [feature.name for feature in active if not _is_required(feature)]
    if columns is not None:
        may = {*optional, *tolerated}
        wanted = [*required, *(name for name in columns if name in may)]
        output.expect(output.source, kind, column_set=wanted, exact_match=True)
    elif optional or tolerated:
        why = (
            "which other columns there are can be judged only beside the data, for some features may be absent "
            f"({', '.join([*optional, *tolerated][:20])}); use `mlgov gate tfdv`"
        )
        output.refuse(output.source, "unknown_columns", why)
    else:
        output.expect(output.source, kind, column_set=required, exact_match=True)


def _feature(output: _Output, schema: Any, feature: Any, where: str, columns: Mapping[str, str] | None) -> None:
    name = feature.name
    for field_name in _set_fields(feature, _FEATURE_FIELDS):
        output.refuse(where, f"{name}.{field_name}", "has no counterpart among expectations; let TFDV itself judge it")
    if columns is not None and name not in columns and not _is_required(feature):
        output.notes[name] = "it may be absent, and it is"
        return
    if _is_required(feature):
        output.expect(where, "expect_column_to_exist", column=name)
    if columns is not None and name not in columns:
        return
    _shape(output, feature, where)
    kind = feature.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number[feature.type].name
    if kind not in ACCEPTED:
        output.refuse(where, f"{name}.type", f"{kind} is not the type of a column; write INT, FLOAT or BYTES")
        return
    output.types[name] = kind
    if columns is None:
        type_list = list(_TYPE_LISTS[kind])
        output.expect(where, "expect_column_values_to_be_in_type_list", column=name, type_list=type_list)
    _presence(output, feature, where)
    _domain(output, schema, feature, where, kind, (columns or {}).get(name, ""))
    _unique(output, feature, where, kind)


def _set_fields(message: Any, known: frozenset[str]) -> Iterator[str]:
    return (found.name for found, _ in message.ListFields() if found.name not in known)


def _shape(output: _Output, feature: Any, where: str) -> None:
    """A table's row has one value of a column, or none; a shape asks for one in every row."""
    if feature.HasField("shape") and any(dim.size != 1 for dim in feature.shape.dim):
        output.refuse(where, f"{feature.name}.shape", "asks for more than one value a row; a table's column has one")
    elif feature.HasField("shape") and feature.presence.min_fraction < 1:
        output.expect(where, "expect_column_values_to_not_be_null", column=feature.name)
    if feature.HasField("value_count"):
        count = feature.value_count
        if count.min > 1 or count.max != 1:
            why = "allows more than one value a row; let TFDV itself judge multivalent features"
            output.refuse(where, f"{feature.name}.value_count", why)


def _presence(output: _Output, feature: Any, where: str) -> None:
    name, fraction, count = feature.name, feature.presence.min_fraction, feature.presence.min_count
    if not 0 <= fraction <= 1:
        output.refuse(where, f"{name}.presence.min_fraction", f"is {fraction:g}, and a share is between 0 and 1")
        return
    if fraction > 0:
        some = {} if fraction >= 1 else {"mostly": fraction}
        output.expect(where, "expect_column_values_to_not_be_null", column=name, **some)
    if count > 1 and fraction >= 1:
        output.expect(where, "expect_table_row_count_to_be_between", min_value=count)
    elif count > 1:
        why = f"{count} values cannot be asked for where some may be missing; set min_fraction: 1"
        output.refuse(where, f"{name}.presence.min_count", why)
    elif count == 1 and fraction <= 0:
        output.expect(where, "expect_column_unique_value_count_to_be_between", column=name, min_value=1)


def _unique(output: _Output, feature: Any, where: str, kind: str) -> None:
    if not feature.HasField("unique_constraints"):
        return
    limits, name = feature.unique_constraints, feature.name
    if kind != "BYTES" and not (kind == "INT" and feature.int_domain.is_categorical):
        why = "TFDV counts unique values of BYTES and of categorical INT only"
        output.refuse(where, f"{name}.unique_constraints", why)
        return
    ends = {f"{end}_value": getattr(limits, end) for end in ("min", "max") if limits.HasField(end)}
    if ends:
        output.expect(where, "expect_column_unique_value_count_to_be_between", column=name, **ends)


def _domain(output: _Output, schema: Any, feature: Any, where: str, kind: str, stored: str) -> None:
    which = feature.WhichOneof("domain_info")
    domain = getattr(feature, which) if which else None
    if which == "domain":
        which, domain = _shared(schema, feature.domain)
        if domain is None:
            output.refuse(where, f"{feature.name}.domain", f'the schema has no domain named "{feature.domain}"')
            return
    mass = _mass(output, feature, where, which)
    if which is None or domain is None or which not in _DOMAINS:
        return  # the others are among the fields that are refused
    types, compile_domain = _DOMAINS[which]
    if kind not in types:
        output.refuse(where, f"{feature.name}.{which}", f"is not a domain of {kind} values")
    elif mass is not None:
        compile_domain(output, feature, where, domain, stored, mass)


def _shared(schema: Any, name: str) -> tuple[str, Any]:
    for kind in ("string_domain", "int_domain", "float_domain"):
        for domain in getattr(schema, kind):
            if domain.name == name:
                return kind, domain
    return "domain", None


def _mass(output: _Output, feature: Any, where: str, which: str | None) -> float | None:
    """The share of values that must be in the domain; None where that cannot be asked for."""
    if not feature.HasField("distribution_constraints"):
        return 1.0
    mass, what = float(feature.distribution_constraints.min_domain_mass), f"{feature.name}.distribution_constraints"
    if which != "string_domain":
        output.refuse(where, what, "goes with a string_domain only")
        return None
    if not 0 < mass <= 1:
        output.refuse(where, what, f"min_domain_mass must be above 0 and at most 1, not {mass:g}")
        return None
    return mass


def _string_domain(output: _Output, feature: Any, where: str, domain: Any, stored: str, mass: float) -> None:
    values: list[Any] = list(domain.value)
    if not values:
        output.refuse(where, f"{feature.name}.string_domain", "names no value")
        return
    _in_set(output, feature, where, values, stored, mass)


def _in_set(output: _Output, feature: Any, where: str, values: list[Any], stored: str, mass: float = 1.0) -> None:
    if stored == "BOOLEAN":
        values = [truth for value in values if (truth := _TRUTH.get(str(value).lower())) is not None]
    some = {} if mass == 1 else {"mostly": mass}
    if values:
        output.expect(where, "expect_column_values_to_be_in_set", column=feature.name, value_set=values, **some)
    else:
        output.refuse(where, f"{feature.name}.domain", "the column holds truth values, and the domain names others")


def _bool_domain(output: _Output, feature: Any, where: str, domain: Any, stored: str, mass: float) -> None:
    del mass
    words = [word for word in (domain.true_value, domain.false_value) if word]
    kind = feature.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number[feature.type].name
    if (kind == "BYTES") != bool(words):
        why = "names no value" if kind == "BYTES" else f"names texts, but the feature is {kind}"
        output.refuse(where, f"{feature.name}.bool_domain", why)
        return
    numbers: list[Any] = [0, 1] if kind == "INT" else [0.0, 1.0]
    _in_set(output, feature, where, words or numbers, stored)


def _int_domain(output: _Output, feature: Any, where: str, domain: Any, stored: str, mass: float) -> None:
    del mass
    ends = {f"{end}_value": getattr(domain, end) for end in ("min", "max") if domain.HasField(end)}
    if ends and stored == "BOOLEAN":
        output.refuse(where, f"{feature.name}.int_domain", "the column holds truth values")
    elif ends:
        output.expect(where, "expect_column_values_to_be_between", column=feature.name, **ends)


def _float_domain(output: _Output, feature: Any, where: str, domain: Any, stored: str, mass: float) -> None:
    del mass, stored
    name, ends = feature.name, {}
    if domain.is_embedding or domain.embedding_dim:
        output.refuse(where, f"{name}.float_domain", "asks for embeddings; let TFDV itself judge them")
        return
    for end, open_end in (("min", -_LARGEST), ("max", _LARGEST)):
        limit = _as_written(getattr(domain, end)) if domain.HasField(end) else math.copysign(math.inf, open_end)
        if math.isfinite(limit):
            ends[f"{end}_value"] = limit
        elif limit != math.copysign(math.inf, open_end):
            output.refuse(where, f"{name}.float_domain.{end}", f"{limit} is no bound")
        elif domain.disallow_inf:
            ends[f"{end}_value"] = open_end
    if ends:
        output.expect(where, "expect_column_values_to_be_between", column=name, **ends)
    if domain.disallow_nan and feature.presence.min_fraction < 1:
        why = "NaN cannot be told from a missing value here; set presence { min_fraction: 1 }"
        output.refuse(where, f"{name}.float_domain.disallow_nan", why)


def _as_written(single: float) -> float:
    """The shortest decimal that a float32 is stored for: 0.1, not 0.10000000149011612."""
    for digits in range(6, 9):
        shorter = float(f"{single:.{digits}g}")
        if struct.pack("f", shorter) == struct.pack("f", single):
            return shorter
    return float(f"{single:.9g}")


_DOMAINS: Mapping[str, tuple[tuple[str, ...], Any]] = {
    "string_domain": (("BYTES",), _string_domain),
    "int_domain": (("INT",), _int_domain),
    "float_domain": (("FLOAT",), _float_domain),
    "bool_domain": (("BYTES", "INT", "FLOAT"), _bool_domain),
}


def _dataset(output: _Output, schema: Any) -> None:
    where = output.source
    for name in _set_fields(schema, _SCHEMA_FIELDS):
        for item in getattr(schema, name):
            output.refuse(where, f"{name}.{item.name}", "has no counterpart in a table; let TFDV itself judge it")
    limits = schema.dataset_constraints
    for name in _set_fields(limits, frozenset({"min_examples_count", "max_examples_count"})):
        output.refuse(where, f"dataset_constraints.{name}", "compares with other data; let TFDV itself judge it")
    ends = {
        f"{end}_value": getattr(limits, f"{end}_examples_count")
        for end in ("min", "max")
        if limits.HasField(f"{end}_examples_count")
    }
    if ends:
        output.expect(where, "expect_table_row_count_to_be_between", **ends)
