"""The way to a backend: one async client over its control API and its endpoints.

The only importer of httpx. Every error is one of `errors`: what the backend answered becomes the
class it was raised as, what httpx raised becomes Unreachable or BadAnswer.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from fal_serverless import errors, skew
from fal_serverless.endpoint import path_url
from fal_serverless.models import (
    Alias,
    Answer,
    AuditEntry,
    AuthMode,
    CallEvent,
    Change,
    Environment,
    Function,
    FunctionList,
    Key,
    LogEntry,
    LogQuery,
    Move,
    MoveReason,
    NewKey,
    Pruned,
    Pulse,
    Revision,
    Scope,
    ServeEvent,
    Status,
    User,
    Worker,
    from_json,
    to_json,
)
from fal_serverless.tls import pinned

T = TypeVar("T")

CONNECT_TIMEOUT = 5.0
"""Seconds to open a connection."""
ANSWER_TIMEOUT = 60.0
"""Seconds for an answer of the control API that is not a stream."""
NAMES = 10_000
"""Names that the entries of a tail share; most are request ids, and old ones do not come again."""
SILENCE = 45.0
"""Seconds without a byte after which a stream counts as lost; the backend writes every 15."""

AT_ONCE = 200
"""Items of a long answer that are read in one go: a millisecond or two."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two tries to take up a tail."""

Lost = Callable[[errors.Unreachable, int], Awaitable[object]]
"""What happened, and how often since the last entry."""

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class FunctionParts(msgspec.Struct):
    """A FunctionChanges whose functions are not read yet."""

    version: str
    whole: bool
    functions: list[msgspec.Raw]
    gone: list[str]


