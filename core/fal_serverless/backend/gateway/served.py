"""Calls of `serve=True` functions: POST / with arguments in, the return value out.

GET of `PAGES` tells how to call it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fal_serverless.backend.engine import Call, LocalEngine, Spec
from fal_serverless.backend.gateway import docs, openapi
from fal_serverless.backend.gateway.answers import header_value
from fal_serverless.backend.gateway.exchange import ClientGone, Exchange
from fal_serverless.backend.gateway.openapi import Subject
from fal_serverless.errors import MethodNotAllowed, NotFound

Result = TypeVar("Result")

DOCUMENT, PAGE = "/openapi.json", "/docs"
PAGES = (DOCUMENT, PAGE)
MAX_QUESTION = 64 * 1024
"""Bytes of a body that nobody looks at: a GET may have one."""


async def call(exchange: Exchange, engine: LocalEngine, spec: Spec, alias: str, limit: int) -> None:
    """Run the function and answer, after `check`. Raises what `errors` has for it, ClientGone."""
    body = await exchange.body(limit)
    work = engine.call(spec, _call_of(exchange, body), alias)
    reply = await _unless_gone(exchange, work)
    exchange.cold = reply.cold
    exchange.worker = reply.worker
    headers = [(name.encode("latin-1"), header_value(value)) for name, value in reply.headers]
    if isinstance(reply.body, bytes):
        await exchange.answer(reply.status, headers, reply.body)
        return
    await exchange.start(reply.status, headers)
    await _stream(exchange, reply.body)


def check(method: str, path: str) -> None:
    """A served function has one address and one method, and two pages about it."""
    if path in PAGES:
        if method not in ("GET", "HEAD"):
            raise MethodNotAllowed(f"method {method} is not allowed at {path}", allow="GET, HEAD")
        return
    if path not in ("", "/"):
        raise NotFound(
            f"a served function answers at / only, not at {path}; {PAGE} tells how to call it"
        )
    if method != "POST":
        raise MethodNotAllowed(
            f"method {method} is not allowed: call the function with POST", allow="POST, OPTIONS"
        )


async def describe(exchange: Exchange, engine: LocalEngine, spec: Spec, subject: Subject) -> None:
    """Answer with one of the `PAGES`. Raises what `errors` has for a worker."""
    await exchange.body(MAX_QUESTION)
    told = await _unless_gone(exchange, engine.description(spec, exchange.request_id))
    headers = [(b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer")]
    if subject.path == DOCUMENT:
        headers.append((b"content-type", b"application/json"))
        content = json.dumps(openapi.document(subject, told), ensure_ascii=False)
    else:
        content, policy = docs.page(subject, told, _own_url(exchange, subject))
        headers.append((b"content-type", b"text/html; charset=utf-8"))
        headers.append((b"content-security-policy", policy.encode()))
        headers.append((b"x-content-type-options", b"nosniff"))
    await exchange.answer(200, headers, content.encode())


def _own_url(exchange: Exchange, subject: Subject) -> str:
    """As the caller has it."""
    host = (exchange.header(b"host") or b"").decode("latin-1")
    return f"{exchange.scope.get('scheme', 'http')}://{host}{subject.base}/"


def _call_of(exchange: Exchange, body: bytes) -> Call:
    query = exchange.query.decode("latin-1")
    return Call(
        request_id=exchange.request_id,
        query=parse_qsl(query, keep_blank_values=True),
        content_type=(exchange.header(b"content-type") or b"").decode("latin-1"),
        headers=[(n.decode("latin-1"), v.decode("latin-1")) for n, v in exchange.headers],
        body=body,
    )


async def _unless_gone(exchange: Exchange, asked: Coroutine[Any, Any, Result]) -> Result:
    """What was asked for; a caller who hangs up cancels it."""
    work = asyncio.ensure_future(asked)
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
