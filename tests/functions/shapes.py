"""One function of each shape that has to survive the way to a worker."""

from __future__ import annotations

import dataclasses
import enum
import functools
import typing

import fal_serverless as fs
from fal_serverless import isolated as iso


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int
    color: Color = Color.RED

    def moved(self, by: int) -> Point:
        return dataclasses.replace(self, x=self.x + by)


class Pixel(Point):
    def moved(self, by: int) -> Point:
        return super().moved(by * 2)


class Step(typing.TypedDict):
    by: int


def setup() -> dict[str, int]:
    return {"by": 10}


@fs.isolated(serve=True, setup_function=setup)
def move(state: dict[str, int], point: Point, step: Step | None = None) -> Point:
    """Move a point.

    By what was set up, and by a step.
    """
    return point.moved(state["by"] + (step or {"by": 0})["by"])


@iso(serve=True)
def double(x: int) -> int:
    return Pixel(0).moved(x).x


@iso(serve=True)
async def count(n: int) -> typing.AsyncIterator[int]:
    for i in range(n):
        yield i


@functools.lru_cache(maxsize=10)
def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@iso(serve=True)
def fibonacci(n: int) -> int:
    return fib(n)


def adder(n: int) -> typing.Any:
    @iso(serve=True)
    def add(x: int) -> int:
        return x + n

    return add


add_three = adder(3)
twice = iso(serve=True, max_concurrency=4)


@twice
def decorated(a: int, /, b: int = 1, *rest: int, c: str, **more: int) -> list[int]:
    return [a, b, *rest]


@iso(exposed_port=9000, requirements=["flask"], keep_alive=5)
def site() -> None: ...


@iso
def neither() -> None: ...


def plain() -> None: ...
