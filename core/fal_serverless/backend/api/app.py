"""The control API: routes, our errors as JSON, and nobody's browser."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fal_serverless.backend.api import aliases, calls, environments, functions, metrics, system
from fal_serverless.backend.api.bugs import told
from fal_serverless.backend.api.context import Rooms
from fal_serverless.backend.network import is_address
from fal_serverless.errors import FalError, NotAllowed, NotAuthenticated, NotFound, to_json


def make_api(rooms: Rooms, host_names: set[str], spread: Callable[[], Awaitable[None]]) -> ASGIApp:
    """The application for every request that is not a call of an endpoint.

    It answers under these names and under addresses. `spread` returns when everybody who answers
    calls knows what is registered.
    """
    app = Starlette(
        routes=[
            *functions.routes,
            *aliases.routes,
            *environments.routes,
            *calls.routes,
            *metrics.routes,
            *system.routes,
        ],
        exception_handlers={
            FalError: _answer_error,
            HTTPException: _answer_http,
            Exception: _answer_bug,
        },
    )
    app.state.rooms = rooms
    return HostCheck(Spreading(app, spread), host_names)


class Spreading:
    """What was changed is so everywhere before whoever changed it hears of it."""

    def __init__(self, app: ASGIApp, spread: Callable[[], Awaitable[None]]) -> None:
        self._app = app
        self._spread = spread

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def after(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._spread()
            await send(message)

        reads = scope["type"] != "http" or scope["method"] in ("GET", "HEAD")
        await self._app(scope, receive, send if reads else after)


class HostCheck:
    """Only names that are this backend's reach the API.

    A page on the web can make a browser call a loopback address under a name of its own (DNS
    rebinding); such a request carries that name in Host, and the page's in Origin.
    """

    def __init__(self, app: ASGIApp, names: set[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        allowed = self._is_ours(host) and (not origin or urlsplit(origin).netloc == host)
        if not allowed:
            error = NotAllowed("the control API does not answer to this Host or Origin")
            await _response(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        name = urlsplit(f"//{host}").hostname or ""
        return name in self._names or is_address(name)


def _response(error: FalError) -> Response:
    headers = {}
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = 'Key realm="fal-serverless"'
    return JSONResponse(to_json(error, uuid.uuid4().hex), error.status, headers)


async def _answer_error(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, FalError)
    return _response(exc)


async def _answer_http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    if exc.status_code == 404:
        return _response(NotFound(f"no such path: {request.url.path}"))
    body = {"detail": exc.detail, "error_type": "http", "request_id": uuid.uuid4().hex}
    return JSONResponse(body, exc.status_code, exc.headers)


async def _answer_bug(request: Request, exc: Exception) -> Response:
    return _response(told(exc, f"{request.method} {request.url.path}"))
