"""What a caller sends, and what the function gets."""

from __future__ import annotations

from typing import Any

import pytest


async def test_keys_of_the_body_are_parameters(stage: Any, make_spec: Any) -> None:
    spec = make_spec("def f(text, times=2): return text * times")
    assert await stage.json(spec, {"text": "ab"}) == "abab"
    assert await stage.json(spec, {"text": "ab", "times": 3}) == "ababab"


async def test_query_parameters_are_parameters_and_the_body_wins(
    stage: Any, make_spec: Any
) -> None:
    spec = make_spec("def f(text: str, times: int = 1): return text * times")
    assert await stage.json(spec, b"", query=[("text", "a"), ("times", "3")]) == "aaa"
    assert await stage.json(spec, {"text": "b"}, query=[("text", "a"), ("times", "2")]) == "bb"


async def test_a_form_is_like_a_query_and_json_under_curls_default_type_is_json(
    stage: Any, make_spec: Any
) -> None:
    spec = make_spec("def f(text): return text")
    kind = "application/x-www-form-urlencoded"
    assert await stage.json(spec, b"text=a+b", content_type=kind) == "a b"
    assert await stage.json(spec, b'{"text": "x"}', content_type=kind) == "x"


TYPES = """
import dataclasses, datetime, enum, pathlib, typing, uuid
class Color(enum.Enum):
    RED = "red"
@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5
class Named(typing.TypedDict):
    name: str
def f({parameter}):
    return [type({name}).__name__, str({name})]
"""


@pytest.mark.parametrize(
    ("parameter", "value", "got"),
    [
        ("n: int", 3, ["int", "3"]),
        ("n: int", "3", ["int", "3"]),
        ("n: float", 3, ["float", "3.0"]),
        ("b: bool", True, ["bool", "True"]),
        ("c: Color", "red", ["Color", "Color.RED"]),
        ("d: datetime.date", "2024-05-06", ["date", "2024-05-06"]),
        ("u: uuid.UUID", "12345678123456781234567812345678", None),
        ("o: typing.Optional[int]", None, ["NoneType", "None"]),
        ("o: int | str", "3", ["str", "3"]),
        ("l: typing.Literal['a', 'b']", "b", ["str", "b"]),
        ("path: pathlib.Path", "/x", ["PosixPath", "/x"]),
        ("a: 'Unknown'", 5, ["int", "5"]),
    ],
)
async def test_annotated_values_are_converted(
    stage: Any, make_spec: Any, parameter: str, value: Any, got: Any
) -> None:
    name = parameter.partition(":")[0]
    spec = make_spec(TYPES.format(parameter=parameter + ", other=0", name=name))
    answer = await stage.json(spec, {name: value})
    assert answer == (got or ["UUID", "12345678-1234-5678-1234-567812345678"])


@pytest.mark.parametrize(
    ("parameter", "body", "got"),
    [
        ("p: Point", {"x": 1}, ["Point", "Point(x=1, y=0.5)"]),
        ("p: dict", {"p": 1}, ["dict", "{'p': 1}"]),
        ("p: Named", {"name": "n"}, ["dict", "{'name': 'n'}"]),
        ("p: list[int]", [1, 2], ["list", "[1, 2]"]),
        ("p: list[int]", {"p": [1, 2]}, ["list", "[1, 2]"]),
        ("p: typing.Optional[Point]", {"x": 1, "y": 2}, ["Point", "Point(x=1, y=2.0)"]),
    ],
)
async def test_the_only_parameter_takes_the_whole_body(
    stage: Any, make_spec: Any, parameter: str, body: Any, got: Any
) -> None:
    assert await stage.json(make_spec(TYPES.format(parameter=parameter, name="p")), body) == got


async def test_query_values_of_a_list_are_collected(stage: Any, make_spec: Any) -> None:
    spec = make_spec("def f(n: list[int], m: int = 0): return n")
    assert await stage.json(spec, b"", query=[("n", "1"), ("n", "2")]) == [1, 2]


