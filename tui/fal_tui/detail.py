"""What stands in the tabs beside a list: from the store to text. Pure; draws no widget.

Each tab is made only when it is looked at. `needs` says what must be fetched for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from fal_serverless.models import Alias, Function, Key, Move, Revision, Worker, to_json
from fal_tui import difference, equivalents, render, sample
from fal_tui.render import Look
from fal_tui.store import Deed, Item, Store, Topic, endpoint_label

OVERVIEW, SOURCE, OPTIONS, DIFF, HISTORY = "overview", "source", "options", "diff", "history"
TABS = (OVERVIEW, SOURCE, OPTIONS, DIFF, HISTORY)

Field = tuple[str, Text | str]


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
        return (live, after) if live != after else (_older(item.function, after, store), after)
    if isinstance(item, Function | Alias):
        name = item.name if isinstance(item, Function) else item.function
        return _older(name, after, store), after
    return None, None


def _older(function: str, revision: str | None, store: Store) -> str | None:
    """The revision served just before."""
    ids = [each.id for each in store.revisions(function)]
    place = ids.index(revision) if revision in ids else -1
    return ids[place + 1] if 0 <= place < len(ids) - 1 else None


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
    return _overview(item, store, look)


# Overview


def _overview(item: Item, store: Store, look: Look) -> Text:
    if isinstance(item, Function):
        return _function(item, store, look)
    if isinstance(item, Revision):
        return _revision(store.revision(item.id) or item, store, look)
    if isinstance(item, Alias):
        return _alias(item, store, look)
    if isinstance(item, Move):
        return _move(item, look)
    if isinstance(item, Worker):
        return _worker(item, look)
    return _key(item, look) if isinstance(item, Key) else _deed(item, look)


def _function(item: Function, store: Store, look: Look) -> Text:
    tone, traffic = look.palette, item.traffic
    live = store.revision(item.live or item.latest)
    signature = _signature(live) if live else item.entrypoint
    aliases = store.aliases_of(item.name)
    pointers = Text("\n").join(
        Text(f"{each.name} → ").append(render.short(each.revision), tone.accent) for each in aliases
    )
    return _page(
        Text(signature, "bold"),
        _doc(live, look),
        _fields(
            look,
            ("url", item.url),
            ("path", item.path_url),
            ("auth", _auth(item.auth, look)),
            ("aliases", pointers if aliases else Text("none: reached by its id only", tone.muted)),
            ("live", Text(item.live or "—", tone.accent)),
            ("revisions", str(item.revisions)),
            ("served", _when(item.served_at, look)),
            ("workers", render.workers(item.workers, tone)),
            ("last minute", _traffic(traffic, look)),
        ),
        _call(item.url, item.auth == "public", live, look),
    )


def _revision(item: Revision, store: Store, look: Look) -> Text:
    tone = look.palette
    return _page(
        Text(_signature(item), "bold"),
        _doc(item, look),
        _fields(
            look,
            ("revision", Text(item.id, tone.accent)),
            ("live on", Text(render.pointed(item.aliases) or "—", tone.good)),
            ("served", _when(item.created_at, look)),
            ("by", item.created_by),
            ("message", item.message or Text("—", tone.muted)),
            ("git", _git(item, look)),
            ("url", item.url),
            ("auth", _auth(item.auth, look)),
            ("python", item.bundle.python_version),
            ("environment", item.environment),
            ("file", item.bundle.file_name),
        ),
        _call(item.url, item.auth == "public", item, look),
    )


def _alias(item: Alias, store: Store, look: Look) -> Text:
    tone = look.palette
    live = store.revision(item.revision)
    return _page(
        Text(_signature(live) if live else item.name, "bold"),
        _fields(
            look,
            ("alias", Text(item.name, "bold")),
            ("function", render.title_of(item.function)),
            ("revision", Text(item.revision, tone.accent)),
            ("since", _when(item.since, look)),
            ("moves", str(item.moves)),
            ("auth", _auth(item.auth, look)),
            ("url", item.url),
            ("path", item.path_url),
            ("max concurrency", str(item.max_concurrency)),
        ),
        _call(item.url, item.auth == "public", live, look),
    )


def _move(item: Move, look: Look) -> Text:
    tone = look.palette
    return _fields(
        look,
        ("alias", Text(item.alias, "bold")),
        ("from", Text(item.from_revision or "— (the alias was made)", tone.muted)),
        ("to", Text(item.to_revision, tone.accent)),
        ("when", _when(item.at, look)),
        ("by", item.by),
        ("why", render.why(item)),
    )


def _worker(item: Worker, look: Look) -> Text:
    tone, start = look.palette, item.cold_start
    parts = ("queue", start.queue), ("env", start.environment), ("load", start.load)
    cold = " · ".join(f"{name} {value:.2f} s" for name, value in (*parts, ("setup", start.setup)))
    return _fields(
        look,
        ("worker", Text(item.id, "bold")),
        ("function", render.title_of(item.function)),
        ("revision", Text(item.revision, tone.accent)),
        ("state", Text(item.state, tone.state(item.state))),
        ("pid", str(item.pid) if item.pid is not None else "—"),
        ("address", item.address),
        ("started", _when(item.started_at, look)),
        ("requests", f"{item.requests} ({item.running} running)"),
        ("memory", render.size(item.memory_bytes)),
        ("cold start", cold),
    )


def _key(item: Key, look: Look) -> Text:
    opens = "control API and endpoints" if item.scope == "ADMIN" else "endpoints only"
    return _fields(
        look,
        ("key id", Text(item.id, "bold")),
        ("scope", f"{item.scope}: {opens}"),
        ("label", item.alias or "—"),
        ("user", item.user),
        ("created", _when(item.created_at, look)),
        ("secret", Text("only its hash is stored", look.palette.muted)),
    )


def _deed(item: Deed, look: Look) -> Text:
    tone = look.palette
    result = Text(item.error, tone.bad) if item.error else Text("done", tone.good)
    return _fields(
        look,
        ("when", _when(item.at, look)),
        ("what", item.what),
        ("result", result),
        ("took", render.took(item.seconds)),
        ("command line", Text(item.command, tone.accent)),
    )


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
    named: list[Field] = [(name, _value(value, look)) for name, value in options.items()]
    lines = Text("\n").join(Text(str(each)) for each in wanted)
    none = Text("none", look.palette.muted)
    return _fields(
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
        head.append(render.short(revision.id), tone.accent)
        head.append(" (live)" if revision.id == live else "", tone.good).append(sign, tone.muted)
    return _page(head, difference.draw(difference.compare(before, after), tone))


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
    text.append(render.short(move.from_revision) if move.from_revision else "made", tone.muted)
    text.append(" → ", tone.muted).append(render.short(move.to_revision), tone.accent)
    text.append(f"  {render.why(move)}\n")
    return text.append(f"{render.local_time(move.at)} by {move.by}", tone.muted)


def _aliases(item: Item | None, store: Store) -> tuple[str, ...]:
    if isinstance(item, Alias):
        return (item.name,)
    if isinstance(item, Move):
        return (item.alias,)
    name = function_of(item, store)
    return tuple(each.name for each in store.aliases_of(name)) if name else ()


# Pieces


def _loading(revision: str | None, store: Store, look: Look) -> Text:
    if revision is None or store.has(Topic("revision", revision)):
        return Text("There is nothing to show.", look.palette.muted)
    return Text(f"Loading revision {render.short(revision)}…", look.palette.muted)


def _page(*parts: Text | None) -> Text:
    return Text("\n\n").join(part for part in parts if part is not None and part.plain)


def _fields(look: Look, *fields: Field) -> Text:
    """Names in one column, values beside them; a value's further lines stand under its first."""
    width = max(len(name) for name, _ in fields) + 2
    return Text("\n").join(_field(name, value, width, look) for name, value in fields)


