"""What a function writes, and the log lines that come of it."""

from __future__ import annotations

import asyncio
from typing import Any


def told(stage: Any) -> list[tuple[str, str, str]]:
    return [(e.level, e.message, e.request_id) for e in stage.entries if e.source == "user"]


async def test_lines_keep_their_order_level_and_call(stage: Any, make_spec: Any) -> None:
    source = (
        "import sys, logging\n"
        "def f():\n"
        "    print('one'); print('two\\nthree'); print('four', file=sys.stderr)\n"
        "    logging.warning('five'); logging.getLogger('x').error('six'); logging.info('seven')\n"
        "    sys.stdout.buffer.write(b'eight\\n'); print('no end', end='')\n"
    )
    await stage.call(make_spec(source), request_id="r-5")
    assert told(stage) == [
        ("STDOUT", "one", "r-5"),
        ("STDOUT", "two", "r-5"),
        ("STDOUT", "three", "r-5"),
        ("STDERR", "four", "r-5"),
        ("WARNING", "five", "r-5"),
        ("ERROR", "six", "r-5"),
        ("INFO", "seven", "r-5"),
        ("STDOUT", "eight", "r-5"),
        ("STDOUT", "no end", "r-5"),
    ]


async def test_an_entry_knows_where_it_is_from(stage: Any, make_spec: Any) -> None:
    spec = make_spec("def f(): print('x')")
    reply = await stage.engine.call(spec, call_of("r-1"), "prod")
    entry = next(e for e in stage.entries if e.source == "user")
    assert (entry.user, entry.function, entry.alias) == ("1", "fn-f", "prod")
    assert (entry.revision, entry.worker) == (spec.revision, reply.worker)


def call_of(request_id: str) -> Any:
    from fal_serverless.backend.engine import Call

    return Call(request_id)


async def test_calls_that_run_at_once_keep_their_lines_apart(stage: Any, make_spec: Any) -> None:
    for prefix, wait in (("async ", "await asyncio.sleep(0.02)"), ("", "time.sleep(0.02)")):
        source = (
            f"import asyncio, time\n{prefix}def f(name):\n"
            f"    for n in range(3):\n        print(name, end=''); {wait}; print(n)"
        )
        spec = make_spec(source, max_multiplexing=4, max_concurrency=1)
        before = len(stage.entries)
        names = [f"c{n}" for n in range(4)]
        await asyncio.gather(*(stage.call(spec, {"name": n}, request_id=n) for n in names))
        lines = [e for e in stage.entries[before:] if e.source == "user"]
        assert len(lines) == 12
        assert all(entry.message.startswith(entry.request_id) for entry in lines)


async def test_threads_of_the_function_belong_to_its_call(stage: Any, make_spec: Any) -> None:
    source = (
        "import threading\n"
        "def f():\n    t = threading.Thread(target=print, args=('x',)); t.start(); t.join()"
    )
    await stage.call(make_spec(source), request_id="r-7")
    assert told(stage) == [("STDOUT", "x", "r-7")]


async def test_output_past_python_arrives_too(stage: Any, make_spec: Any, until: Any) -> None:
    source = (
        "import os, subprocess\n"
        "def f():\n"
        "    os.write(1, b'raw\\n'); os.write(2, b'\\x1b[31mred\\x1b[0m\\n')\n"
        "    subprocess.run(['sh', '-c', 'echo sub'], check=True)\n"
        "    os.write(1, b'y' * (2**20 + 1) + b'\\n')\n"
    )
    await stage.call(make_spec(source))
    await until(lambda: len(told(stage)) == 5)
    assert ("STDOUT", "raw", "r-1") in told(stage) and ("STDOUT", "sub", "r-1") in told(stage)
    assert ("STDERR", "\x1b[31mred\x1b[0m", "r-1") in told(stage)
    assert [len(text) for _, text, _ in told(stage) if text.startswith("y")] == [1 << 20, 1]


async def test_a_progress_bar_is_one_line(stage: Any, make_spec: Any) -> None:
    await stage.call(make_spec("def f(): print('\\r10%\\r20%\\r30%')"))
    assert stage.lines() == ["30%"]


async def test_logging_that_the_user_configures_is_the_users(stage: Any, make_spec: Any) -> None:
    level = (
        "import logging\ndef f():\n    logging.basicConfig(level='DEBUG', format='<%(message)s>')\n"
        "    logging.debug('x')"
    )
    await stage.call(make_spec(level))
    assert [entry[:2] for entry in told(stage)] == [("DEBUG", "<x>")]
    stage.entries.clear()
    own = (
        "import logging, sys\ndef f():\n"
        "    logging.basicConfig(stream=sys.stdout, format='mine %(message)s')\n"
        "    logging.warning('x')"
    )
    await stage.call(make_spec(own))
    assert [entry[:2] for entry in told(stage)] == [("WARNING", "mine x")]


async def test_a_fork_writes_plainly_and_harms_nothing(
    stage: Any, make_spec: Any, until: Any
) -> None:
    source = (
        "import os\n"
        "def f():\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n        print('in the fork', flush=True); os._exit(0)\n"
        "    os.waitpid(pid, 0)\n    return 'parent'"
    )
    spec = make_spec(source, max_concurrency=1)
    assert await stage.json(spec) == "parent"
    await until(lambda: ("STDOUT", "in the fork", "r-1") in told(stage))
    assert await stage.json(spec) == "parent"


async def test_log_handlers_made_before_a_fork_work_in_it(
    stage: Any, make_spec: Any, until: Any
) -> None:
    source = (
        "import logging, multiprocessing, sys\n"
        "def child():\n    logging.getLogger('own').error('logged'); print('half', end='')\n"
        "def f():\n"
        "    logging.getLogger('own').addHandler(logging.StreamHandler(sys.stderr))\n"
        "    logging.getLogger('own').propagate = False\n"
        "    print('of the parent', end='')\n"
        "    one = multiprocessing.get_context('fork').Process(target=child)\n"
        "    one.start(); one.join(); return one.exitcode"
    )
    assert await stage.json(make_spec(source)) == 0
    await until(lambda: len(told(stage)) == 3)
    assert sorted(entry[:2] for entry in told(stage)) == [
        ("STDERR", "logged"), ("STDOUT", "half"), ("STDOUT", "of the parent"),
    ]  # fmt: skip


async def test_setup_and_import_are_heard_without_a_call(stage: Any, make_spec: Any) -> None:
    source = "def load(): print('loading', end='')\ndef f(_): pass"
    await stage.call(make_spec(source, setup="load"))
    assert told(stage) == [("STDOUT", "loading", "")]
