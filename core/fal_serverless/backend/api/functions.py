"""Functions, revisions and serving."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fal_serverless.backend.api.context import (
    answer,
    caller,
    json_body,
    read_body,
    rooms,
    text_of,
)
from fal_serverless.backend.api.streams import event_stream
from fal_serverless.backend.bundles import MAX_BUNDLE
from fal_serverless.backend.publisher import Order, Outcome
from fal_serverless.backend.registry import check_auth
from fal_serverless.errors import BadInput
from fal_serverless.models import AuthMode, Served, ServeEvent, User


async def list_functions(request: Request) -> Response:
    """A list; with `since`, a FunctionChanges: what is not as in the list of that version."""
    user, catalogue = caller(request), rooms(request).catalogue
    since = request.query_params.get("since")
    found = await (catalogue.whole(user.id) if since is None else catalogue.since(user.id, since))
    return Response(found, media_type="application/json")


async def show_function(request: Request) -> Response:
    user = caller(request)
    return answer(rooms(request).views.function(user.id, request.path_params["name"]))


async def delete_function(request: Request) -> Response:
    user = caller(request)
    await rooms(request).publisher.delete_function(user, request.path_params["name"])
    return Response(status_code=204)


async def list_revisions(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    found = here.registry.function_revisions(user.id, request.path_params["name"])
    return answer([here.views.revision(stored) for stored in found])


async def show_revision(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    stored = here.registry.revision(user.id, request.path_params["id"])
    return answer(here.views.revision(stored, here.registry.source(stored.id)))


async def delete_revision(request: Request) -> Response:
    user = caller(request)
    await rooms(request).publisher.delete_revision(user, request.path_params["id"])
    return Response(status_code=204)


async def serve(request: Request) -> Response:
    """The body is a bundle; the answer a stream of ServeEvents."""
    user, here = caller(request), rooms(request)
    order = Order(
        user=user,
        data=await read_body(request, MAX_BUNDLE, "a bundle"),
        alias=request.query_params.get("alias"),
        auth=auth_of(request.query_params.get("auth")),
        message=request.query_params.get("message", ""),
    )
    if not order.data:
        raise BadInput("the body is to be a bundle, and it is empty")
    here.registry.check_serve(user.id, order.alias, order.auth)
    return event_stream(_events(request, user, order), here.stopping)


async def set_auth(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    body = await json_body(request, "auth")
    auth = check_auth(text_of(body, "auth"))
    label = request.path_params["label"]
    endpoint = await here.publisher.set_auth(user, _full_label(request, user, label), auth)
    return answer({"label": endpoint.label, "auth": endpoint.auth})


def auth_of(value: Any) -> AuthMode | None:
    """None stays None. Raises BadInput for what is no auth mode."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadInput("'auth' must be a string")
    return check_auth(value)


def _full_label(request: Request, user: User, label: str) -> str:
    """An alias as it is; the beginning of a revision's id as the whole id."""
    registry = rooms(request).registry
    if any(endpoint.label == label for endpoint in registry.aliases(user.id)):
        return label
    hits = [r.id for r in registry.revisions(user.id) if len(label) >= 4 and r.id.startswith(label)]
    return hits[0] if len(hits) == 1 else label


async def _events(request: Request, user: User, order: Order) -> AsyncIterator[ServeEvent]:
    here = rooms(request)
    work = here.publisher.serve(order)
    try:
        async for event in work:
            yield event if isinstance(event, ServeEvent) else _done(request, user, event)
    finally:
        await work.aclose()


def _done(request: Request, user: User, outcome: Outcome) -> ServeEvent:
    views = rooms(request).views
    endpoint = outcome.endpoint
    served = Served(
        revision=views.revision(outcome.stored),
        alias=views.alias(endpoint) if endpoint.is_alias else None,
        url=views.url(user.id, endpoint.label),
        path_url=views.path_url(user.id, endpoint.label),
        seconds=round(outcome.seconds, 3),
    )
    return ServeEvent("done", served=served)


routes = [
    Route("/v1/functions", list_functions),
    Route("/v1/functions/{name}", show_function),
    Route("/v1/functions/{name}", delete_function, methods=["DELETE"]),
    Route("/v1/functions/{name}/revisions", list_revisions),
    Route("/v1/revisions", serve, methods=["POST"]),
    Route("/v1/revisions/{id}", show_revision),
    Route("/v1/revisions/{id}", delete_revision, methods=["DELETE"]),
    Route("/v1/endpoints/{label}", set_auth, methods=["PATCH"]),
]
