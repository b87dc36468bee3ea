"""What the benchmarks serve, written as users write it."""

import sys
import time

from fal_serverless import isolated


@isolated(serve=True)
def echo(text: str) -> dict:
    return {"text": text}


@isolated(serve=True)
def printing(text: str) -> dict:
    print("asked for", text)
    return {"text": text}


@isolated(serve=True, keep_alive=120, max_concurrency=1)
def flood(seconds: float, per_second: int) -> int:
    """Print that many lines a second; how many it came to."""
    printed, began = 0, time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        while printed < now * per_second:
            print("line", printed, "of a flood that another endpoint prints")
            printed += 1
        time.sleep(0.01)
    return printed


@isolated(serve=True, keep_alive=120, max_concurrency=1)
def shout(lines: int) -> float:
    """Print so many lines as fast as it goes; the seconds it took."""
    began = time.monotonic()
    for number in range(lines):
        print(f"line {number} of as many as can be printed at once")
    return time.monotonic() - began


@isolated(serve=True, keep_alive=0)
def cold() -> str:
    return sys.executable
