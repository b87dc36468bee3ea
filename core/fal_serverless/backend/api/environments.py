"""Environments: listing, describing, deleting, pruning."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fal_serverless.backend.api.context import answer, caller, json_body, rooms
from fal_serverless.errors import BadInput
from fal_serverless.models import Pruned, User

LONGEST_AGE = 1e10
"""Seconds, three centuries: beyond a few thousand years there is no date."""


async def list_environments(request: Request) -> Response:
    user = caller(request)
    return answer(await rooms(request).housekeeping.environments(user.id))


async def show_environment(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    return answer(await here.housekeeping.environment(user.id, request.path_params["key"]))


async def delete_environment(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    gone = await here.housekeeping.delete(user.id, request.path_params["key"])
    await _tell(request, user, gone)
    return answer(gone)


async def prune(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    body = await json_body(request, "older_than", "dry_run")
    older_than, dry_run = _seconds(body.get("older_than")), body.get("dry_run", False)
    if not isinstance(dry_run, bool):
        raise BadInput("'dry_run' must be true or false")
    gone = await here.housekeeping.prune(user.id, older_than, dry_run)
    await _tell(request, user, gone)
    return answer(gone)


async def _tell(request: Request, user: User, gone: Pruned) -> None:
    """One entry of the audit log for each that was removed."""
    if not gone.dry_run:
        for each in gone.environments:
            add = rooms(request).audit.add
            await asyncio.to_thread(add, user.id, "environment delete", each.key)


def _seconds(value: Any) -> float:
    """None is 0. Raises BadInput."""
    if value is None:
        return 0.0
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= LONGEST_AGE:
        raise BadInput(f"'older_than' must be seconds, not {value!r}")
    return float(value)


routes = [
    Route("/v1/environments", list_environments),
    Route("/v1/environments/prune", prune, methods=["POST"]),
    Route("/v1/environments/{key}", show_environment),
    Route("/v1/environments/{key}", delete_environment, methods=["DELETE"]),
]
