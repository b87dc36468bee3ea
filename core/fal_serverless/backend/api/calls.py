"""Calls from Python: a function is sent once, then called with pickled arguments."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fal_serverless.backend.api.context import caller, read_body, rooms
from fal_serverless.backend.api.streams import event_stream
from fal_serverless.backend.bundles import MAX_BUNDLE


async def has_function(request: Request) -> Response:
    user = caller(request)
    rooms(request).sent.find(user.id, request.path_params["digest"])
    return Response(status_code=204)


async def send_function(request: Request) -> Response:
    """The body is a bundle."""
    user = caller(request)
    data = await read_body(request, MAX_BUNDLE, "a bundle")
    await rooms(request).sent.keep(user.id, request.path_params["digest"], data)
    return Response(status_code=204)


async def call_function(request: Request) -> Response:
    """The body is the pickle of (args, kwargs); the answer a stream of CallEvents."""
    user, here = caller(request), rooms(request)
    sent = here.sent.find(user.id, request.path_params["digest"])
    arguments = await read_body(request, MAX_BUNDLE, "the arguments of a call")
    # Not ended by `stopping`: a call may finish while the backend drains.
    return event_stream(here.sent.call(sent, arguments), asyncio.Event())


routes = [
    Route("/v1/sent/{digest}", has_function),
    Route("/v1/sent/{digest}", send_function, methods=["PUT"]),
    Route("/v1/sent/{digest}/calls", call_function, methods=["POST"]),
]
