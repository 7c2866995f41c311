"""The board where people look: in a real Airflow, in a real browser, each person seeing what they may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import requests

from airflow_mlgov.board.app import ROUTES
from airflow_mlgov.demo.airflow_api import Run
from tests.live.browser import CHROMIUM, Person, chromium
from tests.live.waiting import HANGS, patience
from tests.worlds.live import LiveModel, LiveWorld, ended

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("attacks-live"), pytest.mark.timeout(HANGS)]
MARKED, SHELL = "live_looked_at", "live_of_a_shell"
WORDS = "green by hand (marked by alice at "


@pytest.fixture(scope="module")
def run(live: LiveWorld) -> Run:
    """A run whose failed gate alice has marked as success; and a model that no DAG has made evidence of."""
    model, shell, alice = live.model("looked_at"), live.model("of_a_shell"), live.user("alice")
    alice.wait_for_dag("well_made", timeout=patience(120))
    model.gated(fair=False)
    shell.gated(weight=2.0)
    run = alice.trigger("well_made", {"model": model.model})
    ended(run, gates__fairness="failed", promote="upstream_failed")
    alice.mark_success(run, "gates.fairness")
    ended(run, gates__fairness="success", promote="failed")
    return run


def test_a_task_links_to_its_evidence(live: LiveWorld, run: Run) -> None:
    alice, where = live.user("alice"), f"dag_id={run.dag_id}&run_id={quote(run.run_id, safe='')}"
    for task in ("gates.fairness", "promote"):
        found = alice.look(f"{run.path}/taskInstances/{task}/links")["extra_links"]
        assert found.pop("Evidence") == f"/mlgov/run?{where}&task_id={task}"
        page = f"{live.server.url}/#/models/live_looked_at/versions/1"
        assert found == {"Model version": page, **({"Report": None} if task != "promote" else {})}


def token(live: LiveWorld, name: str) -> str:
    said = {"username": name, "password": live.airflow.passwords[name]}
    return str(requests.post(f"{live.airflow.url}/auth/token", json=said, timeout=patience(60)).json()["access_token"])


def asked(live: LiveWorld, route: str, token: str | None = None, **query: str) -> requests.Response:
    """A page of the board; what only a page of Airflow may ask for is asked as one does."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    ask = requests.post if route == "/verify" else requests.get
    url = f"{live.airflow.url}/mlgov{route}"
    return ask(url, params=query, headers={**headers, "Origin": live.airflow.url}, timeout=patience(60))


def test_every_route_asks_airflow_who_is_there(live: LiveWorld, run: Run) -> None:
    for route in ROUTES:
        query = {"model": MARKED, "seq": "1", "dag_id": run.dag_id}
        assert asked(live, route, **query).status_code == 401, route
        assert asked(live, route, "forged.token.of-mine", **query).status_code == 403, route


def settled(live: LiveWorld, token: str) -> str:
    """The board, once every model was judged."""
    for _ in range(60):
        page = asked(live, "/board", token).text
        if 'http-equiv="refresh"' not in page:
            break
    return page


@pytest.mark.parametrize(
    ("name", "sees_shell", "reads_all"),
    [
        ("vic", False, False),
        ("alice", False, False),
        ("olga", True, False),
        ("otto", True, True),
        ("admin", True, True),
    ],
)
def test_each_sees_what_they_may_and_nothing_else(
    live: LiveWorld, run: Run, name: str, sees_shell: bool, reads_all: bool
) -> None:
    """Everybody may read the DAGs here; evidence that no DAG has made is for its approvers and who runs Airflow."""
    mine = token(live, name)
    page = settled(live, mine)
    assert MARKED in page
    assert (SHELL in page) is sees_shell
    assert (SHELL in asked(live, "/audit", mine, model=SHELL).text.partition("<tbody>")[2]) is sees_shell
    assert asked(live, "/story", mine, model=SHELL).status_code == (200 if sees_shell else 403)
    assert asked(live, "/verify", mine, model=SHELL).status_code == (200 if sees_shell else 403)
    assert asked(live, "/run", mine, dag_id=run.dag_id, run_id=run.run_id).status_code == 200
    assert asked(live, "/run", mine, dag_id="none_of_mine").status_code == (200 if reads_all else 403)
    assert asked(live, "/pack", mine, model=MARKED).status_code == (200 if reads_all else 403)


