"""Intervals for distances of two sets of counts, with the error of the sketches behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, ndtri


@dataclass(frozen=True, kw_only=True, slots=True)
class Slopes:
    """A divergence d(p, q) of two distributions over k cells, and how it changes with either. Arrays: shape (k,)."""

    value: float
    by_p: NDArray[np.float64]
    by_q: NDArray[np.float64]
    curvature: float
    """c in d(p, q) ~ c * sum (p - q)^2 / p near p = q."""
    bias: float
    """How much an estimate from counts is too large on average, to second order."""


def smoothed(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares with half a record added to each cell (Jeffreys' prior), shape (k,): no cell is empty."""
    shares: NDArray[np.float64] = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    return shares


def interval(
    slopes: Slopes,
    p: NDArray[np.float64],
    q: NDArray[np.float64],
    *,
    n_p: int,
    n_q: int,
    alpha: float,
    slack: tuple[float, float] = (0.0, 0.0),
) -> tuple[float, float]:
    """About 1 - alpha, for the true d, not negative: the delta method, and what chance alone adds to an estimate.

    With equal distributions the estimate times n_p n_q / (c (n_p + n_q)) is chi-square with k - 1 degrees of freedom (Pearson): the
    lower end is below that distribution's 1 - alpha / 2 quantile, so that it is above 0 in at most about alpha / 2 of such windows.
    Elsewhere the estimate's own bias takes the place of that distribution's mean. The upper end holds the second-order term along the
    worst direction. `slack`: how much lower and how much higher the estimate could be without the error of the sketches.
    """
    variance = _variance(slopes.by_p, p) / n_p + _variance(slopes.by_q, q) / n_q
    z, unit, degrees = float(ndtri(1.0 - alpha / 2.0)), slopes.curvature * (1.0 / n_p + 1.0 / n_q), max(1, len(p) - 1)
    spread, quantile = z * variance**0.5, unit * float(chdtri(degrees, alpha / 2.0))
    low = slopes.value - (max(0.0, slopes.bias - unit * degrees) + quantile) - spread - slack[0]
    return max(0.0, low), slopes.value + max(quantile, spread + unit * z * z) + slack[1]


def _variance(slope: NDArray[np.float64], share: NDArray[np.float64]) -> float:
    """Of slope[category] under the shares."""
    mean = float(share @ slope)
    return max(0.0, float(share @ np.square(slope)) - mean * mean)
