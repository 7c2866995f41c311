"""A person in front of Airflow: Debian's Chromium, driven by Playwright, signed in through the log-in page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_mlgov.demo.airflow_api import Run
from airflow_mlgov.demo.servers import Airflow

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",  # CI is root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SECONDS = 60_000
"""How long an element may take to appear on a busy machine, in milliseconds."""
VIEW = {"width": 1280, "height": 560}
WHOLE_FORM = {"width": 1280, "height": 1440}
WHOLE_LIST = {"width": 1280, "height": 760}


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Person:
    """Somebody who is signed in, in a browser of their own (no cookie is shared)."""

    def __init__(self, browser: Browser, airflow: Airflow, name: str, album: Path) -> None:
        self.name = name
        self._airflow = airflow
        self._album = album
        self.page: Page = browser.new_context(viewport=VIEW).new_page()
        self.page.set_default_timeout(SECONDS)
        self.page.goto(airflow.url)
        self.page.locator("input[name=username]").fill(name)
        self.page.locator("input[name=password]").fill(airflow.passwords[name])
        self.page.locator("button[type=submit], button:has-text('Sign in')").first.click()
        self.page.wait_for_url(lambda url: "/auth/login" not in url)

    def required_actions(self) -> list[str]:
        """Open the page of all that waits for an answer; the subjects that it lists."""
        self.page.goto(f"{self._airflow.url}/required_actions")
        links = self.page.locator("a[href$='/required_actions']:has-text('?')")
        links.first.wait_for()
        return links.all_inner_texts()

    def import_errors(self) -> list[str]:
        """Open the list of files that Airflow cannot import; a line for each."""
        self.page.set_viewport_size(WHOLE_LIST)
        self.page.goto(f"{self._airflow.url}/")
        self.page.locator("button:has-text('Import Error')").first.click()
        self._errors.first.wait_for()
        return self._errors.all_inner_texts()

    def open_import_error(self, file: str, *, shot: str | None = None) -> str:
        """Unfold one of that list; what Airflow says of the file.

        :param shot: name of a picture of it
        """
        self._errors.filter(has_text=file).click()
        said = self.page.locator("[role=dialog] [data-part=item-content]:visible code").first
        said.wait_for()
        if shot:
            self.shoot(shot)
        return said.inner_text()

    @property
    def _errors(self) -> Locator:
        return self.page.locator("[role=dialog] [data-scope=accordion][data-part=item-trigger]")

    def open(self, subject: str) -> None:
        """From there, follow the link to one form."""
        self.page.get_by_role("link", name=subject).first.click()
        self.page.locator("#element_reason").wait_for()

    def text(self) -> str:
        """What the page says."""
        return self.page.locator("body").inner_text()

    def rows(self) -> list[list[str]]:
        """The cells of the tables, a list per row, heads included."""
        rows = [row.locator("td, th").all_inner_texts() for row in self.page.locator("table tr").all()]
        return [[cell.strip() for cell in row] for row in rows]

    def may_press(self, button: str) -> bool:
        """Whether a button of the form lets itself be pressed."""
        return self.page.get_by_role("button", name=button, exact=True).is_enabled()

    def fill(self, reason: str, *, shot: str | None = None) -> None:
        """Type the reason; see :meth:`answer`."""
        if shot:
            self.page.set_viewport_size(WHOLE_FORM)
        self.page.locator("#element_reason").fill(reason)
        if shot:
            self.shoot(shot)

    def answer(self, button: str, reason: str, *, shot: str | None = None) -> int:
        """Type the reason and press a button; the HTTP status with which Airflow took it.

        :param shot: name of a picture of the filled form
        """
        self.fill(reason, shot=shot)
        pressed = self.page.get_by_role("button", name=button, exact=True)
        with self.page.expect_response(lambda response: response.request.method == "PATCH") as caught:
            pressed.click()
        return caught.value.status

    def said(self) -> str:
        """The newest message that has popped up."""
        message = self.page.locator("[data-scope=toast][data-part=root]").first
        message.wait_for()
        return message.inner_text()

    def shoot(self, name: str) -> None:
        """A picture of the page among the test's files, and a small one in the folder ``MLGOV_SCREENSHOTS``."""
        from playwright.sync_api import TimeoutError as TooLate

        with suppress(TooLate):  # a page that asks again and again does not rest on a slow machine
            self.page.wait_for_load_state("networkidle", timeout=5_000)
        path = self._album / f"{name}.png"
        self.page.screenshot(path=path, animations="disabled")
        if folder := os.environ.get("MLGOV_SCREENSHOTS"):
            from PIL import Image

            Path(folder).mkdir(parents=True, exist_ok=True)
            with Image.open(path) as image:
                image.convert("P", palette=Image.Palette.ADAPTIVE).save(Path(folder, path.name), optimize=True)

    def open_form(self, run: Run, task: str) -> None:
        """Open a form by its address, as a mail or a message names it."""
        self.page.goto(f"{self._airflow.url}/dags/{run.dag_id}/runs/{run.run_id}/tasks/{task}/required_actions")
        self.page.locator("#element_reason").wait_for()
