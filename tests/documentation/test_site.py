"""``make docs``: the site is made without a warning, each page is found and read in a browser, and none loads anything
from elsewhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.live.browser import CHROMIUM, chromium
from tests.worlds.pages import PAGES, ROOT

pytestmark = pytest.mark.slow
PHONE, DESK = 390, 1280
TOO_WIDE = """() => {
    const own = e => getComputedStyle(e).overflowX !== 'visible'
    const scrolls = e => e.tagName !== 'ARTICLE' && (own(e) || scrolls(e.parentElement))
    const out = e => e.getBoundingClientRect().right > window.innerWidth + 1
    const found = [...document.querySelectorAll('article *')].filter(e => out(e) && !scrolls(e))
    const whole = [document.documentElement, document.querySelector('.content')]
    const page = whole.filter(e => e.scrollWidth > e.clientWidth)
    return [...page, ...found].map(e => e.outerHTML.slice(0, 80))
}"""
"""What makes a reader scroll the page sideways, and what is cut; tables and code scroll in themselves."""
TOO_PALE = """() => {
    const numbers = text => text.match(/[\\d.]+/g).map(Number)
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
    const behind = e => {
        const colour = numbers(getComputedStyle(e).backgroundColor)
        return colour.length < 4 || colour[3] > 0 ? colour : behind(e.parentElement)
    }
    const seen = {}
    const read = ['p', 'td', 'th', 'a', 'code', 'pre span'].map(part => 'article ' + part).join()
    for (const e of document.querySelectorAll(read)) {
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue
        const [front, back] = [light(numbers(getComputedStyle(e).color)), light(behind(e))]
        const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05)
        if (ratio < 4.5) seen[getComputedStyle(e).color + ' on ' + behind(e)] = e.textContent.slice(0, 40)
    }
    return seen
}"""
"""Text whose contrast is below 4.5 to 1 (WCAG 2.2, AA), by its colours."""
ANCHORS = "() => [...document.querySelectorAll('[id]')].map(e => e.id)"
LINKS = "() => [...document.querySelectorAll('a[href]')].map(e => e.href)"
BROKEN_PICTURES = "() => [...document.images].filter(e => !e.naturalWidth).map(e => e.src)"


def test_every_page_is_made_and_leads_on(site: Path) -> None:
    """A link to nothing, and a page that no table of contents names, are warnings."""
    written = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert written <= {path.stem for path in site.glob("*.html")}
    assert "playbook" in (site / "index.html").read_text()


@pytest.fixture(scope="module")
def read(site: Path) -> dict[str, Any]:
    """Page -> what a browser found on it, at each width and in each colour scheme."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with chromium() as browser:
        return dict(_read(browser, site))


def _read(browser: Any, site: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    page = browser.new_page()
    asked: list[str] = []

    def answer(route: Any) -> None:
        if urlsplit(route.request.url).scheme in ("file", "data"):
            route.continue_()
        else:
            asked.append(route.request.url)
            route.abort()

    page.route("**/*", answer)
    for file in sorted(site.glob("*.html")):
        asked.clear()
        page.goto(file.as_uri())
        found: dict[str, Any] = {"too wide": {}, "too pale": {}}
        for width in (DESK, PHONE):
            page.set_viewport_size({"width": width, "height": 900})
            found["too wide"][width] = page.evaluate(TOO_WIDE)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found["too pale"][scheme] = page.evaluate(TOO_PALE)
        found["anchors"], found["links"] = page.evaluate(ANCHORS), page.evaluate(LINKS)
        found["broken pictures"], found["elsewhere"] = page.evaluate(BROKEN_PICTURES), list(asked)
        yield file.name, found


def test_no_page_loads_anything_from_elsewhere(read: dict[str, Any]) -> None:
    assert {name: found["elsewhere"] for name, found in read.items() if found["elsewhere"]} == {}
    assert {name: found["broken pictures"] for name, found in read.items() if found["broken pictures"]} == {}


def test_no_page_is_scrolled_sideways(read: dict[str, Any]) -> None:
    wide = {(name, width): seen for name, found in read.items() for width, seen in found["too wide"].items() if seen}
    assert wide == {}


def test_text_and_code_can_be_read_in_light_and_in_dark(read: dict[str, Any]) -> None:
    pale = {(name, scheme): seen for name, found in read.items() for scheme, seen in found["too pale"].items() if seen}
    assert pale == {}


def test_every_link_leads_to_a_page_and_a_place_on_it(read: dict[str, Any]) -> None:
    lost = []
    for name, found in read.items():
        for link in map(urlsplit, found["links"]):
            target = Path(unquote(link.path))
            if link.scheme == "file" and not target.exists():
                lost.append((name, link.geturl()))
            if link.scheme == "file" and link.fragment and target.name in read:
                lost += [] if unquote(link.fragment) in read[target.name]["anchors"] else [(name, link.geturl())]
    assert lost == []


def test_links_of_the_pages_beside_the_site_lead_somewhere() -> None:
    """README and the like, as a forge shows them."""
    for page in PAGES:
        for said in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            link = urlsplit(said)
            if link.scheme:
                continue
            target = (page.parent / link.path).resolve() if link.path else page
            assert target.exists(), f"{page.name}: {said}"
            assert not link.fragment or link.fragment in _headings(target), f"{page.name}: {said}"


def _headings(page: Path) -> set[str]:
    """The anchors that a forge gives a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
