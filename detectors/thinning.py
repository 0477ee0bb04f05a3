"""Fewer rows of a reference. They are drawn: every k-th row of an order with a period (classes in turn, hours, batches) is of one kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED = 20_261_130


def is_drawn(n: int, drawn_n: int) -> NDArray[np.bool_]:
    """Which of n rows are drawn, shape (n,): so many of them."""
    found = np.zeros(n, dtype=np.bool_)
    found[drawn_rows(n, drawn_n)] = True
    return found


def drawn_rows(n: int, most: int) -> NDArray[np.int64]:
    """At most `most` of rows 0 to n - 1, ascending; the same in every process and after every restart. O(n)."""
    if n <= most:
        return np.arange(n, dtype=np.int64)
    return np.sort(np.random.default_rng([_SEED, n]).permutation(n)[:most])
