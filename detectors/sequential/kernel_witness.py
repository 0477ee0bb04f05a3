"""A witness of rows of numbers: ridge regression with a polynomial kernel, so that it sees single features and products of two.

As `witness` does for texts: learnt on half A of the reference against recent production, bounded on half B, which it never sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detectors.sequential.interval import upper_share
from detectors.sequential.witness import CUTS, POOLS_N, Hits, ridge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class KernelWitness(NamedTuple):
    """One witness a pool; rows of about length 1."""

    known: Floats
    """The rows that it learnt from, shape (m, features)."""
    weights: Floats
    """Shape (m, pools)."""
    cuts: Floats
    """Scores above which a row is hit, shape (pools, cuts)."""

    def scores(self, products: Floats) -> Floats:
        """Of rows with these inner products with `known`, (n, m): shape (n, pools)."""
        return np.asarray(_kernel(products) @ self.weights)

    def hits(self, rows: Floats) -> Floats:
        """How many rows each witness and cut hits, shape (pools * cuts,)."""
        found: Floats = (self.scores(rows @ self.known.T)[:, :, None] > self.cuts).sum(axis=0).ravel().astype(np.float64)
        return found


def learn_witness(learn: Floats, pool: Floats, pools: Sequence[int] = POOLS_N) -> KernelWitness:
    """From half A and the pool of recent production rows, the newest last; one witness for the last so many of `pools`."""
    known = np.concatenate([learn, pool])
    kernel = _kernel(known @ known.T)
    weights, cuts = np.zeros((len(known), len(pools))), []
    for k, most in enumerate(pools):
        rows = np.r_[: len(learn), len(learn) + max(0, len(pool) - most) : len(known)]
        weights[rows, k], out = ridge(kernel[np.ix_(rows, rows)], len(learn))
        cuts.append(np.quantile(out, CUTS))
    return KernelWitness(known, weights, np.stack(cuts))


def bounded_hits(witness: KernelWitness, hold: Floats, new: Floats, delta: float) -> Hits:
    """On half B and on new rows; all bounds hold together with 1 - delta."""
    held = witness.hits(hold)
    return Hits(witness.hits(new), held / len(hold), upper_share(held, len(hold), delta / len(held)))


def shares_of_columns(witness: KernelWitness, hold: Floats, new: Floats, owners: NDArray[np.int64]) -> Floats:
    """How much of the new rows' higher score each column brings, shape (columns,), in [0, 1], adding up to at most 1.

    A column brings what is lost when its features are taken from reference rows instead (permutation importance), on rows that the
    witness has not learnt from.
    """
    instead = hold[np.arange(len(new)) % len(hold)]
    products, base = new @ witness.known.T, float(witness.scores(hold @ witness.known.T).mean())
    gap = float(witness.scores(products).mean()) - base
    lost = np.zeros(int(owners.max()) + 1)
    for j in range(len(lost)):
        mine = owners == j
        changed = products + (instead[:, mine] - new[:, mine]) @ witness.known[:, mine].T
        lost[j] = max(0.0, gap - (float(witness.scores(changed).mean()) - base))
    return lost / max(float(lost.sum()), abs(gap), 1e-12)


def _kernel(products: Floats) -> Floats:
    return 1.0 + products + products * products
