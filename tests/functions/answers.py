"""Answers of every kind, and calls that last as long as somebody wants."""

import os
import time

from fal_serverless import isolated


class Picture:
    def __init__(self, content_type: str) -> None:
        self.content_type = content_type
        self.body = b"<svg/>"


@isolated(serve=True, keep_alive=60)
def answer(kind: str, count: int = 3, content_type: str = "image/svg+xml"):
    if kind == "picture":
        return Picture(content_type)
    if kind == "bytes":
        return bytes(range(256))
    if kind == "object":
        return {"text": "ä", "count": count}
    if kind == "large":
        return "x" * count
    if kind == "words":
        return (f"{n}\n" for n in range(count))
    if kind == "blocks":
        return (bytes([n]) * n for n in range(count))
    if kind == "objects":
        return ({"n": n} for n in range(count))
    if kind == "breaks":
        return (1 / n for n in (2, 1, 0))
    raise ValueError(f"there is no {kind}")


@isolated(serve=True, keep_alive=60)
def echo(text: str = "", times: int = 1) -> str:
    return text * times


@isolated(serve=True, keep_alive=60, max_concurrency=1)
def hold(go: str = "", number: int = 0) -> int:
    print(f"holds {number}.")
    try:
        while go and not os.path.exists(go):
            time.sleep(0.005)
    finally:
        print(f"leaves {number}.")
    return number


@isolated(serve=True, keep_alive=60, max_concurrency=1)
def blocks(count: int, size: int = 65536):
    try:
        for number in range(count):
            print(f"block {number}.")
            yield number.to_bytes(4, "big") * (size // 4)
    finally:
        print("closes.")


@isolated(serve=True)
def first() -> str:
    return "first"


@isolated(serve=True)
def second() -> str:
    return "second"