class Client:
    """One backend, as one user.

    `url` is its base URL, `key` is `id:secret`. With `readonly` every change is refused here
    (ReadOnly), before anything is sent. Use as `async with Client(...) as client`.
    """

    def __init__(
        self,
        url: str,
        key: str = "",
        *,
        readonly: bool = False,
        tls: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.readonly = readonly
        self.breathe: Callable[[], Awaitable[object]] = _turn
        """Waited for between the parts of a long answer, so that others have their turn."""
        self._user: User | None = None
        with _translated(self.url):
            self._http = httpx.AsyncClient(
                base_url=self.url,
                headers=skew.headers(_version()) | ({"Authorization": f"Key {key}"} if key else {}),
                timeout=httpx.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT),
                transport=transport,
                verify=tls or True,
                # A call from Python has a connection for as long as it runs.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
                trust_env=not _is_loopback(self.url),
            )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    # The backend itself

    async def status(self) -> Status:
        return from_json(Status, await self._call("GET", "/v1/status"))

    async def user(self) -> User:
        """Who the key belongs to; asked once."""
        if self._user is None:
            self._user = from_json(User, await self._call("GET", "/v1/user"))
        return self._user

    async def users(self) -> list[User]:
        return from_json(list[User], await self._call("GET", "/v1/users"))

    async def add_user(self, nickname: str) -> tuple[User, NewKey]:
        """A new user, and a first ADMIN key of theirs. Raises Conflict for a taken nickname."""
        body = await self._call("POST", "/v1/users", {"nickname": nickname})
        return from_json(User, body["user"]), from_json(NewKey, body["key"])

    async def pulse(self, seconds: int = 300, function: str = "", parts: int = 40) -> Pulse:
        """The last so many seconds of one function ('': of all), and in `parts` of each.

        Raises NotFound for a function that is not there, BadInput for more than is remembered.
        """
        params = {"seconds": seconds, "function": function, "parts": parts}
        return _decoded(Pulse, await self._get("/v1/metrics/series", params))

    # Functions and revisions

    async def functions(self) -> list[Function]:
        """Newest serve first."""
        return from_json(list[Function], await self._call("GET", "/v1/functions"))

    async def functions_since(self, known: FunctionList | None = None) -> FunctionList:
        """As `functions`, in a list that is kept: of one known already only changes are sent.

        The same list again when nothing changed. Thousands are read bit by bit, so that others
        have their turn.
        """
        version = known.version if known is not None else ""
        content = await self._get("/v1/functions", {"since": version})
        found = _decoded(FunctionParts, content) if content[:1] == b"{" else None
        if found is None:
            # a backend that knows no versions
            whole = await self._in_parts(Function, _decoded(list[msgspec.Raw], content))
            return FunctionList("", tuple(whole))
        changed = await self._in_parts(Function, found.functions)
        if known is None or found.whole:
            return FunctionList(found.version, tuple(changed))
        return known.changed(found.version, changed, found.gone)

    async def function(self, name: str) -> Function:
        return from_json(Function, await self._call("GET", f"/v1/functions/{_part(name)}"))

    async def delete_function(self, name: str) -> None:
        """With all its revisions and aliases. Raises NotFound, Conflict while it is in use."""
        await self._call("DELETE", f"/v1/functions/{_part(name)}")

    async def revisions(self, name: str) -> list[Revision]:
        """Newest first, without source text."""
        body = await self._call("GET", f"/v1/functions/{_part(name)}/revisions")
        return from_json(list[Revision], body)

    async def revision(self, revision_id: str) -> Revision:
        """With its source text. A unique beginning of the id is enough."""
        return from_json(Revision, await self._call("GET", f"/v1/revisions/{_part(revision_id)}"))

    async def delete_revision(self, revision_id: str) -> None:
        """Raises Conflict while an alias points at it."""
        await self._call("DELETE", f"/v1/revisions/{_part(revision_id)}")

    async def serve(
        self,
        bundle: bytes,
        *,
        alias: str | None = None,
        auth: AuthMode | None = None,
        message: str = "",
    ) -> AsyncGenerator[ServeEvent, None]:
        """Register a bundle; yields phases and log lines, then one event of kind `done`.

        A failed serve raises what went wrong; the alias then stands where it stood. Closing the
        iterator cancels the serve.
        """
        self._refuse_when_readonly("serve a function")
        params = {"alias": alias, "auth": auth, "message": message or None}
        request = {
            "params": {k: v for k, v in params.items() if v is not None},
            "content": bundle,
            "headers": {"Content-Type": "application/zip"},
        }
        done: ServeEvent | None = None
        async with self._stream("POST", "/v1/revisions", **request) as lines:
            async for event, data in lines:
                if event == "error":
                    raise errors.from_json(data)
                if data.get("kind") == "done":
                    done = from_json(ServeEvent, data)
                    break
                yield from_json(ServeEvent, data)
        if done is None:
            raise errors.Unreachable("the backend closed the connection before the serve was done")
        # Only now: a reader who leaves at `done` leaves no open connection behind.
        yield done

    # Aliases and auth

    async def aliases(self) -> list[Alias]:
        content = await self._get("/v1/aliases")
        return await self._in_parts(Alias, _decoded(list[msgspec.Raw], content))

    async def _in_parts(self, cls: type[T], found: Sequence[msgspec.Raw]) -> list[T]:
        """Each of a long list."""
        made: list[T] = []
        for place, content in enumerate(found):
            made.append(_decoded(cls, content))
            if place % AT_ONCE == AT_ONCE - 1:
                await self.breathe()
        return made

    async def alias(self, name: str) -> Alias:
        return from_json(Alias, await self._call("GET", f"/v1/aliases/{_part(name)}"))

    async def moves(self, alias: str) -> list[Move]:
        """The alias's history, newest first."""
        return from_json(list[Move], await self._call("GET", f"/v1/aliases/{_part(alias)}/moves"))

    async def set_alias(
        self,
        name: str,
        revision_id: str,
        *,
        auth: AuthMode | None = None,
        reason: MoveReason = "set",
        message: str = "",
    ) -> Alias:
        """Make the alias, or move it, once the revision is warm."""
        body = {"revision": revision_id, "auth": auth, "reason": reason, "message": message}
        return from_json(
            Alias, await self._call("PUT", f"/v1/aliases/{_part(name)}", body, slow=True)
        )

    async def rollback(
        self, alias: str, revision_id: str | None = None, *, message: str = ""
    ) -> Move:
        """Point the alias at a revision; without one, where it stood before its last move."""
        body = {"revision": revision_id, "message": message}
        path = f"/v1/aliases/{_part(alias)}/rollback"
        return from_json(Move, await self._call("POST", path, body, slow=True))

    async def delete_alias(self, name: str) -> None:
        await self._call("DELETE", f"/v1/aliases/{_part(name)}")

    async def set_auth(self, label: str, auth: AuthMode) -> None:
        """Of an alias or a revision's own endpoint; in force from the next request on."""
        await self._call("PATCH", f"/v1/endpoints/{_part(label)}", {"auth": auth})

    # Keys and workers

    async def keys(self) -> list[Key]:
        return from_json(list[Key], await self._call("GET", "/v1/keys"))

    async def generate_key(self, scope: Scope, alias: str = "") -> NewKey:
        body = await self._call("POST", "/v1/keys", {"scope": scope, "alias": alias})
        return from_json(NewKey, body)

    async def revoke_key(self, key_id: str) -> None:
        await self._call("DELETE", f"/v1/keys/{_part(key_id)}")

    async def workers(self) -> list[Worker]:
        return from_json(list[Worker], await self._call("GET", "/v1/workers"))

    async def stop_worker(self, worker_id: str) -> None:
        """After what it runs is finished, or the drain time is over."""
        await self._call("DELETE", f"/v1/workers/{_part(worker_id)}", slow=True)

    # Environments

    async def environments(self) -> list[Environment]:
        """Newest use first."""
        return from_json(list[Environment], await self._call("GET", "/v1/environments"))

    async def environment(self, key: str) -> Environment:
        """A unique beginning of the key is enough. Raises NotFound."""
        return from_json(Environment, await self._call("GET", f"/v1/environments/{_part(key)}"))

    async def delete_environment(self, key: str) -> Pruned:
        """Raises NotFound; Conflict while a revision uses it."""
        body = await self._call("DELETE", f"/v1/environments/{_part(key)}", slow=True)
        return from_json(Pruned, body)

    async def prune_environments(self, older_than: float = 0, *, dry_run: bool = False) -> Pruned:
        """Remove those that no revision uses and nobody asked for in so many seconds."""
        body = {"older_than": older_than, "dry_run": dry_run}
        return from_json(
            Pruned, await self._call("POST", "/v1/environments/prune", body, slow=True)
        )

    # Audit, logs and changes

    async def audit(self, lines: int = 100) -> list[AuditEntry]:
        """The newest so many changes of what is ours, or done by us; newest first."""
        body = await self._call("GET", "/v1/audit", params={"lines": lines})
        return from_json(list[AuditEntry], body)

    async def logs(self, query: LogQuery) -> list[LogEntry]:
        """The newest `query.lines` entries that match, oldest first."""
        body = await self._call("GET", "/v1/logs", params=_log_params(query))
        return from_json(list[LogEntry], body)

    async def tail(
        self, query: LogQuery, *, lost: Lost | None = None
    ) -> AsyncGenerator[LogEntry, None]:
        """The newest `query.lines` entries (all after `query.after` when given), then each new one.

        Without `lost`, Unreachable is raised when the connection is lost. With it, the tail goes on
        where it was, each entry once: `lost` is called with what happened and the number of tries
        since the last entry; it waits as long as it likes (`pause` does), or raises to give up.
        """
        tries = 0
        while True:
            try:
                async with aclosing(self._tail(query)) as found:
                    async for seen, entry in found:
                        query, tries = replace(query, after=seen), 0
                        if entry is not None:
                            yield entry
                raise errors.Unreachable("the backend closed the log stream")
            except errors.Unreachable as exc:
                if lost is None:
                    raise
                await lost(exc, tries)
                tries += 1

    async def _tail(self, query: LogQuery) -> AsyncGenerator[tuple[int, LogEntry | None], None]:
        """How far it is, with an entry or without."""
        names: dict[str, str] = {}
        async with self._opened("GET", "/v1/logs/tail", params=_log_params(query)) as events:
            async for name, seen, data in events:
                if name == "error":
                    raise errors.from_json(_json(data))
                if seen:
                    yield int(seen), _log_entry(data, names) if data else None

    async def changes(self) -> AsyncGenerator[Change, None]:
        """What changes in the backend, as it happens; the first is always a `resync`."""
        async with self._stream("GET", "/v1/events") as lines:
            async for _, data in lines:
                yield from_json(Change, data)
        raise errors.Unreachable("the backend closed the event stream")

    # Calls

    async def invoke(
        self,
        label: str,
        body: bytes = b"",
        *,
        method: str = "POST",
        path: str = "/",
        headers: dict[str, str] | None = None,
        user: str = "",
    ) -> Answer:
        """Call an endpoint with our key. Any status is an Answer; only the way there can raise.

        `user` is the id of the endpoint's owner, '' for ourselves. It waits as long as the backend
        does; use `asyncio.timeout` for less.
        """
        asked = self.answering(label, body, method=method, path=path, headers=headers, user=user)
        async with aclosing(asked) as parts:
            found = [part async for part in parts]
        return replace(found[-1], body=b"".join(part.body for part in found))

    async def answering(
        self,
        label: str,
        body: bytes = b"",
        *,
        method: str = "POST",
        path: str = "/",
        headers: dict[str, str] | None = None,
        user: str = "",
    ) -> AsyncGenerator[Answer, None]:
        """`invoke` as it comes: an Answer as soon as the status is known, one for each part after.

        `body` of each is what is new, `seconds` is since the call began. Closing the iterator
        cancels the call.
        """
        target = path_url(self.url, user or (await self.user()).id, label) + path
        sent = {"Content-Type": "application/json", **(headers or {})}
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT)
        started = time.perf_counter()
        with _translated(self.url):
            async with self._http.stream(
                method, target, content=body, headers=sent, timeout=timeout
            ) as answer:
                head = Answer(
                    status=answer.status_code,
                    headers={name.lower(): value for name, value in answer.headers.items()},
                    body=b"",
                    seconds=time.perf_counter() - started,
                    request_id=answer.headers.get("x-fal-request-id", ""),
                )
                yield head
                async for part in answer.aiter_bytes():
                    yield replace(head, body=part, seconds=time.perf_counter() - started)
        # Its end is a part too: how long the whole took.
        yield replace(head, seconds=time.perf_counter() - started)

    async def has_sent(self, digest: str) -> bool:
        """Whether the backend has the function of that digest, sent earlier; if so it keeps it."""
        try:
            await self._call("GET", f"/v1/sent/{_part(digest)}")
        except errors.NotFound:
            return False
        return True

    async def send(self, digest: str, bundle: bytes) -> None:
        """Send a function that is to be called, not served."""
        self._refuse_when_readonly("send a function")
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT)
        with _translated(self.url):
            answer = await self._http.put(
                f"/v1/sent/{_part(digest)}", content=bundle, timeout=timeout
            )
        if not answer.is_success:
            raise _error_of(answer.status_code, answer.content)

    async def call(self, digest: str, arguments: bytes) -> AsyncGenerator[CallEvent, None]:
        """Call a function that was sent, with the pickle of `(args, kwargs)`.

        Yields log lines and what came of it. Closing the iterator cancels the call.
        """
        self._refuse_when_readonly("call a function")
        path = f"/v1/sent/{_part(digest)}/calls"
        async with self._stream("POST", path, content=arguments) as lines:
            async for event, data in lines:
                if event == "error":
                    raise errors.from_json(data)
                yield from_json(CallEvent, data)

    # The wire

    async def _call(
        self,
        method: Method,
        path: str,
        body: Any = None,
        *,
        params: dict[str, Any] | None = None,
        slow: bool = False,
    ) -> Any:
        return _json(await self._sent(method, path, body, params=params, slow=slow))

    async def _get(self, path: str, params: dict[str, Any] | None = None) -> bytes:
        return await self._sent("GET", path, params=params)

    async def _sent(
        self,
        method: Method,
        path: str,
        body: Any = None,
        *,
        params: dict[str, Any] | None = None,
        slow: bool = False,
    ) -> bytes:
        """The answer's content, when it is a good one."""
        if method != "GET":
            self._refuse_when_readonly(f"send {method} {path}")
        options: dict[str, Any] = {"params": params}
        if body is not None:
            options["json"] = body
        if slow:
            options["timeout"] = httpx.Timeout(None, connect=CONNECT_TIMEOUT)
        with _translated(self.url):
            answer = await self._http.request(method, path, **options)
        skew.check_backend(self.url, answer.headers)
        if answer.is_success:
            return answer.content
        raise _error_of(answer.status_code, answer.content)

    @asynccontextmanager
    async def _stream(
        self, method: Method, path: str, **options: Any
    ) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        """Events as (name, JSON data)."""
        async with self._opened(method, path, **options) as events:
            yield ((name, _json(data)) async for name, _, data in events if data)

    @asynccontextmanager
    async def _opened(
        self, method: Method, path: str, **options: Any
    ) -> AsyncIterator[AsyncIterator[tuple[str, bytes, bytes]]]:
        """Events as (name, id, data)."""
        timeout = httpx.Timeout(SILENCE, connect=CONNECT_TIMEOUT)
        with _translated(self.url):
            async with self._http.stream(method, path, timeout=timeout, **options) as answer:
                skew.check_backend(self.url, answer.headers)
                if not answer.is_success:
                    raise _error_of(answer.status_code, await answer.aread())
                async with aclosing(_events(answer.aiter_bytes())) as events:
                    yield events

    def _refuse_when_readonly(self, what: str) -> None:
        if self.readonly:
            raise errors.ReadOnly(f"this context is read-only; refused to {what}")


