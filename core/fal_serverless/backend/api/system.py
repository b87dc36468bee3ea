"""The backend itself: health, status, users, keys, workers, audit, logs and live changes."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import fields, replace
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from fal_serverless.backend.api.context import (
    Rooms,
    answer,
    caller,
    json_body,
    rooms,
    text_of,
    text_or_none,
    whole_number,
)
from fal_serverless.backend.api.streams import event_stream
from fal_serverless.backend.logs.selection import Selection, check_search
from fal_serverless.backend.logs.wire import json_values
from fal_serverless.endpoint import parse_label
from fal_serverless.errors import BadInput, NotFound
from fal_serverless.models import Change, LogQuery, Scope, User

MAX_LINES = 100_000
"""Log entries in one answer."""
MAX_AUDIT = 10_000
"""Audit entries in one answer."""
MAX_ID = 2**63
"""Log entries have smaller ids."""
_DATE = re.compile(r"[0-9]{4}-")


async def health(request: Request) -> Response:
    """Whether it answers; no key needed, nothing told."""
    return JSONResponse({"status": "ok", "pid": os.getpid()})


async def show_status(request: Request) -> Response:
    return answer(await rooms(request).status(caller(request)))


async def show_user(request: Request) -> Response:
    return answer(caller(request))


async def list_users(request: Request) -> Response:
    caller(request)
    return answer(rooms(request).registry.users())


async def add_user(request: Request) -> Response:
    caller(request)
    here = rooms(request)
    body = await json_body(request, "nickname")
    user = here.registry.add_user(text_of(body, "nickname"))
    return answer({"user": user, "key": here.keys.generate(user.id, "ADMIN")}, 201)


async def list_keys(request: Request) -> Response:
    return answer(rooms(request).keys.list(caller(request).id))


async def generate_key(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    body = await json_body(request, "scope", "alias")
    scope, alias = _scope(body.get("scope")), text_or_none(body, "alias")
    made = here.keys.generate(user.id, scope, alias)
    here.changes.publish(Change("key", made.key.id))
    return answer(made, 201)


async def revoke_key(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    here.keys.revoke(user.id, request.path_params["id"])
    here.changes.publish(Change("key", request.path_params["id"]))
    return Response(status_code=204)


async def list_workers(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    mine = _revisions(request, user)
    return answer([worker for worker in here.engine.workers() if worker.revision in mine])


async def stop_worker(request: Request) -> Response:
    user, here = caller(request), rooms(request)
    worker_id = request.path_params["id"]
    mine = _revisions(request, user)
    if not any(w.id == worker_id and w.revision in mine for w in here.engine.workers()):
        raise NotFound(f"no worker '{worker_id}'; 'worker list' shows those that run")
    # Before it is stopped: that may take as long as what it runs.
    await asyncio.to_thread(here.audit.add, user.id, "worker stop", worker_id)
    await here.engine.stop_worker(worker_id, user.nickname)
    return Response(status_code=204)


def _revisions(request: Request, user: User) -> set[str]:
    """What the user's workers run: revisions, and functions sent to be called."""
    here = rooms(request)
    return {stored.id for stored in here.registry.revisions(user.id)} | here.sent.revisions(user.id)


async def read_audit(request: Request) -> Response:
    """What was changed of the caller's, and by the caller; newest first."""
    user = caller(request)
    lines = _lines(request.query_params.get("lines", "100"))
    return answer(await asyncio.to_thread(rooms(request).audit.entries, user.id, lines))


def _lines(text: str) -> int:
    found = whole_number(text, MAX_AUDIT)
    if found is None:
        raise BadInput(f"lines must be from 0 to {MAX_AUDIT}, not {text[:100]!r}")
    return found


async def read_logs(request: Request) -> Response:
    found = rooms(request).logs.found(select(request, caller(request)))
    # What is wrong with the question shows with the first page.
    first = await anext(found, b"")
    return StreamingResponse(_listed(first, found), media_type="application/json")


