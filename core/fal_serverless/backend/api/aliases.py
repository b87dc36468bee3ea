"""Aliases: listing, pointing, rolling back, history."""

from __future__ import annotations

from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fal_serverless.backend.api.context import (
    answer,
    caller,
    json_body,
    rooms,
    text_of,
    text_or_none,
)
from fal_serverless.backend.api.functions import auth_of
from fal_serverless.endpoint import check_alias
from fal_serverless.errors import BadInput
from fal_serverless.models import MoveReason


async def list_aliases(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    return answer([here.views.alias(endpoint) for endpoint in here.registry.aliases(user.id)])


async def show_alias(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    return answer(here.views.alias(here.registry.alias(user.id, request.path_params["name"])))


async def list_moves(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    endpoint = here.registry.alias(user.id, request.path_params["name"])
    return answer(here.registry.moves(user.id, endpoint.label))


async def set_alias(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    name = check_alias(request.path_params["name"], user.id)
    body = await json_body(request, "revision", "auth", "reason", "message")
    stored = here.registry.revision(user.id, text_of(body, "revision"))
    auth = auth_of(body.get("auth"))
    reason, message = _reason(body.get("reason")), text_or_none(body, "message")
    endpoint = await here.publisher.move(user, name, stored, reason, auth, message)
    return answer(here.views.alias(endpoint))


async def rollback(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    name = request.path_params["name"]
    body = await json_body(request, "revision", "message")
    revision = body.get("revision")
    if revision is not None and not isinstance(revision, str):
        raise BadInput("'revision' must be a string or null")
    await here.publisher.rollback(user, name, revision, text_or_none(body, "message"))
    return answer(here.registry.moves(user.id, name)[0])


async def delete_alias(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    await here.publisher.delete_alias(user, request.path_params["name"])
    return Response(status_code=204)


def _reason(value: Any) -> MoveReason:
    if value is None:
        return "set"
    for reason in get_args(MoveReason):
        if value == reason:
            found: MoveReason = reason
            return found
    raise BadInput(f"'reason' must be one of {', '.join(get_args(MoveReason))}")


routes = [
    Route("/v1/aliases", list_aliases),
    Route("/v1/aliases/{name}", show_alias),
    Route("/v1/aliases/{name}", set_alias, methods=["PUT"]),
    Route("/v1/aliases/{name}", delete_alias, methods=["DELETE"]),
    Route("/v1/aliases/{name}/moves", list_moves),
    Route("/v1/aliases/{name}/rollback", rollback, methods=["POST"]),
]
