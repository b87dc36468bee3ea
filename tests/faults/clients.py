"""Callers and neighbours that behave badly: half requests, many connections, a taken port."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from faults.kills import answers
from faults.stage import Stage
from faults.suite import fault

SLOW = 400
"""Connections that are slow at once."""


@fault("port taken", 1)
async def port_taken(stage: Stage) -> None:
    await stage.open()
    stage.crash()
    with socket.create_server(("127.0.0.1", stage.port)):
        stage.refused(str(stage.port), "taken", "--port")
        wanted = stage.port
        await stage.start()
        assert stage.backend is not None
        stage.expect(stage.backend.port != wanted, "two on one port")
        async with stage.client() as client:
            stage.outcome.lost += await stage.ledger.check(client)
        await stage.stop()
    await stage.start()
    await stage.settle()


@asynccontextmanager
async def _connections(stage: Stage, count: int) -> AsyncIterator[list[socket.socket]]:
    loop = asyncio.get_running_loop()
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            opened.append(sock)
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(loop.sock_connect(sock, ("127.0.0.1", stage.port)), 2)
        yield opened
    finally:
        for sock in opened:
            sock.close()


@fault("too many open files", 2)
async def too_many_files(stage: Stage) -> None:
    """More connections than the backend may have files: who is in goes on, who comes waits."""
    await stage.open(FAL_SERVERLESS_HEAD_TIMEOUT="600")
    assert stage.backend is not None and stage.others is not None
    await stage.serve("cold")
    pid = stage.backend.process.pid
    limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (100, limit[1]))
    before = len(stage.backend.said)
    async with _connections(stage, 200):
        await stage.others.heard(50)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
    await answers(stage, "cold")
    said = stage.backend.said[before:]
    stage.expect(len(said) < 100, f"the backend wrote {len(said)} lines about it, as {said[-1:]}")
    await stage.settle()


@fault("slow loris: heads that never end", 1)
async def half_heads(stage: Stage) -> None:
    """They are closed after `head_timeout`; meanwhile everybody else is answered."""
    await stage.open(FAL_SERVERLESS_HEAD_TIMEOUT="2")
    await _slow(stage, b"POST /1/steady HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")


@fault("slow loris: connections that say nothing", 1)
async def silent(stage: Stage) -> None:
    await stage.open(FAL_SERVERLESS_HEAD_TIMEOUT="2")
    await _slow(stage, b"")


async def _slow(stage: Stage, begun: bytes) -> None:
    assert stage.others is not None
    loop = asyncio.get_running_loop()
    async with _connections(stage, SLOW) as opened:
        for sock in opened:
            await loop.sock_sendall(sock, begun)
        await answers(stage, "changing")
        dribble = asyncio.create_task(_dribble(opened if begun else []))
        ended = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(15):
                for sock in opened:
                    with suppress(ConnectionError):
                        while await loop.sock_recv(sock, 4096):
                            pass
                    ended += 1
        dribble.cancel()
        stage.expect(ended == SLOW, f"{ended} of {SLOW} were closed")
    stage.expect(stage.others.slowest < 5, f"another waited {stage.others.slowest:.1f} s")
    await stage.settle()


async def _dribble(opened: list[socket.socket]) -> None:
    """A byte now and then, so that nobody is silent."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(0.2)
        for sock in opened:
            with suppress(OSError):
                await loop.sock_sendall(sock, b"x")


@fault("slow loris: bodies that dribble", 1)
async def half_bodies(stage: Stage) -> None:
    """They hold a connection each, and no worker: everybody else is answered."""
    await stage.open()
    await stage.serve("listens", auth="public")
    assert stage.others is not None
    loop = asyncio.get_running_loop()
    head = "POST /1/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 999999\r\n\r\n"
    async with _connections(stage, SLOW) as opened:
        for number, sock in enumerate(opened):
            name = "steady" if number % 2 else "listens"
            await loop.sock_sendall(sock, head.format(name).encode())
        dribble = asyncio.create_task(_dribble(opened))
        for _ in range(5):
            await stage.others.heard(20)
            await answers(stage, "changing")
        dribble.cancel()
    stage.expect(stage.others.slowest < 5, f"another waited {stage.others.slowest:.1f} s")
    await stage.settle()
