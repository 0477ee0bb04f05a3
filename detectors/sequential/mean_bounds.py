"""Confidence sequence of the mean of values in [0, 1] from three sums: their number, their total and their squares."""

from __future__ import annotations

import math

import numpy as np

from detectors.sequential.interval import log_likelihood, log_mixture, share_sequence

_STAKES = 0.9 * 2.0 ** -np.arange(10.0)
_PENALTY = -np.log1p(-_STAKES) - _STAKES
_HALVINGS = 30


def mean_bounds(n: float, total: float, squares: float, alpha: float) -> tuple[float, float]:
    """(low, high): P(ever false) <= alpha while the conditional mean stays the same; (0, 1) without data.

    Half of alpha goes to `share_sequence` (quick for 0 and 1), half to bets that know the variance. For y = (m - x) / (1 - m) >= -1 the bet
    prod 1 + s y on a mean below m is at least exp(s sum y - (-ln(1 - s) - s) sum y^2), which these sums tell for every m. The mean over the
    stakes s is an e-process while the mean is at least m, and the bet itself rises with m: what is refuted once is refuted above as well.
    [Fan, Grama & Liu 2015's inequality, as in Waudby-Smith & Ramdas 2024, arXiv:2010.09686; Ville's inequality] Cost: 120 halvings.
    """
    if n <= 0.0:
        return 0.0, 1.0
    low, high = share_sequence(total, n, alpha / 2.0)
    upper = _upper(n, total, squares, alpha / 4.0)
    lower = 1.0 - _upper(n, n - total, n - 2.0 * total + squares, alpha / 4.0)
    return max(low, min(lower, total / n)), min(high, max(upper, total / n))


def is_mean_below(n: float, total: float, squares: float, m: float, alpha: float) -> bool:
    """Whether `mean_bounds` ends below m in (0, 1), without looking for its end."""
    if n <= 0.0 or total >= n * m:
        return False
    is_share = float(log_mixture(total, n) - log_likelihood(total, n, m)) >= math.log(2.0 / alpha)
    return is_share or _log_below(n, total, squares, m) >= math.log(4.0 / alpha)


def _upper(n: float, total: float, squares: float, alpha: float) -> float:
    """The least m that is refuted, to within 2^-30; 1 = none."""
    inside, outside = min(1.0, total / n), 1.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (inside + outside)
        if _log_below(n, total, squares, middle) >= math.log(1.0 / alpha):
            outside = middle
        else:
            inside = middle
    return outside


def _log_below(n: float, total: float, squares: float, m: float) -> float:
    """Logarithm of the evidence that the mean is below m < 1."""
    if m >= 1.0:
        return math.inf
    y = (n * m - total) / (1.0 - m)
    y_squares = max(0.0, n * m * m - 2.0 * m * total + squares) / (1.0 - m) ** 2
    log_bets = _STAKES * y - _PENALTY * y_squares
    most = float(log_bets.max())
    return most + math.log(float(np.exp(log_bets - most).mean()))
