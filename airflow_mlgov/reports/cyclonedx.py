"""An AI bill of materials, CycloneDX 1.6: the model with its card, the data it was made from, the images it is shipped
in and the libraries that judged it, each by its digest where the ledger has one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from airflow_mlgov import __version__
from airflow_mlgov.board.story import Figure
from airflow_mlgov.evidence.statements import ProvenanceStatement
from airflow_mlgov.evidence.verification import only
from airflow_mlgov.reports.document import NEVER, Report
from airflow_mlgov.results import Severity, is_finite
from airflow_mlgov.words import plain

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"


def render_cyclonedx(report: Report) -> bytes:
    """The file."""
    return (json.dumps(bill_of(report), indent=2, allow_nan=False) + "\n").encode()


def bill_of(report: Report) -> dict[str, Any]:
    """The bill of materials of a report's version."""
    matter, model = report.matter, report.matter.model
    made = only(matter.mine, ProvenanceStatement)[-1:]
    data = [_data(part.name, part.digest) for item in made for part in item.statement.parts]
    images = [_image(image.name, image.digest) for item in made for image in item.statement.images]
    libraries = list(_libraries(report))
    me = f"model:{model.name}/{model.version}@sha256:{model.digest}"
    number = uuid5(NAMESPACE_URL, f"{me} {report.made_at.isoformat()} {matter.bench.walked.head.head}")
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": {
            "timestamp": report.made_at.isoformat(timespec="seconds"),
            "tools": {"components": [{"type": "application", "name": "mlgov", "version": __version__}]},
            "component": {
                "type": "machine-learning-model",
                "bom-ref": me,
                "name": plain(model.name),
                "version": str(model.version),
                "description": f"{NEVER} The hash is in-toto's dirHash over the model's files.",
                "hashes": [_hash(model.digest)],
                "modelCard": _card(report, [item["bom-ref"] for item in data]),
                "externalReferences": _attestations(report),
                "properties": list(_properties(report)),
            },
        },
        "components": [*data, *images, *libraries],
        "dependencies": [
            {"ref": me, "dependsOn": [item["bom-ref"] for item in data]},
            *({"ref": item["bom-ref"], "dependsOn": [me]} for item in images),
        ],
    }


def _hash(sha256: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": sha256}


def _data(name: str, sha256: str) -> dict[str, Any]:
    said = plain(name)
    return {
        "type": "data",
        "bom-ref": f"data:sha256:{sha256}",
        "name": said,
        "hashes": [_hash(sha256)],
        "data": [{"type": "dataset", "name": said}],
    }


def _image(name: str, sha256: str) -> dict[str, Any]:
    return {"type": "container", "bom-ref": f"image:sha256:{sha256}", "name": plain(name), "hashes": [_hash(sha256)]}


def _libraries(report: Report) -> Iterator[dict[str, Any]]:
    """What judged it is on the bill for what it is: no part of the model."""
    found: dict[tuple[str, str], list[str]] = {}
    for story in report.matter.story.gates:
        for name, version in story.evidence.statement.result.libraries.items():
            found.setdefault((name, version), []).append(story.gate)
    for (name, version), gates in sorted(found.items()):
        yield {
            "type": "library",
            "bom-ref": f"library:{name}@{version}",
            "name": plain(name),
            "version": plain(version),
            "scope": "excluded",
            "description": f"judged it, in {', '.join(sorted(set(gates)))}; it is no part of the model",
        }


def _card(report: Report, data: Iterable[str]) -> dict[str, Any]:
    said = {line.control.id: line.words for line in report.lines if line.words}
    considerations: dict[str, Any] = {}
    if "Intended use" in said:
        considerations["useCases"] = [said["Intended use"]]
    if "Caveats and recommendations" in said:
        considerations["technicalLimitations"] = [said["Caveats and recommendations"]]
    if "Ethical considerations" in said:
        considerations["ethicalConsiderations"] = [{"name": said["Ethical considerations"]}]
    fairness = [_assessed(figure) for figure in report.matter.story.figures if figure.about == "groups"]
    if fairness:
        considerations["fairnessAssessments"] = fairness
    return {
        "modelParameters": {"datasets": [{"ref": ref} for ref in dict.fromkeys(data)]},
        "quantitativeAnalysis": {"performanceMetrics": list(_metrics(report))},
        **({"considerations": considerations} if considerations else {}),
    }


def _assessed(figure: Figure) -> dict[str, str]:
    groups = "; ".join(f"{mark.label}: {mark.value:.4g} ({mark.low:.4g} to {mark.high:.4g})" for mark in figure.marks)
    return {"groupAtRisk": plain(figure.title), "harms": plain(f"{figure.note}. {groups}", 4000)}


def _metrics(report: Report) -> Iterator[dict[str, Any]]:
    """What gates measured of the model, with intervals; a slice's name stands in brackets."""
    for story in report.matter.story.gates:
        if story.evidence.subject.kind != "model":
            continue
        for row in story.checks:
            check = row.check
            if not is_finite(check.observed) or (check.bound is None and check.severity is not Severity.CRITICAL):
                continue
            name, _, part = check.name.removesuffix("]").partition("[")
            found = {"type": plain(name), "value": repr(check.observed)}
            interval = check.values.get("interval")
            ends = (interval.get("low"), interval.get("high")) if isinstance(interval, dict) else (None, None)
            if all(map(is_finite, ends)):
                found["confidenceInterval"] = {"lowerBound": repr(ends[0]), "upperBound": repr(ends[1])}  # type: ignore[assignment]
            yield found | ({"slice": plain(part)} if part else {})


def _attestations(report: Report) -> list[dict[str, Any]]:
    """Every entry of the ledger that verifies about it, by the digest of its envelope."""
    return [
        {
            "type": "attestation",
            "url": f"urn:airflow-mlgov:ledger:{item.seq}",
            "hashes": [_hash(item.sha256)],
            "comment": f"{item.kind}{f' {item.gate}' if item.gate else ''} of {item.issued_at:%Y-%m-%d}",
        }
        for item in report.matter.mine
    ]


def _properties(report: Report) -> Iterator[dict[str, str]]:
    standing, head = report.matter.standing, report.matter.bench.walked.head
    said = {
        "registry": report.matter.model.registry or "",
        "environment": standing.environment,
        "target": standing.target,
        "allowed": str(standing.allowed).lower(),
        "ledger.size": str(head.size),
        "ledger.head": head.head,
    }
    for name, value in said.items():
        yield {"name": f"mlgov:{name}", "value": plain(value)}
    for code, message in standing.reasons:
        yield {"name": "mlgov:reason", "value": plain(f"{code}: {message}")}
