"""Counts in cells, and what is measured of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_EXPECTED = 5.0
"""Cells expected less often than this in either sample are rare: no limit theorem holds there (Cochran's rule)."""


class Figure(NamedTuple):
    """A distance and the ends of its interval."""

    value: float
    low: float
    high: float


class Cells(NamedTuple):
    """Records in each of k cells, shape (k,), and by how much each share may be off because of the sketch."""

    before: NDArray[np.float64]
    now: NDArray[np.float64]
    before_error: float = 0.0
    now_error: float = 0.0


def pooled(cells: Cells) -> Cells:
    """The rare cells as one: no distance grows by it, so a lower bound there is one of the whole."""
    total = cells.before + cells.now
    share = float(cells.before.sum() / total.sum())
    is_rare = total * min(share, 1.0 - share) < _EXPECTED
    if int(is_rare.sum()) < 2:  # noqa: PLR2004 (one alone is as it is)
        return cells
    before, now = (np.append(column[~is_rare], column[is_rare].sum()) for column in (cells.before, cells.now))
    return Cells(before, now, cells.before_error, cells.now_error)
