"""Slow, asynchronous work that reports on the way."""

import asyncio
import logging
import random

from fal_serverless import isolated

log = logging.getLogger("resize")


@isolated(serve=True, keep_alive=60, max_multiplexing=4)
async def resize(width: int = 1024, height: int = 768) -> dict[str, int | str]:
    """Pretend to resize a picture; now and then one is too large."""
    log.debug("asked for %d x %d", width, height)
    for step in ("decode", "scale", "encode"):
        print(f"{step} {width}x{height}", flush=True)
        await asyncio.sleep(random.uniform(0.05, 0.2))
    if width * height > 30_000_000:
        log.error("picture of %d megapixels is too large", width * height // 1_000_000)
        raise ValueError("too large")
    return {"picture": f"{width}x{height}.webp", "bytes": width * height // 9}
