"""Can this client and that backend talk? Each says which version of the control API it speaks.

A change that the other side would not understand makes the next version; a new route or field does
not: unknown fields are ignored, and a route that is missing is a 404. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from fal_serverless.errors import VersionSkew

API = 1
"""Version of the control API that is spoken here."""
OLDEST = 1
"""The oldest one that is understood, too."""

API_HEADER = "X-Fal-Api"
"""Of requests and answers: the sender's `API`; whoever does not send it is taken as it comes."""
VERSION_HEADER = "X-Fal-Version"
"""The version of the sender's program, for people."""


def headers(version: str) -> dict[str, str]:
    """What each side sends."""
    return {API_HEADER: str(API), VERSION_HEADER: version}


def check_client(said: Mapping[str, str]) -> None:
    """By the backend, for each request. Raises VersionSkew."""
    spoken, version = _of(said)
    if spoken is None or OLDEST <= spoken <= API:
        return
    older = "fal-serverless there (pip install --upgrade fal-tui)"
    update = older if spoken < OLDEST else "this backend"
    raise VersionSkew(
        f"the client{version} speaks version {spoken} of the control API, this backend speaks "
        f"{_range()}: update {update}",
        spoken=spoken,
    )


def check_backend(url: str, said: Mapping[str, str]) -> None:
    """By the client, for each answer. Raises VersionSkew."""
    spoken, version = _of(said)
    if spoken is None or OLDEST <= spoken <= API:
        return
    if spoken < OLDEST:
        update = (
            "update it, or if it is your own and was updated already, have it begin anew: "
            "fal-serverless backend stop"
        )
    else:
        update = "update this program: pip install --upgrade fal-tui"
    raise VersionSkew(
        f"the backend at {url}{version} speaks version {spoken} of the control API, this program "
        f"speaks {_range()}: {update}",
        spoken=spoken,
    )


def _of(said: Mapping[str, str]) -> tuple[int | None, str]:
    text, version = said.get(API_HEADER, ""), said.get(VERSION_HEADER, "")
    spoken = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None
    return spoken, f" ({version[:40]})" if version else ""


def _range() -> str:
    return str(API) if OLDEST == API else f"{OLDEST} to {API}"
