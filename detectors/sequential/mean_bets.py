"""Bets that a weighted mean of values in [0, 1] is above m, or below it, for all m at once and from six sums.

With weights w in (0, 1], y = w (x - m) is at least -m, and its mean, given the past, is at most 0 while the weighted mean of x is at
most m. For y >= -1 and s in (0, 1), exp(s y - psi(s) y^2) <= 1 + s y with psi(s) = -log(1 - s) - s [Fan, Grama & Liu 2015,
arXiv:1311.6273, proof of lemma 4.1], so the product over the pairs has a mean of at most 1 (with y over its reach), and its logarithm is
made of the sums of w, w^2, w x, w^2 x, w^2 x^2. The stakes s are a fixed grid, their mean is the evidence: neither order
nor batches of the pairs matter.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.bets import STAKES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SUMS_N = 6
"""n, w, w^2, w x, w^2 x, w^2 x^2: the fields of `detectors.sketches.means.Sums`."""
CELLS_N = 500
"""Means are told apart to one in so many."""
EDGES = np.linspace(0.0, 1.0, CELLS_N + 1)
_LEAST_REACH = 0.25
"""Nearer to 0 a loss is small and a gain many times it: there the bound above gives most of the gain away."""
_PSI = -np.log1p(-STAKES) - STAKES


def sums_of(x: Floats, w: Floats) -> Floats:
    """Of the values that are there (NaN = none), x (n, figures), w (n,): shape (figures, 6)."""
    here = np.isfinite(x)
    v, u = np.where(here, x, 0.0), np.where(here, w[:, None], 0.0)  # (n, figures) both
    parts = (here, u, u * u, u * v, u * u * v, u * u * v * v)
    return np.stack([part.sum(axis=0, dtype=np.float64) for part in parts], axis=-1)


def log_above(sums: Floats, edges: Floats) -> Floats:
    """Logarithm of the e-value against "the mean is at most m", for the m of each cell where it is least.

    `sums` (..., 6), `edges` (k + 1,) rising in [0, 1] -> (..., k). The exponent of each stake is a concave parabola in m, so within a cell
    it is least at one of the ends. O(groups k stakes).
    """
    _, w, w2, wx, w2x, w2xx = (sums[..., i, None, None] for i in range(SUMS_N))
    reach = np.maximum(edges[1:], _LEAST_REACH)[:, None]  # (k, 1): y is at least minus that in the whole cell
    gain, loss = STAKES / reach, _PSI / reach**2  # (k, stakes)
    ends = [gain * (wx - m * w) - loss * (w2xx - 2.0 * m * w2x + m * m * w2) for m in (edges[:-1, None], edges[1:, None])]
    least = np.minimum(*ends)
    top = least.max(axis=-1)
    return np.asarray(top + np.log(np.exp(least - top[..., None]).mean(axis=-1)), dtype=np.float64)


def log_below(sums: Floats, edges: Floats) -> Floats:
    """The same against "the mean is at least m": of 1 - x."""
    n, w, w2, wx, w2x, w2xx = np.moveaxis(sums, -1, 0)
    mirrored = np.stack([n, w, w2, w - wx, w2 - w2x, w2 - 2.0 * w2x + w2xx], axis=-1)
    return log_above(mirrored, 1.0 - edges[::-1])[..., ::-1]


def mean_interval(log_e_above: Floats, log_e_below: Floats, alpha: float) -> tuple[float, float]:
    """Confidence sequence of a mean by both bets over the cells of `EDGES`: P(ever false) <= alpha while the weighted mean stays the same.

    The cells where the mean of the two stays below 1/alpha.
    """
    kept = np.flatnonzero(np.logaddexp(log_e_above, log_e_below) - math.log(2.0) < -math.log(alpha))
    return (float(EDGES[kept[0]]), float(EDGES[kept[-1] + 1])) if len(kept) else (0.0, 1.0)
