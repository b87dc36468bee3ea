"""How things are called, wherever they are named. Pure.

A function that was served without an alias has its revision's id for a name, which says nothing:
it is called by its entry point, where it stands alone with the beginning of the id behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fal_serverless.endpoint import is_revision_id
from fal_serverless.models import Function, Revision
from fal_tui.headings import SHORT

Names = Mapping[str, str]
"""Name of an anonymous function, which is also its only endpoint's -> its entry point."""


def names_of(functions: Iterable[Function]) -> Names:
    return {each.name: each.entrypoint for each in functions if each.anonymous}


def names_in(revisions: Iterable[Revision]) -> Names:
    return {each.function: each.bundle.entrypoint for each in revisions if each.anonymous}


def short(value: str | None) -> str:
    """Of a long id its beginning; a short one as it is."""
    if not value:
        return "—"
    return value if len(value) <= SHORT + 2 else value[:SHORT]


def told(text: str) -> str:
    """An id by its beginning, anything else as it is."""
    return short(text) if is_revision_id(text) else text


def called(function: Function) -> str:
    """In a list, where its id stands beside it."""
    return function.entrypoint if function.anonymous else function.name


def function(name: str, names: Names) -> str:
    """As `called`, by its name."""
    return names.get(name) or told(name)


def title(name: str, names: Names) -> str:
    """Of a function or an endpoint that is named alone: `whisper (44444444)`."""
    return f"{names[name]} ({short(name)})" if name in names else told(name)


def revision(id: str, function: str, names: Names) -> str:
    """`call 22222222`; of an anonymous function, which has no other, as the function."""
    return title(function, names) if function in names else f"{told(function)} {short(id)}"


def worker(id: str, function: str, names: Names) -> str:
    """`w-1 of call`."""
    return f"{short(id)} of {title(function, names)}"


def key(id: str, alias: str) -> str:
    """`ci (0a1b2c3d)`."""
    return f"{alias} ({id})" if alias else id
