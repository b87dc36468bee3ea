"""What a worker tells about the function in it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec
import pytest

from fal_serverless.errors import WorkerFailed

OURS = f"{sys.version_info[0]}.{sys.version_info[1]}"
REF = "#/components/schemas/"

TYPES = """
import dataclasses, datetime, enum, functools, pathlib, typing, uuid
class Color(enum.Enum):
    RED = "red"
class Shade(enum.Enum):
    DARK = (0, 0.5)
    NONE = "none"
@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5
@dataclasses.dataclass
class Other:
    z: int
class Named(typing.TypedDict, total=False):
    name: str
class Png(bytes):
    content_type = "image/png"
"""


async def described(stage: Any, make_spec: Any, source: str, **more: Any) -> Any:
    spec = make_spec(TYPES + source, from_source=True, **more)
    told = await stage.engine.description(spec, "r-1")
    return msgspec.json.decode(msgspec.json.encode(told))


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        ("int", {"type": "integer"}),
        ("typing.Optional[str]", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ("typing.Literal['b', 'a']", {"enum": ["a", "b"]}),
        ("bytes", {"type": "string", "contentEncoding": "base64"}),
        ("uuid.UUID", {"type": "string", "format": "uuid"}),
        ("datetime.date", {"type": "string", "format": "date"}),
        ("list[Point]", {"type": "array", "items": {"$ref": f"{REF}Point"}}),
        ("Point | Other", {"anyOf": [{"$ref": f"{REF}Point"}, {"$ref": f"{REF}Other"}]}),
        ("pathlib.Path", {"type": "string"}),
        ("Color", {"$ref": f"{REF}Color"}),
        ("Shade", {"title": "Shade", "enum": [[0, 0.5], "none"]}),
        ("Named", {"$ref": f"{REF}Named"}),
        ("typing.Any", {}),
        ("'Unknown'", {}),
        ("list['Unknown']", {}),
        ("typing.Callable[[], int]", {}),
    ],
)
async def test_an_annotation_is_a_schema(
    stage: Any, make_spec: Any, annotation: str, schema: Any
) -> None:
    told = await described(stage, make_spec, f"def f(x: {annotation}, y=0): ...")
    assert told["parameters"][0]["schema"] == schema


async def test_a_function_is_described_without_running_it(stage: Any, make_spec: Any) -> None:
    source = (
        "from fal_serverless import isolated\n"
        "@isolated(serve=True, setup_function=lambda: 1)\n"
        "def f(model, a, b: int = 3, *rest: str, image: bytes = b'\\0', when=datetime.date.min,"
        " odd=print, **more: float) -> Point:\n    raise SystemExit"
    )
    told = await described(stage, make_spec, source)
    assert [(p["name"], p["required"]) for p in told["parameters"]] == [
        ("a", True), ("b", False), ("rest", False), ("image", False), ("when", False),
        ("odd", False),
    ]  # fmt: skip
    assert [p["schema"]["default"] for p in told["parameters"] if "default" in p["schema"]] == [
        3, "AA==", "0001-01-01",
    ]  # fmt: skip
    assert (told["whole"], told["raw"], told["more"]) == (None, "image", {"type": "number"})
    assert told["returns"] == {"content": ["application/json"], "schema": {"$ref": f"{REF}Point"}}
    assert set(told["schemas"]) == {"Point"}


@pytest.mark.parametrize(
    ("source", "content", "schema"),
    [
        ("def f(): ...", ["application/json"], {}),
        ("def f() -> None: ...", ["application/json"], {"type": "null"}),
        ("async def f() -> str: ...", ["application/json"], {"type": "string"}),
        ("def f() -> typing.Awaitable[int]: ...", ["application/json"], {"type": "integer"}),
        ("def f() -> bytes: ...", ["application/octet-stream"], None),
        ("def f() -> Png: ...", ["image/png"], None),
        (
            "def f() -> typing.Iterator[str]: yield ''",
            ["text/plain; charset=utf-8", "text/event-stream"],
            {"type": "string"},
        ),
        (
            "async def f() -> typing.AsyncIterator[Point]: yield",
            ["application/x-ndjson", "text/event-stream"],
            {"$ref": f"{REF}Point"},
        ),
        (
            "def f(): yield",
            [
                "text/plain; charset=utf-8", "application/octet-stream", "application/x-ndjson",
                "text/event-stream",
            ],
            {},
        ),
    ],
)  # fmt: skip
async def test_an_answer_is_described(
    stage: Any, make_spec: Any, source: str, content: list[str], schema: Any
) -> None:
    told = await described(stage, make_spec, source)
    assert told["returns"] == {"content": content, "schema": schema}


PYDANTIC = """
import dataclasses, typing
import pydantic
{import_}
class Item(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=2, alias="itemName")
    below: typing.List["Item"] = []
Item.{rebuild}()
@dataclasses.dataclass
class Box:
    item: Item
def f(item: Item) -> Item: return item
def g(items: typing.List[Item], n: pydantic.PositiveInt = 1): return n
def h(box: Box, either: typing.Union[Item, Box, None] = None): return [box, either]
"""

VERSIONS = {
    "1": ["pydantic<2"],
    "2": ["pydantic>=2"],
}


NO_OLD = pytest.mark.skipif(sys.version_info >= (3, 14), reason="pydantic 1 does not run on it")


@pytest.mark.parametrize(
    "version", ["2", pytest.param("1", marks=NO_OLD), pytest.param("1 in 2", marks=NO_OLD)]
)
async def test_pydantic_in_both_versions(
    stage: Any, make_spec: Any, make_environment: Any, version: str
) -> None:
    into = await asyncio.to_thread(make_environment, OURS, VERSIONS[version[-1]])
    source = PYDANTIC.format(
        import_="from pydantic import v1 as pydantic" if " " in version else "",
        rebuild="update_forward_refs" if version[0] == "1" else "model_rebuild",
    )
    made = {"into": into, "from_source": True}
    whole = make_spec(source, "f", **made)
    told = await stage.engine.description(whole, "r-1")
    assert (told.whole, told.parameters[0].schema) == ("item", {"$ref": f"{REF}Item"})
    assert "itemName" in told.schemas["Item"]["properties"]
    sent = {"itemName": "ab", "below": [{"itemName": "cd"}]}
    got = {"itemName": "ab", "below": [{"itemName": "cd", "below": []}]}
    assert await stage.json(whole, sent) == got
    refused = await stage.json(whole, {"itemName": "ab", "below": [{"itemName": "x"}]})
    assert refused["errors"][0]["loc"] == ["body", "item", "below", 0, "itemName"]
    many = make_spec(source, "g", **made)
    assert await stage.json(many, {"items": [sent], "n": "2"}) == 2
    assert (await stage.call(many, {"items": [sent], "n": 0})).status == 422
    mixed = make_spec(source, "h", **made)
    told = await stage.engine.description(mixed, "r-1")
    assert {"Item", "Box"} <= set(told.schemas)
    answer = await stage.json(mixed, {"box": {"item": sent}, "either": {"item": sent}})
    assert answer == [{"item": got}, {"item": got}]


async def test_it_is_asked_once_and_a_worker_that_fails_says_so(stage: Any, make_spec: Any) -> None:
    spec = make_spec("def f(x: int): ...")
    first = await stage.engine.description(spec, "r-1")
    await stage.engine.close(0)
    assert await stage.engine.description(spec, "r-1") is first
    with pytest.raises(WorkerFailed, match="cannot be loaded"):
        await stage.engine.description(make_spec("raise ValueError", from_source=True), "r-1")
