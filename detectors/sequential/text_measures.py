"""A few numbers of each text that need no model: how long it is, how it is set, and how many of its words are new.

Characters are read as one array of code points for all texts together, so that a thousand short texts take a few milliseconds.
"""

from __future__ import annotations

import re
import zlib
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Words = NDArray[np.uint32]

CHARS_N = 2000
"""What is read of a text; its length counts in full."""
MOST_WORDS = 1 << 15
"""Of the known ones."""
_WORD = re.compile(r"\w+")
_PLANE = 1 << 16
_UPPER, _DIGIT, _MARK, _FOREIGN, _BLANK = (1 << i for i in range(5))
_BLOCK_N = 1024
"""Texts read at once: at most two million characters."""


class Measure(NamedTuple):
    """One of the figures."""

    name: str
    more: str
    """What a person says when it has risen: "texts are longer"."""
    less: str
    unit: str
    """What follows the number."""
    is_share: bool = True


MEASURES = (
    Measure("length", "texts are longer", "texts are shorter", "characters", is_share=False),
    Measure("word_length", "words are longer", "words are shorter", "characters a word", is_share=False),
    Measure("capitals", "texts have more capitals", "texts have fewer capitals", "of the characters"),
    Measure("marks", "texts have more punctuation", "texts have less punctuation", "of the characters"),
    Measure("digits", "texts have more digits", "texts have fewer digits", "of the characters"),
    Measure("foreign", "more characters are outside ASCII", "fewer characters are outside ASCII", "of the characters"),
    Measure("new_words", "more words are new", "fewer words are new", "of the words"),
)
"""The last one needs words that are known: see `known_words`."""


def measured(texts: Sequence[str | None], known: Words) -> Floats:
    """Every figure of each text, shape (texts, measures); NaN for a text that is missing, 0 for a share of nothing."""
    found = np.full((len(texts), len(MEASURES)), np.nan)
    there = [i for i, text in enumerate(texts) if text is not None]
    for at in range(0, len(there), _BLOCK_N):
        rows = there[at : at + _BLOCK_N]
        block = [text for i in rows if (text := texts[i]) is not None]
        found[rows, 0] = [len(text) for text in block]
        read = [text[:CHARS_N] for text in block]
        found[rows, 1:-1] = _shares(read)
        found[rows, -1] = _new_words(read, known)
    return found


def known_words(texts: Iterable[str | None]) -> Words:
    """Hashes of the words of these texts, sorted, the first `MOST_WORDS` of them that come."""
    known: dict[int, None] = {}
    for text in texts:
        known.update(dict.fromkeys(_words((text or "")[:CHARS_N])))
        if len(known) >= MOST_WORDS:
            break
    return np.sort(np.array([*known][:MOST_WORDS], dtype=np.uint32))


def _shares(texts: list[str]) -> Floats:
    """Characters a word and four shares of the characters, shape (texts, 5)."""
    points = np.frombuffer("".join(f"{text}\n" for text in texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    classes = _classes()[np.minimum(points, _PLANE - 1)]
    sizes = np.array([len(text) for text in texts])
    starts = np.cumsum(sizes + 1) - sizes - 1  # each ends in a blank of ours
    is_blank = (classes & _BLANK) != 0
    opens = ~is_blank & np.append(True, is_blank[:-1])  # a word begins
    words, solid = (np.add.reduceat(x.astype(np.int64), starts) for x in (opens, ~is_blank))
    shares = [np.add.reduceat((classes & bit != 0).astype(np.int64), starts) for bit in (_UPPER, _MARK, _DIGIT, _FOREIGN)]
    return np.stack([solid / np.maximum(1, words), *(share / np.maximum(1, sizes) for share in shares)], axis=1)


@cache
def _classes() -> NDArray[np.uint8]:
    """What each character is, shape (65,536,); beyond these (most are pictures) as the last one: a mark outside ASCII."""
    found = np.zeros(_PLANE, dtype=np.uint8)
    for point in range(_PLANE):
        c = chr(point)
        found[point] = (
            _UPPER * c.isupper()
            | _DIGIT * c.isdigit()
            | _BLANK * c.isspace()
            | _MARK * (not c.isalnum() and not c.isspace())
            | _FOREIGN * (not c.isascii())
        )
    return found


def _new_words(texts: list[str], known: Words) -> Floats:
    """Share of each text's words that are not among the known ones, shape (texts,)."""
    words = [_words(text) for text in texts]
    sizes = np.array([len(x) for x in words])
    flat = np.fromiter(chain.from_iterable(words), dtype=np.uint32, count=int(sizes.sum()))
    at = np.minimum(np.searchsorted(known, flat), max(0, len(known) - 1))
    is_new = known[at] != flat if len(known) else np.ones(len(flat), dtype=np.bool_)
    total = np.concatenate([[0], np.cumsum(is_new)])
    ends = np.cumsum(sizes)
    return np.asarray((total[ends] - total[ends - sizes]) / np.maximum(1, sizes), dtype=np.float64)


def _words(text: str) -> list[int]:
    return [zlib.crc32(word.encode("utf-8", "replace")) for word in _WORD.findall(text.lower())]
