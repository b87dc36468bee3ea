"""Everything that a function can say, and every way to say it."""

import asyncio
import ctypes
import logging
import os
import subprocess
import sys
import threading
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor

from fal_serverless import isolated

POOL = ThreadPoolExecutor(1)
"""Outlives every call."""


@isolated(serve=True)
def say(way: str):
    return WAYS[way]()


def levels():
    logger = logging.getLogger("shop")
    logger.setLevel(1)
    for number in (5, 10, 20, 30, 40, 50):
        logger.log(number, "level %d", number)


def several_lines():
    logging.info("one\ntwo\nthree")


def own_handler():
    logger = logging.getLogger("mine")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("<%(levelname)s> %(message)s"))
    logger.addHandler(handler)
    logger.error("with\ntwo lines")
    logger.removeHandler(handler)


class Printing(logging.Handler):
    """As those of rich and others: it prints, in lines and with a bar below."""

    def emit(self, record):
        print(f"* {record.getMessage()}")
        print("  as told")
        sys.stderr.write("\r50 %")


def printing_handler():
    logger, handler = logging.getLogger("printing"), Printing()
    logger.addHandler(handler)
    logger.error("for one")
    logger.removeHandler(handler)
    sys.stderr.write("\r100 %")


def warned():
    warnings.warn("old thing", DeprecationWarning, stacklevel=1)
    warnings.simplefilter("always")
    warnings.warn("mind this", UserWarning, stacklevel=1)


def fail():
    try:
        {}["missing"]
    except KeyError:
        raise ValueError("the reason\nin two lines") from None


class Closed(Exception):
    """As many a client has them: an attribute that is not there is a KeyError."""

    def __getattr__(self, name):
        return {}[name]


def closed_failure():
    raise Closed("the reason")


def logged_failure():
    try:
        fail()
    except ValueError:
        logging.exception("it went wrong")


def printed_failure():
    try:
        fail()
    except ValueError:
        print("half", end="", file=sys.stderr)
        traceback.print_exc()


def told_failure():
    try:
        fail()
    except ValueError:
        print("it failed:", traceback.format_exc().rstrip())


def written_failure():
    try:
        fail()
    except ValueError:
        sys.stderr.write("12:00 | ERROR | it failed\n" + traceback.format_exc())


def failure_to_stdout():
    try:
        fail()
    except ValueError:
        traceback.print_exc(file=sys.stdout)


def ill_formatted():
    logging.error("%d apples", "many")


def hooked_failure():
    try:
        fail()
    except ValueError:
        sys.excepthook(*sys.exc_info())


def thread_failure():
    thread = threading.Thread(target=fail, name="failing")
    thread.start()
    thread.join()


def task_failure():
    async def forgotten():
        async def failing():
            fail()

        task = asyncio.ensure_future(failing())
        await asyncio.sleep(0.01)
        del task

    asyncio.run(forgotten())


def child_failure():
    code = "import sys\nprint('before', file=sys.stderr)\ntry: 1/0\nexcept Exception: {}['x']"
    subprocess.run([sys.executable, "-c", code], check=False)


def forked():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: of forks beside threads
        child = os.fork()
    if not child:
        sys.stderr.write("half of a fork")
        os._exit(0)
    os.waitpid(child, 0)


def raw():
    os.write(1, b"by os.write\n")
    ctypes.CDLL(None).printf(b"by C\n")
    subprocess.run(["sh", "-c", "echo of a child; echo badly >&2"], check=True)


def odd():
    print("x" * 1_000_000)
    sys.stdout.buffer.write(b"caf\xc3")
    sys.stdout.buffer.write(b"\xa9 \xff\x00\n")
    print("\x1b[31mred\x1b[0m")
    print("no end", end="")


def threads():
    """Each line names who is to have said it."""
    thread = threading.Thread(target=print, args=("of a thread",))
    thread.start()
    thread.join()
    POOL.submit(print, "of a pool").result()

    async def further():
        await asyncio.to_thread(print, "of to_thread")
        await asyncio.gather(asyncio.create_task(asyncio.sleep(0)))
        print("of a task")

    asyncio.run(further())


WAYS = {f.__name__: f for f in (
    levels, several_lines, own_handler, printing_handler, warned, fail, closed_failure,
    logged_failure, printed_failure, told_failure, written_failure, failure_to_stdout,
    ill_formatted, hooked_failure, thread_failure, task_failure, child_failure, forked, raw, odd, threads,
)}  # fmt: skip


@isolated(serve=True, max_multiplexing=8, max_concurrency=1)
def crowd(name: str):
    """Calls that run at once, each with threads of its own."""
    for n in range(5):
        print(name, "calls", end=" ")
        time.sleep(0.002)
        print(n)
        POOL.submit(print, name, "pools", n).result()
        thread = threading.Thread(target=print, args=(name, "threads", n))
        thread.start()
        thread.join()


@isolated(serve=True, max_multiplexing=8, max_concurrency=1)
async def async_crowd(name: str):
    async def one(n):
        print(name, "tasks", end=" ")
        await asyncio.sleep(0.002)
        print(n)

    for n in range(5):
        await asyncio.create_task(one(n))
        await asyncio.to_thread(print, name, "to_threads", n)
        await asyncio.get_running_loop().run_in_executor(None, print, name, "executes", n)


@isolated(serve=True, max_concurrency=1)
def children(name: str):
    subprocess.run(["echo", name], check=True)


@isolated(serve=True, max_concurrency=1)
def lasting(seconds: float):
    """A thread goes on after its call."""

    def later():
        time.sleep(seconds)
        print("later")

    threading.Thread(target=later).start()
    print("now")


@isolated(exposed_port=8080)
def server():
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            print("asked for", self.path, end="")
            called = {"request_id": self.headers["X-Fal-Request-Id"]}
            logging.warning("named", extra=called)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format, *args):
            """Nothing of its own."""

    ThreadingHTTPServer(("", 8080), Answers).serve_forever()
