"""Reports in a real Chromium: each opens from a file, fits a phone, asks for nothing, and what is hostile is words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_mlgov.reports.document import Report
from airflow_mlgov.reports.frameworks import frameworks
from airflow_mlgov.reports.rendering import render_report
from tests.live.browser import CHROMIUM, chromium
from tests.worlds.hostile import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("board"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}: apt-get install chromium fonts-dejavu-core"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def test_each_fits_a_phone_and_asks_for_nothing(
    browser: Browser, report: Callable[..., Report], tmp_path: Path
) -> None:
    page, wrong = browser.new_context(viewport={"width": 390, "height": 844}).new_page(), list[str]()
    page.on("dialog", lambda dialog: (wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("pageerror", lambda error: wrong.append(f"error {error}"))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith("file:") else None)
    for name in frameworks():
        made = report("card_limits", name)
        made = report("card_limits", name, words={made.lines[0].control.id: HOSTILE + "<img src=x onerror=alert(1)>"})
        file = tmp_path / f"{name}.html"
        file.write_bytes(render_report("html", made))
        page.goto(file.as_uri())
        assert page.locator("h1").inner_text() == f"{made.matter.model.name} version 1"
        assert page.locator(".state.missing").first.is_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        assert page.evaluate("document.images.length + document.scripts.length + document.links.length") == 0
    assert wrong == []
