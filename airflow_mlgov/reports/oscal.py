"""A report as OSCAL assessment results: an observation for each control with the evidence that it rests on, an open
risk for each gap. No finding, for a finding says that a control is satisfied or is not, and that is for people."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from airflow_mlgov import __version__
from airflow_mlgov.reports.document import NEVER, Line, Report
from airflow_mlgov.reports.speaking import State
from airflow_mlgov.words import plain

OSCAL = "1.1.3"
_NAMES = "urn:airflow-mlgov:oscal"
_NO_TOKEN = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 20_000


def render_oscal(report: Report) -> bytes:
    """The file."""
    return (json.dumps(results_of(report), indent=2, allow_nan=False) + "\n").encode()


def control_id(framework: str, control: str) -> str:
    """A control's number as an OSCAL token: ``eu-ai-act_9-2``."""
    return f"{framework}_{_NO_TOKEN.sub('-', control).strip('-')}"


def results_of(report: Report) -> dict[str, Any]:
    """The document."""
    made, framework, model = report.made_at.isoformat(), report.framework, report.matter.model
    observations = [_observation(report, line) for line in report.lines]
    risks = [_risk(report, line) for line in report.gaps]
    plan, file = _uuid(report, "plan"), _uuid(report, "framework")
    result = {
        "uuid": _uuid(report, "result"),
        "title": plain(report.title),
        "description": f"{NEVER} {plain(report.verdict, _LONGEST)}.",
        "start": made,
        "end": made,
        "props": [_prop(name, value) for name, value in _about(report).items()],
        "reviewed-controls": {
            "control-selections": [
                {
                    "description": plain(framework.title),
                    "include-controls": [
                        {"control-id": control_id(framework.name, line.control.id)} for line in report.lines
                    ],
                }
            ]
        },
        "observations": observations,
        **({"risks": risks} if risks else {}),
    }
    return {
        "assessment-results": {
            "uuid": _uuid(report, "document"),
            "metadata": {
                "title": plain(report.title),
                "last-modified": made,
                "version": __version__,
                "oscal-version": OSCAL,
                "remarks": plain(framework.note, _LONGEST) or NEVER,
            },
            "import-ap": {"href": f"#{plan}"},
            "results": [result],
            "back-matter": {
                "resources": [
                    {
                        "uuid": plan,
                        "title": "No assessment plan",
                        "description": f"Every control is asked for about {plain(model.name)}; no plan was written.",
                    },
                    {
                        "uuid": file,
                        "title": plain(framework.title),
                        "description": plain(framework.source),
                        "props": [_prop("sha256", framework.sha256), _prop("version", framework.version)],
                    },
                ]
            },
        }
    }


def _about(report: Report) -> dict[str, str]:
    model, standing, head = report.matter.model, report.matter.standing, report.matter.bench.walked.head
    return {
        "model": model.name,
        "model-version": str(model.version),
        "model-sha256": model.digest,
        "environment": standing.environment,
        "target": standing.target or "none",
        "allowed": str(standing.allowed).lower(),
        "ledger-size": str(head.size),
        "ledger-head": head.head,
    }


def _observation(report: Report, line: Line) -> dict[str, Any]:
    evidence = [
        {
            "href": f"urn:airflow-mlgov:ledger:{where.removeprefix('ledger:')}",
            "description": plain(one.sentence, _LONGEST),
        }
        for one in line.findings
        for where in one.references
    ]
    said = [one.sentence for one in line.findings] or [str(line.state)]
    people = [f"For people to say: {line.control.people}."] if line.control.people else []
    words = [f"The organisation says: {line.words}"] if line.words else []
    return {
        "uuid": _uuid(report, line.control.id),
        "title": plain(f"{line.control.id}: {line.control.says}"),
        "description": plain(". ".join([*said, *people, *words]), _LONGEST),
        "props": [
            _prop("control-id", control_id(report.framework.name, line.control.id)),
            _prop("label", line.control.id),
            _prop("state", line.state.word),
            _prop("applies-from", line.control.applies_from.isoformat()),
        ],
        "methods": ["EXAMINE"],
        "types": ["control-objective"],
        **({"relevant-evidence": evidence} if evidence else {}),
        "collected": report.made_at.isoformat(),
    }


def _risk(report: Report, line: Line) -> dict[str, Any]:
    what = "; ".join(one.sentence for one in line.findings if one.state.is_gap)
    status = "deviation-approved" if line.state is State.WAIVED else "open"
    return {
        "uuid": _uuid(report, f"risk {line.control.id}"),
        "title": plain(f"{line.control.id}: {line.state}"),
        "description": plain(what, _LONGEST),
        "statement": plain(f"Evidence for {line.control.id} ({line.control.says}): {line.state}."),
        "status": status,
        "related-observations": [{"observation-uuid": _uuid(report, line.control.id)}],
    }


def _prop(name: str, value: str) -> dict[str, str]:
    return {"name": name, "ns": _NAMES, "value": plain(value).strip() or "none"}


def _uuid(report: Report, what: str) -> str:
    model, head = report.matter.model, report.matter.bench.walked.head.head
    return str(uuid5(NAMESPACE_URL, f"{report.framework.name} {model.digest} {model.version} {head} {what}"))
