"""Formats of a report, and the bytes of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.reports.page import Page
from airflow_mlgov.strict_files import nearest

MEDIA_TYPES = {"html": "text/html", "md": "text/markdown", "json": "application/json"}
"""Format -> what it is to whoever serves it."""


def form_of(said: str | None, out: Path | None) -> str:
    """The format that is said, else the one that a file's name ends with, else Markdown.

    :raises ConfigurationError: there is no such format, or it is not for a terminal
    """
    form = said or (out.suffix.removeprefix(".") if out else "md")
    if form not in MEDIA_TYPES:
        raise ConfigurationError(
            f"there is no format {form!r}{nearest(form, MEDIA_TYPES)}; there are {', '.join(MEDIA_TYPES)} (--format)",
            code="report.format",
        )
    if form == "pdf" and out is None:
        raise ConfigurationError("a PDF is for a file: pass --out", code="report.format")
    return form


def rendered(form: str, page: Callable[[], Page], said: Callable[[], Mapping[str, Any]]) -> bytes:
    """A report's bytes.

    :param form: of :data:`MEDIA_TYPES`
    :param page: gives the report as a page, ``said`` as JSON
    """
    if form == "json":
        return (json.dumps(said(), indent=2, allow_nan=False) + "\n").encode()
    if form == "md":
        from airflow_mlgov.reports.markdown import render_markdown

        return render_markdown(page()).encode()
    from airflow_mlgov.reports.html import render_html

    return render_html(page()).encode()
