"""What nobody thought of: made input for everything that reads what strangers send.

A few seconds in the default run. To look longer, and anew each time:
`FUZZ_EXAMPLES=100000 .venv/bin/python -m pytest tests/security/test_fuzz.py --timeout=0`
"""

from __future__ import annotations

import asyncio
import base64
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_serverless import endpoint
from fal_serverless.backend import credentials
from fal_serverless.backend.engine import frames
from fal_serverless.backend.gateway import forwarding, heads
from fal_serverless.backend.gateway.answers import request_id
from fal_serverless.backend.logs import rows, wire
from fal_serverless.errors import InvalidName
from security.fuzzing import fuzz
from security.tally import each_tried

HOSTISH = st.text(string.ascii_letters + string.digits + "-_.:@[]%/ \u0130\u212a", max_size=90)
ID = "6b7a2ccf-52cf-4c42-8d2f-1f0e9a8b7c6d"
TOKEN = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
SEEN = st.sampled_from(
    [b"host", b"content-length", b"authorization", b"connection", b"transfer-encoding",
     b"x-fal-key-id", b"x-fal-key-secret", b"x-forwarded-for", b"te", b"x-a", b"x_forwarded_host"]
)  # fmt: skip
VALUE = st.one_of(
    st.binary(max_size=40).map(lambda value: value.translate(None, b"\r\n\0")),
    st.sampled_from([b"chunked", b"5", b"keep-alive, content-length", b"close, host", b"Key a:b"]),
)
HEADERS = st.lists(st.tuples(SEEN, VALUE), max_size=8)


@pytest.mark.bad("endpoint parsing")
@fuzz
@given(st.one_of(HOSTISH, st.text(max_size=90)))
@each_tried
def test_a_host_names_an_endpoint_or_none(host: str) -> None:
    found = endpoint.parse_host(host, "localhost")
    if found is not None:
        again = endpoint.host(found.user, found.label, "localhost")
        assert endpoint.parse_host(again, "localhost") == found
        assert found.user.isascii() and found.user.isdigit()
        assert again.lower() in host.lower()


@pytest.mark.bad("endpoint parsing")
@fuzz
@given(st.one_of(HOSTISH, st.text(max_size=90)).map(lambda text: f"/{text}"))
@each_tried
def test_a_path_names_an_endpoint_and_loses_nothing(path: str) -> None:
    found = endpoint.parse_path(path)
    if found is not None:
        assert found.path.startswith("/")
        assert f"{found.prefix}{found.path}" in (path, f"{path}/")


@pytest.mark.bad("endpoint parsing")
@fuzz
@given(st.text(max_size=60))
@each_tried
def test_what_people_type_names_an_endpoint_or_is_refused(text: str) -> None:
    try:
        found = endpoint.parse_target(text)
    except (InvalidName, ValueError):
        return
    assert found.label and found.path.startswith("/")


@pytest.mark.bad("credentials")
@fuzz
@given(TOKEN, st.sampled_from(["Key", "key", "KEY", "Basic", "basic"]), st.booleans())
@each_tried
def test_a_key_is_read_as_it_was_written(secret: str, scheme: str, coded: bool) -> None:
    text = f"{ID}:{secret}"
    if coded and scheme.lower() == "basic":
        text = base64.b64encode(text.encode()).decode()
    found = credentials.parse_authorization(f"{scheme} {text}")
    assert found == credentials.Credential(ID, secret)


@pytest.mark.bad("credentials")
@fuzz
@given(HEADERS, st.binary(max_size=60))
@each_tried
def test_no_request_breaks_the_search_for_a_key(
    headers: list[tuple[bytes, bytes]], query: bytes
) -> None:
    found = credentials.find(headers, query)
    names = [name for name, _ in found.headers]
    assert b"x-fal-key-secret" not in names and b"x-fal-key-id" not in names
    assert not any(part.startswith(b"fal_key_secret=") for part in found.query.split(b"&"))
    table = credentials.KeyTable()
    with pytest.raises(credentials.NotAuthenticated):
        table.check(found.credential)
    # What is left has nothing more of ours.
    assert credentials.find(found.headers, found.query).credential is None


@pytest.mark.bad("header injection")
@fuzz
@given(st.binary(max_size=80))
@each_tried
def test_the_id_of_a_request_is_always_one(given_id: bytes) -> None:
    found = request_id(given_id)
    assert found.isascii() and 0 < len(found) <= 64
    assert not set(found) & set("\r\n\0 :")


@pytest.mark.bad("header injection")
@fuzz
@given(HEADERS)
@each_tried
def test_a_head_that_goes_on_has_one_host_and_one_way_to_its_end(
    headers: list[tuple[bytes, bytes]],
) -> None:
    if heads.fault(b"POST", b"/a", "1.1", headers) is not None:
        return
    origin = forwarding.Origin("127.0.0.1", "http", "/1/a", "id")
    lines = forwarding.request_head(b"POST", b"/a", b"", headers, origin).split(b"\r\n")
    names = [line.partition(b":")[0] for line in lines[1:-2]]
    assert names.count(b"host") == 1
    assert names.count(b"x-forwarded-prefix") == 1 and b"transfer-encoding" not in names
    lengths = [name for name, _ in headers if name == b"content-length"]
    assert names.count(b"content-length") == len(lengths)
    assert lines[-2:] == [b"", b""]


FRAMES = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=50)), max_size=6
)


@pytest.mark.bad("framed protocol")
@fuzz
@given(FRAMES, st.lists(st.integers(1, 40), min_size=1, max_size=10), st.binary(max_size=8))
@each_tried
def test_frames_arrive_whole_however_they_are_cut(
    sent: list[tuple[int, int, bytes]], cuts: list[int], rest: bytes
) -> None:
    data = b"".join(frames.HEAD.pack(len(p), kind, call) + p for kind, call, p in sent)
    came: list[tuple[int, int, bytes]] = []

    async def feed() -> None:
        link = frames.Link(lambda *frame: came.append(frame), lambda: None)
        place, turn = 0, 0
        while place < len(data):
            size = cuts[turn % len(cuts)]
            link.data_received(data[place : place + size])
            place, turn = place + size, turn + 1
        link.data_received(rest)

    asyncio.run(feed())
    assert came[: len(sent)] == sent
    buffer = bytearray(data)
    assert list(wire.frames(buffer)) == sent and not buffer


@pytest.mark.bad("log decoding")
@fuzz
@given(st.binary(max_size=300))
@each_tried
def test_lines_of_a_worker_that_lies_are_read_to_where_they_make_sense(packed: bytes) -> None:
    for level, time, name, text in rows.unpack(packed):
        assert level in rows.LINE_LEVELS
        rows.moment(time)
        (name + text).encode()


@pytest.mark.bad("log decoding")
@fuzz
@given(
    st.sampled_from(rows.LINE_LEVELS),
    st.floats(0, 2e11),
    st.lists(st.binary(max_size=60), max_size=4),
    st.text(max_size=300),
)
@each_tried
def test_lines_come_out_as_they_went_in(
    level: Any, seconds: float, texts: list[bytes], name: str
) -> None:
    packed = rows.pack_raw(level, seconds, texts, name)
    found = list(rows.unpack(packed))
    assert [text for *_, text in found] == [text.decode("utf-8", "replace") for text in texts]
    assert rows.count_lines(packed) == len(rows.last_texts(packed, 10)) == len(texts)
