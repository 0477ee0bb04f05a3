"""A request's body as lines: one JSON object, an array of them, or NDJSON become NDJSON, without decoding what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import MsgspecError, Raw, Struct, ValidationError
from msgspec.json import Decoder

from daemon.capture.not_finite import items_as_sent
from daemon.store.slices import feeds_n

if TYPE_CHECKING:
    from collections.abc import Sequence

_ARRAY = Decoder(list[Raw])
_ANY = Decoder(Raw)
_TINY_BYTES, _BRACES = 8, 8
"""Bytes between two commas that no usual record has; closing braces that no usual record has more of."""
_WORDS_A_RECORD = 20
"""NaN and Infinity in a batch, for each record that it may hold: a batch with more is refused as a whole."""
_LOOK_AT_N = 100
"""Lines looked at to tell a broken object over several lines from NDJSON with broken lines."""


class _Skipped(Struct):
    """An object whose fields are not read."""


_OBJECTS = Decoder(list[_Skipped])


class TooMany(ValueError):  # noqa: N818 (a domain failure, not a bug: house style)
    """More records than one request may hold; nothing was decoded."""

    def __init__(self, n: int, max_n: int) -> None:
        super().__init__(f"a request may hold {max_n} records, got {n}: send them in several")


def as_lines(body: bytes, max_n: int) -> bytes:
    """The body as NDJSON: itself where it is that already. Raises MsgspecError when it is no JSON as a whole, and TooMany."""
    body = body.strip()
    if body.startswith(b"["):
        items = _items(body, max_n)
        if len(items) > max_n:
            raise TooMany(len(items), max_n)
        if b"\n" in body:  # line feeds between tokens would end the line
            return b"\n".join(bytes(item).replace(b"\n", b" ") for item in items)
        return b"\n".join(items)
    if b"\n" not in body:
        return body
    if _is_one_object(body):
        return body.replace(b"\n", b" ")
    n = feeds_n(body) + 1
    if n > max_n:
        n = sum(1 for line in body.split(b"\n") if line.strip())
        if n > max_n:
            raise TooMany(n, max_n)
    return body


def _items(body: bytes, max_n: int) -> Sequence[Raw | bytes]:
    try:
        return _decoded(body, max_n)
    except ValidationError:
        raise
    except MsgspecError:
        items = items_as_sent(body, _WORDS_A_RECORD * max_n, lambda readable: _decoded(readable, max_n))
        if items is None:
            raise
        return items


def _decoded(body: bytes, max_n: int) -> list[Raw]:
    _look_before_decoding(body, max_n)
    return _ARRAY.decode(body)


def _look_before_decoding(body: bytes, max_n: int) -> None:
    """An array of millions of tiny items costs 70 bytes and 100 ns each before its length is known: refuse it first."""
    if (commas := body.count(b",")) <= max_n or len(body) > _TINY_BYTES * commas:
        return
    if (n := body.count(b"}")) > _BRACES * max_n:
        raise TooMany(n, max_n)
    _OBJECTS.decode(body)  # stops at the first item that is no object


def _is_one_object(body: bytes) -> bool:
    """Whether it is a single object written over several lines, and no NDJSON. Raises MsgspecError when it looks like neither."""
    try:
        _ANY.decode(memoryview(body)[: body.index(b"\n")])
    except (ValueError, RecursionError):
        try:
            _ANY.decode(body)
        except (ValueError, RecursionError):
            if any(map(_is_object, body.split(b"\n", _LOOK_AT_N)[:_LOOK_AT_N])):
                return False
            raise
        return True
    return False


def _is_object(line: bytes) -> bool:
    try:
        return line.lstrip().startswith(b"{") and bool(_ANY.decode(line))
    except (ValueError, RecursionError):
        return False
