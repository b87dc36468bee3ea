"""How does a request become arguments? By name, from the body and the query, checked by annotation.

- The keys of a JSON object are parameters, so are the fields of a form and query parameters; a name
  in both is the body's. `*args` goes by its own name, as a list; `**kwargs` takes any other name.
- The only parameter of a function takes the whole body when it is a model, dict or list.
- The only parameter for bytes takes the body as it is, unless that is JSON or a form; a file of a
  form goes to the parameter of its name.
- Parameters without annotation get what came.
"""

from __future__ import annotations

import inspect
import typing
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from . import hints
from .checks import Anything, Check, Misfit, check_of
from .codec import Codec
from .pydantics import is_pydantic

Pairs = typing.List[typing.Tuple[str, str]]

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


class Refused(Exception):
    """The request does not fit. The message is for the caller."""

    def __init__(self, status: int, detail: str, errors: list[dict[str, Any]]) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors


class Parameter(NamedTuple):
    name: str
    kind: Any
    """As in `inspect.Parameter`; never VAR_KEYWORD."""
    required: bool
    default: Any
    wanted: Any
    """Its type; Any where it has none."""
    check: Check
    many: bool
    """Annotated as a list, tuple or set: a query may name it several times."""
    structured: bool
    """Annotated as something that is an object or list in JSON."""
    raw: bool
    """Annotated as bytes, or as a list of them."""


