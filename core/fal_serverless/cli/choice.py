"""An option's value that is one of a few words, written in any case."""

from __future__ import annotations

import click


class AnyCase(click.Choice[str]):
    """Click names such words in lower case, help and errors alike; here they stay as given."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(names, case_sensitive=False)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"[{'|'.join(self.choices)}]"

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:
        return f"{value!r} is not one of {', '.join(map(repr, self.choices))}."
