"""The keys of widgets that have some of their own: in one place, light to import.

A config file's other keys are checked against them before the first paint.
"""

from __future__ import annotations

from textual.binding import Binding, BindingType

from fal_tui.bound import Keyed

LIST: list[BindingType] = [
    Binding("j,down", "move(1)", "Down", show=False, id="list.down"),
    Binding("k,up", "move(-1)", "Up", show=False, id="list.up"),
    Binding("g,home", "first", "First", show=False, id="list.first"),
    Binding("G,end", "last", "Last", show=False, id="list.last"),
    Binding("ctrl+d", "half_page(1)", "Half a page down", show=False, id="list.half_page_down"),
    Binding("ctrl+u", "half_page(-1)", "Half a page up", show=False, id="list.half_page_up"),
    Binding("pagedown", "page(1)", "Page down", show=False, id="list.page_down"),
    Binding("pageup", "page(-1)", "Page up", show=False, id="list.page_up"),
    Binding("enter", "open", "Open", show=False, id="list.open"),
    Binding(
        "space",
        "mark",
        "Mark",
        show=False,
        tooltip="Mark[, for {delete} and {stop}]; "
        "a filter that hides marked ones does not unmark them",
        id="list.mark",
    ),
    Binding("u", "clear_marks", "Take all marks back", show=False, id="list.unmark"),
    Binding(
        "shift+left", "pick_column(-1)", "Column to sort by", show=False, id="list.column_left"
    ),
    Binding(
        "shift+right", "pick_column(1)", "Column to sort by", show=False, id="list.column_right"
    ),
    Binding("O", "sort", "Sort", show=False, id="list.sort"),
]
PULSE: list[BindingType] = [
    Binding(
        "p",
        "narrow",
        "Plots of the one under the cursor, or of all",
        show=False,
        id="pulse.narrow",
    ),
]
DETAIL: list[BindingType] = [
    Binding("j", "scroll_down", "Down", show=False, id="detail.down"),
    Binding("k", "scroll_up", "Up", show=False, id="detail.up"),
    Binding("g", "scroll_home", "Top", show=False, id="detail.first"),
    Binding("G", "scroll_end", "End", show=False, id="detail.last"),
    Binding("ctrl+d", "page_down", "Page down", show=False, id="detail.page_down"),
    Binding("ctrl+u", "page_up", "Page up", show=False, id="detail.page_up"),
]
LOG_PANE: list[BindingType] = [
    Binding("/", "ask('search')", "Search", id="log.search"),
    Binding("&", "ask('keep')", "Keep only", id="log.keep"),
    Binding("!", "ask('hide')", "Hide", id="log.hide"),
    Binding("v", "least_level", "Level", id="log.level"),
    Binding("a", "all_sources", "Sources", show=False, id="log.sources"),
    Binding("T", "span", "Time range", show=False, id="log.span"),
    Binding("escape", "undo", "Take back", show=False, id="log.undo"),
]
LOG_VIEW: list[BindingType] = [
    Binding("j,down", "step(1)", "Line down", show=False, id="log.down"),
    Binding("k,up", "step(-1)", "Line up", show=False, id="log.up"),
    Binding("g,home", "first", "First line", show=False, id="log.first"),
    Binding("G,end", "last", "Last line, and follow", show=False, id="log.last"),
    Binding("ctrl+d", "scroll_part(0.5)", "Half a page down", show=False, id="log.half_page_down"),
    Binding("ctrl+u", "scroll_part(-0.5)", "Half a page up", show=False, id="log.half_page_up"),
    Binding("pagedown", "scroll_part(1)", "Page down", show=False, id="log.page_down"),
    Binding("pageup", "scroll_part(-1)", "Page up", show=False, id="log.page_up"),
    Binding("left", "sideways(-1)", "To the left", show=False, id="log.left"),
    Binding("right", "sideways(1)", "To the right", show=False, id="log.right"),
    Binding("enter", "open", "Line", id="log.open"),
    Binding("s", "follow", "Follow", id="log.follow"),
    Binding("w", "wrap", "Wrap", id="log.wrap"),
    Binding("t", "clock", "Time", id="log.time"),
    Binding("n", "hit(1)", "Next hit", show=False, id="log.next_hit"),
    Binding("N", "hit(-1)", "Previous hit", show=False, id="log.previous_hit"),
    Binding("e", "level('ERROR', 1)", "Next error", show=False, id="log.next_error"),
    Binding("E", "level('ERROR', -1)", "Previous error", show=False, id="log.previous_error"),
    Binding("W", "level('WARNING', 1)", "Next warning", show=False, id="log.next_warning"),
    Binding("m", "bookmark", "Bookmark", show=False, id="log.bookmark"),
    Binding("'", "next_bookmark", "Next bookmark", show=False, id="log.next_bookmark"),
    Binding("space", "mark", "Mark", show=False, id="log.mark"),
    Binding("c", "copy", "Copy", id="log.copy"),
    Binding("ctrl+s", "save", "Save", show=False, id="log.save"),
    Binding("|", "pager", "Pager", show=False, id="log.pager"),
    Binding("p", "pause", "Pause", id="log.pause"),
]

LOG = Keyed("Log pane", "logs", (*LOG_PANE, *LOG_VIEW))
WIDGETS: tuple[Keyed, ...] = (
    Keyed("List", "list", LIST),
    Keyed("Pulse", "list", PULSE),
    Keyed("Detail pane", "detail", DETAIL),
    LOG,
)
"""Widgets with keys of their own; each can have others."""
