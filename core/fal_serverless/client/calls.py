"""Calls of endpoints, and of functions that were sent and not served."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from fal_serverless import errors
from fal_serverless.client.wire import Wire, quoted
from fal_serverless.endpoint import path_url
from fal_serverless.models import Answer, CallEvent, from_json


class Calls(Wire):
    """What is run for us."""

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
        target = path_url(self.url, user or (await self.user()).id, label) + _inside(path)
        given = {name.lower(): value for name, value in (headers or {}).items()}
        sent = {"content-type": "application/json", **given}
        started = time.perf_counter()
        async with self._asked(method, target, body, sent) as answer:
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
            await self._call("GET", f"/v1/sent/{quoted(digest)}")
        except errors.NotFound:
            return False
        return True

    async def send(self, digest: str, bundle: bytes) -> None:
        """Send a function that is to be called, not served."""
        self._refuse_when_readonly("send a function")
        await self._sent("PUT", f"/v1/sent/{quoted(digest)}", bundle, slow=True)

    async def call(self, digest: str, arguments: bytes) -> AsyncGenerator[CallEvent, None]:
        """Call a function that was sent, with the pickle of `(args, kwargs)`.

        Yields log lines and what came of it. Closing the iterator cancels the call.
        """
        self._refuse_when_readonly("call a function")
        path = f"/v1/sent/{quoted(digest)}/calls"
        async with self._stream("POST", path, content=arguments) as lines:
            async for event, data in lines:
                if event == "error":
                    raise errors.from_json(data)
                yield from_json(CallEvent, data)


def _inside(path: str) -> str:
    """The path without `.` and `..` (RFC 3986, 5.2.4): they end at the function, not at our API.

    httpx would follow them out of the endpoint, with a key that opens more than that.
    """
    places, mark, query = path.partition("?")
    kept: list[str] = []
    for part in places.split("/"):
        if part == "..":
            del kept[max(len(kept) - 1, 1) :]
        elif part != ".":
            kept.append(part)
    if places.endswith(("/.", "/..")):
        kept.append("")
    return "/".join(kept) + mark + query
