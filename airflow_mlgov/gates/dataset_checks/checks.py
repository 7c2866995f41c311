"""What the data gate checks beyond its suite: drift, overlap, leakage, freshness, volume, and the model's signature.

Reads one mapping, strictly, and runs each check of it over one opening of the data. Refuses an unknown key, and a
caller that loosens what the governance policy says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from airflow_mlgov.data.database import is_table_name
from airflow_mlgov.data.duck import DuckTable
from airflow_mlgov.data.source import MEMORY_LIMIT, Relation, source_of
from airflow_mlgov.errors import ConfigurationError, DependencyError
from airflow_mlgov.gates.bounds import parse_bound, tighten
from airflow_mlgov.gates.dataset_checks.drift import STATISTICS, DriftSettings, check_drift
from airflow_mlgov.gates.dataset_checks.leakage import LeakageSettings, check_leakage
from airflow_mlgov.gates.dataset_checks.overlap import OverlapSettings, check_overlap
from airflow_mlgov.gates.dataset_checks.settings import read_settings, refuse_unknown
from airflow_mlgov.gates.dataset_checks.signature import SchemaSettings, Signature, check_schema, read_signature
from airflow_mlgov.gates.dataset_checks.timeliness import (
    FreshnessSettings,
    VolumeSettings,
    check_freshness,
    check_volume,
)
from airflow_mlgov.gates.dataset_checks.workbench import Reference, Workbench, is_same_path, open_workbench
from airflow_mlgov.gates.strictness import agreed
from airflow_mlgov.results import Check, GateResult, Outcome, Severity, Subject

CHAMPION = "champion"
"""In the place of a path: the data that the champion was trained on."""

_EXPORT = "export what a model is trained on to a file, and give its path as the reference"

SETTINGS: dict[str, type[Any]] = {
    "drift": DriftSettings,
    "overlap": OverlapSettings,
    "leakage": LeakageSettings,
    "freshness": FreshnessSettings,
    "volume": VolumeSettings,
    "schema": SchemaSettings,
}

_OPEN_TO_CALLERS = {"reference", "with", "label", "column", "model", *STATISTICS}
"""What a caller may add to a check that the policy has: where things are and further bounds, but nothing that narrows
what is looked at."""


class Lookup(Protocol):
    """What only a registry and a ledger know."""

    def champion_data(self) -> Subject | None:
        """The dataset that the champion was trained on, as its provenance names it; None if there is no champion."""

    def signature_of(self, model: str) -> AbstractContextManager[Path]:
        """The folder of a model version that ``models:/…`` names."""


@dataclass(frozen=True)
class DatasetChecks:
    """What the checks said, and what was read for it."""

    checks: tuple[Check, ...]
    inputs: tuple[Subject, ...]
    """References and the signature, bound to their bytes."""
    settings: Mapping[str, Any]
    """As they were applied, for the evidence."""


def read_keys(kind: str) -> frozenset[str]:
    """The keys that a check's settings may have."""
    return frozenset(field.name.rstrip("_") for field in dataclasses.fields(SETTINGS[kind]))


def parse_checks(checks: Mapping[str, Any]) -> dict[str, Any]:
    """Each check's settings.

    :param checks: ``{"drift": {"reference": …, "psi": {"max": 0.2}}, "freshness": {…}, …}``
    :raises ConfigurationError: nothing is asked for, an unknown check or key, or a value of the wrong type or range
    """
    if not isinstance(checks, Mapping):
        raise ConfigurationError(
            f"checks must map names such as drift to their settings, not {checks!r}", code="checks.no_mapping"
        )
    refuse_unknown("checks", checks, SETTINGS)
    if not checks:
        raise ConfigurationError(
            f"checks is empty: ask for one of {', '.join(SETTINGS)}, or leave it out", code="checks.empty"
        )
    return {kind: read_settings(kind, SETTINGS[kind], given) for kind, given in checks.items()}


