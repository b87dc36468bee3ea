"""A strict reader of what Prometheus reads: it raises where the text is not as it must be."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*"
_HELP = re.compile(rf"# HELP ({_NAME}) (?:[^\\\n]|\\\\|\\n)*")
_TYPE = re.compile(rf"# TYPE ({_NAME}) (counter|gauge|histogram)")
_PAIR = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_PAIR}(?:,{_PAIR})*)\}})? (\S+)")
_ESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


@dataclass
class Family:
    kind: str
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)
    """By the sample's name and labels."""

    def value(self, suffix: str = "", **labels: str) -> float:
        """Of the one sample that has these labels, among others."""
        wanted = set(labels.items())
        hits = [v for (name, had), v in self.samples.items() if name == suffix and wanted <= had]
        assert len(hits) == 1, (labels, self.samples)
        return hits[0]


def parse(text: str) -> dict[str, Family]:
    """Families by name."""
    assert text.endswith("\n")
    found: dict[str, Family] = {}
    name = ""
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            match = _HELP.fullmatch(line)
            assert match and match[1] not in found, line
            name = match[1]
        elif line.startswith("# "):
            match = _TYPE.fullmatch(line)
            assert match and match[1] == name and name not in found, line
            found[name] = Family(match[2])
        else:
            _sample(line, name, found[name])
    for family in found.values():
        if family.kind == "histogram":
            _check(family)
    return found


def _sample(line: str, name: str, family: Family) -> None:
    match = _SAMPLE.fullmatch(line)
    assert match and match[1].startswith(name), line
    suffix = match[1].removeprefix(name)
    assert suffix in (("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)), line
    pairs = re.findall(_PAIR, match[2] or "")
    labels = {k: re.sub(r'\\[\\"n]', lambda found: _ESCAPED[found[0]], v) for k, v in pairs}
    assert len(labels) == len(pairs), line
    key = (suffix, frozenset(labels.items()))
    assert key not in family.samples, line
    family.samples[key] = float(match[len(match.groups())])
    assert family.kind != "counter" or family.samples[key] >= 0


def _check(family: Family) -> None:
    """Buckets only grow, and the last one has all."""
    buckets: dict[frozenset[tuple[str, str]], dict[float, float]] = {}
    for (suffix, labels), value in family.samples.items():
        if suffix == "_bucket":
            (bound,) = [v for k, v in labels if k == "le"]
            rest = frozenset(pair for pair in labels if pair[0] != "le")
            buckets.setdefault(rest, {})[float(bound)] = value
    for labels, counts in buckets.items():
        ordered = [counts[bound] for bound in sorted(counts)]
        assert ordered == sorted(ordered) and max(counts) == float("inf")
        assert family.samples["_count", labels] == ordered[-1]
        assert ("_sum", labels) in family.samples
