"""One call at a time, to see what is answered rather than how fast."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping

from benchmarks.load import BadRun, Echo, Place, Target
from benchmarks.processes import wait_until

START_TIMEOUT = 120.0
"""Seconds until a started peer must have answered rightly."""
TEXTS = ("hello", "", "Grüße, 世界 🚀", 'quotes " and \\ and\nlines', "long " * 4000)
"""What every peer must give back."""
COMPACT = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def echo_of(text: str, place: Place) -> Echo:
    """The same value from everybody; to the byte in the one way this peer writes JSON."""
    value = {"text": text}
    body = json.dumps(value).encode()
    return Echo(body, body if place.spaced else COMPACT.encode(value).encode())


def ask(
    place: Place,
    body: bytes,
    target: Target,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> tuple[int, bytes]:
    """Status and body. Raises OSError or HTTPException when there is no answer in that time."""
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=timeout)
    sent = {
        "Host": target.host,
        "Content-Type": "application/json",
        **(place.headers if headers is None else headers),
    }
    try:
        connection.request("POST", target.path, body, sent)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def right(place: Place, echo: Echo) -> bool:
    """Whether it answers, and as it must."""
    try:
        return ask(place, echo.body, place.targets[0]) == (200, echo.answer)
    except (OSError, http.client.HTTPException):
        return False


def first_answer(place: Place, began: float) -> float:
    """Seconds since `began` (of `perf_counter`) at the first right answer. Raises BadRun."""
    if not wait_until(lambda: right(place, echo_of("hello", place)), START_TIMEOUT):
        raise BadRun(f"no right answer within {START_TIMEOUT:g} s")
    return time.perf_counter() - began


def verify(place: Place) -> None:
    """That it does the work that is measured; ours also that a wrong key opens nothing."""
    for text in TEXTS:
        echo = echo_of(text, place)
        found = ask(place, echo.body, place.targets[0])
        if found != (200, echo.answer):
            raise BadRun(f"{echo.body[:60]!r} was answered {found[0]} {found[1][:200]!r}")
    if "Authorization" in place.headers:
        _refuses(place, {"Authorization": place.headers["Authorization"] + "x"})
        _refuses(place, {})


def _refuses(place: Place, headers: Mapping[str, str]) -> None:
    status, _ = ask(place, b'{"text": "hello"}', place.targets[0], headers)
    if status != 401:
        raise BadRun(f"a call without a good key was answered {status}")