async def test_bytes_take_the_body_as_it_is(stage: Any, make_spec: Any) -> None:
    spec = make_spec("def f(data: bytes): return data[::-1]")
    reply = await stage.call(spec, b"\x00\xff", content_type="application/octet-stream")
    assert (reply.body, reply.headers) == (
        b"\xff\x00",
        [("content-type", "application/octet-stream")],
    )


async def test_positional_only_and_any_keyword(stage: Any, make_spec: Any) -> None:
    spec = make_spec("def f(a, /, b, **rest): return [a, b, rest]")
    assert await stage.json(spec, {"b": 2, "a": 1, "c": 3}) == [1, 2, {"c": 3}]


async def test_the_seeds_call_says_what_is_wrong(stage: Any, make_spec: Any) -> None:
    spec = make_spec("def call_text(text):\n    return text", "call_text")
    reply = await stage.call(spec, {"str": "str to be returned"})
    assert reply.status == 422
    body = await stage.json(spec, {"str": "str to be returned"})
    assert body["detail"] == "call_text() has no parameter 'str'; it takes: text (missing)"
    assert body["error_type"] == "invalid_call"
    assert body["errors"][0]["loc"] == ["body", "str"]


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"{", 400, "the body is not JSON"),
        (b"{}", 422, "f() is missing parameter 'n'; it takes: n (missing), m"),
        (b"[1]", 422, "the body must be a JSON object with the parameters of f() as keys (n, m)"),
        (b'{"n": "x"}', 422, "f(): parameter 'n' does not fit: Expected `int`, got `str`"),
        (b'{"n": 1, "m": [1, "y"]}', 422, "does not fit: Expected `int`, got `str` (at 1)"),
        (b'{"n": 1, "k": 1, "j": 2}', 422, "f() has no parameters 'k', 'j'; it takes: n, m"),
    ],
)
async def test_what_does_not_fit_is_named(
    stage: Any, make_spec: Any, body: bytes, status: int, detail: str
) -> None:
    spec = make_spec("def f(n: int, m: list[int] = ()): return n")
    reply = await stage.call(spec, body)
    assert reply.status == status
    assert detail in (await stage.json(spec, body))["detail"]


async def test_a_type_error_inside_is_not_the_callers_fault(stage: Any, make_spec: Any) -> None:
    reply = await stage.call(make_spec("def f(n): return n + 1"), {"n": "x"})
    assert reply.status == 500


async def test_the_setup_functions_result_comes_first(stage: Any, make_spec: Any) -> None:
    source = "def load(): return {'a': 'A'}\ndef f(model, key): return model[key]"
    spec = make_spec(source, setup="load", setup_function=len)
    assert await stage.json(spec, {"key": "a"}) == "A"
    assert "has no parameter 'model'" in (await stage.json(spec, {"model": 1}))["detail"]


PYDANTIC = """
import pydantic
class Item(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=2)
    price: float
def f(item: Item): return item
def g(items: list[Item], tax: float = 0): return sum(i.price for i in items) + tax
"""


async def test_models_of_pydantic_are_pydantics(
    stage: Any, make_spec: Any, make_environment: Any
) -> None:
    import asyncio

    into = await asyncio.to_thread(make_environment, "3.11", ["pydantic"])
    spec = make_spec(PYDANTIC, "f", into=into, from_source=True)
    assert await stage.json(spec, {"name": "ab", "price": "2"}) == {"name": "ab", "price": 2.0}
    refused = await stage.json(spec, {"name": "a"})
    assert {tuple(error["loc"]) for error in refused["errors"]} == {
        ("body", "item", "name"),
        ("body", "item", "price"),
    }
    many = make_spec(PYDANTIC, "g", into=into, from_source=True)
    assert await stage.json(many, {"items": [{"name": "ab", "price": 2}], "tax": 1}) == 3.0
    assert (
        "price: Field required" in (await stage.json(many, {"items": [{"name": "ab"}]}))["detail"]
    )
