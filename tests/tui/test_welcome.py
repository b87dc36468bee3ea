"""What one sees first: what runs and what to press, on one screen of 80x24."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from fal_tui.actions import STANDARD
from fal_tui.palette import PLAIN
from fal_tui.screens.welcome import welcome
from tui.conftest import Opening
from tui.fake_backend import FakeBackend


def test_it_says_what_was_started_and_what_to_press(fake: FakeBackend) -> None:
    status = fake.status()
    text = welcome(STANDARD, status, status.started_at, PLAIN).plain
    assert "fal-tui started a backend" in text and status.url in text and "/state" in text
    later = status.started_at + timedelta(seconds=1)
    assert "started" not in welcome(STANDARD, status, later, PLAIN).plain
    odd = replace(status, url="http://[/oops]\x1b[2J")
    assert "\x1b" not in welcome(STANDARD, odd, later, PLAIN).plain


async def test_it_fits_80x24_and_goes_with_the_first_function(
    opened: Opening, fake: FakeBackend
) -> None:
    kept = dict(fake.revisions), dict(fake.aliases)
    fake.revisions.clear()
    fake.aliases.clear()
    async with opened((80, 24)) as seen:
        for words in ("Press S to serve a file", "fal-tui FILE", "fal-tui --demo", "all keys"):
            assert words in seen.text()
        fake.revisions.update(kept[0])
        fake.aliases.update(kept[1])
        await seen.press("ctrl+r")
        await seen.until(lambda: "fal-tui --demo" not in seen.text(), "the functions")


async def test_the_demo_has_other_words(opened: Opening, fake: FakeBackend) -> None:
    fake.revisions.clear()
    fake.aliases.clear()
    async with opened((80, 24), demo=True) as seen:
        assert "being served" in seen.text() and "Press S" not in seen.text()
