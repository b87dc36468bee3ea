"""Ourselves: a backend with functions that were served before, at private endpoints.

Every setting is a default. Functions are registered once; a start is a start of the backend, whose
first answer waits for a worker too.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.load import Place, Target
from benchmarks.peers.environments import pins_of, python_of
from benchmarks.peers.peer import APPS, Running, Shop
from fal_serverless.client import Client
from running import RunningBackend, start_backend
from serving import serve

T = TypeVar("T")

FUNCTIONS = Path(__file__).parent / "functions"
LABEL = "echo"
"""The alias that is called."""


@dataclass(frozen=True)
class Wanted:
    """One function to serve."""

    file: str
    """In the folder `functions`."""
    function: str
    alias: str


class House:
    """A home of backends, with functions in it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.files = folder / "files"
        self.key = ""
        """`id:secret`, good for endpoints only."""
        self.user = ""
        shutil.copytree(FUNCTIONS, self.files)
        shutil.copytree(APPS, self.files, dirs_exist_ok=True)

    def fill(self, wanted: Sequence[Wanted], aliases: Sequence[str] = ()) -> None:
        """Serve functions and put more aliases on the first; nothing runs afterwards."""
        with self.running() as backend:
            asyncio.run(self._fill(backend, wanted, aliases))

    async def _fill(
        self, backend: RunningBackend, wanted: Sequence[Wanted], aliases: Sequence[str]
    ) -> None:
        async with backend.client() as client:
            made = await client.generate_key("API", "benchmark")
            self.key = f"{made.key.id}:{made.secret}"
            self.user = made.key.user
            for each in wanted:
                await serve(
                    backend, client, self.files / each.file, each.function, each.alias, "private"
                )
            if aliases:
                await self._name(client, wanted[0].alias, aliases)

    async def _name(self, client: Client, known: str, aliases: Sequence[str]) -> None:
        revision = (await client.alias(known)).revision
        for alias in aliases:
            await client.set_alias(alias, revision, auth="private")

    def open(self, **settings: str) -> RunningBackend:
        """A backend that runs; it listens already. Settings as in its environment."""
        return start_backend(self.home, **settings)

    @contextmanager
    def running(self, **settings: str) -> Iterator[RunningBackend]:
        backend = self.open(**settings)
        try:
            yield backend
        finally:
            backend.stop()

    def place(self, backend: RunningBackend, *labels: str) -> Place:
        hosts = (f"{self.user}-{label}.gateway.localhost:{backend.port}" for label in labels)
        headers = {"Authorization": f"Key {self.key}"}
        return Place(backend.port, tuple(Target(host) for host in hosts), headers)


def asked(backend: RunningBackend, question: Callable[[Client], Awaitable[T]]) -> T:
    """What a backend says of itself, as `asked(backend, Client.status)`."""

    async def ask() -> T:
        async with backend.client() as client:
            return await question(client)

    return asyncio.run(ask())


class Ours:
    """One function behind one or more endpoints."""

    def __init__(self, name: str, title: str, wanted: Wanted, aliases: int = 1) -> None:
        self.name = name
        self.title = title
        self._wanted = wanted
        self._labels = (wanted.alias, *(f"{wanted.alias}-{n}" for n in range(1, aliases)))
        self._house: House | None = None

    def prepare(self, shop: Shop) -> None:
        self._house = House(shop.room(self.name))
        if self._wanted.file == "exposed.py":
            pins = "\n".join(pins_of(python_of(shop, "peers-asgi")))
            (self._house.files / "requirements.txt").write_text(pins)
        self._house.fill([self._wanted], self._labels[1:])

    def start(self) -> Running:
        assert self._house is not None
        backend = self._house.open()
        place = self._house.place(backend, *self._labels)
        return Running((backend.process.pid,), place, backend.stop)


SERVED = Ours("served", "ours, served", Wanted("served.py", "echo", LABEL))
EXPOSED_RAW = Ours("exposed_raw", "ours, exposed raw ASGI", Wanted("exposed.py", "raw", LABEL))
EXPOSED_FASTAPI = Ours(
    "exposed_fastapi", "ours, exposed FastAPI def", Wanted("exposed.py", "fastapi", LABEL)
)
