"""Calls from Python, over a real backend: results, exceptions, output, cancelling."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError, Future, wait
from pathlib import Path
from typing import Any

import pytest

from calling import until, use
from fal_serverless import IsolatedFunction, config, isolated, launcher, outcome
from fal_serverless.client import Client, health
from fal_serverless.errors import (
    BuildFailed,
    InvalidOption,
    NotPicklable,
    PythonMismatch,
    ReadOnly,
    RemoteError,
    ResultLost,
    Unreachable,
    WorkerFailed,
)
from fal_serverless.source import sending
from running import FUNCTIONS, RunningBackend, StartBackend


@pytest.fixture(autouse=True)
def here(backend: RunningBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of this process go to the backend of the test run."""
    use(monkeypatch, backend.env)


# What comes back


class Point:
    made = 0

    def __init__(self, x: int) -> None:
        type(self).made += 1
        self.x = x


class Wrong(Exception):
    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class Needy(Exception):
    """As many are: it cannot be made from its own args."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(f"{name} {number}")
        self.number = number


class Stuck(Exception):
    """It does not travel."""

    def __reduce__(self) -> Any:
        raise TypeError("not to be pickled")


@isolated
def pid_and(value: Any) -> tuple[int, Any]:
    return os.getpid(), value


@isolated
def moved(point: Point, by: Callable[[int], int]) -> Point:
    return Point(by(point.x))


@isolated
def raising(error: BaseException) -> None:
    raise error


def test_a_call_runs_in_a_worker_and_gives_the_result() -> None:
    pid, value = pid_and({"a": [1, 2.5, None, b"x"]})
    assert pid != os.getpid() and value == {"a": [1, 2.5, None, b"x"]}
    assert pid_and.func(1) == (os.getpid(), 1)


def test_classes_and_lambdas_travel_and_come_back_as_they_are_here() -> None:
    before = Point.made
    step = 4
    point = moved(Point(1), lambda x: x + step)
    assert type(point) is Point and point.x == 5
    # The worker's count is its own.
    assert Point.made == before + 1


def test_functions_that_come_back_know_their_file() -> None:
    assert isolated(lambda: lambda: 1)().__code__.co_filename == __file__


class Word:
    def __init__(self, text: str) -> None:
        self.text = text


def test_a_function_stays_the_same_over_its_calls() -> None:
    where = isolated(keep_alive=30)(lambda word: (os.getpid(), Word(word.text)))
    before = sending.sendable(where).digest
    assert where(Word("a"))[0] == where(Word("b"))[0]
    assert sending.sendable(where).digest == before


def test_a_closure_is_sent_as_it_is_now() -> None:
    items: list[int] = [1]
    total = isolated(lambda: sum(items))
    assert total() == 1
    items.append(41)
    assert total() == 42


def test_large_arguments_and_results_pass() -> None:
    content = os.urandom(5_000_000)
    assert isolated(lambda data: data * 2)(content) == content * 2


def test_the_options_of_on_are_those_it_runs_with(capfd: pytest.CaptureFixture[str]) -> None:
    def version() -> str:
        from importlib.metadata import version

        return version("iniconfig")

    plain = isolated(version)
    assert plain.on(requirements=["iniconfig==2.0.0"])() == "2.0.0"
    assert "iniconfig==2.0.0" in capfd.readouterr().err
    with pytest.raises(ImportError):
        plain()


def test_the_setup_function_runs_once_per_worker() -> None:
    counted = isolated(setup_function=lambda: [0])(lambda box, by: box.append(by) or sum(box))
    assert [counted(1), counted(2), counted(3)] == [1, 3, 6]


def test_a_call_inside_a_worker_is_a_plain_one() -> None:
    outer = isolated(lambda: (os.getpid(), pid_and("x"), pid_and.submit(1).result()[1]))
    pid, inner, submitted = outer()
    assert inner == (pid, "x") and submitted == 1


# What goes wrong


def test_an_exception_comes_back_with_its_type_and_remote_traceback() -> None:
    with pytest.raises(Wrong) as caught:
        raising(Wrong("not today", 7))
    error = caught.value
    assert type(error) is Wrong and (str(error), error.code) == ("not today", 7)
    assert isinstance(error.__cause__, outcome.RemoteTraceback)
    printed = "".join(traceback.format_exception(error))
    assert "in the worker:" in printed and printed.count("raise error") == 1


def test_an_exception_whose_init_wants_more_than_it_passes_on_comes_back() -> None:
    with pytest.raises(Needy, match=r"^tea 4$") as caught:
        isolated(fail_needily)()
    assert caught.value.number == 4 and caught.value.args == ("tea 4",)
    assert isinstance(caught.value.__cause__, outcome.RemoteTraceback)


def test_an_exception_that_cannot_be_made_here_keeps_its_name_and_words() -> None:
    with pytest.raises(RemoteError, match="Stuck: tea 4"):
        isolated(fail_stuck)()


def fail_needily() -> None:
    raise Needy("tea", 4)


def fail_stuck() -> None:
    raise Stuck("tea 4")


def test_results_that_cannot_travel_are_named() -> None:
    with pytest.raises(ResultLost, match=r"_thread\.lock cannot be pickled"):
        isolated(lambda: threading.Lock())()

    def foreign() -> Any:
        import pathlib
        import tempfile

        folder = tempfile.mkdtemp()
        pathlib.Path(folder, "only_there.py").write_text("class Thing: pass\n")
        sys.path.append(folder)
        return __import__("only_there").Thing()

    with pytest.raises(ResultLost, match="No module named 'only_there'; install it where"):
        isolated(foreign)()


def test_what_cannot_be_sent_is_refused_before_anything_runs() -> None:
    lock = threading.Lock()
    with pytest.raises(NotPicklable, match="variable 'lock' around"):
        isolated(lambda: lock)()
    with pytest.raises(NotPicklable, match=r"argument 'value' \(lock\) of pid_and\(\)"):
        pid_and(value=lock)
    with pytest.raises(PythonMismatch, match=r"asks for Python 3\.9, and this program runs"):
        pid_and.on(python_version="3.9")(1)
    with pytest.raises(InvalidOption, match="is a server on port 8080"):
        pid_and.on(exposed_port=8080)(1)


def test_what_is_in_the_way_of_a_worker_is_raised() -> None:
    with pytest.raises(BuildFailed, match="no-such-package-of-anybody"):
        pid_and.on(requirements=["no-such-package-of-anybody"])(1)
    with pytest.raises(WorkerFailed, match="exit code 3"):
        isolated(os._exit)(3)
    with pytest.raises(WorkerFailed, match="setup function"):
        isolated(setup_function=lambda: 1 / 0)(lambda first: first)()
    with pytest.raises(SystemExit):
        isolated(sys.exit)(3)


# Output


def test_lines_are_written_where_they_would_go(capsys: pytest.CaptureFixture[str]) -> None:
    def talk() -> None:
        import logging

        print("to stdout")
        print("to stderr", file=sys.stderr)
        logging.warning("a warning")
        print("no newline", end="")

    isolated(talk)()
    told = capsys.readouterr()
    assert told.out == "to stdout\nno newline\n"
    assert told.err == "to stderr\na warning\n"


def test_lines_come_while_the_function_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def talk(go_on: Path) -> None:
        print("first")
        while not go_on.exists():
            time.sleep(0.01)

    future = isolated(talk).submit(tmp_path / "go on")
    heard: list[str] = []
    until(lambda: heard.append(capsys.readouterr().out) or "first\n" in heard)
    assert not future.done()
    (tmp_path / "go on").touch()
    future.result(20)


def test_an_exception_is_not_told_twice(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="once"):
        raising(ValueError("once"))
    assert "once" not in capsys.readouterr().err


def test_a_flood_of_lines_neither_blocks_nor_breaks(capsys: pytest.CaptureFixture[str]) -> None:
    assert isolated(lambda: [print(n) for n in range(30_000)] and "done")() == "done"
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0] == "0"
    assert len(lines) == 30_000 or "lines are left out" in told.err


# Futures


def test_submitted_calls_run_at_once() -> None:
    def meet(folder: str, mine: str, others: str) -> str:
        (Path(folder) / mine).touch()
        while not (Path(folder) / others).exists():
            time.sleep(0.01)
        return mine

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        function = isolated(meet)
        both = [function.submit(folder, "a", "b"), function.submit(folder, "b", "a")]
        assert [future.result(20) for future in both] == ["a", "b"]


def test_many_calls_wait_for_their_turn() -> None:
    square = isolated(max_concurrency=1)(lambda n: n * n)
    futures = [square.submit(n) for n in range(100)]
    assert [future.result(60) for future in futures] == [n * n for n in range(100)]


def linger(folder: Path) -> None:
    (folder / "began").touch()
    try:
        time.sleep(60)
    finally:
        (folder / "ended").touch()


def test_cancel_ends_the_function(tmp_path: Path) -> None:
    future = isolated(linger).submit(tmp_path)
    until((tmp_path / "began").exists)
    assert future.cancel() and future.cancelled()
    wait([future], 1)
    with pytest.raises(CancelledError):
        future.result()
    until((tmp_path / "ended").exists)


async def test_a_function_that_does_not_end_loses_its_worker(
    client: Client, tmp_path: Path
) -> None:
    def stubborn(folder: Path) -> None:
        (folder / "began").touch()
        while True:
            try:
                time.sleep(60)
            except BaseException:
                (folder / "asked").touch()

    future = isolated(stubborn).submit(tmp_path)
    await asyncio.to_thread(until, (tmp_path / "began").exists)
    future.cancel()
    await asyncio.to_thread(until, (tmp_path / "asked").exists)
    async with asyncio.timeout(20):
        while "stubborn" in [worker.function for worker in await client.workers()]:
            await asyncio.to_thread(threading.Event().wait, 0.05)


# Async functions and generators


async def nap(n: int) -> int:
    await asyncio.sleep(0.01)
    return n


async def test_an_async_function_is_awaited_in_a_running_loop() -> None:
    function = isolated(nap)
    assert await asyncio.gather(*(function(n) for n in range(3))) == [0, 1, 2]
    assert pid_and("in a notebook")[1] == "in a notebook"


async def test_a_cancelled_await_ends_the_function(tmp_path: Path) -> None:
    async def linger_on(folder: Path) -> None:
        (folder / "began").touch()
        try:
            await asyncio.sleep(60)
        finally:
            (folder / "ended").touch()

    waiting = asyncio.ensure_future(isolated(linger_on)(tmp_path))
    await asyncio.to_thread(until, (tmp_path / "began").exists)
    waiting.cancel()
    await asyncio.to_thread(until, (tmp_path / "ended").exists)


def counting(upto: int, folder: Path | None = None) -> Iterator[int]:
    try:
        for n in range(upto):
            yield n
            if n == 2 and folder is None:
                raise Wrong("at two", 2)
    finally:
        if folder is not None:
            (folder / "ended").touch()


def test_items_of_a_generator_come_one_by_one(tmp_path: Path) -> None:
    assert list(isolated(counting)(20, tmp_path)) == list(range(20))
    (tmp_path / "ended").unlink()
    items = isolated(counting)(10**9, tmp_path)
    assert [next(items), next(items), next(items)] == [0, 1, 2]
    items.close()
    until((tmp_path / "ended").exists)
    assert list(items) == []


def test_what_a_generator_raises_comes_after_its_items() -> None:
    items = isolated(counting)(9)
    seen = []
    with pytest.raises(Wrong, match="at two") as caught:
        seen += [next(items), next(items), next(items), next(items)]
    assert isinstance(caught.value.__cause__, outcome.RemoteTraceback)


async def test_an_async_generator_stays_one() -> None:
    async def words() -> AsyncIterator[str | None]:
        yield "a"
        await asyncio.sleep(0)
        yield None

    assert [item async for item in isolated(words)()] == ["a", None]


# The backend


async def test_a_called_function_is_in_no_list_but_its_workers_are(
    client: Client, tmp_path: Path
) -> None:
    before = {function.name for function in await client.functions()}
    future = isolated(linger).submit(tmp_path)
    await asyncio.to_thread(until, (tmp_path / "began").exists)
    workers = [worker for worker in await client.workers() if worker.function == "linger"]
    assert [worker.state for worker in workers if worker.state == "busy"]
    assert {function.name for function in await client.functions()} == before
    future.cancel()


def test_the_embedded_backend_is_started_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"FAL_SERVERLESS_HOME": str(tmp_path / "home"), "FAL_SERVERLESS_PORT": "0"}
    use(monkeypatch, environ)
    here = config.load()
    try:
        assert pid_and(1)[1] == 1
        assert asyncio.run(launcher.stop(here))
        assert pid_and(2)[1] == 2
    finally:
        asyncio.run(launcher.stop(here))


def test_a_backend_that_dies_ends_its_calls(
    backends: StartBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = backends()
    use(monkeypatch, other.env)
    future = isolated(linger).submit(tmp_path)
    until((tmp_path / "began").exists)
    other.kill()
    with pytest.raises(Unreachable):
        future.result(20)


def test_a_backend_that_stops_lets_calls_finish(
    backends: StartBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait_for(folder: Path) -> str:
        (folder / "began").touch()
        while not (folder / "go").exists():
            time.sleep(0.01)
        return "done"

    other = backends()
    use(monkeypatch, other.env)
    future = isolated(wait_for).submit(tmp_path)
    until((tmp_path / "began").exists)
    other.process.terminate()
    until(lambda: asyncio.run(health(other.url)) is None)
    (tmp_path / "go").touch()
    assert future.result(20) == "done"


def test_a_read_only_context_calls_nothing(
    backend: RunningBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, {"FAL_SERVERLESS_HOME": str(tmp_path), "FAL_SERVERLESS_CONTEXT": "look"})
    look = config.Context("look", backend.url, key=backend.key, readonly=True)
    config.save_context(config.load().paths, look)
    with pytest.raises(ReadOnly):
        pid_and("read-only")


def test_a_served_file_is_called_as_well() -> None:
    sys.path.insert(0, str(FUNCTIONS))
    try:
        shapes: Any = __import__("shapes")
        found: IsolatedFunction = shapes.double
        future: Future[int] = found.submit(21)
        assert future.result(20) == 42
    finally:
        sys.path.remove(str(FUNCTIONS))
        sys.modules.pop("shapes", None)
