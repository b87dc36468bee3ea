"""Runs a command that must leave nothing behind when the backend goes. Started by path, with `-I`.

1. The backend starts `python -I -S guarded.py CHANNEL COMMAND ...`; CHANNEL is one end of a socket
   pair that nothing is ever sent over.
2. This program becomes a supervisor, as workers have one; a fork of it becomes the command.
3. When the command ends, or the other end of CHANNEL is closed (the backend cancels, or is killed),
   everything that came of the command is ended, and the exit status is the command's.
"""

from __future__ import annotations

import importlib.util
import os
import sys

SUPERVISOR = os.path.join(os.path.dirname(__file__), "engine", "runtime", "supervisor.py")  # noqa: PTH118, PTH120


def main() -> None:
    spec = importlib.util.spec_from_file_location("supervisor", SUPERVISOR)
    assert spec is not None and spec.loader is not None
    supervisor = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(supervisor)
    channel, command = int(sys.argv[1]), sys.argv[2:]
    supervisor.fork_worker(channel)
    os.close(channel)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
