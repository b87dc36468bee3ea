"""Toasts and dialogs: nothing that is to be read lies under a toast."""

from __future__ import annotations

import html
import re
from types import SimpleNamespace
from typing import Any

import pytest
from textual.geometry import Region
from textual.widget import Widget
from textual.widgets._toast import Toast

from fal_tui.flows.host import Host
from fal_tui.screenshot import Camera
from tui.conftest import Opening
from tui.fake_backend import FakeBackend

TEXTS = ("Copied 12 characters", "A longer message\nof two lines", "x " * 100)
DIALOGS = {
    "describe": ("d",),
    "json": ("y",),
    "help": ("question_mark",),
    "invoke": ("i",),
    "copy": ("c",),
    "roll back": ("R",),
    "question": ("D",),
    "command": ("colon",),
    "serve": ("S",),
    "panel": ("4", "G", "enter"),
}


def box(seen: Camera) -> Widget:
    screen = seen.app.screen
    own = (each for each in screen.children if not each.has_class("-textual-system"))
    return next(each for each in own if each.region.area)


def drawn(seen: Camera) -> list[str]:
    """All that is on the screen, what is behind a dialog too."""
    found = re.findall(r"<text[^>]*>(.*?)</text>", seen.svg())
    return [html.unescape(each).replace("\xa0", " ") for each in found]


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
@pytest.mark.parametrize("name", DIALOGS)
async def test_a_toast_lies_beside_a_dialog_not_over_it(
    opened: Opening, fake: FakeBackend, size: tuple[int, int], name: str
) -> None:
    fake.log("a line")
    async with opened(size) as seen:
        await seen.press("G", *DIALOGS[name])
        await seen.until(lambda: seen.app.screen is not seen.app.main, "the dialog")
        for text in TEXTS:
            seen.app.notify(text, markup=False)
        await seen.until(lambda: len(seen.app.screen.query(Toast)) == len(TEXTS), "the toasts")
        shown = box(seen).region
        toasts = [each.region for each in seen.app.screen.query(Toast)]
        assert shown.area and all(toasts)
        assert not any(shown.overlaps(each) for each in toasts)
        assert Region(0, 0, *size).contains_region(shown)
        assert seen.text().count("Copied 12 characters") == 1


async def test_a_toast_from_before_is_not_seen_twice_behind_a_dialog(opened: Opening) -> None:
    async with opened((80, 24)) as seen:
        seen.app.notify("Served it", markup=False)
        await seen.until(lambda: "Served it" in seen.text(), "the toast")
        await seen.press("G", "R")
        await seen.until(lambda: "y do it" in seen.text(), "the dialog")
        assert "".join(drawn(seen)).count("Served it") == 1
        await seen.press("escape")
        assert "".join(drawn(seen)).count("Served it") == 1


def test_a_wait_that_is_over_is_not_explained_any_more() -> None:
    class Timer:
        stopped = False

        def stop(self) -> None:
            self.stopped = True

    timer = Timer()
    host: Any = SimpleNamespace(app=SimpleNamespace(set_timer=lambda *_: timer), say=print)
    with Host._patient(host, "Waiting"):
        assert not timer.stopped
    assert timer.stopped
