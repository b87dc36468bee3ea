"""Figures: a page for Prometheus, and the past for people."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fal_serverless.backend import credentials
from fal_serverless.backend.api.context import answer, caller, rooms, whole_number
from fal_serverless.backend.metrics.exposition import CONTENT_TYPE
from fal_serverless.backend.network import is_loopback
from fal_serverless.errors import BadInput

PROXIED = ("forwarded", "x-forwarded-for", "via")
"""Headers of what comes through a proxy on this machine, from anywhere."""
PARTS = 40
MOST = 999_999_999
"""The largest number that is looked at."""


async def show_metrics(request: Request) -> Response:
    """With a key what its owner may see, without one everything where that is allowed."""
    here = rooms(request)
    everything = here.metrics_public and _is_from_here(request) and not _has_key(request)
    user = None if everything else caller(request).id
    return Response(await here.figures.page(user), media_type=CONTENT_TYPE)


async def show_series(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    unknown = sorted(set(request.query_params) - {"seconds", "function", "parts"})
    if unknown:
        raise BadInput(f"unknown parameter '{unknown[0]}'; there are: function, parts, seconds")
    function = request.query_params.get("function", "")
    if function:
        here.registry.function_revisions(user.id, function)
    seconds, parts = _number(request, "seconds", 300), _number(request, "parts", PARTS)
    return answer(await here.figures.pulse(user.id, seconds, function, parts))


def _number(request: Request, name: str, default: int) -> int:
    value = request.query_params.get(name, str(default))
    found = whole_number(value, MOST)
    if found is None:
        raise BadInput(f"'{name}' must be a whole number, not {value[:100]!r}")
    return found


def _is_from_here(request: Request) -> bool:
    """Nobody between, as far as that can be known."""
    if request.client is None or any(name in request.headers for name in PROXIED):
        return False
    return is_loopback(request.client.host)


def _has_key(request: Request) -> bool:
    found = credentials.find(request.scope["headers"], request.scope["query_string"])
    return found.credential is not None


routes = [
    Route("/metrics", show_metrics),
    Route("/v1/metrics/series", show_series),
]
