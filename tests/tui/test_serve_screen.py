"""Serving a file from the terminal: what is offered, what is said, what is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from textual.app import App
from textual.message import Message
from textual.widgets import Input, Static

from fal_serverless import errors
from fal_serverless.client import Client
from fal_serverless.config import load
from fal_serverless.models import (
    Alias,
    BundleInfo,
    Function,
    LogEntry,
    LogQuery,
    Phase,
    Revision,
    Served,
    ServeEvent,
    Status,
    Traffic,
    User,
)
from fal_tui.screens.serve import ServeScreen
from fal_tui.screens.serve_form import ServeForm, ServeOrder, suggested_alias
from fal_tui.screens.serve_run import ServeRun
from fal_tui.widgets.file_picker import FilePicker
from fal_tui.widgets.grid import Grid
from fal_tui.widgets.log_view import LogView
from fal_tui.widgets.phases import Phases
from tui.waiting import until

SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 45)])
NOW = datetime.now(UTC)
ASKING = "Asking the backend for its aliases"
ID = "9f3e1a2b-1111-4111-8111-111111111111"
APP = """
from fal_serverless import isolated

@isolated(serve=True)
def call_text(text: str, n: int = 1) -> str:
    "Answer with the text."
    return text * n

@isolated(exposed_port=8080)
def site():
    pass

@isolated()
def half():
    pass

def plain(a, *rest):
    pass
"""


def revision(function: str = "call_text") -> Revision:
    bundle = BundleInfo(function, "app.py", "", {"serve": True}, (), "", "3.11")
    url = f"http://1-{ID}.gateway.localhost:3250"
    path_url = f"http://127.0.0.1:3250/1/{ID}"
    return Revision(
        ID, function, False, "1", NOW, "me", "private", url, path_url, bundle, "environment"
    )


def alias(name: str, function: str) -> Alias:
    url = f"http://1-{name}.gateway.localhost:3250"
    return Alias(name, function, ID, "1", "public", url, url, NOW, NOW, 2, 2)


def function(
    name: str, alias: str, entrypoint: str = "call_text", days: int = 0, file_name: str = "app.py"
) -> Function:
    return Function(
        name=name,
        anonymous=False,
        entrypoint=entrypoint,
        user="1",
        revisions=1,
        latest=ID,
        live=ID,
        aliases=(alias,),
        auth="public",
        url="http://u",
        path_url="http://p",
        served_at=NOW - timedelta(days=days),
        file_name=file_name,
    )


def log(message: str) -> ServeEvent:
    entry = LogEntry(1, NOW, "INFO", "builder", message, "1")
    return ServeEvent("log", entry=entry)


def phase(name: Phase) -> ServeEvent:
    return ServeEvent("phase", name)


class Backend:
    """Remembers what it was asked to serve; `hold` keeps a serve from ending."""

    def __init__(self, *aliases: Alias, fails: list[errors.FalError] | None = None) -> None:
        self.known = list(aliases)
        self.fails = fails or []
        self.served: list[dict[str, Any]] = []
        self.hold: asyncio.Event | None = None
        self.closed = False

    async def aliases(self) -> list[Alias]:
        return self.known

    async def functions(self) -> list[Function]:
        return [function(known.function, known.name) for known in self.known]

    async def status(self) -> Status:
        user, url = User("1", "me", NOW), "http://127.0.0.1:3250"
        return Status(
            "0.1", 1, url, "localhost", NOW, "/", user, 1, 1, 1, 1, Traffic(), "3.11", "seccomp"
        )

    async def serve(self, bundle: bytes, **given: Any) -> AsyncGenerator[ServeEvent, None]:
        assert bundle.startswith(b"PK")
        self.served.append(given)
        try:
            yield phase("environment")
            yield log("Resolved [/oops] 3 packages")
            if self.hold is not None:
                await self.hold.wait()
            if self.fails:
                raise self.fails.pop(0)
            yield phase("worker")
            yield phase("publish")
            made = alias(given["alias"], "call_text") if given["alias"] else None
            yield ServeEvent("done", served=Served(revision(), made, "http://u", "http://p", 0.1))
        finally:
            self.closed = True


class Shell(App[None]):
    def __init__(self, backend: Backend, home: Path, path: Path | None = None) -> None:
        super().__init__()
        self.backend, self.home, self.path = backend, home, path
        self.result: list[Served | None] = []

    def on_mount(self) -> None:
        config = load({"FAL_SERVERLESS_HOME": str(self.home), "PATH": "/usr/bin:/bin"})
        recents = [self.home / "app.py"]
        client = cast(Client, self.backend)
        screen = ServeScreen(client, config, self.path, recents, base=self.home)
        self.push_screen(screen, self.result.append)

    @property
    def begun(self) -> bool:
        """Whether the first page has all that it begins with, the backend's answers included."""
        if not isinstance(self.screen, ServeScreen) or not self.screen.is_mounted:
            return False
        if self.path is None:
            return "recent" in drawn(self)
        return self.serve.page == "form" and self.said("said") not in ("", ASKING)

    @property
    def serve(self) -> ServeScreen:
        assert isinstance(self.screen, ServeScreen)
        return self.screen

    def said(self, id: str) -> str:
        return str(self.screen.query_one(f"#{id}", Static).render())

    def toasts(self) -> list[str]:
        return [each.message for each in self._notifications]

    @property
    def alias(self) -> str:
        return self.screen.query_one("#alias", Input).value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "app.py"
    path.write_text(APP)
    return path


