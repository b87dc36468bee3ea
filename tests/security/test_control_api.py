"""The control API, asked what is made up from its document: each answer is one it tells of.

A few for each operation every day; `test_operations.py` does it at length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fal_serverless.backend.api import openapi
from fal_serverless.backend.api.app import ROUTES
from running import RunningBackend, StartBackend
from security.fuzzing import EXAMPLES, fuzz
from security.tally import tried

pytestmark = pytest.mark.bad("control API from its document")
DOCUMENT = msgspec.json.decode(msgspec.json.encode(openapi.document(ROUTES)))
SHARED = DOCUMENT["components"]["schemas"]
JSON, EVENTS = "application/json", "text/event-stream"


def value_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What the schema allows, and now and then what it does not."""
    if "$ref" in schema:
        return value_of(SHARED[schema["$ref"].rpartition("/")[2]])
    if "enum" in schema:
        return st.one_of(st.sampled_from(schema["enum"]), st.text(max_size=5))
    if "anyOf" in schema:
        return st.one_of([value_of(each) for each in schema["anyOf"]])
    kind = schema.get("type")
    odd = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.just([]))
    if kind == "object":
        named = schema.get("properties", {})
        return st.fixed_dictionaries(
            {}, optional={name: value_of(each) for name, each in named.items()}
        )
    if kind in ("number", "integer"):
        least, most = schema.get("minimum"), schema.get("maximum")
        bounds = [bound for bound in (least, most) if bound is not None]
        near = [st.sampled_from([bound - 1, bound, bound + 1]) for bound in bounds]
        some = st.floats(allow_nan=False, allow_infinity=False)
        return st.one_of(st.integers(), some, odd, *near)
    if "pattern" in schema:
        return st.one_of(st.from_regex(schema["pattern"]), st.text(max_size=30), odd)
    return st.one_of(st.text(max_size=30), odd)


@dataclass(frozen=True)
class Stand:
    backend: RunningBackend
    http: httpx.Client


@pytest.fixture(scope="module")
def stand(backends: StartBackend) -> Any:
    backend = backends()
    key = {"Authorization": f"Key {backend.key}"}
    with httpx.Client(base_url=backend.url, headers=key, trust_env=False, timeout=30) as http:
        yield Stand(backend, http)


def test_the_document_that_is_served_is_the_one_that_is_used_here(stand: Stand) -> None:
    assert stand.http.get(openapi.PATH).json() == DOCUMENT


@pytest.mark.parametrize(("method", "path"), list(openapi.ABOUT))
def test_every_answer_is_one_that_the_document_tells_of(
    stand: Stand, method: str, path: str
) -> None:
    told = DOCUMENT["paths"][path][method.lower()]
    contents = told.get("requestBody", {}).get("content", {})
    rubbish = st.binary(max_size=40)
    body = value_of(contents[JSON]["schema"]) if JSON in contents else st.none()
    place = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
    query = {p["name"]: value_of(p["schema"]) for p in told["parameters"] if p["in"] == "query"}

    @settings(fuzz, max_examples=max(4, EXAMPLES // 25))
    @given(st.one_of(body, rubbish), place, st.fixed_dictionaries({}, optional=query))
    def ask(content: Any, name: str, params: dict[str, Any]) -> None:
        tried()
        url = re.sub(r"\{\w+\}", quote(name, safe=""), path)
        sent = {"content": content} if isinstance(content, bytes) else {"json": content}
        shown = {
            key: str(value).encode("utf-8", "replace").decode() for key, value in params.items()
        }
        try:
            request = stand.http.build_request(method, url, params=shown, **sent)
        except UnicodeEncodeError:
            return
        # Some streams never end: what they are shows at their beginning.
        answer = stand.http.send(request, stream=True)
        try:
            check(answer, openapi.ABOUT[method, path])
        finally:
            answer.close()

    ask()


def check(answer: httpx.Response, about: openapi.About) -> None:
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if answer.status_code >= 400:
        answer.read()
        assert answer.status_code < 500, answer.text
        assert kind == JSON
        msgspec.json.decode(answer.content, type=openapi.ErrorBody)
        return
    assert answer.status_code == about.status
    if about.gives is None:
        assert answer.read() == b""
        return
    assert kind == about.kind
    if kind == JSON:
        msgspec.json.decode(answer.read(), type=about.gives)
    elif kind == EVENTS:
        assert next(answer.iter_lines()) == ": open"
