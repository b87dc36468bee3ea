"""What a page in somebody's browser can have done: nothing."""

from __future__ import annotations

import json

import pytest

from backend.gateway.raw import exchange
from fal_serverless.client import Client
from running import RunningBackend
from serving import serve

pytestmark = pytest.mark.bad("DNS rebinding and pages of others")


def ask(backend: RunningBackend, *lines: str, method: str = "GET", path: str = "/v1/user") -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Connection: close", *lines, "", ""]
    return "\r\n".join(head).encode("latin-1")


@pytest.mark.parametrize(
    "host",
    [
        "evil.test", "evil.test:{port}", "localhost.evil.test", "evil.test.", "127.0.0.1.evil.test",
        "evil.test@localhost", "localhost@evil.test", "localhost:3250:80", "local host", "[::1",
        "[evil]", "::1]", "", "localhost/", "localhost#", "localhost:x", "gateway.localhost",
        "x.localhost", "1.2.3.4.5", "0x7f.evil", "localhost,evil.test", "-", "\x80",
    ],
)  # fmt: skip
async def test_a_name_that_is_not_ours_reaches_nothing(backend: RunningBackend, host: str) -> None:
    """DNS rebinding: the browser takes an address of this machine for the page's own server."""
    line = f"Host: {host.replace('{port}', str(backend.port))}"
    head, body = await exchange(backend, ask(backend, line, f"Authorization: Key {backend.key}"))
    assert head.split()[1] == b"403", head
    assert json.loads(body)["error_type"] == "not_allowed"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:{port}", "127.0.0.1:{port}", "[::1]:{port}", "api.localhost"]
)
async def test_our_names_and_addresses_do(backend: RunningBackend, host: str) -> None:
    line = f"Host: {host.replace('{port}', str(backend.port))}"
    head, _ = await exchange(backend, ask(backend, line, f"Authorization: Key {backend.key}"))
    assert head.split()[1] == b"200", head


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.test", "null", "http://localhost:1", "http://localhost", "file://", "",
        "http://localhost:{port}.evil.test", "http://evil.test/localhost:{port}",
        "http://x@localhost:{port}", "chrome-extension://x", "http://[", "http://127.0.0.1:{port}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_a_page_of_another_origin_is_refused(
    backend: RunningBackend, origin: str, method: str
) -> None:
    port = str(backend.port)
    lines = [f"Host: localhost:{port}", f"Origin: {origin.replace('{port}', port)}"]
    lines += [f"Authorization: Key {backend.key}", "Content-Length: 0"]
    head, _ = await exchange(backend, ask(backend, *lines, method=method, path="/v1/keys"))
    # An empty Origin is nobody's: no browser sends it.
    wanted = {b"403"} if origin else {b"200", b"400", b"405"}
    assert head.split()[1] in wanted, head
    assert b"access-control" not in head.lower()


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_a_form_on_a_page_changes_nothing(
    backend: RunningBackend, client: Client, kind: str
) -> None:
    """Such requests need no preflight; there is nothing that a browser would add to open a door."""
    body = '{"nickname": "mallory"}'
    lines = (
        f"Host: localhost:{backend.port}",
        f"Content-Type: {kind}",
        "Cookie: session=1",
        f"Content-Length: {len(body)}",
    )
    sent = ask(backend, *lines, method="POST", path="/v1/users") + body.encode()
    head, _ = await exchange(backend, sent)
    assert head.split()[1] == b"401"
    assert not any(user.nickname == "mallory" for user in await client.users())


async def test_the_names_of_endpoints_do_not_reach_the_control_api(
    backend: RunningBackend, client: Client
) -> None:
    """A page that a function serves has its endpoint's origin: it is not the backend's."""
    await serve(backend, client, "texts.py", "call_text", "page-texts", "public")
    host = f"1-page-texts.gateway.localhost:{backend.port}"
    lines = (f"Host: {host}", f"Origin: http://{host}", f"Authorization: Key {backend.key}")
    head, body = await exchange(backend, ask(backend, *lines))
    assert head.split()[1] == b"404"
    assert b"a served function answers at /" in body