async def _events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[tuple[str, bytes, bytes], None]:
    """Server-sent events as (name, id, data); comments are keep-alives. What is cut is none."""
    buffer = bytearray()
    async for chunk in chunks:
        looked = max(0, len(buffer) - 1)
        buffer += chunk
        if buffer.find(b"\n\n", looked) < 0:
            continue
        *whole, rest = bytes(buffer).split(b"\n\n")
        buffer = bytearray(rest)
        for event in whole:
            fields = dict(line.partition(b":")[::2] for line in event.split(b"\n"))
            if b"data" in fields or b"id" in fields:
                name = fields.get(b"event", b"").strip().decode()
                yield name, fields.get(b"id", b"").strip(), fields.get(b"data", b"").strip()


def _log_entry(data: bytes, names: dict[str, str]) -> LogEntry:
    """One string for each name that many entries have: those who keep them need half the memory."""
    try:
        entry = _entry_decoder.decode(data)
    except msgspec.MsgspecError as exc:
        raise errors.BadAnswer(f"not a LogEntry: {exc}") from exc
    if len(names) > NAMES:
        names.clear()
    for field in ("user", "function", "alias", "revision", "worker", "request_id"):
        name = getattr(entry, field)
        # It is frozen for everybody else; nobody has seen it yet.
        object.__setattr__(entry, field, names.setdefault(name, name))
    return entry


