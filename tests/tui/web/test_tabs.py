"""Tabs of `fal-tui --web` whose program says nothing and does not end by itself."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from fal_tui.web import server as server_module
from fal_tui.web import tab as tab_module
from fal_tui.web.guard import COOKIE, Keyring
from fal_tui.web.page import page
from fal_tui.web.server import WebServer
from tui.terminal import wait_until_gone


async def tabs(server: WebServer, count: int) -> list[int]:
    """Process ids of so many, once they are there."""
    async with asyncio.timeout(20):
        while True:
            pids = [tab.pid for tab in server.tabs if tab.pid is not None]
            if len(pids) == len(server.tabs) == count:
                return pids
            await asyncio.sleep(0.01)


async def test_there_are_no_more_than_so_many_and_none_outlives_its_connection_or_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_module, "MOST_TABS", 1)
    monkeypatch.setattr(tab_module, "PATIENCE", 0.2)
    server = WebServer([], Keyring())
    server.words = ("sleep", "600")
    async with TestClient(TestServer(server.make())) as client:
        headers = {
            "Cookie": f"{COOKIE}={server.keyring.cookie}",
            "Origin": f"http://127.0.0.1:{client.port}",
        }
        first = await client.ws_connect(f"{server.base}/ws", headers=headers)
        pids = await tabs(server, 1)
        with pytest.raises(aiohttp.WSServerHandshakeError) as full:
            await client.ws_connect(f"{server.base}/ws", headers=headers)
        assert full.value.status == 503
        await first.close()
        await tabs(server, 0)
        await client.ws_connect(f"{server.base}/ws", headers=headers)
        pids += await tabs(server, 1)
        await client.server.app.shutdown()
        await asyncio.to_thread(wait_until_gone, pids)


@pytest.mark.parametrize(("asked", "got"), [("20", 20), ("999", 48), ("1", 8), ("x", 16), ("", 16)])
def test_the_page_has_a_font_that_can_be_read(asked: str, got: int) -> None:
    assert f'data-font-size="{got}"' in page("127.0.0.1", "/room", asked, "fal-tui")
