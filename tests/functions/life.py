"""Functions whose workers' lives are watched."""

import os
import threading
import time

from fal_serverless import isolated


@isolated(serve=True, keep_alive=0, max_concurrency=2)
def from_zero(number: int) -> int:
    return number


@isolated(serve=True, keep_alive=30, max_concurrency=1)
def one_at_a_time(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


@isolated(serve=True, keep_alive=30, max_concurrency=3)
def busy(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def meeting() -> threading.Barrier:
    return threading.Barrier(4)


@isolated(serve=True, keep_alive=30, max_concurrency=1, max_multiplexing=4, setup_function=meeting)
def together(meeting: threading.Barrier) -> int:
    """Returns when four calls of one worker are inside at once."""
    meeting.wait(30)
    return os.getpid()


@isolated(serve=True, min_concurrency=1, keep_alive=0)
def kept() -> int:
    return os.getpid()
