"""Everything one can do by a key, in one registry.

Bindings, footer, help, palette and the README's table are made from it. An action says when it can
be done and, where it cannot, why not; doing it is the matter of screens. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from fal_serverless.models import Alias, AuditEntry, Function, Key, Move, Revision, Worker
from fal_tui.bound import Bound, written
from fal_tui.places import HOME, Kind, Pane, Place
from fal_tui.store import Deed, Item

Group = Literal["Go", "Look", "Change", "Logs", "Commands", "Application"]


@dataclass(frozen=True)
class Situation:
    """What decides whether an action makes sense now."""

    place: Place
    item: Item | None = None
    """Under the cursor."""
    aliases: tuple[Alias, ...] = ()
    """Of the item's function."""
    revisions: int | None = None
    """How many the item's function has; None when that is not known."""
    pane: Pane = "list"
    """The focused one."""
    readonly: bool = False
    undo: str = ""
    """What would be undone, in words; '' for nothing."""
    keys: Bound = field(default_factory=lambda: STANDARD)
    """Those in force, for reasons that name one."""


Reason = Callable[[Situation], str]
"""Why it cannot be done now; '' when it can."""


def _always(_: Situation) -> str:
    return ""


@dataclass(frozen=True)
class Action:
    id: str
    """Also the name of the method that does it: `do_<id>`."""
    keys: str
    """Textual's names, comma separated; the first one is shown. '' for none."""
    label: str
    """One or two words, for the footer."""
    help: str
    """One line, for help and README."""
    group: Group
    rank: int = 0
    """Footers show the highest ranks first; 0: not in the footer."""
    panes: tuple[Pane, ...] = ("list", "detail", "logs")
    """Where the footer offers it."""
    changes: bool = False
    """It changes the backend: refused in read-only contexts."""
    reason: Reason = _always
    command: str = ""
    """The command line that does it too, for what has no key."""
    leads: Kind | None = None
    """The screen to go to, for actions that only do that."""

    @property
    def written(self) -> tuple[str, ...]:
        """All its keys as people write them, else the command line that does it."""
        return written(self.keys) or ((self.command,) if self.command else ())


# When it makes no sense


def _refused(situation: Situation) -> str:
    return "this context is read-only" if situation.readonly else ""


def _needs_item(*kinds: type) -> Reason:
    def reason(situation: Situation) -> str:
        return "" if isinstance(situation.item, kinds) else f"put the cursor on {_names(kinds)}"

    return reason


_ARTICLES = {
    Function: "a function",
    Revision: "a revision",
    Alias: "an alias",
    Key: "a key",
    Worker: "a worker",
    Deed: "an entry",
    AuditEntry: "an entry of the audit log",
}


def _names(kinds: tuple[type, ...]) -> str:
    *head, last = [_ARTICLES.get(kind, "an entry of the history") for kind in kinds]
    return f"{', '.join(head)} or {last}" if head else last


_callable = _needs_item(Function, Revision, Alias)


def _rollback(situation: Situation) -> str:
    item = situation.item
    if not isinstance(item, Function | Revision | Alias | Move):
        return _callable(situation)
    if isinstance(item, Move):
        return _back_to(item, situation.aliases)
    if not situation.aliases:
        return "no alias points at this function, so there is nothing to roll back"
    if situation.revisions == 1:
        return "there is only one revision"
    if isinstance(item, Revision) and all(item.id == each.revision for each in situation.aliases):
        return "it is the live one already"
    return ""


def _back_to(move: Move, aliases: Sequence[Alias]) -> str:
    """An entry of the history stands for what the alias pointed at after it."""
    live = next((each.revision for each in aliases if each.name == move.alias), None)
    if live is None:
        return f"there is no alias '{move.alias}' any more"
    return f"{move.alias} points there already" if live == move.to_revision else ""


def _delete(situation: Situation) -> str:
    item = situation.item
    if isinstance(item, Revision) and item.aliases:
        return f"alias {', '.join(item.aliases)} points at it; move the alias first"
    return _needs_item(Function, Revision, Alias, Key)(situation)


