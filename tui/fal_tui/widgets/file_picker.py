"""Which file? A line to type a path in, and below it what could be meant. No mouse needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from fal_tui.palette import from_theme
from fal_tui.widgets.grid import Column, Grid, Row
from fal_tui.widgets.paths import Entry, choice, place, typed_for

COLUMNS = (
    Column("name", "FILE", priority=9),
    Column("functions", "FUNCTIONS", priority=5),
)


class FilePicker(Vertical):
    """Paths are read from `base`, the folder one is in."""

    DEFAULT_CSS = """
    FilePicker {
        height: auto;
        & Input { margin-bottom: 1; }
        & Grid { height: 14; }
        & #problem { color: $text-error; height: auto; max-height: 4; display: none; }
        & #problem.said { display: block; }
        & #more { color: $text-muted; height: auto; max-height: 2; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "step(1)", "Next", show=False, priority=True),
        Binding("up", "step(-1)", "Previous", show=False, priority=True),
        Binding("pagedown", "step(10)", "Further", show=False, priority=True),
        Binding("pageup", "step(-10)", "Back", show=False, priority=True),
        Binding("tab", "complete", "Complete", show=False, priority=True),
    ]

    class Picked(Message):
        """A Python file was chosen."""

        def __init__(self, path: Path) -> None:
            super().__init__()
            self.path = path

    class Told(Message):
        """What is wrong with the file that was chosen was said, or taken back."""

    def __init__(self, base: Path, recents: Sequence[Path] = (), *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._base = base.absolute()
        self._recents = tuple(path.absolute() for path in recents)
        self._entries: dict[str, Entry] = {}
        self.said = ""
        """What is wrong with the file that was chosen; '' for nothing."""
        self._said_of = ""
        """What stood in the line then: with something else in it, it is wrong no more."""
        self._unread = ""
        """Why the folder in the line could not be looked into."""

    def compose(self) -> ComposeResult:
        yield Input(placeholder="path of a Python file", compact=True)
        yield Static("", markup=False, id="problem")
        grid = Grid(COLUMNS, "No Python file and no folder fits")
        grid.can_focus, grid.lit = False, True
        yield grid
        yield Static("", markup=False, id="more")

    def on_mount(self) -> None:
        self._list("")

    def start(self) -> None:
        """Take the keys."""
        self.query_one(Input).focus()

    def problem(self, text: str, path: Path | None = None) -> None:
        """Say what is wrong with the file that was chosen; '' takes it back."""
        self.said = text
        line = self.query_one("#problem", Static)
        line.update(Text(text))
        line.set_class(bool(text), "said")
        if path is not None:
            self._type(typed_for(path.absolute(), self._base))
        self._said_of = self.query_one(Input).value
        self.post_message(self.Told())

    def action_step(self, steps: int) -> None:
        self.query_one(Grid).action_move(steps)

    def action_complete(self) -> None:
        """Write the entry under the cursor into the line."""
        entry = self._under_cursor()
        if entry is not None:
            self._type(typed_for(entry.path, self._base, folder=entry.kind in ("folder", "up")))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self.said and event.value != self._said_of:
            self.problem("")
        self._list(event.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        folder, name = place(event.value.strip(), self._base)
        exact = folder / name
        if name and exact.is_file():
            self.post_message(self.Picked(exact))
        else:
            self._open(self._under_cursor())

    @on(Grid.Opened)
    def _opened(self, event: Grid.Opened) -> None:
        event.stop()
        self._open(self._entries[event.id])

    @on(Grid.Moved)
    def _moved(self, event: Grid.Moved) -> None:
        event.stop()

    def _open(self, entry: Entry | None) -> None:
        if entry is None:
            self.problem(self._unread or f"there is no file {self.query_one(Input).value.strip()}")
        elif entry.kind in ("folder", "up"):
            self._type(typed_for(entry.path, self._base, folder=True))
        else:
            self.post_message(self.Picked(entry.path))

    def _under_cursor(self) -> Entry | None:
        id = self.query_one(Grid).cursor_id
        return None if id is None else self._entries.get(id)

    def _type(self, text: str) -> None:
        line = self.query_one(Input)
        line.value = text
        line.cursor_position = len(text)

    def _list(self, typed: str) -> None:
        found = choice(typed.lstrip(), self._base, self._recents)
        self._unread = found.problem
        more = f"… {found.left_out:,} more: type a part of the name" if found.left_out else ""
        below = self.query_one("#more", Static)
        below.update(Text(found.problem or more))
        below.display = bool(found.problem or more)
        self._entries = {f"{entry.kind} {entry.path}": entry for entry in found.entries}
        grid = self.query_one(Grid)
        grid.set_rows([self._row(id, entry) for id, entry in self._entries.items()])
        grid.action_first()

    def _row(self, id: str, entry: Entry) -> Row:
        tone = from_theme(self.app.theme_variables, self.app.current_theme.dark)
        functions = Text(", ".join(entry.functions), tone.good)
        if entry.kind == "up":
            return Row(id, (Text("../", "bold"), ""))
        if entry.kind == "folder":
            return Row(id, (Text(entry.path.name + "/", "bold"), ""))
        if entry.kind == "recent":
            name = Text(typed_for(entry.path, self._base)).append("  recent", "dim")
            return Row(id, (name, functions))
        return Row(id, (entry.path.name, functions), dim=not entry.functions)
