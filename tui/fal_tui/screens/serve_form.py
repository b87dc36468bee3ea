"""Which function of a file, under which alias, for whom? Everything that a serve is told.

The functions come from the file's syntax tree; nothing is run here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from fal_serverless.endpoint import check_alias, url
from fal_serverless.errors import InvalidName
from fal_serverless.models import AUTH_MODES, WHO, Alias, AuthMode, Function, Status
from fal_serverless.source import Found
from fal_tui.palette import Palette, from_theme
from fal_tui.widgets.choice import Choice, Option
from fal_tui.widgets.grid import Column, Grid, Row

COLUMNS = (
    Column("name", "FUNCTION", priority=9),
    Column("how", "ANSWERS", priority=8),
    Column("parameters", "PARAMETERS", priority=5),
)


@dataclass(frozen=True)
class ServeOrder:
    """What is to be served, and how."""

    path: Path
    name: str
    alias: str | None = None
    """None: anonymous, reachable by the revision's id."""
    auth: AuthMode | None = None
    """None: an alias keeps its mode; a new one is private."""
    message: str = ""
    from_source: bool = False

    def read_from_source(self) -> ServeOrder:
        """The same, with the file imported by the worker."""
        return replace(self, from_source=True)


def reason(found: Found) -> str:
    """Why a function cannot be served; '' when it can, or when only running the file tells."""
    if found.servable or (found.isolated and found.computed):
        return ""
    if found.isolated:
        return "needs serve=True or exposed_port=N"
    return "" if found.decorated else "no @isolated"


def how(found: Found) -> str:
    """What it will listen to."""
    if found.exposed_port is not None:
        return f"port {found.exposed_port}"
    return "POST /" if found.serve else "?"


def parameters(found: Found) -> str:
    """As written: `text: str, n: int = 1`."""
    parts = []
    for one in found.parameters:
        stars = {"var_positional": "*", "var_keyword": "**"}.get(one.kind, "")
        text = stars + one.name + (f": {one.annotation}" if one.annotation else "")
        if one.default is not None:
            text += f" = {one.default}" if one.annotation else f"={one.default}"
        parts.append(text)
    return ", ".join(parts)


def suggested_alias(
    file_name: str, name: str, functions: Sequence[Function], aliases: Sequence[Alias]
) -> str:
    """The one this file's function was served under last, else its own name where allowed."""
    served = [
        one
        for one in functions
        if (one.file_name, one.entrypoint) == (file_name, name) and not one.anonymous
    ]
    if served:
        return max(served, key=lambda one: one.served_at).name
    lower = name.lower()
    return "" if alias_problem(lower, "1", aliases) else lower


def alias_problem(alias: str, user: str, aliases: Sequence[Alias]) -> str:
    """Why a serve under this alias will be refused; '' when it is none or allowed."""
    try:
        if alias:
            check_alias(alias, user)
    except InvalidName as exc:
        return exc.message
    owner = next((known.function for known in aliases if known.name == alias), alias)
    return f"alias '{alias}' belongs to function '{owner}'" if owner != alias else ""


