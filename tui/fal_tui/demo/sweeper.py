"""Waits until the demo's application is gone, however it went, and clears up behind it.

A program of its own: standard library only, started by path with -I, in a session of its own, so
that neither ctrl+c nor a closed terminal nor `kill -9` of the application ends it first.
1. argv: the demo's folder, and the file in it where the backend writes its process id.
2. It reads stdin until the end of file: that is when the application has let go.
3. It ends the backend (SIGTERM, after PATIENCE seconds SIGKILL) and removes the folder.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

PATIENCE = 8.0
"""Seconds for the backend to end by itself."""
LATE = 1.0
"""Seconds to wait for a backend that was just being started."""


def backend(record: Path) -> int | None:
    try:
        return int(json.loads(record.read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return None


def in_folder(pid: int, folder: Path) -> bool:
    """Whether the process works in the demo's folder: its number may be somebody else's by now."""
    try:
        return Path(f"/proc/{pid}/cwd").resolve().is_relative_to(folder.resolve())
    except OSError:
        return not Path("/proc/self").exists()


def end(pid: int, folder: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            if not in_folder(pid, folder):
                return
            time.sleep(0.05)


def main() -> None:
    folder, record = Path(sys.argv[1]), Path(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    pid = backend(record)
    if pid is None:
        time.sleep(LATE)
        pid = backend(record)
    if pid is not None and in_folder(pid, folder):
        end(pid, folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
