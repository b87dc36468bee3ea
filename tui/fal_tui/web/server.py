"""Serves the application to browsers of this machine until ctrl+c.

textual-serve gives the page's scripts and speaks with the application; who may have it is the
matter of `guard`, one process for each open tab that of `tab`.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web
from textual_serve.server import Server, to_int

from fal_serverless.errors import PortTaken
from fal_tui.web.guard import COOKIE, Keyring, refusal, same
from fal_tui.web.page import FOCUS, page, policy
from fal_tui.web.tab import Tab

HOST = "127.0.0.1"
MOST_TABS = 16
"""Open at once: each is a process."""
BIGGEST = 1000
"""Columns or rows that a browser may ask for."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebServer(Server):
    """`words` are what `fal-tui` is given in each tab."""

    def __init__(self, words: Sequence[str], keyring: Keyring, title: str = "fal-tui") -> None:
        super().__init__(command="fal-tui", host=HOST, title=title)
        self.words = (sys.executable, "-m", "fal_tui", *words)
        self.keyring = keyring
        self.tabs: set[Tab] = set()
        """Those that are open."""
        self.base = f"/{keyring.room}"

    def make(self) -> web.Application:
        """Everything below the room; outside there is nothing."""
        app = web.Application(middlewares=[self._guarded])
        app.add_routes(
            [
                web.get(f"{self.base}/", self.handle_index),
                web.get(f"{self.base}/focus.js", self.handle_focus),
                web.get(f"{self.base}/ws", self.handle_websocket),
                web.get(f"{self.base}/download/{{key}}", self.handle_download),
                web.static(f"{self.base}/static", self.statics_path),
            ]
        )
        app.on_shutdown.append(self._end_tabs)
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await self._answer(request, handler)
        if not answer.prepared:
            answer.headers.update(policy(request.host if answer.status < 400 else HOST))
        return answer

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        websocket = request.path == f"{self.base}/ws"
        why = refusal(request.headers, websocket=websocket)
        if why:
            return _refused(why)
        if same(request.query.get("token"), self.keyring.token):
            return self._admitted()
        if not same(request.cookies.get(COOKIE), self.keyring.cookie):
            return _refused("open the address that fal-tui --web printed, with its token")
        try:
            return await handler(request)
        except web.HTTPException as said:
            return web.Response(status=said.status, text=said.reason)

    def _admitted(self) -> web.Response:
        """On to the address without the token: it does not stay in the address bar."""
        answer = web.Response(status=303, headers={"Location": f"{self.base}/"})
        answer.set_cookie(
            COOKIE, self.keyring.cookie, path=f"{self.base}/", httponly=True, samesite="Strict"
        )
        return answer

    async def handle_index(self, request: web.Request) -> web.Response:
        size = request.query.get("fontsize", "")
        text = page(request.host, self.base, size, self.title)
        return web.Response(text=text, content_type="text/html")

    async def handle_focus(self, _: web.Request) -> web.Response:
        return web.Response(text=FOCUS, content_type="text/javascript")

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """One tab: its process runs for as long as the connection is there."""
        if len(self.tabs) >= MOST_TABS:
            raise web.HTTPServiceUnavailable(reason=f"{MOST_TABS} tabs are open; close one")
        socket = web.WebSocketResponse(heartbeat=15)

        async def close() -> None:
            await socket.close()

        tab = Tab(
            self.command,
            write_bytes=socket.send_bytes,
            write_str=socket.send_str,
            close=close,
            download_manager=self.download_manager,
        )
        tab.words = self.words
        self.tabs.add(tab)
        try:
            await socket.prepare(request)
            width, height = (_cells(request, name, much) for name, much in SIZE)
            await tab.start(width, height)
            await self._process_messages(socket, tab)
        except (AssertionError, AttributeError, LookupError, TypeError, ValueError):
            await socket.close(code=1003, message=b"not what the page sends")
        finally:
            await asyncio.shield(self._end(tab))
        return socket

    async def _end(self, tab: Tab) -> None:
        try:
            await tab.stop()
        finally:
            self.tabs.discard(tab)

    async def _end_tabs(self, _: web.Application) -> None:
        await asyncio.gather(*(self._end(tab) for tab in tuple(self.tabs)))


SIZE = (("width", 80), ("height", 24))


def _cells(request: web.Request, name: str, otherwise: int) -> int:
    return min(max(to_int(request.query.get(name, ""), otherwise), 1), BIGGEST)


def _refused(why: str) -> web.Response:
    return web.Response(status=403, text=f"{why}\n")


async def serve(words: Sequence[str], port: int, say: Callable[[str], None]) -> None:
    """Until ctrl+c or SIGTERM; `say` gets the address once it answers. Raises PortTaken.

    Port 0 is any free one.
    """
    server = WebServer(words, Keyring())
    runner = web.AppRunner(server.make(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    try:
        await _listen(runner, port)
        address = f"http://{HOST}:{runner.addresses[0][1]}{server.base}/"
        say(f"{address}?token={server.keyring.token}")
        await ended.wait()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int) -> None:
    try:
        await web.TCPSite(runner, HOST, port).start()
    except OSError as error:
        raise PortTaken(f"port {port} is taken; give another one with --web-port") from error
