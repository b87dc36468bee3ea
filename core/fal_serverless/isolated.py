"""`@isolated` and its options: what a function asks for, said once, where it is written.

This module knows nothing of files, backends or workers. Calling a decorated function goes through
`run_remote`, which the package's door wires to `remote`; inside a worker it is left as it is, and
the call is a plain one.

It goes into workers of other Python versions as it is: standard library only, Python 3.8.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import re
from typing import Any, Callable, Dict, List, Optional, Tuple, Union  # noqa: UP035

from fal_serverless.errors import InvalidOption

# ruff: noqa: UP006, UP007, UP045 - the annotations below must also be read by Python 3.8

MACHINE_TYPES = ("XS", "S", "M", "L", "XL", "GPU")
"""Names of the original service; every `GPU-<model>` is accepted too."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What `@isolated(...)` was told. Immutable; part of a revision."""

    kind: str = "virtualenv"
    """How the environment is made. Only `virtualenv` (by uv) exists."""
    requirements: Tuple[str, ...] = ()
    """PEP 508 requirements, as pip takes them."""
    python_version: Optional[str] = None
    """`3.12` or `3.12.1`; None: the version of the interpreter that loads the file."""
    serve: bool = False
    """Answer POST / with the function's return value."""
    exposed_port: Optional[int] = None
    """The port on which the function's own server listens; 1-65535."""
    max_concurrency: int = 2
    """Most workers at once."""
    max_multiplexing: int = 1
    """Requests that one worker runs at once."""
    keep_alive: float = 10
    """Seconds a worker stays without a request before it goes; every request restarts them."""
    min_concurrency: int = 0
    """Workers kept warm without any request."""
    setup_function: Optional[Callable[[], Any]] = None
    """Called once per worker; its result is the function's first argument."""
    request_timeout: Optional[float] = None
    """Seconds for one request; None: the backend's own limit."""
    startup_timeout: Optional[float] = None
    """Seconds until a worker must be ready; None: the backend's own limit."""
    machine_type: str = "S"
    """Limits for one worker, by the original service's names."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "requirements", _requirements(self.requirements))
        for check in _CHECKS:
            check(self)

    def to_json(self) -> Dict[str, Any]:
        """JSON values; of `setup_function` only the name."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values["requirements"] = list(self.requirements)
        setup = self.setup_function
        values["setup_function"] = getattr(setup, "__name__", str(setup)) if setup else None
        return values


OPTION_NAMES = tuple(field.name for field in dataclasses.fields(Options))


def make_options(values: Dict[str, Any], base: Optional[Options] = None) -> Options:
    """Options from keyword arguments, over `base` when given.

    Raises InvalidOption with the nearest existing name for an unknown one.
    """
    for name in values:
        if name not in OPTION_NAMES:
            raise InvalidOption(_unknown(name), option=name)
    if base is None:
        return Options(**values)
    return dataclasses.replace(base, **values)


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, OPTION_NAMES, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return f"isolated has no option '{name}'{hint} It has: {', '.join(OPTION_NAMES)}"


def _requirements(value: Union[str, List[str], Tuple[str, ...], None]) -> Tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        raise InvalidOption(f"requirements must be a list, as in requirements=[{value!r}]")
    if not all(isinstance(item, str) and item.strip() for item in value):
        raise InvalidOption(f"requirements must be non-empty strings, not {list(value)!r}")
    return tuple(item.strip() for item in value)


def _check_kind(options: Options) -> None:
    if options.kind != "virtualenv":
        raise InvalidOption(f"kind must be 'virtualenv', not {options.kind!r}")


def _check_python(options: Options) -> None:
    version = options.python_version
    if version is not None and not (
        isinstance(version, str) and re.fullmatch(r"3\.\d+(\.\d+)?", version)
    ):
        raise InvalidOption(f"python_version must look like '3.12', not {version!r}")


def _check_port(options: Options) -> None:
    port = options.exposed_port
    if port is None:
        return
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
        raise InvalidOption(f"exposed_port must be a port from 1 to 65535, not {port!r}")
    if options.serve:
        raise InvalidOption("serve and exposed_port exclude each other: choose one")


