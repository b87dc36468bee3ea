"""What every route of the control API works with, and who is asking."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fal_serverless.backend import credentials
from fal_serverless.backend.audit import Actor, AuditLog, act_as
from fal_serverless.backend.catalogue import Catalogue
from fal_serverless.backend.changes import Changes
from fal_serverless.backend.engine import LocalEngine
from fal_serverless.backend.housekeeping import Housekeeping
from fal_serverless.backend.keys import KeyRing
from fal_serverless.backend.logs.store import LogStore
from fal_serverless.backend.metrics.figures import Figures
from fal_serverless.backend.network import Proxies
from fal_serverless.backend.publisher import Publisher
from fal_serverless.backend.registry import Registry
from fal_serverless.backend.sent import SentFunctions
from fal_serverless.backend.views import Views
from fal_serverless.errors import BadInput, TooLarge
from fal_serverless.models import Status, User

MAX_JSON = 1024**2
"""Bytes of a JSON body."""


DIGITS = 20
"""The longest number that is looked at."""


@dataclass(frozen=True)
class Rooms:
    """The backend's rooms, as the API uses them."""

    registry: Registry
    keys: KeyRing
    publisher: Publisher
    housekeeping: Housekeeping
    sent: SentFunctions
    engine: LocalEngine
    logs: LogStore
    changes: Changes
    audit: AuditLog
    views: Views
    catalogue: Catalogue
    figures: Figures
    proxies: Proxies
    metrics_public: bool
    """Whether this machine may see figures without a key."""
    status: Callable[[User], Awaitable[Status]]
    stopping: asyncio.Event
    """Set when the backend stops: streams end."""


def rooms(request: Request) -> Rooms:
    found: Rooms = request.app.state.rooms
    return found


def caller(request: Request) -> User:
    """Who asks; what is changed on the way is theirs. Raises NotAuthenticated, NotAllowed."""
    found = credentials.find(request.scope["headers"], request.scope["query_string"])
    key = rooms(request).keys.check_admin(found.credential)
    user = rooms(request).registry.user(key.user)
    client = request.client.host if request.client else ""
    address = rooms(request).proxies.caller(client, request.scope["headers"])
    act_as(Actor(user.id, user.nickname, key.id, address))
    return user


def answer(value: Any, status: int = 200) -> Response:
    """A model, or a list of them."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def json_body(request: Request, *names: str) -> dict[str, Any]:
    """The request's JSON object; only `names` are allowed in it. Raises BadInput, TooLarge."""
    content = await read_body(request, MAX_JSON, "a JSON body")
    try:
        body = json.loads(content or b"{}")
    except (ValueError, RecursionError) as exc:
        raise BadInput(f"the body is not JSON: {exc}") from exc
    if not isinstance(body, dict):
        raise BadInput("the body must be a JSON object")
    unknown = sorted(set(body) - set(names))
    if unknown:
        raise BadInput(f"unknown field {unknown[0][:100]!r}; there are: {', '.join(names)}")
    return body


async def read_body(request: Request, limit: int, what: str) -> bytes:
    """Raises TooLarge, as soon as it is."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise TooLarge(f"{what} may have {limit // 1024**2} MiB")
    return bytes(data)


def whole_number(text: str, most: int) -> int | None:
    """From 0 to `most`, as decimal digits; None: it is none."""
    # int() refuses thousands of digits with an error of its own.
    if not text.isascii() or not text.isdigit() or len(text) > DIGITS:
        return None
    found = int(text)
    return found if found <= most else None


def text_or_none(body: dict[str, Any], name: str) -> str:
    """An optional string of a body; '' when it is not there or null. Raises BadInput."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise BadInput(f"'{name}' must be a string")
    return value or ""


def text_of(body: dict[str, Any], name: str) -> str:
    """A required, non-empty string of a body. Raises BadInput."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadInput(f"'{name}' must be a non-empty string")
    return value