def _field(name: str, value: Text | str, width: int, look: Look) -> Text:
    shown = value if isinstance(value, Text) else Text(value)
    line = Text().append(name.ljust(width), look.palette.muted)
    first, *rest = shown.split("\n") or [Text()]
    line.append_text(first)
    for more in rest:
        line.append("\n" + " " * width).append_text(more)
    return line


def _signature(revision: Revision) -> str:
    bundle = revision.bundle
    written = []
    for each in bundle.parameters:
        stars = {"var_positional": "*", "var_keyword": "**"}.get(each.kind, "")
        kind = f": {each.annotation}" if each.annotation else ""
        equals = " = " if each.annotation else "="
        written.append(
            f"{stars}{each.name}{kind}" + (f"{equals}{each.default}" if each.default else "")
        )
    head = "async def" if bundle.is_async else "def"
    port = bundle.options.get("exposed_port")
    tail = f"  serves port {port}" if port else ""
    return f"{head} {bundle.entrypoint}({', '.join(written)}){tail}"


def _doc(revision: Revision | None, look: Look) -> Text | None:
    return Text(revision.bundle.doc.strip(), "italic") if revision else None


def _when(time: Any, look: Look) -> Text:
    text = Text(render.local_time(time))
    past = render.ago(time, look.now)
    return text.append(f"  {past if past == 'now' else past + ' ago'}", look.palette.muted)


