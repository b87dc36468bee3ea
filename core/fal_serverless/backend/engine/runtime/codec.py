"""How do values become JSON and back? By msgspec; types it does not know by whoever owns them."""

from __future__ import annotations

import importlib
import json
import sys
from collections import abc
from typing import Any

from . import pydantics
from .loading import private


class Codec:
    """msgspec, in the version we brought, and what surrounds it."""

    def __init__(self, folders: list[str]) -> None:
        ours = private("msgspec", folders)
        self._msgspec: Any = ours["msgspec"]
        self.ValidationError: type[Exception] = self._msgspec.ValidationError
        # JSON that is nested without an end is no more JSON to us than what does not parse.
        self.DecodeError = (self._msgspec.DecodeError, RecursionError)
        self.decode = self._msgspec.json.decode
        self._encoder = self._msgspec.json.Encoder(enc_hook=to_builtin)

    def encode(self, value: Any) -> bytes:
        """JSON in UTF-8. NaN and the infinities are null: JSON has no name for them."""
        try:
            encoded: bytes = self._encoder.encode(value)
        except UnicodeEncodeError:
            # Half a surrogate pair: JSON can say it in escapes only.
            plain = self._msgspec.to_builtins(value, enc_hook=to_builtin)
            return json.dumps(plain, allow_nan=False).encode()
        return encoded

    def convert(self, value: Any, wanted: Any, *, lax: bool) -> Any:
        """The value as that type. Raises ValidationError; TypeError for a type it cannot check.

        Values from JSON are taken as they are where they fit; text is read as the type where it
        does not: `"5"` for an int, always so in a query.
        """
        if not lax:
            try:
                return self._convert(value, wanted, True)
            except self.ValidationError:
                pass
        return self._convert(value, wanted, False)

    def _convert(self, value: Any, wanted: Any, strict: bool) -> Any:
        return self._msgspec.convert(
            value, wanted, strict=strict, dec_hook=from_builtin, str_keys=True
        )

    def can_check(self, wanted: Any) -> bool:
        """Whether the type means anything to us."""
        try:
            self._convert(None, wanted, True)
        except self.ValidationError:
            pass
        except (TypeError, NotImplementedError, NameError, KeyError, AttributeError):
            return False
        return True

    def schema(self, wanted: Any, template: str, hook: Any) -> tuple[dict[str, Any], Any]:
        """JSON schema of one type, and those it refers to. Raises TypeError, NotImplementedError.

        `hook` is asked for types that are not msgspec's.
        """
        (made,), shared = self._msgspec.json.schema_components(
            [wanted], schema_hook=hook, ref_template=template
        )
        return made, shared


_FROM_TEXT = {"pathlib", "pathlib._local", "ipaddress", "fractions"}
"""Modules whose types are made of their text, and go back into it."""


def is_from_text(kind: Any) -> bool:
    return getattr(kind, "__module__", "") in _FROM_TEXT


def is_struct(kind: Any) -> bool:
    """A struct of the user's own msgspec."""
    return hasattr(kind, "__struct_fields__")


def from_builtin(wanted: Any, value: Any) -> Any:
    """For types that msgspec leaves to us. Raises ValueError."""
    kind = getattr(wanted, "__origin__", wanted)
    if not isinstance(kind, type):
        raise NotImplementedError(f"{wanted!r} cannot be checked")
    if isinstance(value, kind):
        return value
    if pydantics.is_pydantic(kind):
        return pydantics.validated(value, kind)
    if is_struct(kind):
        return importlib.import_module("msgspec").convert(value, kind)
    if is_from_text(kind) and isinstance(value, str):
        return kind(value)
    raise ValueError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


_BUILTINS: tuple[Any, ...] = (str, int, float, list, dict)
_AS_LIST = (abc.Sequence, abc.Set, abc.ValuesView)


def to_builtin(value: Any) -> Any:
    """For values that msgspec cannot write. Raises NotImplementedError, naming the type."""
    if pydantics.is_pydantic(type(value)):
        return pydantics.dumped(value)
    if is_struct(value) and "msgspec" in sys.modules:
        return sys.modules["msgspec"].to_builtins(value)
    if is_from_text(type(value)):
        return str(value)
    for kind in _BUILTINS:
        if isinstance(value, kind):
            return kind(value)
    # numpy's and torch's arrays and numbers
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    if isinstance(value, abc.Mapping):
        return dict(value)
    if isinstance(value, _AS_LIST):
        return list(value)
    if isinstance(value, BaseException):
        return str(value)
    raise NotImplementedError(f"{type(value).__module__}.{type(value).__qualname__}")
