"""Streams its answer, a word at a time."""

import time
from collections.abc import Iterator

from fal_serverless import isolated

STORY = "Once upon a time a function was called, and answered while it was still thinking ."


@isolated(serve=True, keep_alive=60)
def story(words: int = 12) -> Iterator[str]:
    """A story of so many WORDS."""
    for word in STORY.split()[:words]:
        print(word)
        time.sleep(0.02)
        yield word + " "
