"""Server-sent events: serves, log tails and changes, with keep-alives and an end at shutdown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from starlette.responses import StreamingResponse

from fal_serverless.backend.api.bugs import told
from fal_serverless.errors import to_json as error_json
from fal_serverless.models import to_json

T = TypeVar("T")

KEEP_ALIVE = 15.0
"""Seconds of silence after which a comment is sent; clients count 45 as lost."""


def event_stream(
    items: AsyncIterator[T], stopping: asyncio.Event, show: Callable[[T], str | bytes] | None = None
) -> StreamingResponse:
    """One event per item; an error ends the stream as an event `error`.

    `show` makes the event's text; None: the item as JSON.
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        _lines(items, stopping, show or _event), media_type="text/event-stream", headers=headers
    )


async def _lines(
    items: AsyncIterator[T], stopping: asyncio.Event, show: Callable[[T], str | bytes]
) -> AsyncIterator[str | bytes]:
    stop = asyncio.ensure_future(stopping.wait())
    step: asyncio.Future[T] | None = None
    try:
        # At once, so that the client has its answer's head before anything happens.
        yield ": open\n\n"
        while True:
            step = step or asyncio.ensure_future(anext(items))
            await asyncio.wait((step, stop), timeout=KEEP_ALIVE, return_when="FIRST_COMPLETED")
            if step.done():
                yield show(step.result())
                step = None
            elif stop.done():
                return
            else:
                yield ": alive\n\n"
    except StopAsyncIteration:
        return
    except Exception as exc:
        error = told(exc, "a stream")
        yield f"event: error\ndata: {json.dumps(error_json(error))}\n\n"
    finally:
        await _end(stop, step, items)


def _event(item: Any) -> str:
    return f"data: {json.dumps(to_json(item))}\n\n"


async def _end(
    stop: asyncio.Future[Any], step: asyncio.Future[Any] | None, items: AsyncIterator[Any]
) -> None:
    """Stop waiting, and let the source clean up: closing a serve's iterator cancels the serve."""
    stop.cancel()
    if step is not None and not step.done():
        step.cancel()
        await asyncio.wait((step,))
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()
