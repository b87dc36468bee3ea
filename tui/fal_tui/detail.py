"""What stands in the tabs beside a list: from the store to text. Pure; draws no widget.

Each tab is made only when it is looked at. `needs` says what must be fetched for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.text import Text

from fal_serverless.models import Alias, Function, Key, Move, Revision, Worker
from fal_tui import difference, naming, render
from fal_tui.fields import Field, fields
from fal_tui.overview import joined, overview
from fal_tui.render import Look
from fal_tui.store import Item, Store, Topic, endpoint_label

OVERVIEW, SOURCE, OPTIONS, DIFF, HISTORY = "overview", "source", "options", "diff", "history"
TABS = (OVERVIEW, SOURCE, OPTIONS, DIFF, HISTORY)
IN_SECONDS = ("keep_alive", "request_timeout", "startup_timeout")


@dataclass(frozen=True)
class Code:
    """Source text, to be drawn with syntax colours."""

    text: str
    language: str = "python"


Page = Text | Code


def tabs_of(item: Item | None) -> tuple[str, ...]:
    """Only what has something to say."""
    if isinstance(item, Function | Alias | Revision | Move):
        return TABS
    return (OVERVIEW,)


def subject(item: Item | None, store: Store) -> str | None:
    """Id of the revision that source, options and diff are about."""
    if isinstance(item, Function):
        return item.live or item.latest
    if isinstance(item, Alias | Worker):
        return item.revision
    if isinstance(item, Revision):
        return item.id
    return item.to_revision if isinstance(item, Move) else None


def compared(item: Item | None, store: Store) -> tuple[str | None, str | None]:
    """Ids (before, after) of the diff: against the live one, or the live one against the last."""
    after = subject(item, store)
    if isinstance(item, Move):
        return item.from_revision, item.to_revision
    if isinstance(item, Revision):
        live = store.live_of(item.function)
        return (live, after) if live != after else (_other(item.function, after, store), after)
    if isinstance(item, Function | Alias):
        name = item.name if isinstance(item, Function) else item.function
        return _other(name, after, store), after
    return None, None


def _other(function: str, revision: str | None, store: Store) -> str | None:
    """The revision served just before, of the oldest the newest one; None when it is the only."""
    ids = [each.id for each in store.revisions(function)]
    if revision not in ids or len(ids) < 2:
        return None
    return ids[(ids.index(revision) + 1) % len(ids)]


def function_of(item: Item | None, store: Store) -> str | None:
    """Name of the function an item belongs to."""
    if isinstance(item, Function):
        return item.name
    if isinstance(item, Revision | Alias | Worker):
        return item.function
    if isinstance(item, Move):
        alias = store.alias(item.alias)
        return alias.function if alias else None
    return None


def needs(item: Item | None, tab: str, store: Store) -> frozenset[Topic]:
    """What the tab shows beside the item itself."""
    name = function_of(item, store)
    wanted: set[Topic] = set()
    if name is None:
        return frozenset()
    wanted.add(Topic("revisions", name))
    if tab == HISTORY:
        wanted.update(Topic("moves", each) for each in _aliases(item, store))
    ids: tuple[str | None, ...] = ()
    if tab in (SOURCE, OVERVIEW, OPTIONS):
        ids = (subject(item, store),)
    elif tab == DIFF:
        ids = compared(item, store)
    wanted.update(Topic("revision", each) for each in ids if each)
    return frozenset(wanted)


def page(item: Item | None, tab: str, store: Store, look: Look) -> Page:
    """The content of a tab."""
    if item is None:
        return Text("Nothing is selected.", look.palette.muted)
    if tab == SOURCE:
        return _source(item, store, look)
    if tab == OPTIONS:
        return _options(item, store, look)
    if tab == DIFF:
        return _diff(item, store, look)
    if tab == HISTORY:
        return _history(item, store, look)
    return overview(item, store, look)


# The other tabs


def _source(item: Item, store: Store, look: Look) -> Page:
    revision = store.revision(subject(item, store))
    if revision is None or not revision.bundle.source:
        return _loading(subject(item, store), store, look)
    return Code(revision.bundle.source)


def _options(item: Item, store: Store, look: Look) -> Text:
    revision = store.revision(subject(item, store))
    if revision is None:
        return _loading(subject(item, store), store, look)
    options = dict(revision.bundle.options)
    wanted = options.pop("requirements", None) or ()
    named: list[Field] = [(name, _value(name, value, look)) for name, value in options.items()]
    lines = Text("\n").join(Text(str(each)) for each in wanted)
    none = Text("none", look.palette.muted)
    return fields(
        look,
        ("requirements", lines if wanted else none),
        ("python", revision.bundle.python_version),
        ("environment", revision.environment),
        ("from source", "yes" if revision.bundle.from_source else "no"),
        *named,
    )


def _diff(item: Item, store: Store, look: Look) -> Text:
    tone = look.palette
    before, after = (store.revision(each) for each in compared(item, store))
    if after is None or (before is None and compared(item, store)[0]):
        return _loading(compared(item, store)[1], store, look)
    if before is None:
        return Text("There is no other revision to compare with.", tone.muted)
    if not (before.bundle.source and after.bundle.source):
        return _loading(after.id, store, look)
    live = store.live_of(after.function)
    head = Text()
    for revision, sign in ((before, " → "), (after, "")):
        head.append(naming.short(revision.id), tone.accent)
        head.append(" (live)" if revision.id == live else "", tone.good).append(sign, tone.muted)
    return joined(head, difference.draw(difference.compare(before, after), tone))


def _history(item: Item, store: Store, look: Look) -> Text:
    names = _aliases(item, store)
    moves = [move for name in names for move in store.moves(name)]
    if not names:
        return Text("No alias points here, so nothing was ever moved.", look.palette.muted)
    if not moves:
        return Text("Loading the history…", look.palette.muted)
    if isinstance(item, Revision):
        moves = [m for m in moves if item.id in (m.from_revision, m.to_revision)]
    moves.sort(key=lambda move: render.aware(move.at), reverse=True)
    return Text("\n\n").join(_moved(move, look) for move in moves)


def _moved(move: Move, look: Look) -> Text:
    tone = look.palette
    text = Text().append(move.alias, "bold").append("  ")
    text.append(naming.short(move.from_revision) if move.from_revision else "made", tone.muted)
    text.append(" → ", tone.muted).append(naming.short(move.to_revision), tone.accent)
    text.append(f"  {render.why(move)}\n")
    return text.append(f"{render.local_time(move.at)} by {move.by}", tone.muted)


def _aliases(item: Item | None, store: Store) -> tuple[str, ...]:
    if isinstance(item, Alias):
        return (item.name,)
    if isinstance(item, Move):
        return (item.alias,)
    name = function_of(item, store)
    return tuple(each.name for each in store.aliases_of(name)) if name else ()


def _loading(revision: str | None, store: Store, look: Look) -> Text:
    if revision is None or store.has(Topic("revision", revision)):
        return Text("There is nothing to show.", look.palette.muted)
    return Text(f"Loading revision {naming.short(revision)}…", look.palette.muted)


def _value(name: str, value: Any, look: Look) -> Text:
    if value is None or value is False:
        return Text("no" if value is False else "—", look.palette.muted)
    unit = " s" if name in IN_SECONDS else ""
    return Text("yes" if value is True else f"{value}{unit}")


def label_of(item: Item | None, store: Store) -> str | None:
    """The endpoint label that stands for an item: for logs and calls."""
    if isinstance(item, Function):
        return endpoint_label(item)
    if isinstance(item, Alias):
        return item.name
    if isinstance(item, Revision):
        return item.id
    if isinstance(item, Worker):
        return item.revision
    return item.to_revision if isinstance(item, Move) else None


def name_of(item: Item | None, store: Store) -> str:
    """How an item is called where it stands alone: over its logs and its pages; '' for no name."""
    if isinstance(item, Function):
        return naming.title(item.name, naming.names_of([item]))
    if isinstance(item, Revision):
        return naming.revision(item.id, item.function, store.names)
    if isinstance(item, Worker):
        return f"worker {naming.worker(item.id, item.function, store.names)}"
    if isinstance(item, Key):
        return naming.key(item.id, item.alias)
    if isinstance(item, Move):
        return f"{item.alias} → {naming.short(item.to_revision)}"
    return item.name if isinstance(item, Alias) else ""