def _logs(situation: Situation) -> str:
    return _needs_item(Function, Revision, Alias, Worker)(situation)


def _undo(situation: Situation) -> str:
    return "" if situation.undo else "there is no move or auth change of this session to take back"


def _new(situation: Situation) -> str:
    if situation.place.kind == "keys":
        return ""
    if situation.place.kind in ("revisions", "aliases") and situation.item is not None:
        return ""
    return situation.keys.say(
        "new keys are made on Keys[ ({go_keys})], new aliases on a revision or alias"
    )


def _has_item(situation: Situation) -> str:
    return "" if situation.item is not None else "there is nothing under the cursor"


def _wide(situation: Situation) -> str:
    return "logs have the whole width" if situation.place.kind == "logs" else ""


def _saved(situation: Situation) -> str:
    if situation.place.kind != "logs":
        return ""
    return situation.keys.say("logs are saved from inside their pane[, with {log.save}]")


def _tabs(situation: Situation) -> str:
    return "there are no tabs here" if situation.place.kind == "logs" else ""


def _filter(situation: Situation) -> str:
    if situation.place.kind != "logs":
        return ""
    return situation.keys.say("logs are searched inside their pane[, with {log.search}]")


def _go(key: str, kind: Kind, help: str) -> Action:
    return Action(f"go_{kind}", key, kind.capitalize(), help, "Go", leads=kind)


ACTIONS: tuple[Action, ...] = (
    _go("1", "functions", "Functions: what is served"),
    _go("2", "aliases", "Aliases: the names people call"),
    _go("3", "workers", "Workers: the processes that run functions"),
    _go("4", "logs", "Logs of all endpoints"),
    _go("5", "keys", "Keys: who may call"),
    _go("7", "activity", "Activity: what this session did, and the audit log"),
    _go("0", "pulse", "Pulse: calls, errors, latency, cold starts and workers over time"),
    Action("back", "escape", "Back", "Clear the filter, else go back", "Go", 98),
    Action("previous", "minus", "Previous", "The screen before; in logs: lower", "Go"),
    Action("swap", "tab", "Pane", "Next pane", "Go", 20, ("list", "detail", "logs")),
    Action("swap_back", "shift+tab", "Pane back", "Previous pane", "Go"),
    Action("next_tab", "right_square_bracket,full_stop", "Next tab",
           "Next tab; in Pulse: a longer time", "Go", 30, ("list", "detail"), reason=_tabs),
    Action("previous_tab", "left_square_bracket,comma", "Previous tab",
           "Previous tab; in Pulse: a shorter time", "Go", 29, ("detail",), reason=_tabs),
    Action("filter", "slash", "Filter", "Filter the list: regex, !inverse, -f fuzzy", "Look", 70,
           ("list",), reason=_filter),
    Action("describe", "d", "Describe", "All there is to say about it", "Look", 10,
           ("list", "detail"), reason=_has_item),
    Action("json", "y", "JSON", "The item as JSON", "Look", 8, ("list", "detail"),
           reason=_has_item),
    Action("copy", "c", "Copy", "Copy its name, URL, curl line, id or row", "Look", 40,
           ("list", "detail"), reason=_has_item),
    Action("edit", "e", "Edit", "Its source in $EDITOR; what was served does not change", "Look", 9,
           ("list", "detail"), reason=_callable),
    Action("save", "ctrl+s", "Save", "The list as CSV, or the page beside it, into a file here",
           "Look", 5, ("list", "detail"), reason=_saved),
    Action("wide", "ctrl+w", "Wide", "The list on the whole width, and back", "Look", 6, ("list",),
           reason=_wide),
    Action("serve", "S", "Serve", "Serve a function of a file", "Change", 95, ("list",), True),
    Action("rollback", "R", "Roll back",
           "Roll back: point an alias at another revision, or forward again", "Change", 92,
           ("list", "detail"), True, _rollback),
    Action("auth", "A", "Auth", "Who may call it: private, shared, public", "Change", 90,
           ("list", "detail"), True, _callable),
    Action("invoke", "i", "Invoke", "Call it with a JSON body", "Change", 88, ("list", "detail"),
           reason=_callable),
    Action("new", "n", "New", "A new key, or an alias on this revision", "Change", 60, ("list",),
           True, _new),
    Action("delete", "D", "Delete", "Delete it, or all that are marked; revokes keys",
           "Change", 35,
           ("list",), True, _delete),
    Action("stop", "X", "Stop", "Stop a worker after what it runs, or all marked ones",
           "Change", 86, ("list",), True,
           _needs_item(Worker)),
    Action("undo", "z", "Undo", "Undo the last pointer or auth change", "Change", 50,
           ("list", "detail"), True, _undo),
    Action("logs", "l", "Logs", "Logs of it, in the pane below; again closes", "Logs", 85,
           ("list", "detail"), reason=_logs),
    Action("all_logs", "L", "All logs", "Logs of all endpoints; again closes", "Logs", 25,
           ("list", "detail")),
    Action("full", "f", "Full screen", "The log pane on the whole screen, and back", "Logs", 34,
           ("logs",)),
    Action("grow", "plus,equals_sign", "Higher", "A higher log pane", "Logs"),
    Action("shrink", "underscore", "Lower", "A lower log pane", "Logs"),
    Action("command", "colon", "Command",
           "A command line: :fn :rev NAME :logs NAME :ctx NAME :theme NAME :q", "Application", 15),
    Action("palette", "ctrl+p", "Palette", "Everything, found by its name", "Application"),
    Action("help", "question_mark", "Help", "All keys, searchable; enter runs one", "Application",
           99),
    Action("context", "", "Context", "Another backend, also while this one does not answer",
           "Application", command=":ctx"),
    Action("theme", "ctrl+t", "Theme", "Another theme", "Application"),
    Action("refresh", "ctrl+r", "Refresh",
           "Fetch everything again; brings a stopped local backend back", "Application", 7),
    Action("quit", "ctrl+q", "Quit", "Leave; the backend goes on serving", "Application", 12),
)  # fmt: skip

