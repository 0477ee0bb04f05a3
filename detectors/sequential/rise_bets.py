"""Bets that exact ranks (see `urn`) are too high, never too low: on their normal scores and on the mass of the upper end.

A loss of 0 or 1 whose share of ones was p ranks uniformly within the upper p when it is 1. So when the share has risen, the upper p holds
more than its mass, and that bet is the likelihood ratio of the two shares; no mass may be chosen by what the ranks' urn holds (exact ranks
are independent of each other, not of that), hence a grid: of seven masses one is within a factor of 1.6 of any share from .01 to .8. Odds
rise by 1.4 to 3.5: a change becomes its own past, so that what is left of it shrinks. Normal scores see losses without ties that all grow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from detectors.sequential.bets import log_raise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_SHIFTS = np.array([0.1, 0.2, 0.4, 0.8])
_MASSES, _ODDS = np.array([0.015, 0.04, 0.1, 0.2, 0.3, 0.45, 0.65]), np.array([1.4, 2.0, 3.5])
_TARGETS = _MASSES[:, None] * _ODDS / (1.0 + _MASSES[:, None] * (_ODDS - 1.0))
RISE_WEIGHTS = np.concatenate([np.full(len(_SHIFTS), 0.3 / len(_SHIFTS)), np.full(_TARGETS.size, 0.7 / _TARGETS.size)])
"""Of the stake on each of `log_rise_bets`, shape (25,)."""


def log_rise_bets(u: Floats) -> Floats:
    """Logarithm of each bet on each exact rank u, (n,) -> (n, 25); of a uniform rank a bet's mean is 1 (clipping lowers some)."""
    z = ndtri(np.clip(u, 1e-9, 1.0 - 1e-9))[:, None]
    is_hit = (u[:, None] > 1.0 - _MASSES).astype(np.float64)[:, :, None]
    tails = log_raise(1.0, is_hit, _MASSES[:, None], _TARGETS)  # (n, masses, odds)
    return np.concatenate([_SHIFTS * z - 0.5 * _SHIFTS**2, tails.reshape(len(u), -1)], axis=1)
