"""What a caller sends, and what the function gets."""

from __future__ import annotations

import sys
from typing import Any

import pytest

OURS = f"{sys.version_info[0]}.{sys.version_info[1]}"


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
import dataclasses, datetime, decimal, enum, pathlib, typing, uuid
class Color(enum.Enum):
    RED = "red"
class Shade(enum.Enum):
    DARK = (0, 0.5)
@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5
@dataclasses.dataclass
class Other:
    z: int
class Tree(typing.TypedDict):
    below: "list[Tree]"
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
        ("c: Shade", [0, 0.5], ["Shade", "Shade.DARK"]),
        ("c: typing.Optional[Shade]", [0, 0.5], ["Shade", "Shade.DARK"]),
        ("d: datetime.date", "2024-05-06", ["date", "2024-05-06"]),
        (
            "u: uuid.UUID",
            "12345678123456781234567812345678",
            ["UUID", "12345678-1234-5678-1234-567812345678"],
        ),
        ("o: typing.Optional[int]", None, ["NoneType", "None"]),
        ("o: int | str", "3", ["str", "3"]),
        ("l: typing.Literal['a', 'b']", "b", ["str", "b"]),
        ("path: pathlib.Path", "/x", ["PosixPath", "/x"]),
        ("a: 'Unknown'", 5, ["int", "5"]),
        ("s: set[int]", [1, 1], ["set", "{1}"]),
        ("t: tuple[int, str]", [1, "a"], ["tuple", "(1, 'a')"]),
        ("f: frozenset[str]", ["a"], ["frozenset", "frozenset({'a'})"]),
        ("d: decimal.Decimal", "1.10", ["Decimal", "1.10"]),
        ("d: decimal.Decimal", 1.5, ["Decimal", "1.5"]),
        ("d: datetime.datetime", "2024-05-06T07:08:09Z", ["datetime", "2024-05-06 07:08:09+00:00"]),
        ("d: datetime.timedelta", "P1D", ["timedelta", "1 day, 0:00:00"]),
        ("i: int", 2**80, ["int", str(2**80)]),
        ("s: str", "ä\U0001f600\u2028", ["str", "ä\U0001f600\u2028"]),
        ("x: Point | Other", {"z": 1}, ["Other", "Other(z=1)"]),
        ("x: Point | Other | None", None, ["NoneType", "None"]),
        ("x: typing.Annotated[int, 'note']", "7", ["int", "7"]),
        ("x: list[Point]", [{"x": 1}], ["list", "[Point(x=1, y=0.5)]"]),
        ("x: dict[str, Point]", {"a": {"x": 1}}, ["dict", "{'a': Point(x=1, y=0.5)}"]),
        ("x: Tree", {"below": []}, ["dict", "{'below': []}"]),
    ],
)
async def test_annotated_values_are_converted(
    stage: Any, make_spec: Any, parameter: str, value: Any, got: Any
) -> None:
    name = parameter.partition(":")[0]
    source = TYPES.format(parameter=parameter + ", other=0", name=name)
    spec = make_spec(source, from_source=True)
    answer = await stage.json(spec, {name: value})
    assert answer == got


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


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated where they stand")
async def test_annotations_for_checkers_only_cost_the_others_nothing(
    stage: Any, make_spec: Any
) -> None:
    spec = make_spec(
        "import typing\nif typing.TYPE_CHECKING: from shop import Order\n"
        "def f(n: int, order: list[Order] = None) -> Order: return [n, order]"
    )
    assert await stage.json(spec, {"n": "3", "order": "x"}) == [3, "x"]


async def test_query_values_of_a_list_are_collected(stage: Any, make_spec: Any) -> None:
    spec = make_spec("def f(n: list[int], m: int = 0): return n")
    assert await stage.json(spec, b"", query=[("n", "1"), ("n", "2")]) == [1, 2]


async def test_nan_is_no_json_but_a_query_may_say_it(stage: Any, make_spec: Any) -> None:
    spec = make_spec("def f(x: float): return [str(x), x]")
    assert (await stage.call(spec, b'{"x": NaN}')).status == 400
    assert await stage.json(spec, b"", query=[("x", "nan")]) == ["nan", None]


