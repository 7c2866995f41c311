"""Formats of a report, and the bytes of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from airflow_mlgov.reports.page import Page

MEDIA_TYPES = {"html": "text/html", "md": "text/markdown", "json": "application/json"}
"""Format -> what it is to whoever serves it."""


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
