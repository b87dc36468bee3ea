"""What does a served function look like to programs? One OpenAPI 3.1 document. Pure.

The parameters' types come from the worker; addresses and keys are told here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fal_serverless.backend.engine.description import Description, Schema, Taken
from fal_serverless.models import AuthMode

JSON = "application/json"
BYTES = "application/octet-stream"
MULTIPART = "multipart/form-data"
STREAMS = {
    "text/plain; charset=utf-8": "Pieces of text, as they are made.",
    "application/x-ndjson": "One value in JSON per line, as they are made.",
    "text/event-stream": "Server-sent events, when the caller accepts them.",
}
"""What is said about a stream, by its content type."""

KEY_FORMS: tuple[dict[str, Schema], ...] = (
    {
        "key": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Key <id>:<secret>`",
        }
    },
    {"basic": {"type": "http", "scheme": "basic", "description": "The id is the user name."}},
    {
        "header_id": {"type": "apiKey", "in": "header", "name": "X-Fal-Key-Id"},
        "header_secret": {"type": "apiKey", "in": "header", "name": "X-Fal-Key-Secret"},
    },
    {
        "query_id": {"type": "apiKey", "in": "query", "name": "fal_key_id"},
        "query_secret": {"type": "apiKey", "in": "query", "name": "fal_key_secret"},
    },
)
"""The ways to show a key: one of them is enough, and it needs all of its schemes."""

ERRORS = {
    400: "The body is not what its content type says.",
    401: "No key, or none that is known.",
    403: "A valid key of somebody else.",
    413: "The body is too large.",
    422: "The arguments do not fit; `errors` says where.",
    500: "The function raised; the traceback is in its log.",
    502: "The worker died, or could not be started.",
    503: "Too many calls are waiting.",
    504: "No answer in time.",
}


@dataclass(frozen=True)
class Subject:
    """The endpoint that is asked about."""

    name: str
    """Of the function in its file."""
    doc: str
    """Its docstring, or ''."""
    revision: str
    auth: AuthMode
    path: str
    """What was asked for: `/openapi.json`."""
    base: str
    """What stands before it on this host, as in `/1/call`, or ''."""

    @property
    def summary(self) -> str:
        """One line."""
        return self.doc.strip().partition("\n")[0] or f"Call {self.name}"


def document(subject: Subject, told: Description) -> dict[str, Any]:
    """The document, as JSON values."""
    problem = _free_name("Problem", told.schemas)
    forms = () if subject.auth == "public" else KEY_FORMS
    operation: dict[str, Any] = {
        "operationId": subject.name,
        "summary": subject.summary,
        "description": subject.doc,
        "security": [{name: [] for name in form} for form in forms],
        "parameters": [_query(item) for item in told.parameters if _fits_query(item, told)],
        "responses": _responses(subject, told, problem),
    }
    if told.parameters or told.more is not None:
        operation["requestBody"] = {
            "required": any(item.required for item in told.parameters),
            "content": _bodies(told),
        }
    components: dict[str, Any] = {"schemas": {**told.schemas, problem: PROBLEM}}
    if forms:
        components["securitySchemes"] = {n: s for form in forms for n, s in form.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": subject.name,
            "version": subject.revision,
            "description": subject.doc,
        },
        "servers": [{"url": subject.base or "/"}],
        "paths": {"/": {"post": operation}},
        "components": components,
    }


PROBLEM: Schema = {
    "type": "object",
    "properties": {
        "detail": {"type": "string"},
        "error_type": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "msg": {"type": "string"},
                    "type": {"type": "string"},
                },
            },
        },
    },
    "required": ["detail", "error_type", "request_id"],
}


def _free_name(name: str, taken: dict[str, Schema]) -> str:
    while name in taken:
        name += "_"
    return name


# What comes in


def _fits_query(item: Taken, told: Description) -> bool:
    """An object that is the whole body has its fields there, not itself."""
    return not item.raw and (item.name != told.whole or item.many)


def _query(item: Taken) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": item.name,
        "in": "query",
        "required": False,
        "description": "Instead of the key of this name in the body.",
    }
    if item.structured and not item.many:
        return {**told, "content": {JSON: {"schema": item.schema}}}
    return {**told, "schema": item.schema}


def _bodies(told: Description) -> dict[str, Any]:
    """By content type."""
    schema = body_schema(told)
    found = {JSON: {"schema": schema, "example": example(schema, told.schemas)}}
    if told.raw is not None:
        found[BYTES] = {"schema": {"title": told.raw, "contentMediaType": BYTES}}
    if any(item.raw for item in told.parameters):
        found[MULTIPART] = {"schema": _object(told, files=True)}
    return found


def body_schema(told: Description) -> Schema:
    """Of a JSON body."""
    whole = next((item for item in told.parameters if item.name == told.whole), None)
    return whole.schema if whole is not None else _object(told, files=False)


def _object(told: Description, *, files: bool) -> Schema:
    made: Schema = {
        "type": "object",
        "properties": {
            item.name: _file(item) if files and item.raw else item.schema
            for item in told.parameters
        },
        "additionalProperties": False if told.more is None else told.more,
    }
    required = [item.name for item in told.parameters if item.required]
    return {**made, "required": required} if required else made


def _file(item: Taken) -> Schema:
    file: Schema = {"contentMediaType": BYTES}
    return {"type": "array", "items": file} if item.many else file


# What goes out


def _responses(subject: Subject, told: Description, problem: str) -> dict[str, Any]:
    content = {kind: {"schema": _answer(kind, told)} for kind in told.returns.content}
    said = [STREAMS[kind] for kind in told.returns.content if kind in STREAMS]
    made = {"200": {"description": " ".join(said) or "What it returned.", "content": content}}
    schema = {"$ref": f"#/components/schemas/{problem}"}
    for status in errors(subject):
        made[str(status)] = {
            "description": ERRORS[status],
            "content": {JSON: {"schema": schema}},
        }
    return made


def errors(subject: Subject) -> list[int]:
    """The statuses that an answer may have beside 200."""
    never = {"public": {401, 403}, "shared": {403}, "private": set()}[subject.auth]
    return [status for status in ERRORS if status not in never]


def _answer(kind: str, told: Description) -> Schema:
    schema = told.returns.schema
    if schema is None or kind == BYTES:
        return {"contentMediaType": kind}
    return {"type": "string"} if kind.startswith("text/") else schema


# An example

_BY_FORMAT = {
    "date": "2024-05-06",
    "date-time": "2024-05-06T07:08:09Z",
    "time": "07:08:09",
    "duration": "PT1H",
    "uuid": "12345678-1234-4234-8234-123456789abc",
    "email": "name@example.com",
    "uri": "https://example.com",
}
_BY_TYPE = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None}
DEEPEST = 6
"""Levels of an example; a type that holds itself has no end."""


def example(schema: Schema, shared: dict[str, Schema], depth: int = 0) -> Any:
    """A value that fits: the first of what is allowed, and only what is required."""
    if depth > DEEPEST:
        return None
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    if "$ref" in schema:
        found = shared.get(schema["$ref"].rpartition("/")[2], {})
        return example(found, shared, depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return example(schema[key][0], shared, depth + 1)
    return _of_type(schema, shared, depth)


def _of_type(schema: Schema, shared: dict[str, Schema], depth: int) -> Any:
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        required = schema.get("required", ())
        return {
            name: example(inner, shared, depth + 1)
            for name, inner in schema.get("properties", {}).items()
            if name in required
        }
    if kind == "array":
        return [example(inner, shared, depth + 1) for inner in _items(schema)]
    if kind == "string":
        return _text(schema)
    if kind in ("integer", "number"):
        return _number(schema, kind)
    return _BY_TYPE.get(str(kind), "anything")


def _items(schema: Schema) -> list[Schema]:
    if schema.get("prefixItems"):
        return list(schema["prefixItems"])
    items = schema.get("items")
    return [items if isinstance(items, dict) else {}] * max(1, schema.get("minItems", 1))


def _text(schema: Schema) -> str:
    if "contentEncoding" in schema:
        return "AAEC"
    text = _BY_FORMAT.get(schema.get("format", ""), "text")
    return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength", len(text) + 99)]


def _number(schema: Schema, kind: str) -> Any:
    step: Any = 1 if kind == "integer" else 0.5
    if "exclusiveMinimum" in schema:
        return schema["exclusiveMinimum"] + step
    if "minimum" in schema:
        return schema["minimum"]
    if "exclusiveMaximum" in schema:
        return schema["exclusiveMaximum"] - step
    return min(_BY_TYPE[kind], schema.get("maximum", _BY_TYPE[kind]))