async def test_bytes_take_the_body_as_it_is(stage: Any, make_spec: Any) -> None:
    spec = make_spec("def f(data: bytes): return data[::-1]")
    reply = await stage.call(spec, b"\x00\xff", content_type="application/octet-stream")
    assert (reply.body, reply.headers) == (
        b"\xff\x00",
        [("content-type", "application/octet-stream")],
    )


async def test_bytes_leave_the_other_parameters_to_the_query(stage: Any, make_spec: Any) -> None:
    spec = make_spec("def f(image: bytes, width: int = 1): return [len(image), width]")
    picture = b"\x89PNG=&"
    query = [("width", "3")]
    for kind in ("image/png", "", "application/x-www-form-urlencoded"):
        assert await stage.json(spec, picture, content_type=kind, query=query) == [6, 3]
    assert await stage.json(spec, {"image": "AAA="}, content_type="application/json") == [2, 1]
    form = "application/x-www-form-urlencoded"
    assert await stage.json(spec, b"width=4&image=AAA=", content_type=form) == [2, 4]


def multipart(*fields: tuple[str, bytes]) -> dict[str, Any]:
    lines = [
        b"--XX\r\nContent-Disposition: form-data; %s\r\nX-More: 1\r\n\r\n%s\r\n"
        % (head.encode(), content)
        for head, content in fields
    ]
    body = b"".join([*lines, b"--XX--\r\n"])
    return {"body": body, "content_type": 'multipart/form-data; boundary="XX"'}


FILES = """
import dataclasses
@dataclasses.dataclass
class Point:
    x: int
def f(image: bytes, n: int = 0, point: Point = None, note: str = ""):
    return [list(image), n, point, note]
def g(files: list[bytes], tags: list[str] = ()): return [[len(f) for f in files], tags]
def h(anything): return str(anything)
"""


async def test_a_form_with_files(stage: Any, make_spec: Any) -> None:
    sent = multipart(
        ('name="image"; filename="ä b.png"', b"\r\n--X\x00"),
        ('name="n"', b"4"),
        ('name="point"', b'{"x": "1"}'),
        ('name="note"; filename="note.txt"', "grün".encode()),
    )
    got = await stage.json(make_spec(FILES), **sent)
    assert got == [[13, 10, 45, 45, 88, 0], 4, {"x": 1}, "grün"]
    many = multipart(
        *[('name="files"; filename="a"', b"x" * n) for n in (1, 2)],
        ('name="tags"', b"t"),
    )
    assert await stage.json(make_spec(FILES, "g"), **many) == [[1, 2], ["t"]]
    untyped = make_spec(FILES, "h")
    one = multipart(('name="anything"; filename="a"', b"\xff"))
    assert await stage.json(untyped, **one) == "b'\\xff'"
    assert await stage.json(untyped, **multipart(('name="anything"', b"text"))) == "text"


@pytest.mark.parametrize(
    ("sent", "status", "detail"),
    [
        (multipart(('name="note"', b"\xff")), 422, "'note' takes text"),
        (multipart(('name="image"', b""), ('name="n"', b"x")), 422, "'n' does not fit"),
        (multipart(('name="other"', b"")), 422, "has no parameter 'other'"),
        (multipart(('filename="other"', b"")), 400, "a part has no name"),
        ({"body": b"--XX", "content_type": "multipart/form-data; boundary=XX"}, 400, "boundary"),
        ({"body": b"--XX", "content_type": "multipart/form-data"}, 400, "names no boundary"),
    ],
)
async def test_a_form_that_does_not_fit(
    stage: Any, make_spec: Any, sent: Any, status: int, detail: str
) -> None:
    reply = await stage.call(make_spec(FILES), **sent)
    assert (reply.status, detail in reply.body.decode()) == (status, True)


SIGNATURES = """
def only(a, b=2, c=3, /): return [a, b, c]
def rest(a, b=2, *more: int, key="k"): return [a, b, *more, key]
def numbers(*values: float): return sum(values)
def keyword(*, a: int, b: int = 2): return a * b
def anything(**more: int): return more
def nothing(): return "nothing"
def given(model, key, **more): return [model, key, more]
def load(): return "M"
def none(n: int = None): return n
"""


