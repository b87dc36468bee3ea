"""The control API against its own document, by Schemathesis: every operation that ends by itself.

It makes up requests that fit the document and such that do not, follows one operation's answer to
the next, and holds every answer against the document. It runs from an environment of its own, which
uv makes (from PyPI the first time): so by `tests/security/run.py`, not every day.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fal_serverless.backend.api import openapi
from running import RunningBackend, StartBackend
from security.fuzzing import EXAMPLES
from security.tally import tried
from serving import serve

SCHEMATHESIS = "schemathesis>=4.32,<5"
ENDLESS = [
    path for (_, path), about in openapi.ABOUT.items() if about.kind == "text/event-stream"
    and about.takes is None
]  # fmt: skip
"""Streams that go on until somebody hangs up: `test_fuzz.py` asks those."""


BUNDLES = """
[[operations]]
include-operation-id = ["serve", "send_function"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 403, 404, 409]
"""
"""No schema tells which bytes are a bundle."""


@pytest.fixture
def at_work(backends: StartBackend) -> RunningBackend:
    """A backend that has one of everything; in the end the key that was used is revoked, too."""
    backend = backends()

    async def fill() -> None:
        async with backend.client() as client:
            await serve(backend, client, "texts.py", "call_text", "steady", "public")
            await serve(backend, client, "texts.py", "call_text", "steady", "public")
            await client.generate_key("API")
            await client.invoke("steady", b'{"text": "a"}')

    asyncio.run(fill())
    return backend


def schemathesis(*words: str) -> list[str]:
    program = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--python", sys.executable]
    return [*program, "--from", SCHEMATHESIS, "schemathesis", *words]


def is_there() -> bool:
    return (
        subprocess.run(schemathesis("--version"), capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif("FUZZ_EXAMPLES" not in os.environ, reason="takes minutes")
@pytest.mark.timeout(1200)
@pytest.mark.bad("control API from its document")
@pytest.mark.parametrize("names", ["made up", "of what is there"])
def test_every_answer_is_one_that_the_document_tells_of(
    at_work: RunningBackend, tmp_path: Path, names: str
) -> None:
    if not is_there():
        pytest.skip("Schemathesis can be had neither from uv's cache nor from PyPI")
    config = tmp_path / "schemathesis.toml"
    config.write_text(BUNDLES + (known(at_work) if names == "of what is there" else ""))
    report = tmp_path / "report.json"
    url, key = f"{at_work.url}{openapi.PATH}", f"Authorization: Key {at_work.key}"
    words = ["--config-file", str(config), "run", url, "--header", key, "--no-color"]
    words += [f"--exclude-path={path}" for path in ENDLESS]
    words += ["--max-examples", str(max(5, EXAMPLES // 50)), "--continue-on-failure"]
    words += ["--request-timeout", "30", "--suppress-health-check", "all"]
    words += ["--report", "json", "--report-json-path", str(report)]
    ended = subprocess.run(
        schemathesis(*words), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    told = json.loads(report.read_text()) if report.exists() else {}
    assert told, ended.stdout + ended.stderr
    tried(told["test_cases"]["generated"])
    assert ended.returncode == 0, ended.stdout
    assert told["operations"]["tested"] == told["operations"]["selected"]


def known(backend: RunningBackend) -> str:
    """Parameters that name something, so that more is reached than the answer 404."""

    async def look() -> dict[str, str]:
        async with backend.client() as client:
            alias = await client.alias("steady")
            key = (await client.environments())[0].key
        return {"name": "steady", "label": "steady", "id": alias.revision, "key": key}

    found = asyncio.run(look())
    lines = [f'"path.{name}" = "{value}"' for name, value in found.items()]
    # With a name that is always the same, what was deleted is asked for again.
    checks = ["[checks]", "ensure_resource_availability.enabled = false"]
    checks += ["use_after_free.enabled = false"]
    return "\n".join(["[parameters]", *lines, *checks, ""])