_entry_decoder = msgspec.json.Decoder(LogEntry)


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """httpx's and the event loop's errors as ours; the one border."""
    try:
        yield
    except httpx.InvalidURL as exc:
        raise errors.InvalidSetting(f"{url!r} is not a URL: {exc}") from exc
    except (httpx.UnsupportedProtocol, httpx.DecodingError, httpx.TooManyRedirects) as exc:
        raise errors.BadAnswer(f"cannot talk to {url}: {exc}") from exc
    except httpx.ConnectError as exc:
        raise errors.Unreachable(_why_not(url, str(exc)), url=url) from exc
    except httpx.TimeoutException as exc:
        raise errors.Unreachable(f"the backend at {url} did not answer in time", url=url) from exc
    except httpx.RemoteProtocolError as exc:
        raise errors.Unreachable(f"lost the connection to {url}", url=url) from exc
    except httpx.TransportError as exc:
        why = str(exc) or type(exc).__name__
        raise errors.Unreachable(f"lost the connection to {url}: {why}", url=url) from exc
    except (httpx.HTTPError, httpx.StreamError, httpx.CookieConflict) as exc:
        raise errors.BadAnswer(f"cannot read the answer of {url}: {exc}") from exc
    except RuntimeError as exc:
        if "client has been closed" not in str(exc):
            raise
        raise errors.Unreachable(f"the connection to {url} was closed here", url=url) from exc


