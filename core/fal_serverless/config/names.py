"""What we are called where others keep things of ours."""

from __future__ import annotations

APP = "fal-serverless"

PREFIX = "FAL_SERVERLESS_"

LOCAL = "local"
"""The context of the embedded backend."""
