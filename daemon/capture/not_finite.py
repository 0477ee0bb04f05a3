"""NaN and Infinity among an array's items: no JSON (Python's json writes them), so that no decoder sees where the next item begins.

Looked for only where an array did not decode. Two passes over the body at the speed of `re`, and a step a word; no more words than are
given are looked at.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from msgspec import Raw

_WORDS = (b"NaN", b"Infinity")
_NEXT = re.compile(rb'(?s)(?:[^"NI]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+(NaN|Infinity)')
"""Up to the next word that stands in no text; never goes back."""


def items_as_sent(body: bytes, most_words: int, decode: Callable[[bytes], Sequence[Raw]]) -> list[bytes] | None:
    """The items of an array as they were sent, those with such a word too; None: no such word is why it did not decode.

    `decode` gets the body with figures in their place, of the same length, and raises what it raises.
    """
    readable = _with_figures(body, most_words)
    if readable is None:
        return None
    items, at = [], 0
    for item in map(bytes, decode(readable)):
        at = readable.index(item, at)  # nothing but commas and blanks between two, and no item begins with one
        items.append(body[at : at + len(item)])
        at += len(item)
    return items


def has_any(text: bytes) -> bool:
    """Whether there is such a word in some JSON, outside of its texts."""
    return _NEXT.match(text) is not None


def _with_figures(body: bytes, most_n: int) -> bytes | None:
    if not 0 < sum(map(body.count, _WORDS)) <= most_n:
        return None
    found, at = bytearray(body), 0
    while (match := _NEXT.match(body, at)) is not None:
        start, at = match.span(1)
        found[start:at] = b"1" * (at - start)
    return bytes(found) if at else None
