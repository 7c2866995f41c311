"""``mlgov admission``: answers an API server's reviews over HTTPS. What it cannot judge it refuses, and says why; what
it cannot even read it answers with an error, upon which ``failurePolicy: Fail`` refuses."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlgov.admission.judge import facts
from airflow_mlgov.admission.review import MAX_BYTES, Refused, Review, answer, read_review
from airflow_mlgov.errors import DependencyError, MlgovError
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI, Request

    from airflow_mlgov.admission.opa import OpaServer
    from airflow_mlgov.admission.standing import Standings

_LOG = logging.getLogger(__name__)
PATH = "/validate"


@dataclass(frozen=True)
class Limits:
    """How much is taken at once."""

    seconds: float = 8.0
    """For one review; less than the ``timeoutSeconds`` of the webhook, so that it is told why."""
    at_once: int = 64
    """Reviews under way; further ones are answered 503."""
    threads: int = 8
    """Reviews that are judged at one time."""


@dataclass(frozen=True)
class Door:
    """Who is asked about an object."""

    standings: Standings
    opa: OpaServer

    def judge(self, review: Review) -> dict[str, Any]:
        """The answer to a review."""
        try:
            ruling = self.opa.rule(facts(review, self.standings.book), review.uid)
        except DependencyError as error:
            return answer(review, allowed=False, message=f"{error}; try again", status=503)
        except MlgovError as error:
            return answer(review, allowed=False, message=error.coded, status=500)
        return answer(
            review, allowed=ruling.allowed, message=ruling.message, status=ruling.code, warnings=ruling.warnings
        )

    def check(self) -> None:
        """Whether both can be asked.

        :raises MlgovError: one cannot
        """
        self.standings.book()
        self.opa.check()


@dataclass
class _Asked:
    """A review on its way, so that it can be answered when time is up."""

    review: Review | None = None


def make_app(
    judge: Callable[[Review], dict[str, Any]], check: Callable[[], None], limits: Limits | None = None
) -> FastAPI:
    """The server.

    :param judge: gives the answer to a review; runs in a thread
    :param check: raises if nothing could be judged now
    """
    import anyio
    from fastapi import FastAPI, Response
    from fastapi.responses import PlainTextResponse

    limit = limits or Limits()
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    room = asyncio.Semaphore(limit.at_once)
    threads = anyio.CapacityLimiter(limit.threads)

    async def validate(request: Request) -> Response:
        if request.headers.get("content-encoding", "identity") != "identity":
            return PlainTextResponse("a review is sent as it is, without Content-Encoding", 415)
        if room.locked():
            return PlainTextResponse("too many reviews at once", 503, {"Retry-After": "1"})
        async with room:
            asked = _Asked()
            try:
                async with asyncio.timeout(limit.seconds):
                    raw = await _body(request)
                    if raw is None:
                        return PlainTextResponse(f"a review has at most {MAX_BYTES} bytes", 413)
                    content, status = await anyio.to_thread.run_sync(
                        _answered, judge, raw, asked, limiter=threads, abandon_on_cancel=True
                    )
            except TimeoutError:
                content, status = _late(asked, limit.seconds)
            return Response(content, status, media_type="application/json")

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        try:
            await anyio.to_thread.run_sync(check, abandon_on_cancel=True)
        except MlgovError as error:
            return PlainTextResponse(line(error.coded), 503)
        return PlainTextResponse("ok")

    app.add_route(PATH, validate, methods=["POST"])
    app.add_route("/healthz", healthz, methods=["GET"])
    app.add_route("/readyz", readyz, methods=["GET"])
    return app


def serve(
    app: FastAPI, *, host: str, port: int, certificate: Path | None, key: Path | None, client_ca: Path | None = None
) -> None:
    """Serve until the process is told to end.

    :param certificate: with ``key``, for HTTPS; plain HTTP on this machine alone if omitted
    :param client_ca: authority of the certificates that clients must show; none is asked for if omitted
    """
    import uvicorn

    uvicorn.run(
        app,
        host=host,
        port=port,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        ssl_ca_certs=str(client_ca) if client_ca else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if client_ca else ssl.CERT_NONE,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=16_384,
        server_header=False,
    )


async def _body(request: Request) -> bytes | None:
    """What was sent; None if it is too much."""
    found = bytearray()
    async for piece in request.stream():
        found += piece
        if len(found) > MAX_BYTES:
            return None
    return bytes(found)


def _answered(judge: Callable[[Review], dict[str, Any]], raw: bytes, asked: _Asked) -> tuple[bytes, int]:
    """The answer, and the HTTP status that carries it: 400 only if nobody could tell which review it answers."""
    try:
        asked.review = read_review(raw)
    except Refused as error:
        said = answer(error, allowed=False, message=error.coded, status=400)
        return json.dumps(said).encode(), 200 if error.uid else 400
    try:
        said = judge(asked.review)
    except Exception as error:  # nobody is let in because of a mistake of ours
        _LOG.exception("%s could not be judged", line(asked.review.place))
        said = answer(asked.review, allowed=False, message=_fault(error), status=500)
    if not said["response"]["allowed"]:
        _LOG.warning("%s refused: %s", line(asked.review.place), line(said["response"]["status"]["message"]))
    return json.dumps(said).encode(), 200


def _fault(error: Exception) -> str:
    return f"it could not be judged ({type(error).__name__}): please report it [admission.fault]"


def _late(asked: _Asked, seconds: float) -> tuple[bytes, int]:
    message = f"it could not be judged within {seconds:g} s; try again [admission.late]"
    if asked.review is None:
        return message.encode(), 503
    return json.dumps(answer(asked.review, allowed=False, message=message, status=503)).encode(), 200