class ServeForm(Vertical):
    """For one file. It says `Wanted` when the reader is content."""

    DEFAULT_CSS = """
    ServeForm {
        height: auto;
        & Grid { height: auto; max-height: 9; min-height: 3; }
        & #about {
            height: 1; margin-bottom: 1; color: $text-muted;
            text-wrap: nowrap; text-overflow: ellipsis;
        }
        & Horizontal { height: 1; }
        & .label { width: 9; color: $text-muted; }
        & #said {
            height: auto; min-height: 2; max-height: 4; margin-top: 1; color: $text-muted;
        }
        & #said.wrong { color: $text-error; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "field(1)", "Next field", show=False),
        Binding("up", "field(-1)", "Previous field", show=False),
        Binding("ctrl+s", "serve", "Serve", show=False),
    ]

    class Wanted(Message):
        """Serve this."""

        def __init__(self, order: ServeOrder) -> None:
            super().__init__()
            self.order = order

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._path = Path()
        self._found: dict[str, Found] = {}
        self._functions: tuple[Function, ...] = ()
        self._aliases: tuple[Alias, ...] = ()
        self._status: Status | None = None
        self._alias_typed = False
        self._informed = False
        """Whether the backend was asked, in vain or not. Before, no alias is suggested."""

    def compose(self) -> ComposeResult:
        yield Grid(COLUMNS, "No function in this file")
        yield Static("", markup=False, id="about")
        with Horizontal():
            yield Static("alias", classes="label")
            yield Input(placeholder="none: reachable by its id only", compact=True, id="alias")
        with Horizontal():
            yield Static("auth", classes="label")
            yield Choice(_auth_options(None), id="auth")
        with Horizontal():
            yield Static("message", classes="label")
            yield Input(placeholder="what changed (optional)", compact=True, id="message")
        yield Static("", markup=False, id="said")

    # What is known

    def open(self, path: Path, found: Sequence[Found]) -> None:
        """Show the functions of a file; the first that can be served is under the cursor."""
        self._path = path
        self._found = {one.name: one for one in found}
        grid = self.query_one(Grid)
        tone = from_theme(self.app.theme_variables, self.app.current_theme.dark)
        grid.set_rows([_row(one, tone) for one in self._found.values()])
        first = next((one.name for one in self._found.values() if not reason(one)), None)
        if first is not None:
            grid.move_to(first)
        self._alias_typed = False
        self._suggest()

    def start(self) -> None:
        """Take the keys: the alias when there is nothing to choose, else the functions."""
        able = [one for one in self._found.values() if not reason(one)]
        target = self.query_one("#alias", Input) if len(able) == 1 else self.query_one(Grid)
        target.focus()

    def keys(self) -> str:
        """What can be done in the field that has the keys."""
        if self.query_one(Grid).has_focus:
            return "↑↓ choose · enter alias · ctrl+s serve"
        change = "←→ change · " if self._auth.has_focus else ""
        return f"{change}tab next field · enter serve"

    def know(self, functions: Sequence[Function], aliases: Sequence[Alias], status: Status) -> None:
        """What exists in the backend; it decides suggestions and what is said below."""
        self._functions, self._aliases, self._status = tuple(functions), tuple(aliases), status
        self.know_nothing_more()

    def know_nothing_more(self) -> None:
        """Suggest from what is known by now; the backend may not have answered."""
        self._informed = True
        self._suggest()

    # What is chosen

    @property
    def _chosen(self) -> Found | None:
        id = self.query_one(Grid).cursor_id
        return None if id is None else self._found.get(id)

    @property
    def _alias(self) -> str:
        return self.query_one("#alias", Input).value.strip()

    def _suggest(self) -> None:
        chosen = self._chosen
        if chosen is not None and not self._alias_typed and self._informed:
            alias = "" if reason(chosen) else self._suggested(chosen.name)
            with self.prevent(Input.Changed):
                self.query_one("#alias", Input).value = alias
        self._say()

    def _suggested(self, name: str) -> str:
        return suggested_alias(self._path.name, name, self._functions, self._aliases)

    def revision_of(self, alias: str | None) -> str | None:
        """Where an alias pointed when the backend was asked; None: nowhere."""
        return next((each.revision for each in self._aliases if each.name == alias), None)

    def problem(self) -> str:
        """Why this cannot be served; '' when it can be tried."""
        chosen = self._chosen
        if chosen is None:
            name = self._path.name
            return f"There is no function in {name}: one to be served has @isolated(serve=True)"
        why = reason(chosen)
        if why:
            return f"{chosen.name} cannot be served: {why}"
        user = self._status.user.id if self._status else "1"
        return alias_problem(self._alias, user, self._aliases)

    def _say(self) -> None:
        chosen, problem = self._chosen, self.problem()
        about = "" if chosen is None else (chosen.doc.strip().partition("\n")[0])
        self.query_one("#about", Static).update(Text(about))
        known = next((alias for alias in self._aliases if alias.name == self._alias), None)
        self._auth.set_options(_auth_options(known))
        said = self.query_one("#said", Static)
        said.set_class(bool(problem), "wrong")
        said.update(Text(problem or self._what_happens(known)))

    def _what_happens(self, known: Alias | None) -> str:
        if not self._informed:
            return "Asking the backend for its aliases"
        if not self._alias:
            return "Makes a revision without an alias: it is reachable by its id only"
        moves = f"moves {self._alias} from {known.revision[:8]}" if known else "makes the alias"
        address = known.url if known else self._address()
        return f"{address}\n{moves[0].upper()}{moves[1:]}" if address else moves

    def _address(self) -> str:
        if self._status is None:
            return ""
        base = urlsplit(self._status.url)
        port = base.port or {"https": 443}.get(base.scheme, 80)
        return url(self._status.user.id, self._alias, self._status.domain, port, base.scheme)

    @property
    def _auth(self) -> Choice[AuthMode | None]:
        return self.query_one("#auth", Choice)

    # What is done

    @on(Grid.Moved)
    def _moved(self, event: Grid.Moved) -> None:
        event.stop()
        self._suggest()

    @on(Grid.Opened)
    def _function_opened(self, event: Grid.Opened) -> None:
        event.stop()
        if not self.problem():
            self.query_one("#alias", Input).focus()

    @on(Input.Changed, "#alias")
    def _alias_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._alias_typed = True
        self._say()

    @on(Input.Submitted)
    @on(Choice.Accepted)
    def _accepted(self, event: Message) -> None:
        event.stop()
        self.action_serve()

    def action_field(self, steps: int) -> None:
        """Up and down go from field to field; the table has them for itself."""
        if steps > 0:
            self.screen.focus_next()
        else:
            self.screen.focus_previous()

    def action_serve(self) -> None:
        chosen = self._chosen
        # An alias that is not on the screen yet must not be served onto.
        if chosen is None or not self._informed or self.problem():
            self.app.bell()
            return
        message = self.query_one("#message", Input).value.strip()
        order = ServeOrder(self._path, chosen.name, self._alias or None, self._auth.value, message)
        self.post_message(self.Wanted(order))


def _row(found: Found, tone: Palette) -> Row:
    why = reason(found)
    answers = Text(why, "italic") if why else Text(how(found), tone.good)
    return Row(found.name, (found.name, answers, parameters(found)), dim=bool(why))


def _auth_options(known: Alias | None) -> list[Option[AuthMode | None]]:
    """The mode an alias has comes first: it stays when nothing is chosen."""
    default: AuthMode = known.auth if known else "private"
    keeps = f"{WHO[default]}{' (as it is)' if known else ''}"
    options: list[Option[AuthMode | None]] = [Option(None, default, keeps)]
    options += [Option(mode, mode, WHO[mode]) for mode in AUTH_MODES if mode != default]
    return options
