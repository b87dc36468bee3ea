"""What is another between two revisions: source, requirements, options. Pure."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from fal_serverless.models import Revision
from fal_tui.palette import Palette


@dataclass(frozen=True)
class Difference:
    """From one revision to another."""

    source: tuple[str, ...]
    """Lines of a unified diff without its two heading lines; empty when equal."""
    options: tuple[tuple[str, Any, Any], ...]
    """(name, before, after), without requirements."""
    added: tuple[str, ...]
    """Requirements."""
    removed: tuple[str, ...]
    python: tuple[str, str] | None
    """Versions before and after; None when equal."""

    @property
    def empty(self) -> bool:
        return not (self.source or self.options or self.added or self.removed or self.python)


def compare(before: Revision, after: Revision) -> Difference:
    old, new = before.bundle, after.bundle
    lines = difflib.unified_diff(old.source.splitlines(), new.source.splitlines(), lineterm="", n=3)
    had, has = _requirements(before), _requirements(after)
    return Difference(
        source=tuple(lines)[2:],
        options=_options(
            {**old.options, "from_source": old.from_source},
            {**new.options, "from_source": new.from_source},
        ),
        added=tuple(each for each in has if each not in had),
        removed=tuple(each for each in had if each not in has),
        python=None
        if old.python_version == new.python_version
        else (old.python_version, new.python_version),
    )


def _requirements(revision: Revision) -> tuple[str, ...]:
    return tuple(revision.bundle.options.get("requirements") or ())


def _options(old: dict[str, Any], new: dict[str, Any]) -> tuple[tuple[str, Any, Any], ...]:
    names = sorted((old.keys() | new.keys()) - {"requirements"})
    return tuple((n, old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n))


def draw(difference: Difference, palette: Palette) -> Text:
    """For people: what changed besides the source first, then the source."""
    if difference.empty:
        return Text("No difference: same source, options and requirements.", palette.muted)
    lines = [*_facts(difference, palette), *_source(difference, palette)]
    return Text("\n").join(lines)


def _facts(difference: Difference, palette: Palette) -> list[Text]:
    lines = [Text(f"+ {each}", palette.good) for each in difference.added]
    lines += [Text(f"- {each}", palette.bad) for each in difference.removed]
    if lines:
        lines.insert(0, Text("requirements", "bold"))
    changed = list(difference.options)
    if difference.python:
        changed.append(("python", *difference.python))
    if changed:
        lines.append(Text("options", "bold"))
    for name, before, after in changed:
        line = Text(f"  {name}: ").append(_word(before), palette.bad)
        lines.append(line.append(" → ", palette.muted).append(_word(after), palette.good))
    return lines


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _source(difference: Difference, palette: Palette) -> list[Text]:
    if not difference.source:
        return []
    tones = {"+": palette.good, "-": palette.bad, "@": palette.accent}
    return [Text("source", "bold")] + [
        Text(line.expandtabs(4), tones.get(line[:1], "")) for line in difference.source
    ]
