"""The first file a worker runs: `python -I child.py worker FD ORDERS`. FD is its channel's end.

`python -I child.py template FD ORDERS` is a process from which workers are forked, see
`template.py`. What follows is the same for those, from the fork of the worker on.

0. The process that was started stays as supervisor; a fork of it is the worker. ORDERS, in JSON,
   are for the supervisor: `moves` tells where the worker's servers go (see `moves.py`),
   `namespace` which kind the worker gets (see `namespaces.py`), `limits` what it may use.
1. Backend: INIT, what to load and from where.
2. Worker: puts folders on its path, loads the function, calls the setup function.
   It says READY with the seconds this took, or FAILED with the reason, and ends.
3. With an exposed port: it calls the function, whose server then listens; when that returns
   or raises it says RETURNED or FAILED, and ends. Otherwise:
4. Backend: CALL with an id of its own. Several may run at once, each answered under its id.
   One may ask for what the function takes and returns, which is answered without running it.
   A worker whose READY says `takes_ahead` may be sent calls ahead of their turn: they wait in it.
   WITHDRAW asks for one of these back. WITHDRAWN says it has not begun and never will here.
5. Worker: REPLY with status, headers and body. Or STREAM with status and headers, a CHUNK for
   each piece while it has CREDIT left, and END, or BROKEN when the function raised half way.
6. Backend: CANCEL, nobody waits for that answer any more. The worker answers it all the same.
7. Worker, at any time: LOG, lines that the function wrote (see `lines.py`), those of a call before
   its answer. Backend: KEPT, so many bytes of them are kept, which lets the worker send more.
   Worker: DROPPED, so many lines are missing at this place.
8. Backend: STOP. What runs is finished, then the worker ends.
9. The backend's end of the channel is closed: the supervisor ends all that is left.
"""

import importlib
import sys


def run(what: str, descriptor: int, orders: str) -> None:
    """Load the files beside this one as a package with a private name, and run one of them."""
    package = type(sys)("_fal_worker")
    package.__path__ = [__file__.rpartition("/")[0]]
    sys.modules["_fal_worker"] = package
    importlib.import_module("_fal_worker." + _FILES[what]).main(descriptor, orders)


_FILES = {"worker": "main", "template": "template"}

if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), sys.argv[3])
