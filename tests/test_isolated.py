"""The decorator and its options."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from fal_serverless import IsolatedFunction, isolated
from fal_serverless.errors import InvalidOption
from fal_serverless.isolated import OPTION_NAMES, Options


def double(x: int) -> int:
    """Twice."""
    return 2 * x


def test_a_function_is_marked_with_and_without_options() -> None:
    for marked in (isolated(double), isolated()(double), isolated("virtualenv")(double)):
        assert isinstance(marked, IsolatedFunction) and marked.options == Options()
    assert isolated(serve=True, requirements=["flask"])(double).options.requirements == ("flask",)


def test_a_marked_function_looks_and_works_like_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IsolatedFunction, "run_remote", None)
    marked = isolated(serve=True)(double)
    assert (marked.__name__, marked.__doc__, marked(4)) == ("double", "Twice.", 8)
    assert repr(marked) == "<isolated function 'double'>"


def test_on_changes_some_options_of_a_new_function() -> None:
    first = isolated(serve=True, keep_alive=60)(double)
    second = first.on(max_concurrency=5)
    assert (second.options.keep_alive, second.options.max_concurrency) == (60, 5)
    assert first.options.max_concurrency == 2 and second.func is first.func


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keepalive": 3}, "no option 'keepalive'; did you mean 'keep_alive'?"),
        ({"colour": 3}, "no option 'colour'"),
        ({"kind": "conda"}, "kind must be 'virtualenv'"),
        ({"requirements": "flask"}, r"as in requirements=\['flask'\]"),
        ({"requirements": [""]}, "non-empty strings"),
        ({"python_version": "three"}, "python_version must look like '3.12'"),
        ({"python_version": 3.12}, "python_version must look like '3.12'"),
        ({"exposed_port": 0}, "a port from 1 to 65535"),
        ({"exposed_port": True}, "a port from 1 to 65535"),
        ({"exposed_port": 80, "serve": True}, "exclude each other"),
        ({"serve": "yes"}, "serve must be True or False"),
        ({"max_concurrency": 0}, "max_concurrency must be a whole number from 1 up"),
        ({"min_concurrency": 3}, r"min_concurrency \(3\) is over max_concurrency \(2\)"),
        ({"keep_alive": -1}, "keep_alive must be seconds"),
        ({"request_timeout": "1"}, "request_timeout must be seconds"),
        ({"machine_type": "HUGE"}, "machine_type must be one of"),
        ({"setup_function": 1}, "setup_function must be callable"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        isolated(**options)


def test_what_is_no_plain_function_is_refused() -> None:
    for wrong in (isolated(double), int, "text"):
        with pytest.raises(InvalidOption):
            isolated(serve=True)(wrong)


def test_options_as_json_name_every_option() -> None:
    values = Options(setup_function=double, requirements=("a",)).to_json()
    assert tuple(values) == OPTION_NAMES
    assert (values["setup_function"], values["requirements"]) == ("double", ["a"])


def test_a_call_goes_through_what_is_wired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IsolatedFunction, "run_remote", lambda func, args, kwargs: (args, kwargs))
    assert isolated(double)(1, y=2) == ((1,), {"y": 2})


def test_without_a_remote_a_submitted_call_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IsolatedFunction, "submit_remote", None)
    assert isolated(double).submit(4).result() == 8
    assert isinstance(isolated(double).submit().exception(), TypeError)


def test_an_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(InvalidOption("text", option="x")))
    assert (error.message, error.data) == ("text", {"option": "x"})
