"""Which functions does a file hold, and which modules does it import? By syntax tree alone.

Nothing is run or imported here, so what a file computes (options from a variable, a decorator made
at import) is only known to be there, not what it is: see `Found.computed`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fal_serverless.errors import FileMissing, LoadFailed
from fal_serverless.models import Parameter

Kind = Literal["positional", "positional_or_keyword", "var_positional", "keyword", "var_keyword"]
Definition = ast.FunctionDef | ast.AsyncFunctionDef

PACKAGE = "fal_serverless"
DECORATOR = "isolated"

QUOTED = 100
"""Characters of a line that an error quotes: in what is no text, a line may have no end."""


@dataclass(frozen=True)
class Found:
    """One function at the top level of a file, as written."""

    name: str
    line: int
    """Of its `def`, from 1."""
    isolated: bool
    """Whether an `@isolated` is visible; a decorator made at import may hide one."""
    serve: bool
    exposed_port: int | None
    options: dict[str, Any]
    """Those of its `@isolated` that are written as literals."""
    parameters: tuple[Parameter, ...]
    doc: str
    """Its docstring, or ''."""
    is_async: bool = False
    computed: tuple[str, ...] = ()
    """Options that only running the file can tell, as written; `**` for an unpacked dict."""
    decorated: bool = False
    """Whether it has any decorator."""

    @property
    def servable(self) -> bool:
        """Whether a serve can be asked for: `serve` or `exposed_port` is given, or may be."""
        return self.isolated and (self.serve or self.exposed_port is not None)


@dataclass(frozen=True)
class Tree:
    """A parsed file."""

    path: Path
    text: str
    module: ast.Module = field(repr=False)


def scan(path: Path) -> list[Found]:
    """The functions at the top level of the file, by line; nothing is run.

    Raises FileMissing, and LoadFailed (with `syntax` in its data) when it does not parse.
    """
    return functions(parse(path))


def read(path: Path) -> bytes:
    """The file's bytes; FileMissing when it is not there or not a Python file."""
    if path.is_dir():
        raise FileMissing(f"{path} is a folder, not a Python file", path=str(path))
    if path.suffix != ".py" and path.exists():
        raise FileMissing(f"{path} is not a Python file (.py)", path=str(path))
    try:
        return path.read_bytes()
    except FileNotFoundError as exc:
        message = f"file {path} does not exist{_nearest(path)}"
        if path.is_symlink():
            message = f"{path} is a link to {path.readlink()}, which does not exist"
        raise FileMissing(message, path=str(path)) from exc
    except OSError as exc:
        raise FileMissing(f"file {path} cannot be read: {exc.strerror}", path=str(path)) from exc


def _nearest(path: Path) -> str:
    """What may have been meant: a Python file beside it with almost that name."""
    import difflib

    near = difflib.get_close_matches(path.stem, (file.stem for file in path.parent.glob("*.py")), 1)
    return f"; did you mean {near[0]}.py?" if near else ""


def parse(path: Path) -> Tree:
    """The file as a syntax tree of this interpreter's Python."""
    data = read(path)
    try:
        module = ast.parse(data, str(path))
        return Tree(path, decode(data), module)
    except SyntaxError as exc:
        text = (exc.text or "").strip()
        if len(text) > QUOTED:
            text = text[:QUOTED] + "…"
        shown = f": {text}" if text else ""
        message = f"{path.name}:{exc.lineno or 1}: {type(exc).__name__}: {exc.msg}{shown}"
        raise LoadFailed(message, line=exc.lineno or 1, syntax=True) from exc
    except ValueError as exc:
        raise LoadFailed(f"{path.name}: {exc}") from exc


def decode(data: bytes) -> str:
    import io
    import tokenize

    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return data.decode(encoding).replace("\r\n", "\n")


def functions(tree: Tree) -> list[Found]:
    """The last definition of each name wins, as it does when the file is run."""
    names = _Names.of(tree.module)
    last = {node.name: node for node in _definitions(tree.module.body)}
    return [_found(node, names) for node in sorted(last.values(), key=lambda node: node.lineno)]


def assigned_names(tree: Tree) -> set[str] | None:
    """Names the file may give a value other than by `def`; None when only running it can tell."""
    assigned: set[str] = set()
    for node in ast.walk(tree.module):
        if isinstance(node, ast.Name) and node.id in ("globals", "setattr", "exec", "vars"):
            return None
        if isinstance(node, ast.ImportFrom | ast.Import):
            if any(alias.name == "*" for alias in node.names):
                return None
            assigned |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            assigned.add(node.id)
        elif isinstance(node, ast.ClassDef):
            assigned.add(node.name)
    return assigned


