"""Calls of `serve=True` functions: POST / with arguments in, the return value out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl

from fal_serverless.backend.engine import Call, LocalEngine, Reply, Spec
from fal_serverless.backend.gateway.exchange import ClientGone, Exchange
from fal_serverless.errors import MethodNotAllowed, NotFound


async def call(
    exchange: Exchange, engine: LocalEngine, spec: Spec, path: str, alias: str, limit: int
) -> None:
    """Run the function and answer. Raises what `errors` has for it, ClientGone."""
    check(exchange.method, path)
    body = await exchange.body(limit)
    reply = await _unless_gone(exchange, engine, spec, _call_of(exchange, body), alias)
    exchange.cold = reply.cold
    exchange.worker = reply.worker
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    if isinstance(reply.body, bytes):
        await exchange.answer(reply.status, headers, reply.body)
        return
    await exchange.start(reply.status, headers)
    await _stream(exchange, reply.body)


def check(method: str, path: str) -> None:
    """A served function has one address and one method."""
    if path not in ("", "/"):
        raise NotFound(f"a served function answers at / only, not at {path}")
    if method != "POST":
        raise MethodNotAllowed(
            f"method {method} is not allowed: call the function with POST", allow="POST, OPTIONS"
        )


def _call_of(exchange: Exchange, body: bytes) -> Call:
    query = exchange.query.decode("latin-1")
    return Call(
        request_id=exchange.request_id,
        query=parse_qsl(query, keep_blank_values=True),
        content_type=(exchange.header(b"content-type") or b"").decode("latin-1"),
        headers=[(n.decode("latin-1"), v.decode("latin-1")) for n, v in exchange.headers],
        body=body,
    )


async def _unless_gone(
    exchange: Exchange, engine: LocalEngine, spec: Spec, request: Call, alias: str
) -> Reply:
    """The reply; a caller who hangs up cancels the call."""
    work = asyncio.ensure_future(engine.call(spec, request, alias))
    gone = asyncio.ensure_future(exchange.gone())
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ClientGone
    finally:
        gone.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait((work,))


async def _stream(exchange: Exchange, chunks: AsyncIterator[bytes]) -> None:
    """Send chunks as they come; a caller who hangs up ends the function's generator."""
    gone = asyncio.ensure_future(exchange.gone())
    iterator = aiter(chunks)
    try:
        while True:
            step = asyncio.ensure_future(anext(iterator, None))
            await asyncio.wait((step, gone), return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                step.cancel()
                await asyncio.wait((step,))
                raise ClientGone
            chunk = step.result()
            if chunk is None:
                await exchange.write(b"", more=False)
                return
            await exchange.write(chunk, more=True)
    finally:
        gone.cancel()
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()
