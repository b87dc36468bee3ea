"""How fast does an address answer, and is every answer right? One run of wrk.

Knows nothing of what answers there. Everything is counted by `echo.lua`, which compares each answer
with the one that must come; a run with a wrong answer or a broken connection is no measurement.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SCRIPT = Path(__file__).parent / "echo.lua"
SOCKET_TIMEOUT = 30
"""Seconds after which wrk gives an answer up: never on a fast peer, and a slow one may be slow."""
INSTALL = "wrk is not installed; get it with: apt-get install wrk (Debian) or brew install wrk"


class MissingTool(Exception):
    """The load tool is not there; the message says how to get it."""


class BadRun(Exception):
    """A run whose figures mean nothing."""


@dataclass(frozen=True)
class Target:
    """Where one call goes, beyond the address that is connected to."""

    host: str
    """Host header."""
    path: str = "/"


@dataclass(frozen=True)
class Place:
    """Where a started peer answers calls."""

    port: int
    """On 127.0.0.1."""
    targets: tuple[Target, ...]
    """Calls are spread evenly over them."""
    headers: dict[str, str] = field(default_factory=dict)
    """Beside Host and Content-Type."""
    spaced: bool = False
    """It writes JSON as `json.dumps` does by default, others without spaces and in UTF-8."""


@dataclass(frozen=True)
class Echo:
    """A call and its one right answer."""

    body: bytes
    answer: bytes


@dataclass(frozen=True)
class Measured:
    """What one run of wrk saw."""

    requests: int
    seconds: float
    p50: float
    """Seconds."""
    p99: float
    wrong: int
    """Answers with another status or body than they must have."""
    broken: int
    """Connections that failed, closed too early or timed out."""
    example: str
    """The first wrong answer; '' when there is none."""

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def find_wrk() -> str:
    found = shutil.which("wrk")
    if found is None:
        raise MissingTool(INSTALL)
    return found


def run(place: Place, echo: Echo, connections: int, seconds: float) -> Measured:
    """Call without pause. Raises BadRun when one answer was not what it must be."""
    with tempfile.TemporaryDirectory() as folder:
        files = _write(Path(folder), place.targets, echo)
        done = subprocess.run(
            _command(place, connections, seconds, files),
            capture_output=True,
            text=True,
            timeout=seconds + 2 * SOCKET_TIMEOUT,
        )
    if done.returncode:
        raise BadRun(f"wrk ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return checked(parse(done.stdout))


def _write(folder: Path, targets: Sequence[Target], echo: Echo) -> list[Path]:
    lines = "".join(f"{target.host}\t{target.path}\n" for target in targets)
    contents = {"targets": lines.encode(), "body": echo.body, "answer": echo.answer}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def _command(place: Place, connections: int, seconds: float, files: list[Path]) -> list[str]:
    headers = {"Content-Type": "application/json", **place.headers}
    return [
        find_wrk(),
        *("-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s"),
        *("--timeout", f"{SOCKET_TIMEOUT}s", "-s", str(SCRIPT)),
        *(part for name, value in headers.items() for part in ("-H", f"{name}: {value}")),
        f"http://127.0.0.1:{place.port}/",
        "--",
        *map(str, files),
    ]


def parse(output: str) -> Measured:
    """The line that `echo.lua` writes, among what wrk says itself."""
    _, found, after = output.partition("measured\t")
    if not found:
        raise BadRun(f"wrk told nothing: {output.strip()[-300:]}")
    requests, micros, p50, p99, wrong, broken, example = after.rstrip("\n").split("\t", 6)
    return Measured(
        requests=int(requests),
        seconds=int(micros) / 1e6,
        p50=int(p50) / 1e6,
        p99=int(p99) / 1e6,
        wrong=int(wrong),
        broken=int(broken),
        example=example.strip('"'),
    )


def checked(measured: Measured) -> Measured:
    """Itself. Raises BadRun when it is no measurement."""
    if measured.wrong:
        raise BadRun(f"{measured.wrong} wrong answers, the first: {measured.example}")
    if measured.broken:
        raise BadRun(f"{measured.broken} broken connections")
    if not measured.requests:
        raise BadRun("no answer at all")
    return measured
