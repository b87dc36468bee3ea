"""A worker's life, in the order of the steps in `child.py`."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import resource
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Iterator

from . import channel as wire
from . import loading
from .channel import Channel, Frame, die
from .loading import Loaded
from .output import Output, last_line, traceback_of
from .supervisor import fork_worker

if TYPE_CHECKING:
    import asyncio

Handle = Callable[[Frame], None]


def main(descriptor: int, orders: str) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    guard = fork_worker(descriptor, json.loads(orders))
    channel = Channel(descriptor)
    frames = channel.frames()
    init = json.loads(next(frames).payload)
    reader = _start_reader(frames)
    output = Output(channel)
    output.install()
    stage = "load"
    try:
        guard.settle()
        if guard.lacks_namespace:
            output.line("WARNING", "this worker has no process namespace: none could be had")
        if init["exposed_port"]:
            # Before anything of the user's is imported that might keep the old `bind`.
            importlib.import_module("_fal_worker.bind.sitecustomize")
        loaded = load(init)
        stage = "setup"
        first, seconds = set_up(loaded.setup)
        stage = "load"
        run = prepare(init, channel, output, loaded, first, reader)
    except BaseException as exc:
        fail(channel, output, exc, stage)
        return
    output.finish("")
    channel.send_json(wire.READY, {"setup": seconds, "pid": guard.pid})
    run()


class _Reader:
    """The thread that reads the channel, whatever the user's code does meanwhile."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self.handle: Handle | None = None
        """Who gets frames; None: nobody yet, and only the end matters."""

    def run(self) -> None:
        for frame in self._frames:
            if self.handle is not None:
                self.handle(frame)
        die()


def _start_reader(frames: Iterator[Frame]) -> _Reader:
    reader = _Reader(frames)
    threading.Thread(target=reader.run, name="fal-reader", daemon=True).start()
    return reader


def load(init: dict[str, Any]) -> Loaded:
    """Step 2: the path, then the function."""
    folder, overlay = init["folder"], init["overlay"]
    with open(os.path.join(folder, "bundle.json"), encoding="utf-8") as file:
        bundle = json.load(file)
    sources = init["sources"]
    if sources:
        sys.path.insert(0, sources)
    sys.path.extend(overlay)
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
    reader: _Reader,
) -> Callable[[], None]:
    """What runs from READY on."""
    if init["exposed_port"]:
        return lambda: expose(channel, output, loaded, first)
    served: Any = _serving(init, channel, output, loaded, first)
    server: Any
    if _is_async(loaded.func) or init["is_async"]:
        from .tasks import Tasks

        server = Tasks(served, _loop())
    else:
        from .threads import Threads

        server = Threads(served, init["max_multiplexing"])
    reader.handle = server.handle
    run: Callable[[], None] = server.run
    return run


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


def expose(channel: Channel, output: Output, loaded: Loaded, first: tuple[Any, ...]) -> None:
    """Step 3: the function's server runs until it wants to."""
    try:
        finish(loaded.func(*first))
    except SystemExit as exc:
        if exc.code:
            fail(channel, output, exc, "run")
            raise
        channel.send(wire.RETURNED)
    except BaseException as exc:
        fail(channel, output, exc, "run")
        sys.exit(1)
    else:
        channel.send(wire.RETURNED)


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
