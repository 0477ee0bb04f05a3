"""Bets in log space: mixtures, Shiryaev-Roberts restarts, and bets on a share, all with stakes fixed before the data.

A bet is a factor L >= 0 whose mean, given the past, is at most 1 under the null. Everything here keeps the natural logarithm of wealth, one
entry for each stake of a fixed grid; the grid's weighted mean is the evidence. Pure, no state.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NOTHING = -1000.0
"""Natural logarithm that stands for wealth 0 (finite, so that it can be stored anywhere)."""

STAKES = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.7])
"""Fractions of the largest stake that keeps wealth positive, geometric: some grid point is within a factor 2 of the best one."""

_WORTH, _EVEN = 0.02, 0.1
"""Most of a stake is on bets that gain about so many nats a record; this part of it is on all alike."""

_LN10 = math.log(10.0)
_CAP_FACTOR = 100.0


def check_rates(alpha: float, delta: float) -> None:
    """Refuse an alpha or a delta outside (0, 1)."""
    for name, value in (("alpha", alpha), ("delta", delta)):
        if not 0.0 < value < 1.0:
            raise ValueError(f"{name} must be in (0, 1), got {value}; 0.01 = one in a hundred")


def check_bets(log_m: Floats, weights: Floats) -> None:
    """Refuse the wealth of other bets than these: a state that an older release wrote, whose detector then starts afresh."""
    if len(log_m) != len(weights):
        raise ValueError(f"wealth of {len(log_m)} bets, expected {len(weights)}")


def restart(log_m: Floats, log_bet: Floats, *, alpha: float) -> Floats:
    """One Shiryaev-Roberts step of each component, shape (k,): M <- min((M + 1) L, 100 k / alpha).

    The cap only lowers M, so the run length bound stays; without it a world that recovered would stay in alarm as long as it was ill.
    [Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532: the SR e-detector]
    """
    cap = math.log(_CAP_FACTOR * len(log_m) / alpha)
    grown: Floats = np.logaddexp(log_m, 0.0) + np.maximum(log_bet, NOTHING)
    return np.minimum(grown, cap)


def log10_mean(log_m: Floats, weights: Floats | None = None) -> float:
    """log10 of the weighted mean of exp(log_m), shape (k,); None = equal weights. Never below -300."""
    top = float(log_m.max())
    parts = np.exp(log_m - top)
    mean = float(parts.mean()) if weights is None else float(parts @ weights)
    return max(-300.0, (top + math.log(mean)) / _LN10) if mean > 0.0 else -300.0


def is_reached(log10_e: float, alpha: float) -> bool:
    """Whether the evidence has come to 1 / alpha."""
    return log10_e >= -math.log10(alpha)


def log_raise(n: Floats | float, k: Floats | float, limit: Floats | float, target: Floats) -> Floats:
    """Logarithm of the bet that a share is above `limit`, after k hits in n: (q/m)^k ((1-q)/(1-m))^(n-k).

    With m = `limit` and q = `target` in [m, 1): equal to prod 1 + s (x - m), s = (q - m) / (m (1 - m)), so its mean is at most 1 while the
    conditional share is at most m. All arguments broadcast.
    """
    hit, miss = np.log(target / limit), np.log1p(-target) - np.log1p(-np.asarray(limit))
    return np.asarray(k * hit + (np.asarray(n) - k) * miss, dtype=np.float64)


def weights_by_gain(gain: Floats) -> Floats:
    """Weight of each bet, adding up to 1 along the last axis; `gain`: nats a record in the mean where the bet comes true, positive.

    With much more than .02 it is there within a pane or two whatever its weight, with much less it takes so many records that those which
    make good a small weight are few beside them. So weights go by 1 / (g/.02 + .02/g).
    """
    worth = 1.0 / (gain / _WORTH + _WORTH / gain)
    return np.asarray((1.0 - _EVEN) * worth / worth.sum(axis=-1, keepdims=True) + _EVEN / gain.shape[-1], dtype=np.float64)


def targets_above(limit: float | Floats, stakes: Floats = STAKES) -> Floats:
    """Shares to bet on above `limit`, at the given fractions of the way to 1; both broadcast."""
    return limit + stakes * (1.0 - limit)
