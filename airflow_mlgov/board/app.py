"""The pages as one ASGI application. It writes nothing, asks for each request who is there, and shows each person what
that person may read. No page needs another host, and no script or style stands in a page."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode, urlsplit

from airflow_mlgov import measured
from airflow_mlgov.board.keeper import Keeper, Source
from airflow_mlgov.board.pages import Asked, NotShown, Reports, Shelf
from airflow_mlgov.board.readers import Reader
from airflow_mlgov.errors import AccessError, DependencyError, MlgovError
from airflow_mlgov.words import LONGEST, line, plain, screened

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response
    from jinja2 import Environment
    from markupsafe import Markup

    from airflow_mlgov.board.run import Task
    from airflow_mlgov.registry.protocol import Registry

_LOG = logging.getLogger(__name__)
_STATIC = {"board.css": "text/css", "board.js": "text/javascript", "card.js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_LONGEST = 4000
"""Characters of one word of a query."""
T = TypeVar("T")
Page = Callable[["Request", Asked], Awaitable["Response"]]


@dataclass(frozen=True)
class Door:
    """Who is let in, and whom else the pages may ask."""

    who: Callable[[Request], Awaitable[Reader]]
    """Raises :class:`NotShown` with 401 if nobody is there."""
    registry: Callable[[], Registry] | None = None
    """Where bytes are hashed again; None: nowhere."""
    tasks: Callable[[str, str], Sequence[Task]] | None = None
    """Airflow's tasks of a run; None: there is no Airflow."""
    reports: Reports | None = None
    """What makes reports; None: there are none."""
    hosts: tuple[str, ...] | None = None
    """Names under which this server may be asked; any if None."""


def make_board(source: Source, door: Door) -> FastAPI:
    """The application.

    :param source: ledger, trust root and policy
    """
    from fastapi import FastAPI

    app, board = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), _Board(Shelf(Keeper(source)), door)
    for path, make in board.pages().items():
        app.add_route(path, board.answered(make), methods=["POST" if path == "/verify" else "GET"])
    for name in _STATIC:
        app.add_route(f"/{name}", _static, methods=["GET"])
    return app


