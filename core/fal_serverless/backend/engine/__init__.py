"""Runs functions: workers, the pools they are in, and the engine that has the pools.

Others import from here: `Spec` says what to run, `LocalEngine` runs it, `Call`, `Reply` and `Lease`
go in and come out.
"""

from fal_serverless.backend.engine.local import LocalEngine
from fal_serverless.backend.engine.spec import Call, Lease, Reply, Spec

__all__ = ["Call", "Lease", "LocalEngine", "Reply", "Spec"]
