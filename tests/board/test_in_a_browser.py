"""The pages in a real Chromium: hostile words are words, and everybody can use them."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.responses import HTMLResponse

from airflow_mlgov.board.app import Door, make_board
from airflow_mlgov.board.keeper import Source
from airflow_mlgov.board.readers import EVERYTHING, Reader
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer, sign_statement
from airflow_mlgov.evidence.statements import ApprovalStatement, Context, GateStatement, Person
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Subject
from airflow_mlgov.words import plain
from tests.live.browser import CHROMIUM, chromium
from tests.worlds.fleet import Fleet
from tests.worlds.hostile import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.xdist_group("board"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}: apt-get install chromium fonts-dejavu-core"),
]
PAGES = (
    "board",
    "story?model=fleet_credit_risk",
    "story?model=fleet_credit_risk&version=3",
    "story?model=fleet_collections",
    "waivers",
    "audit",
    "policy",
    "entry?seq=3",
    "run?dag_id=fleet_churn_retraining",
)
COLOURS = {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 17, 19)"}
PHONE = {"width": 390, "height": 844}


async def everybody(_: Any) -> Reader:
    return EVERYTHING


@contextmanager
def served(app: Any) -> Iterator[str]:
    """A server on this machine; its address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def wait_until_settled(url: str) -> None:
    """Until every entry was walked and every model judged, however busy the machine."""
    until = time.monotonic() + 120
    while 'http-equiv="refresh"' in httpx.get(f"{url}/board", timeout=60).text:
        assert time.monotonic() < until


@pytest.fixture(scope="module")
def address(fleet: Fleet) -> Iterator[str]:
    with served(make_board(fleet.source, Door(everybody))) as url:
        wait_until_settled(url)
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def watched(page: Page) -> list[str]:
    """What a page does that it should not: a dialog, an error, a refused load, another host."""
    found: list[str] = []
    page.on("dialog", lambda dialog: (found.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("pageerror", lambda error: found.append(f"error {error}"))
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda asked: found.append(asked.url) if not asked.url.startswith(("http://127.0.0.1", "data:,")) else None,
    )
    return found


# -- hostile words ----------------------------------------------------------------------------------------------------


def payloads() -> list[str]:
    """A thousand strings that try to be markup, script, style or an address."""
    openings = [
        "",
        '"',
        "'",
        "`",
        '">',
        "'>",
        "-->",
        "]]>",
        "</title>",
        "</textarea>",
        "</script>",
        "</svg>",
        "\x00",
        "&",
    ]
    bodies = [
        "<script>alert({n})</script>",
        "<img src=x onerror=alert({n})>",
        "<svg onload=alert({n})>",
        "<svg/onload=alert`{n}`>",
        "<iframe srcdoc='<script>parent.alert({n})</script>'></iframe>",
        "<a href=javascript:alert({n})>{n}</a>",
        " onmouseover=alert({n}) x=",
        " autofocus onfocus=alert({n}) ",
        "javascript:alert({n})",
        "{{{{ {n}*{n} }}}}",
        "{{% for x in ().__class__.__mro__ %}}{n}",
        "<style>*{{display:none}}</style>",
        "<link rel=stylesheet href=//evil.example/{n}>",
        "<meta http-equiv=refresh content=0;url=//evil.example/{n}>",
        "<base href=//evil.example/{n}>",
        "<form action=//evil.example/{n}>",
        "<math><mtext><img src=//evil.example/{n}>",
        "<object data=//evil.example/{n}>",
        "<details open ontoggle=alert({n})>",
        "&lt;script&gt;alert({n})&lt;/script&gt;",
        "%3Cscript%3Ealert({n})%3C/script%3E",
        "\\u003cscript\\u003ealert({n})",
        "<template><script>alert({n})</script></template>",
        "<noscript><p title='</noscript><img src=x onerror=alert({n})>'>",
        "\u202e>{n}tpircs<",
        "<\u200bscript>alert({n})</script>",
        "+ADw-script+AD4-alert({n})",
        "<!--#exec cmd={n}-->",
        "=cmd|'/C calc {n}'!A0",
        "\x1b]8;;https://evil.example/{n}\x07x",
        "<xss id=x tabindex=1 onactivate=alert({n})></xss>",
        "<video><source onerror=alert({n})>",
        "<input type=image src=//evil.example/{n}>",
        "<body onpageshow=alert({n})>",
    ]
    closings = ["", "<!--", "//"]
    made = [f"{o}{b}{c}" for o, b, c in product(openings, bodies, closings)]
    found = [text.format(n=number) for number, text in enumerate(made)]
    return [HOSTILE, *found][:1000]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, list[str]]:
    """A ledger in which each name, group, column, reason and person is one of the strings; all of it signed."""
    folder, words = tmp_path_factory.mktemp("hostile"), payloads()
    assert len(words) == len(set(words)) == 1000
    signer = open_signer(f"local:{folder / 'key.pem'}", make_key=True)
    TrustRoot().with_key(signer.public_key, duties()).save(folder / "trust.json")
    url = f"sqlite:///{folder / 'ledger.db'}"
    ledger = open_ledger(url)
    for number in range(0, len(words), 10):
        name, version, group, other, check, detail, dag, task, person, reason = words[number : number + 10]
        run = {"dag_id": dag, "run_id": detail, "task_id": task}
        model = Subject("model", name.replace("/", "⁄"), f"{number:064x}", version.replace("/", "⁄"), f"http://{group}")
        values = {"by_group": {group: {other: 0.4}, other: {other: 0.5}}, "interval": {"low": 0.1, "high": 0.9}}
        bad = Check(f"{check}_ratio[{detail}]", Outcome.FAIL, 0.8, Bound(0.9), detail=detail, values=values)
        told = Check(f"drift_{check}({group})", Outcome.PASS, other, reason, detail=person)
        details = {"rates": {detail: values["by_group"]}, "intervals": {detail: {group: {other: [0.1, 0.9]}}}}
        result = GateResult("fairness", model, (bad, told), details=details)
        context = Context(person, {"uri": group, "sha256": "b" * 64}, run)
        ledger.append(sign_statement(GateStatement.of(result, context), signer))
        answer = ApprovalStatement(
            model, context, target=task, approver=Person(person, person), approved=True, reason=reason,
            shown=("c" * 64,), answered_at=context.issued_at, requesters=(group,),
        )  # fmt: skip
        ledger.append(sign_statement(answer, signer))
    return Source(lambda: open_ledger(url, create=False), folder / "trust.json", None), words


