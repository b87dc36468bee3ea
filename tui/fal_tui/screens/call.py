"""One call of an endpoint as people write it: to send, to copy, to remember. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fal_serverless.endpoint import CURL_KEY, curl_line
from fal_serverless.models import Answer, Revision
from fal_tui import render, sample

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
REMEMBERED = 50
"""Calls kept per function."""
LONGEST = 200_000
"""Characters of an answer that are shown; the rest can be saved."""
LIVE = 20_000
"""Bytes of an answer that are shown while it still comes."""
SAID = 300
"""Characters of an error that are kept."""
COLOURED = 50_000
"""Characters up to which colours are worth the wait."""


@dataclass(frozen=True)
class Call:
    method: str = "POST"
    path: str = "/"
    """With its query; starts with `/`."""
    body: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """What the body is; nothing about it when there is none."""
        if not self.body:
            return {}
        kind = "application/json" if is_json(self.body) else "text/plain; charset=utf-8"
        return {"Content-Type": kind}


@dataclass(frozen=True)
class Made:
    """A call that was made, and what came of it."""

    label: str
    call: Call
    url: str
    """Of the endpoint in path form, without a slash at its end."""
    seconds: float
    status: int | None = None
    """None: no answer came."""
    error: str = ""
    """Why it failed; '' when it did not."""


Told = Callable[[Made], None]


def signature(revision: Revision) -> str:
    """What it is called with, in a line."""
    bundle = revision.bundle
    port = bundle.options.get("exposed_port")
    if port is not None:
        return f"{bundle.entrypoint} listens on port {port} itself"
    stars = {"var_positional": "*", "var_keyword": "**"}
    names = [
        stars.get(one.kind, "") + one.name + (f": {one.annotation}" if one.annotation else "")
        for one in bundle.for_callers
    ]
    return f"{bundle.entrypoint}({', '.join(names)})"


def first(revision: Revision) -> Call:
    """A call that fits the function, to start from."""
    if revision.bundle.options.get("exposed_port"):
        return Call("GET")
    body = sample.body(revision.bundle)
    return Call(body=json.dumps(body, indent=2, ensure_ascii=False))


def fits(call: Call, revision: Revision) -> bool:
    """Whether an earlier call still goes with the parameters that the function has now."""
    if revision.bundle.options.get("exposed_port"):
        return True
    try:
        body = json.loads(call.body or "{}")
    except (ValueError, RecursionError):
        return False
    known = revision.bundle.for_callers
    # A single parameter that is no scalar may take the whole body, whatever that is.
    whole = len(known) == 1 and known[0].annotation not in ("str", "int", "float", "bool")
    if not isinstance(body, dict):
        return whole
    names = {each.name for each in known}
    needed = {each.name for each in known if each.required and not each.kind.startswith("var_")}
    open_ended = any(each.kind == "var_keyword" for each in known)
    return whole or (needed <= body.keys() and (open_ended or body.keys() <= names))


def is_json(text: str) -> bool:
    return problem(text) is None


@dataclass(frozen=True)
class Problem:
    """Why a text is not JSON, and where it stops being it; both from 0."""

    says: str
    line: int = 0
    column: int = 0


def problem(text: str) -> Problem | None:
    """None when it is JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError as exc:
        says = f"not JSON: line {exc.lineno}, column {exc.colno}: {exc.msg}"
        return Problem(says, exc.lineno - 1, exc.colno - 1)
    except RecursionError:
        return Problem("not JSON: nested too deeply")
    return None


def address(url: str, revision: Revision, label: str) -> str:
    """A revision's own URL, for another label of it."""
    return url.replace(revision.id, label, 1).rstrip("/")


def quoted(path: str) -> str:
    """A path with its query as it goes over the line; what is escaped already stays."""
    return quote(path, safe="/?:@!$&'()*+,;=~%")


def as_curl(call: Call, revision: Revision, label: str, *, public: bool, ca: str = "") -> str:
    """With the key from the shell's variables, where it is asked for.

    curl waits for a body after `-X HEAD`, reads a file where `-d` begins with `@`, and takes
    brackets in an address for a list of addresses.
    """
    body = "" if call.method == "HEAD" else compact(call.body)
    parts = ["-sS"]
    if call.method == "HEAD":
        parts.append("--head")
    elif call.method != ("POST" if body else "GET"):
        parts += ["-X", call.method]
    if not public:
        parts.append(CURL_KEY)
    if body:
        parts += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in call.headers.items()]
        parts += ["--data-raw" if body.startswith("@") else "-d", shlex.quote(body)]
    target = address(revision.url, revision, label) + quoted(call.path)
    return curl_line(*parts, shlex.quote(target), ca=ca)


