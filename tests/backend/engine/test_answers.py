"""What the function returns, and what the caller gets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fal_serverless.errors import WorkerFailed

IMPORTS = "import dataclasses, datetime, decimal, enum, pathlib, types, uuid\n"


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ("None", b"null"),
        ("'text'", b'"text"'),
        ("[1, 2.5, True]", b"[1,2.5,true]"),
        ("{'a': (1, 2)}", b'{"a":[1,2]}'),
        ("datetime.date(2024, 5, 6)", b'"2024-05-06"'),
        ("dataclasses.make_dataclass('P', ['x'])(1)", b'{"x":1}'),
        ("pathlib.Path('/x')", b'"/x"'),
        ("{3}", b"[3]"),
        ("type('Array', (), {'tolist': lambda self: [1]})()", b"[1]"),
        ("'ä'", b'"\xc3\xa4"'),
        ("'\\ud800'", b'"\\ud800"'),
        ("[float('nan'), float('-inf')]", b"[null,null]"),
        ("2**80", b"1208925819614629174706176"),
        ("decimal.Decimal('1.10')", b'"1.10"'),
        ("uuid.UUID(int=1)", b'"00000000-0000-0000-0000-000000000001"'),
        ("datetime.timedelta(days=1)", b'"P1D"'),
        ("enum.Enum('E', {'A': 'a'}).A", b'"a"'),
        ("[type('S', (str,), {})('s'), type('I', (int,), {})(3)]", b'["s",3]'),
        ("[type('L', (list,), {})([1]), type('D', (dict,), {})(a=1)]", b'[[1],{"a":1}]'),
        ("[range(2), {'a': 1}.keys(), {'a': 1}.values()]", b'[[0,1],["a"],[1]]'),
        ("types.MappingProxyType({1: b'x'})", b'{"1":"eA=="}'),
        ("frozenset([(1, 2)])", b"[[1,2]]"),
    ],
)
async def test_values_are_answered_bare(
    stage: Any, make_spec: Any, value: str, body: bytes
) -> None:
    reply = await stage.call(make_spec(f"{IMPORTS}def f(): return {value}"))
    assert (reply.status, reply.body) == (200, body)
    assert reply.headers == [("content-type", "application/json")]


@pytest.mark.parametrize(
    ("value", "kind", "body"),
    [
        ("b'x'", "application/octet-stream", b"x"),
        ("type('Png', (bytes,), {'content_type': 'image/png'})(b'p')", "image/png", b"p"),
        ("type('R', (), {'content_type': 'text/html', 'body': '<p>'})()", "text/html", b"<p>"),
    ],
)
async def test_bytes_have_a_content_type(
    stage: Any, make_spec: Any, value: str, kind: str, body: bytes
) -> None:
    reply = await stage.call(make_spec(f"def f(): return {value}"))
    assert (reply.headers, reply.body) == ([("content-type", kind)], body)


async def test_what_is_not_json_is_named_in_the_log_only(stage: Any, make_spec: Any) -> None:
    reply = await stage.call(make_spec("def f(): return {'a': open('/dev/null')}"))
    assert reply.status == 500
    assert b"TextIOWrapper" not in reply.body
    assert any("TextIOWrapper" in line for line in stage.lines())


async def test_an_exception_is_a_500_with_its_traceback_in_the_log(
    stage: Any, make_spec: Any
) -> None:
    source = "def deep(): raise KeyError('secret')\ndef f(): deep()"
    reply = await stage.call(make_spec(source), request_id="r-9")
    assert reply.status == 500
    assert b"Internal Server Error" in reply.body and b"secret" not in reply.body
    errors = [entry for entry in stage.entries if entry.level == "ERROR"]
    assert {entry.request_id for entry in errors} == {"r-9"}
    text = "\n".join(entry.message for entry in errors)
    assert text.startswith("Traceback") and text.endswith("KeyError: 'secret'")
    assert 'File "/of/a/user/app.py", line 1, in deep' in text
    assert "raise KeyError" in text and "runtime" not in text


@pytest.mark.parametrize("leave", ["raise SystemExit(3)", "raise KeyboardInterrupt"])
async def test_a_function_cannot_end_its_worker_by_an_exception(
    stage: Any, make_spec: Any, leave: str
) -> None:
    spec = make_spec(f"def f(): {leave}")
    first, second = await stage.call(spec), await stage.call(spec)
    assert (first.status, second.status) == (500, 500)
    assert first.worker == second.worker


async def read(reply: Any) -> list[bytes]:
    return [piece async for piece in reply.body]


@pytest.mark.parametrize("prefix", ["", "async "])
@pytest.mark.parametrize(
    ("pieces", "accept", "kind", "got"),
    [
        ("'a', 'b'", "", "text/plain; charset=utf-8", [b"a", b"b"]),
        ("b'a', b'b'", "", "application/octet-stream", [b"a", b"b"]),
        ("{'n': 1}, 2", "", "application/x-ndjson", [b'{"n":1}\n', b"2\n"]),
        ("None, 2, None", "", "application/x-ndjson", [b"null\n", b"2\n", b"null\n"]),
        (
            "'a\\nb', {'n': 1}, 'event: x\\ndata: y\\n\\n'",
            "text/event-stream",
            "text/event-stream",
            [b"data: a\ndata: b\n\n", b'data: {"n":1}\n\n', b"event: x\ndata: y\n\n"],
        ),
    ],
)
async def test_generators_are_streamed(
    stage: Any, make_spec: Any, prefix: str, pieces: str, accept: str, kind: str, got: list[bytes]
) -> None:
    spec = make_spec(f"{prefix}def f():\n    for piece in ({pieces},): yield piece")
    reply = await stage.call(spec, headers=[("accept", accept)])
    assert reply.headers == [("content-type", kind)]
    assert await read(reply) == got


async def test_pieces_arrive_as_they_are_made(stage: Any, make_spec: Any, tmp_path: Any) -> None:
    go = tmp_path / "go"
    source = (
        f"import os, time\ndef f():\n    yield 'first'\n"
        f"    while not os.path.exists({str(go)!r}): time.sleep(0.005)\n"
        "    yield 'second'"
    )
    reply = await stage.call(make_spec(source))
    assert await anext(reply.body) == b"first"
    go.touch()
    assert await read(reply) == [b"second"]


async def test_an_empty_stream_is_an_empty_answer(stage: Any, make_spec: Any) -> None:
    for prefix in ("", "async "):
        reply = await stage.call(make_spec(f"{prefix}def f():\n    if False: yield"))
        assert (reply.status, await read(reply)) == (200, [])


@pytest.mark.parametrize("prefix", ["", "async "])
async def test_a_stream_that_fails_at_once_is_a_500_and_later_breaks_off(
    stage: Any, make_spec: Any, prefix: str
) -> None:
    at_once = await stage.call(make_spec(f"{prefix}def f():\n    raise ValueError\n    yield"))
    assert at_once.status == 500
    later = await stage.call(make_spec(f"{prefix}def f():\n    yield 'a'\n    raise ValueError"))
    assert await anext(later.body) == b"a"
    with pytest.raises(WorkerFailed, match="in the middle"):
        await anext(later.body)
    assert stage.lines()[-1].splitlines()[-1] == "ValueError"


@pytest.mark.parametrize("multiplexing", [1, 2])
@pytest.mark.parametrize("waits", ["", "await asyncio.sleep(600)"])
async def test_an_async_generator_of_a_plain_function_is_left_in_order(
    stage: Any, make_spec: Any, until: Any, multiplexing: int, waits: str
) -> None:
    if waits and multiplexing > 1:
        pytest.skip("threads cannot be interrupted")
    source = (
        "import asyncio\nasync def pieces():\n    try:\n        while True:\n"
        f"            yield 'x' * 100_000\n            {waits}\n"
        "    finally:\n        await asyncio.sleep(0)\n        print('left')\n"
        "def f(): return pieces()"
    )
    reply = await stage.call(make_spec(source, max_multiplexing=multiplexing))
    assert len(await anext(reply.body)) == 100_000
    await reply.body.aclose()
    await until(lambda: "left" in stage.lines())


@pytest.mark.parametrize("prefix", ["", "async "])
async def test_a_slow_reader_holds_the_function_back(
    stage: Any, make_spec: Any, prefix: str
) -> None:
    source = (
        f"{prefix}def f():\n    for n in range(40):\n        print(n)\n        yield b'x' * 100_000"
    )
    reply = await stage.call(make_spec(source))
    await anext(reply.body)
    await asyncio.sleep(0.3)
    assert len(stage.lines()) < 20
    assert len(b"".join(await read(reply))) == 39 * 100_000


@pytest.mark.parametrize("prefix", ["", "async "])
async def test_leaving_a_stream_ends_its_generator(
    stage: Any, make_spec: Any, until: Any, prefix: str
) -> None:
    source = (
        f"{prefix}def f():\n    try:\n        while True: yield 'x' * 10000\n"
        "    finally: print('closed')"
    )
    spec = make_spec(source, max_concurrency=1)
    reply = await stage.call(spec)
    await anext(reply.body)
    await reply.body.aclose()
    await until(lambda: stage.lines() == ["closed"])
    again = await stage.call(spec)
    assert again.worker == reply.worker
    await again.body.aclose()


async def test_a_large_body_goes_both_ways(stage: Any, make_spec: Any) -> None:
    data = bytes(range(256)) * 40_000
    spec = make_spec("def f(data: bytes): return data")
    reply = await stage.call(spec, data, content_type="application/octet-stream")
    assert reply.body == data


async def test_a_coroutine_from_a_plain_function_is_awaited(stage: Any, make_spec: Any) -> None:
    source = "async def g(): return 5\ndef f(): return g()"
    assert await stage.json(make_spec(source)) == 5


async def test_a_call_that_blocks_leaves_the_others_their_places(
    stage: Any, make_spec: Any, tmp_path: Any
) -> None:
    go = tmp_path / "go"
    source = (
        "import os, threading, time\n"
        f"def f(wait: bool = False):\n"
        f"    while wait and not os.path.exists({str(go)!r}): time.sleep(0.005)\n"
        "    return wait"
    )
    for options in ({"max_multiplexing": 4, "max_concurrency": 1}, {"max_concurrency": 2}):
        spec = make_spec(source, **options)
        blocked = asyncio.create_task(stage.json(spec, {"wait": True}))
        for _ in range(8):
            assert await stage.json(spec) is False
        assert not blocked.done()
        go.touch()
        assert await blocked is True
        go.unlink()


async def test_awaited_calls_run_side_by_side_in_one_worker(stage: Any, make_spec: Any) -> None:
    source = (
        "import asyncio\nmet = asyncio.Event()\n"
        "async def f(first: bool):\n"
        "    if first: await asyncio.wait_for(met.wait(), 20)\n"
        "    else: met.set()\n"
        "    return first"
    )
    spec = make_spec(source, is_async=True, max_multiplexing=2, max_concurrency=1, from_source=True)
    both = [stage.json(spec, {"first": first}) for first in (True, False)]
    assert await asyncio.gather(*both) == [True, False]
