"""A model becomes the cells of a row. Pure: no widget, no clock, no store.

`now` is given by the caller; text of users is always `Text`, never markup.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from rich.text import Text

from fal_serverless.models import (
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
from fal_tui import naming
from fal_tui.naming import Names
from fal_tui.palette import PLAIN, Palette
from fal_tui.store import Deed
from fal_tui.widgets.rows import Row


@dataclass(frozen=True)
class Look:
    """What a row needs beside its model."""

    now: datetime
    """Aware."""
    palette: Palette
    width: int = 0
    """Cells that pages are folded to; 0: not at all."""
    names: Names = field(default_factory=dict)
    """Of anonymous functions."""
    ca: str = ""
    """File that vouches for the backend's certificate; '' where none has to."""

    @classmethod
    def at_once(cls, palette: Palette, names: Names = MappingProxyType({})) -> Look:
        return cls(datetime.now(UTC), palette, names=names)


def ago(then: datetime, now: datetime) -> str:
    """`now`, `42s`, `5m`, `3h`, `2d`, `7w`: two or three characters."""
    seconds = max(int((now - aware(then)).total_seconds()), 0)
    if seconds < 2:
        return "now"
    for size, unit in ((604_800 * 2, "w"), (86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // (604_800 if unit == 'w' else size)}{unit}"
    return f"{seconds}s"


def aware(time: datetime) -> datetime:
    """Times without a zone are UTC, as the backend writes them."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def local_time(time: datetime) -> str:
    return aware(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def clock(time: datetime) -> str:
    return aware(time).astimezone().strftime("%H:%M:%S")


def millis(value: float | None) -> str:
    """`0.8 ms`, `12 ms`, `1.4 s`; a dash for no calls."""
    if value is None:
        return "—"
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"


def counted(count: int, word: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def size(count: int | None) -> str:
    if count is None:
        return "—"
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def rate(traffic: Traffic) -> str:
    if not traffic.requests:
        return "—"
    return f"{traffic.per_second:.1f}" if traffic.per_second < 100 else f"{traffic.per_second:.0f}"


def percent(traffic: Traffic) -> str:
    if not traffic.requests:
        return "—"
    value = traffic.error_percent
    return f"{value:.0f} %" if value == 0 or value >= 10 else f"{value:.1f}%"


def auth(mode: AuthMode, palette: Palette) -> Text:
    return Text(mode, palette.auth(mode))


def workers(states: dict[str, int], palette: Palette) -> Text:
    """`2 ready`, or `2 ready 1 busy`; what is stopped does not count."""
    text = Text()
    for state in ("busy", "ready", "starting", "draining", "failed"):
        if states.get(state):
            text.append(" " if text.plain else "")
            text.append(f"{states[state]} {state}", palette.state(state))
    return text if text.plain else Text("idle", palette.muted)


def figure(shown: str, palette: Palette, style: str = "") -> Text:
    return Text(shown, palette.muted if shown == "—" else style)


def function_name(function: Function, palette: Palette) -> Text:
    return Text(naming.called(function), palette.name)


def function_aliases(function: Function, palette: Palette) -> Text:
    if function.aliases:
        return Text(", ".join(function.aliases))
    return Text("anonymous" if function.anonymous else "—", f"italic {palette.muted}")


def function_row(function: Function, look: Look) -> Row:
    tone, traffic = look.palette, function.traffic
    bad = traffic.errors > 0
    return Row(
        function.name,
        (
            function_name(function, tone),
            function_aliases(function, tone),
            Text(naming.short(function.live), tone.accent if function.live else tone.muted),
            auth(function.auth, tone),
            workers(function.workers, tone),
            figure(rate(traffic), tone),
            figure(percent(traffic), tone, tone.bad if bad else ""),
            figure(millis(traffic.p50_ms), tone),
            Text(ago(function.served_at, look.now), tone.muted),
        ),
        function_sort(function),
    )


def function_sort(function: Function) -> tuple[Any, ...]:
    """What each column of `function_row` is sorted by."""
    traffic = function.traffic
    return (
        naming.called(function),
        ", ".join(function.aliases) or None,
        function.live,
        function.auth,
        sum(function.workers.values()),
        traffic.per_second,
        traffic.error_percent,
        traffic.p50_ms,
        -aware(function.served_at).timestamp(),
    )


def lasting_row(function: Function, palette: Palette) -> Row:
    """A row without what is only true now: for the next start's first paint."""
    row = function_row(function, Look.at_once(palette))
    return replace(row, cells=(*row.cells[:4], *(Text("") for _ in row.cells[4:])), sort=None)


def pointed(aliases: Collection[str]) -> str:
    """`▶ call, prod`."""
    return f"▶ {', '.join(aliases)}" if aliases else ""


def git(revision: Revision) -> str:
    """Short commit; a star when files differed from it."""
    sha = revision.bundle.git_sha
    return f"{sha[:7]}{'*' if revision.bundle.git_dirty else ''}" if sha else "—"


def revision_row(revision: Revision, look: Look) -> Row:
    tone = look.palette
    live = bool(revision.aliases)
    return Row(
        revision.id,
        (
            Text(naming.short(revision.id), f"bold {tone.accent}" if live else tone.accent),
            Text(pointed(revision.aliases), f"bold {tone.good}"),
            Text(ago(revision.created_at, look.now)),
            Text(revision.created_by, tone.muted),
            Text(one_line(revision.message)),
            figure(git(revision), tone),
            Text(naming.short(revision.environment), tone.muted),
            Text(revision.bundle.python_version, tone.muted),
            auth(revision.auth, tone),
        ),
        (
            revision.id,
            pointed(revision.aliases) or None,
            -aware(revision.created_at).timestamp(),
            revision.created_by,
            revision.message or None,
            revision.bundle.git_sha,
            revision.environment or None,
            revision.bundle.python_version,
            revision.auth,
        ),
    )


def alias_row(alias: Alias, look: Look) -> Row:
    tone = look.palette
    return Row(
        alias.name,
        (
            Text(alias.name, tone.name),
            Text(naming.function(alias.function, look.names)),
            Text(naming.short(alias.revision), tone.accent),
            auth(alias.auth, tone),
            Text(ago(alias.since, look.now)),
            Text(str(alias.moves)),
            Text(alias.url, tone.muted),
        ),
        alias_sort(alias, look.names),
    )


def alias_sort(alias: Alias, names: Names) -> tuple[Any, ...]:
    """What each column of `alias_row` is sorted by."""
    return (
        alias.name,
        naming.function(alias.function, names),
        alias.revision,
        alias.auth,
        -aware(alias.since).timestamp(),
        alias.moves,
        alias.url,
    )


def why(move: Move) -> str:
    return f"{move.reason}: {one_line(move.message)}" if move.message else str(move.reason)


def move_row(move: Move, look: Look) -> Row:
    tone = look.palette
    return Row(
        str(move.id),
        (
            Text(local_time(move.at)),
            Text(naming.short(move.from_revision), tone.muted),
            Text(naming.short(move.to_revision), tone.accent),
            Text(move.by),
            Text(why(move)),
        ),
        (move.id, move.from_revision, move.to_revision, move.by, why(move)),
    )


def key_row(key: Key, look: Look) -> Row:
    tone = look.palette
    return Row(
        key.id,
        (
            Text(key.id, tone.name),
            Text(key.scope, tone.warn if key.scope == "ADMIN" else ""),
            Text(key.alias or "—", "" if key.alias else tone.muted),
            Text(ago(key.created_at, look.now), tone.muted),
        ),
        (key.id, key.scope, key.alias or None, -aware(key.created_at).timestamp()),
    )


def worker_row(worker: Worker, look: Look) -> Row:
    tone = look.palette
    pid = str(worker.pid) if worker.pid is not None else "—"
    start = worker.cold_start
    cold = start.environment + start.load + start.setup
    return Row(
        worker.id,
        (
            Text(naming.short(worker.id), tone.name),
            Text(naming.function(worker.function, look.names)),
            Text(naming.short(worker.revision), tone.accent),
            Text(worker.state, tone.state(worker.state)),
            Text(str(worker.running)),
            Text(str(worker.requests)),
            figure(size(worker.memory_bytes), tone),
            figure(pid, tone),
            Text(ago(worker.started_at, look.now), tone.muted),
            figure(f"{cold:.2f} s" if cold else "—", tone),
            Text(worker.address, tone.muted),
        ),
        (
            worker.id,
            naming.function(worker.function, look.names),
            worker.revision,
            worker.state,
            worker.running,
            worker.requests,
            worker.memory_bytes,
            worker.pid,
            -aware(worker.started_at).timestamp(),
            cold,
            worker.address,
        ),
        dim=worker.state == "stopped",
    )


def deed_row(deed: Deed, look: Look) -> Row:
    tone = look.palette
    result = Text("failed", tone.bad) if deed.error else Text(took(deed.seconds), tone.good)
    return Row(
        deed.id,
        (
            Text(clock(deed.at), tone.muted),
            Text(one_line(deed.what)),
            result,
            Text(deed.command, tone.accent),
        ),
        (deed.at.timestamp(), deed.what, deed.error or None, deed.command),
    )


def changed(entry: AuditEntry) -> str:
    """`1111 → 2222`, or the one that is there."""
    both = (naming.told(each) for each in (entry.before, entry.after) if each)
    return " → ".join(both)


def audit_row(entry: AuditEntry, look: Look) -> Row:
    tone = look.palette
    opens = entry.action == "auth" and entry.after == "public"
    return Row(
        f"audit-{entry.id}",
        (
            Text(local_time(entry.at), tone.muted),
            Text(entry.by),
            Text(entry.address or "—", tone.muted),
            Text(entry.action, tone.name),
            Text(naming.title(entry.subject, look.names)),
            Text(changed(entry), tone.warn if opens else tone.accent),
            Text(one_line(entry.message), tone.muted),
        ),
        (
            entry.id,
            entry.by,
            entry.address or None,
            entry.action,
            naming.title(entry.subject, look.names),
            changed(entry) or None,
            entry.message or None,
        ),
    )


def took(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 100 else f"{seconds:.0f} s"


def one_line(text: str) -> str:
    return " ".join(text.split())


def row(item: Any, look: Look) -> Row:
    """The row of any model a list can hold."""
    makers: dict[type, Any] = {
        Function: function_row,
        Revision: revision_row,
        Alias: alias_row,
        Move: move_row,
        Key: key_row,
        Worker: worker_row,
        Deed: deed_row,
        AuditEntry: audit_row,
    }
    made: Row = makers[type(item)](item, look)
    return made


def sort_of(item: Any, names: Names = MappingProxyType({})) -> tuple[Any, ...] | None:
    """What a row is sorted by, column by column."""
    if isinstance(item, Function):
        return function_sort(item)
    if isinstance(item, Alias):
        return alias_sort(item, names)
    return row(item, Look.at_once(PLAIN, names)).sort


def entry_point(item: Any, names: Names) -> str | None:
    """The one that the item's row shows of another item; None for none."""
    if isinstance(item, Alias | Worker):
        return names.get(item.function)
    return names.get(item.subject) if isinstance(item, AuditEntry) else None


def moment(item: Any) -> datetime:
    """The time whose age a row shows."""
    names = ("served_at", "since", "created_at", "started_at", "at")
    found: datetime = next(getattr(item, name) for name in names if hasattr(item, name))
    return found
