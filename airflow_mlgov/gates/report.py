"""Writes what a gate said as one HTML file that opens anywhere: no script, no font, no address. Shows nothing that the
evidence does not hold or bind by a digest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from airflow_mlgov import __version__, measured
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.figures import Mark, draw, state_in
from airflow_mlgov.gates.shown import group_sizes, in_order, judged_on
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Severity, is_finite
from airflow_mlgov.words import html, markdown, plain


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
    words = {"measured": measured.observed, "allowed": measured.allowed, "between": measured.interval}
    environment.filters |= {**words, "demand": measured.demand, "why": measured.detail, "number": measured.number}
    bounded, recorded = in_order(result.checks)
    drawn = {**(figures or {}), **({} if figures else draw_bounded(bounded))}
    return environment.get_template("gate.html.j2").render(
        result=result,
        verdict=result.verdict,
        bounded=sorted(bounded, key=lambda check: (_SEVERITIES.index(check.severity), check.outcome is Outcome.PASS)),
        recorded=recorded,
        data=judged_on(result),
        sizes=group_sizes(result),
        seal=markupsafe.Markup(_UNSEALED),  # noqa: S704
        tally=Counter(str(check.outcome) for check in result.checks),
        figures={caption: markupsafe.Markup(figure) for caption, figure in drawn.items()},  # noqa: S704
    )


def draw_bounded(checks: Iterable[Check]) -> dict[str, str]:
    """Caption -> SVG of each value that has an interval and a bound, with its slices below it."""
    found = {}
    for check in checks:
        ends, value = check.values.get("interval"), check.observed
        if not isinstance(check.bound, Bound) or not isinstance(ends, Mapping) or not is_finite(value):
            continue
        least, most = check.bound.min, check.bound.max
        rows = [("all rows" if not check.values.get("worst") else str(check.values["worst"]), value, ends)]
        slices = check.values.get("slices")
        for of in slices.values() if isinstance(slices, Mapping) else ():
            rows += [(str(each["slice"]), each["value"], each["interval"]) for each in of.get("values", ())]
        marks = {label: mark for label, seen, span in rows if (mark := _mark(label, seen, span, check.bound))}
        if marks:
            ends_of_all = [end for mark in marks.values() for end in (mark.low, mark.high)]
            band = (min(ends_of_all) if least is None else least, max(ends_of_all) if most is None else most)
            figure = draw(check.name, list(marks.values()), (band[0], max(band)), None)
            found[f"{check.name}, which must be {check.bound}; shaded: what is allowed"] = figure
    return found


def _mark(label: str, value: Any, ends: Mapping[str, Any], bound: Bound) -> Mark | None:
    low, high = ends.get("low"), ends.get("high")
    if not (is_finite(value) and is_finite(low) and is_finite(high)):
        return None
    low, high = float(low or 0), float(high or 0)
    return Mark(label, float(value), low, high, state_in(bound.min, bound.max, float(value), (low, high)))


def seal(path: str | Path, facts: Mapping[str, str]) -> None:
    """Write into a report that was made before its evidence was signed where that is, and how it is signed.

    :param facts: what to call it -> what it is
    :raises ConfigurationError: the file cannot be written to
    """
    file = Path(path)
    told = "".join(f"<div><dt>{html(name)}</dt><dd>{html(said)}</dd></div>" for name, said in facts.items())
    part = file.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_text(file.read_text(encoding="utf-8").replace(_UNSEALED, told, 1), encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write the report {file}: {error.strerror or error}", code="folder.not_writable"
        ) from None


_SEVERITIES = list(Severity)
_UNSEALED = "<div><dt>Evidence</dt><dd>Not signed: nothing can be decided by this page</dd></div>"


def render_markdown(result: GateResult) -> str:
    """The checks as a table, for a summary that a CI system shows; what is not green comes first."""
    lines = [f"## Gate {markdown(result.gate)}: {result.verdict}", "", markdown(result.subject), ""]
    lines += ["| outcome | check | observed | bound | |", "|---|---|---|---|---|"]
    green = [check for check in result.checks if check.outcome is Outcome.PASS]
    for check in [*result.failed, *green]:
        held = "; ".join(part for part in (measured.allowed(check), measured.demand(check)) if part)
        said, why = measured.observed(check), measured.detail(check)
        cells = (f"{check.outcome} ({check.severity})", check.name, said, held, why)
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
