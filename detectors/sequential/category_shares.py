"""Bets on the shares of single categories against their bounds or their exact chance, and how far they moved (see `conformal_category`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.bets import log_raise
from detectors.sequential.interval import lower_share, upper_share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STAKES = np.array([0.01, 0.03, 0.1, 0.3, 0.6])


def share_bets_n(watched_n: int) -> int:
    """How many bets: every watched share, up and down, at each stake."""
    return 2 * watched_n * len(STAKES)


def log_share_bets(hits: Floats, n: int, low: Floats, high: Floats) -> Floats:
    """Logarithm of a pane's bets, after `hits` in n, against bounds low and high of each share, all shape (watched,).

    Up: the share is above `high`; down: the share of all others is above 1 - `low`. A bound at 1 or 0 leaves nothing to bet on (factor 1).
    """
    k = hits[:, None]
    is_up, is_down = (high < 1.0)[:, None], (low > 0.0)[:, None]
    top, bottom = np.where(is_up, high[:, None], 0.5), np.where(is_down, low[:, None], 0.5)
    up = np.where(is_up, log_raise(n, k, top, top + STAKES * (1.0 - top)), 0.0)
    down = np.where(is_down, log_raise(n, n - k, 1.0 - bottom, 1.0 - bottom + STAKES * bottom), 0.0)
    return np.concatenate([up.ravel(), down.ravel()])


def share_distance(hits: Floats, n: int, before: Floats, low: Floats, high: Floats) -> tuple[float, float, float, int]:
    """Largest move of a share, its interval (95 % of the recent records' own error, and the reference's bounds), and which share."""
    if n == 0:
        return 0.0, 0.0, 1.0, 0
    shares, each = hits / n, 0.025 / len(hits)
    lower, upper = lower_share(hits, n, each), upper_share(hits, n, each)
    at = int(np.argmax(np.abs(shares - before)))
    least = np.maximum(np.maximum(lower - high, low - upper), 0.0)
    most = np.minimum(np.maximum(upper - low, high - lower), 1.0)
    return float(abs(shares[at] - before[at])), float(least.max()), float(most.max()), at
