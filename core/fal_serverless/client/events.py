"""Server-sent events in what comes over the wire, bit by bit. Pure."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator


async def events_in(chunks: AsyncIterator[bytes]) -> AsyncGenerator[tuple[str, bytes, bytes], None]:
    """Server-sent events as (name, id, data); comments are keep-alives. What is cut is none."""
    buffer = bytearray()
    async for chunk in chunks:
        looked = max(0, len(buffer) - 1)
        buffer += chunk
        if buffer.find(b"\n\n", looked) < 0:
            continue
        *whole, rest = bytes(buffer).split(b"\n\n")
        buffer = bytearray(rest)
        for event in whole:
            fields = dict(line.partition(b":")[::2] for line in event.split(b"\n"))
            if b"data" in fields or b"id" in fields:
                name = fields.get(b"event", b"").strip().decode()
                yield name, fields.get(b"id", b"").strip(), fields.get(b"data", b"").strip()
