"""What there is to say about one item, on one page. Pure."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text

from fal_serverless.models import (
    WHO,
    Alias,
    AuditEntry,
    AuthMode,
    Function,
    Key,
    Move,
    Revision,
    Traffic,
    Worker,
)
from fal_tui import equivalents, naming, render, sample
from fal_tui.fields import fields
from fal_tui.render import Look
from fal_tui.store import Deed, Item, Store


def overview(item: Item, store: Store, look: Look) -> Text:
    if isinstance(item, Function):
        return _function(item, store, look)
    if isinstance(item, Revision):
        return _revision(store.revision(item.id) or item, store, look)
    if isinstance(item, Alias):
        return _alias(item, store, look)
    if isinstance(item, Move):
        return _move(item, look)
    if isinstance(item, Worker):
        return _worker(item, store, look)
    if isinstance(item, AuditEntry):
        return _audited(item, store, look)
    return _key(item, look) if isinstance(item, Key) else _deed(item, look)


def _function(item: Function, store: Store, look: Look) -> Text:
    tone, traffic = look.palette, item.traffic
    live = store.revision(item.live or item.latest)
    signature = _signature(live) if live else item.entrypoint
    aliases = store.aliases_of(item.name)
    pointers = Text("\n").join(
        Text(f"{each.name} → ").append(naming.short(each.revision), tone.accent) for each in aliases
    )
    return joined(
        Text(signature, "bold"),
        _doc(live, look),
        fields(
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
    return joined(
        Text(_signature(item), "bold"),
        _doc(item, look),
        fields(
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
    return joined(
        Text(_signature(live) if live else item.name, "bold"),
        fields(
            look,
            ("alias", Text(item.name, "bold")),
            ("function", naming.title(item.function, store.names)),
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
    return fields(
        look,
        ("alias", Text(item.alias, "bold")),
        ("from", Text(item.from_revision or "— (the alias was made)", tone.muted)),
        ("to", Text(item.to_revision, tone.accent)),
        ("when", _when(item.at, look)),
        ("by", item.by),
        ("why", render.why(item)),
    )


def _worker(item: Worker, store: Store, look: Look) -> Text:
    tone, start = look.palette, item.cold_start
    parts = ("queue", start.queue), ("env", start.environment), ("load", start.load)
    cold = " · ".join(f"{name} {value:.2f} s" for name, value in (*parts, ("setup", start.setup)))
    return fields(
        look,
        ("worker", Text(item.id, "bold")),
        ("function", naming.title(item.function, store.names)),
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
    return fields(
        look,
        ("key id", Text(item.id, "bold")),
        ("scope", f"{item.scope}: {opens}"),
        ("label", item.alias or "—"),
        ("user", item.user),
        ("created", _when(item.created_at, look)),
        ("secret", Text("only its hash is stored", look.palette.muted)),
    )


def _audited(item: AuditEntry, store: Store, look: Look) -> Text:
    tone = look.palette
    none = Text("—", tone.muted)
    return fields(
        look,
        ("when", _when(item.at, look)),
        ("by", item.by),
        ("from", item.address or none),
        ("key", item.key or none),
        ("what", Text(item.action, "bold")),
        ("on", item.subject),
        ("before", Text(item.before, tone.muted) if item.before else none),
        ("after", Text(item.after, tone.accent) if item.after else none),
        ("message", item.message or none),
    )


def _deed(item: Deed, look: Look) -> Text:
    tone = look.palette
    result = Text(item.error, tone.bad) if item.error else Text("done", tone.good)
    return fields(
        look,
        ("when", _when(item.at, look)),
        ("what", item.what),
        ("result", result),
        ("took", render.took(item.seconds)),
        ("command line", Text(item.command, tone.accent)),
    )


# Pieces


def joined(*parts: Text | None) -> Text:
    return Text("\n\n").join(part for part in parts if part is not None and part.plain)


def _signature(revision: Revision) -> str:
    bundle = revision.bundle
    written = []
    for each in bundle.for_callers:
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


def _when(time: datetime, look: Look) -> Text:
    text = Text(render.local_time(time))
    past = render.ago(time, look.now)
    return text.append(f"  {past if past == 'now' else past + ' ago'}", look.palette.muted)


def _auth(mode: AuthMode, look: Look) -> Text:
    text = Text().append_text(render.auth(mode, look.palette))
    return text.append(f"  {WHO[mode]}", look.palette.muted)


def _git(revision: Revision, look: Look) -> Text:
    if not revision.bundle.git_sha:
        return Text("—", look.palette.muted)
    text = Text(revision.bundle.git_sha[:12])
    return text.append(" with uncommitted changes" if revision.bundle.git_dirty else "", "italic")


def _traffic(traffic: Traffic, look: Look) -> Text:
    if not traffic.requests:
        return Text("no calls", look.palette.muted)
    text = Text(f"{render.counted(traffic.requests, 'call')}, {render.rate(traffic)}/s, ")
    text.append(f"{render.percent(traffic)} errors", look.palette.bad if traffic.errors else "")
    return text.append(f", p50 {render.millis(traffic.p50_ms)}")


def _call(url: str, public: bool, revision: Revision | None, look: Look) -> Text:
    data = sample.body_text(revision) if revision else None
    line = equivalents.curl(url, public, data, look.ca)
    return Text().append("call it\n", look.palette.muted).append(line)
