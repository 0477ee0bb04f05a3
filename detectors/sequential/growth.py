"""The smallest shift that a numeric column's detector expects to see in so many records: by the expected logarithm of its bets.

A bet that gains g(s) a record in the mean at a shift of s has come to its part of 1/alpha after log(1 / (w alpha)) / g(s) records, w its
weight. The bets against the reference's radius alone are counted: what the others add makes the detector quicker than said here.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr, ndtri

from detectors.sequential.ranks import BETS_N, log_rank_bets, reference_radius

_WEIGHT = 0.25 / BETS_N
"""Of each such bet in `conformal_numeric`."""
_GRID = ndtri((np.arange(2000) + 0.5) / 2000)
_MOST = 8.0


def smallest_shift(*, alpha: float, delta: float, reference_n: int, n: int) -> float:
    """In standard deviations of a normal column; infinity where n records are too few for any shift."""
    radius, needed = reference_radius(reference_n, delta), -math.log(_WEIGHT * alpha)

    def is_seen(shift: float) -> bool:
        return bool(n * log_rank_bets(ndtr(_GRID + shift), radius).max() / len(_GRID) >= needed)

    if not is_seen(_MOST):
        return math.inf
    low, high = 0.0, _MOST
    while high - low > 1e-3:  # noqa: PLR2004 (as near as anybody reads it)
        middle = (low + high) / 2.0
        low, high = (low, middle) if is_seen(middle) else (middle, high)
    return high
