"""A backend at the transport seam: a function from request to response over plain models."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from fal_serverless import errors
from fal_serverless.client import Client
from fal_serverless.config import Context
from fal_serverless.models import (
    Alias,
    AuditEntry,
    BundleInfo,
    Function,
    FunctionPulse,
    Key,
    LogEntry,
    Move,
    Parameter,
    Pulse,
    Revision,
    Series,
    Status,
    Traffic,
    User,
    Worker,
    to_json,
)

URL = "http://127.0.0.1:3250"
START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SOURCE = '''from fal_serverless import isolated


@isolated(serve=True)
def {name}(text: str) -> str:
    """Say it {how}."""
    return text.{how}()
'''


def revision_id(number: int) -> str:
    return str(uuid.UUID(int=number * 0x1111_1111_1111 << 80 | number, version=4))


class FakeBackend:
    """Two functions: `call` with two revisions and an alias, and an anonymous one."""

    def __init__(self) -> None:
        self.user = User("1", "ada", START)
        self.revisions: dict[str, Revision] = {}
        self.aliases: dict[str, Alias] = {}
        self.moves: dict[str, list[Move]] = {}
        self.keys = [Key("0a1b2c3d", "ADMIN", "1", START, "first")]
        self.workers: list[Worker] = []
        self.audit: list[AuditEntry] = []
        self.entries: list[LogEntry] = []
        self.requests: list[tuple[str, str]] = []
        self.refuse: dict[tuple[str, str], errors.FalError] = {}
        self.down = False
        self.keeps_figures = True
        self.calls_lately = True
        self.answers: tuple[int, Any] = (200, "HELLO")
        """Status and body of every call of an endpoint."""
        self._streams: list[asyncio.Queue[tuple[str, Any] | None]] = []
        self._tails: list[asyncio.Queue[tuple[str, Any] | None]] = []

    # What it holds

    def add_revision(self, number: int, name: str, how: str, **changes: Any) -> Revision:
        made = Revision(
            id=revision_id(number),
            function=name,
            anonymous=False,
            user="1",
            created_at=START + timedelta(minutes=number),
            created_by="ada",
            auth="private",
            url=f"http://1-{revision_id(number)}.gateway.localhost:3250",
            path_url=f"{URL}/1/{revision_id(number)}",
            bundle=BundleInfo(
                entrypoint=name,
                file_name=f"{name}.py",
                source=SOURCE.format(name=name, how=how),
                options={"serve": True, "requirements": [], "max_concurrency": 2},
                parameters=(Parameter("text", "positional_or_keyword", True, "str"),),
                doc=f"Say it {how}.",
                python_version="3.11",
                git_sha="3f2a9c1b" * 5,
            ),
            environment="e" * 12,
            message=f"revision {number}",
        )
        made = replace(made, **changes)
        self.revisions[made.id] = made
        return made

    def point(self, alias: str, target: str, reason: Any = "serve") -> Move:
        revision = self.revisions[target]
        known = self.aliases.get(alias)
        history = self.moves.setdefault(alias, [])
        now = datetime.now(UTC)
        before = known.revision if known else None
        move = Move(len(history) + 1, alias, before, target, now, "ada", reason)
        history.insert(0, move)
        base = known or Alias(
            name=alias,
            function=revision.function,
            revision=target,
            user="1",
            auth="private",
            url=f"http://1-{alias}.gateway.localhost:3250",
            path_url=f"{URL}/1/{alias}",
            created_at=now,
            since=now,
            moves=0,
            max_concurrency=2,
        )
        self.aliases[alias] = replace(base, revision=target, since=now, moves=len(history))
        return move

    def functions(self) -> list[Function]:
        names = dict.fromkeys(each.function for each in self.revisions.values())
        found = [self._function(name) for name in names]
        return sorted(found, key=lambda each: each.served_at, reverse=True)

    def _function(self, name: str) -> Function:
        mine = self._newest_first(name)
        aliases = [each for each in self.aliases.values() if each.function == name]
        first = aliases[0] if aliases else None
        live = first.revision if first else (mine[0].id if mine[0].anonymous else None)
        return Function(
            name=name,
            anonymous=mine[0].anonymous,
            entrypoint=mine[0].bundle.entrypoint,
            user="1",
            revisions=len(mine),
            latest=mine[0].id,
            live=live,
            aliases=tuple(each.name for each in aliases),
            auth=first.auth if first else mine[0].auth,
            url=first.url if first else mine[0].url,
            path_url=first.path_url if first else mine[0].path_url,
            served_at=mine[0].created_at,
            file_name=mine[0].bundle.file_name,
            workers={"ready": 1} if first else {},
            traffic=Traffic(120, 2.0, 0, 0.0, 4.2) if first else Traffic(),
        )

    def _newest_first(self, name: str) -> list[Revision]:
        mine = [each for each in self.revisions.values() if each.function == name]
        mine.sort(key=lambda each: each.created_at, reverse=True)
        return [self._listed(each) for each in mine]

    def _listed(self, revision: Revision) -> Revision:
        names = tuple(a.name for a in self.aliases.values() if a.revision == revision.id)
        return replace(revision, aliases=names)

    def status(self) -> Status:
        return Status(
            version="0.1.0",
            pid=1,
            url=URL,
            domain="localhost",
            started_at=START,
            state_dir="/state",
            user=self.user,
            functions=len(self.functions()),
            revisions=len(self.revisions),
            aliases=len(self.aliases),
            workers=1,
            traffic=Traffic(120, 2.0, 0, 0.0, 4.2),
            python_version="3.11",
            isolation="seccomp",
        )

    def pulse(self, seconds: int, function: str) -> Pulse:
        """Half of the time asked for: calls that grow, two of them failed; the rest is idle."""
        step = {300: 1, 3600: 10, 21600: 60}[seconds]
        count = seconds // step // 2
        rising = tuple(float(place * 4 // count) for place in range(count))
        if not self.calls_lately:
            none = (0.0,) * count
            nobody = (None,) * count
            return Pulse(seconds, step, function, Series(none, none, nobody, nobody, none, none))
        share = 0.5 if function else 1.0
        series = Series(
            requests=tuple(each * share for each in rising),
            errors=(0.0,) * (count - 2) + (1.0, 1.0),
            p50_ms=tuple(each * 4 or None for each in rising),
            p99_ms=tuple(each * 40 or None for each in rising),
            cold_starts=(0.0,) * (count // 2) + (1.0,) + (0.0,) * (count - count // 2 - 1),
            workers=tuple(min(each, 2.0) for each in rising),
            waiting=(0.0,) * count,
        )
        traffic = Traffic(120, 2.0, 2, 1.7, 4.2, 120.0)
        trend = tuple(float(place // 10) for place in range(40))
        failed = (0.0,) * 39 + (1.0,)
        call = FunctionPulse("call", traffic, 1234, 2, 1, 2, 3, trend, failed)
        lately = Traffic(round(180 * share), 3 * share, 12, 6.7, 12.0, 120.0)
        return Pulse(seconds, step, function, series, (call,), lately)

    # Streams

    def changed(self, kind: str) -> None:
        for stream in self._streams:
            stream.put_nowait(("change", {"kind": kind}))

    def log(self, message: str, level: Any = "INFO") -> None:
        number = len(self.entries) + 1
        entry = LogEntry(number, datetime.now(UTC), level, "user", message, "1", "call", "call")
        self.entries.append(entry)
        for tail in self._tails:
            tail.put_nowait(("entry", to_json(entry)))

    def kill(self) -> None:
        """As `kill -9`: streams break, nobody answers."""
        self.down = True
        for stream in (*self._streams, *self._tails):
            stream.put_nowait(None)
        self._streams.clear()
        self._tails.clear()

    def client(self, **options: Any) -> Client:
        return Client(URL, "id:secret", transport=httpx.MockTransport(self.answer), **options)

    async def connect(self, start: bool) -> tuple[Context, Client]:
        if self.down and start:
            self.down = False
        if self.down:
            raise errors.Unreachable("the backend does not run; ctrl+r starts it")
        return Context("local", URL, "1", "id:secret"), self.client()

    # Requests

    async def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if self.down:
            raise httpx.ConnectError("refused", request=request)
        self.requests.append((request.method, path))
        refused = self.refuse.get((request.method, path))
        if refused is not None:
            return httpx.Response(refused.status, json=errors.to_json(refused))
        if path == "/v1/events":
            return self._stream(self._streams, [("change", {"kind": "resync"})])
        if path == "/v1/logs/tail":
            return self._stream(self._tails, [("entry", to_json(e)) for e in self.entries])
        if path == "/v1/metrics/series":
            return self._figures(request)
        if path == "/v1/logs" and (label := request.url.params.get("label", "")):
            return httpx.Response(200, json=to_json([e for e in self.entries if e.alias == label]))
        if not path.startswith("/v1/"):
            return httpx.Response(self.answers[0], json=self.answers[1])
        body = json.loads(request.content) if request.content else {}
        try:
            return httpx.Response(200, json=to_json(self._route(request.method, path, body)))
        except KeyError:
            missing = errors.NotFound(f"no {path}")
            return httpx.Response(404, json=errors.to_json(missing))

    def _figures(self, request: httpx.Request) -> httpx.Response:
        if not self.keeps_figures:
            missing = errors.NotFound(f"no such path: {request.url.path}")
            return httpx.Response(404, json=errors.to_json(missing))
        asked = request.url.params
        found = self.pulse(int(asked["seconds"]), asked["function"])
        return httpx.Response(200, json=to_json(found))

    def _stream(
        self, streams: list[asyncio.Queue[tuple[str, Any] | None]], first: list[tuple[str, Any]]
    ) -> httpx.Response:
        queue: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue()
        streams.append(queue)

        async def events() -> AsyncIterator[bytes]:
            for event in first:
                yield _sse(*event)
            while (item := await queue.get()) is not None:
                yield _sse(*item)
            raise httpx.ReadError("connection lost")

        return httpx.Response(200, content=events())

    def _route(self, method: str, path: str, body: dict[str, Any]) -> Any:
        parts = path.removeprefix("/v1/").split("/")
        if method == "GET":
            return self._get(parts)
        return self._change(method, parts, body)

    def _get(self, parts: list[str]) -> Any:
        simple = {
            "status": self.status,
            "user": lambda: self.user,
            "functions": self.functions,
            "aliases": lambda: list(self.aliases.values()),
            "keys": lambda: self.keys,
            "workers": lambda: self.workers,
            "audit": lambda: self.audit,
            "logs": lambda: self.entries,
        }
        if len(parts) == 1:
            return simple[parts[0]]()
        if parts[0] == "revisions":
            return self._listed(self.revisions[parts[1]])
        if parts[-1] == "moves":
            return self.moves[parts[1]]
        if parts[-1] == "revisions":
            found = self._newest_first(parts[1])
            return [replace(r, bundle=replace(r.bundle, source="")) for r in found]
        return self.aliases[parts[1]] if parts[0] == "aliases" else self._function(parts[1])

    def _change(self, method: str, parts: list[str], body: dict[str, Any]) -> Any:
        if parts[-1] == "rollback":
            target = body["revision"] or self.moves[parts[1]][0].from_revision
            answer: Any = self.point(parts[1], target, "rollback")
        elif parts[0] == "aliases" and method == "PUT":
            self.point(parts[1], body["revision"], body["reason"])
            answer = self.aliases[parts[1]]
        elif parts[0] == "endpoints":
            answer = self._set_auth(parts[1], body["auth"])
        elif parts[0] == "keys" and method == "POST":
            key = Key("99887766", body["scope"], "1", START, body["alias"])
            self.keys.append(key)
            answer = {"key": to_json(key), "secret": "s3cr3t"}
        else:
            answer = self._delete(parts)
        self.changed("resync")
        return answer

    def _set_auth(self, label: str, mode: Any) -> None:
        if label in self.aliases:
            self.aliases[label] = replace(self.aliases[label], auth=mode)
        else:
            self.revisions[label] = replace(self.revisions[label], auth=mode)

    def _delete(self, parts: list[str]) -> None:
        kind, name = parts
        if kind == "functions":
            gone = {k for k, v in self.revisions.items() if v.function == name}
            self.revisions = {k: v for k, v in self.revisions.items() if k not in gone}
            self.aliases = {k: v for k, v in self.aliases.items() if v.function != name}
        elif kind == "revisions":
            del self.revisions[name]
        elif kind == "aliases":
            del self.aliases[name]
        elif kind == "keys":
            self.keys = [key for key in self.keys if key.id != name]
        else:
            self.workers = [each for each in self.workers if each.id != name]


def _sse(event: str, data: Any) -> bytes:
    position = f"id: {data['id']}\n" if event == "entry" else ""
    return f"{position}event: {event}\ndata: {json.dumps(data)}\n\n".encode()


def two_functions() -> FakeBackend:
    """`call` with two revisions under one alias, `shout` under another, one anonymous."""
    made = FakeBackend()
    first = made.add_revision(1, "call", "upper")
    second = made.add_revision(2, "call", "title")
    made.point("call", first.id)
    made.point("call", second.id)
    shout = made.add_revision(3, "shout", "upper")
    made.point("shout", shout.id)
    lone = revision_id(4)
    made.add_revision(
        4, lone, "lower", anonymous=True, bundle=replace(shout.bundle, entrypoint="whisper")
    )
    return made