def test_each_of_a_thousand_hostile_strings_is_text(hostile: tuple[Source, list[str]], browser: Browser) -> None:
    source, words = hostile
    with served(make_board(source, Door(everybody))) as url:
        wait_until_settled(url)
        page = browser.new_page()
        wrong, seen = watched(page), ""
        addresses = [f"{url}/board?page={number}" for number in range(1, 5)]
        addresses += [f"{url}/audit?page={number}" for number in range(1, 5)]
        addresses += [f"{url}/entry?seq={number}" for number in (1, 2)]
        stories: list[str] = []
        while addresses:
            page.goto(addresses.pop())
            if page.url.startswith(f"{url}/board") and len(stories) < 100:
                found = page.locator("a.name").evaluate_all("links => links.map(link => link.href)")
                stories += found
                addresses += found
            seen += page.locator("body").evaluate("body => body.textContent")
            elements = page.locator(
                "script, style, iframe, object, embed, base, form[action^='//'], [onerror], xss, img"
            )
            assert elements.count() == 1, "the board's own script alone"
        assert len(stories) == 100
    assert wrong == []
    flat = " ".join(seen.split())
    missing = [
        text for text in words if plain(text).replace("/", "⁄")[:60] not in flat and plain(text)[:60] not in flat
    ]
    assert missing == []


# -- for everybody ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_wider_than_a_phone_or_does_what_it_should_not(browser: Browser, address: str, path: str) -> None:
    page = browser.new_context(viewport=PHONE).new_page()
    wrong = watched(page)
    page.goto(f"{address}/{path}")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("h1").is_visible()
    assert wrong == []


def test_the_board_is_used_by_keyboard_alone(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}/board")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the page"
    page.keyboard.press("Enter")
    page.get_by_role("searchbox").focus()
    page.keyboard.type("collections")
    page.keyboard.press("Enter")
    page.wait_for_url("**/board?q=collections*")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "name":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/story?model=fleet_collections*")
    assert page.locator("h1").inner_text().startswith("fleet_collections")


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_in_a_frame_behind_a_base_path_the_switch_of_the_page_around_it_counts(browser: Browser, fleet: Fleet) -> None:
    outer = FastAPI()

    @outer.get("/around")
    async def around() -> HTMLResponse:
        allowed = "allow-scripts allow-same-origin allow-forms allow-downloads"
        return HTMLResponse(
            "<html class=dark><link rel=icon href=data:,>"
            f"<iframe src=/base/path/mlgov/board sandbox='{allowed}' width=1200 height=900></iframe>"
        )

    outer.mount("/base/path/mlgov", make_board(fleet.source, Door(everybody)))
    with served(outer) as url:
        wait_until_settled(f"{url}/base/path/mlgov")
        page = browser.new_context(color_scheme="light").new_page()
        wrong = watched(page)
        page.goto(f"{url}/around")
        frame = page.frames[1]
        frame.locator("a.name").first.wait_for()
        assert frame.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 17, 19)"
        page.evaluate("document.documentElement.className = 'light'")
        frame.wait_for_function("getComputedStyle(document.body).backgroundColor == 'rgb(255, 255, 255)'")
        frame.locator("a.name").first.click()
        frame.wait_for_url("**/base/path/mlgov/story?*")
        frame.get_by_role("button", name="Verify now").click()
        frame.wait_for_url("**/base/path/mlgov/verify?*")
        frame.get_by_role("link", name="Audit log").click()
        frame.locator("text=verified to entry").first.wait_for()
        assert wrong == []


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """axe-core, fetched when it is needed and kept nowhere in the repository."""
    folder = tmp_path_factory.mktemp("axe")
    try:
        done = subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "axe-core@4"],
            check=False, capture_output=True, text=True, timeout=180,
            env={**os.environ, "npm_config_cache": str(folder / "cache")},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"axe-core cannot be fetched here: {error}")
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        pytest.skip(f"axe-core cannot be fetched here: {done.stderr[-200:]}")
    return script.read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_shuts_anybody_out_in_light_or_dark(browser: Browser, address: str, axe: str, scheme: Any) -> None:
    page = browser.new_context(color_scheme=scheme).new_page()
    found = []
    for path in PAGES:
        page.goto(f"{address}/{path}")
        assert background(page) == COLOURS[scheme]
        page.evaluate(axe)
        said = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        found += [
            f"{path}: {item['id']} ({item['impact']}): {json.dumps(item['nodes'][0]['html'])[:200]}"
            for item in said["violations"]
            if item["impact"] in ("serious", "critical")
        ]
    assert found == []
