"""Served functions that the gateway's tests call."""

import asyncio
import os
import time

from fal_serverless import isolated


@isolated(serve=True, keep_alive=60)
def call_text(text: str, times: int = 1) -> str:
    print("asked for", text)
    return text * times


@isolated(serve=True, keep_alive=60, max_concurrency=1)
def crash(text: str) -> str:
    os._exit(7)


@isolated(serve=True, keep_alive=60, max_concurrency=1)
def fail(text: str) -> str:
    raise ValueError(f"secret detail of {text}")


@isolated(serve=True, keep_alive=60)
def count(upto: int):
    for n in range(upto):
        yield f"{n}\n"


@isolated(serve=True, keep_alive=60, max_multiplexing=8, max_concurrency=1)
async def wait(seconds: float) -> str:
    print("waits for", seconds)
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        print("cancelled")
        raise
    return "waited"


@isolated(serve=True, keep_alive=60, max_multiplexing=2, max_concurrency=1)
async def ticks(go: bool = False):
    asked = ticks.__dict__.setdefault("asked", asyncio.Event())
    if go:
        asked.set()
        return
    yield {"n": 0}
    await asked.wait()
    yield {"n": 1}


@isolated(serve=True, keep_alive=60)
def lines(n: int):
    for number in range(n):
        yield f"line {number}\n"


@isolated(serve=True, keep_alive=60, max_concurrency=1, request_timeout=0.5)
def slow() -> str:
    time.sleep(60)
    return "never"


@isolated(serve=True, keep_alive=0.2)
def brief() -> int:
    return os.getpid()


@isolated(serve=True, setup_function=lambda: {"loaded": os.getpid()})
def prepared(state: dict) -> dict:
    return state
