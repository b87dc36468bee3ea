"""Toasts and dialogs: nothing that is to be read lies under a toast."""

from __future__ import annotations

import pytest
from textual.geometry import Region
from textual.widget import Widget
from textual.widgets._toast import Toast

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
        await seen.pilot.pause(0.1)
        shown = box(seen).region
        toasts = [each.region for each in seen.app.screen.query(Toast)]
        assert shown.area and all(toasts)
        assert not any(shown.overlaps(each) for each in toasts)
        assert Region(0, 0, *size).contains_region(shown)
        assert "Copied 12 characters" in seen.text()
