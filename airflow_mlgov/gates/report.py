"""Writes what a gate said as one HTML file that opens anywhere: no script, no font, no address. Shows nothing that the
evidence does not hold or bind by a digest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_mlgov import __version__
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.results import Check, GateResult, Outcome, Severity
from airflow_mlgov.words import markdown, plain


def write_report(result: GateResult, directory: str | Path, figures: Mapping[str, str] | None = None) -> Path:
    """``<gate>-<digest>-<time>.html`` in ``directory``, which is made where absent; what is not green comes first.

    :param figures: caption -> SVG or pre element, made by this package and with every text in it escaped
    :raises ConfigurationError: the directory cannot be written to
    """
    folder = Path(directory)
    stamp = result.started_at.strftime("%Y%m%dT%H%M%S%fZ")
    path = folder / f"{result.gate}-{result.subject.digest[:12]}-{stamp}.html"
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.write_text(render_report(result, figures), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write the report into {folder}: {error.strerror or error}", code="folder.not_writable"
        ) from None
    return path


def render_report(result: GateResult, figures: Mapping[str, str] | None = None) -> str:
    """The report's HTML; every value is escaped."""
    import jinja2
    import markupsafe

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("airflow_mlgov.gates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: value if isinstance(value, markupsafe.Markup) else plain(value),
    )
    environment.filters["figure"] = _figure
    green = [check for check in result.checks if check.outcome is Outcome.PASS]
    return environment.get_template("gate.html.j2").render(
        result=result,
        verdict=result.verdict,
        checks=[*result.failed, *green],
        tally=Counter(str(check.outcome) for check in result.checks),
        figures={caption: markupsafe.Markup(figure) for caption, figure in (figures or {}).items()},  # noqa: S704
    )


def render_markdown(result: GateResult) -> str:
    """The checks as a table, for a summary that a CI system shows; what is not green comes first."""
    lines = [f"## Gate {markdown(result.gate)}: {result.verdict}", "", markdown(result.subject), ""]
    lines += ["| outcome | check | observed | bound | |", "|---|---|---|---|---|"]
    green = [check for check in result.checks if check.outcome is Outcome.PASS]
    for check in [*result.failed, *green]:
        bound = "" if check.bound is None else check.bound
        cells = (f"{check.outcome} ({check.severity})", check.name, _figure(check.observed), bound, check.detail)
        lines.append("| " + " | ".join(map(markdown, cells)) + " |")
    return "\n".join(lines) + "\n"


def render_junit(result: GateResult) -> str:
    """The checks as JUnit XML: a critical one that is not green is a failure (or an error), another one is skipped."""
    from xml.sax.saxutils import escape, quoteattr

    cases, counts = [], Counter[str]()
    for check in result.checks:
        kind = _junit_kind(check)
        counts[kind] += 1
        said = f"<{kind} message={quoteattr(plain(str(check)))}/>" if kind else ""
        named = f"classname={quoteattr(result.gate)} name={quoteattr(plain(check.name))}"
        cases.append(f"  <testcase {named}>{said}</testcase>")
    numbers = " ".join(f'{word}="{counts[kind]}"' for word, kind in _JUNIT.items())
    began = f'timestamp="{result.started_at:%Y-%m-%dT%H:%M:%S}"'
    head = f'<testsuite name={quoteattr(result.gate)} tests="{len(cases)}" {numbers} {began}>'
    about = f"  <system-out>{escape(plain(str(result.subject)))}</system-out>"
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *cases, about, "</testsuite>", ""])


def render_sarif(result: GateResult) -> str:
    """The checks that are not green as SARIF 2.1.0, as code scanners show it: rule, level, message, file and line."""
    import json

    found = [check for check in result.checks if check.outcome is not Outcome.PASS]
    rules = sorted({_rule(check) for check in found})
    driver = {
        "name": "mlgov",
        "version": __version__,
        "rules": [{"id": rule} for rule in rules],
    }
    run = {"tool": {"driver": driver}, "results": [_sarif_result(check) for check in found]}
    schema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(check: Check) -> str:
    """The code of a finding, or else the name of the check."""
    return str(check.values.get("code") or check.name)


def _sarif_result(check: Check) -> dict[str, Any]:
    critical = check.severity is Severity.CRITICAL
    found: dict[str, Any] = {
        "ruleId": _rule(check),
        "level": "error" if critical and check.outcome is not Outcome.INCONCLUSIVE else "warning",
        "message": {"text": plain(str(check))},
    }
    file, _, line = str(check.values.get("where", "")).rpartition(":")
    if line.isdigit():
        place = {"artifactLocation": {"uri": plain(file)}, "region": {"startLine": int(line)}}
        found["locations"] = [{"physicalLocation": place}]
    return found


_JUNIT = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def _junit_kind(check: Check) -> str:
    if check.outcome is Outcome.PASS:
        return ""
    if check.severity is not Severity.CRITICAL:
        return "skipped"
    return "error" if check.outcome is Outcome.ERROR else "failure"


def _figure(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
