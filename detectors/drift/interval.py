"""An interval for a divergence of two sets of counts, with the error of the sketches behind them."""

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
    """About 1 - alpha, for the true d, not negative: the delta method, and what chance alone adds to an estimate of 0.

    With equal distributions the estimate times n_p n_q / (c (n_p + n_q)) is chi-square with k - 1 degrees of freedom (Pearson): the
    lower end is below that distribution's 1 - alpha / 2 quantile, so that it is above 0 in at most about alpha / 2 of such windows.
    `slack`: how much lower and how much higher the estimate could be without the error of the sketches.
    """
    variance = _variance(slopes.by_p, p) / n_p + _variance(slopes.by_q, q) / n_q
    spread = float(ndtri(1.0 - alpha / 2.0)) * variance**0.5
    chance = slopes.curvature * (1.0 / n_p + 1.0 / n_q) * float(chdtri(max(1, len(p) - 1), alpha / 2.0))
    return max(0.0, slopes.value - chance - spread - slack[0]), slopes.value + max(chance, spread) + slack[1]


def _variance(slope: NDArray[np.float64], share: NDArray[np.float64]) -> float:
    """Of slope[category] under the shares."""
    mean = float(share @ slope)
    return max(0.0, float(share @ np.square(slope)) - mean * mean)