@pytest.fixture
def browser(live: LiveWorld, run: Run) -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: apt-get install chromium fonts-dejavu-core")
    with chromium() as browser:
        yield browser


@pytest.fixture
def alice(live: LiveWorld, browser: Browser, tmp_path: Path) -> Person:
    return Person(browser, live.airflow, "alice", tmp_path)


@pytest.fixture
def olga(live: LiveWorld, browser: Browser, tmp_path: Path) -> Person:
    return Person(browser, live.airflow, "olga", tmp_path)


def test_airflow_shows_the_board_the_gates_of_a_run_and_a_card(live: LiveWorld, run: Run, alice: Person) -> None:
    page, url = alice.page, live.airflow.url
    page.goto(f"{url}/plugin/mlgov-board")
    frame = page.frame_locator("iframe")
    frame.get_by_role("link", name=MARKED, exact=True).click()
    frame.locator("h1", has_text=MARKED).wait_for()
    frame.get_by_role("link", name="Audit log").click()
    frame.locator("text=verified to entry").first.wait_for()

    tab = f"/dags/{run.dag_id}/runs/{quote(run.run_id)}"
    for place in (f"{tab}/plugin/mlgov-gates-dag-run", f"{tab}/tasks/gates.fairness/plugin/mlgov-gates-task-instance"):
        page.goto(url + place)
        said = page.frame_locator("iframe").locator(".notice.bad").inner_text()
        assert said.startswith(f"gates.fairness: {WORDS}")
        assert said.endswith("the evidence says FAIL.")
    page.goto(f"{url}/dags/{run.dag_id}/tasks/gates.fairness/plugin/mlgov-gates-task")
    page.frame_locator("iframe").locator(f"a:has-text('{MARKED}')").first.wait_for()

    page.goto(f"{url}/")
    page.locator("section[aria-label='ML governance']").get_by_text("Models that need somebody").wait_for()
    page.locator("section[aria-label='ML governance'] a", has_text="Governance board").click()
    page.locator("h1", has_text="Governance board").wait_for()


@pytest.fixture
def moved(live: LiveWorld) -> LiveModel:
    """A model whose second version somebody has made the champion in MLflow, which the reconciler has found."""
    model = live.model("moved_by_hand")
    first = model.gated()
    model.approve(first, "olga")
    model.promote(first)
    model.registry.set_alias(model.register(weight=2.0), "champion")
    model.reconcile()
    return model


def test_home_names_the_models_that_need_somebody(live: LiveWorld, moved: LiveModel, run: Run, olga: Person) -> None:
    waits, page = live.model("waits_for_officers"), olga.page
    waits.gated()
    settled(live, token(live, "olga"))
    for theme in ("dark", "light"):
        page.evaluate("theme => localStorage.setItem('theme', theme)", theme)
        page.goto(live.airflow.url)
        card = page.locator("section[aria-label='ML governance']")
        card.get_by_role("link", name=f"{moved.model} version 1").wait_for()
        olga.shoot(f"board-card-{theme}")
    said = card.inner_text()
    assert (
        f"{moved.model} version 1 needs somebody: alias champion is at version 2; by evidence it is version 1" in said
    )
    assert f"{waits.model} version 1 waits for approval: 0 of 1 approvals" in said
    card.get_by_role("link", name=f"{waits.model} version 1").click()
    page.locator("h1", has_text=waits.model).wait_for()


def test_the_board_follows_airflows_own_switch(live: LiveWorld, alice: Person) -> None:
    page = alice.page
    for theme, colour in (("dark", "rgb(17, 17, 19)"), ("light", "rgb(255, 255, 255)")):
        page.evaluate("theme => localStorage.setItem('theme', theme)", theme)
        page.goto(f"{live.airflow.url}/plugin/mlgov-board")
        page.frame_locator("iframe").locator("h1").wait_for()
        (frame,) = [item for item in page.frames if "/mlgov/" in item.url and item != page.main_frame]
        frame.wait_for_function("c => getComputedStyle(document.body).backgroundColor == c", arg=colour)
