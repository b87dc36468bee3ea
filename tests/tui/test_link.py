"""A lost connection is said, looked for again, and comes back by itself."""

from __future__ import annotations

import asyncio

import pytest

from fal_serverless import errors
from fal_serverless.client import Client
from fal_serverless.config import Config, Context
from fal_tui import link
from fal_tui.app import FalTui
from fal_tui.link import Link, LinkState, error_is_final
from fal_tui.screenshot import Camera
from tui.conftest import Opening
from tui.fake_backend import FakeBackend


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "BACKOFF", (0.05,))


async def test_a_killed_backend_leaves_the_data_and_comes_back(
    opened: Opening, fake: FakeBackend
) -> None:
    async with opened() as seen:
        fake.kill()
        await seen.until(lambda: "◐ retrying" in seen.text(), "the loss")
        assert "shout" in seen.text()
        fake.down = False
        await seen.until(lambda: "● live" in seen.text(), "the return")


async def test_a_loss_leaves_no_mark_of_a_cancellation(
    opened: Opening, fake: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one, the timeouts of Python 3.11.2 end the task that looks for the backend."""
    marks: list[int] = []
    pause = Link._pause

    async def noting(self: Link) -> None:
        task = asyncio.current_task()
        assert task is not None
        marks.append(task.cancelling())
        await pause(self)

    monkeypatch.setattr(Link, "_pause", noting)
    async with opened() as seen:
        fake.kill()
        await seen.until(lambda: len(marks) > 1, "two attempts")
    assert not any(marks)


async def test_offline_names_the_time_and_the_age_of_the_data(
    opened: Opening, fake: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "GIVEN_UP", -1.0)
    async with opened() as seen:
        fake.kill()
        await seen.until(lambda: "○ offline since" in seen.text(), "offline")
        assert "data 0 s old" in seen.text() or "data 1 s old" in seen.text()


async def test_a_stopped_backend_is_started_only_when_asked(
    opened: Opening, fake: FakeBackend
) -> None:
    async with opened() as seen:
        fake.kill()
        await seen.until(lambda: "◐ retrying" in seen.text(), "the loss")
        await seen.pilot.pause(0.3)
        assert fake.down
        await seen.press("ctrl+r")
        await seen.until(lambda: "● live" in seen.text(), "the return")


async def test_a_refresh_is_no_leave_to_start_the_backend_later(
    opened: Opening, fake: FakeBackend
) -> None:
    async with opened() as seen:
        await seen.press("ctrl+r")
        fake.kill()
        await seen.until(lambda: "retrying" in seen.text() or not fake.down, "the loss")
        await seen.until(lambda: seen.app.host.link.attempts > 2 or not fake.down, "attempts")
        assert fake.down


async def test_a_change_brings_the_backend_back(opened: Opening, fake: FakeBackend) -> None:
    async with opened() as seen:
        fake.kill()
        await seen.until(lambda: "◐ retrying" in seen.text(), "the loss")
        await seen.press("G", "A", "k", "enter")
        await seen.until(lambda: fake.aliases["call"].auth == "shared", "the change")


def test_only_a_live_state_is_live() -> None:
    assert LinkState("live").live and not LinkState("retrying").live


def test_a_wrong_key_is_final() -> None:
    assert error_is_final(errors.NotAuthenticated("no"))
    assert not error_is_final(errors.Unreachable("no"))


async def test_without_any_data_it_says_why_and_that_it_goes_on(
    fake: FakeBackend, config: Config
) -> None:
    fake.down = True

    async def refuse(start: bool) -> tuple[Context, Client]:
        raise errors.Unreachable("no backend answers at http://nowhere")

    app = FalTui(config, config.context(), connect=refuse)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        seen = Camera(app, pilot)
        wanted = "no backend answers at http://nowhere. Trying again…"
        await seen.until(lambda: wanted in seen.text(), "the reason")


async def test_a_wrong_key_is_said(fake: FakeBackend, opened: Opening) -> None:
    async with opened() as seen:
        fake.refuse["GET", "/v1/status"] = errors.NotAuthenticated("this key is not known")
        await seen.until(lambda: "this key is not known" in seen.text(), "the reason")
        assert "○ key refused since" in seen.text()
