"""Formats of a report, and the bytes of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.reports.document import Report
from airflow_mlgov.reports.page import Page, page_of
from airflow_mlgov.strict_files import nearest

MEDIA_TYPES = {
    "html": "text/html",
    "md": "text/markdown",
    "json": "application/json",
    "pdf": "application/pdf",
    "oscal": "application/oscal+json",
    "cyclonedx": "application/vnd.cyclonedx+json",
}
"""Format -> what it is to whoever serves it."""
OF_MANY = ("html", "md", "json", "pdf")
"""Those of more than one version, too."""
ENDINGS = {form: f".{form}" for form in MEDIA_TYPES} | {"oscal": ".oscal.json", "cyclonedx": ".cdx.json"}
"""Format -> how the names of its files end."""


def form_of(said: str | None, out: Path | None) -> str:
    """The format that is said, else the one that a file's name ends with, else Markdown.

    :raises ConfigurationError: there is no such format, or it is not for a terminal
    """
    form = said or (_by_name(out) if out else "md")
    if form not in MEDIA_TYPES:
        raise ConfigurationError(
            f"there is no format {form!r}{nearest(form, MEDIA_TYPES)}; there are {', '.join(MEDIA_TYPES)} (--format)",
            code="report.format",
        )
    if form == "pdf" and out is None:
        raise ConfigurationError("a PDF is for a file: pass --out", code="report.format")
    return form


def _by_name(out: Path) -> str:
    fitting = [form for form, ending in ENDINGS.items() if out.name.endswith(ending)]
    return max(fitting, key=lambda form: len(ENDINGS[form]), default=out.suffix.removeprefix("."))


def render_report(form: str, report: Report) -> bytes:
    """The bytes of a report about one version.

    :param form: of :data:`MEDIA_TYPES`
    :raises ConfigurationError: what the format needs is not installed
    """
    if form == "oscal":
        from airflow_mlgov.reports.oscal import render_oscal

        return render_oscal(report)
    if form == "cyclonedx":
        from airflow_mlgov.reports.cyclonedx import render_cyclonedx

        return render_cyclonedx(report)
    return rendered(form, lambda: page_of(report), report.as_dict)


def rendered(form: str, page: Callable[[], Page], said: Callable[[], Mapping[str, Any]]) -> bytes:
    """The bytes of whatever is a page.

    :param form: of :data:`OF_MANY`
    :param page: gives the report as a page, ``said`` as JSON
    """
    if form == "json":
        return (json.dumps(said(), indent=2, allow_nan=False) + "\n").encode()
    if form == "md":
        from airflow_mlgov.reports.markdown import render_markdown

        return render_markdown(page()).encode()
    if form == "pdf":
        from airflow_mlgov.reports.pdf import render_pdf

        return render_pdf(page())
    from airflow_mlgov.reports.html import render_html

    return render_html(page()).encode()
