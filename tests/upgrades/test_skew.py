"""Client and backend of different versions: they talk, or say in a line which one to update."""

from __future__ import annotations

import httpx
import pytest

from fal_serverless import __version__, skew
from fal_serverless.client import Client
from fal_serverless.errors import VersionSkew
from fal_serverless.models import LogQuery
from running import RunningBackend

NEWER, OLDER = str(skew.API + 1), str(skew.OLDEST - 1)


def ask(backend: RunningBackend, path: str, **headers: str) -> httpx.Response:
    sent = {"Authorization": f"Key {backend.key}", **headers}
    return httpx.get(backend.url + path, headers=sent, trust_env=False)


@pytest.mark.parametrize(
    ("spoken", "update"), [(NEWER, "update this backend"), (OLDER, "update fal-serverless there")]
)
def test_a_backend_refuses_clients_it_does_not_understand(
    backend: RunningBackend, spoken: str, update: str
) -> None:
    answer = ask(backend, "/v1/status", **{skew.API_HEADER: spoken, skew.VERSION_HEADER: "9.8.7"})
    assert answer.status_code == 426
    assert answer.json()["error_type"] == "version_skew"
    assert f"(9.8.7) speaks version {spoken}" in answer.json()["detail"]
    assert update in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/status", "/v1/nothing", "/healthz"])
def test_every_answer_says_what_is_spoken(backend: RunningBackend, path: str) -> None:
    answer = ask(backend, path)
    assert answer.headers[skew.API_HEADER] == str(skew.API)
    assert answer.headers[skew.VERSION_HEADER] == __version__


@pytest.mark.parametrize("said", [{}, {skew.API_HEADER: "x"}, {skew.API_HEADER: "9" * 99}])
def test_who_says_nothing_is_taken_as_it_comes(
    backend: RunningBackend, said: dict[str, str]
) -> None:
    assert ask(backend, "/v1/status", **said).status_code == 200


async def test_a_client_says_what_it_speaks() -> None:
    heard: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(request.headers)
        return httpx.Response(200, json=[])

    async with Client("http://one.test", transport=httpx.MockTransport(answer)) as client:
        await client.keys()
    assert heard[0][skew.API_HEADER] == str(skew.API)
    assert heard[0][skew.VERSION_HEADER] == __version__


@pytest.mark.parametrize("status", [200, 404, 500])
@pytest.mark.parametrize(
    ("spoken", "update"), [(NEWER, "update this program"), (OLDER, "backend stop")]
)
async def test_a_client_tells_which_side_to_update(spoken: str, update: str, status: int) -> None:
    """Whatever else the answer is: what it means is not known."""

    def answer(_: httpx.Request) -> httpx.Response:
        said = {skew.API_HEADER: spoken, skew.VERSION_HEADER: "9.8.7"}
        return httpx.Response(status, headers=said, json={"new": "shape"})

    async with Client("http://one.test", transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(VersionSkew, match=update) as told:
            await client.status()
        assert "http://one.test (9.8.7)" in told.value.message
        with pytest.raises(VersionSkew):
            async for _ in client.tail(LogQuery()):
                pass
