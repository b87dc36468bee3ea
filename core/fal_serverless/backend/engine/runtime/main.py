"""A worker's life, in the order of the steps in `child.py`."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import resource
import sys
import time
from typing import TYPE_CHECKING, Any

from . import channel as wire
from . import loading
from .channel import Channel
from .lines import Lines
from .loading import Loaded
from .output import Output, last_line, traceback_of
from .reader import Reader
from .supervisor import fork_worker

if TYPE_CHECKING:
    import asyncio


def main(descriptor: int, orders: str) -> None:
    live(descriptor, json.loads(orders))


def live(descriptor: int, orders: dict[str, Any], report: int | None = None) -> None:
    """`report`: see `supervisor.fork_worker`."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    guard = fork_worker(descriptor, orders, report)
    channel = Channel(descriptor)
    init = json.loads(next(channel.frames()).payload)
    lines = Lines(channel, init["log_overflow"] == "drop")
    reader = Reader(channel, lines)
    reader.start()
    output = Output(lines)
    output.install()
    stage = "load"
    try:
        guard.settle()
        if guard.lacks_namespace:
            output.entry("WARNING", "this worker has no process namespace: none could be had")
        if init["exposed_port"]:
            # Before anything of the user's is imported that might keep the old `bind`.
            importlib.import_module("_fal_worker.bind.sitecustomize")
        else:
            output.carry()
        loaded = load(init)
        stage = "setup"
        first, seconds = set_up(loaded.setup)
        stage = "load"
        server = prepare(init, channel, output, loaded, first, reader)
    except BaseException as exc:
        fail(channel, output, exc, stage)
        return
    output.finish("")
    ready = {"setup": seconds, "pid": guard.pid, "takes_ahead": server.takes_ahead}
    channel.send_json(wire.READY, ready)
    server.run()


def load(init: dict[str, Any]) -> Loaded:
    """Step 2: the path, then the function."""
    folder, overlay = init["folder"], init["overlay"]
    with open(os.path.join(folder, "bundle.json"), encoding="utf-8") as file:
        bundle = json.load(file)
    sources = init["sources"]
    if sources:
        sys.path.insert(0, sources)
        loading.make_way(sources)
    sys.path.extend(overlay)
    loading.reveal(overlay)
    sys.argv = [os.path.join(sources, bundle["file_name"])]
    if init["exposed_port"]:
        importlib.import_module("_fal_worker.again").prepare(init, bundle["file_name"])
    if init["from_source"]:
        return loading.from_file(sources, bundle["file_name"], init["entrypoint"])
    loaded = loading.from_pickle(os.path.join(folder, "function.pickle"), overlay)
    loading.show_source(loaded.func, bundle["file_name"], bundle["source"])
    return loaded


def set_up(setup: Any) -> tuple[tuple[Any, ...], float]:
    """What the function gets first, and the seconds it took to make; () when there is nothing."""
    if setup is None:
        return (), 0.0
    started = time.perf_counter()
    result = finish(setup())
    return (result,), time.perf_counter() - started


def _loop() -> asyncio.AbstractEventLoop:
    """The one event loop of the main thread; made on first use."""
    global _the_loop
    if _the_loop is None:
        # A third of a worker's start, and most functions need none of it.
        import asyncio

        _the_loop = asyncio.new_event_loop()
        asyncio.set_event_loop(_the_loop)
    return _the_loop


_the_loop: asyncio.AbstractEventLoop | None = None


def prepare(
    init: dict[str, Any],
    channel: Channel,
    output: Output,
    loaded: Loaded,
    first: tuple[Any, ...],
    reader: Reader,
) -> Any:
    """What runs from READY on: it has `run`, and says whether it takes calls ahead of turn."""
    if init["exposed_port"]:
        return Exposed(channel, output, loaded, first)
    served: Any = _serving(init, channel, output, loaded, first)
    count = init["max_multiplexing"]
    if _is_async(loaded.func) or init["is_async"]:
        from .tasks import Tasks

        return Tasks(served, _loop(), count)
    if count == 1:
        from .inline import Inline

        return Inline(served, reader)
    from .threads import Threads

    return Threads(served, reader, count)


def _serving(
    init: dict[str, Any], channel: Channel, output: Output, loaded: Loaded, first: tuple[Any, ...]
) -> Any:
    """How calls become arguments and results answers: by HTTP's rules, or as pickles."""
    if init["pickled"]:
        from .pickled import Pickled

        return Pickled(channel, output, loaded, first, init["overlay"])
    from .calls import Served
    from .codec import Codec

    return Served(channel, output, loaded, first, Codec(init["overlay"]))


def _is_async(func: Any) -> bool:
    return inspect.iscoroutinefunction(func) or inspect.isasyncgenfunction(func)


class Exposed:
    """Step 3: the function's server runs until it wants to."""

    takes_ahead = False

    def __init__(
        self, channel: Channel, output: Output, loaded: Loaded, first: tuple[Any, ...]
    ) -> None:
        self._channel = channel
        self._output = output
        self._func = loaded.func
        self._first = first

    def run(self) -> None:
        try:
            finish(self._func(*self._first))
        except SystemExit as exc:
            if exc.code:
                fail(self._channel, self._output, exc, "run")
                raise
            self._channel.send(wire.RETURNED)
        except BaseException as exc:
            fail(self._channel, self._output, exc, "run")
            sys.exit(1)
        else:
            self._channel.send(wire.RETURNED)


def finish(result: Any) -> Any:
    """What an async function comes to; anything else as it is."""
    return _loop().run_until_complete(result) if inspect.isawaitable(result) else result


def fail(channel: Channel, output: Output, error: BaseException, stage: str) -> None:
    """The reason in one line; the traceback goes to the log."""
    output.finish("")
    output.failure(error)
    channel.send_json(
        wire.FAILED, {"stage": stage, "error": last_line(error), "traceback": traceback_of(error)}
    )
