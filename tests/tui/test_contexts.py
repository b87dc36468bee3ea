"""Several backends in one run of the application: real ones, and one that does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fal_serverless.config import Config, Context, load, save_context
from fal_serverless.errors import ReadOnly
from fal_tui.app import FalTui, Start
from fal_tui.flows import contexts
from fal_tui.screenshot import Camera, camera
from fal_tui.turns import FLOW
from running import RunningBackend, StartBackend
from serving import serve


def known(backend: RunningBackend, name: str, **flags: bool) -> Context:
    """A running backend as a context of another machine."""
    own = backend.config.context()
    return replace(own, name=name, url=backend.url, **flags)


@pytest.fixture
def config(tmp_path: Path, backend: RunningBackend, backends: StartBackend) -> Config:
    environ = {"FAL_SERVERLESS_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    paths = load(environ).paths
    save_context(paths, known(backend, "here"))
    save_context(paths, known(backends(), "other", protected=True))
    save_context(paths, known(backend, "looking", readonly=True))
    save_context(paths, Context("gone", "http://127.0.0.1:9", "1", "a:b"))
    return load(environ)


@asynccontextmanager
async def opened(config: Config, size: tuple[int, int] = (120, 30)) -> AsyncIterator[Camera]:
    app: Any = FalTui(config, config.context("here"), start=Start())
    async with camera(app, size) as seen:
        yield seen


def head(seen: Camera) -> str:
    return seen.text().splitlines()[0]


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_another_context_is_another_backend_with_its_own_lists(
    config: Config, backend: RunningBackend, size: tuple[int, int]
) -> None:
    async with backend.client() as client:
        await serve(backend, client, "texts.py", "call_text", "only-here")
    async with opened(config, size) as seen:
        await seen.until(lambda: "only-here" in seen.text(), "the function")
        before = seen.app.host
        await seen.press("colon", *"ctx other", "enter")
        await seen.until(lambda: "● live" in head(seen) and "other" in head(seen), "the other")
        assert "PROTECTED" in head(seen) and "only-here" not in seen.text()
        assert "No functions yet. Press S to serve a file." in seen.text()
        assert before is not None and before.link.client is None
        assert seen.app.screen is seen.app.main


async def test_one_leaves_a_backend_that_does_not_answer(
    config: Config, backend: RunningBackend
) -> None:
    async with opened(config) as seen:
        await seen.press("colon", *"ctx gone", "enter")
        await seen.until(lambda: "◐ retrying" in head(seen), "the lost one")
        assert "no backend answers at http://127.0.0.1:9" in seen.text()
        await seen.press("colon", *"ctx here", "enter")
        await seen.until(lambda: "● live" in head(seen), "the first again")


async def test_one_stays_while_something_is_not_finished(config: Config) -> None:
    async with opened(config) as seen:
        app, over = seen.app, asyncio.Event()
        assert app.host is not None
        app.run_worker(over.wait(), name="serve", group=FLOW)
        app.run_worker(contexts.change_context(app, app.host, "gone"), group=FLOW)
        await seen.until(lambda: "'serve' is not finished" in seen.text(), "the reason")
        over.set()
        assert app.context.name == "here"


async def test_contexts_are_picked_from_a_list_that_is_read_anew(config: Config) -> None:
    async with opened(config) as seen:
        save_context(config.paths, Context("added", "http://127.0.0.1:9"))
        await seen.press("colon", *"ctx", "enter")
        text = seen.text()
        assert "added" in text and "read-only" in text and "(now)" in text
        await seen.press("escape")
        assert "here" in head(seen)


async def test_a_readonly_context_refuses_in_the_client(config: Config) -> None:
    async with opened(config) as seen:
        await seen.press("colon", *"ctx looking", "enter")
        await seen.until(lambda: "● live" in head(seen) and " RO " in head(seen), "the badge")
        assert seen.app.host is not None and seen.app.host.link.client is not None
        with pytest.raises(ReadOnly):
            await seen.app.host.link.client.generate_key("API")


async def test_what_the_session_did_stays_in_activity(config: Config) -> None:
    async with opened(config) as seen:
        await seen.press("5", "n")
        await seen.until(lambda: "what for?" in seen.text(), "the question")
        await seen.press("enter", "enter")
        await seen.until(lambda: "only time the secret" in seen.text(), "the secret")
        await seen.press("escape", "colon", *"ctx gone", "enter")
        await seen.until(lambda: "gone" in head(seen), "the other")
        await seen.press("7")
        await seen.until(lambda: "Generated an API key" in seen.text(), "the deed")


async def test_an_unknown_context_is_refused_with_those_there_are(config: Config) -> None:
    async with opened(config) as seen:
        await seen.press("colon", *"ctx nope", "enter")
        said = ":ctx: no context 'nope'; there are: gone, here, local, looking, other"
        assert said in seen.text()
