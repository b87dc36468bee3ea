"""The control API: routes, our errors as JSON, and nobody's browser."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fal_serverless import __version__, skew
from fal_serverless.backend.api import (
    aliases,
    calls,
    environments,
    functions,
    metrics,
    openapi,
    system,
)
from fal_serverless.backend.api.bugs import told
from fal_serverless.backend.api.context import Rooms
from fal_serverless.backend.network import is_address
from fal_serverless.errors import (
    FalError,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    VersionSkew,
    to_json,
)

ROUTES = [
    *functions.routes,
    *aliases.routes,
    *environments.routes,
    *calls.routes,
    *metrics.routes,
    *system.routes,
    *openapi.routes,
]
"""All there is to the control API."""


def make_api(rooms: Rooms, host_names: set[str], spread: Callable[[], Awaitable[None]]) -> ASGIApp:
    """The application for every request that is not a call of an endpoint.

    It answers under these names and under addresses. `spread` returns when everybody who answers
    calls knows what is registered.
    """
    app = Starlette(
        routes=ROUTES,
        exception_handlers={
            FalError: _answer_error,
            HTTPException: _answer_http,
            Exception: _answer_bug,
        },
    )
    # A path is one that the document tells of, or none: nobody is sent elsewhere.
    app.router.redirect_slashes = False
    app.state.rooms = rooms
    return HostCheck(SkewCheck(Spreading(app, spread)), host_names)


class SkewCheck:
    """Says in every answer what we speak, and refuses clients that speak what we do not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        sent = skew.headers(__version__).items()
        self._headers = [(name.lower().encode(), value.encode()) for name, value in sent]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_version(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        try:
            if scope["type"] == "http":
                skew.check_client(Headers(scope=scope))
        except VersionSkew as error:
            await _response(error)(scope, receive, with_version)
        else:
            await self._app(scope, receive, with_version)


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
        host, origin = (_only(scope["headers"], name) for name in (b"host", b"origin"))
        is_same = origin in ("", f"http://{host}", f"https://{host}")
        if not self._is_ours(host) or not is_same:
            error = NotAllowed("the control API does not answer to this Host or Origin")
            await _response(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        name = (match[1] or match[2]).lower() if match else ""
        return name in self._names or is_address(name)


_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]+)?")


def _only(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> str:
    """The value of a header; what nobody sends when there are several."""
    values = [value.decode("latin-1") for name, value in headers if name == wanted]
    return values[0] if len(values) == 1 else " ".join(values)


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
    headers = dict(exc.headers or {})
    if exc.status_code == 405:
        # All that the path allows, not only what its first route does (RFC 9110, 15.5.6).
        headers["Allow"] = ", ".join(_methods(request.url.path))
    return JSONResponse(body, exc.status_code, headers)


def _methods(path: str) -> list[str]:
    """Of the route that is nearest to a path: one without parameters comes before one with."""
    nearest = next((route.path for route in ROUTES if route.path_regex.fullmatch(path)), "")
    found = [route.methods or set() for route in ROUTES if route.path == nearest]
    return sorted(set[str]().union(*found))


async def _answer_bug(request: Request, exc: Exception) -> Response:
    return _response(told(exc, f"{request.method} {request.url.path}"))
