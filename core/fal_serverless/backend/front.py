"""Where a request belongs: to an endpoint, by its Host or its path, or to the control API."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from urllib.parse import quote

from starlette.types import ASGIApp

from fal_serverless import endpoint
from fal_serverless.backend.gateway.app import Gateway
from fal_serverless.backend.gateway.exchange import Receive, Scope, Send
from fal_serverless.backend.gateway.tunnel import RawAnswer, Splice, no_body
from fal_serverless.endpoint import Target


class Front:
    """The ASGI application that uvicorn runs."""

    def __init__(self, domain: str, gateway: Gateway, api: ASGIApp) -> None:
        self._domain = domain
        self._gateway = gateway
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        target = find_target(scope, self._domain)
        if target is not None:
            await self._gateway.handle(target, scope, receive, send)
        else:
            await self._api(scope, receive, send)

    async def tunnel(
        self, scope: Scope, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """A connection that asks to be upgraded; the control API has nothing to upgrade to."""
        send = RawAnswer(writer)
        target = find_target(scope, self._domain)
        if target is None:
            await self._api(scope, no_body, send)
        else:
            await self._gateway.handle(target, scope, no_body, send, Splice(reader, writer))


def find_target(scope: Scope, domain: str) -> Target | None:
    """The endpoint a request names; the host form goes before the path form."""
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    path = raw.decode("latin-1")
    for name, value in scope["headers"]:
        if name == b"host":
            by_host = endpoint.parse_host(value.decode("latin-1"), domain)
            if by_host is not None:
                return replace(by_host, path=path or "/")
            break
    return endpoint.parse_path(path)
