"""How do values become JSON and back? By msgspec; types it does not know by whoever owns them."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from .loading import private


class Codec:
    """msgspec, in the version we brought, and what surrounds it."""

    def __init__(self, folders: list[str]) -> None:
        ours = private("msgspec", folders)
        self._msgspec: Any = ours["msgspec"]
        self.ValidationError: type[Exception] = self._msgspec.ValidationError
        self.DecodeError: type[Exception] = self._msgspec.DecodeError
        self.decode = self._msgspec.json.decode
        self._encoder = self._msgspec.json.Encoder(enc_hook=to_builtin)
        self.encode = self._encoder.encode

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
        except (TypeError, NotImplementedError, NameError):
            return False
        return True


def is_pydantic(wanted: Any) -> bool:
    if not isinstance(wanted, type):
        return False
    return hasattr(wanted, "model_validate") or (
        hasattr(wanted, "parse_obj") and hasattr(wanted, "__fields__")
    )


def validate_pydantic(value: Any, wanted: Any) -> Any:
    """By the model's own rules, in version 2 or 1."""
    if hasattr(wanted, "model_validate"):
        return wanted.model_validate(value)
    return wanted.parse_obj(value)


def pydantic_errors(error: Exception) -> list[dict[str, Any]]:
    """`loc` and `msg` of each error; empty when it is not one of pydantic's."""
    listed = getattr(error, "errors", None)
    if not callable(listed):
        return []
    return [{"loc": list(item["loc"]), "msg": str(item["msg"])} for item in listed()]


_FROM_TEXT = {"pathlib", "pathlib._local", "ipaddress", "fractions"}
"""Modules whose types are made of their text, and go back into it."""


def from_builtin(wanted: Any, value: Any) -> Any:
    """For types that msgspec leaves to us. Raises ValueError."""
    kind = getattr(wanted, "__origin__", wanted)
    if not isinstance(kind, type):
        raise NotImplementedError(f"{wanted!r} cannot be checked")
    if isinstance(value, kind):
        return value
    if is_pydantic(kind):
        return _nested_pydantic(value, kind)
    if hasattr(kind, "__struct_fields__"):
        return importlib.import_module("msgspec").convert(value, kind)
    if kind.__module__ in _FROM_TEXT and isinstance(value, str):
        return kind(value)
    raise ValueError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _nested_pydantic(value: Any, kind: Any) -> Any:
    try:
        return validate_pydantic(value, kind)
    except ValueError as exc:
        parts = [
            f"{'.'.join(map(str, e['loc'])) or kind.__name__}: {e['msg']}"
            for e in pydantic_errors(exc)
        ]
        raise ValueError("; ".join(parts) or str(exc)) from exc


def to_builtin(value: Any) -> Any:
    """For values that msgspec cannot write. Raises NotImplementedError, naming the type."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if is_pydantic(type(value)):
        return value.dict()
    if hasattr(value, "__struct_fields__") and "msgspec" in sys.modules:
        return sys.modules["msgspec"].to_builtins(value)
    if type(value).__module__ in _FROM_TEXT:
        return str(value)
    # numpy's and torch's arrays and numbers
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    if isinstance(value, BaseException):
        return str(value)
    raise NotImplementedError(f"{type(value).__module__}.{type(value).__qualname__}")
