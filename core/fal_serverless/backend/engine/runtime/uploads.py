"""How does a body of multipart/form-data become names and contents? (RFC 7578)"""

from __future__ import annotations

from email.message import Message
from email.parser import HeaderParser
from typing import List, NamedTuple
from urllib.parse import unquote

KIND = "multipart/form-data"


class Malformed(ValueError):
    """It is not what its content type says."""


class Part(NamedTuple):
    """One field of a form."""

    name: str
    content: bytes
    is_file: bool


def parts(content_type: str, body: bytes) -> List[Part]:
    """The fields in their order. Raises Malformed."""
    mark = b"--" + _boundary(content_type)
    # The first mark has no line before it, each other one ends the content of a part.
    rest = (b"\r\n" + body).split(b"\r\n" + mark)[1:]
    if not rest or not rest[-1].startswith(b"--"):
        raise Malformed("its last boundary is missing")
    return [_part(piece) for piece in rest[:-1]]


def _boundary(content_type: str) -> bytes:
    header = Message()
    header["content-type"] = content_type
    found = header.get_boundary()
    if not found:
        raise Malformed("the content type names no boundary")
    return found.encode("latin-1", "replace")


def _part(piece: bytes) -> Part:
    # White space may follow the mark on its line.
    _, _, piece = piece.partition(b"\r\n")
    if piece.startswith(b"\r\n"):
        head, content = b"", piece[2:]
    else:
        head, _, content = piece.partition(b"\r\n\r\n")
    headers = HeaderParser().parsestr(head.decode("utf-8", "replace"))
    name = _said(headers, "name")
    if name is None:
        raise Malformed("a part has no name")
    return Part(name, content, _said(headers, "filename") is not None)


def _said(headers: Message, parameter: str) -> str | None:
    found = headers.get_param(parameter, header="content-disposition")
    if isinstance(found, tuple):
        found = found[2]
    # Browsers write a quote within a name as %22.
    return unquote(found) if isinstance(found, str) else None
