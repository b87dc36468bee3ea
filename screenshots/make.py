"""Draws the pictures of this folder anew, from the real application over a real backend.

Use: .venv/bin/python screenshots/make.py [FOLDER [PICTURE …]]

`record.py` beside it makes the moving one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from fal_tui.app import FalTui, Start
from fal_tui.demo.stage import SAMPLES, play, stage
from fal_tui.screenshot import Camera, camera

Picture = Callable[[Camera], Awaitable[None]]

HERE = Path(__file__).parent.absolute()
SIZES = {"": (140, 38), "-80x24": (80, 24)}
"""Suffix of the file's name -> columns and rows."""


async def functions(shot: Camera) -> None:
    """The first screen with the log pane below."""
    await shot.press("g", "j", "j")
    await to_logs(shot)


async def revisions(shot: Camera) -> None:
    await open_greet(shot)
    await shot.press("j")
    await shot.until(lambda: "first version" in shot.text(), "the older revision")


async def rollback(shot: Camera) -> None:
    await revisions(shot)
    await shot.press("R")
    await shot.until(lambda: "max_concurrency" in shot.text(), "the comparison")


async def aliases(shot: Camera) -> None:
    await shot.press("2")
    await shot.until(lambda: "MOVES" in shot.text(), "the aliases")


async def logs(shot: Camera) -> None:
    await shot.press("4")
    await shot.until(
        lambda: "ValueError" in shot.text() and "CPython" not in shot.text(), "a traceback"
    )


async def serve(shot: Camera) -> None:
    os.chdir(HERE.parent / "tui" / "fal_tui" / "demo" / "samples")
    await shot.press("S")
    await shot.until(lambda: "resize.py" in shot.text(), "the files")
    await shot.press(*"resize.py", "enter")
    await shot.until(lambda: "message" in shot.text(), "the form")
    await shot.press("enter")
    await shot.until(lambda: "live on resize" in shot.text(), "the end of the serve")


async def invoke(shot: Camera) -> None:
    await select_greet(shot)
    await shot.press("i")
    await shot.until(lambda: "language" in shot.text(), "the editor")
    await shot.press("ctrl+j")
    await shot.until(lambda: "200" in shot.text(), "the answer")


async def workers(shot: Camera) -> None:
    await shot.press("3")
    await shot.until(lambda: shot.text().count("w-") >= len(SAMPLES) - 1, "the workers")


async def keys(shot: Camera) -> None:
    await shot.press("5")
    await shot.until(lambda: "ADMIN" in shot.text(), "the keys")


async def activity(shot: Camera) -> None:
    await rollback(shot)
    await shot.press("y")
    await shot.until(lambda: "z undoes" in shot.text(), "the toast")
    await shot.press("7")
    await shot.until(lambda: "Rolled back" in shot.text(), "what was done")


async def first(shot: Camera) -> None:
    """Nothing is served: what runs, and what to press."""
    await shot.until(lambda: "fal-tui --demo" in shot.text(), "the first words")


async def help(shot: Camera) -> None:
    await shot.press("question_mark")
    await shot.until(lambda: "WHAT IT DOES" in shot.text(), "the help")


async def pulse(shot: Camera) -> None:
    await shot.press("0")
    for count in (15, 30, 45):
        await shot.until(lambda count=count: calls(shot) >= count, f"{count} calls")


PICTURES = (
    first, functions, revisions, rollback, aliases, workers, logs, keys, activity, pulse, serve,
    invoke, help,
)  # fmt: skip

NAMES = [each.__name__ for each in PICTURES]


def calls(shot: Camera) -> int:
    """In the last minute."""
    host = shot.app.host
    return sum(each.traffic.requests for each in host.store.functions) if host else 0


async def select_greet(shot: Camera) -> None:
    await shot.press("slash", *"greet", "enter")
    await shot.until(lambda: "resize" not in shot.text().split("overview")[0], "the filter")


async def open_greet(shot: Camera) -> None:
    await select_greet(shot)
    await shot.press("enter")
    await shot.until(lambda: "more languages" in shot.text(), "the revisions")


async def to_logs(shot: Camera) -> None:
    await shot.press("l")
    # Until the build's lines, which name this machine's folders, have scrolled away.
    await shot.until(
        lambda: shot.text().count("greeting") >= 3 and "CPython" not in shot.text(), "some traffic"
    )
    await shot.press("escape")


def draw(folder: Path, picture: Picture, suffix: str) -> None:
    with stage() as config:
        played = picture is not first
        background = play if played else None
        app = FalTui(config, config.context(), start=Start(demo=played), background=background)
        asyncio.run(take(app, picture, SIZES[suffix], folder / f"{picture.__name__}{suffix}.png"))


async def take(app: FalTui, picture: Picture, size: tuple[int, int], path: Path) -> None:
    async with camera(app, size) as shot:
        if picture is not first:
            await shot.until(lambda: served(app), "the samples")
        await picture(shot)
        await shot.expose()
        shot.save(path, zoom=1)
    print(path.name)


def served(app: FalTui) -> bool:
    """Every sample but the second serve of one function makes a function."""
    return app.host is not None and len(app.host.store.functions) >= len(SAMPLES) - 1


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Draw the pictures anew, from the running app.")
    parser.add_argument("folder", nargs="?", type=Path, default=HERE, metavar="FOLDER")
    parser.add_argument(
        "pictures", nargs="*", metavar="PICTURE", help=f"of {', '.join(NAMES)}; default: all"
    )
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.pictures if name not in NAMES]:
        parser.error(f"no picture '{unknown[0]}'; there are: {', '.join(NAMES)}")
    for picture in PICTURES:
        if picture.__name__ in (given.pictures or NAMES):
            for suffix in SIZES:
                draw(given.folder.absolute(), picture, suffix)


if __name__ == "__main__":
    main()
