"""Runs functions: workers, the pools they are in, and the engine that has the pools.

Others import from here: `Spec` says what to run, `LocalEngine` runs it, `Call`, `Reply` and `Lease`
go in and come out. Who cannot wait hands a `Pool` an `Exchange` instead of a `Call`. What workers
say goes into a `Sink`.
"""

from fal_serverless.backend.engine.exchange import Exchange, ReplyStream
from fal_serverless.backend.engine.journal import Sink
from fal_serverless.backend.engine.local import LocalEngine
from fal_serverless.backend.engine.pool import Pool
from fal_serverless.backend.engine.spec import Call, Lease, Load, Reply, Spec

__all__ = [
    "Call",
    "Exchange",
    "Lease",
    "Load",
    "LocalEngine",
    "Pool",
    "Reply",
    "ReplyStream",
    "Sink",
    "Spec",
]
