"""What a request says of itself comes back in no header of its own making, and in one line."""

from __future__ import annotations

import asyncio
import re

import pytest

from backend.gateway.raw import Wire, exchange, wire
from fal_serverless.client import Client
from fal_serverless.models import LogQuery
from running import RunningBackend, StartBackend
from security.tally import tried
from serving import serve

pytestmark = pytest.mark.bad("header injection")
CONTROLS = [*range(0x20), 0x7F, 0x80, 0x85, 0xFF]
ESCAPED = ("%0d%0aX-Evil:%201", "%0aX-Evil:%201", "%0d", "%00", "%E5%98%8A%E5%98%8DX-Evil:1")
PLACES = {
    "path": "GET /1/injected/a{evil} HTTP/1.1\r\nHost: localhost\r\n",
    "query": "GET /1/injected/a?q={evil} HTTP/1.1\r\nHost: localhost\r\n",
    "path of nobody": "GET /1/nobody/{evil} HTTP/1.1\r\nHost: localhost\r\n",
    "path of a served function": "GET /1/injected-texts/{evil} HTTP/1.1\r\nHost: localhost\r\n",
    "path of the control API": "GET /v1/{evil} HTTP/1.1\r\nHost: localhost\r\n",
    "host": "GET /1/injected/a HTTP/1.1\r\nHost: local{evil}host\r\n",
    "request id": "GET /1/injected/a HTTP/1.1\r\nHost: localhost\r\nX-Fal-Request-Id: a{evil}b\r\n",
    "request id of a call": (
        "POST /1/injected-texts HTTP/1.1\r\nHost: localhost\r\nX-Fal-Request-Id: a{evil}b\r\n"
        'Content-Length: 13\r\nContent-Type: application/json\r\n\r\n{{"text": "a"}}'
    ),
    "origin": "OPTIONS /1/injected/a HTTP/1.1\r\nHost: localhost\r\nOrigin: a{evil}b\r\n",
    "forwarded": "GET /1/injected/a HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: a{evil}b\r\n",
    "method": "GE{evil}T /1/injected/a HTTP/1.1\r\nHost: localhost\r\n",
}
"""Where a stranger's text may stand that is told again: in an answer, to a function, in a log."""


@pytest.fixture(scope="module")
def stage(backends: StartBackend) -> RunningBackend:
    backend = backends()

    async def prepare() -> None:
        async with backend.client() as client:
            await serve(
                backend, client, "recording_server.py", "recording_server", "injected", "public"
            )
            await serve(backend, client, "texts.py", "call_text", "injected-texts", "public")

    asyncio.run(prepare())
    return backend


@pytest.mark.parametrize("place", PLACES)
async def test_no_byte_makes_a_header_of_its_own(stage: RunningBackend, place: str) -> None:
    evil = [chr(code) + "X-Evil: 1" for code in CONTROLS]
    evil += [chr(code) + "\nX-Evil: 1" for code in (0x0D, 0x20)] + list(ESCAPED)
    for text in evil:
        tried()
        sent = PLACES[place].format(evil=text)
        if "\r\n\r\n" not in sent:
            sent += "Connection: close\r\n\r\n"
        async with wire(stage) as connection:
            await connection.send(sent.encode("latin-1"))
            head = await connection.head()
        lines = head.lower().split(b"\r\n")
        assert re.match(rb"http/1\.1 [2-4]\d\d ", lines[0]), (text, head)
        assert not any(line.startswith(b"x-evil") for line in lines), (text, head)
        assert not re.search(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]", head), (text, head)
        assert head.count(b"\n") == head.count(b"\r\n") == head.count(b"\r"), (text, head)
        ids = [line for line in lines if line.startswith(b"x-fal-request-id:")]
        assert all(re.fullmatch(rb"x-fal-request-id: [a-z0-9._-]{1,64}", one) for one in ids)


async def test_the_functions_server_hears_no_header_that_was_not_sent(
    stage: RunningBackend,
) -> None:
    async with wire(stage) as connection:
        await tell(connection)
        for text in ESCAPED:
            tried()
            sent = f"GET /1/injected/a{text} HTTP/1.1\r\nHost: localhost\r\nX-Real: {text}\r\n\r\n"
            await connection.ask(sent.encode())
            (heard,) = await tell(connection)
            names = [line.partition(":")[0].lower() for line in heard.split("\r\n")]
            assert "x-evil" not in names and heard.split()[1] == f"/a{text}"


async def tell(connection: Wire) -> list[str]:
    import json

    answer = await connection.ask(b"GET /1/injected/told HTTP/1.1\r\nHost: localhost\r\n\r\n")
    found: list[str] = json.loads(answer.body)
    return found


async def test_one_request_is_one_line_of_the_log(backend: RunningBackend, client: Client) -> None:
    """Whatever its path holds."""
    await serve(backend, client, "texts.py", "call_text", "one-line", "public")
    for number, text in enumerate(ESCAPED):
        tried()
        sent = f"GET /1/one-line/x{number}{text} HTTP/1.1\r\nHost: localhost\r\nConnection: close"
        await exchange(backend, f"{sent}\r\n\r\n".encode())
    seen: list[str] = []
    async for entry in client.tail(LogQuery(label="one-line", sources=("request",))):
        seen.append(entry.message)
        if len(seen) == len(ESCAPED):
            break
    for number, message in enumerate(sorted(seen)):
        assert f"/x{number}" in message and len(message.splitlines()) == 1, message
