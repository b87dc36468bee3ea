"""Calling a function from the terminal: what is sent, what is shown, what can be copied."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from textual.app import App
from textual.containers import VerticalScroll
from textual.widgets import Input, Static, TextArea

from fal_serverless.client import Client
from fal_serverless.models import BundleInfo, LogEntry, Parameter, Revision, User, to_json
from fal_tui.remembered import Remembered
from fal_tui.screens.call import (
    LIVE,
    LONGEST,
    Call,
    History,
    Problem,
    as_curl,
    as_python,
    coming,
    first,
    fits,
    problem,
    shown,
    signature,
    timing,
)
from fal_tui.screens.invoke import InvokeScreen
from tui.waiting import until

SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 45)])
ID = "9f3e1a2b-1111-4111-8111-111111111111"
NOW = datetime.now(UTC)
Answers = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


def revision(**options: Any) -> Revision:
    parameters = (
        Parameter("text", "positional_or_keyword", True, "str"),
        Parameter("n", "positional_or_keyword", False, "int", "3"),
    )
    given = options or {"serve": True}
    bundle = BundleInfo("call_text", "app.py", "", given, parameters, "", "3.11")
    url = f"http://1-{ID}.gateway.localhost:3250"
    path_url = f"http://127.0.0.1:3250/1/{ID}"
    return Revision(
        ID, "call_text", False, "1", NOW, "me", "private", url, path_url, bundle, "environment"
    )


class Shell(App[None]):
    """An application with the screen over a backend that is a plain function."""

    def __init__(
        self,
        answers: Answers,
        called: Revision,
        folder: Path | None = None,
        history: History | None = None,
    ) -> None:
        super().__init__()
        self.sent: list[httpx.Request] = []
        self.answers, self.called, self.folder = answers, called, folder
        self.result: list[str | None] = []
        self.history = history or History()
        self.line = ""
        """What the log says of each request."""

    async def handle(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/user":
            return httpx.Response(200, json=to_json(User("1", "me", NOW)))
        if request.url.path == "/v1/logs/tail":
            return httpx.Response(200, content=self.tail(request))
        self.sent.append(request)
        answer = self.answers(request)
        return answer if isinstance(answer, httpx.Response) else await answer

    def tail(self, request: httpx.Request) -> bytes:
        """The line of the request that is asked for."""
        if not self.line:
            return b""
        assert request.url.params["sources"] == "request"
        name = request.url.params["request_id"]
        entry = to_json(LogEntry(1, NOW, "INFO", "request", self.line, "1", request_id=name))
        return f"id: 1\ndata: {json.dumps(entry)}\n\n".encode()

    def on_mount(self) -> None:
        client = Client("http://127.0.0.1:3250", transport=httpx.MockTransport(self.handle))
        screen = InvokeScreen(client, "call", self.called, self.history, folder=self.folder)
        self.push_screen(screen, self.result.append)

    def said(self, id: str) -> str:
        return str(self.screen.query_one(f"#{id}", Static).render())

    async def send(self, pilot: Any, text: str) -> None:
        """Write, send and wait for the answer."""
        before = len(self.sent)
        self.editor.text = text
        await pilot.press("ctrl+j")
        await until(pilot, lambda: len(self.sent) > before and "200" in self.said("status"))

    @property
    def editor(self) -> TextArea:
        return self.screen.query_one(TextArea)


def echo(request: httpx.Request) -> httpx.Response:
    body = {"got": json.loads(request.content or b"null"), "note": "[/oops]"}
    return httpx.Response(200, json=body, headers={"x-fal-request-id": "r-77"})


async def test_the_body_is_prefilled_and_the_answer_is_laid_out() -> None:
    app = Shell(echo, revision())
    async with app.run_test(size=(80, 24)) as pilot:
        assert json.loads(app.editor.text) == {"text": "text", "n": 3}
        await pilot.press("ctrl+j")
        await until(pilot, lambda: "200" in app.said("status"))
        assert app.sent[0].url.path == "/1/call/"
        assert json.loads(app.sent[0].content) == {"text": "text", "n": 3}
        assert '"note": "[/oops]"' in app.said("body")
        assert "request r-77" in app.said("status")
        await pilot.press("l")
        assert app.result == ["r-77"]


@SIZES
async def test_a_long_answer_that_is_laid_out_begins_at_its_beginning(
    size: tuple[int, int],
) -> None:
    class Json(Parts):
        def answer(self, _: httpx.Request) -> httpx.Response:
            headers = {"content-type": "application/json"}
            return httpx.Response(200, content=self.content(), headers=headers)

    parts = Json()
    app = Shell(parts.answer, revision())
    async with app.run_test(size=size) as pilot:
        scroll = app.screen.query_one("#answer", VerticalScroll)
        await pilot.press("ctrl+j")
        await parts.queue.put(b"[" + b"1," * 5_000)
        await until(pilot, lambda: scroll.scroll_offset.y > 0)
        await parts.queue.put(b"2]")
        await parts.queue.put(None)
        await until(pilot, lambda: "✓ 200" in app.said("status"))
        await until(pilot, lambda: scroll.scroll_offset.y == 0)
        await pilot.press("G")
        await until(pilot, lambda: scroll.scroll_offset.y == scroll.max_scroll_y > 4_000)
        await pilot.press("ctrl+u", "g", "ctrl+d")
        await until(pilot, lambda: scroll.scroll_offset.y == scroll.size.height // 2)


async def test_what_is_not_json_is_not_sent() -> None:
    app = Shell(echo, revision())
    async with app.run_test(size=(80, 24)) as pilot:
        app.editor.text = '{"text": }'
        await pilot.press("ctrl+j")
        await pilot.pause()
        assert "line 1, column 10" in app.said("status")
        assert app.sent == []
        assert app.editor.cursor_location == (0, 9)
        await pilot.press("2")
        await until(pilot, lambda: "not JSON" not in app.said("status"))
        assert app.said("status").startswith("call_text(")


async def test_a_server_of_its_own_gets_method_path_and_body() -> None:
    app = Shell(echo, revision(exposed_port=8080))
    async with app.run_test(size=(80, 24)) as pilot:
        app.screen.query_one("#path", Input).value = "items/7?full=1"
        await pilot.press("shift+tab", "right", "right")
        app.editor.text = "[1, 2]"
        await pilot.press("ctrl+j")
        await until(pilot, lambda: bool(app.sent))
        assert (app.sent[0].method, app.sent[0].url.raw_path) == (
            "PUT",
            b"/1/call/items/7?full=1",
        )
        assert app.sent[0].content == b"[1, 2]"


async def test_an_error_status_is_an_answer_and_a_lost_backend_is_said() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        if len(app.sent) == 1:
            return httpx.Response(422, json={"detail": "unknown parameter 'str'"})
        raise httpx.ConnectError("refused")

    app = Shell(refuse, revision())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+j")
        await until(pilot, lambda: "422" in app.said("status"))
        assert "unknown parameter 'str'" in app.said("body")
        await pilot.press("ctrl+j")
        await until(pilot, lambda: "no backend answers" in app.said("status"))
        assert app.said("body") == "No answer came"


async def test_earlier_calls_come_back_and_so_does_the_draft() -> None:
    app = Shell(echo, revision())
    async with app.run_test(size=(80, 24)) as pilot:
        for text in ("1", "2"):
            await app.send(pilot, text)
        app.editor.text = "draft"
        await pilot.press("ctrl+up", "ctrl+up")
        assert app.editor.text == "1"
        await pilot.press("ctrl+down", "ctrl+down")
        assert app.editor.text == "draft"


async def test_the_first_key_for_earlier_calls_leads_to_another_one() -> None:
    app = Shell(echo, revision())
    async with app.run_test(size=(80, 24)) as pilot:
        for text in ("1", "2"):
            await app.send(pilot, text)
        await pilot.press("e", "ctrl+up")
        assert app.editor.text == "1"
        await pilot.press("ctrl+up")
        assert app.editor.text == "1"
        await pilot.press("ctrl+down", "ctrl+down")
        assert app.editor.text == "2"


async def test_the_call_is_copied_as_curl_and_as_python() -> None:
    app = Shell(echo, revision())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+j")
        await until(pilot, lambda: bool(app.sent))
        await pilot.pause()
        await pilot.press("c")
        assert app.clipboard.startswith("curl -sS")
        await pilot.press("C")
        assert "urllib.request" in app.clipboard


async def test_escape_gives_a_call_up_and_then_closes() -> None:
    given_up = asyncio.Event()

    async def never(request: httpx.Request) -> httpx.Response:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        return httpx.Response(200)

    app = Shell(never, revision())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+j")
        await until(pilot, lambda: bool(app.sent))
        await pilot.press("escape")
        await until(pilot, lambda: "cancelled" in app.said("status"))
        assert given_up.is_set()
        await pilot.press("escape")
        assert app.result == [None]


async def test_bytes_are_not_drawn_but_can_be_saved(tmp_path: Path) -> None:
    def picture(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"\x89PNG\xff", headers={"content-type": "image/png"})

    app = Shell(picture, revision(), tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+j")
        await until(pilot, lambda: "5 bytes of image/png" in app.said("body"))
        await pilot.press("y")
        assert app.clipboard == ""
        await pilot.press("ctrl+s")
        (saved,) = tmp_path.iterdir()
        assert saved.suffix == ".png"
        assert saved.read_bytes() == b"\x89PNG\xff"


def test_the_curl_line_can_be_pasted() -> None:
    call = Call("POST", "/", '{\n  "text": "it\'s"\n}')
    line = as_curl(call, revision(), "call", public=False).replace("curl", "printf '%s\\n'", 1)
    words = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert words.stdout.splitlines() == [
        "-sS",
        "-H",
        "Authorization: Key :",
        "-H",
        "Content-Type: application/json",
        "-d",
        '{"text": "it\'s"}',
        "http://1-call.gateway.localhost:3250/",
    ]


def test_the_python_program_is_one() -> None:
    call = Call("PUT", "/a?b=1", '{"a": "é"}')
    text = as_python(call, revision(exposed_port=80), "call", public=False)
    compile(text, "copied.py", "exec")
    assert "http://127.0.0.1:3250/1/call/a?b=1" in text
    assert sys.version_info >= (3, 11)


def test_what_is_copied_names_an_address_that_programs_take() -> None:
    call = Call("GET", "/a b?list=[1-3]&q=é&done=%20")
    escaped = "/a%20b?list=%5B1-3%5D&q=%C3%A9&done=%20"
    assert f"localhost:3250{escaped}" in as_curl(call, revision(), "call", public=True)
    assert f"'http://127.0.0.1:3250/1/call{escaped}'" in as_python(
        call, revision(), "call", public=True
    )


def test_curl_neither_waits_for_a_body_nor_reads_a_file_by_mistake() -> None:
    assert as_curl(Call("HEAD", "/", "x"), revision(), "call", public=True) == (
        "curl -sS --head http://1-call.gateway.localhost:3250/"
    )
    line = as_curl(Call("PUT", "/", "@home"), revision(), "call", public=True)
    assert "--data-raw @home" in line and " -d " not in line


def test_what_is_copied_trusts_whom_the_context_trusts() -> None:
    call = Call("GET", "/")
    line = as_curl(call, revision(), "call", public=True, ca="ca.pem")
    assert line.startswith("curl --cacert ca.pem -sS ")
    text = as_python(call, revision(), "call", public=True, ca="ca.pem")
    compile(text, "copied.py", "exec")
    assert "cafile='ca.pem'" in text and "urlopen(request, context=trusted)" in text
    assert "ssl" not in as_python(call, revision(), "call", public=True)


def test_an_endpoint_that_is_open_gets_no_key() -> None:
    call = Call("PUT", "/", "{}")
    assert "Authorization" not in as_curl(call, revision(), "call", public=True)
    text = as_python(call, revision(), "call", public=True)
    compile(text, "copied.py", "exec")
    assert "Authorization" not in text and "import os" not in text and "Content-Type" in text
    assert "headers" not in as_python(Call("GET"), revision(), "call", public=True)


def test_a_first_call_fits_the_function() -> None:
    assert first(revision(exposed_port=80)) == Call("GET")
    assert json.loads(first(revision(serve=True, setup_function="load")).body) == {"n": 3}


def test_the_signature_tells_what_takes_any_number() -> None:
    parameters = (
        Parameter("a", "var_positional", False, "int"),
        Parameter("b", "var_keyword", False),
    )
    bundle = replace(revision().bundle, parameters=parameters)
    assert signature(replace(revision(), bundle=bundle)) == "call_text(*a: int, **b)"


def test_history_keeps_a_call_once_the_last_one_last() -> None:
    history = History()
    for body in "abca":
        history.add("f", Call(body=body))
    assert [call.body for call in history.of("f")] == ["b", "c", "a"]
    assert history.of("g") == []


def test_problems_of_json_are_named_by_place() -> None:
    assert problem('{"a": 1}') is None
    wrong = problem("{\n]")
    assert wrong and "line 2, column 1" in wrong.says and (wrong.line, wrong.column) == (1, 0)
    assert problem("[" * 100_000) == Problem("not JSON: nested too deeply")


def test_an_empty_answer_says_so() -> None:
    from fal_serverless.models import Answer

    assert shown(Answer(204, {}, b"", 0.1, "")).text == "(empty)"
    headers = {"content-type": "application/json", "allow": "GET, HEAD"}
    assert shown(Answer(200, headers, b"", 0.1, "")).text == (
        "(empty), with the headers\n\nallow: GET, HEAD\ncontent-type: application/json"
    )


def test_of_a_long_answer_no_more_is_laid_out_than_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from fal_serverless.models import Answer

    written: list[str] = []
    encode = json.JSONEncoder.iterencode

    def counted(self: json.JSONEncoder, value: Any, _one_shot: bool = False) -> Iterator[str]:
        for part in encode(self, value, _one_shot):
            written.append(part)
            yield part

    monkeypatch.setattr(json.JSONEncoder, "iterencode", counted)
    kind = {"content-type": "application/json"}
    body = json.dumps([{"n": n} for n in range(50_000)]).encode()
    written.clear()
    found = shown(Answer(200, kind, body, 0.1, ""))
    assert found.cut and len(found.text) == LONGEST
    assert sum(map(len, written)) < LONGEST + 100


class Parts:
    """An answer that comes bit by bit; `put(None)` ends it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.closed = asyncio.Event()

    def answer(self, _: httpx.Request) -> httpx.Response:
        headers = {"content-type": "text/plain", "x-fal-request-id": "r-78"}
        return httpx.Response(200, content=self.content(), headers=headers)

    async def content(self) -> AsyncIterator[bytes]:
        try:
            while (part := await self.queue.get()) is not None:
                yield part
        finally:
            self.closed.set()


