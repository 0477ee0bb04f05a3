"""Which keys are surely new: a Bloom filter whose bits of one key are in one word, for many keys at once.

Keys are 16 bytes of a cryptographic hash, so their own bits serve: the first half places a key, the second one sets its bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

KEY_BYTES = 16
_PER_WORD = 3  # keys: 2.7 bytes each, and one new key in 500 is taken for known
_BITS = 5
_HALF, _SIX, _BIT = np.uint64(32), np.uint64(63), np.uint64(1)


def keys_array(keys: Sequence[bytes]) -> NDArray[np.uint64]:
    """Shape (n, 2): the halves of each key of 16 bytes, the first byte the highest, so that their order is that of the bytes."""
    return keys_from(b"".join(keys))


def keys_from(data: bytes) -> NDArray[np.uint64]:
    """The same from one piece."""
    return np.frombuffer(data, ">u8").astype(np.uint64).reshape(-1, 2)


def spread(keys: NDArray[np.uint64], n: int) -> NDArray[np.int64]:
    """Which of `n` equal ranges of keys each is in, shape (n keys,); n below 2**32. In the keys' own order."""
    return ((keys[:, 0] >> _HALF) * np.uint64(n) >> _HALF).astype(np.int64)


class Filter:
    """Of the keys of one run. Says no for sure and yes by chance."""

    __slots__ = ("_words",)

    def __init__(self, n: int) -> None:
        self._words = np.zeros(1 + n // _PER_WORD, np.uint64)

    def add(self, keys: NDArray[np.uint64]) -> None:
        """Sorted ones: neighbours in order are neighbours in memory."""
        if len(keys):
            place = spread(keys, len(self._words))
            firsts = np.flatnonzero(np.diff(place, prepend=-1))
            self._words[place[firsts]] |= np.bitwise_or.reduceat(bits(keys), firsts)

    def may_hold(self, keys: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """For each key whether it may be one of these, shape (n,); `wanted`: their `bits`, computed once for many filters."""
        found: NDArray[np.bool_] = (self._words[spread(keys, len(self._words))] & wanted) == wanted
        return found


def bits(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The bits that a key sets in its word, shape (n,)."""
    found = np.zeros(len(keys), np.uint64)
    for i in range(_BITS):
        found |= _BIT << ((keys[:, 1] >> np.uint64(6 * i)) & _SIX)
    return found
