"""A report as one HTML file that opens anywhere and prints: no script, no font, no address. Every value is escaped."""

from __future__ import annotations

from typing import Any

from airflow_mlgov.reports.page import Page
from airflow_mlgov.words import plain

_LONGEST = 20_000
"""Characters of one cell: an organisation's own words may be long."""


def render_html(page: Page) -> str:
    """The file."""
    import jinja2
    import markupsafe

    def shown(value: Any) -> Any:
        return value if isinstance(value, markupsafe.Markup | int) else plain(value, _LONGEST)

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("airflow_mlgov.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = lambda figure: markupsafe.Markup(figure.svg)  # noqa: S704 - figures.draw escapes
    environment.filters["lines"] = lambda cell: [cell] if isinstance(cell, str) else list(cell)
    return environment.get_template("report.html.j2").render(page=page)
