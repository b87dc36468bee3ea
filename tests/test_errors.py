"""The tree of errors: codes, exit codes, and its drawing."""

from __future__ import annotations

import pickle
import re

import pytest

from fal_serverless import errors
from fal_serverless.errors import FalError, every_class


def test_every_class_has_a_code_of_its_own() -> None:
    codes = [cls.code for cls in every_class()]
    assert len(codes) == len(set(codes))


def test_the_drawing_at_the_top_is_the_tree() -> None:
    drawn = re.findall(r"^[│├└─ ]*([A-Z]\w+)  ", errors.__doc__ or "", re.M)
    assert drawn == [cls.__name__ for cls in every_class()]


@pytest.mark.parametrize("cls", list(every_class()))
def test_every_class_comes_back_from_json_and_pickle(cls: type[FalError]) -> None:
    error = cls("what and why", names=["a"], count=2)
    body = errors.to_json(error, "request-1")
    for again in (errors.from_json(body), pickle.loads(pickle.dumps(error))):
        assert type(again) is cls
        assert (again.message, again.data) == ("what and why", {"names": ["a"], "count": 2})
    assert body["request_id"] == "request-1"


def test_of_many_names_a_message_lists_those_that_begin_alike() -> None:
    assert errors.listed({"b", "a"}, "x") == "a, b"
    many = [f"item-{n:04}" for n in range(9_997)]
    assert errors.listed([*many, "call", "calls"], "cal") == "call, calls and 9,997 more"
    assert errors.listed(many, "other").startswith("item-0000, item-0001, ")
    assert errors.listed(many, "other").endswith(", item-0019 and 9,977 more")


def test_exit_codes_are_those_of_the_contract() -> None:
    found = {cls.__name__: cls.exit_code for cls in every_class() if cls.exit_code != 1}
    assert found == {
        "NotAuthenticated": 4, "NotAllowed": 4, "ReadOnly": 4, "NotFound": 5, "Unreachable": 3,
    }  # fmt: skip


def test_an_error_of_a_newer_backend_keeps_its_words() -> None:
    error = errors.from_json({"error_type": "from_the_future", "detail": "new"}, 418)
    assert type(error) is FalError and error.message == "new"


def test_a_body_without_a_reason_is_a_bad_answer() -> None:
    assert isinstance(errors.from_json({"detail": "x"}, 502), errors.BadAnswer)
