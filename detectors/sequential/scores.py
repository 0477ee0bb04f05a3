"""Bets that exact ranks (see `urn`) are uniform: on their normal scores, and on the mass of the tails.

z = Phi^-1(u) is standard normal under the null, so the likelihood ratios of a moved mean, exp(s z - s^2 / 2), and of another spread,
exp(-z^2 (1/sd^2 - 1) / 2) / sd, have mean 1 exactly: nearly the best bets there are where the column is near normal, and cheap (two sums a
pane). Tails: a share of ranks at the lower, the upper or both ends that is some times their mass. Ranks are clipped 1e-9 off 0 and 1, which
lowers the mean of every bet (of those on a narrower spread it is raised by less than 1e-20).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from detectors.sequential.bets import log_raise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SHIFTS, _SPREADS = np.array([0.1, 0.2, 0.4, 0.8]), np.array([0.6, 0.8, 1.25, 1.6])
_TAILS, _TIMES = np.array([0.02, 0.05, 0.1]), np.array([1.3, 2.0, 3.5])
_MOMENTS_N, _TAILS_N = 2 * len(SHIFTS) + len(_SPREADS), 3 * len(_TAILS) * len(_TIMES)
SCORE_BETS_N = _MOMENTS_N + _TAILS_N
SCORE_WEIGHTS = np.concatenate([np.full(_MOMENTS_N, 0.7 / _MOMENTS_N), np.full(_TAILS_N, 0.3 / _TAILS_N)])
"""Of the stake on all of them, shape (SCORE_BETS_N,)."""


def log_score_bets(u: Floats) -> Floats:
    """Logarithm of a pane's product of each bet, shape (SCORE_BETS_N,), for exact ranks u, shape (n,)."""
    z = ndtri(np.clip(u, 1e-9, 1.0 - 1e-9))
    n, total, squares = len(u), z.sum(), (z * z).sum()
    moved = np.concatenate([SHIFTS, -SHIFTS]) * total - 0.5 * n * np.concatenate([SHIFTS, SHIFTS]) ** 2
    spread = -n * np.log(_SPREADS) - 0.5 * squares * (_SPREADS**-2.0 - 1.0)
    return np.concatenate([moved, spread, _log_tail_bets(u)])


def _log_tail_bets(u: Floats) -> Floats:
    """Lower, upper and both tails, each mass and each factor."""
    ordered = np.sort(u)

    def below(edges: Floats) -> Floats:
        return np.searchsorted(ordered, edges, side="left").astype(np.float64)

    def above(edges: Floats) -> Floats:
        return len(u) - np.searchsorted(ordered, 1.0 - edges, side="right").astype(np.float64)

    hits = np.concatenate([below(_TAILS), above(_TAILS), below(_TAILS / 2) + above(_TAILS / 2)])
    masses = np.tile(_TAILS, 3)
    return log_raise(len(u), hits[:, None], masses[:, None], masses[:, None] * _TIMES).ravel()
