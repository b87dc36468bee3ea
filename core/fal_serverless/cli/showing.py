"""`function show`: everything about one name, for reading."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from fal_serverless.cli import output
from fal_serverless.cli.completing import complete_label
from fal_serverless.cli.session import Session, as_json, pass_session
from fal_serverless.endpoint import CURL_KEY, curl_line, parse_label
from fal_serverless.errors import NotFound, listed
from fal_serverless.isolated import Options
from fal_serverless.models import WHO, Alias, AuthMode, Function, Parameter, Revision

if TYPE_CHECKING:
    from fal_serverless.client import Client


@dataclass(frozen=True)
class Shown:
    """What a name stands for."""

    revision: Revision
    """The one that answers, or the newest of a function that has no alias."""
    function: Function | None
    alias: Alias | None

    @property
    def url(self) -> str:
        return self.alias.url if self.alias else self.revision.url

    @property
    def path_url(self) -> str:
        return self.alias.path_url if self.alias else self.revision.path_url

    @property
    def auth(self) -> AuthMode:
        return self.alias.auth if self.alias else self.revision.auth


@click.command("show")
@click.argument("name", shell_complete=complete_label)
@as_json
@pass_session
def show(session: Session, name: str, as_json: bool) -> None:
    """Describe a function, alias or revision.

    The beginning of a revision's id is enough.
    """
    shown = session.ask(lambda client: look_up(client, parse_label(name)))
    if as_json:
        output.values(
            {"function": shown.function, "alias": shown.alias, "revision": shown.revision}
        )
        return
    output.pairs(summary(shown))
    output.data("")
    output.data(curl(shown, session.config.context(session.context).ca))


async def look_up(client: Client, name: str) -> Shown:
    """The alias, function or revision called so. Raises NotFound with what there is."""
    aliases = {alias.name: alias for alias in await client.aliases()}
    functions = {function.name: function for function in await client.functions()}
    if name in aliases:
        alias = aliases[name]
        revision = await client.revision(alias.revision)
        return Shown(revision, functions.get(revision.function), alias)
    if name in functions:
        function = functions[name]
        revision = await client.revision(function.live or function.latest)
        first = aliases.get(function.aliases[0]) if function.aliases else None
        return Shown(revision, function, first)
    try:
        revision = await client.revision(name)
    except NotFound as exc:
        anonymous = {one.name for one in functions.values() if one.anonymous}
        have = {*aliases, *functions} - anonymous
        known = f"there are: {listed(have, name)}" if have else "nothing has a name yet"
        message = f"no function, alias or revision '{name}'; {known}"
        raise NotFound(message, name=name) from exc
    return Shown(revision, functions.get(revision.function), None)


def summary(shown: Shown) -> list[tuple[str, object]]:
    revision, function = shown.revision, shown.function
    bundle = revision.bundle
    sha = f"{bundle.git_sha}{' with changes' if bundle.git_dirty else ''}" if bundle.git_sha else ""
    return [
        ("Function", revision.id if revision.anonymous else revision.function),
        ("Kind", "anonymous" if revision.anonymous else ""),
        ("Signature", signature(bundle.entrypoint, bundle.for_callers, bundle.is_async)),
        ("About", bundle.doc.strip().partition("\n")[0]),
        ("File", bundle.file_name),
        ("URL", shown.url),
        ("Also at", shown.path_url),
        ("Docs", f"{shown.url}/docs" if bundle.options.get("serve") else ""),
        ("Auth", f"{shown.auth} ({WHO[shown.auth]})"),
        ("Alias", _alias_line(shown.alias)),
        ("Aliases", function.aliases if function else ()),
        ("Revision", revision.id),
        ("Served", f"{output.local_time(revision.created_at)} by {revision.created_by}"),
        ("Message", revision.message),
        ("Git", sha),
        ("Revisions", function.revisions if function else ""),
        ("Python", bundle.python_version + (", from source" if bundle.from_source else "")),
        ("Requirements", tuple(bundle.options.get("requirements") or ("none",))),
        ("Answers", _way(bundle.options)),
        ("Options", changed_options(bundle.options)),
        ("Workers", _workers(function)),
    ]


def _alias_line(alias: Alias | None) -> str:
    if alias is None:
        return ""
    since = output.local_time(alias.since)
    moves = f"{alias.moves} move{'s' if alias.moves != 1 else ''}"
    return f"{alias.name}, on this revision since {since}, {moves}"


def _way(options: dict[str, Any]) -> str:
    port = options.get("exposed_port")
    return f"by its own server on port {port}" if port else "POST / with its return value"


def _workers(function: Function | None) -> str:
    states = function.workers if function else {}
    return ", ".join(f"{count} {state}" for state, count in states.items() if count)


def changed_options(options: dict[str, Any]) -> str:
    """Those that are not as they are without being asked for."""
    plain = Options().to_json()
    told = {"requirements", "serve", "exposed_port", "python_version"}
    return ", ".join(
        f"{name}={value}"
        for name, value in options.items()
        if name not in told and value != plain.get(name)
    )


def signature(name: str, parameters: tuple[Parameter, ...], is_async: bool) -> str:
    """As callers have it: `call_text(text: str, n: int = 3)`."""
    inside = ", ".join(_parameter(item) for item in parameters)
    return f"{'async ' if is_async else ''}{name}({inside})"


def _parameter(item: Parameter) -> str:
    stars = {"var_positional": "*", "var_keyword": "**"}.get(item.kind, "")
    note = f": {item.annotation}" if item.annotation else ""
    equals = " = " if item.annotation else "="
    return f"{stars}{item.name}{note}{equals + item.default if item.default is not None else ''}"


def curl(shown: Shown, ca: str = "") -> str:
    """A command line that calls it, to be pasted into a shell."""
    parts = []
    options = shown.revision.bundle.options
    if options.get("serve"):
        body = json.dumps(example(shown.revision), ensure_ascii=False)
        parts += ["-X POST", "-H 'Content-Type: application/json'", f"-d {shlex.quote(body)}"]
    if shown.auth != "public":
        parts.append(CURL_KEY)
    return curl_line(*parts, shlex.quote(shown.url), ca=ca)


_EXAMPLES: dict[str | None, Any] = {"int": 1, "float": 1.0, "bool": True}


def example(revision: Revision) -> dict[str, Any]:
    """Arguments that fit by their annotations, of those that must be given."""
    needed = [p for p in revision.bundle.for_callers if p.required]
    return {p.name: _EXAMPLES.get(p.annotation, "...") for p in needed}
