"""Everything that is measured side by side, in the order of a round.

Who is compared with whom stands near: the machine changes while a round goes on.
"""

from benchmarks.peers.nginx import Nginx
from benchmarks.peers.ours import EXPOSED_FASTAPI, EXPOSED_RAW, SERVED
from benchmarks.peers.peer import Peer
from benchmarks.peers.programs import (
    BENTOML,
    FASTAPI_ASYNC,
    FASTAPI_DEF,
    LITSERVE,
    RAW_ASGI,
    RAY_SERVE,
)

PEERS: tuple[Peer, ...] = (
    FASTAPI_DEF,
    SERVED,
    RAW_ASGI,
    EXPOSED_RAW,
    EXPOSED_FASTAPI,
    Nginx(),
    FASTAPI_ASYNC,
    LITSERVE,
    BENTOML,
    RAY_SERVE,
)

__all__ = ["PEERS", "Peer"]