@SIZES
async def test_an_answer_is_shown_as_it_comes(size: tuple[int, int]) -> None:
    parts = Parts()
    app = Shell(parts.answer, revision())
    async with app.run_test(size=size) as pilot:
        await pilot.press("ctrl+j")
        await parts.queue.put(b"one [/oops]\n")
        await until(pilot, lambda: "one [/oops]" in app.said("body"))
        assert "◐ 200 · 12 bytes so far" in app.said("status")
        await parts.queue.put(b"two")
        await until(pilot, lambda: app.said("body").endswith("two"))
        await parts.queue.put(None)
        await until(pilot, lambda: "✓ 200" in app.said("status"))
        assert "15 bytes · text/plain · request r-78" in app.said("status")
        assert app.said("body") == "one [/oops]\ntwo"


async def test_a_stream_given_up_keeps_what_came_and_its_logs() -> None:
    parts = Parts()
    app = Shell(parts.answer, revision())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+j")
        await parts.queue.put(b"half")
        await until(pilot, lambda: "half" in app.said("body"))
        await pilot.press("escape")
        await until(pilot, lambda: "✗ cancelled after" in app.said("status"))
        assert "200, 4 bytes came before" in app.said("status")
        await until(pilot, parts.closed.is_set)
        await pilot.press("tab", "y", "l")
        assert app.clipboard == "half"
        assert app.result == ["r-78"]


