"""A report as PDF, by fpdf2: text that can be searched and copied, tables that go on over pages, page numbers. Needs
the extra ``reports``; figures are in the HTML."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from airflow_mlgov.reports.page import Cell, Grid, Page
from airflow_mlgov.words import plain

if TYPE_CHECKING:
    from fpdf import FPDF

_COLOURS = {
    "against": (195, 32, 44), "missing": (195, 32, 44), "stale": (138, 90, 0), "part": (138, 90, 0),
    "waived": (138, 90, 0), "people": (7, 87, 179), "said": (7, 87, 179), "nothing": (87, 96, 106),
    "fresh": (26, 127, 55),
}  # fmt: skip
_QUIET, _LINE = (87, 96, 106), (205, 210, 215)
_CONTROLS = (22, 13, 47, 18)
"""Widths of the columns of controls, in percent."""
_LONGEST = 4_000
"""Characters of one cell: a row must fit on a page."""


def render_pdf(page: Page) -> bytes:
    """The file."""
    pdf = _opened(page)
    pdf.add_page()
    _heading(pdf, page)
    for part in page.parts:
        _title(pdf, part.title, 13)
        for text in part.text:
            _paragraph(pdf, text)
        for grid in part.grids:
            _grid(pdf, grid)
    return bytes(pdf.output())


def _opened(page: Page) -> FPDF:
    from fpdf import FPDF

    class Numbered(FPDF):
        """Each page says what it is of."""

        def footer(self) -> None:
            """At the foot of each page."""
            self.set_y(-12)
            self.set_font(_FONT, size=7)
            self.set_text_color(*_QUIET)
            self.cell(0, 5, f"{plain(page.title, 80)}: {plain(page.kicker, 80)}")
            self.set_x(-40)
            self.cell(0, 5, f"page {self.page_no()} of {{nb}}", align="R")

    pdf = Numbered(format="A4")
    pdf.set_margins(14, 14)
    pdf.set_auto_page_break(True, margin=16)
    pdf.set_title(f"{plain(page.title)}: {plain(page.kicker)}")
    pdf.set_creator("mlgov")
    pdf.set_lang("en")
    fonts = files("matplotlib") / "mpl-data" / "fonts" / "ttf"  # MLflow needs matplotlib, which ships them
    for style, name in (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf")):
        pdf.add_font(_FONT, style, str(fonts / name))
    return pdf


_FONT = "dejavu"


def _heading(pdf: FPDF, page: Page) -> None:
    pdf.set_font(_FONT, "B", 9)
    pdf.set_text_color(*_QUIET)
    pdf.multi_cell(0, 5, plain(page.kicker), **_NEXT)
    pdf.set_font(_FONT, "B", 17)
    pdf.set_text_color(0)
    pdf.multi_cell(0, 8, plain(page.title), **_NEXT)
    pdf.set_font(_FONT, "B", 10)
    good = (0, 0, 0) if page.is_good is None else _COLOURS["fresh" if page.is_good else "against"]
    pdf.set_text_color(*good)
    pdf.multi_cell(0, 6, plain(page.verdict), **_NEXT)
    pdf.set_text_color(0)
    for notice in page.notices:
        _paragraph(pdf, notice)
    for word, label, count in page.counts:
        pdf.set_font(_FONT, "B", 9)
        pdf.set_text_color(*_COLOURS.get(word, (0, 0, 0)))
        pdf.cell(12, 5, str(count), align="R")
        pdf.cell(0, 5, f"  {plain(label)}", **_NEXT)
    pdf.ln(2)
    _table(pdf, (), page.facts, (18, 82))


_NEXT: Any = {"new_x": "LMARGIN", "new_y": "NEXT"}


def _title(pdf: FPDF, text: str, size: int) -> None:
    if pdf.will_page_break(25):
        pdf.add_page()
    pdf.ln(4)
    pdf.set_font(_FONT, "B", size)
    pdf.set_text_color(0)
    pdf.multi_cell(0, size * 0.5, plain(text), **_NEXT)
    pdf.ln(1)


def _paragraph(pdf: FPDF, text: str) -> None:
    pdf.set_font(_FONT, size=8.5)
    pdf.set_text_color(0)
    pdf.multi_cell(0, 4.5, plain(text, _LONGEST), **_NEXT)
    pdf.ln(1)


def _grid(pdf: FPDF, grid: Grid) -> None:
    if grid.title:
        _title(pdf, grid.title, 9)
    widths = _CONTROLS if grid.states else _widths(grid)
    _table(pdf, grid.head, grid.rows, widths, grid.states)


def _widths(grid: Grid) -> tuple[int, ...]:
    """By how much stands in each column, so that none is too narrow for a word."""
    most = [
        max(min(max((len(_text(row[at])) for row in grid.rows), default=0), 60), len(grid.head[at]), 6)
        for at in range(len(grid.head))
    ]
    return tuple(round(1000 * width / sum(most)) for width in most)


def _table(
    pdf: FPDF,
    head: tuple[str, ...],
    rows: Iterable[tuple[Cell, ...]],
    widths: tuple[int, ...],
    states: tuple[str, ...] = (),
) -> None:
    from fpdf.enums import TableBordersLayout
    from fpdf.fonts import FontFace

    pdf.set_font(_FONT, size=7.5)
    pdf.set_draw_color(*_LINE)
    pdf.set_text_color(0)
    with pdf.table(
        col_widths=widths, line_height=3.8, padding=1, text_align="LEFT", first_row_as_headings=bool(head),
        headings_style=FontFace(emphasis="BOLD", color=_QUIET), borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        v_align="TOP",
    ) as table:  # fmt: skip
        if head:
            row = table.row()
            for word in head:
                row.cell(plain(word))
        for number, cells in enumerate(rows):
            row = table.row()
            for at, cell in enumerate(cells):
                state = states[number] if states and at == 1 else ""
                style = FontFace(emphasis="BOLD", color=_COLOURS[state]) if state in _COLOURS else None
                row.cell(_text(cell), style=style)


def _text(cell: Cell) -> str:
    lines = (cell,) if isinstance(cell, str) else cell
    return "\n".join(plain(line, _LONGEST) for line in lines)[: 2 * _LONGEST]
