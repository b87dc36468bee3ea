"""The way to a backend: one async client over its control API and its endpoints.

Others import from here, not from the files.
"""

from __future__ import annotations

from fal_serverless.client.client import Client
from fal_serverless.client.logs import Lost, pause
from fal_serverless.client.wire import health

__all__ = ["Client", "Lost", "health", "pause"]