async def filled(pilot: Any, parts: Parts) -> VerticalScroll:
    """The answer so far is longer than its place, and its end is in sight."""
    scroll = pilot.app.screen.query_one("#answer", VerticalScroll)
    await pilot.press("ctrl+j")
    await parts.queue.put(b"line\n" * 100)
    await until(pilot, lambda: scroll.max_scroll_y > 0)
    await until(pilot, lambda: scroll.scroll_offset.y == scroll.max_scroll_y)
    return scroll


async def test_the_end_stays_in_sight_unless_one_looks_further_up() -> None:
    parts = Parts()
    app = Shell(parts.answer, revision())
    async with app.run_test(size=(80, 24)) as pilot:
        scroll = await filled(pilot, parts)
        scroll.scroll_to(y=3, animate=False)
        await until(pilot, lambda: scroll.scroll_offset.y == 3)
        before = scroll.max_scroll_y
        await parts.queue.put(b"line\n" * 10)
        await until(pilot, lambda: scroll.max_scroll_y == before + 10)
        await parts.queue.put(None)
        await until(pilot, lambda: "✓ 200" in app.said("status"))
        assert scroll.scroll_offset.y == 3


async def test_the_end_stays_in_sight_in_a_terminal_that_gets_smaller() -> None:
    parts = Parts()
    app = Shell(parts.answer, revision())
    async with app.run_test(size=(80, 40)) as pilot:
        scroll = await filled(pilot, parts)
        before = scroll.max_scroll_y
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: scroll.max_scroll_y > before)
        await parts.queue.put(b"line\n" * 10)
        await until(pilot, lambda: scroll.scroll_offset.y == scroll.max_scroll_y > before + 10)
        await parts.queue.put(None)
        await until(pilot, lambda: "✓ 200" in app.said("status"))


