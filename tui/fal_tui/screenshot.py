"""Pictures of the running application, without a terminal: SVG, or PNG with our own font.

`take` draws the first screen once its data is there; `Camera` lets a script press keys and save
what it sees under names.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fal_serverless.errors import BadInput, Unreachable

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from fal_tui.app import FalTui

PATIENCE = 30.0
"""Seconds that anything may take to appear."""
ATTEMPTS = 2
"""Failed attempts to connect after which no picture is taken."""
POLL = 0.02
LULL = 0.02
"""Seconds without work after which what a key has set off counts as done."""
LULLS = 8
"""Times to wait for that; a screen that is never at rest is looked at as it is then."""
EXPOSURE = 0.4
"""Seconds that a picture to keep leaves to what a backend sends without being waited for."""
FONT = Path(__file__).with_name("fonts") / "DejaVuSansMono.ttf"
BOLD = Path(__file__).with_name("fonts") / "DejaVuSansMono-Bold.ttf"
FAMILY = "DejaVu Sans Mono"
SUFFIXES = (".svg", ".png")
ZOOM = 2
"""Pixels of a PNG per unit of the SVG."""


class Camera:
    """One application that runs headless."""

    def __init__(self, app: FalTui, pilot: Pilot[Any]) -> None:
        self.app = app
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.settle()

    async def until(self, seen: Callable[[], bool], what: str) -> None:
        """Wait for something to be true. Raises Unreachable that names `what` after PATIENCE."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not seen():  # noqa: ASYNC110 - what is on a screen sends no events
                    await asyncio.sleep(POLL)
        except TimeoutError:
            raise Unreachable(f"waited in vain for {what}; {self._why()}") from None
        await self.settle()

    async def settle(self) -> None:
        """Until the application has nothing to do for a moment, and has drawn what it knows."""
        loop = asyncio.get_running_loop()
        for _ in range(LULLS):
            began = loop.time()
            await self.pilot.pause(LULL)
            # Whoever is busy, or waits for the processor, comes back late.
            if loop.time() - began < 1.5 * LULL:
                return

    async def expose(self) -> None:
        """Before a picture to keep: lines and figures that are on their way are to be in it."""
        await self.pilot.pause(EXPOSURE)

    async def until_loaded(self) -> None:
        """Wait for the first data. Raises Unreachable as soon as waiting makes no sense."""
        await self.until(lambda: self.app.loaded or self._given_up(), "the backend")
        if not self.app.loaded:
            raise Unreachable(self._why())

    def _given_up(self) -> bool:
        return self.app.host is not None and self.app.host.link.attempts > ATTEMPTS

    def _why(self) -> str:
        return self.app.host.link.state.why if self.app.host else ""

    def text(self) -> str:
        """What is on the screen, as plain lines."""
        width = self.app.size.width
        rows = self.app.screen._compositor.render_strips()
        return "\n".join(row.text.rstrip()[:width] for row in rows)

    def svg(self) -> str:
        return self.app.export_screenshot(title="fal-tui")

    def save(self, path: Path, zoom: int = ZOOM) -> None:
        """By its suffix: .svg or .png."""
        check(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".svg":
            path.write_text(self.svg())
        else:
            path.write_bytes(png(self.svg(), zoom))


def check(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise BadInput(f"'{path}' must end in .svg or .png")


def png(svg: str, zoom: int = ZOOM) -> bytes:
    """Drawn with the monospace font that ships with us, so that columns line up everywhere."""
    import resvg_py

    from fal_tui.dots import with_dots

    data = resvg_py.svg_to_bytes(
        svg_string=with_dots(svg).replace("Fira Code", FAMILY),
        font_files=[str(FONT), str(BOLD)],
        skip_system_fonts=True,
        monospace_family=FAMILY,
        font_family=FAMILY,
        zoom=zoom,
    )
    return bytes(data)


@asynccontextmanager
async def camera(app: FalTui, size: tuple[int, int]) -> AsyncIterator[Camera]:
    """The application, running headless, once its data is there."""
    app.animation_level = "none"
    async with app.run_test(size=size, notifications=True) as pilot:
        found = Camera(app, pilot)
        await found.until_loaded()
        yield found


def take(
    app: FalTui, path: Path, size: tuple[int, int], seen: Callable[[], bool] = lambda: True
) -> None:
    """The first screen into a file, as soon as `seen` says so."""
    check(path)

    async def once() -> None:
        async with camera(app, size) as found:
            await found.until(seen, "the functions")
            await found.expose()
            found.save(path)

    asyncio.run(once())
