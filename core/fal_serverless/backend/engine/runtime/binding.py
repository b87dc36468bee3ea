"""How does a request become arguments? By name, from the body and the query, checked by annotation.

The keys of a JSON object are parameters, so are query parameters; a name in both is the body's. The
only parameter of a function takes the whole body when it is annotated as a model, dict or list, and
the raw bytes when it is annotated `bytes`. Parameters without annotation get what came.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections import abc
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from .codec import Codec, is_pydantic, pydantic_errors, validate_pydantic

Pairs = typing.List[typing.Tuple[str, str]]


class Refused(Exception):
    """The request does not fit. The message is for the caller."""

    def __init__(self, status: int, detail: str, errors: list[dict[str, Any]]) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors


class Parameter(NamedTuple):
    name: str
    positional_only: bool
    required: bool
    wanted: Any
    """Its type; `Any` where there is nothing to check."""
    many: bool
    """Annotated as a list, tuple or set: a query may name it several times."""
    structured: bool
    """Annotated as something that is an object or list in JSON."""


class Plan:
    """How one function is called; made once."""

    def __init__(self, func: Any, name: str, codec: Codec, skip_first: bool) -> None:
        self.name = name
        self._codec = codec
        listed, self._takes_any = _parameters(func, codec, skip_first)
        self._parameters = {item.name: item for item in listed}
        sole = listed[0] if len(listed) == 1 and not self._takes_any else None
        self._whole = sole if sole is not None and sole.structured else None
        self._raw = sole if sole is not None and sole.wanted is bytes else None

    def bind(
        self, query: Pairs, content_type: str, body: bytes
    ) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments. Raises Refused."""
        if self._raw is not None and body and not _is_json(content_type):
            return self._arguments({self._raw.name: body})
        found = self._decode(content_type, body)
        given = self._from_query(query)
        if self._whole is not None and not self._names_it(found):
            value = found if body else self._object_of(query, given)
            if value is not None:
                return self._arguments({self._whole.name: self._check(self._whole, value, "body")})
            found = None
        if found is None:
            found = {}
        if not isinstance(found, dict):
            raise self._refuse_shape(found)
        self._refuse_names(found, given)
        values = {name: self._checked(name, found[name], "body") for name in found}
        for name, value in given.items():
            if name not in values:
                values[name] = self._checked(name, value, "query")
        return self._arguments(values)

    # What came

    def _decode(self, content_type: str, body: bytes) -> Any:
        if not body.strip():
            return None
        is_form = content_type.startswith("application/x-www-form-urlencoded")
        # It is also what curl says of JSON unless told otherwise.
        if is_form and body.lstrip()[:1] not in b'{["':
            return self._from_query(_form(body))
        try:
            return self._codec.decode(body)
        except self._codec.DecodeError as exc:
            hint = f" (its content type is {content_type})" if not _is_json(content_type) else ""
            detail = f"the body is not JSON: {exc}{hint}"
            raise Refused(400, detail, []) from None

    def _from_query(self, query: Pairs) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, value in query:
            item = self._parameters.get(name)
            if item is not None and item.many:
                values.setdefault(name, []).append(value)
            else:
                values[name] = value
        return values

    def _names_it(self, found: Any) -> bool:
        """A list parameter may also be named: {"items": [...]}."""
        whole = self._whole
        return whole is not None and whole.many and isinstance(found, dict) and whole.name in found

    def _object_of(self, query: Pairs, given: dict[str, Any]) -> Any:
        whole = self._whole
        if whole is None or not query or whole.many or whole.name in given:
            return None
        return dict(query)

    # What fits

    def _arguments(self, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        positional: list[Any] = []
        for item in self._parameters.values():
            if not item.positional_only or item.name not in values:
                break
            positional.append(values.pop(item.name))
        return positional, values

    def _checked(self, name: str, value: Any, place: str) -> Any:
        item = self._parameters.get(name)
        return value if item is None else self._check(item, value, place)

    def _check(self, item: Parameter, value: Any, place: str) -> Any:
        if item.wanted is Any:
            return value
        try:
            if place == "query" and item.structured and not item.many:
                value = self._codec.decode(value)
            if is_pydantic(item.wanted):
                return validate_pydantic(value, item.wanted)
            return self._codec.convert(value, item.wanted, lax=place == "query")
        except (self._codec.ValidationError, self._codec.DecodeError, ValueError) as exc:
            raise self._refuse_value(item, exc, place) from None

    def _refuse_value(self, item: Parameter, error: Exception, place: str) -> Refused:
        errors = pydantic_errors(error) or [_placed(str(error))]
        said = "; ".join(f"{e['msg']}{_at(e['loc'])}" for e in errors)
        for entry in errors:
            entry["loc"] = [place, item.name, *entry["loc"]]
            entry["type"] = "invalid"
        return Refused(422, f"{self.name}(): parameter '{item.name}' does not fit: {said}", errors)

    def _refuse_names(self, found: dict[str, Any], given: dict[str, Any]) -> None:
        unknown = [("body", name) for name in found if name not in self._parameters]
        unknown += [("query", n) for n in given if n not in self._parameters and n not in found]
        if self._takes_any:
            unknown = []
        missing = [
            name
            for name, item in self._parameters.items()
            if item.required and name not in found and name not in given
        ]
        if not unknown and not missing:
            return
        errors = [_error(place, name, "unknown parameter", "unknown") for place, name in unknown]
        errors += [_error("body", name, "missing parameter", "missing") for name in missing]
        raise Refused(422, self._named([name for _, name in unknown], missing), errors)

    def _named(self, unknown: list[str], missing: list[str]) -> str:
        if unknown:
            start = f"{self.name}() has no {_quoted(unknown)}"
        else:
            start = f"{self.name}() is missing {_quoted(missing)}"
        takes = [f"{n} (missing)" if n in missing else n for n in self._parameters]
        return f"{start}; it takes: {', '.join(takes)}" if takes else f"{start}; it takes none"

    def _refuse_shape(self, found: Any) -> Refused:
        names = ", ".join(self._parameters) or "none"
        kind = {list: "a list", str: "a string", bool: "a boolean"}.get(type(found), "a number")
        detail = (
            f"the body must be a JSON object with the parameters of {self.name}() as keys "
            f"({names}), not {kind}"
        )
        return Refused(422, detail, [_error("body", "", "not an object", "invalid")])


def _quoted(names: list[str]) -> str:
    noun = "parameter" if len(names) == 1 else "parameters"
    return f"{noun} {', '.join(repr(name) for name in names)}"


def _error(place: str, name: str, said: str, kind: str) -> dict[str, Any]:
    return {"loc": [place, name] if name else [place], "msg": said, "type": kind}


def _placed(text: str) -> dict[str, Any]:
    """msgspec's "Expected `int`, got `str` - at `$.a[0]`" as message and place."""
    said, _, path = text.partition(" - at `$")
    parts = re.findall(r"\.([^.\[\]`]+)|\[(\d+|\.\.\.)\]", path)
    return {"loc": [name or _index(index) for name, index in parts], "msg": said}


def _index(text: str) -> Any:
    return int(text) if text.isdigit() else text


def _at(loc: list[Any]) -> str:
    return f" (at {'.'.join(map(str, loc))})" if loc else ""


def _is_json(content_type: str) -> bool:
    return not content_type or "json" in content_type.partition(";")[0]


def _form(body: bytes) -> Pairs:
    return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)


