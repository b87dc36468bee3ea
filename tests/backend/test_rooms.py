"""The small rooms: changes, bundles, sockets."""

from __future__ import annotations

import io
import json
import socket
import zipfile
from pathlib import Path

import pytest

from fal_serverless.backend.bundles import BundleStore
from fal_serverless.backend.changes import Changes
from fal_serverless.backend.listen import listen
from fal_serverless.errors import BadInput, InvalidSetting, PortTaken
from fal_serverless.models import BundleInfo, Change, to_json


async def test_a_slow_subscriber_hears_each_changed_thing_once() -> None:
    changes = Changes()
    heard = changes.subscribe()
    assert await anext(heard) == Change("resync")
    for _ in range(1000):
        changes.publish(Change("function", "call"))
    changes.publish(Change("alias", "call"))
    assert [await anext(heard), await anext(heard)] == [
        Change("function", "call"),
        Change("alias", "call"),
    ]
    await heard.aclose()


def packed(**parts: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as bundle:
        for name, data in parts.items():
            bundle.writestr(name.replace("_", ".", 1), data)
    return file.getvalue()


INFO = BundleInfo("f", "app.py", "", {"serve": True}, (), "", "3.11")


def test_a_bundle_is_unpacked_whole(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    info = store.unpack("r1", packed(bundle_json=json.dumps(to_json(INFO)).encode(),
                                     function_pickle=b"x"))  # fmt: skip
    assert info == INFO
    assert (store.folder("r1") / "function.pickle").read_bytes() == b"x"
    store.sweep({"r2"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no zip",
        packed(bundle_json=b"{}"),
        packed(bundle_json=json.dumps(to_json(INFO)).encode()),
    ],
)
def test_what_is_no_bundle_is_refused_and_leaves_nothing(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadInput):
        BundleStore(tmp_path).unpack("r1", data)
    assert list(tmp_path.iterdir()) == []


def test_listening_takes_both_loopbacks() -> None:
    port, (sockets,) = listen("127.0.0.1", 0)
    names = [bound.getsockname()[:2] for bound in sockets]
    for bound in sockets:
        bound.close()
    assert ("127.0.0.1", port) in names
    assert all(name[1] == port for name in names)


def test_a_taken_port_fails_or_moves_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        with pytest.raises(PortTaken, match=str(taken)):
            listen("127.0.0.1", taken)
        port, (sockets,) = listen("127.0.0.1", taken, any_port=True)
        for bound in sockets:
            bound.close()
        assert port > taken


def test_gateways_share_a_port_that_nobody_else_can_have() -> None:
    port, several = listen("127.0.0.1", 0, count=3)
    assert {bound.getsockname()[1] for sockets in several for bound in sockets} == {port}
    for count in (1, 3):
        with pytest.raises(PortTaken):
            listen("127.0.0.1", port, count=count)
    for bound in (bound for sockets in several for bound in sockets):
        bound.close()


def test_a_host_that_is_not_ours_is_an_invalid_setting() -> None:
    with pytest.raises(InvalidSetting, match="cannot listen"):
        listen("203.0.113.1", 0)
