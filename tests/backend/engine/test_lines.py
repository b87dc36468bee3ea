"""Lines on their way from a function to the log: in order, in time, and no faster than they go."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fal_serverless.backend.engine import Call, LocalEngine, Sink
from fal_serverless.backend.engine.process import MOST_HELD, Lines
from fal_serverless.backend.engine.runtime.lines import LARGE, WINDOW
from fal_serverless.backend.logs.selection import Selection
from fal_serverless.backend.logs.store import LogStore
from fal_serverless.config import Settings
from fal_serverless.models import LogQuery, tells_of_missing
from running import stores_on

COUNT = 40_000
"""Lines of LINE that are more than may be on their way."""
LINE = "line %d of a flood that is quite long for a line, so that few of them are much"
FLOOD = f"for n in range({COUNT}): print({LINE!r} % n)"
EVERY: list[tuple[str, dict[str, Any]]] = [
    (f"def f():\n    {FLOOD}\n    return 'done'", {}),
    (f"def f():\n    {FLOOD}\n    return 'done'", {"max_multiplexing": 2}),
    (f"async def f():\n    {FLOOD}\n    return 'done'", {}),
    (f"def f():\n    {FLOOD}\n    yield '\"done\"'", {}),
    (
        "import asyncio\ndef flood():\n"
        f"    {FLOOD}\n"
        "async def f():\n"
        "    await asyncio.get_running_loop().run_in_executor(None, flood)\n    return 'done'",
        {},
    ),
]
WAYS = pytest.mark.parametrize(
    ("source", "options"), EVERY, ids=["inline", "threads", "tasks", "stream", "executor"]
)


def numbers(stage: Any) -> list[int]:
    return [int(text.split()[1]) for text in stage.lines() if text.startswith("line ")]


def markers(stage: Any) -> list[str]:
    return [e.message for e in stage.entries if "dropped" in e.message]


async def answer(stage: Any, spec: Any, **more: Any) -> bytes:
    reply = await stage.call(spec, **more)
    if isinstance(reply.body, bytes):
        return reply.body
    return b"".join([piece async for piece in reply.body])


@WAYS
async def test_all_lines_come_in_order_before_the_answer(
    stage: Any, make_spec: Any, source: str, options: Any
) -> None:
    assert await answer(stage, make_spec(source, **options), request_id="r-9") == b'"done"'
    assert numbers(stage) == list(range(COUNT))
    if "executor" not in source:
        assert {e.request_id for e in stage.entries if e.source == "user"} == {"r-9"}
    assert len(stage.log.blocks) < COUNT / 40


@WAYS
async def test_a_function_waits_in_print_while_nothing_is_kept(
    stage: Any, make_spec: Any, until: Any, source: str, options: Any
) -> None:
    stage.log.stuck = True
    call = asyncio.create_task(answer(stage, make_spec(source, **options)))
    await until(lambda: sum(stage.log.blocks) >= WINDOW)
    other = make_spec("def g(): print('x'); return 1", "g")
    assert await stage.json(other) == 1
    await asyncio.sleep(0.2)
    assert not call.done()
    assert sum(stage.log.blocks) < WINDOW + 2 * LARGE
    stage.log.ease()
    assert await call == b'"done"'
    assert numbers(stage) == list(range(COUNT)) and not markers(stage)


@pytest.mark.parametrize("prefix", ["", "async "])
@pytest.mark.parametrize("end", ["time.sleep(0.0002)", "yield 'x'"])
async def test_one_that_prints_slowly_or_between_pieces_waits_as_well(
    stage: Any, make_spec: Any, until: Any, prefix: str, end: str
) -> None:
    stage.log.stuck = True
    source = (
        f"import time\n{prefix}def f():\n    for n in range(2500):\n"
        f"        print('line', n, 'x' * 1000)\n        {end}"
    )
    call = asyncio.create_task(answer(stage, make_spec(source)))
    await until(lambda: sum(stage.log.blocks) >= WINDOW)
    await asyncio.sleep(0.3)
    assert not call.done() and sum(stage.log.blocks) < WINDOW + 2 * LARGE
    stage.log.ease()
    await call
    assert numbers(stage) == list(range(2500))


async def test_setup_may_wait_too(stage: Any, make_spec: Any, until: Any) -> None:
    stage.log.stuck = True
    spec = make_spec(f"def load():\n    {FLOOD}\ndef f(_): return 'done'", setup="load")
    call = asyncio.create_task(answer(stage, spec))
    await until(lambda: sum(stage.log.blocks) >= WINDOW)
    stage.log.ease()
    assert await call == b'"done"'
    assert numbers(stage) == list(range(COUNT))


async def test_calls_that_come_while_a_print_waits_are_answered_after_it(
    stage: Any, make_spec: Any, until: Any
) -> None:
    stage.log.stuck = True
    source = f"async def f(flood=False):\n    if flood:\n        {FLOOD}\n    return 'done'"
    spec = make_spec(source, max_multiplexing=3, max_concurrency=1)
    first = asyncio.create_task(answer(stage, spec, body={"flood": True}))
    await until(lambda: sum(stage.log.blocks) >= WINDOW)
    others = [asyncio.create_task(answer(stage, spec)) for _ in range(2)]
    await asyncio.sleep(0.1)
    stage.log.ease()
    assert set(await asyncio.gather(first, *others)) == {b'"done"'}


async def test_a_call_that_waits_in_print_can_be_cancelled(
    stage: Any, make_spec: Any, until: Any
) -> None:
    stage.log.stuck = True
    spec = make_spec(
        f"def f(flood=False):\n    if flood:\n        {FLOOD}\n    return 'done'", max_concurrency=1
    )
    call = asyncio.create_task(answer(stage, spec, body={"flood": True}))
    await until(lambda: sum(stage.log.blocks) >= WINDOW)
    call.cancel()
    await asyncio.sleep(0.05)
    stage.log.ease()
    assert await answer(stage, spec) == b'"done"'
    assert len(numbers(stage)) < COUNT


@WAYS
async def test_lines_that_are_too_many_are_dropped_and_counted_where_that_is_wanted(
    make_stage: Any, make_spec: Any, until: Any, source: str, options: Any
) -> None:
    stage = make_stage(log_overflow="drop")
    stage.log.stuck = True
    spec = make_spec(source, max_concurrency=1, **options)
    assert await answer(stage, spec) == b'"done"'
    assert not markers(stage)
    stage.log.ease()
    await until(lambda: bool(markers(stage)))
    (said,) = (e for e in stage.entries if "dropped" in e.message)
    assert (said.level, said.source) == ("WARNING", "system")
    kept = len(numbers(stage))
    assert said.message == f"… {COUNT - kept} lines dropped …" and tells_of_missing(said)
    assert numbers(stage) == list(range(kept))


@pytest.mark.parametrize("options", [{}, {"max_multiplexing": 2}, {"is_async": True}])
@pytest.mark.parametrize("count", [1, 100])
async def test_lines_of_a_call_that_goes_on_arrive_soon(
    stage: Any, make_spec: Any, until: Any, options: Any, count: int
) -> None:
    prefix = "async " if options else ""
    wait = "await asyncio.sleep(30)" if options else "time.sleep(30)"
    if "max_multiplexing" in options:
        prefix, wait = "", "time.sleep(30)"
    source = (
        f"import asyncio, time\n{prefix}def f():\n"
        f"    for n in range({count}): print('line', n)\n    {wait}"
    )
    call = asyncio.create_task(answer(stage, make_spec(source, **options)))
    await until(lambda: len(numbers(stage)) == count)
    assert not call.done()
    call.cancel()


async def test_lines_of_a_server_and_of_threads_between_calls_arrive_soon(
    stage: Any, make_spec: Any, until: Any
) -> None:
    source = (
        "import http.server, threading, time\n"
        "def talk():\n"
        "    time.sleep(2)\n"
        "    for n in range(100): print('line', n)\n"
        "def f():\n"
        "    threading.Thread(target=talk, daemon=True).start(){rest}"
    )
    serve = "\n    http.server.HTTPServer(('', 8080), None).serve_forever()"
    await stage.engine.warm(make_spec(source.format(rest=serve), exposed_port=8080))
    await until(lambda: len(numbers(stage)) == 100)
    await stage.call(make_spec(source.format(rest="")))
    await until(lambda: len(numbers(stage)) == 200)


@pytest.mark.parametrize("end", ["return", "raise ValueError('so')", "sys.exit(0)"])
async def test_what_a_server_says_before_its_end_is_heard(
    stage: Any, make_spec: Any, end: str
) -> None:
    source = (
        "import atexit, sys\ndef f():\n"
        "    atexit.register(print, 'line 1000 at the exit')\n"
        f"    for n in range(1000): print('line', n)\n    {end}"
    )
    with pytest.raises(Exception, match=r"f returned|f raised"):
        await stage.engine.warm(make_spec(source, exposed_port=8080))
    assert numbers(stage)[:1000] == list(range(1000))


async def test_what_is_printed_at_exit_is_heard(stage: Any, make_spec: Any, until: Any) -> None:
    source = (
        "import atexit\n"
        "def last():\n    for n in range(100): print('line', n)\n"
        "def f(): atexit.register(last)"
    )
    spec = make_spec(source)
    await stage.call(spec)
    await stage.engine.retire(spec.revision)
    assert numbers(stage) == list(range(100))


async def test_of_a_worker_that_is_killed_all_is_kept_that_it_sent(
    stage: Any, make_spec: Any, until: Any
) -> None:
    source = "import itertools\ndef f():\n    for n in itertools.count(): print('line', n)"
    call = asyncio.create_task(stage.call(make_spec(source)))
    await until(lambda: len(numbers(stage)) > 10_000)
    os.kill(stage.engine.workers()[0].pid, signal.SIGKILL)
    with pytest.raises(Exception, match="killed by signal 9") as caught:
        await call
    assert numbers(stage) == list(range(len(numbers(stage))))
    assert caught.value.data["log"] == stage.lines()[-50:]


async def test_the_last_line_before_a_crash_is_kept(stage: Any, make_spec: Any) -> None:
    source = "import os\ndef f():\n    print('one'); print('two'); os.kill(os.getpid(), 11)"
    with pytest.raises(Exception, match="signal 11"):
        await stage.call(make_spec(source))
    assert stage.lines()[:2] == ["one", "two"]


async def test_what_was_said_before_os_exit_is_kept(stage: Any, make_spec: Any) -> None:
    source = (
        "import os, sys\ndef f():\n"
        "    for n in range(1000): print('line', n)\n"
        "    print('no end', end='', flush=True); sys.stderr.write('none'); os._exit(3)\n"
    )
    with pytest.raises(Exception, match="exit code 3"):
        await stage.call(make_spec(source))
    assert stage.lines()[:1002] == [*(f"line {n}" for n in range(1000)), "no end", "none"]


async def test_a_line_in_pieces_has_no_empty_line_behind_it(stage: Any, make_spec: Any) -> None:
    source = (
        "import os\ndef f():\n"
        "    for n in (1 << 20, 3 << 20, (3 << 20) + 1):\n"
        "        print('x' * n); os.write(1, b'y' * n + b'\\n')"
    )
    await stage.call(make_spec(source))
    mega = 1 << 20
    for letter in "xy":
        sizes = [len(line) for line in stage.lines() if line[:1] in (letter, "")]
        assert sizes == [mega, *[mega] * 3, *[mega] * 3, 1]


async def test_a_fork_sends_none_of_the_lines_that_wait(
    stage: Any, make_spec: Any, until: Any
) -> None:
    source = (
        "import os, sys\ndef f():\n"
        "    for n in range(500):\n"
        "        print('line', n)\n"
        "        if n % 100 == 50 and os.fork() == 0:\n"
        "            print('line', -1, flush=True); sys.exit(0)\n"
    )
    reply = await stage.call(make_spec(source))
    assert reply.status == 200
    await until(lambda: numbers(stage).count(-1) == 5)
    assert [n for n in numbers(stage) if n >= 0] == list(range(500))


async def test_a_pipe_is_not_read_while_much_of_it_is_not_kept(
    stage: Any, make_spec: Any, until: Any
) -> None:
    stage.log.stuck = True
    source = (
        "import subprocess\ndef f():\n"
        f"    subprocess.run(['seq', '-f', 'line %.0f of a pipe', '0', '{COUNT - 1}'], check=True)"
    )
    call = asyncio.create_task(stage.call(make_spec(source)))
    await until(lambda: sum(stage.log.blocks) >= MOST_HELD)
    await asyncio.sleep(0.2)
    assert not call.done()
    assert sum(stage.log.blocks) < 4 * MOST_HELD
    stage.log.ease()
    await call
    await until(lambda: len(numbers(stage)) == COUNT)
    assert numbers(stage) == list(range(COUNT))


async def test_none_is_lost_when_the_log_store_is_killed(
    tmp_path: Path, make_spec: Any, until: Callable[..., Any]
) -> None:
    logs = LogStore(tmp_path / "logs", 1 << 30, 1)
    sink = Sink(logs.put, logs.lines)
    engine = LocalEngine(Settings(), tmp_path / "run", os.environ, sink, lambda _: None)
    call = asyncio.create_task(engine.call(make_spec(EVERY[0][0]), Call("r-1")))
    selection = Selection("1", LogQuery(lines=2 * COUNT, sources=("user",)))
    for least in (1000, 20_000):
        following = logs.follow(replace(selection, query=replace(selection.query, after=0)))
        async with aclosing(following):
            for _ in range(least):
                await anext(following)
        os.kill(stores_on(tmp_path / "logs")[0], signal.SIGKILL)
    assert (await call).status == 200
    texts = [e.message for e in await logs.read(selection)]
    await engine.close(0)
    await logs.close()
    assert texts == [LINE % n for n in range(COUNT)]


async def test_what_a_child_writes_is_of_its_call_though_the_answer_before_it_is_unread(
    stage: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Lines.data_received

    def take_and_dawdle(self: Lines, data: bytes) -> None:
        take(self, data)
        if data == b"n0\n":
            time.sleep(0.1)  # the worker answers, and the child of the call behind it writes

    monkeypatch.setattr(Lines, "data_received", take_and_dawdle)
    source = "import os\ndef f(name=''): return name and os.system('echo ' + name)"
    spec = make_spec(source, max_concurrency=1)
    for _ in range(20):
        await stage.call(spec)  # a function that takes no time is sent calls ahead
    names = ["n0", "n1", "n2"]
    await asyncio.gather(*(stage.call(spec, {"name": n}, request_id=n) for n in names))
    said = [(e.request_id, e.message) for e in stage.entries if e.source == "user"]
    assert said == list(zip(names, names, strict=True))
