"""What a backend answers, read: JSON becomes models, errors the classes they were raised as."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from fal_serverless import errors
from fal_serverless.models import LogEntry

T = TypeVar("T")

AT_ONCE = 200
"""Items of a long answer that are read in one go: a millisecond or two."""

NAMES = 10_000
"""Names that the entries of a tail share; most are request ids, and old ones do not come again."""


def read_json(content: bytes) -> Any:
    """None for no content. Raises BadAnswer."""
    try:
        return json.loads(content) if content else None
    except ValueError as exc:
        raise errors.BadAnswer("the backend's answer is not JSON") from exc


def decoded(cls: type[T], content: bytes | msgspec.Raw) -> T:
    """JSON as what it has to be. Raises BadAnswer."""
    try:
        return msgspec.json.decode(content, type=cls)
    except msgspec.ValidationError as exc:
        raise errors.BadAnswer(f"not a {getattr(cls, '__name__', cls)}: {exc}") from exc
    except msgspec.DecodeError as exc:
        raise errors.BadAnswer("the backend's answer is not JSON") from exc


async def decoded_in_parts(
    cls: type[T], found: Sequence[msgspec.Raw], breathe: Callable[[], Awaitable[object]]
) -> list[T]:
    """Each of a long list; waits for `breathe` between two parts of it."""
    made: list[T] = []
    for place, content in enumerate(found):
        made.append(decoded(cls, content))
        if place % AT_ONCE == AT_ONCE - 1:
            await breathe()
    return made


_entry_decoder = msgspec.json.Decoder(LogEntry)


def log_entry(data: bytes, names: dict[str, str]) -> LogEntry:
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


PROXY_STATUSES = {502, 503, 504}
"""What a proxy says of a backend that does not answer it, or not in time (RFC 9110, 15.6)."""


def error_of(url: str, status: int, content: bytes, location: str = "") -> errors.FalError:
    """What a bad answer of `url` says went wrong; `location` is where it points to, if anywhere."""
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    told = isinstance(body, dict)
    if not (told and isinstance(body.get("error_type"), str)):
        # Not said by a backend: they always tell the kind of error.
        if status in PROXY_STATUSES:
            late = f"the backend behind {url} did not answer in time"
            what = late if status == 504 else f"no backend answers behind {url}"
            return errors.Unreachable(f"{what}: a proxy there says {status}", url=url)
        if 300 <= status < 400 and location:
            place = location.partition("/v1/")[0]
            return errors.BadAnswer(
                f"{url} sends on to {place}; if the backend is there, say so: "
                f"fal-serverless context add NAME {place}"
            )
    if not told:
        return errors.BadAnswer(f"the backend answered with status {status} and no JSON")
    return errors.from_json(body, status)
