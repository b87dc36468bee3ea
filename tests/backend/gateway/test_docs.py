"""What an endpoint tells about its function: the OpenAPI document and the page."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from fal_serverless.backend.engine.description import Description, Returned
from fal_serverless.backend.gateway import docs, openapi
from fal_serverless.client import Client
from running import RunningBackend
from serving import serve

ANYTHING = Description((), None, None, None, Returned(("application/json",), {}), {})


async def ask(backend: RunningBackend, url: str, page: str, **options: Any) -> httpx.Response:
    headers = options.pop("headers", {"Authorization": f"Key {backend.key}"})
    async with httpx.AsyncClient(timeout=30) as http:
        return await http.request(
            options.pop("method", "GET"), f"{url}{page}", headers=headers, **options
        )


@pytest.fixture
async def order(backend: RunningBackend, client: Client) -> str:
    return (await serve(backend, client, "shop.py", "order", "docs-order")).path_url


async def test_the_document_tells_how_to_call(backend: RunningBackend, order: str) -> None:
    answer = await ask(backend, order, "/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert document["openapi"] == "3.1.0"
    assert document["info"]["title"] == "order"
    assert document["servers"] == [{"url": "/1/docs-order"}]
    operation = document["paths"]["/"]["post"]
    body = operation["requestBody"]["content"]["application/json"]
    assert body["schema"] == {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "rate": {"type": "number", "default": 0.5},
        },
        "required": ["items"],
        "additionalProperties": False,
    }
    assert [p["name"] for p in operation["parameters"]] == ["items", "note", "rate"]
    assert operation["responses"]["200"]["content"] == {
        "application/json": {
            "schema": {"type": "object", "additionalProperties": {"type": "integer"}}
        }
    }
    assert {"401", "403", "422", "500"} <= set(operation["responses"])
    assert [set(form) for form in operation["security"]] == [
        {"key"}, {"basic"}, {"header_id", "header_secret"}, {"query_id", "query_secret"},
    ]  # fmt: skip
    assert set(document["components"]["schemas"]) == {"Item", "Size", "Problem"}


async def test_the_example_in_the_document_is_a_call_that_works(
    backend: RunningBackend, client: Client, order: str
) -> None:
    for name in ("order", "thumbnail", "words", "put"):
        url = order
        if name != "order":
            url = (await serve(backend, client, "shop.py", name, f"docs-{name}")).path_url
        document = (await ask(backend, url, "/openapi.json")).json()
        body = document["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]
        answer = await ask(backend, url, "/", method="POST", json=body["example"])
        assert answer.status_code == 200, answer.text
        kind = answer.headers["content-type"]
        assert kind in document["paths"]["/"]["post"]["responses"]["200"]["content"]


async def test_the_page_shows_everything_and_asks_nobody_else(
    backend: RunningBackend, order: str
) -> None:
    answer = await ask(backend, order, "/docs")
    page = answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<code>order(items, note, rate)</code>" in page
    assert "Order &lt;b&gt;items&lt;/b&gt;." in page and "<b>items" not in page
    assert 'list of <a href="#type-Item">Item</a>' in page
    assert f"curl -X POST http://127.0.0.1:{backend.port}/1/docs-order/" in page
    assert not re.search(r"(src|href)=\"?(https?:|//)", page)
    policy = answer.headers["content-security-policy"]
    nonces = set(re.findall(r'nonce="([^"]+)"', page))
    assert len(nonces) == 1 and f"script-src 'nonce-{nonces.pop()}'" in policy
    assert "default-src 'none'" in policy


async def test_both_follow_the_endpoints_auth(
    backend: RunningBackend, client: Client, order: str
) -> None:
    for page in ("/docs", "/openapi.json"):
        assert (await ask(backend, order, page, headers={})).status_code == 401
    await client.set_auth("docs-order", "public")
    document = (await ask(backend, order, "/openapi.json", headers={})).json()
    operation = document["paths"]["/"]["post"]
    assert operation["security"] == []
    assert not {"401", "403"} & set(operation["responses"])
    page = await ask(backend, order, "/docs", headers={})
    assert page.status_code == 200 and "Key secret" not in page.text
    await client.set_auth("docs-order", "private")


async def test_they_answer_to_get_and_head_only_and_by_host(
    backend: RunningBackend, order: str
) -> None:
    head = await ask(backend, order, "/docs", method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    post = await ask(backend, order, "/docs", method="POST")
    assert (post.status_code, post.headers["allow"]) == (405, "GET, HEAD")
    host = f"1-docs-order.gateway.localhost:{backend.port}"
    key = {"Authorization": f"Key {backend.key}", "Host": host}
    by_host = await ask(backend, backend.url, "/openapi.json", headers=key)
    assert by_host.json()["servers"] == [{"url": "/"}]
    page = await ask(backend, backend.url, "/docs", headers=key)
    assert f"http://{host}/" in page.text


async def test_a_function_that_takes_files_is_told_so(
    backend: RunningBackend, client: Client
) -> None:
    served = await serve(backend, client, "shop.py", "thumbnail", "docs-thumbnail")
    document = (await ask(backend, served.path_url, "/openapi.json")).json()
    content = document["paths"]["/"]["post"]["requestBody"]["content"]
    assert set(content) == {
        "application/json", "application/octet-stream", "multipart/form-data",
    }  # fmt: skip
    page = (await ask(backend, served.path_url, "/docs")).text
    assert '<input type="file" data-name="picture">' in page
    assert "-F picture=@file" in page
    sent = {"picture": ("a.bin", b"\0\1\2\3")}
    answer = await ask(
        backend, served.path_url, "/", method="POST", files=sent, data={"width": "2"}
    )
    assert (answer.status_code, answer.content) == (200, b"\0\1")


def subject(**changes: Any) -> openapi.Subject:
    values = {"name": "f", "doc": "", "revision": "r", "auth": "public", "path": "", "base": ""}
    return openapi.Subject(**(values | changes))


def test_a_function_without_parameters_has_no_body() -> None:
    operation = openapi.document(subject(), ANYTHING)["paths"]["/"]["post"]
    assert "requestBody" not in operation
    page, _ = docs.page(subject(), ANYTHING, "http://x/")
    assert "<textarea" not in page and "None." in page


def test_a_type_of_the_users_keeps_its_name() -> None:
    told = Description((), None, None, None, ANYTHING.returns, {"Problem": {"type": "null"}})
    schemas = openapi.document(subject(), told)["components"]["schemas"]
    assert schemas["Problem"] == {"type": "null"}
    assert "detail" in schemas["Problem_"]["properties"]


def test_text_of_the_author_cannot_leave_its_place() -> None:
    evil = "</script><script>alert(1)</script>"
    told = Description((), None, None, {"enum": [evil]}, ANYTHING.returns, {evil: {"enum": [evil]}})
    page, _ = docs.page(subject(name=evil, doc=evil), told, f"http://{evil}/")
    assert page.count("<script") == page.count("</script") == 1


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, "anything"),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "number", "maximum": -1}, -1),
        ({"type": "number", "exclusiveMaximum": 0}, -0.5),
        ({"type": "string", "minLength": 6}, "text.."),
        ({"type": "string", "format": "date"}, "2024-05-06"),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, True),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {"const": 2}]}, [1, 2]),
        ({"type": "array", "items": {"enum": ["a"]}, "minItems": 2}, ["a", "a"]),
        ({"type": ["null", "string"]}, None),
        ({"$ref": "#/components/schemas/T"}, {"n": 1}),
    ],
)
def test_an_example_fits_its_schema(schema: Any, value: Any) -> None:
    integer = {"type": "integer"}
    shared = {"T": {"type": "object", "properties": {"n": integer, "m": {}}, "required": ["n"]}}
    assert openapi.example(schema, shared) == value


def test_an_example_of_a_type_that_holds_itself_ends() -> None:
    loop = {"type": "object", "properties": {"t": {"$ref": "#/x/T"}}, "required": ["t"]}
    assert openapi.example({"$ref": "#/x/T"}, {"T": loop}) is not None


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({}, "anything"),
        (True, "anything"),
        ({"type": "integer", "exclusiveMinimum": 0}, "integer (&gt; 0)"),
        ({"type": "string", "contentEncoding": "base64"}, "bytes"),
        ({"type": "array", "items": {"type": "string"}}, "list of string"),
        ({"type": "array", "prefixItems": [{"type": "string"}, {}]}, "[string, anything]"),
        ({"type": "object", "additionalProperties": {"type": "null"}}, "object of null"),
        ({"enum": ["a", 1]}, "<code>&quot;a&quot;</code> or <code>1</code>"),
    ],
)
def test_a_schema_in_words(schema: Any, said: str) -> None:
    assert docs.words(schema) == said
