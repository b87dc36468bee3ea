"""Any framework's server, two of each at once on one port; each answers with its own tag."""

from __future__ import annotations

import asyncio
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from fal_serverless.backend.engine import Spec, isolation

OURS = f"{sys.version_info[0]}.{sys.version_info[1]}"
SERVERS = Path(__file__).parents[2] / "functions" / "servers"

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(180)]


@pytest.fixture
def make_server(make_spec: Any, make_environment: Any) -> Any:
    """A spec of one of the files, changed in nothing but its line of constants."""

    async def make(name: str, tag: str, host: str = "0.0.0.0", port: int = 8080) -> Spec:
        source = (SERVERS / f"{name}.py").read_text()
        old = 'TAG, HOST, PORT = "tag", "0.0.0.0", 8080'
        assert old in source
        source = source.replace(old, f"TAG, HOST, PORT = {tag!r}, {host!r}, {port}")
        module = types.ModuleType(name)
        exec(compile(source, name, "exec", dont_inherit=True), module.__dict__)
        asked = module.serve.options
        into = await asyncio.to_thread(make_environment, OURS, asked.requirements)
        more = {"into": into, "from_source": ":app" in source, "file_name": f"{name}.py"}
        made: Spec = make_spec(source, "serve", exposed_port=port, startup_timeout=60, **more)
        return made

    return make


async def answer(stage: Any, spec: Spec) -> str:
    async with stage.engine.lease(spec) as lease:
        reader, writer = await asyncio.open_connection(*lease.address)
        writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        assert text.startswith(("HTTP/1.1 200", "HTTP/1.0 200")), text
        return text


async def check_two(stage: Any, make_server: Any, *args: Any) -> None:
    assert isolation.start()().method.by_kernel, await stage.engine.describe()
    specs = [await make_server(args[0], tag, *args[1:]) for tag in ("one-tag", "two-tag")]
    answers = await asyncio.gather(*(answer(stage, spec) for spec in specs))
    assert ["one-tag" in text for text in answers] == [True, False], stage.lines()
    assert ["two-tag" in text for text in answers] == [False, True], stage.lines()


@pytest.mark.parametrize("name", sorted(path.stem for path in SERVERS.glob("*.py")))
async def test_two_of_each(stage: Any, make_server: Any, name: str) -> None:
    await check_two(stage, make_server, name)


@pytest.mark.parametrize("port", [80, 5000, 50051])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::"])
async def test_other_hosts_and_ports(stage: Any, make_server: Any, host: str, port: int) -> None:
    await check_two(stage, make_server, "uvicorn_asyncio", host, port)


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
@pytest.mark.parametrize(
    "name", ["flask_app", "uvicorn_uvloop", "hypercorn_app", "gunicorn_app", "aiohttp_app",
             "tornado_app", "waitress_app", "django_app", "granian_app", "gevent_app",
             "subprocess_app"]
)  # fmt: skip
async def test_other_hosts(stage: Any, make_server: Any, name: str, host: str) -> None:
    await check_two(stage, make_server, name, host)