async def test_the_functions_of_a_file_are_shown_with_why_some_cannot_be_served(
    file: Path,
) -> None:
    app = Shell(Backend(), file.parent, file)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.begun)
        rows = app.screen.query_one(ServeForm).query_one(Grid).rows
        assert [(row.id, str(row.cells[1]), row.dim) for row in rows] == [
            ("call_text", "POST /", False),
            ("site", "port 8080", False),
            ("half", "needs serve=True or exposed_port=N", True),
            ("plain", "no @isolated", True),
        ]
        assert rows[0].cells[2] == "text: str, n: int = 1"
        await pilot.press("G")
        assert "plain cannot be served: no @isolated" in app.said("said")


async def test_the_alias_is_the_one_the_function_had_last(file: Path) -> None:
    app = Shell(Backend(alias("call", "call")), file.parent, file)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.begun)
        assert app.alias == "call"
        assert "Moves call from 9f3e1a2b" in app.said("said")
        await pilot.press("j")
        await pilot.pause()
        assert app.alias == "site"
        assert "http://1-site.gateway.localhost:3250" in app.said("said")


async def test_nothing_is_served_onto_an_alias_before_it_is_shown(file: Path) -> None:
    class Slow(Backend):
        answering = asyncio.Event()

        async def aliases(self) -> list[Alias]:
            await self.answering.wait()
            return await super().aliases()

    backend = Slow(alias("call", "call"))
    app = Shell(backend, file.parent, file)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.screen.query("#said") and app.said("said") == ASKING)
        assert (app.alias, app.said("said")) == ("", ASKING)
        app.screen.query_one("#alias", Input).focus()
        await pilot.press("enter")
        assert app.serve.page == "form"
        backend.answering.set()
        await until(pilot, lambda: app.alias == "call")
        await pilot.press("enter")
        await until(pilot, lambda: [given["alias"] for given in backend.served] == ["call"])


@SIZES
async def test_the_keys_named_are_those_of_the_field(file: Path, size: tuple[int, int]) -> None:
    app = Shell(Backend(), file.parent, file)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.begun)
        await until(pilot, lambda: "↑↓ choose · enter alias · ctrl+s serve" in drawn(app))
        await pilot.press("enter")
        await until(pilot, lambda: " tab next field · enter serve · esc close" in drawn(app))
        await pilot.press("tab")
        await until(pilot, lambda: "←→ change · tab next field · enter serve" in drawn(app))


async def test_what_is_long_below_the_form_is_whole(file: Path) -> None:
    app = Shell(Backend(), file.parent, file)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.begun)
        app.screen.query_one("#alias", Input).value = "a" * 60
        await until(pilot, lambda: "Makes the alias" in drawn(app))
        assert "tab next field" in drawn(app) or "enter alias" in drawn(app)


async def test_an_alias_that_will_be_refused_is_refused_here(file: Path) -> None:
    backend = Backend(alias("prod", "other"))
    app = Shell(backend, file.parent, file)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.begun)
        line = app.screen.query_one("#alias", Input)
        line.value = "prod"
        await pilot.pause()
        assert app.said("said") == "alias 'prod' belongs to function 'other'"
        line.value = "No"
        await pilot.pause()
        assert "lower-case letters" in app.said("said")
        line.focus()
        await pilot.press("enter")
        assert backend.served == []


