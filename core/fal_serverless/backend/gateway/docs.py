"""What does a served function look like to people? One page, which asks nobody else for anything.

Text of the function's author is shown, never run: everything is escaped, and the page's policy
allows no script but its own.
"""

from __future__ import annotations

import json
import secrets
import shlex
from html import escape
from pathlib import Path
from typing import Any

from fal_serverless.backend.engine.description import Description, Schema, Taken
from fal_serverless.backend.gateway import openapi
from fal_serverless.backend.gateway.openapi import Subject
from fal_serverless.endpoint import CURL_KEY
from fal_serverless.models import AuthMode

STYLE = (Path(__file__).parent / "docs.css").read_text("utf-8")
SCRIPT = (Path(__file__).parent / "docs.js").read_text("utf-8")

WHO: dict[AuthMode, str] = {
    "private": "Its owner’s keys may call it.",
    "shared": "Any valid key may call it.",
    "public": "Anybody may call it, without a key.",
}


def page(subject: Subject, told: Description, url: str) -> tuple[str, str]:
    """The page and its content security policy; `url` is the function's own address."""
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "connect-src 'self'; img-src blob: data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    parts = [
        _head(subject, nonce),
        _title(subject, told, url),
        _parameters(told),
        _answer(told),
        _types(told),
        _example(subject, told, url),
        _try_it(subject, told),
        _errors(subject),
        f'</main><script type="module" nonce="{nonce}">{SCRIPT}</script></body></html>\n',
    ]
    return "\n".join(part for part in parts if part), policy


def _head(subject: Subject, nonce: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(subject.name)}</title>"
        f'<style nonce="{nonce}">{STYLE}</style></head><body><main>'
    )


def _title(subject: Subject, told: Description, url: str) -> str:
    names = ", ".join(item.name for item in told.parameters)
    names += (", …" if names else "…") if told.more is not None else ""
    doc = "".join(f"<p>{escape(p)}</p>" for p in subject.doc.strip().split("\n\n") if p)
    return (
        f"<h1><code>{escape(subject.name)}({escape(names)})</code></h1>{doc}"
        f'<p><b>POST</b> <code id="url">{escape(url)}</code></p>'
        f"<p>{WHO[subject.auth]} {_keys(subject)}"
        'For programs: <a href="openapi.json">openapi.json</a>.</p>'
        f"<p class=quiet>Revision {escape(subject.revision)}</p>"
    )


def _keys(subject: Subject) -> str:
    if subject.auth == "public":
        return ""
    return (
        "Send one as <code>Authorization: Key ID:SECRET</code>, as HTTP Basic, in the headers "
        "<code>X-Fal-Key-Id</code> and <code>X-Fal-Key-Secret</code>, or in the query as "
        "<code>fal_key_id</code> and <code>fal_key_secret</code>. "
    )


# Tables


def _parameters(told: Description) -> str:
    if not told.parameters and told.more is None:
        return "<h2>Parameters</h2><p>None.</p>"
    rows = [_row(item) for item in told.parameters]
    if told.more is not None:
        rows.append(("any other name", words(told.more), "", "taken as well"))
    return f"<h2>Parameters</h2>{_how(told)}" + _table(("Name", "Type", "Default", ""), rows)


def _how(told: Description) -> str:
    if told.whole is not None:
        return f"<p>The JSON body is <code>{escape(told.whole)}</code> itself.</p>"
    said = "Keys of a JSON object in the body, or query parameters; the body wins."
    if any(item.raw for item in told.parameters):
        said += " Bytes are base64 in JSON, and files in multipart/form-data."
    if told.raw is not None:
        said += (
            f" A body of any other content type is <code>{escape(told.raw)}</code> as it is, "
            "with the rest in the query."
        )
    return f"<p>{said}</p>"


Row = tuple[str, str, str, str]


def _row(item: Taken) -> Row:
    default = item.schema.get("default")
    shown = json.dumps(default, ensure_ascii=False) if "default" in item.schema else ""
    note = "required" if item.required else ""
    return (f"<code>{escape(item.name)}</code>", words(item.schema), escape(shown), note)


