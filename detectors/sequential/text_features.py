"""Texts as sets of hashed features: words, pairs of neighbours, the words' shapes, and the length. The same in every process.

A text becomes at most 96 of 2^14 feature numbers; a text without value is the feature "missing". Stored flat: all numbers one after the
other, and how many belong to each text.
"""

from __future__ import annotations

import math
import re
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

FEATURES_N = 1 << 14
_BITS = 14
_CHARS_N = 2000
_PER_TEXT_N = 96
_TOKEN = re.compile(r"\w+|[^\w\s]+")


class Texts(NamedTuple):
    """Hashed texts: `ids`, shape (features of all texts,), uint16; `sizes`, shape (texts,), int32."""

    ids: NDArray[np.uint16]
    sizes: NDArray[np.int32]

    @property
    def n(self) -> int:
        """How many texts."""
        return len(self.sizes)


def hash_texts(values: Iterable[str | None]) -> Texts:
    """Each text's features, of its first 2,000 characters. About 30 microseconds a short text."""
    sets = [_features(text) for text in values]
    ids = np.concatenate(sets) if sets else np.empty(0)
    return Texts(ids.astype(np.uint16), np.array([len(s) for s in sets], dtype=np.int32))


def no_texts() -> Texts:
    """None at all."""
    return hash_texts(())


def join(first: Texts, second: Texts, *, last_n: int) -> Texts:
    """The last `last_n` of both, in order."""
    sizes = np.concatenate([first.sizes, second.sizes])
    ids = np.concatenate([first.ids, second.ids])
    kept = sizes[max(0, len(sizes) - last_n) :]
    return Texts(ids[len(ids) - int(kept.sum()) :], kept)


def matrix(texts: Texts) -> sparse.csr_matrix:
    """Rows of length 1, shape (n, FEATURES_N): every feature of a text weighs the same."""
    sizes = texts.sizes.astype(np.int64)
    values = np.repeat(1.0 / np.sqrt(sizes), sizes)
    return sparse.csr_matrix((values, texts.ids.astype(np.int32), np.concatenate([[0], np.cumsum(sizes)])), shape=(texts.n, FEATURES_N))


def _features(text: str | None) -> NDArray[np.int64]:
    if text is None:
        return np.array([_hash("missing")], dtype=np.int64)
    tokens = _TOKEN.findall(text[:_CHARS_N])
    words = [zlib.crc32(token.lower().encode("utf-8", "replace")) for token in tokens]
    pairs = [(a * 0x9E3779B1 + b) & 0xFFFFFFFF for a, b in pairwise(words)]
    marks = [f"length {round(2.0 * math.log2(1 + len(tokens)))}", *{_shape(token) for token in tokens}]
    numbers = np.array(words + pairs, dtype=np.int64) >> (32 - _BITS)
    kept = list(dict.fromkeys([*(_hash(mark) for mark in marks), *numbers.tolist()]))
    return np.array(kept[:_PER_TEXT_N], dtype=np.int64)


def _hash(mark: str) -> int:
    """Of something that is no token (a token has no blank at its start)."""
    return zlib.crc32(f" {mark}".encode()) >> (32 - _BITS)


def _shape(token: str) -> str:
    if token.isupper():
        return "upper"
    if token.istitle():
        return "title"
    return "lower" if token.islower() else "other"