def _auth(mode: Any, look: Look) -> Text:
    who = {"private": "keys of the owner", "shared": "any valid key", "public": "anybody"}
    text = Text().append_text(render.auth(mode, look.palette))
    return text.append(f"  {who[mode]}", look.palette.muted)


def _git(revision: Revision, look: Look) -> Text:
    if not revision.bundle.git_sha:
        return Text("—", look.palette.muted)
    text = Text(revision.bundle.git_sha[:12])
    return text.append(" with uncommitted changes" if revision.bundle.git_dirty else "", "italic")


def _traffic(traffic: Any, look: Look) -> Text:
    if not traffic.requests:
        return Text("no calls", look.palette.muted)
    plural = "" if traffic.requests == 1 else "s"
    text = Text(f"{traffic.requests} call{plural}, {render.rate(traffic)}/s, ")
    text.append(f"{render.percent(traffic)} errors", look.palette.bad if traffic.errors else "")
    return text.append(f", p50 {render.millis(traffic.p50_ms)}")


def _value(value: Any, look: Look) -> Text:
    if value in (None, False):
        return Text("no" if value is False else "—", look.palette.muted)
    return Text("yes" if value is True else str(value))


def _call(url: str, public: bool, revision: Revision | None, look: Look) -> Text:
    data = sample.body_text(revision) if revision else None
    line = equivalents.curl(url, public, data)
    return Text().append("call it\n", look.palette.muted).append(line)


# Describe, JSON, copy


def as_json(item: Item, store: Store) -> str:
    """The model as the API has it; a revision with its source."""
    whole = (store.revision(item.id) or item) if isinstance(item, Revision) else item
    return json.dumps(to_json(whole), indent=2, ensure_ascii=False, default=str)


@dataclass(frozen=True)
class Copyable:
    """One entry of the copy menu."""

    label: str
    value: str


def copies(item: Item, store: Store, row: Iterable[str]) -> tuple[Copyable, ...]:
    """What of an item can be copied."""
    found: list[Copyable] = []
    if isinstance(item, Function | Alias):
        found.append(Copyable("name", item.name))
    if isinstance(item, Key | Worker | Revision):
        found.append(Copyable("id", item.id))
    if isinstance(item, Function | Alias | Revision):
        revision = store.revision(subject(item, store))
        data = sample.body_text(revision) if revision else None
        found.append(Copyable("URL", item.url))
        found.append(Copyable("path URL", item.path_url))
        found.append(Copyable("curl", equivalents.curl(item.url, item.auth == "public", data)))
    about = subject(item, store)
    if about and not isinstance(item, Revision):
        found.append(Copyable("revision", about))
    if isinstance(item, Deed) and item.command:
        found.append(Copyable("command line", item.command))
    return (*found, Copyable("row", "\t".join(row)))


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