def merge_checks(policy: Mapping[str, Any] | None, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The policy's checks, and the caller's where the policy is silent; a bound of the policy may be tightened.

    :raises ConfigurationError: the caller says something else than the policy, or narrows what it looks at
    """
    merged = {kind: dict(settings) for kind, settings in (policy or {}).items()}
    for kind, settings in (given or {}).items():
        if kind not in merged:
            merged[kind] = settings
            continue
        if not isinstance(settings, Mapping):
            raise ConfigurationError(
                f"checks.{kind} must be a mapping of its settings, not {settings!r}", code="checks.no_mapping"
            )
        for key, value in settings.items():
            merged[kind][key] = _added(kind, key, value, merged[kind])
    return merged


def with_reference(checks: Mapping[str, Any] | None, reference: str) -> dict[str, Any]:
    """``checks`` with ``reference`` in those that compare with reference data and name none.

    :raises ConfigurationError: no check would use it
    """
    users = [kind for kind in ("drift", "volume") if isinstance((checks or {}).get(kind), Mapping)]
    if not users:
        raise ConfigurationError(
            "nothing would use the reference: ask for drift or volume in the checks", code="reference.unused"
        )
    filled = {kind: {"reference": reference, **(checks or {})[kind]} for kind in users}
    return {**(checks or {}), **filled}


def run_checks(
    data: Any,
    checks: Mapping[str, Any],
    *,
    expected: Subject | None = None,
    lookup: Lookup | None = None,
    memory_limit: str = MEMORY_LIMIT,
    now: datetime | None = None,
) -> DatasetChecks:
    """Run every check of the mapping.

    :param data: as :func:`airflow_mlgov.data.source.source_of` takes it; a table's or Spark's rows are copied to a
        temporary file
    :param checks: see :func:`parse_checks`
    :param expected: what the rest of the gate judged; both must be the same bytes
    :param lookup: needed for ``champion`` and ``models:/…``
    :param now: what freshness is held against; the present if omitted
    :raises ConfigurationError: a setting, a column, the data or a reference is not what it should be
    :raises AccessError: the file system or the registry refuses
    :raises DependencyError: data changed while it was being read, or the registry or ledger is down
    """
    parse_checks(checks)
    with source_of(data).open(memory_limit=memory_limit) as relation:
        return check_table(relation.in_duckdb(), checks, expected=expected, lookup=lookup, now=now)


def check_table(
    table: DuckTable,
    checks: Mapping[str, Any],
    *,
    expected: Subject | None = None,
    lookup: Lookup | None = None,
    now: datetime | None = None,
) -> DatasetChecks:
    """:func:`run_checks` of a dataset that is open, as the view ``data``."""
    settings = parse_checks(checks)
    asked = {kind: _asked(part) for kind, part in settings.items() if kind in ("drift", "overlap", "volume")}
    champion = _needed(lookup, "the champion's training data").champion_data() if CHAMPION in asked.values() else None
    paths = {kind: _path(kind, path, champion, table.name) for kind, path in asked.items()}
    found: list[Check] = []
    signatures: list[Subject] = []
    with open_workbench(table, [path for path in paths.values() if path]) as bench:
        for kind, part in settings.items():
            if kind == "leakage":
                found += check_leakage(bench, part)
            elif kind == "freshness":
                found.append(check_freshness(bench, part, now))
            elif kind == "schema":
                signature = _signature(part.model, lookup)
                signatures.append(signature.subject)
                found += check_schema(bench, signature, Severity(part.severity))
            elif path := paths[kind]:
                found += _compare(bench, kind, part, bench.references[path])
            else:
                found.append(_nothing_to_compare(kind, champion))
        _require_same(table.subject, expected, champion, bench)
        found += _copies(bench)
        return DatasetChecks(tuple(found), (*bench.inputs, *signatures), dict(checks))


def add_checks(
    result: GateResult, relation: Relation, checks: Mapping[str, Any] | None, lookup: Lookup | None = None
) -> GateResult:
    """A gate's result with what ``checks`` say of the same data; the result itself if there are none.

    :raises ConfigurationError: as :func:`run_checks`
    """
    if checks is None:
        return result
    done = check_table(relation.in_duckdb(), checks, expected=result.subject, lookup=lookup)
    import duckdb

    return replace(
        result,
        checks=(*result.checks, *done.checks),
        inputs=(*result.inputs, *done.inputs),
        dataset_checks=done.settings,
        libraries={**result.libraries, "duckdb": str(duckdb.__version__)},
    )


def needs_lookup(checks: Mapping[str, Any] | None) -> bool:
    """Whether a check names the champion or a registered model."""
    named = [value for part in (checks or {}).values() if isinstance(part, Mapping) for value in part.values()]
    return any(isinstance(value, str) and (value == CHAMPION or value.startswith("models:/")) for value in named)


def _asked(settings: Any) -> str:
    path: str = settings.with_ if isinstance(settings, OverlapSettings) else settings.reference
    return path


def _path(kind: str, asked: str, champion: Subject | None, data: str) -> str | None:
    """What is compared with; None if that is nothing, or the data itself, which has not moved but overlaps."""
    if asked != CHAMPION:
        return asked
    if champion is None:
        return None
    itself = is_same_path(champion.name, data)
    if is_table_name(champion.name) and not itself:
        raise ConfigurationError(
            f"the champion was trained on {champion.name}, and the rows of a table cannot be had again: {_EXPORT}",
            code="reference.gone",
        )
    return None if itself and kind != "overlap" else champion.name


def _compare(bench: Workbench, kind: str, settings: Any, reference: Reference) -> list[Check]:
    if kind == "drift":
        return check_drift(bench, settings, reference)
    return [(check_overlap if kind == "overlap" else check_volume)(bench, settings, reference)]


def _nothing_to_compare(kind: str, champion: Subject | None) -> Check:
    detail = "there is no champion yet, so there is nothing to compare with"
    if champion is not None:
        how = "row for row" if is_table_name(champion.name) else "byte for byte"
        detail = f"the data is what the champion was trained on, {how}"
    return Check(kind, Outcome.PASS, None, "the champion's training data", Severity.INFO, detail)


def _signature(model: str, lookup: Lookup | None) -> Signature:
    if not model.startswith("models:/"):
        return read_signature(model)
    with _needed(lookup, f"schema: {model}").signature_of(model) as folder:
        return read_signature(folder, model)


def _needed(lookup: Lookup | None, what: str) -> Lookup:
    if lookup is None:
        raise ConfigurationError(
            f"{what} needs the model registry and the ledger: name the model that the data is for, or give a path",
            code="reference.not_named",
        )
    return lookup


def _copies(bench: Workbench) -> list[Check]:
    """A warning for each reference that is the data under another name: nothing was compared then."""
    detail = "the reference holds the very bytes of the data, so it can tell no change: is it a copy?"
    return [
        Check(f"reference({path})", Outcome.INCONCLUSIVE, None, "other data", Severity.WARNING, detail)
        for path, reference in bench.references.items()
        if reference.table.subject.digest == bench.table.subject.digest
    ]


def _require_same(mine: Subject, expected: Subject | None, champion: Subject | None, bench: Workbench) -> None:
    """Refuse bytes that are not those which the gate judged, or which the champion's provenance names."""
    if expected is not None and mine.digest != expected.digest:
        raise DependencyError(f"{mine.name} changed while it was being validated; try again", code="data.changed")
    if champion is None:
        return
    reference = bench.references.get(champion.name)
    found = reference.table.subject if reference else mine
    if found.digest != champion.digest:
        mend = "keep each training set under a name of its own, or give the path of a copy as the reference"
        raise ConfigurationError(
            f"the champion was trained on {champion.name} with sha256:{champion.digest[:12]}, and the "
            f"{'table' if is_table_name(champion.name) else 'file'} there now is sha256:{found.digest[:12]}: "
            f"{_EXPORT if is_table_name(champion.name) else mend}",
            code="reference.gone",
        )


def _added(kind: str, key: str, value: Any, governed: Mapping[str, Any]) -> Any:
    """A caller's value for a check of the policy, where it may give one."""
    name = f"checks.{kind}.{key}"
    if key not in governed:
        if key in read_keys(kind) and key not in _OPEN_TO_CALLERS:
            raise ConfigurationError(
                f"{name} is left to the governance policy, which has a {kind} check: leave it out, or have the policy "
                "changed",
                code="setting.not_the_policys",
            )
        return value
    if kind == "drift" and key in STATISTICS:
        policy, mine = (
            parse_bound(key, item, STATISTICS, source=where)
            for item, where in ((governed[key], "the governance policy"), (value, "the caller"))
        )
        bound = tighten(policy, mine)
        return {"max": bound.bound.max, "severity": str(bound.severity)}
    return agreed(name, governed[key], value)