def _why_not(url: str, said: str) -> str:
    """Why no connection can be made."""
    if "CERTIFICATE_VERIFY_FAILED" in said:
        _, _, reason = said.partition("CERTIFICATE_VERIFY_FAILED] ")
        reason = reason.removeprefix("certificate verify failed: ").partition(" (_ssl")[0]
        return (
            f"the certificate of {url} is not trusted here ({reason}); if it is yours, say so: "
            "fal-serverless context add NAME URL --ca FILE"
        )
    if "WRONG_VERSION_NUMBER" in said or "RECORD_LAYER" in said:
        return f"what answers at {url} does not speak TLS; does it mean http://?"
    return f"no backend answers at {url}"


def _error_of(status: int, content: bytes) -> errors.FalError:
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return errors.BadAnswer(f"the backend answered with status {status} and no JSON")
    return errors.from_json(body, status)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError as exc:
        raise errors.BadAnswer("the backend's answer is not JSON") from exc


def _decoded(cls: type[T], content: bytes | msgspec.Raw) -> T:
    try:
        return msgspec.json.decode(content, type=cls)
    except msgspec.ValidationError as exc:
        raise errors.BadAnswer(f"not a {getattr(cls, '__name__', cls)}: {exc}") from exc
    except msgspec.DecodeError as exc:
        raise errors.BadAnswer("the backend's answer is not JSON") from exc


