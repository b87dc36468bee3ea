"""Models to JSON and back."""

from __future__ import annotations

import dataclasses
import typing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from fal_serverless import models
from fal_serverless.errors import BadAnswer
from fal_serverless.models import LogEntry, LogQuery, Parameter, from_json, to_json

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

MODELS = [
    cls
    for cls in vars(models).values()
    if dataclasses.is_dataclass(cls) and cls.__module__.startswith(models.__name__)
]


def sample(kind: Any) -> Any:
    """A value of a type, with every field of a model filled."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{f.name: sample(hints[f.name]) for f in dataclasses.fields(kind)})
    if origin is typing.Literal:
        return args[0]
    if origin is tuple:
        return (sample(args[0]),)
    if origin is dict:
        return {"a": sample(args[1])}
    if args:
        return sample(args[0])
    plain: dict[Any, Any] = {str: "text", int: 3, float: 1.5, bool: True, bytes: b"x"}
    return {**plain, datetime: MOMENT, Any: [1, {"a": None}]}[kind]


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_every_model_comes_back_as_it_was(cls: Any) -> None:
    value = sample(cls)
    assert from_json(cls, to_json(value)) == value


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_every_model_is_frozen(cls: Any) -> None:
    name = dataclasses.fields(cls)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(sample(cls), name, None)


def test_times_are_rfc_3339_in_utc() -> None:
    entry = LogEntry(1, MOMENT, "INFO", "user", "hi", "1")
    assert to_json(entry)["time"] == "2026-01-02T03:04:05.678901Z"


def test_unknown_fields_of_a_newer_backend_are_ignored() -> None:
    told = {**to_json(Parameter("x", "keyword", True)), "colour": "red"}
    assert from_json(Parameter, told).name == "x"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"name": "x"}, "missing required field"),
        ({"name": "x", "kind": "odd"}, "kind"),
        ([], "object"),
    ],
)
def test_what_does_not_fit_names_model_and_field(told: Any, said: str) -> None:
    with pytest.raises(BadAnswer, match=f"not a Parameter: .*{said}"):
        from_json(Parameter, told)


def test_query_strings_are_read_as_what_they_mean() -> None:
    query = from_json(LogQuery, {"lines": "20", "since": "2026-01-02T05:04:05.678901+02:00"})
    assert query.lines == 20
    assert query.since == MOMENT.astimezone(timezone(timedelta(hours=2)))


def test_a_secret_is_not_in_the_repr() -> None:
    key = models.Key("id", "API", "1", MOMENT)
    assert "hush" not in repr(models.NewKey(key, "hush"))


@pytest.mark.parametrize(
    ("first", "setup", "names"),
    [
        ("positional_or_keyword", "load", ["x"]),
        ("positional", "<lambda>", ["x"]),
        ("positional_or_keyword", None, ["model", "x"]),
        ("var_positional", "load", ["model", "x"]),
    ],
)
def test_callers_are_not_asked_for_what_the_setup_function_gives(
    first: Any, setup: Any, names: list[str]
) -> None:
    both = (Parameter("model", first, True), Parameter("x", "keyword", True))
    options = {"setup_function": setup}
    info = dataclasses.replace(sample(models.BundleInfo), parameters=both, options=options)
    assert [each.name for each in info.for_callers] == names
    nothing = dataclasses.replace(info, parameters=())
    assert nothing.for_callers == ()
