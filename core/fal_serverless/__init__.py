"""Serve Python functions over HTTP, with revisions, aliases, rollback and logs.

The public door. Only what a user's file needs is imported at once, the rest on first use.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

# At once, not on first use: the function and its module share a name, and whoever imports the
# module later must not put it over the function.
from fal_serverless.isolated import IsolatedFunction, isolated

if TYPE_CHECKING:
    from fal_serverless.client import Client
    from fal_serverless.errors import FalError

__version__ = "0.1.0"
__all__ = ["Client", "FalError", "IsolatedFunction", "__version__", "isolated"]

_PLACES = {"Client": "client", "FalError": "errors"}


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'fal_serverless' has no attribute {name!r}")
    return getattr(import_module(f"fal_serverless.{place}"), name)


def _wired(name: str) -> Callable[..., Any]:
    """A function of `remote`, which is imported by the first call only."""

    def call(function: IsolatedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return getattr(import_module("fal_serverless.remote"), name)(function, args, kwargs)

    return call


IsolatedFunction.run_remote = _wired("run")
IsolatedFunction.submit_remote = _wired("submit")