@SIZES
async def test_the_parts_of_a_cold_start_come_from_the_line_of_the_request(
    size: tuple[int, int],
) -> None:
    app = Shell(echo, revision())
    cold = "queue 0 ms, environment 0 ms, load 334 ms, setup 1200 ms"
    app.line = f"POST / 200 in 1541.2 ms (cold start: {cold})"
    async with app.run_test(size=size) as pilot:
        await pilot.press("ctrl+j")
        await until(pilot, lambda: app.said("timing"))
        assert app.said("timing") == (
            "1.5 s in the backend · cold start 1.5 s: load 334 ms, setup 1.2 s"
        )
        app.line = "POST / 200 in 0.9 ms"
        await pilot.press("ctrl+j")
        await until(pilot, lambda: "warm" in app.said("timing"))
        assert app.said("timing") == "0.9 ms in the backend · warm, no cold start"


def test_a_line_that_says_nothing_of_time_is_not_shown() -> None:
    assert timing("the worker died") == ""
    quick = "POST / 200 in 3.0 ms (cold start: queue 0 ms, load 0 ms)"
    assert timing(quick) == "3.0 ms in the backend · cold start 0.0 ms: all of it 0 ms"


def test_of_a_long_answer_the_end_is_shown_while_it_comes() -> None:
    assert coming(b"abc") == "abc"
    assert coming(b"x" * 5 + b"y" * LIVE) == "… 5 bytes before\n" + "y" * LIVE


