"""What the control API says of itself: an OpenAPI document, from its routes and the models.

A route says its summary with its docstring, what it takes and gives stands in `ABOUT`. A test has
every route in it, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from fal_serverless import __version__, skew
from fal_serverless.backend.api.context import caller
from fal_serverless.backend.api.environments import LONGEST_AGE
from fal_serverless.backend.api.system import MAX_AUDIT, MAX_ID, MAX_LINES
from fal_serverless.backend.metrics.figures import LONGEST, MOST_PARTS
from fal_serverless.endpoint import ALIAS
from fal_serverless.errors import every_class
from fal_serverless.models import (
    Alias,
    AuditEntry,
    AuthMode,
    CallEvent,
    Change,
    Environment,
    Function,
    FunctionChanges,
    Key,
    LogEntry,
    LogQuery,
    Move,
    MoveReason,
    NewKey,
    Pruned,
    Pulse,
    Revision,
    Scope,
    ServeEvent,
    Status,
    User,
    Worker,
)

PATH = "/v1/openapi.json"
BINARY = "application/octet-stream"

Text = Annotated[str, Meta(min_length=1)]
AliasName = Annotated[str, Meta(pattern=f"^{ALIAS.pattern}$", max_length=61)]
"""As far as it is the same for every user; how long it may be depends on the user's id."""


def _from(least: int, most: int) -> Any:
    return Annotated[int, Meta(ge=least, le=most)]


@dataclass(frozen=True)
class Healthy:
    status: str
    pid: int


@dataclass(frozen=True)
class Added:
    user: User
    key: NewKey


@dataclass(frozen=True)
class EndpointAuth:
    label: str
    auth: AuthMode


@dataclass(frozen=True)
class NewUser:
    nickname: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\S")]


@dataclass(frozen=True)
class KeyOrder:
    scope: Scope
    alias: str | None = None


@dataclass(frozen=True)
class AliasOrder:
    revision: Text
    auth: AuthMode | None = None
    reason: MoveReason | None = None
    message: str | None = None


@dataclass(frozen=True)
class RollbackOrder:
    revision: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class AuthOrder:
    auth: AuthMode


@dataclass(frozen=True)
class PruneOrder:
    older_than: Annotated[float, Meta(ge=0, le=LONGEST_AGE)] | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class ErrorBody:
    """What every error of ours is answered with."""

    detail: str
    error_type: str
    request_id: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class About:
    """Of one operation, what its route does not say."""

    gives: Any = None
    """Type of the answer's JSON; None: it has no body."""
    status: int = 200
    takes: Any = None
    """Type of the JSON that it wants, or `BINARY`."""
    query: tuple[tuple[str, Any], ...] = ()
    """Parameters, none of them required."""
    name: Any = str
    """Type of what its path names."""
    kind: Literal["application/json", "text/event-stream", "text/plain"] = "application/json"
    is_open: bool = False
    """No key is asked for."""


def _stream(of: Any, **more: Any) -> About:
    return About(gives=of, kind="text/event-stream", **more)


_GONE = About(status=204)
_ERROR = {"$ref": "#/components/schemas/ErrorBody"}
_MOMENT = Annotated[datetime, Meta(tz=True)]
_NARROWED = {
    "label": Annotated[str, Meta(pattern=f"^({ALIAS.pattern})?$")],
    "lines": _from(0, MAX_LINES),
    "since": _MOMENT,
    "until": _MOMENT,
    "search": Annotated[str, Meta(extra_json_schema={"format": "regex"})],
    "after": _from(0, MAX_ID - 1),
}
"""What a LogQuery's types do not say."""
_LOG_QUERY = tuple((get_type_hints(LogQuery) | _NARROWED).items())

ABOUT: dict[tuple[str, str], About] = {
    ("GET", "/healthz"): About(gives=Healthy, is_open=True),
    ("GET", "/metrics"): About(gives=str, kind="text/plain"),
    ("GET", PATH): About(gives=dict[str, Any]),
    ("GET", "/v1/status"): About(gives=Status),
    ("GET", "/v1/user"): About(gives=User),
    ("GET", "/v1/users"): About(gives=list[User]),
    ("POST", "/v1/users"): About(takes=NewUser, gives=Added, status=201),
    ("GET", "/v1/keys"): About(gives=list[Key]),
    ("POST", "/v1/keys"): About(takes=KeyOrder, gives=NewKey, status=201),
    ("DELETE", "/v1/keys/{id}"): _GONE,
    ("GET", "/v1/workers"): About(gives=list[Worker]),
    ("DELETE", "/v1/workers/{id}"): _GONE,
    ("GET", "/v1/audit"): About(gives=list[AuditEntry], query=(("lines", _from(0, MAX_AUDIT)),)),
    ("GET", "/v1/logs"): About(gives=list[LogEntry], query=_LOG_QUERY),
    ("GET", "/v1/logs/tail"): _stream(LogEntry, query=_LOG_QUERY),
    ("GET", "/v1/events"): _stream(Change),
    ("GET", "/v1/metrics/series"): About(
        gives=Pulse,
        query=(
            ("seconds", _from(1, LONGEST)),
            ("function", str),
            ("parts", _from(0, MOST_PARTS)),
        ),
    ),
    ("GET", "/v1/functions"): About(
        gives=list[Function] | FunctionChanges, query=(("since", str),)
    ),
    ("GET", "/v1/functions/{name}"): About(gives=Function),
    ("DELETE", "/v1/functions/{name}"): _GONE,
    ("GET", "/v1/functions/{name}/revisions"): About(gives=list[Revision]),
    ("POST", "/v1/revisions"): _stream(
        ServeEvent, takes=BINARY, query=(("alias", AliasName), ("auth", AuthMode), ("message", str))
    ),
    ("GET", "/v1/revisions/{id}"): About(gives=Revision),
    ("DELETE", "/v1/revisions/{id}"): _GONE,
    ("PATCH", "/v1/endpoints/{label}"): About(takes=AuthOrder, gives=EndpointAuth),
    ("GET", "/v1/aliases"): About(gives=list[Alias]),
    ("GET", "/v1/aliases/{name}"): About(gives=Alias),
    ("PUT", "/v1/aliases/{name}"): About(takes=AliasOrder, gives=Alias, name=AliasName),
    ("DELETE", "/v1/aliases/{name}"): _GONE,
    ("GET", "/v1/aliases/{name}/moves"): About(gives=list[Move]),
    ("POST", "/v1/aliases/{name}/rollback"): About(takes=RollbackOrder, gives=Move),
    ("GET", "/v1/environments"): About(gives=list[Environment]),
    ("POST", "/v1/environments/prune"): About(takes=PruneOrder, gives=Pruned),
    ("GET", "/v1/environments/{key}"): About(gives=Environment),
    ("DELETE", "/v1/environments/{key}"): About(gives=Pruned),
    ("GET", "/v1/sent/{digest}"): _GONE,
    ("PUT", "/v1/sent/{digest}"): About(takes=BINARY, status=204),
    ("POST", "/v1/sent/{digest}/calls"): _stream(CallEvent, takes=BINARY),
}


