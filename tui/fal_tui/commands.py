"""The command line after `:`. Text becomes a command or says what is wrong; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from fal_serverless.endpoint import ALIAS
from fal_serverless.errors import listed
from fal_tui.bound import UNTOLD, Bound
from fal_tui.naming import Names, title

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
    "theme": "another theme; with a name, that one",
    "ctx": "another backend; with a name, that one",
    "help": "all keys",
    "q": "quit",
}

Taken = Literal["function", "alias", "label", "theme", "context"]

TAKES: dict[Verb, Taken] = {
    "fn": "function",
    "rev": "function",
    "alias": "alias",
    "history": "alias",
    "logs": "label",
    "theme": "theme",
    "ctx": "context",
}
ARTICLES: dict[Taken, str] = {
    "function": "a function",
    "alias": "an alias",
    "label": "a function or alias",
    "theme": "a theme",
    "context": "a context",
}
SERVED = ("function", "alias", "label")
"""What there is of none until something is served."""
NEEDS: tuple[Verb, ...] = ("rev", "history")
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
    called: Names = field(default_factory=dict)
    """Of anonymous functions: their entry points can be typed, too."""
    keys: Bound = UNTOLD
    """Those in force, for what is done by a key and not from here."""

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
    unless: str = ""
    """What is wrong with it, unless the backend knows the name from earlier."""


@dataclass(frozen=True)
class Suggestion:
    text: str
    """The whole line."""
    meaning: str


def parse(text: str, words: Words) -> Command | str:
    """The command, or what is wrong with it: what was asked, what there is, what to do next.

    Beginnings that only one thing has are enough.
    """
    name, _, argument = text.strip().removeprefix(":").strip().partition(" ")
    if not name:
        return ""
    found = _verbs(name, words)
    if len(found) != 1:
        return _no_command(name, found, words)
    verb, argument = found[0], argument.strip()
    if verb in words.own and NAMES.get(verb) is None:
        return _bare(name, argument, Command("run", verb))
    known: Verb = NAMES[verb]
    if known not in TAKES:
        return _bare(name, argument, Command(known))
    if not argument and known not in NEEDS:
        return Command(known)
    return _with_argument(name, known, argument, words)


def _verbs(typed: str, words: Words) -> list[str]:
    """Those that are meant: by their names; screens, help and choices by how these begin, too.

    What ends the program or runs another one is only done by its whole name.
    """
    if typed in NAMES or typed in words.own:
        return [typed]
    begun = (verb for name, verb in NAMES.items() if name.startswith(typed) and verb != "q")
    return list(dict.fromkeys(begun))


def _no_command(typed: str, several: Sequence[str], words: Words) -> str:
    if several:
        return f"'{typed}' could be {_listed(several, typed, words)}: type on"
    way = words.keys.way(typed)
    if way:
        return f"no command '{typed}': {way} does that"
    near = get_close_matches(typed, [*NAMES, *words.own], 1)
    hint = f": did you mean ':{near[0]}'?" if near else ""
    return f"no command '{typed}'{hint or '; there are: ' + ', '.join((*MEANING, *words.own))}"


def _bare(name: str, argument: str, command: Command) -> Command | str:
    return command if not argument else f":{name} takes no name: leave '{argument}' out"


def _with_argument(name: str, verb: Verb, argument: str, words: Words) -> Command | str:
    known, what = words.of(verb), ARTICLES[TAKES[verb]]
    if not argument:
        return f":{name} needs the name of {what}; {_there_are(verb, argument, words)}"
    if argument in known:
        return Command(verb, argument)
    near = [each for each in known if each.startswith(argument)]
    near = near or [each for each in known if words.called.get(each, "").startswith(argument)]
    if len(near) == 1:
        return Command(verb, near[0])
    if near:
        return f":{name}: '{argument}' could be {_listed(near, argument, words)}: type on"
    close = get_close_matches(argument, known, 1)
    hint = f"did you mean '{close[0]}'?" if close else _there_are(verb, argument, words)
    wrong = f":{name}: no {what.partition(' ')[2]} '{argument}'; {hint}"
    # What was deleted is in no list, and its logs are kept.
    return Command(verb, argument, wrong) if verb == "logs" and ALIAS.fullmatch(argument) else wrong


def _there_are(verb: Verb, typed: str, words: Words) -> str:
    known = words.of(verb)
    if known:
        return f"there are: {_listed(known, typed, words)}"
    hint = words.keys.say("[: {serve} serves a file]") if TAKES[verb] in SERVED else ""
    return f"there is none{hint}"


def _listed(names: Iterable[str], typed: str, words: Words) -> str:
    return listed((title(each, words.called) for each in names), typed)


def suggest(text: str, words: Words) -> list[Suggestion]:
    """How the line could go on; those that begin with what was typed come first."""
    line = text.lstrip().removeprefix(":")
    name, space, argument = line.partition(" ")
    if not space:
        meanings = {**{str(verb): meaning for verb, meaning in MEANING.items()}, **words.own}
        others: dict[str, str] = {}
        for other, verb in NAMES.items():
            others[verb] = f"{others.get(verb, '')} {other}"
        return [
            Suggestion(verb + (" " if verb in NEEDS else ""), meanings[verb])
            for verb in _ordered(name, list(meanings), others)
        ]
    found = _verbs(name, words)
    meant = NAMES.get(found[0]) if len(found) == 1 else None
    if meant is None:
        return []
    names = _ordered(argument, words.of(meant), words.called)
    return [Suggestion(f"{name} {each}", words.meanings.get(each, "")) for each in names]


def _ordered(typed: str, known: Sequence[str], others: Mapping[str, str]) -> list[str]:
    """`others`: further names of some."""
    typed = typed.casefold().strip()
    begins = {each for each in known if each.casefold().startswith(typed)}
    holds = [
        each
        for each in known
        if each not in begins and typed in f"{each} {others.get(each, '')}".casefold()
    ]
    return [*(each for each in known if each in begins), *holds]