BY_ID: dict[str, Action] = {action.id: action for action in ACTIONS}

STANDARD: Bound = Bound.of(ACTIONS)
"""The keys of actions where no config file says otherwise."""


def why_not(action: Action, situation: Situation) -> str:
    """Why it cannot be done now; '' when it can."""
    if action.changes and situation.readonly:
        return _refused(situation)
    return action.reason(situation)


def footer(
    situation: Situation, width: int, actions: Sequence[Action] = ACTIONS
) -> tuple[Action, ...]:
    """What the footer shows: the highest ranks that fit into `width` cells, in rank order."""
    offered = [
        a
        for a in actions
        if a.rank and a.keys and situation.pane in a.panes and _offered(a, situation)
    ]
    offered.sort(key=lambda action: -action.rank)
    shown: list[Action] = []
    left = width - 1
    for action in offered:
        needed = len(action.written[0]) + len(action.label) + 3
        if needed > left:
            break
        shown.append(action)
        left -= needed
    return tuple(shown)


def _offered(action: Action, situation: Situation) -> bool:
    """Greyed where the context forbids it, left out where it never makes sense here."""
    if action.changes and situation.readonly:
        return not action.reason(situation)
    if action.id in ("serve", "filter") and situation.place.kind in ("logs", "activity", "audit"):
        return False
    if action.id in ("next_tab", "previous_tab") and situation.pane == "list":
        return situation.place.kind in ("pulse", "activity", "audit")
    if action.id == "back":
        return situation.pane != "list" or situation.place != HOME
    if action.id == "rollback" and isinstance(situation.item, Function | Revision | Alias | Move):
        return bool(situation.aliases)
    return not action.reason(situation)


def markdown_table() -> str:
    """The keys, for the README."""
    lines = ["| Key | What it does |", "|---|---|"]
    for action in ACTIONS:
        keys = " ".join(f"`{_cell(key)}`" for key in action.written)
        lines.append(f"| {keys} | {_cell(action.help)} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