class _Board:
    """The pages, each a function of the request and of who asks."""

    def __init__(self, shelf: Shelf, door: Door) -> None:
        self._shelf, self._door, self._templates = shelf, door, _templates()
        self._busy = threading.Lock()

    def pages(self) -> dict[str, Page]:
        """Path -> what answers there."""
        shelf = self._shelf
        return {
            "/": self._home,
            "/board": self._page("board.html", shelf.board),
            "/story": self._page("story.html", shelf.story),
            "/waivers": self._page("waivers.html", shelf.waivers),
            "/audit": self._page("audit.html", shelf.audit),
            "/entry": self._page("entry.html", shelf.entry),
            "/policy": self._page("policy.html", shelf.policy),
            "/run": self._page("run.html", lambda what: shelf.run(what, self._door.tasks)),
            "/verify": self._verify,
            "/pack": self._pack,
            "/report": self._report(self._shelf.report),
            "/fleet": self._report(self._shelf.fleet),
            "/audit.csv": self._export_csv,
            "/audit.json": self._export_json,
            "/card.json": self._card,
        }

    def answered(self, make: Page) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint: who is there is asked first, and nothing that goes wrong becomes a traceback."""

        async def endpoint(request: Request) -> Response:
            try:
                response = await make(request, await self._asked(request))
            except NotShown as error:
                response = self._refusal(error.status, str(error))
            except MlgovError as error:
                _LOG.warning("a page could not be shown: %s", line(error.coded))
                status = 503 if isinstance(error, DependencyError | AccessError) else 500
                response = self._refusal(status, error.coded)
            except Exception as error:
                _LOG.exception("a page could not be shown")
                response = self._refusal(500, f"this page could not be shown ({type(error).__name__})")
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return endpoint

    async def _asked(self, request: Request) -> Asked:
        host = request.headers.get("host") or ""
        if self._door.hosts is not None and re.sub(r":\d*$", "", host) not in self._door.hosts:
            raise NotShown(421, "this server answers under its own name alone")
        reader = await self._door.who(request)
        return Asked(reader, {name: value[:_LONGEST] for name, value in request.query_params.items()})

    def _page(self, template: str, build: Callable[[Asked], dict[str, Any]]) -> Page:
        async def make(_: Request, what: Asked) -> Response:
            from fastapi.responses import HTMLResponse

            return HTMLResponse(await _in_thread(lambda: self._rendered(template, build(what), what)))

        return make

    async def _home(self, _request: Request, _: Asked) -> Response:
        from fastapi.responses import RedirectResponse

        return RedirectResponse("board")

    async def _verify(self, request: Request, what: Asked) -> Response:
        from fastapi.responses import HTMLResponse

        _require_same_origin(request)
        if not self._busy.acquire(blocking=False):
            raise NotShown(503, "something is being verified already; try again in a minute")

        def verified() -> str:
            try:
                return self._rendered("verified.html", self._shelf.verify(what, self._door.registry), what)
            finally:
                self._busy.release()

        return HTMLResponse(await _in_thread(verified))

    async def _pack(self, _: Request, what: Asked) -> Response:
        from fastapi.responses import Response

        name, content = await _in_thread(lambda: _packed(self._shelf, what))
        return Response(content, media_type="application/zip", headers=_download(name))

    def _report(self, made: Callable[[Asked, Reports], tuple[str, str, bytes]]) -> Page:
        async def page(_: Request, what: Asked) -> Response:
            from fastapi.responses import Response

            reports = self._door.reports
            if reports is None:
                raise NotShown(404, "there are no reports here")
            name, media, content = await _in_thread(lambda: made(what, reports))
            return Response(content, media_type=media, headers=_download(name))

        return page

    async def _export_csv(self, _: Request, what: Asked) -> Response:
        from fastapi.responses import StreamingResponse

        rows = await _in_thread(lambda: self._shelf.export(what))
        return StreamingResponse(_csv(rows), media_type="text/csv", headers=_download("audit.csv"))

    async def _export_json(self, _: Request, what: Asked) -> Response:
        from fastapi.responses import Response

        rows = await _in_thread(lambda: self._shelf.export(what))
        said = json.dumps({"chain": self._shelf.chain(), "entries": rows}, indent=1)
        return Response(said, media_type="application/json", headers=_download("audit.json"))

    async def _card(self, _: Request, what: Asked) -> Response:
        from fastapi.responses import Response

        said = await _in_thread(lambda: self._shelf.card(what))
        return Response(json.dumps(said), media_type="application/json")

    def _rendered(self, template: str, said: Mapping[str, Any], what: Asked) -> str:
        more = {"asked": what.query, "now": datetime.now(UTC), "reports": self._door.reports}
        return self._templates.get_template(template).render({**said, **more})

    def _refusal(self, status: int, why: str) -> Response:
        from fastapi.responses import HTMLResponse

        text = self._templates.get_template("refused.html").render(why=why, asked={}, progress=None)
        return HTMLResponse(text, status, headers={"WWW-Authenticate": "Bearer"} if status == 401 else {})


async def _static(request: Request) -> Response:
    from fastapi.responses import Response

    name = request.url.path.rpartition("/")[2]
    content = (files("airflow_mlgov.board") / "static" / name).read_bytes()
    return Response(content, media_type=_STATIC[name], headers={**_HEADERS, "Cache-Control": "max-age=300"})


async def _in_thread(work: Callable[[], T]) -> T:
    import anyio

    return await anyio.to_thread.run_sync(work)


def _download(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


ROUTES = ("/board", "/story", "/waivers", "/audit", "/entry", "/policy", "/run", "/pack", "/report", "/fleet",
          "/audit.csv", "/audit.json", "/card.json", "/verify")  # fmt: skip
"""Every route that shows something of the ledger."""


def _require_same_origin(request: Request) -> None:
    """Only a page of this very server may ask for work."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    ours = site == "same-origin" if site else bool(origin) and urlsplit(origin or "").netloc == request.headers["host"]
    if not ours:
        raise NotShown(403, "this can be asked for from the board's own pages alone")