def as_python(call: Call, revision: Revision, label: str, *, public: bool, ca: str = "") -> str:
    """Standard library only, by the path form: Python does not resolve `*.localhost`."""
    target = address(revision.path_url, revision, label) + quoted(call.path)
    key = "f\"Key {os.environ['FAL_KEY_ID']}:{os.environ['FAL_KEY_SECRET']}\""
    headers = [] if public else [f'        "Authorization": {key},']
    headers += [f"        {name!r}: {value!r}," for name, value in call.headers.items()]
    lines = [
        *([] if public else ["import os"]),
        *(["import ssl"] if ca else []),
        "import urllib.request",
        "",
        "request = urllib.request.Request(",
        f"    {target!r},",
        *([f"    data={compact(call.body)!r}.encode(),"] if call.body else []),
        *(["    headers={", *headers, "    },"] if headers else []),
        f"    method={call.method!r},",
        ")",
        *([f"trusted = ssl.create_default_context(cafile={ca!r})"] if ca else []),
        f"with urllib.request.urlopen(request{', context=trusted' if ca else ''}) as answer:",
        "    print(answer.read().decode(errors='replace'))",
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Shown:
    """An answer's body, ready to be read."""

    text: str
    language: str | None
    """For colours; None: plain."""
    laid_out: bool = False
    """Not as it came: a place in that is none in this."""
    cut: bool = False
    """Only the beginning."""


def coming(body: bytes) -> str:
    """The end of what has come so far, while more comes."""
    text = body[-LIVE:].decode(errors="replace")
    return text if len(body) <= LIVE else f"… {len(body) - LIVE:,} bytes before\n{text}"


def shown(answer: Answer) -> Shown:
    """Its body; where it has none (HEAD, OPTIONS, a redirect), what it says in headers."""
    if not answer.body:
        return _empty(answer)
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        text = answer.body.decode()
    except UnicodeDecodeError:
        size = f"{len(answer.body):,} bytes"
        return Shown(f"{size} of {kind or 'binary data'} · ctrl+s saves them", None)
    if kind.endswith("json"):
        try:
            return _laid_out(json.loads(text))
        except (ValueError, RecursionError):
            pass
    coloured = kind == "text/html" and len(text) <= COLOURED
    return Shown(text[:LONGEST], "html" if coloured else None, cut=len(text) > LONGEST)


def _empty(answer: Answer) -> Shown:
    named = [f"{name}: {value}" for name, value in sorted(answer.headers.items())]
    lines = ["(empty), with the headers", "", *named] if named else ["(empty)"]
    return Shown("\n".join(lines), None)


def _laid_out(value: Any) -> Shown:
    """No more of it than is shown: all of ten megabytes would take seconds."""
    parts: list[str] = []
    size = 0
    for part in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value):
        parts.append(part)
        size += len(part)
        if size > LONGEST:
            return Shown("".join(parts)[:LONGEST], None, laid_out=True, cut=True)
    return Shown("".join(parts), "json" if size <= COLOURED else None, laid_out=True)


def summary(answer: Answer) -> str:
    """Status, time, size, kind and the beginning of the request's id."""
    parts = [
        f"{answer.status}",
        render.millis(answer.seconds * 1000),
        f"{len(answer.body):,} bytes",
    ]
    kind = answer.headers.get("content-type", "").partition(";")[0].removeprefix("application/")
    request = f"request {answer.request_id[:13]}" if answer.request_id else ""
    sign = "✓" if answer.status < 400 else "✗"
    return f"{sign} " + " · ".join(part for part in [*parts, kind, request] if part)


def suffix(answer: Answer) -> str:
    """Of a file that is to hold the answer."""
    kinds = {"json": ".json", "html": ".html", "plain": ".txt", "png": ".png", "jpeg": ".jpg"}
    kind = answer.headers.get("content-type", "").partition(";")[0].rpartition("/")[2]
    return kinds.get(kind.strip(), ".bin")


def timing(line: str) -> str:
    """What a request's log line says of the time in the backend; '' when it says nothing."""
    found = _TOOK.search(line)
    if found is None:
        return ""
    taken = f"{render.millis(float(found['took']))} in the backend"
    if found["cold"] is None:
        return f"{taken} · warm, no cold start"
    parts = {name: int(took) for name, took in _PART.findall(found["cold"])}
    long = ", ".join(f"{name} {render.millis(took)}" for name, took in parts.items() if took)
    return f"{taken} · cold start {render.millis(sum(parts.values()))}: {long or 'all of it 0 ms'}"


def failure(answer: Answer) -> str:
    """What an error says of itself, in a line; '' when it is none."""
    if answer.status < 400:
        return ""
    text = answer.body[:LIVE].decode(errors="replace")
    try:
        detail = json.loads(text)["detail"]
    except (ValueError, TypeError, KeyError, RecursionError):
        detail = text
    said = detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)
    line = next((line.strip() for line in said.splitlines() if line.strip()), "")
    return f"{answer.status}: {line[:SAID]}" if line else f"{answer.status}"


_TOOK = re.compile(r" in (?P<took>[\d.]+) ms(?: \(cold start: (?P<cold>[^)]*)\))?$")
_PART = re.compile(r"(\w+) (\d+) ms")


def compact(body: str) -> str:
    """JSON on one line, anything else as it stands."""
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return body
    return json.dumps(value, ensure_ascii=False)


@dataclass
class History:
    """What was called in this session, per function, the last one last."""

    calls: dict[str, list[Call]] = field(default_factory=dict)
    kept: int = REMEMBERED

    def of(self, function: str) -> list[Call]:
        return self.calls.get(function, [])

    def add(self, function: str, call: Call) -> None:
        """On top; the same call is kept once."""
        kept = [each for each in self.of(function) if each != call]
        self.calls[function] = [*kept, call][-self.kept :]


class Recall:
    """Which of the calls made before is written; below the last one is what was being written."""

    def __init__(self) -> None:
        self._place: int | None = None
        """None: none of them."""
        self._draft: Call | None = None

    def forget(self) -> None:
        """What is written now was sent."""
        self._place = self._draft = None

    def step(self, steps: int, known: Sequence[Call], written: Call) -> Call | None:
        """The call so many further on among those `known`, oldest first; None: there is none."""
        if self._place is None:
            self._draft = written
            # the last call, when it still stands there, is no earlier one
            place = len(known) - (written in known[-1:]) + steps
        else:
            place = self._place + steps
        if 0 <= place < len(known):
            self._place = place
            return known[place]
        if place >= len(known) and self._draft is not None:
            self._place = None
            return self._draft
        return None