async def _listed(first: bytes, found: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """Pages as one JSON list, one at a time in memory."""
    async with aclosing(found):
        yield b"[" + json_values(first)
        async for page in found:
            yield b"," + json_values(page)
        yield b"]"


async def tail_logs(request: Request) -> Response:
    """Server-sent events; `Last-Event-ID` says where a browser's tail goes on."""
    selection = select(request, caller(request))
    seen = request.headers.get("last-event-id", "")
    if seen:
        query = replace(selection.query, after=_event_id(seen))
        selection = replace(selection, query=query)
    check_search(selection.query.search)
    here = rooms(request)
    moves = _Moves(here, selection) if selection.query.label else None
    return event_stream(here.logs.tail(selection, moves), here.stopping, bytes)


class _Moves:
    """A tail of a label goes on with what that comes to point at."""

    def __init__(self, here: Rooms, selection: Selection) -> None:
        self._here = here
        self._selection = selection
        self._label = parse_label(selection.query.label)

    def now(self) -> Selection:
        found = self._here.registry.find(self._selection.user, self._label)
        if found is not None and found.revision not in (self._selection.revisions or ()):
            self._read()
        return self._selection

    async def moved(self) -> None:
        # The first change is a resync: what moved before this began is seen as well.
        async with aclosing(self._here.changes.subscribe()) as changes:
            async for change in changes:
                if change.kind == "resync" or change.name == self._label:
                    before = self._selection
                    self._read()
                    if self._selection != before:
                        return

    def _read(self) -> None:
        served = self._here.registry.served_by(self._selection.user, self._label)
        self._selection = replace(self._selection, revisions=frozenset(served))


async def watch_changes(request: Request) -> Response:
    caller(request)
    here = rooms(request)
    return event_stream(here.changes.subscribe(), here.stopping)


def select(request: Request, user: User) -> Selection:
    """The query string as a LogQuery, its label resolved. Raises BadInput, NotFound."""
    query = _query(request)
    if not query.label:
        return Selection(user.id, query)
    label = parse_label(query.label)
    served = rooms(request).registry.served_by(user.id, label)
    return Selection(user.id, query, frozenset(served))


def _query(request: Request) -> LogQuery:
    given: dict[str, Any] = dict(request.query_params)
    names = {field.name for field in fields(LogQuery)}
    unknown = sorted(set(given) - names)
    if unknown:
        raise BadInput(f"unknown parameter '{unknown[0]}'; there are: {', '.join(sorted(names))}")
    _check_words(given)
    if "sources" in given:
        given["sources"] = request.query_params.getlist("sources")
    try:
        query = msgspec.convert(given, LogQuery, strict=False)
    except msgspec.ValidationError as exc:
        raise BadInput(f"cannot read logs like that: {exc}") from exc
    if not 0 <= query.lines <= MAX_LINES:
        raise BadInput(f"lines must be from 0 to {MAX_LINES}, not {query.lines}")
    if query.after is not None:
        _event_id(str(query.after))
    return query


def _check_words(given: dict[str, str]) -> None:
    """Of what msgspec would take for something that nobody told of. Raises BadInput."""
    for name in ("level", "after"):
        if given.get(name, "").lower() == "null":
            raise BadInput(f"'{name}' cannot be null: leave it out")
    for name in ("since", "until"):
        if name in given and not _DATE.match(given[name]):
            said = given[name][:100]
            raise BadInput(f"'{name}' is to be like 2026-01-31T12:00:00Z (RFC 3339), not {said!r}")


def _event_id(text: str) -> int:
    """Of an entry that a reader has seen."""
    found = whole_number(text, MAX_ID - 1)
    if found is None:
        raise BadInput(f"{text[:100]!r} is not the id of a log entry: a number from 0 on")
    return found


def _scope(value: Any) -> Scope:
    if value == "ADMIN":
        return "ADMIN"
    if value == "API":
        return "API"
    raise BadInput(f"scope must be ADMIN or API, not {value!r}")


routes = [
    Route("/healthz", health),
    Route("/v1/status", show_status),
    Route("/v1/user", show_user),
    Route("/v1/users", list_users),
    Route("/v1/users", add_user, methods=["POST"]),
    Route("/v1/keys", list_keys),
    Route("/v1/keys", generate_key, methods=["POST"]),
    Route("/v1/keys/{id}", revoke_key, methods=["DELETE"]),
    Route("/v1/workers", list_workers),
    Route("/v1/workers/{id}", stop_worker, methods=["DELETE"]),
    Route("/v1/audit", read_audit),
    Route("/v1/logs", read_logs),
    Route("/v1/logs/tail", tail_logs),
    Route("/v1/events", watch_changes),
]
