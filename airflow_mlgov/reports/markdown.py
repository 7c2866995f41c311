"""A report as GitHub's Markdown; what anybody has written is text, and no markup."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_mlgov.reports.page import Cell, Grid, Page
from airflow_mlgov.words import markdown


def render_markdown(page: Page) -> str:
    """The file."""
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Page) -> Iterator[str]:
    yield from (f"# {markdown(page.title)}: {markdown(page.kicker)}", "", f"**{markdown(page.verdict)}**", "")
    for notice in page.notices:
        yield from (f"> {markdown(notice)}", "")
    if page.counts:
        yield from _table(("state", "controls"), [(label, str(count)) for _, label, count in page.counts])
    yield from _table(("", ""), page.facts)
    for part in page.parts:
        yield from (f"## {markdown(part.title)}", "")
        for text in part.text:
            yield from (markdown(text), "")
        for grid in part.grids:
            yield from _grid(grid)


def _grid(grid: Grid) -> Iterator[str]:
    if grid.title:
        yield from (f"### {markdown(grid.title)}", "")
    yield from _table(grid.head, grid.rows)


def _table(head: tuple[str, ...], rows: object) -> Iterator[str]:
    yield "| " + " | ".join(map(markdown, head)) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:  # type: ignore[attr-defined]
        yield "| " + " | ".join(map(_cell, row)) + " |"
    yield ""


def _cell(cell: Cell) -> str:
    return markdown(cell, 20_000) if isinstance(cell, str) else "<br>".join(markdown(line, 20_000) for line in cell)