def _table(heads: tuple[str, ...], rows: list[Row] | list[tuple[str, str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _answer(told: Description) -> str:
    kinds = ", ".join(f"<code>{escape(kind)}</code>" for kind in told.returns.content)
    said = words(told.returns.schema) if told.returns.schema is not None else "bytes"
    streams = any(kind in openapi.STREAMS for kind in told.returns.content)
    what = f"a stream of {said}" if streams else said
    return f"<h2>Answer</h2><p>{what}, as {kinds}</p>"


def _types(told: Description) -> str:
    if not told.schemas:
        return ""
    shown = "".join(_type(name, schema) for name, schema in told.schemas.items())
    return f"<h2>Types</h2>{shown}"


def _type(name: str, schema: Schema) -> str:
    text = json.dumps(schema, indent=2, ensure_ascii=False)
    return (
        f'<details id="type-{escape(name)}"><summary><code>{escape(name)}</code> '
        f"{_fields(schema)}</summary><pre>{escape(text)}</pre></details>"
    )


def _fields(schema: Schema) -> str:
    required = schema.get("required", ())
    fields = [
        f"{escape(name)}{'' if name in required else '?'}: {words(inner)}"
        for name, inner in schema.get("properties", {}).items()
    ]
    return "{ " + ", ".join(fields) + " }" if fields else words(schema)


def words(schema: Any) -> str:
    """A schema in a few words, as HTML."""
    if not isinstance(schema, dict) or not schema:
        return "anything"
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#type-{name}">{name}</a>'
    if "enum" in schema or "const" in schema:
        allowed = schema.get("enum", [schema.get("const")])
        return " or ".join(f"<code>{escape(json.dumps(value))}</code>" for value in allowed)
    for key, between in (("anyOf", " or "), ("oneOf", " or "), ("allOf", " and ")):
        if key in schema:
            return between.join(words(member) for member in schema[key])
    return _plain_words(schema)


def _plain_words(schema: Schema) -> str:
    kind = schema.get("type", "anything")
    name = " or ".join(map(str, kind)) if isinstance(kind, list) else str(kind)
    if "contentEncoding" in schema or "contentMediaType" in schema:
        return "bytes"
    if name == "array":
        if "prefixItems" in schema:
            return "[" + ", ".join(words(item) for item in schema["prefixItems"]) + "]"
        return f"list of {words(schema.get('items'))}"
    if name == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {words(schema['additionalProperties'])}"
    told = [str(schema["format"])] if "format" in schema else []
    told += [f"{said} {schema[key]}" for key, said in _LIMITS.items() if key in schema]
    return escape(name + (f" ({', '.join(told)})" if told else ""))


_LIMITS = {
    "minimum": "≥",
    "exclusiveMinimum": ">",
    "maximum": "≤",
    "exclusiveMaximum": "<",
    "minLength": "length ≥",
    "maxLength": "length ≤",
    "pattern": "matches",
}


def _errors(subject: Subject) -> str:
    rows = [(str(status), escape(openapi.ERRORS[status])) for status in openapi.errors(subject)]
    return "<h2>When it fails</h2>" + _table(("Status", ""), rows)


# Calling it


def _body(told: Description, *, files: bool) -> str:
    """An example of a body, without what is uploaded when `files` are."""
    value = openapi.example(openapi.body_schema(told), told.schemas)
    if files and isinstance(value, dict):
        uploaded = {item.name for item in told.parameters if item.raw}
        value = {name: inner for name, inner in value.items() if name not in uploaded}
    return json.dumps(value, indent=2, ensure_ascii=False)


def _example(subject: Subject, told: Description, url: str) -> str:
    lines = [f"curl -X POST {shlex.quote(url)}"]
    if subject.auth != "public":
        lines.append(CURL_KEY)
    raw = [item for item in told.parameters if item.raw]
    if raw:
        fields = json.loads(_body(told, files=True))
        lines += [f"-F {item.name}=@file" for item in raw]
        lines += [f"-F {shlex.quote(f'{name}={_field(v)}')}" for name, v in fields.items()]
    elif told.parameters or told.more is not None:
        lines.append("-H 'Content-Type: application/json'")
        lines.append(f"-d {shlex.quote(_body(told, files=False))}")
    command = " \\\n  ".join(lines)
    return f"<h2>Example</h2><pre>{escape(command)}</pre>"


def _field(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _try_it(subject: Subject, told: Description) -> str:
    fields = []
    if subject.auth != "public":
        fields.append(
            '<div class=two><label>Key id <input name="id" autocomplete="off"></label>'
            '<label>Key secret <input name="secret" type="password" autocomplete="off"></label>'
            "</div>"
        )
    if told.parameters or told.more is not None:
        text = escape(_body(told, files=True))
        rows = min(20, text.count("\n") + 2)
        fields.append(
            f'<label>Body <textarea name="body" rows="{rows}" spellcheck="false">{text}'
            "</textarea></label>"
        )
    for item in told.parameters:
        if item.raw:
            many = " multiple" if item.many else ""
            fields.append(
                f"<label>{escape(item.name)} "
                f'<input type="file" data-name="{escape(item.name)}"{many}></label>'
            )
    return (
        f"<h2>Try it</h2><form>{''.join(fields)}<p><button>Call</button> "
        '<button type="button" name="stop" disabled>Stop</button> '
        '<output name="status"></output></p></form><pre id="answer" hidden></pre>'
        '<div id="shown"></div>'
    )