async def _turn() -> None:
    await asyncio.sleep(0)


def _log_params(query: LogQuery) -> dict[str, Any]:
    values = to_json(query)
    return {name: value for name, value in values.items() if value not in (None, "", [])}


def _version() -> str:
    from fal_serverless import __version__

    return __version__


def _part(text: str) -> str:
    return quote(text, safe="")


def _is_loopback(url: str) -> bool:
    """Proxies from the environment must not take what is meant for this machine."""
    return httpx.URL(url).host in ("127.0.0.1", "::1", "localhost")


async def pause(_lost: errors.Unreachable, tries: int) -> None:
    """For `tail`: longer from try to try, for ever."""
    await asyncio.sleep(min(FIRST_PAUSE * 2.0 ** min(tries, 10), LONGEST_PAUSE))


async def wait_until_answers(url: str, seconds: float) -> bool:
    """Whether a backend answers `/healthz` at `url` within so many seconds."""
    deadline = time.monotonic() + seconds
    async with httpx.AsyncClient(trust_env=False, timeout=2) as http:
        while True:
            try:
                if (await http.get(f"{url}/healthz")).status_code == 200:
                    return True
            except httpx.HTTPError:
                pass
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.02)


async def health(url: str, seconds: float = 2.0, certificate: str = "") -> dict[str, Any] | None:
    """What `/healthz` says at `url`; None when no backend answers there in time.

    `certificate`: file with the one it must have.
    """
    try:
        verify = pinned(certificate) if certificate else True
        async with httpx.AsyncClient(trust_env=False, timeout=seconds, verify=verify) as http:
            answer = await http.get(f"{url}/healthz")
            said = answer.json() if answer.is_success else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, errors.InvalidSetting):
        return None
    return said if isinstance(said, dict) else None
