"""What runs when a function's server starts its program anew, as those that reload do?

Flask's and Django's reloaders run their own arguments in a child and serve from there. So a worker
with an exposed port has a small file of its own there, which loads and calls the function again.
The child has no channel: what it prints goes through the pipes.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Dict

_TEXT = """\
# Loads and calls {name} again, for a reloader.
import sys
package = type(sys)("_fal_worker")
package.__path__ = [{here!r}]
sys.modules["_fal_worker"] = package
from _fal_worker import again
again.run({init!r})
"""


def prepare(init: Dict[str, Any], file_name: str) -> None:
    """Whoever runs the program of this process anew, with its arguments, gets to `run`."""
    path = _write(init, file_name)
    sys.argv = [path]
    sys.orig_argv = [sys.executable, path]


def _write(init: Dict[str, Any], file_name: str) -> str:
    """The file, which is called like the user's and goes with the worker's folder."""
    folder = os.path.join(os.path.dirname(os.environ["TMPDIR"]), "again")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, os.path.basename(file_name))
    here = os.path.dirname(os.path.abspath(__file__))
    text = _TEXT.format(name=init["entrypoint"], here=here, init=init)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def run(init: Dict[str, Any]) -> None:
    """The whole function, in the new process."""
    from . import main

    sys.path[:] = [path for path in sys.path if path != os.path.dirname(sys.argv[0])]
    loaded = main.load(init)
    first, _ = main.set_up(loaded.setup)
    main.finish(loaded.func(*first))
