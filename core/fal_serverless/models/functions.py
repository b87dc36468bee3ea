"""What is served: functions, their revisions, and the aliases that point at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from fal_serverless.models.access import AuthMode
from fal_serverless.models.figures import NO_TRAFFIC, Traffic


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function, as written."""

    name: str
    kind: Literal["positional", "positional_or_keyword", "var_positional", "keyword", "var_keyword"]
    required: bool
    annotation: str | None = None
    """As in the source; None when there is none."""
    default: str | None = None
    """`repr` of the default; None when there is none."""


@dataclass(frozen=True)
class BundleInfo:
    """What is said about a bundle beside its bytes. Part of the bundle (`bundle.json`)."""

    entrypoint: str
    """Name of the function in its file."""
    file_name: str
    """Name of the file without folders."""
    source: str
    """Text of the file."""
    options: dict[str, Any]
    """`Options.to_json()`."""
    parameters: tuple[Parameter, ...]
    doc: str
    """The function's docstring, or ''."""
    python_version: str
    """`major.minor` that loaded and pickled it, and that runs it."""
    from_source: bool = False
    """The worker imports the file instead of unpickling the function."""
    is_async: bool = False
    git_sha: str | None = None
    git_dirty: bool = False
    """Uncommitted changes to tracked files when it was served."""

    @property
    def for_callers(self) -> tuple[Parameter, ...]:
        """The parameters without the one that the setup function gives."""
        first = self.parameters[0].kind if self.parameters else "var_keyword"
        given = bool(self.options.get("setup_function")) and not first.startswith("var_")
        return self.parameters[1:] if given else self.parameters


@dataclass(frozen=True)
class Revision:
    """One serve of one function, immutable."""

    id: str
    """UUID4."""
    function: str
    """Name of the function it belongs to; its own id when anonymous."""
    anonymous: bool
    user: str
    created_at: datetime
    created_by: str
    """Nickname."""
    auth: AuthMode
    """Mode of its own endpoint, not of the aliases on it."""
    url: str
    path_url: str
    bundle: BundleInfo
    """`source` is '' in lists."""
    environment: str
    """Key of its environment."""
    message: str = ""
    aliases: tuple[str, ...] = ()
    """Aliases that point at it now."""


@dataclass(frozen=True)
class Alias:
    name: str
    function: str
    revision: str
    user: str
    auth: AuthMode
    url: str
    path_url: str
    created_at: datetime
    since: datetime
    """When it was pointed at its revision."""
    moves: int
    max_concurrency: int


MoveReason = Literal["serve", "rollback", "set", "undo"]


@dataclass(frozen=True)
class Move:
    """One entry in an alias's history; only ever appended."""

    id: int
    alias: str
    from_revision: str | None
    """None: the alias was made."""
    to_revision: str
    at: datetime
    by: str
    """Nickname."""
    reason: MoveReason
    message: str = ""


@dataclass(frozen=True, slots=True)
class Function:
    """The revisions registered under one name."""

    name: str
    anonymous: bool
    entrypoint: str
    user: str
    revisions: int
    latest: str
    """Its newest revision."""
    live: str | None
    """The revision its first alias points at; its only one when anonymous."""
    aliases: tuple[str, ...]
    auth: AuthMode
    """Mode of the endpoint people call: the first alias, else the revision."""
    url: str
    path_url: str
    served_at: datetime
    file_name: str = ""
    """Of its newest revision, without folders."""
    workers: dict[str, int] = field(default_factory=dict)
    """Worker state -> how many."""
    traffic: Traffic = NO_TRAFFIC


@dataclass(frozen=True)
class FunctionChanges:
    """What is not as in a list of functions that is known already."""

    version: str
    """Of the list with the changes; to be sent as `since` next time."""
    whole: bool
    """`functions` are all there are, and take the place of those known."""
    functions: tuple[Function, ...]
    gone: tuple[str, ...] = ()
    """Names of functions that are no more."""


@dataclass(frozen=True)
class FunctionList:
    """Functions as they were at a moment, newest serve first."""

    version: str
    """The backend's name for that moment; '' when it has none."""
    functions: tuple[Function, ...]

    def changed(
        self, version: str, functions: Sequence[Function], gone: Sequence[str]
    ) -> FunctionList:
        """With what became of it, new ones in front; itself when that is nothing."""
        if not functions and not gone:
            return self
        known = {each.name: each for each in self.functions}
        fresh = [each for each in functions if each.name not in known]
        known.update((each.name, each) for each in functions if each.name in known)
        for name in gone:
            known.pop(name, None)
        return FunctionList(version, (*fresh, *known.values()))
