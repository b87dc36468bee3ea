from __future__ import annotations

import asyncio
import socket
import threading

from fal_serverless.backend.engine import frames, journal, ports
from fal_serverless.backend.engine.runtime import calls, channel, lines
from fal_serverless.backend.engine.runtime.bind import sitecustomize
from fal_serverless.backend.logs import rows

KINDS = ("INIT", "CALL", "CANCEL", "CREDIT", "STOP", "WITHDRAW", "KEPT", "READY", "FAILED")
KINDS += ("RETURNED", "REPLY", "STREAM", "CHUNK", "END", "BROKEN", "LOG", "WITHDRAWN", "DROPPED")


def test_both_sides_have_the_same_numbers() -> None:
    for name in KINDS:
        assert getattr(frames, name) == getattr(channel, name), name
    for name in ("HEAD", "META"):
        assert getattr(frames, name).format == getattr(channel, name).format
    assert rows.LINE_HEAD.format == lines.HEAD.format
    assert rows.LINE_LEVELS == lines.LEVELS
    assert journal.STEP <= lines.WINDOW // 2
    assert frames.ANSWER.format == calls.ANSWER.format
    assert ports.VARIABLE == sitecustomize.VARIABLE


async def test_frames_arrive_whole_however_they_are_cut() -> None:
    got: list[tuple[int, int, bytes]] = []
    link = frames.Link(lambda *frame: got.append(frame), lambda: None)
    sent = [(1, 7, b"abc"), (2, 8, b""), (3, 9, b"x" * 1000)]
    raw = b"".join(frames.HEAD.pack(len(p), kind, call) + p for kind, call, p in sent)
    for start in range(0, len(raw), 5):
        link.data_received(raw[start : start + 5])
    assert got == sent


async def test_both_ends_understand_each_other() -> None:
    ours, theirs = socket.socketpair()
    got: list[tuple[int, int, bytes]] = []
    lost = asyncio.Event()
    link = frames.Link(lambda *frame: got.append(frame), lost.set)
    await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=ours)
    end = channel.Channel(theirs.detach())
    echo = threading.Thread(target=lambda: [end.send(f.kind, f.call, f.payload) for f in echoed()])

    def echoed() -> list[channel.Frame]:
        frames_of = end.frames()
        return [next(frames_of) for _ in range(3)]

    echo.start()
    for number in range(3):
        link.send(frames.CALL, number, b"p" * number * 100_000)
    await asyncio.to_thread(echo.join)
    written = lines.Lines(end, drops=False)
    written.add("WARNING", "ä \ud800", 12.5, "r-1")
    written.forget()
    await lost.wait()
    assert [frame[:2] for frame in got] == [(frames.CALL, n) for n in range(3)] + [(frames.LOG, 0)]
    payload = got[3][2]
    assert frames.number(payload) == 1
    assert list(rows.unpack(payload[frames.META.size :])) == [
        ("WARNING", 12_500_000, "r-1", "ä \\ud800")
    ]


async def test_sending_to_a_worker_that_is_gone_is_no_error() -> None:
    ours, theirs = socket.socketpair()
    lost = asyncio.Event()
    link = frames.Link(lambda *frame: None, lost.set)
    await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=ours)
    theirs.close()
    await lost.wait()
    link.send(frames.CALL, 1, b"x")
    link.close()
