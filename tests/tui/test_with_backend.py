"""The serve, invoke and log screens over a real backend: from a file to the line it printed."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from textual.app import App, ComposeResult
from textual.widgets import Input, Static, TextArea

from fal_serverless.client import Client
from fal_serverless.config import Config
from fal_serverless.models import LogEntry, LogQuery, Served
from fal_tui.logs.buffer import Gap
from fal_tui.screens.invoke import InvokeScreen
from fal_tui.screens.serve import ServeScreen
from fal_tui.screens.serve_form import ServeForm
from fal_tui.widgets.grid import Grid
from fal_tui.widgets.log_pane import LogPane
from fal_tui.widgets.log_view import LogView
from fal_tui.widgets.phases import Phases
from running import RunningBackend, StartBackend
from tui.terminal import wait_until_gone
from tui.waiting import until

FILE = """
import pathlib
from fal_serverless import isolated

@isolated(serve=True)
def shout(text: str) -> str:
    print("shouting", text)
    return text.upper()

@isolated(serve=True)
def count(n: int):
    import time
    for number in range(n):
        yield f"part {number}\\n"
        while number == 0 and not pathlib.Path(GATE).exists():
            time.sleep(0.01)

def wait_for_ever():
    import time
    time.sleep(600)

@isolated(serve=True, setup_function=wait_for_ever)
def never_ready(nothing, text: str) -> str:
    return text

@isolated(serve=True, requirements=["surely-no-such-package-0451"])
def unbuildable(text: str) -> str:
    return text
"""


class Shell(App[None]):
    """A log pane, and whatever is pushed over it."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client
        self.served: list[Served | None] = []
        self.wanted: list[str | None] = []

    def compose(self) -> ComposeResult:
        yield LogPane(lambda: self.client, delays=[0.1])

    @property
    def pane(self) -> LogPane:
        return self.query_one(LogPane)

    def messages(self) -> list[str]:
        buffer = self.pane.view.buffer
        items = [buffer.item(number) for number in buffer.shown]
        return [item.text if isinstance(item, Gap) else item.message for item in items]

    def said(self, id: str) -> str:
        return str(self.screen.query_one(f"#{id}", Static).render())

    async def serve(self, pilot: Any, config: Config, path: Path, name: str) -> None:
        """Up to the end of the serve, whatever it is."""
        await self.push_screen(ServeScreen(self.client, config, path), self.served.append)
        await pilot.pause()
        await self.order(pilot, name)
        await until(pilot, lambda: self.screen.query("#outcome.done, #outcome.failed"))

    async def order(self, pilot: Any, name: str) -> None:
        """Choose the function and say so."""
        grid = self.screen.query_one(ServeForm).query_one(Grid)
        await until(pilot, lambda: grid.rows)
        grid.move_to(name)
        alias = self.screen.query_one("#alias", Input)
        await until(pilot, lambda: alias.value == name)
        await pilot.press("ctrl+s")


def app_file(tmp_path: Path) -> Path:
    path = tmp_path / "loud.py"
    path.write_text(FILE.replace("GATE", repr(str(tmp_path / "gate"))))
    return path


async def test_from_a_file_to_the_line_it_printed(backend: RunningBackend, tmp_path: Path) -> None:
    async with backend.client() as client:
        app = Shell(client)
        async with app.run_test(size=(80, 24)) as pilot:
            await app.serve(pilot, backend.config, app_file(tmp_path), "shout")
            assert "live on shout" in app.said("outcome")
            await pilot.press("i")
            await until(pilot, lambda: isinstance(app.screen, InvokeScreen))
            app.screen.query_one(TextArea).text = '{"text": "hey"}'
            await pilot.press("ctrl+j")
            await until(pilot, lambda: app.said("status").startswith("✓ 200"))
            assert app.said("body") == '"HEY"'
            await pilot.press("escape", "enter")
            assert app.served[0] is not None and app.served[0].alias is not None
            app.pane.show(LogQuery(label="shout"), "shout")
            await until(pilot, lambda: "shouting hey" in app.messages())


async def test_a_serve_that_fails_shows_the_build_log_and_moves_nothing(
    backend: RunningBackend, tmp_path: Path
) -> None:
    async with backend.client() as client:
        app = Shell(client)
        async with app.run_test(size=(80, 24)) as pilot:
            await app.serve(pilot, backend.config, app_file(tmp_path), "unbuildable")
            assert "surely-no-such-package-0451" in app.said("outcome")
            await pilot.press("escape", "escape")
            assert app.served == [None]
        assert "unbuildable" not in [alias.name for alias in await client.aliases()]


