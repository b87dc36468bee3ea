"""Workers of other Python versions: the runtime runs on all of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fal_serverless.backend.environment import EnvironmentStore

SOURCE = """
import sys
from dataclasses import dataclass
from typing import List, Optional
from fal_serverless import isolated

@dataclass
class Point:
    x: int
    y: Optional[float] = None

def load():
    return "model"

@isolated(serve=True, setup_function=load)
def f(model, points: List[Point], label="l"):
    print("of", label)
    return [model, sum(point.x for point in points), "%d.%d" % sys.version_info[:2]]

@isolated(serve=True)
async def g(n: int):
    for i in range(n):
        yield "%d;" % i
"""


def installed() -> list[str]:
    import os
    from pathlib import Path

    store = EnvironmentStore(Path("/nowhere"), Path("/nowhere"), os.environ, "never")
    found = asyncio.run(store.installed_pythons())
    return sorted({version.rpartition(".")[0] for version in found})


@pytest.mark.parametrize("version", installed())
async def test_a_function_from_source(
    stage: Any, make_spec: Any, make_environment: Any, version: str
) -> None:
    into = await asyncio.to_thread(make_environment, version, [])
    spec = make_spec(SOURCE, "f", into=into, from_source=True)
    body = {"points": [{"x": 1}, {"x": 2, "y": 3}], "label": "here"}
    assert await stage.json(spec, body) == ["model", 3, version]
    assert stage.lines() == ["of here"]
    refused = await stage.call(spec, {"points": [{"x": "no"}]})
    assert refused.status == 422
    stream = await stage.call(make_spec(SOURCE, "g", into=into, from_source=True), {"n": 3})
    assert b"".join([piece async for piece in stream.body]) == b"0;1;2;"


EXPOSED = """
import http.server
def f():
    http.server.HTTPServer(("", 8077), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.mark.parametrize("version", installed())
async def test_a_server_from_source(
    stage: Any, make_spec: Any, make_environment: Any, version: str
) -> None:
    into = await asyncio.to_thread(make_environment, version, [])
    specs = [make_spec(EXPOSED, into=into, from_source=True, exposed_port=8077) for _ in range(2)]
    for spec in specs:
        async with stage.engine.lease(spec) as lease:
            assert lease.address[0] != "127.0.0.1" or lease.address[1] != 8077
