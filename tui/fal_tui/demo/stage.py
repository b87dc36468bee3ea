"""The demo: a folder that is thrown away, a backend in it, samples that are served, some traffic.

The application opens at once and shows the functions as they appear. Clearing up is the matter of
`sweeper`, a process that outlives whatever happens here.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fal_serverless import launcher
from fal_serverless.config import Config, load, process_environ
from fal_serverless.errors import FalError
from fal_serverless.models import AuthMode
from fal_tui.store import endpoint_label

if TYPE_CHECKING:
    from fal_serverless.client import Client
    from fal_serverless.models import Function
    from fal_tui.app import FalTui

HERE = Path(__file__).parent
PAUSE = 0.8
"""Seconds between two calls, on average."""
PATIENCE_SERVE = 30.0
"""Seconds that one sample may take; the others come anyway."""
PATIENCE = 8.0
"""Seconds for the backend to end."""


@dataclass(frozen=True)
class Sample:
    """One serve of the demo."""

    file: str
    """In `samples/`."""
    name: str
    alias: str | None
    auth: AuthMode | None = None
    message: str = ""
    saved_as: str = ""
    """Under which name the file is served; '' for its own."""


SAMPLES = (
    Sample("greet.py", "greet", "greet", message="first version"),
    Sample("site.py", "site", "site", "public", "pages from http.server"),
    Sample("greet_again.py", "greet", "greet", None, "more languages", "greet.py"),
    Sample("resize.py", "resize", "resize", message="asynchronous, four at once"),
    Sample("story.py", "story", None, message="a stream, without an alias"),
)


@dataclass(frozen=True)
class Call:
    """One call of the traffic."""

    name: str
    """Entry point of the function."""
    body: bytes
    method: str = "POST"
    path: str = "/"


def run_demo(picture: Path | None, size: tuple[int, int], *, mouse: bool = True) -> int:
    """`fal-tui --demo`, and with `picture` a screenshot of it."""
    from fal_tui.app import FalTui, Start

    with stage() as config:
        app = FalTui(config, config.context(), start=Start(demo=True), background=play)
        if picture is None:
            app.run(mouse=mouse)
            return app.return_code or 0
        from fal_tui.screenshot import take

        take(app, picture, size, lambda: len(_functions(app)) >= len(SAMPLES) - 1)
        return 0


@contextmanager
def stage() -> Iterator[Config]:
    """A configuration of its own, with everything below one folder that goes afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="fal-tui-demo-"))
    environ = {
        name: value
        for name, value in process_environ().items()
        if not name.startswith(("FAL_SERVERLESS_", "FAL_KEY", "VIRTUAL_ENV"))
    }
    home = {"FAL_SERVERLESS_HOME": str(folder), "FAL_SERVERLESS_PORT": str(free_port())}
    config = load({**environ, **home})
    sweeper = subprocess.Popen(
        [sys.executable, "-I", str(HERE / "sweeper.py"), str(folder), str(config.paths.backend)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    try:
        yield config
    finally:
        asyncio.run(launcher.stop(config, PATIENCE))
        assert sweeper.stdin is not None
        sweeper.stdin.close()
        sweeper.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def play(app: FalTui) -> None:
    """Serve the samples, then call them until the application ends."""
    host = app.host
    assert host is not None
    folder = host.config.paths.cache / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    calling: asyncio.Task[None] | None = None
    try:
        for sample in SAMPLES:
            try:
                async with asyncio.timeout(PATIENCE_SERVE):
                    await _serve(await host.link.ready(), host.config, folder, sample)
            except (FalError, TimeoutError) as error:
                why = str(error) or "it took too long"
                host.complain(f"{sample.file}: {why}", title="Demo")
            calling = calling or asyncio.create_task(_traffic(app))
        if calling is not None:
            await calling
    finally:
        if calling is not None:
            calling.cancel()


async def _serve(client: Client, config: Config, folder: Path, sample: Sample) -> None:
    from fal_serverless import source

    path = folder / (sample.saved_as or sample.file)
    shutil.copyfile(HERE / "samples" / sample.file, path)
    bundle = await source.bundle(path, sample.name, config=config, log=lambda _: None)
    serving = client.serve(bundle, alias=sample.alias, auth=sample.auth, message=sample.message)
    async with aclosing(serving) as events:
        async for _ in events:
            pass


async def _traffic(app: FalTui) -> None:
    """A few calls a second at most, for as long as one looks."""
    host = app.host
    assert host is not None
    for call in itertools.chain.from_iterable(itertools.repeat(calls())):
        client = host.link.client
        labels = {each.entrypoint: endpoint_label(each) for each in _functions(app)}
        if client is not None and host.link.state.live and call.name in labels:
            with suppress(FalError):
                label = labels[call.name]
                await client.invoke(label, call.body, method=call.method, path=call.path)
        await asyncio.sleep(random.uniform(0.2, 2 * PAUSE))


def _functions(app: FalTui) -> tuple[Function, ...]:
    return app.host.store.functions if app.host else ()


def calls() -> list[Call]:
    """What is called, over and over."""
    greetings = [("Ada", "en"), ("Grace", "de"), ("Linus", "fi"), ("Margaret", "fr")]
    found = [
        Call("greet", json.dumps({"name": name, "language": language}).encode())
        for name, language in greetings
    ]
    for width, height in ((1920, 1080), (640, 480), (8000, 6000)):
        found.append(Call("resize", json.dumps({"width": width, "height": height}).encode()))
    found += [Call("site", b"", "GET", path) for path in ("/", "/about", "/missing")]
    found.append(Call("story", b'{"words": 12}'))
    return [found[place] for place in (0, 7, 4, 1, 8, 10, 5, 2, 3, 9, 6)]