@pytest.mark.parametrize(
    ("name", "body", "got"),
    [
        ("only", {"a": 1}, [1, 2, 3]),
        ("only", {"c": 5, "a": 1}, [1, 2, 5]),
        ("rest", {"a": 1}, [1, 2, "k"]),
        ("rest", {"a": 1, "more": [5, "6"], "key": "x"}, [1, 2, 5, 6, "x"]),
        ("numbers", [1, 2.5], 3.5),
        ("numbers", {"values": [1, 2]}, 3.0),
        ("numbers", b"", 0),
        ("keyword", {"a": 4}, 8),
        ("anything", {"x": "1", "Ünï": 2}, {"x": 1, "Ünï": 2}),
        ("nothing", b"", "nothing"),
        ("nothing", b"{}", "nothing"),
        ("nothing", b"null", "nothing"),
        ("given", {"key": 1, "x": 2}, ["M", 1, {"x": 2}]),
        ("none", {"n": None}, None),
        ("none", {"n": 1}, 1),
    ],
)
async def test_every_kind_of_parameter(
    stage: Any, make_spec: Any, name: str, body: Any, got: Any
) -> None:
    options = {"setup": "load", "setup_function": len} if name == "given" else {}
    assert await stage.json(make_spec(SIGNATURES, name, **options), body) == got


@pytest.mark.parametrize(
    ("name", "body", "detail"),
    [
        ("rest", {"a": 1, "more": "x"}, "rest(): parameter 'more' does not fit"),
        ("anything", {"x": "y"}, "anything(): parameter 'x' does not fit: Expected `int`"),
        ("nothing", {"x": 1}, "nothing() has no parameter 'x'; it takes none"),
        ("given", {"key": 1, "model": 2}, "given() has no parameter 'model'; it takes: key"),
        ("keyword", {"b": 1}, "keyword() is missing parameter 'a'"),
    ],
)
async def test_what_fits_no_kind_is_refused(
    stage: Any, make_spec: Any, name: str, body: Any, detail: str
) -> None:
    options = {"setup": "load", "setup_function": len} if name == "given" else {}
    reply = await stage.call(make_spec(SIGNATURES, name, **options), body)
    assert reply.status == 422
    assert detail in reply.body.decode()


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


@pytest.mark.parametrize("kind", ["typing.Literal['a', 2]", "Choice", "typing.Optional[Choice]"])
async def test_a_wrong_choice_is_told_what_there_is(stage: Any, make_spec: Any, kind: str) -> None:
    source = "import enum, typing\nclass Choice(enum.Enum):\n    A = 'a'\n    B = 2\n"
    spec = make_spec(f"{source}def f(x: {kind}): return x", from_source=True)
    assert await stage.json(spec, {"x": "a"}) == "a"
    assert await stage.json(spec, b"", query=[("x", "a")]) == "a"
    refused = await stage.json(spec, {"x": "c"})
    assert refused["detail"].endswith("Invalid enum value 'c'; it may be 'a', 2")


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

    into = await asyncio.to_thread(make_environment, OURS, ["pydantic"])
    spec = make_spec(PYDANTIC, "f", into=into, from_source=True)
    assert await stage.json(spec, {"name": "ab", "price": "2"}) == {"name": "ab", "price": 2.0}
    refused = await stage.json(spec, {"name": "a"})
    assert {tuple(error["loc"]) for error in refused["errors"]} == {
        ("body", "item", "name"),
        ("body", "item", "price"),
    }
    many = make_spec(PYDANTIC, "g", into=into, from_source=True)
    assert await stage.json(many, {"items": [{"name": "ab", "price": 2}], "tax": 1}) == 3.0
    refused = await stage.json(many, {"items": [{"name": "ab"}]})
    assert "Field required (at 0.price)" in refused["detail"]
    assert refused["errors"][0]["loc"] == ["body", "items", 0, "price"]