def _check_numbers(options: Options) -> None:
    for name, least in (("max_concurrency", 1), ("max_multiplexing", 1), ("min_concurrency", 0)):
        value = getattr(options, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidOption(f"{name} must be a whole number from {least} up, not {value!r}")
    if options.min_concurrency > options.max_concurrency:
        raise InvalidOption(
            f"min_concurrency ({options.min_concurrency}) is over "
            f"max_concurrency ({options.max_concurrency})"
        )
    for name in ("keep_alive", "request_timeout", "startup_timeout"):
        value = getattr(options, name)
        if value is None and name != "keep_alive":
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            raise InvalidOption(f"{name} must be seconds from 0 up, not {value!r}")


def _check_rest(options: Options) -> None:
    if not isinstance(options.serve, bool):
        raise InvalidOption(f"serve must be True or False, not {options.serve!r}")
    machine = options.machine_type
    if machine not in MACHINE_TYPES and not str(machine).startswith("GPU-"):
        raise InvalidOption(
            f"machine_type must be one of {', '.join(MACHINE_TYPES)} or GPU-<model>, "
            f"not {machine!r}"
        )
    if options.setup_function is not None and not callable(options.setup_function):
        raise InvalidOption(f"setup_function must be callable, not {options.setup_function!r}")


_CHECKS = (_check_kind, _check_python, _check_port, _check_numbers, _check_rest)


class IsolatedFunction:
    """A function together with what it asked for.

    Inside a worker, and wherever no remote is wired, a call is a plain call.
    """

    run_remote: Optional[Callable[[IsolatedFunction, Tuple[Any, ...], Dict[str, Any]], Any]] = None
    """Set on the class by the package's door; None: calls are plain calls."""
    submit_remote: Optional[Callable[[IsolatedFunction, Tuple[Any, ...], Dict[str, Any]], Any]] = (
        None
    )
    """Set together with it; gives a `concurrent.futures.Future`."""

    def __init__(self, func: Callable[..., Any], options: Options) -> None:
        self.func = func
        self.options = options
        functools.update_wrapper(self, func)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        remote = type(self).run_remote
        if remote is None:
            return self.func(*args, **kwargs)
        return remote(self, args, kwargs)

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Begin a call; a `concurrent.futures.Future`, whose `cancel` ends the call.

        For an async function its result is what awaiting the call would give.
        """
        remote = type(self).submit_remote
        if remote is None:
            return _done(self.func, args, kwargs)
        return remote(self, args, kwargs)

    def on(self, **options: Any) -> IsolatedFunction:
        """The same function with some options changed; this one stays as it is."""
        return IsolatedFunction(self.func, make_options(options, self.options))

    def __repr__(self) -> str:
        return f"<isolated function {getattr(self.func, '__name__', self.func)!r}>"


def _done(func: Callable[..., Any], args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Any:
    """A plain call as a future that is done."""
    from concurrent.futures import Future

    future: Any = Future()
    try:
        future.set_result(func(*args, **kwargs))
    except BaseException as exc:
        future.set_exception(exc)
    return future


def isolated(*args: Any, **options: Any) -> Any:
    """Mark a function to run in an environment and a process of its own.

    Use: `@isolated(serve=True)` or `@isolated(requirements=["flask"], exposed_port=8080)`.
    Options are those of `Options`; InvalidOption for anything else.
    """
    if len(args) == 1 and callable(args[0]) and not options:
        return _decorate(args[0], Options())
    if len(args) > 1 or (args and "kind" in options):
        raise InvalidOption("isolated takes one positional argument, the kind: 'virtualenv'")
    if args:
        options["kind"] = args[0]
    made = make_options(options)
    return lambda func: _decorate(func, made)


def _decorate(func: Any, options: Options) -> IsolatedFunction:
    if isinstance(func, IsolatedFunction):
        raise InvalidOption(f"{func!r} is isolated already; use one @isolated")
    if inspect.isclass(func) or not callable(func):
        raise InvalidOption(f"isolated decorates functions, not {func!r}")
    return IsolatedFunction(func, options)