async def test_a_serve_shows_its_phases_and_ends_with_what_was_served(file: Path) -> None:
    backend = Backend()
    app = Shell(backend, file.parent, file)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.begun)
        await pilot.press("enter", "tab", "right", "tab", *"first", "enter")
        await until(pilot, lambda: "live on" in app.said("outcome"))
        assert backend.served == [{"alias": "call_text", "auth": "shared", "message": "first"}]
        steps = app.screen.query_one(Phases).progress.steps
        assert [step.phase for step in steps] == [
            "bundle", "upload", "environment", "worker", "publish",
        ]  # fmt: skip
        buffer = app.screen.query_one(LogView).buffer
        assert buffer.total == 1
        await pilot.press("enter")
        assert app.result[0] is not None and app.result[0].revision.id == ID


async def test_without_an_alias_the_revision_is_anonymous(file: Path) -> None:
    backend = Backend()
    app = Shell(backend, file.parent, file)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.begun)
        app.screen.query_one("#alias", Input).value = ""
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.serve.page == "run" and "ready" in app.said("outcome"))
        assert backend.served[0]["alias"] is None
        await pilot.press("l")
        assert app.result[0] is not None


@SIZES
async def test_each_page_says_what_came_of_it_to_the_next(
    file: Path, size: tuple[int, int]
) -> None:
    said: list[Message] = []
    app = Shell(Backend(), file.parent)

    def hear(message: Message) -> None:
        if isinstance(message, FilePicker.Picked | ServeForm.Wanted | ServeRun.Ended):
            said.append(message)

    async with app.run_test(size=size, message_hook=hear) as pilot:
        await until(pilot, lambda: app.begun)
        assert "recent" in drawn(app) and "Serve: which file?" in drawn(app)
        assert app.theme_variables["text-success"].lower() in app.export_screenshot().lower()
        await pilot.press("enter")
        await until(pilot, lambda: app.alias == "call_text")
        assert "text: str, n: int = 1" in drawn(app) and "http://1-call_text." in drawn(app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "live on" in app.said("outcome"))
        await pilot.pause()
        assert "✓ publish" in drawn(app) and "Resolved [/oops] 3 packages" in drawn(app)
        assert "i invoke · l logs · w serve on each save · enter close" in drawn(app)
    heard = dict.fromkeys(said)  # a message passes several widgets on its way up
    picked, wanted, ended = heard
    assert isinstance(picked, FilePicker.Picked) and picked.path == file
    assert isinstance(wanted, ServeForm.Wanted)
    assert wanted.order == ServeOrder(file, "call_text", "call_text")
    assert isinstance(ended, ServeRun.Ended)
    assert ended.served is not None and ended.error is None


@SIZES
async def test_what_was_wrong_with_one_file_is_not_said_of_another(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    (tmp_path / "broken.py").write_text("def (")
    app = Shell(Backend(), tmp_path)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "broken.py" in drawn(app))
        await pilot.press(*"broken", "enter")
        await until(pilot, lambda: "SyntaxError" in drawn(app) and "ctrl+c copy" in drawn(app))
        await pilot.press("ctrl+u", *"gone/")
        await until(pilot, lambda: "No such file or directory: gone/" in drawn(app))
        assert "SyntaxError" not in drawn(app) and "ctrl+c" not in drawn(app)
        await pilot.press(*"x.py", "enter")
        await until(pilot, lambda: "ctrl+c copy" in drawn(app))
        assert app.screen.query_one(FilePicker).said.startswith("No such file or directory: gone/")
        await pilot.press("ctrl+u", *"nope", "enter")
        await until(pilot, lambda: "there is no file nope" in drawn(app))


async def test_all_fields_and_the_outcome_are_seen_in_a_short_terminal(file: Path) -> None:
    file.write_text(APP + "\n".join(f"def f{n}(): pass" for n in range(20)))
    backend = Backend(fails=[errors.WorkerFailed("broken " * 20)])
    app = Shell(backend, file.parent, file)
    async with app.run_test(size=(60, 15)) as pilot:
        await until(pilot, lambda: app.begun)
        for field in ("alias    call_text", "auth     ‹ private ›", "message", "Makes the alias"):
            assert field in drawn(app), field
        await pilot.press("ctrl+s")
        await until(pilot, lambda: drawn(app).count("broken") == 20)
        await pilot.press("escape", "G")
        await until(pilot, lambda: "f19" in drawn(app))
    app = Shell(Backend(), file.parent)
    async with app.run_test(size=(60, 15)) as pilot:
        await until(pilot, lambda: app.begun)
        await pilot.press(*"none/")
        await until(pilot, lambda: "No such file or directory: none/" in drawn(app))


