"""What became of each bad input goes into its test's report."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from running import RunningBackend
from security import tally


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "bad(kind): sends bad input of this kind (see tally.py)")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Generator[None, object, object]:
    marker = item.get_closest_marker("bad")
    if marker is None:
        return (yield)
    (kind,) = marker.args
    assert kind in tally.KINDS, kind
    tally.taken()
    heard = {id(one): len(one.said) for one in _backends(item)}
    verdict = "crash"
    try:
        came = yield
        broken = _broken(item, heard)
        assert not broken, broken
        verdict = "right"
        return came
    except pytest.skip.Exception:
        verdict = "skipped"
        raise
    except (AssertionError, pytest.fail.Exception):
        verdict = "crash" if _broken(item, heard) else "wrong"
        raise
    finally:
        if verdict != "skipped":
            item.user_properties.append((tally.PROPERTY, (kind, tally.taken(), verdict)))


def _broken(item: pytest.Function, heard: dict[int, int]) -> str:
    """What a backend said that ended, or wrote a traceback, since the test began; else nothing."""
    for one in _backends(item):
        said = one.said[heard.get(id(one), 0) :]
        if one.process.poll() is not None or any("Traceback" in line for line in said):
            return f"the backend failed: {''.join(said)}"
    return ""


def _backends(item: pytest.Function) -> Iterator[RunningBackend]:
    """Those among a test's fixtures, as they are or as the `backend` of one."""
    for value in item.funcargs.values():
        found = getattr(value, "backend", value)
        if isinstance(found, RunningBackend):
            yield found