@SIZES
async def test_the_last_call_comes_back_after_a_restart_while_it_fits(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    called, path = revision(), tmp_path / "calls.json"
    app = Shell(echo, called, history=Remembered(path, "local"))
    async with app.run_test(size=size) as pilot:
        await app.send(pilot, '{"text": "earlier"}')
    again = Shell(echo, called, history=Remembered(path, "local"))
    async with again.run_test(size=size) as pilot:
        assert again.editor.text == '{"text": "earlier"}'
    other = replace(called, bundle=replace(called.bundle, parameters=(parameter("size", "int"),)))
    third = Shell(echo, other, history=Remembered(path, "local"))
    async with third.run_test(size=size) as pilot:
        assert json.loads(third.editor.text) == {"size": 1}
        await pilot.press("ctrl+up")
        assert third.editor.text == '{"text": "earlier"}'


def parameter(name: str, annotation: str | None, kind: Any = "keyword") -> Parameter:
    return Parameter(name, kind, True, annotation)


@pytest.mark.parametrize(
    ("body", "parameters", "expected"),
    [
        ('{"a": 1}', [parameter("a", "int")], True),
        ('{"str": 1}', [parameter("a", "str")], False),
        ("[1]", [parameter("a", "list[int]")], True),
        ('{"x": 1}', [parameter("a", "dict")], True),
        ('{"a": 1}', [parameter("a", "int"), parameter("b", "int")], False),
        ('{"a": 1, "c": 2}', [parameter("a", "int"), parameter("b", None, "var_keyword")], True),
        ('{"a": 1, "c": 2}', [parameter("a", "int")], False),
        ("", [], True),
        ("not JSON", [parameter("a", "str")], False),
    ],
)
def test_whether_an_earlier_call_goes_with_the_signature(
    body: str, parameters: list[Parameter], expected: bool
) -> None:
    called = revision()
    called = replace(called, bundle=replace(called.bundle, parameters=tuple(parameters)))
    assert fits(Call(body=body), called) is expected