def operations(routes: Iterable[BaseRoute]) -> list[tuple[str, Route]]:
    """Method and route of each; HEAD is GET without the body."""
    return [
        (method, route)
        for route in routes
        if isinstance(route, Route)
        for method in sorted(route.methods or ())
        if method != "HEAD"
    ]


def document(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """OpenAPI 3.1. Raises KeyError for a route that nothing is told of."""
    found = operations(routes)
    told = [ABOUT[method, route.path] for method, route in found]
    types = [kind for about in told for kind in _types(about)]
    schemas, components = msgspec.json.schema_components(
        [*types, ErrorBody], ref_template="#/components/schemas/{name}"
    )
    by_type = dict(zip(map(repr, types), schemas, strict=False))
    for about in told:
        if isinstance(about.takes, type):
            # Anything else in a body is refused: a misspelt name must not pass for a wish granted.
            components[about.takes.__name__]["additionalProperties"] = False
    paths: dict[str, dict[str, Any]] = {}
    for (method, route), about in zip(found, told, strict=True):
        paths.setdefault(route.path, {})[method.lower()] = _operation(route, about, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fal-serverless control API",
            "version": f"{skew.API} ({__version__})",
            "description": "Manages functions, revisions, aliases, keys, workers and logs.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`Key <id>:<secret>`, of a key with the scope ADMIN.",
                }
            },
        },
        "security": [{"key": []}],
    }


def _types(about: About) -> list[Any]:
    asked = [about.name, *[kind for _, kind in about.query]]
    return [kind for kind in (about.takes, about.gives, *asked) if kind not in (None, BINARY)]


def _operation(route: Route, about: About, schemas: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": route.name,
        "summary": _summary(route),
        "parameters": [
            *[_parameter(name, "path", schemas[repr(about.name)]) for name in _names(route.path)],
            *[_parameter(name, "query", _given(schemas[repr(of)])) for name, of in about.query],
        ],
        "responses": {str(about.status): _answer(about, schemas), "default": _error()},
    }
    if about.takes is not None:
        is_binary = about.takes == BINARY
        kind = BINARY if is_binary else "application/json"
        content = {kind: {} if is_binary else {"schema": schemas[repr(about.takes)]}}
        made["requestBody"] = {"required": is_binary or _asks(about.takes), "content": content}
    if about.is_open:
        made["security"] = []
    return made


def _summary(route: Route) -> str:
    said = (route.endpoint.__doc__ or "").strip().partition("\n")[0]
    return said or route.name.replace("_", " ").capitalize()


def _names(path: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", path)


def _parameter(name: str, place: str, schema: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    """Of a parameter, which is left out where a model has null."""
    kinds = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else schema


def _asks(takes: Any) -> bool:
    """Whether something must be in it."""
    return any(item.default is MISSING for item in fields(takes))


def _event(schema: dict[str, Any]) -> dict[str, Any]:
    """What is in the `data` of each event, as OpenAPI 3.2 describes them."""
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
    named = {"id": {"type": "string"}, "event": {"type": "string"}, "data": data}
    return {"type": "object", "required": ["data"], "properties": named}


def _answer(about: About, schemas: dict[str, Any]) -> dict[str, Any]:
    if about.gives is None:
        return {"description": "Done"}
    schema = schemas[repr(about.gives)]
    said = "What was asked for"
    if about.kind == "text/event-stream":
        schema = _event({"anyOf": [schema, _ERROR]})
        said = "Events; one named `error`, with an ErrorBody, tells why there are no more"
    return {"description": said, "content": {about.kind: {"schema": schema}}}


def _error() -> dict[str, Any]:
    kinds = ", ".join(sorted({cls.code for cls in every_class()}))
    return {
        "description": f"It went wrong; `error_type` is one of: {kinds}",
        "content": {"application/json": {"schema": _ERROR}},
    }


async def show_document(request: Request) -> Response:
    """This document."""
    caller(request)
    return JSONResponse(document(request.app.routes))


routes = [Route(PATH, show_document)]
