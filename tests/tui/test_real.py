"""The application over a real backend: served, rolled back, undone, killed and come back."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

from bundles import Write
from fal_serverless import source
from fal_serverless.client import Client
from fal_serverless.config import load
from fal_serverless.models import Served
from fal_tui.app import FalTui, Start
from fal_tui.screens.confirm import ConfirmScreen
from fal_tui.screenshot import camera
from running import RunningBackend, StartBackend

SIZE = (160, 45)
FILE = """
from fal_serverless import isolated

@isolated(serve=True)
def {name}(text: str = "x"):
    print("said {word}", flush=True)
    return "{word} " + text
"""


async def serve(backend: RunningBackend, client: Client, path: Path, name: str) -> Served:
    bundle = await source.bundle(path, name, config=backend.config, log=lambda _: None)
    async with aclosing(client.serve(bundle, alias=name)) as events:
        async for event in events:
            if event.served is not None:
                return event.served
    raise AssertionError("the serve ended without a result")


async def twice(
    backend: RunningBackend, client: Client, write: Write, name: str
) -> tuple[Served, Served]:
    """Two revisions of a function under an alias of its name."""
    made = []
    for word in ("one", "two"):
        path = write(FILE.format(name=name, word=word), f"{name}.py")
        made.append(await serve(backend, client, path, name))
    return made[0], made[1]


def app_of(backend: RunningBackend) -> FalTui:
    config = load(backend.env)
    return FalTui(config, config.context())


async def test_rolled_back_from_the_keyboard_and_undone(
    backend: RunningBackend, client: Client, write: Write
) -> None:
    first, second = await twice(backend, client, write, "turn")
    async with camera(app_of(backend), SIZE) as seen:
        await seen.press("colon", *"rev turn", "enter")
        await seen.until(lambda: "▶ turn" in seen.text(), "the revisions")
        await seen.press("G", "R")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        await seen.press("y")
        await seen.until(lambda: "Rolled back turn" in seen.text(), "the toast")
        assert (await client.alias("turn")).revision == first.revision.id
        assert (await client.invoke("turn", b"{}")).body == b'"one x"'
        await seen.press("z")
        await seen.until(lambda: "Undone: turn" in seen.text(), "the undo")
        assert (await client.alias("turn")).revision == second.revision.id


async def test_the_log_pane_follows_calls(
    backend: RunningBackend, client: Client, write: Write
) -> None:
    await twice(backend, client, write, "tailed")
    async with camera(app_of(backend), SIZE) as seen:
        await seen.press("colon", *"logs tailed", "enter")
        await client.invoke("tailed", b"{}")
        await seen.until(lambda: "said two" in seen.text(), "the printed line")
        await seen.until(lambda: "POST / 200" in seen.text(), "the request's line")


async def test_public_at_once_and_private_again(
    backend: RunningBackend, client: Client, write: Write
) -> None:
    await twice(backend, client, write, "opened")
    stranger = Client(backend.url)
    stranger._user = await client.user()
    async with camera(app_of(backend), SIZE) as seen, stranger:
        await seen.press("colon", *"alias opened", "enter", "A", "enter")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        await seen.press("y")
        await seen.until(lambda: "opened is public now" in seen.text(), "the toast")
        assert (await stranger.invoke("opened", b"{}")).status == 200
        await seen.press("z")
        await seen.until(lambda: "opened is private again" in seen.text(), "the undo")
        assert (await stranger.invoke("opened", b"{}")).status == 401


async def test_a_killed_backend_is_offline_and_comes_back_on_demand(
    backends: StartBackend, write: Write
) -> None:
    backend = backends()
    async with backend.client() as client:
        await twice(backend, client, write, "kept")
    async with camera(app_of(backend), SIZE) as seen:
        backend.kill()
        await seen.until(lambda: "● live" not in seen.text(), "the loss")
        assert "kept" in seen.text()
        await asyncio.to_thread(backends, backend.home, backend.port)
        await seen.until(lambda: "● live" in seen.text(), "the return")
        await seen.until(lambda: "kept" in seen.text(), "the function")


async def test_a_file_is_served_from_the_start_noted_and_gone_back_from(
    backend: RunningBackend, client: Client, write: Write
) -> None:
    _, second = await twice(backend, client, write, "fresh")
    path = write(FILE.format(name="fresh", word="three"), "fresh.py")
    config = load(backend.env)
    app = FalTui(config, config.context(), start=Start(path=path))
    async with camera(app, SIZE) as seen:
        await seen.until(lambda: "Moves fresh from" in seen.text(), "the form")
        await seen.press("ctrl+s")
        await seen.until(lambda: "live on fresh" in seen.text(), "the serve")
        assert (await client.invoke("fresh", b"{}")).body == b'"three x"'
        await seen.press("enter")
        await seen.until(lambda: "z goes back to" in seen.text(), "the toast")
        await seen.press("z")
        await seen.until(lambda: "Undone: fresh" in seen.text(), "the undo")
        assert (await client.alias("fresh")).revision == second.revision.id
        await seen.press("7", "ctrl+w")
        await seen.until(lambda: "Served" in seen.text(), "the activity")
        assert f"fal-serverless function serve {path}"[:60] in seen.text()
