"""Functions with something to tell about themselves."""

from __future__ import annotations

import dataclasses
import enum
import typing

from fal_serverless import isolated


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


@dataclasses.dataclass
class Item:
    name: str
    size: Size = Size.SMALL
    tags: typing.List[str] = dataclasses.field(default_factory=list)


def stock() -> dict[str, int]:
    return {"tea": 3}


@isolated(serve=True, keep_alive=60, setup_function=stock)
def order(
    stock: dict[str, int],
    items: list[Item],
    note: typing.Optional[str] = None,
    *,
    rate: float = 0.5,
) -> dict[str, int]:
    """Order <b>items</b>.

    Everything that is in stock is sent at once.
    """
    return {item.name: stock.get(item.name, 0) for item in items}


@isolated(serve=True, keep_alive=60)
def thumbnail(picture: bytes, width: int = 10) -> bytes:
    return picture[:width]


@isolated(serve=True, keep_alive=60)
def words(text: str) -> typing.Iterator[str]:
    yield from text.split()


@isolated(serve=True, keep_alive=60)
def put(item: Item) -> Item:
    return item
