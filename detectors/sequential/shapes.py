"""Bets that exact ranks (see `urn`) are uniform, against any other shape: the middle empties, a second peak comes, one value is frequent.

Moved normal scores, spreads and tails miss a change that moves none of them, such as two peaks of the same mean and variance. Here a
pane's ranks fall into ten equal bins, and are bet on by shares drawn from Dirichlet(4 + m), m = what the latest panes brought into each
bin: as if every record were bet on by what those before it showed. The bet is the chance of the pane's bins by these shares over that by
equal ones: a likelihood ratio, whose mean is 1 under the null whatever came before.
[Good 1967, A Bayesian significance test for multinomial distributions]

Without memory (m = 0) a large change is seen at once, by the pane alone: that bet is a sum of e-processes of one pane each, since without a
memory to contradict it would lose its wealth too slowly when a change is over. With the latest 100 or 1,000 records a small change is
learnt over panes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_BINS_N, _PRIOR = 10, 4.0
"""Shares vary by half of themselves before anything is seen."""
_MEMORIES = np.array([[0.0], [100.0], [1000.0]])
SHAPE_BETS_N = len(_MEMORIES)
OF_A_PANE = _MEMORIES[:, 0] == 0.0
"""Bets that begin anew with every pane, shape (SHAPE_BETS_N,)."""


def no_shapes() -> Floats:
    """What is remembered at first, shape (SHAPE_BETS_N, bins)."""
    return np.zeros((SHAPE_BETS_N, _BINS_N))


def log_shape_bets(u: Floats, known: Floats) -> tuple[Floats, Floats]:
    """(logarithm of a pane's product of each bet, shape (SHAPE_BETS_N,), for exact ranks u, shape (n,); what is remembered with them)."""
    counts = np.bincount(np.minimum((u * _BINS_N).astype(np.int64), _BINS_N - 1), minlength=_BINS_N)
    prior = _PRIOR + known
    total = prior.sum(axis=1)
    by_bins = (gammaln(prior + counts) - gammaln(prior)).sum(axis=1)
    log_bets: Floats = by_bins + gammaln(total) - gammaln(total + len(u)) + len(u) * math.log(_BINS_N)
    after = known + counts
    return log_bets, after * np.minimum(1.0, _MEMORIES / np.maximum(1.0, after.sum(axis=1, keepdims=True)))