class Plan:
    """How one function is called; made once."""

    def __init__(self, func: Any, name: str, codec: Codec, skip_first: bool) -> None:
        self.name = name
        self._codec = codec
        found = _Signature(func, codec, skip_first)
        self.parameters = {item.name: item for item in found.parameters}
        self.more = found.more
        """The check of `**kwargs`; None: no other names are taken."""
        self._taken = found.taken
        sole = found.parameters[0] if len(found.parameters) == 1 and not self.more else None
        self.whole = sole if sole is not None and sole.structured else None
        """The parameter that takes the whole body."""
        raw = [item for item in found.parameters if item.raw and not item.many]
        self.raw = raw[0] if len(raw) == 1 else None
        """The parameter that takes a body of bytes."""
        self.rest = next((p for p in found.parameters if p.kind is p.kind.VAR_POSITIONAL), None)
        self._by_name = self._all_by_name()

    def _all_by_name(self) -> dict[str, Check]:
        """The checks of a function that takes all its parameters by name from an object."""
        if self.whole or self.raw or self.more:
            return {}
        by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        if any(item.kind not in by_name for item in self.parameters.values()):
            return {}
        return {name: item.check for name, item in self.parameters.items()}

    def bind(
        self, query: Pairs, content_type: str, body: bytes
    ) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments. Raises Refused."""
        if self._by_name and not query and content_type == JSON:
            named = self._named_by(body)
            if named is not None:
                return [], named
        given = self._collect(query)
        if self.raw is not None and self._is_raw(content_type, body):
            return self._arguments({self.raw.name: body}, given, "body")
        place, found = self._decode(content_type, body)
        if self.whole is not None and not self._names_it(found):
            if body.strip():
                return self._alone(self.whole, found)
            if query and not self.whole.many and self.whole.name not in given:
                return self._alone(self.whole, dict(query))
        if found is None:
            found = {}
        if not isinstance(found, dict):
            raise self._refuse_shape(found)
        return self._arguments(found, given, place)

    def _named_by(self, body: bytes) -> dict[str, Any] | None:
        """What most bodies are, an object with each parameter; None when it is another.

        Raises Refused.
        """
        try:
            found = self._codec.decode(body)
        except self._codec.DecodeError:
            return None
        checks = self._by_name
        if type(found) is not dict or found.keys() != checks.keys():
            return None
        for name, check in checks.items():
            found[name] = self._fit(check, name, found[name], "body")
        return found

    # What came

    def _is_raw(self, content_type: str, body: bytes) -> bool:
        kind = _kind(content_type)
        if kind == FORM:
            # It is also what curl says of any body unless told otherwise.
            return body.partition(b"=")[0][:100].decode("latin-1") not in self.parameters
        return bool(body) and kind != MULTIPART and not kind.endswith("json")

    def _decode(self, content_type: str, body: bytes) -> tuple[str, Any]:
        """`body` or `form`, and what is in it; None: nothing."""
        kind = _kind(content_type)
        if not body.strip():
            return "body", None
        if kind == MULTIPART:
            return "form", self._fields(content_type, body)
        if kind == FORM and body.lstrip()[:1] not in b'{["':
            return "form", self._collect(_form(body))
        try:
            return "body", self._codec.decode(body)
        except self._codec.DecodeError as exc:
            known = not kind or kind.endswith("json")
            hint = "" if known else f" (its content type is {content_type})"
            raise Refused(400, f"the body is not JSON: {exc}{hint}", []) from None

    def _fields(self, content_type: str, body: bytes) -> dict[str, Any]:
        from .uploads import Malformed, parts

        try:
            found = parts(content_type, body)
        except Malformed as exc:
            raise Refused(400, f"the body is not multipart/form-data: {exc}", []) from None
        return self._collect([(p.name, self._field(p.name, p.content, p.is_file)) for p in found])

    def _field(self, name: str, content: bytes, is_file: bool) -> Any:
        item = self.parameters.get(name)
        wants_bytes = item is not None and item.raw
        unchecked = item is None or isinstance(item.check, Anything)
        if wants_bytes or (is_file and unchecked):
            return content
        try:
            return content.decode()
        except UnicodeDecodeError:
            said = f"{self.name}(): parameter '{name}' takes text, and this is not UTF-8"
            raise Refused(422, said, [_error("form", name, "not UTF-8", "invalid")]) from None

    def _collect(self, pairs: typing.Iterable[tuple[str, Any]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, value in pairs:
            item = self.parameters.get(name)
            if item is not None and item.many:
                values.setdefault(name, []).append(value)
            else:
                values[name] = value
        return values

    def _names_it(self, found: Any) -> bool:
        """A list parameter may also be named: {"items": [...]}."""
        whole = self.whole
        return whole is not None and whole.many and isinstance(found, dict) and whole.name in found

    # What fits

    def _alone(self, item: Parameter, value: Any) -> tuple[list[Any], dict[str, Any]]:
        return self._placed({item.name: self._check(item, value, "body")})

    def _arguments(
        self, found: dict[str, Any], given: dict[str, Any], place: str
    ) -> tuple[list[Any], dict[str, Any]]:
        self._refuse_names(found, given, place)
        values = {name: self._checked(name, found[name], place) for name in found}
        for name, value in given.items():
            if name not in values:
                values[name] = self._checked(name, value, "query")
        return self._placed(values)

    def _placed(self, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """By position what cannot go by name: as far as the last one given, or before `*args`."""
        rest = list(values.pop(self.rest.name, ())) if self.rest is not None else []
        ordered = [
            item
            for item in self.parameters.values()
            if item.kind is item.kind.POSITIONAL_ONLY
            or (rest and item.kind is item.kind.POSITIONAL_OR_KEYWORD)
        ]
        while ordered and not rest and ordered[-1].name not in values:
            ordered.pop()
        positional = [values.pop(item.name, item.default) for item in ordered]
        return positional + rest, values

    def _checked(self, name: str, value: Any, place: str) -> Any:
        item = self.parameters.get(name)
        if item is not None:
            return self._check(item, value, place)
        return self._fit(self.more or Anything(), name, value, place)

    def _check(self, item: Parameter, value: Any, place: str) -> Any:
        is_text = place != "body"
        if is_text and item.structured and not item.many and isinstance(value, str):
            try:
                value = self._codec.decode(value)
            except self._codec.DecodeError as exc:
                misfit = Misfit([{"loc": [], "msg": f"not JSON: {exc}"}])
                raise self._refuse_value(item.name, misfit, place) from None
        return self._fit(item.check, item.name, value, place)

    def _fit(self, check: Check, name: str, value: Any, place: str) -> Any:
        try:
            return check(value, place != "body")
        except Misfit as exc:
            raise self._refuse_value(name, exc, place) from None

    # What is refused

    def _refuse_value(self, name: str, misfit: Misfit, place: str) -> Refused:
        said = "; ".join(f"{e['msg']}{_at(e['loc'])}" for e in misfit.errors)
        errors = [
            {"loc": [place, name, *e["loc"]], "msg": e["msg"], "type": "invalid"}
            for e in misfit.errors
        ]
        return Refused(422, f"{self.name}(): parameter '{name}' does not fit: {said}", errors)

    def _refuse_names(self, found: dict[str, Any], given: dict[str, Any], place: str) -> None:
        unknown = [(place, name) for name in found if not self._takes(name)]
        unknown += [("query", n) for n in given if not self._takes(n) and n not in found]
        missing = [
            name
            for name, item in self.parameters.items()
            if item.required and name not in found and name not in given
        ]
        if not unknown and not missing:
            return
        errors = [_error(where, name, "unknown parameter", "unknown") for where, name in unknown]
        errors += [_error("body", name, "missing parameter", "missing") for name in missing]
        raise Refused(422, self._named([name for _, name in unknown], missing), errors)

    def _takes(self, name: str) -> bool:
        return name in self.parameters or (self.more is not None and name != self._taken)

    def _named(self, unknown: list[str], missing: list[str]) -> str:
        if unknown:
            start = f"{self.name}() has no {_quoted(unknown)}"
        else:
            start = f"{self.name}() is missing {_quoted(missing)}"
        takes = [f"{n} (missing)" if n in missing else n for n in self.parameters]
        return f"{start}; it takes: {', '.join(takes)}" if takes else f"{start}; it takes none"

    def _refuse_shape(self, found: Any) -> Refused:
        names = ", ".join(self.parameters) or "none"
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


def _at(loc: list[Any]) -> str:
    return f" (at {'.'.join(map(str, loc))})" if loc else ""


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _form(body: bytes) -> Pairs:
    return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)


class _Signature:
    """The function's parameters, without the one that its setup function gives."""

    def __init__(self, func: Any, codec: Codec, skip_first: bool) -> None:
        self._codec = codec
        self._hints = hints.of(func)
        listed = _listed(func)
        self.taken = ""
        """A name that no caller may give, though any other is taken."""
        if skip_first and listed and listed[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            first = listed.pop(0)
            self.taken = "" if first.kind is first.POSITIONAL_ONLY else first.name
        self.more: Check | None = None
        if listed and listed[-1].kind is inspect.Parameter.VAR_KEYWORD:
            self.more = check_of(self._hints.get(listed.pop().name, Any), codec)
        self.parameters = [self._parameter(item) for item in listed]

    def _parameter(self, item: inspect.Parameter) -> Parameter:
        wanted = self._hints.get(item.name, Any)
        if item.kind is item.VAR_POSITIONAL:
            wanted = hints.list_of(wanted)
        elif item.default is None and wanted is not Any:
            wanted = typing.Optional[wanted]
        kind = hints.head(wanted)
        many = hints.is_many(kind)
        return Parameter(
            name=item.name,
            kind=item.kind,
            required=item.default is item.empty and item.kind is not item.VAR_POSITIONAL,
            default=item.default,
            wanted=wanted,
            check=check_of(wanted, self._codec),
            many=many,
            structured=many or hints.is_object(kind) or is_pydantic(kind),
            raw=hints.is_raw(wanted),
        )


def _listed(func: Any) -> list[inspect.Parameter]:
    try:
        return list(hints.signature(func).parameters.values())
    except (TypeError, ValueError):
        # Some of those in C do not tell.
        return [inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)]