async def test_a_file_without_functions_is_told_what_one_needs(tmp_path: Path) -> None:
    (tmp_path / "empty.py").touch()
    app = Shell(Backend(), tmp_path, tmp_path / "empty.py")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.begun)
        assert "one to be served has @isolated(serve=True)" in app.said("said")


def drawn(app: App[Any]) -> str:
    """What is on the screen, as plain lines."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


async def test_a_failed_serve_says_why_and_can_be_tried_again(file: Path) -> None:
    backend = Backend(fails=[errors.BuildFailed("× no [/such] package 'flaskk'")])
    app = Shell(backend, file.parent, file)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.begun)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "flaskk" in app.said("outcome"))
        assert app.screen.query_one(Phases).progress.failed
        await pilot.press("r")
        await until(pilot, lambda: "live on" in app.said("outcome"))
        assert len(backend.served) == 2


@SIZES
async def test_the_bar_says_how_far_it_is_and_the_failed_phase_is_marked(
    file: Path, size: tuple[int, int]
) -> None:
    backend = Backend(fails=[errors.BuildFailed("no package 'flaskk'")])
    backend.hold = asyncio.Event()
    app = Shell(backend, file.parent, file)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.begun)
        await pilot.press("ctrl+s")
        phases = app.screen.query_one(Phases)
        await until(pilot, lambda: "◐ environment" in phases.render().plain)
        assert " 2 of 5 " in phases.render().plain.splitlines()[0]
        assert max(len(line) for line in phases.render().plain.splitlines()) <= phases.size.width
        backend.hold.set()
        await until(pilot, lambda: "flaskk" in app.said("outcome"))
        drawn = phases.render().plain
        assert "✗ environment" in drawn and " 2 of 5 " in drawn
        await until(pilot, lambda: "c copy" in str(app.screen.query_one("#box").border_subtitle))
        await pilot.press("c")
        assert app.clipboard == "no package 'flaskk'\n\nResolved [/oops] 3 packages"
        await pilot.press("r")
        await until(pilot, lambda: "live on" in app.said("outcome"))
        assert " 5 of 5 " in phases.render().plain


async def test_what_is_wrong_with_a_file_or_an_alias_can_be_copied(file: Path) -> None:
    (file.parent / "broken.py").write_text("def broken(:\n")
    app = Shell(Backend(), file.parent)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.begun)
        await pilot.press(*"brok", "enter")
        await until(pilot, lambda: app.said("problem"))
        assert "ctrl+c copy" in str(app.screen.query_one("#box").border_subtitle)
        await pilot.press("ctrl+c")
        assert app.clipboard == app.said("problem")
        await pilot.press("ctrl+u", *"app.py", "enter")
        await until(pilot, lambda: app.serve.page == "form")
        app.screen.query_one("#alias", Input).value = "No"
        await pilot.press("ctrl+c")
        assert app.clipboard == app.said("said") and "lower-case" in app.clipboard


async def test_a_cancel_that_comes_too_late_says_what_is_live(file: Path) -> None:
    backend = Backend(alias("call", "call"))
    backend.hold = asyncio.Event()
    app = Shell(backend, file.parent, file)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: app.alias == "call")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(backend.served))
        backend.known = [replace(backend.known[0], revision="1234abcd-2222")]
        await pilot.press("escape")
        await until(pilot, lambda: app.toasts())
        assert app.toasts() == ["It was published already: call points at 1234abcd"]


async def test_a_serve_that_is_being_published_is_not_cancelled(file: Path) -> None:
    class Publishing(Backend):
        async def serve(self, bundle: bytes, **given: Any) -> AsyncGenerator[ServeEvent, None]:
            self.served.append(given)
            assert self.hold is not None
            yield phase("publish")
            await self.hold.wait()
            made = alias(given["alias"], "call_text")
            yield ServeEvent("done", served=Served(revision(), made, "http://u", "http://p", 0.1))

    backend = Publishing()
    backend.hold = asyncio.Event()
    app = Shell(backend, file.parent, file)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: app.begun)
        await pilot.press("ctrl+s")
        phases = app.screen.query_one(Phases)
        await until(pilot, lambda: "◐ publish" in phases.render().plain)
        await pilot.press("escape")
        assert app.toasts() == ["It is being published: too late to cancel"]
        assert app.serve.page == "run"
        backend.hold.set()
        await until(pilot, lambda: "live on" in app.said("outcome"))


async def test_escape_cancels_the_serve_and_goes_back_to_the_form(file: Path) -> None:
    backend = Backend()
    backend.hold = asyncio.Event()
    app = Shell(backend, file.parent, file)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: app.begun)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(backend.served))
        await pilot.press("escape")
        await until(pilot, lambda: backend.closed)
        await until(pilot, lambda: app.toasts())
        assert app.toasts() == ["Cancelled: nothing was changed"]
        assert app.serve.page == "form"
        await pilot.press("escape")
        assert app.result == [None]


async def test_a_file_is_picked_by_typing_and_one_that_does_not_parse_says_why(
    file: Path,
) -> None:
    (file.parent / "broken.py").write_text("def broken(:\n")
    app = Shell(Backend(), file.parent)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.begun)
        await pilot.press(*"brok", "enter")
        await pilot.pause()
        assert app.serve.page == "pick"
        assert "broken.py:1" in app.said("problem")
        await pilot.press("ctrl+u", *"ap", "tab", "enter")
        await pilot.pause()
        assert app.serve.page == "form"
        assert app.serve.path == file
        await pilot.press("escape", "escape")
        assert app.result == [None]


async def test_logs_of_what_was_served_can_be_asked_for(file: Path) -> None:
    app = Shell(Backend(), file.parent, file)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.begun)
        screen = app.serve
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "live on" in app.said("outcome"))
        await pilot.press("l")
        assert screen.logs_wanted == LogQuery(label="call_text")


async def test_a_file_that_cannot_be_imported_here_can_be_read_from_source(file: Path) -> None:
    file.write_text("import surely_not_installed_here\n" + APP)
    backend = Backend()
    app = Shell(backend, file.parent, file)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.begun)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "surely_not_installed_here" in app.said("outcome"))
        assert backend.served == []
        keys = "r retry · f from source · c copy · w on each save · esc change"
        await until(pilot, lambda: keys in drawn(app))
        await pilot.press("f")
        await until(pilot, lambda: "live on" in app.said("outcome"))


@pytest.mark.parametrize("wrong", ["here", "in a module"])
async def test_wrong_syntax_is_not_offered_to_be_read_from_source(file: Path, wrong: str) -> None:
    helper = file.parent / "helper.py"
    helper.write_text("VALUE = 1\n")
    file.write_text("import helper\n" + APP)
    app = Shell(Backend(), file.parent, file)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.begun)
        (helper if wrong == "in a module" else file).write_text("def f(:\n")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "SyntaxError" in app.said("outcome"))
        await until(pilot, lambda: "r retry · c copy" in drawn(app))
        await pilot.press("f")
        assert "SyntaxError" in app.said("outcome") and len(app.serve.ended) == 1


async def test_each_save_is_served_until_told_otherwise(file: Path) -> None:
    helper = file.parent / "helper.py"
    helper.write_text("VALUE = 1\n")
    file.write_text("import helper\n" + APP)
    backend = Backend()
    app = Shell(backend, file.parent, file)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.begun)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "live on" in app.said("outcome"))
        await pilot.press("w")
        helper.write_text("VALUE = 2\n")
        await until(pilot, lambda: len(backend.served) == 2)
        await until(pilot, lambda: "live on" in app.said("outcome"))
        assert ": helper.py" in app.said("outcome").partition(" · saved at ")[2]
        backend.fails = [errors.WorkerFailed("it broke")]
        file.write_text("import helper\n\n" + APP)
        await until(pilot, lambda: "it broke" in app.said("outcome"))
        assert "call_text stays on revision 9f3e1a2b" in app.said("outcome")
        file.write_text("x(\n")
        await until(pilot, lambda: "SyntaxError" in app.said("outcome"))
        await until(pilot, lambda: "It failed before anything was built" in drawn(app))
        await until(pilot, lambda: len(app.serve.ended) == 4)
        screen = app.serve
        await pilot.press("escape", "escape")
        assert app.result[0] is not None
        assert [bool(each.served) for each in screen.ended] == [True, True, False, False]
        assert str(screen.ended[-2].error) == "it broke"


def test_the_name_it_was_served_under_last_is_suggested() -> None:
    known = [function("old", "old", days=2), function("new", "new"), function("x", "x", "other")]
    assert suggested_alias("app.py", "call_text", known, []) == "new"
    assert suggested_alias("app.py", "Call_Text", [], []) == "call_text"
    assert suggested_alias("app.py", "prod", [], [alias("prod", "call")]) == ""
    assert suggested_alias("app.py", "_hidden", [], []) == ""


def test_what_another_files_function_was_served_under_is_not_suggested() -> None:
    known = [function("w", "w", file_name="w.py")]
    assert suggested_alias("app.py", "call_text", known, []) == "call_text"
    assert suggested_alias("w.py", "call_text", known, []) == "w"
