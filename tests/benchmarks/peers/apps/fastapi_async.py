"""The echo with FastAPI, on the event loop and through a pydantic model both ways."""

from fastapi import FastAPI
from pydantic import BaseModel


class Item(BaseModel):
    text: str


app = FastAPI()


@app.post("/")
async def echo(item: Item) -> Item:
    return item
