"""`fal-tui --web` over a real backend: who gets the terminal, and what ends when."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from fal_tui.__main__ import parser, tab_words
from fal_tui.web.guard import COOKIE
from running import RunningBackend
from tui.terminal import PATIENCE, wait_until_gone


@dataclass
class Web:
    """One `fal-tui --web`."""

    process: subprocess.Popen[str]
    url: str
    """As it was printed."""

    @property
    def page(self) -> str:
        return self.url.partition("?")[0]

    @property
    def origin(self) -> str:
        return "http://" + urlsplit(self.url).netloc

    def tabs(self) -> list[int]:
        """Process ids of its tabs."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]


def start(env: dict[str, str], *words: str) -> Web:
    process = subprocess.Popen(
        [sys.executable, "-m", "fal_tui", "--web", *words],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    return Web(process, process.stdout.readline().strip())


@pytest.fixture
def web(backend: RunningBackend) -> Iterator[Web]:
    found = start(backend.env)
    yield found
    found.process.send_signal(signal.SIGTERM)
    assert found.process.wait(PATIENCE) == 0


@asynccontextmanager
async def admitted(web: Web) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser that came by the printed address."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        answer = await session.get(web.url)
        assert answer.status == 200 and str(answer.url) == web.page
        yield session


async def until(socket: aiohttp.ClientWebSocketResponse, needle: bytes) -> None:
    """Read until it was drawn."""
    seen = b""
    async with asyncio.timeout(PATIENCE):
        while needle not in seen:
            message = await socket.receive()
            assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), message
            seen += message.data if isinstance(message.data, bytes) else b""


async def status(session: aiohttp.ClientSession, url: str, **headers: str) -> int:
    async with session.get(url, headers=headers, allow_redirects=False) as answer:
        return answer.status


async def test_without_the_token_there_is_nothing(web: Web) -> None:
    paths = ["", "ws", "focus.js", "static/js/textual.js", "download/x"]
    async with aiohttp.ClientSession() as session:
        for url in [web.origin, *(web.page + path for path in paths)]:
            assert await status(session, url, Origin=web.origin) == 403, url
            assert await status(session, f"{url}?token=wrong", Origin=web.origin) == 403, url
            assert await status(session, url, Cookie=f"{COOKIE}=wrong", Origin=web.origin) == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(web.page + "ws", origin=web.origin)
    assert caught.value.status == 403 and web.tabs() == []


async def test_the_token_is_changed_for_a_cookie_of_the_room_alone(web: Web) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(web.url, allow_redirects=False) as answer,
    ):
        assert answer.status == 303 and answer.headers["Location"] == urlsplit(web.page).path
        cookie = answer.cookies[COOKIE]
        assert cookie["path"] == urlsplit(web.page).path and cookie["samesite"] == "Strict"
        assert cookie["httponly"] and cookie.value not in web.url
        assert answer.headers["Referrer-Policy"] == "no-referrer"


async def test_other_hosts_and_origins_are_refused_even_with_the_cookie(web: Web) -> None:
    async with admitted(web) as session:
        assert await status(session, web.page) == 200
        assert await status(session, web.page + "static/js/textual.js") == 200
        assert await status(session, web.page, Host="evil.com") == 403
        assert await status(session, web.url, Host="evil.com") == 403
        assert await status(session, web.page, Origin="http://evil.com") == 403
        for headers in ({}, {"Origin": "http://evil.com"}, {"Origin": "http://127.0.0.1:1"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(web.page + "ws", headers=headers)
            assert caught.value.status == 403
    assert web.tabs() == []


async def test_it_listens_on_loopback_alone(web: Web) -> None:
    port = urlsplit(web.url).port
    listening = [
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
    ]
    assert listening == [f"0100007F:{port:04X}"]


async def test_a_tab_is_a_terminal_and_ends_with_its_connection(web: Web) -> None:
    async with admitted(web) as session:
        socket = await session.ws_connect(web.page + "ws?width=120&height=40", origin=web.origin)
        await until(socket, b"live")
        [pid] = web.tabs()
        await socket.send_json(["stdin", "?"])
        await until(socket, b"WHAT IT DOES")
        await socket.close()
        await asyncio.to_thread(wait_until_gone, [pid])


async def test_quitting_inside_closes_the_connection(web: Web) -> None:
    async with admitted(web) as session:
        socket = await session.ws_connect(web.page + "ws", origin=web.origin)
        await until(socket, b"live")
        await socket.send_json(["stdin", ":"])
        await until(socket, b"moves of an alias")
        await socket.send_json(["stdin", "q\r"])
        await until(socket, b"goes on serving")
        await socket.send_json(["stdin", "q"])
        async with asyncio.timeout(PATIENCE):
            async for _ in socket:
                pass
        assert socket.closed


async def test_what_the_page_never_sends_ends_the_tab_and_not_the_server(web: Web) -> None:
    async with admitted(web) as session:
        for text in ('{"no": "list"}', '["resize"]', "not json", '["stdin", 5]'):
            socket = await session.ws_connect(web.page + "ws", origin=web.origin)
            await socket.send_str(text)
            async with asyncio.timeout(PATIENCE):
                async for _ in socket:
                    pass
            assert socket.close_code == 1003, text
        assert await status(session, web.page) == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_all_tabs_end_with_the_program(
    backend: RunningBackend, number: signal.Signals
) -> None:
    web = start(backend.env)
    async with admitted(web) as session:
        sockets = [await session.ws_connect(web.page + "ws", origin=web.origin) for _ in range(2)]
        for socket in sockets:
            await until(socket, b"live")
        pids = web.tabs()
        assert len(pids) == 2
        web.process.send_signal(number)
        await asyncio.to_thread(wait_until_gone, pids)
        assert web.process.wait(PATIENCE) == (-9 if number == signal.SIGKILL else 0)


def test_a_taken_port_is_said(web: Web, backend: RunningBackend) -> None:
    port = str(urlsplit(web.url).port)
    done = subprocess.run(
        [sys.executable, "-m", "fal_tui", "--web", "--web-port", port],
        env=backend.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and f"port {port} is taken" in done.stderr and not done.stdout


def test_tabs_get_what_the_program_was_given(tmp_path: Path) -> None:
    path = tmp_path / "-x y.py"
    given = parser().parse_args(["--web", "--context", "prod", "--", str(path)])
    assert tab_words(given) == ["--context", "prod", "--", str(path)]
    given = parser().parse_args(["--web", "--readonly", "--demo"])
    assert tab_words(given) == ["--readonly", "--demo"]
