"""The command line after `:`. Text becomes a command or says what is wrong; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from fal_serverless.errors import listed

Verb = Literal[
    "fn",
    "alias",
    "worker",
    "logs",
    "key",
    "activity",
    "pulse",
    "audit",
    "rev",
    "history",
    "theme",
    "ctx",
    "help",
    "q",
    "run",
]

NAMES: dict[str, Verb] = {
    "fn": "fn",
    "function": "fn",
    "functions": "fn",
    "alias": "alias",
    "aliases": "alias",
    "worker": "worker",
    "workers": "worker",
    "logs": "logs",
    "log": "logs",
    "key": "key",
    "keys": "key",
    "activity": "activity",
    "pulse": "pulse",
    "audit": "audit",
    "rev": "rev",
    "revision": "rev",
    "revisions": "rev",
    "history": "history",
    "theme": "theme",
    "ctx": "ctx",
    "context": "ctx",
    "contexts": "ctx",
    "help": "help",
    "q": "q",
    "q!": "q",
    "quit": "q",
    "exit": "q",
}

MEANING: dict[Verb, str] = {
    "fn": "functions; with a name, that one",
    "alias": "aliases; with a name, that one",
    "rev": "revisions of a function",
    "history": "moves of an alias",
    "logs": "logs of everything, or of NAME",
    "worker": "workers",
    "key": "keys",
    "activity": "what this session did",
    "pulse": "calls, latency and workers over time",
    "audit": "what was changed in the backend, by whom",
    "theme": "another theme",
    "ctx": "another backend; with a name, that one",
    "help": "all keys",
    "q": "quit",
}

TAKES: dict[Verb, Literal["function", "alias", "label", "theme", "context"]] = {
    "fn": "function",
    "rev": "function",
    "alias": "alias",
    "history": "alias",
    "logs": "label",
    "theme": "theme",
    "ctx": "context",
}
NEEDS: tuple[Verb, ...] = ("rev", "history", "theme")
"""Verbs that mean nothing without an argument."""


@dataclass(frozen=True)
class Words:
    """What exists, to be suggested."""

    functions: Sequence[str] = ()
    aliases: Sequence[str] = ()
    labels: Sequence[str] = ()
    themes: Sequence[str] = ()
    contexts: Sequence[str] = ()
    own: Mapping[str, str] = field(default_factory=dict)
    """Commands of the config file, and what they do."""
    meanings: Mapping[str, str] = field(default_factory=dict)
    """What to say beside a name that says nothing by itself."""

    def of(self, verb: Verb) -> Sequence[str]:
        kinds = {
            "function": self.functions,
            "alias": self.aliases,
            "label": self.labels,
            "theme": self.themes,
            "context": self.contexts,
        }
        return kinds[TAKES[verb]] if verb in TAKES else ()


@dataclass(frozen=True)
class Command:
    verb: Verb
    argument: str = ""


@dataclass(frozen=True)
class Suggestion:
    text: str
    """The whole line."""
    meaning: str


def parse(text: str, words: Words) -> Command | str:
    """The command, or what is wrong with it in one line."""
    name, _, argument = text.strip().removeprefix(":").strip().partition(" ")
    verb = NAMES.get(name)
    if verb is None and name in words.own:
        return Command("run", name)
    if verb is None:
        return (
            f"no command '{name}'; there are: {', '.join((*MEANING, *words.own))}" if name else ""
        )
    argument = argument.strip()
    if not argument:
        return f":{name} needs a name" if verb in NEEDS else Command(verb)
    known = words.of(verb)
    if argument in known:
        return Command(verb, argument)
    near = [each for each in known if each.startswith(argument)]
    if len(near) == 1:
        return Command(verb, near[0])
    return f":{name}: no '{argument}'; there are: {listed(known, argument) or 'none'}"


def suggest(text: str, words: Words, limit: int = 8) -> list[Suggestion]:
    """How the line could go on; those that begin with what was typed come first."""
    line = text.lstrip().removeprefix(":")
    name, space, argument = line.partition(" ")
    if not space:
        meanings = {**{str(verb): meaning for verb, meaning in MEANING.items()}, **words.own}
        return [
            Suggestion(verb + (" " if verb in NEEDS else ""), meanings[verb])
            for verb in _ordered(name, list(meanings))[:limit]
        ]
    verb = NAMES.get(name)
    if verb is None:
        return []
    names = _ordered(argument, words.of(verb))[:limit]
    return [Suggestion(f"{name} {each}", words.meanings.get(each, "")) for each in names]


def _ordered(typed: str, known: Sequence[str]) -> list[str]:
    typed = typed.casefold().strip()
    begins = [each for each in known if each.casefold().startswith(typed)]
    holds = [each for each in known if typed in each.casefold() and each not in begins]
    return begins + holds
