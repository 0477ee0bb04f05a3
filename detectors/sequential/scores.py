"""Bets that exact ranks (see `urn`) are uniform: on their normal scores, and on the mass of the tails.

z = Phi^-1(u) is standard normal under the null, so the likelihood ratios of a moved mean, exp(s z - s^2 / 2), and of another spread,
exp(-z^2 (1/sd^2 - 1) / 2) / sd, have mean 1 exactly: nearly the best bets there are where the column is near normal, and cheap (two sums a
pane). Tails: a share of ranks at the lower, the upper or both ends that is some times their mass. Ranks are clipped 1e-9 off 0 and 1, which
lowers the mean of every bet (of those on a narrower spread it is raised by less than 1e-20).

Shifts from 0.1 to 0.8 are a factor of sqrt(2) apart: by a bet on s a true shift d gains s d - s^2 / 2 a record, which is 97 % of the most,
d^2 / 2, where none is near; 89 % where they are a factor of 2 apart. Shifts hold 0.6 of the stake, since most changes move the middle
too; spreads and tails 0.2 each: a change of these gains so much a record that log(3/2) less is a tenth of a pane.
Of tails more is bet on what gains some .02 a record (see `weights_by_gain`), as three and a half times a fiftieth or twice a twentieth do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from detectors.sequential.bets import log_raise, weights_by_gain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SHIFTS, _SPREADS = 0.1 * 2.0 ** (np.arange(7) / 2.0), np.array([0.6, 0.8, 1.25, 1.6])
_TAILS, _TIMES = np.array([0.02, 0.05, 0.1]), np.array([1.3, 2.0, 3.5])
_MORE = np.outer(_TAILS, _TIMES)
_TAIL_WEIGHTS = weights_by_gain(log_raise(1.0, _MORE, _TAILS[:, None], _MORE).ravel())
_PARTS = (
    np.full(2 * len(SHIFTS), 0.6 / (2 * len(SHIFTS))),
    np.full(len(_SPREADS), 0.2 / len(_SPREADS)),
    np.tile(0.2 / 3 * _TAIL_WEIGHTS, 3),
)
SCORE_WEIGHTS = np.concatenate(_PARTS)
"""Of the stake on all of them, shape (SCORE_BETS_N,)."""
SCORE_BETS_N = len(SCORE_WEIGHTS)


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