def imports(tree: Tree) -> Iterator[str]:
    """Dotted names of every module imported anywhere in the file, functions included.

    `from a import b` gives `a` and `a.b`: which of them is a module is for the file system to say.
    Relative imports stay within their package, which is taken whole anyway.
    """
    for node in ast.walk(tree.module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _definitions(body: list[ast.stmt]) -> Iterator[Definition]:
    """Function definitions that run at import: those inside `if`, `try` and `with` too."""
    for node in body:
        if isinstance(node, Definition):
            yield node
        elif not isinstance(node, ast.ClassDef):
            for _, inner in ast.iter_fields(node):
                yield from _definitions(_statements(inner))


def _statements(value: Any) -> list[ast.stmt]:
    if not isinstance(value, list):
        return []
    found: list[ast.stmt] = []
    for item in value:
        if isinstance(item, ast.stmt):
            found.append(item)
        elif isinstance(item, ast.ExceptHandler | ast.match_case):
            found.extend(item.body)
    return found


@dataclass(frozen=True)
class _Names:
    """What the file calls the package and the decorator."""

    packages: frozenset[str]
    decorators: frozenset[str]
    ready: dict[str, ast.Call]
    """Names bound to a finished decorator, as in `gpu = isolated(machine_type="GPU")`."""

    @classmethod
    def of(cls, module: ast.Module) -> _Names:
        packages: set[str] = set()
        decorators: set[str] = set()
        for node in ast.walk(module):
            if isinstance(node, ast.Import):
                packages |= {a.asname or a.name for a in node.names if a.name == PACKAGE}
            elif isinstance(node, ast.ImportFrom) and _ours(node.module):
                decorators |= {a.asname or a.name for a in node.names if a.name == DECORATOR}
                decorators |= {DECORATOR for a in node.names if a.name == "*"}
        known = cls(frozenset(packages), frozenset(decorators), {})
        known.ready.update(_ready(module, known))
        return known

    def is_decorator(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self.decorators
        return (
            isinstance(node, ast.Attribute)
            and node.attr == DECORATOR
            and isinstance(node.value, ast.Name)
            and node.value.id in self.packages
        )


def _ours(module: str | None) -> bool:
    return module in (PACKAGE, f"{PACKAGE}.{DECORATOR}")


def _ready(module: ast.Module, names: _Names) -> Iterator[tuple[str, ast.Call]]:
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            if not names.is_decorator(node.value.func) or node.value.args:
                continue
            yield from ((t.id, node.value) for t in node.targets if isinstance(t, ast.Name))


def _found(node: Definition, names: _Names) -> Found:
    call = _isolation(node, names)
    options, computed = _options(call) if isinstance(call, ast.Call) else ({}, ())
    port = options.get("exposed_port")
    return Found(
        name=node.name,
        line=node.lineno,
        isolated=call is not None,
        serve=options.get("serve") is True,
        exposed_port=port if isinstance(port, int) and not isinstance(port, bool) else None,
        options=options,
        parameters=tuple(_parameters(node.args)),
        doc=ast.get_docstring(node) or "",
        is_async=isinstance(node, ast.AsyncFunctionDef),
        computed=computed,
        decorated=bool(node.decorator_list),
    )


def _isolation(node: Definition, names: _Names) -> ast.expr | None:
    """Its `@isolated`, with or without a call; None when there is none to see."""
    for decorator in node.decorator_list:
        if names.is_decorator(decorator):
            return decorator
        if isinstance(decorator, ast.Call) and names.is_decorator(decorator.func):
            return decorator
        if isinstance(decorator, ast.Name) and decorator.id in names.ready:
            return names.ready[decorator.id]
    return None


def _options(call: ast.Call) -> tuple[dict[str, Any], tuple[str, ...]]:
    literal: dict[str, Any] = {}
    computed: list[str] = []
    given: list[tuple[str, ast.expr]] = [("kind", value) for value in call.args[:1]]
    given += [(keyword.arg or "**", keyword.value) for keyword in call.keywords]
    for name, value in given:
        try:
            literal[name] = ast.literal_eval(value)
        except ValueError:
            computed.append(f"{name}={ast.unparse(value)}" if name != "**" else name)
    return literal, tuple(computed)


def _parameters(args: ast.arguments) -> Iterator[Parameter]:
    plain = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(args.defaults))
    defaults += args.defaults
    for index, (arg, default) in enumerate(zip(plain, defaults, strict=True)):
        only = index < len(args.posonlyargs)
        yield _parameter(arg, "positional" if only else "positional_or_keyword", default)
    if args.vararg:
        yield _parameter(args.vararg, "var_positional")
    for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        yield _parameter(arg, "keyword", default)
    if args.kwarg:
        yield _parameter(args.kwarg, "var_keyword")


def _parameter(arg: ast.arg, kind: Kind, default: ast.expr | None = None) -> Parameter:
    return Parameter(
        name=arg.arg,
        kind=kind,
        required=default is None and not kind.startswith("var_"),
        annotation=_annotation(arg.annotation),
        default=ast.unparse(default) if default is not None else None,
    )


def _annotation(node: ast.expr | None) -> str | None:
    if node is None:
        return None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ast.unparse(node)