def _packed(shelf: Shelf, what: Asked) -> tuple[str, bytes]:
    with TemporaryDirectory(prefix="mlgov-pack-") as folder:
        out = Path(folder) / "evidence.zip"
        name = shelf.pack(what, out)
        return name, out.read_bytes()


def _csv(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A table that a spreadsheet takes for text: no cell is a formula."""
    for number in range(0, max(1, len(rows)), 500):
        text = io.StringIO()
        writer = csv.writer(text)
        if number == 0:
            writer.writerow(rows[0] if rows else [])
        for row in rows[number : number + 500]:
            cells = [plain(cell) if isinstance(cell, str) else cell for cell in row.values()]
            writer.writerow(
                [f"'{cell}" if isinstance(cell, str) and cell[:1] in tuple("=+-@\t\r") else cell for cell in cells]
            )
        yield text.getvalue()


# -- templates --------------------------------------------------------------------------------------------------------


def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup, escape

    def shown(value: Any) -> Any:
        """Whatever is not our own markup is text, and is seen as it is."""
        if type(value) is not str:
            return value
        seen_already = value.isascii() and value.isprintable() and "  " not in value and len(value) <= LONGEST
        return value.strip() if seen_already else plain(value)

    made = Environment(
        loader=PackageLoader("airflow_mlgov.board"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"ago": ago, "until": until, "fresh": fresh, "days": days, "moment": moment}
    of_checks = {"measured": measured.observed, "allowed": measured.allowed, "between": measured.interval}
    made.filters |= {**of_checks, "demand": measured.demand, "why": measured.detail, "number": measured.number}
    made.filters["short"] = lambda sha: str(sha or "")[:12]
    made.filters["verbatim"] = lambda text: escape(screened(text))
    made.filters["figure"] = lambda figure: Markup(figure.svg)  # noqa: S704 - figures.draw escapes what it quotes
    made.globals |= {"link": link}
    return made


def link(page: str, /, **query: Any) -> Markup:
    """A page beside this one: relative, so that it holds behind every base path and proxy."""
    from markupsafe import Markup, escape

    kept = {name: value for name, value in query.items() if value not in (None, "", [])}
    return Markup(escape(f"{page}?{urlencode(kept)}" if kept else page))  # noqa: S704 - escaped


def _read(value: Any) -> datetime | None:
    """In UTC; None if it is no date, or one that there is not in UTC."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None


def moment(value: Any) -> str:
    """A moment in UTC for people."""
    found = _read(value)
    return f"{found:%Y-%m-%d %H:%M:%S} UTC" if found else "unknown"


def ago(value: Any) -> str:
    """How long ago."""
    found = _read(value)
    if found is None:
        return "never"
    return _span(datetime.now(UTC) - found, "ago", "from now")


def until(value: Any) -> str:
    """How long from now, or since when it is over."""
    found = _read(value)
    if found is None:
        return ""
    return _span(found - datetime.now(UTC), "left", "over")


def fresh(value: Any) -> str:
    """Until when evidence is fresh."""
    found = _read(value)
    if found is None:
        return ""
    said = until(value)
    return f"fresh, {said}" if said.endswith("left") else f"too old since {said.removesuffix(' over')}"


def days(span: timedelta) -> str:
    """A duration of the policy."""
    return f"{span.days} days" if span.days else f"{span.total_seconds() / 3600:g} hours"


def _span(span: timedelta, after: str, before: str) -> str:
    seconds = abs(span.total_seconds())
    word = after if span.total_seconds() >= 0 else before
    if seconds < 5 and after == "ago":
        return "just now"
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count = int(seconds // length)
        if count:
            return f"{count} {unit}{'' if count == 1 else 's'} {word}"
    return f"0 seconds {word}"
