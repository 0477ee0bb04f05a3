"""Bets on the shares of single categories against their bounds or their exact chance, and how far they moved (see `conformal_category`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.bets import log_raise, weights_by_gain
from detectors.sequential.interval import lower_share, upper_share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TIMES = np.array([1.05, 1.25, 1.6, 2.5, 6.0, 20.0])
"""How many times its odds a share is bet to come to."""
UP_WEIGHT = 0.6
"""Of the stake says that a share rises."""


def share_weights(chances: Floats) -> Floats:
    """Weight of each bet of `log_share_bets`, adding up to 1, for shares of about `chances`, shape (watched,).

    All rise with equal weight. They fall with weight by their share: what falls from p to 0 gains log(1/(1 - p)) a record at most.
    """
    up = times_weights(chances) / len(chances)
    down = (chances / chances.sum())[:, None] * times_weights(1.0 - chances)
    return np.concatenate([UP_WEIGHT * up.ravel(), (1.0 - UP_WEIGHT) * down.ravel()])


def times_weights(chances: Floats | float) -> Floats:
    """Weight of a share's bet on each of TIMES, adding up to 1 along the last axis, shape (..., 6): see `weights_by_gain`."""
    share = np.clip(np.asarray(chances, dtype=np.float64), 1e-6, 1.0 - 1e-6)[..., None]
    target = targets_of(share)
    return weights_by_gain(log_raise(1.0, target, share, target))


def targets_of(share: Floats | float) -> Floats:
    """Shares at each of TIMES the odds of one in (0, 1), broadcast along the last axis."""
    odds = TIMES * share
    return np.asarray(odds / (1.0 - share + odds), dtype=np.float64)


def log_share_bets(hits: Floats, n: int, low: Floats, high: Floats) -> Floats:
    """Logarithm of a pane's bets, after `hits` in n, against bounds low and high of each share, all shape (watched,).

    Up: the share is above `high`; down: the share of all others is above 1 - `low`. A bound at 1 or 0 leaves nothing to bet on (factor 1).
    """
    k = hits[:, None]
    is_up, is_down = (high < 1.0)[:, None], (low > 0.0)[:, None]
    top, others = np.where(is_up, high[:, None], 0.5), 1.0 - np.where(is_down, low[:, None], 0.5)
    up = np.where(is_up, log_raise(n, k, top, targets_of(top)), 0.0)
    down = np.where(is_down, log_raise(n, n - k, others, targets_of(others)), 0.0)
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