async def test_the_tail_goes_on_when_a_killed_backend_is_back(
    backends: StartBackend, tmp_path: Path
) -> None:
    first = backends()
    async with first.client() as client:
        app = Shell(client)
        async with app.run_test(size=(80, 24)) as pilot:
            await app.serve(pilot, first.config, app_file(tmp_path), "shout")
            await pilot.press("enter")
            app.pane.show(LogQuery(label="shout"), "shout")
            await client.invoke("shout", b'{"text": "one"}')
            await until(pilot, lambda: "shouting one" in app.messages())
            first.kill()
            backends(first.home, first.port)
            await until(pilot, lambda: any("reconnected" in text for text in app.messages()))
            await client.invoke("shout", b'{"text": "two"}')
            await until(pilot, lambda: "shouting two" in app.messages())
            ids = [
                item.id
                for number in app.pane.view.buffer.shown
                if isinstance(item := app.pane.view.buffer.item(number), LogEntry)
            ]
            assert len(ids) == len(set(ids)) and ids == sorted(ids)
            assert app.messages().count("shouting one") == 1


async def test_the_lines_of_a_worker_that_is_gone_and_of_a_request_are_asked_for(
    backend: RunningBackend, tmp_path: Path
) -> None:
    async with backend.client() as client:
        app = Shell(client)
        async with app.run_test(size=(120, 30)) as pilot:
            await app.serve(pilot, backend.config, app_file(tmp_path), "shout")
            await pilot.press("enter")
            await client.invoke("shout", b'{"text": "first"}')
            second = await client.invoke("shout", b'{"text": "second"}')
            worker = (await client.logs(LogQuery(request_id=second.request_id)))[0].worker
            await client.stop_worker(worker)
            app.pane.show(LogQuery(label="shout", lines=1), "shout")
            await until(pilot, lambda: any(worker in text for text in app.messages()))
            app.pane.show(LogQuery(worker=worker), worker)
            await until(pilot, lambda: "shouting second" in app.messages())
            assert "shouting first" in app.messages()
            app.pane.view.go_to(app.messages().index("shouting second"))
            app.pane.view.focus()
            await pilot.press("enter", "f")
            await until(pilot, lambda: app.pane.view.title == f"request {second.request_id[:13]}")
            await until(pilot, lambda: len(app.messages()) == 2)
            assert app.messages()[0] == "shouting second" and "POST / 200" in app.messages()[1]
            await pilot.press("escape")
            await until(pilot, lambda: "shouting first" in app.messages())


async def test_a_cancelled_serve_leaves_nothing_half_done(
    backend: RunningBackend, tmp_path: Path
) -> None:
    async with backend.client() as client:
        app = Shell(client)
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            screen = ServeScreen(client, backend.config, app_file(tmp_path))
            await app.push_screen(screen, app.served.append)
            await app.order(pilot, "never_ready")
            await until(pilot, lambda: "◐ worker" in screen.query_one(Phases).render().plain)
            buffer = screen.query_one(LogView).buffer
            await until(pilot, lambda: buffer.total)
            started = buffer.item(buffer.shown[0])
            assert isinstance(started, LogEntry)
            (process,) = re.findall(r"started \(process (\d+)\)", started.message)
            assert Path(f"/proc/{process}").exists()
            await pilot.press("escape")
            await until(pilot, lambda: list(app._notifications))
            said = [each.message for each in app._notifications]
            assert said == ["Cancelled: nothing was changed"]
            await pilot.press("escape")
            assert app.served == [None]
        assert "never_ready" not in [each.name for each in await client.aliases()]
        assert "never_ready" not in [each.name for each in await client.functions()]
        await asyncio.to_thread(wait_until_gone, [int(process)])


async def test_a_generator_is_read_as_it_speaks_and_its_cold_start_is_told(
    backend: RunningBackend, tmp_path: Path
) -> None:
    async with backend.client() as client:
        app = Shell(client)
        async with app.run_test(size=(80, 24)) as pilot:
            await app.serve(pilot, backend.config, app_file(tmp_path), "count")
            (worker,) = [each for each in await client.workers() if each.function == "count"]
            await client.stop_worker(worker.id)
            await pilot.press("i")
            await until(pilot, lambda: isinstance(app.screen, InvokeScreen))
            app.screen.query_one(TextArea).text = '{"n": 3}'
            await pilot.press("ctrl+j")
            await until(pilot, lambda: "part 0" in app.said("body"))
            assert "part 1" not in app.said("body") and "so far" in app.said("status")
            (tmp_path / "gate").touch()
            await until(pilot, lambda: app.said("status").startswith("✓ 200"))
            assert app.said("body") == "part 0\npart 1\npart 2"
            await until(pilot, lambda: app.said("timing"))
            assert "in the backend · cold start" in app.said("timing")
            assert "load" in app.said("timing")
