"""Connections to functions' own servers, and those kept for the next request.

One is kept where its server is known to keep it: an idle one that lived for a moment proves that.
It is not used when it was idle for long, because the server may be closing it just then.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol, cast

import httptools

from fal_serverless.backend.engine.worker import WorkerProcess
from fal_serverless.backend.gateway.exposed import dial, ends_with_connection
from fal_serverless.errors import FalError, RequestTimeout, WorkerFailed

IDLE = 1.0
"""Seconds that one may have been idle: servers close idle ones after two seconds or more."""
PROOF = 0.1
"""Seconds after which an idle connection shows that its server keeps connections."""
HELD = 0.001
"""Seconds that a head may wait for its body."""
HEADS = 256
"""Heads remembered of one server."""
END = b"\r\n\r\n"
DOUBT = 10.0
"""Seconds for which a server that closed a connection at once is not asked twice on one."""
NEVER = float("inf")

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Seen:
    """The head of an answer."""

    status: int
    headers: Headers
    """Names in lower case."""
    length: int | None = None
    """Bytes of the body; None: the head alone does not tell."""
    may_stay: bool = False
    """The server keeps the connection, as far as the head tells."""
    passed: bytes = b""
    """What is passed on of it, once somebody has made that."""


class Asker(Protocol):
    """Who waits for an answer. Of these, `answered` or `failed` comes last, and once."""

    def began(self, seen: Seen) -> None:
        """The head is there."""

    def came(self, content: bytes) -> None:
        """Some of the body."""

    def read(self) -> None:
        """All of what was read at once has been told."""

    def answered(self) -> None: ...

    def failed(self, error: FalError) -> None: ...


class Upstream(asyncio.Protocol):
    """One connection. Answers are read by llhttp, which takes nothing that is ambiguous.

    Servers write the same head again and again. One that was read before, to the byte, needs no
    reading: so many bytes follow, and pass as they are.
    """

    def __init__(self, lot: Lot) -> None:
        self._lot = lot
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._asker: Asker | None = None
        """None: it is idle."""
        self._parser = httptools.HttpResponseParser(self)
        self._headers: Headers = []
        self._is_fresh = True
        """Nothing of the answer was read."""
        self._left = 0
        """Bytes of a body that need no reading."""
        self._has_begun = False
        """The final answer's head was read."""
        self._seen: Seen | None = None
        """That head."""
        self._has_body = False
        """Some of the body came."""
        self._is_over = False
        """All of an answer was read; whatever comes now was not asked for."""
        self._is_bare = False
        """The answer has no body, whatever its head says."""
        self._may_stay = False
        """Its server keeps it after this answer, as far as the head tells."""
        self._due = NEVER
        """When the answer must have begun, by the loop's clock."""
        self.idle_since = 0.0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, request: bytes, asker: Asker, *, is_bare: bool) -> None:
        """Send a request; `is_bare`: it is a HEAD."""
        self._asker = asker
        self._has_begun = self._is_over = False
        self._seen = None
        self._is_fresh = True
        self._is_bare = is_bare
        self._due = self._loop.time() + self._lot.seconds
        self._lot.watch(self._lot.seconds)
        assert self._transport is not None
        self._transport.write(request)

    def leave(self) -> None:
        """Nobody waits for its answer any more."""
        self._asker = None
        self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """The caller does not read."""
        if self.is_open and self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self.is_open and self._transport is not None:
            self._transport.resume_reading()

    def look(self, now: float) -> float:
        """End what is due; seconds until the next look is wanted."""
        if self._asker is None:
            return self.idle_since + IDLE - now if self.is_open else NEVER
        if self._due <= now:
            self._fail(self._lot.too_late())
        return self._due - now

    # The transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are transports by what they do, not by their class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._asker is None:
            # Nothing was asked.
            self._lot.doubt(self)
            self.close()
            return
        if self._left:
            self._take(self._asker, data)
        elif self._is_fresh:
            self._is_fresh = False
            end = data.find(END) + len(END)
            seen = self._lot.heads.get(data[:end])
            if seen is None or self._is_bare:
                self._parse(data)
                self._remember(data[:end])
            else:
                self._go_on(self._asker, seen, data[end:])
        else:
            self._parse(data)
        if self._is_over:
            self._done()
        elif self._seen is not None and self._seen.length is not None and not self._has_body:
            # Many servers write the head by itself, and the body follows at once.
            self._lot.hold(self)
        else:
            self.pass_on()

    def _go_on(self, asker: Asker, seen: Seen, rest: bytes) -> None:
        """With an answer whose head was seen before."""
        self._has_begun = True
        self._has_body = False
        self._seen = seen
        self._due = NEVER
        self._may_stay = seen.may_stay
        self._headers = seen.headers
        self._left = seen.length or 0
        self._is_over = not self._left
        asker.began(seen)
        if rest:
            self._take(asker, rest)

    def _take(self, asker: Asker, data: bytes) -> None:
        """A body that needs no reading."""
        if len(data) > self._left:
            # More than it said: nothing of this connection can be trusted.
            data, self._may_stay = data[: self._left], False
        self._left -= len(data)
        self._is_over = not self._left
        if data:
            self._has_body = True
            asker.came(data)

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError) as exc:
            self._fail(WorkerFailed(f"the function's server did not answer in HTTP: {exc}"))

    def _remember(self, head: bytes) -> None:
        """A whole head that says all about how the answer ends."""
        seen = self._seen
        if seen is None or seen.length is None:
            return
        # An interim answer may have come before it.
        if head.startswith(b"HTTP/1.1 %d" % seen.status):
            if len(self._lot.heads) >= HEADS:
                self._lot.heads.clear()
            self._lot.heads[head] = seen

    def pass_on(self) -> None:
        """What was read goes to who asked."""
        if self._asker is not None:
            self._asker.read()

    def eof_received(self) -> None:
        """The answer may end with the connection; `connection_lost` comes next."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lot.lost(self)
        asker = self._asker
        if asker is None:
            return
        if not self._has_begun:
            said = "the function's server closed the connection without an answer"
            self._fail(WorkerFailed(said, unanswered=True))
            return
        if exc is None and ends_with_connection(self._headers):
            self._asker = None
            asker.answered()
            return
        said = "the function's server closed the connection in the middle of its answer"
        self._fail(WorkerFailed(said))

    def _fail(self, error: FalError) -> None:
        asker, self._asker = self._asker, None
        self.close()
        if asker is not None:
            asker.failed(error)

    def _done(self) -> None:
        asker, self._asker = self._asker, None
        if asker is not None:
            asker.read()
        self._left = 0
        if self._may_stay and self.is_open:
            # Who was too slow for this answer is not the next one who asks.
            self.resume()
            self.idle_since = self._loop.time()
            self._lot.keep(self)
        else:
            self.close()
        if asker is not None:
            asker.answered()

    # The parser

    def on_message_begin(self) -> None:
        if self._is_over:
            # A second answer to one request: nothing of this connection can be trusted.
            self.close()
        elif not self._has_begun:
            self._headers = []
            self._seen = None

    def on_header(self, name: bytes, value: bytes) -> None:
        # After the head come trailers, which nobody was told of.
        if not self._has_begun:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._is_over or self._asker is None or status < 200:
            return
        self._has_begun = True
        self._due = NEVER
        # The body that a HEAD's answer speaks of never comes, and the parser waits for it.
        self._may_stay = self._parser.should_keep_alive() and not self._is_bare
        self._has_body = False
        self._seen = Seen(status, self._headers, self._length(status), self._may_stay)
        self._asker.began(self._seen)
        if self._is_bare:
            self._is_over = True

    def _length(self, status: int) -> int | None:
        found = dict(self._headers)
        framed = b"content-length" in found and b"transfer-encoding" not in found
        if not framed or self._is_bare or status in (204, 304):
            return None
        return int(found[b"content-length"])

    def on_body(self, body: bytes) -> None:
        if not self._is_over and self._asker is not None:
            self._has_body = True
            self._asker.came(body)

    def on_message_complete(self) -> None:
        if self._has_begun:
            self._is_over = True


class Lot:
    """The connections to one worker's server."""

    def __init__(self, address: tuple[str, int], seconds: float, name: str) -> None:
        """`seconds`: until an answer must begin; `name`: the function's."""
        self.address = address
        self.seconds = seconds
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._all: set[Upstream] = set()
        self._idle: list[Upstream] = []
        self._keeps: bool | None = None
        """Whether its server keeps connections open; None: nobody knows."""
        self._doubted_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._held: list[Upstream] = []
        self.heads: dict[bytes, Seen] = {}
        """Heads of answers that were read, with how they end."""

    @property
    def is_used(self) -> bool:
        return bool(self._all)

    def take(self) -> Upstream | None:
        """One that is connected already."""
        now = self._loop.time()
        while self._idle:
            found = self._idle[-1]
            age = now - found.idle_since
            if self._keeps is None and age < PROOF:
                return None
            self._idle.pop()
            if found.is_open and age < IDLE:
                self._keeps = True
                return found
            found.close()
        return None

    async def connect(self) -> Upstream:
        """A new one. Raises WorkerFailed."""
        made = Upstream(self)
        await self._loop.create_connection(lambda: made, sock=await dial(self.address))
        self._all.add(made)
        return made

    def keep(self, one: Upstream) -> None:
        """It has answered and may be asked again."""
        if self._keeps is False and one.idle_since > self._doubted_until:
            self._keeps = None
        if self._keeps or (self._keeps is None and not self._idle):
            self._idle.append(one)
        else:
            one.close()

    def hold(self, one: Upstream) -> None:
        """Its answer's head waits for the body, but not for long."""
        if not self._held:
            self._loop.call_later(HELD, self._let_go)
        self._held.append(one)

    def _let_go(self) -> None:
        held, self._held = self._held, []
        for one in held:
            one.pass_on()

    def lost(self, one: Upstream) -> None:
        self._all.discard(one)
        if one in self._idle and self._loop.time() - one.idle_since < PROOF:
            self.doubt(one)
        elif one in self._idle:
            self._idle.remove(one)

    def doubt(self, one: Upstream) -> None:
        """It was not idle as it should be: its server may not be meant to be asked twice."""
        self._keeps, self._doubted_until = False, self._loop.time() + DOUBT
        if one in self._idle:
            self._idle.remove(one)

    def rest(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    def too_late(self) -> FalError:
        return RequestTimeout(f"'{self._name}' did not begin to answer within {self.seconds:g} s")

    def watch(self, seconds: float) -> None:
        """Look at all connections after so many seconds at the latest."""
        at = self._loop.time() + min(seconds, IDLE)
        if at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer, self._timer_at = None, NEVER
        now = self._loop.time()
        for one in [one for one in self._idle if now - one.idle_since >= IDLE]:
            self._idle.remove(one)
            one.close()
        wait = min([one.look(now) for one in list(self._all)], default=NEVER)
        if wait < NEVER or self._all:
            self.watch(max(0.0, wait))


class Lots:
    """Those of all workers, for as long as they are there."""

    def __init__(self, request_timeout: float) -> None:
        """Seconds; a function may have its own."""
        self._request_timeout = request_timeout
        self._lots: dict[str, Lot] = {}
        """By worker."""

    def of(self, worker: WorkerProcess) -> Lot:
        """Raises WorkerFailed when it has no server."""
        lot = self._lots.get(worker.id)
        if lot is None:
            spec = worker.spec
            if worker.address is None:
                raise WorkerFailed(f"'{spec.function}' has no exposed port")
            seconds = spec.seconds("request_timeout", self._request_timeout)
            self._clear()
            lot = self._lots[worker.id] = Lot(worker.address, seconds, spec.function)
        return lot

    def _clear(self) -> None:
        """Forget those without a connection: their workers may be gone."""
        for name in [name for name, lot in self._lots.items() if not lot.is_used]:
            del self._lots[name]

    def rest(self, address: tuple[str, int]) -> None:
        """Before somebody else connects there: a server may have no more than one to give."""
        for lot in self._lots.values():
            if lot.address == address:
                lot.rest()