# The function


def _parameters(func: Any, codec: Codec, skip_first: bool) -> tuple[list[Parameter], bool]:
    """Its parameters, and whether it takes any other name too."""
    hints = _hints(func)
    listed = list(inspect.signature(func).parameters.values())[1 if skip_first else 0 :]
    named = [p for p in listed if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in listed)
    return [_parameter(p, hints.get(p.name, Any), codec) for p in named], takes_any


def _parameter(item: inspect.Parameter, wanted: Any, codec: Codec) -> Parameter:
    if not is_pydantic(wanted) and not codec.can_check(wanted):
        wanted = Any
    kind = _kind(wanted)
    return Parameter(
        name=item.name,
        positional_only=item.kind is item.POSITIONAL_ONLY,
        required=item.default is item.empty,
        wanted=wanted,
        many=_is_many(kind),
        structured=_is_many(kind) or _is_object(kind),
    )


def _hints(func: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(func, include_extras=True)
    except TypeError:
        pass
    except Exception:
        return _plain_hints(func)
    try:
        return typing.get_type_hints(func)
    except Exception:
        return _plain_hints(func)


def _plain_hints(func: Any) -> dict[str, Any]:
    """Those that are types already; names that mean nothing here are left unchecked."""
    found = getattr(inspect.unwrap(func), "__annotations__", {})
    return {name: value for name, value in found.items() if not isinstance(value, str)}


def _kind(wanted: Any) -> Any:
    """The class behind Annotated, Optional and generics; None when there is not one."""
    origin = typing.get_origin(wanted)
    if hasattr(wanted, "__metadata__"):
        return _kind(wanted.__origin__)
    if origin is None:
        return wanted if isinstance(wanted, type) else None
    if isinstance(origin, type) and not _is_union(origin):
        return origin
    inner = [arg for arg in typing.get_args(wanted) if arg is not type(None)]
    return _kind(inner[0]) if _is_union(origin) and len(inner) == 1 else None


def _is_union(origin: Any) -> bool:
    return origin is typing.Union or getattr(origin, "__name__", "") == "UnionType"


def _is_many(kind: Any) -> bool:
    if not isinstance(kind, type) or issubclass(kind, (str, bytes, bytearray)):
        return False
    return issubclass(kind, (abc.Sequence, abc.Set))


def _is_object(kind: Any) -> bool:
    if not isinstance(kind, type):
        return False
    marks = ("__dataclass_fields__", "__struct_fields__", "__attrs_attrs__", "__total__")
    return (
        is_pydantic(kind) or issubclass(kind, abc.Mapping) or any(hasattr(kind, m) for m in marks)
    )
