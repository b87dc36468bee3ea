"""Figures as the text that Prometheus reads, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["counter", "gauge", "histogram"]
Labels = Mapping[str, str]
NO_LABELS: Labels = {}

_IN_LABELS = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})
_IN_HELP = str.maketrans({"\\": "\\\\", "\n": "\\n"})


class Page:
    """Families one after the other; the samples of one follow its `family`."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._name = ""

    def family(self, name: str, kind: Kind, help: str) -> None:
        self._name = name
        self._lines += (f"# HELP {name} {help.translate(_IN_HELP)}", f"# TYPE {name} {kind}")

    def sample(self, value: float, labels: Labels = NO_LABELS) -> None:
        self._lines.append(f"{self._name}{_written(labels)} {number(value)}")

    def histogram(
        self, buckets: Iterable[tuple[float, int]], total: float, labels: Labels = NO_LABELS
    ) -> None:
        """`buckets`: upper ends and how many are within them, the last one infinite."""
        name, count = self._name, 0
        for bound, count in buckets:
            bucket = _written({**labels, "le": number(bound)})
            self._lines.append(f"{name}_bucket{bucket} {count}")
        written = _written(labels)
        self._lines.append(f"{name}_sum{written} {number(total)}")
        self._lines.append(f"{name}_count{written} {count}")

    def text(self) -> str:
        return "\n".join([*self._lines, ""])


def number(value: float) -> str:
    """`3`, `0.25`, `+Inf`, `NaN`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    whole = int(value)
    return str(whole) if whole == value else repr(float(value))


def _written(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{value.translate(_IN_LABELS)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"
