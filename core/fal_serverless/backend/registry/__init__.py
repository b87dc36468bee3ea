"""What is registered, in memory and in the database.

Others import from here, not from the files.
"""

from __future__ import annotations

from fal_serverless.backend.registry.registry import Registry, check_auth

__all__ = ["Registry", "check_auth"]
