"""The echo as people write it with FastAPI."""

from fastapi import FastAPI
from pydantic import BaseModel


class Item(BaseModel):
    text: str


app = FastAPI()


@app.post("/")
def echo(item: Item) -> dict[str, str]:
    return {"text": item.text}
