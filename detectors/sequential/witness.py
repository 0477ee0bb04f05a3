"""The witness of `text_witness`: learnt on half A of the reference against recent production, bounded on half B, which it never sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import linalg, sparse

from detectors.sequential.interval import lower_share, upper_share
from detectors.sequential.text_features import Texts, matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

POOLS_N = (128, 512)
"""The last so many production texts that each of two witnesses learns from: one is quick, one sees small shifts."""
_CUTS = np.array([0.6, 0.85, 0.95])
_RIDGE = 4.0
WITNESSES_N = len(POOLS_N) * len(_CUTS)


class Hits(NamedTuple):
    """Of each witness and cut, shape (WITNESSES_N,)."""

    hits: Floats
    expected: Floats
    """Share of half B that it hits."""
    bound: Floats
    """Upper bound of the share of the reference's distribution that it hits."""


def witness_hits(*, learn: Texts, pool: Texts, hold: Texts, new: Texts, delta: float) -> Hits:
    """Both witnesses, learnt on half A and the pool, on half B and on the new texts; all six bounds hold together with 1 - delta."""
    known = sparse.vstack([matrix(learn), matrix(pool)]).tocsr()
    judged = sparse.vstack([matrix(hold), matrix(new)]).tocsr()
    kernel = (known @ known.T).toarray() + 1.0  # + 1: the intercept
    hits, held = [], []
    for most in POOLS_N:
        rows = np.r_[: learn.n, learn.n + max(0, pool.n - most) : learn.n + pool.n]
        weights, out = _ridge(kernel[np.ix_(rows, rows)], learn.n)
        scores = judged @ (known[rows].T @ weights) + weights.sum()
        is_hit = scores[:, None] > np.quantile(out, _CUTS)  # (held and new texts, cuts)
        held.append(is_hit[: hold.n].sum(axis=0))
        hits.append(is_hit[hold.n :].sum(axis=0))
    k = np.concatenate(held)
    return Hits(np.concatenate(hits).astype(np.float64), k / hold.n, upper_share(k, hold.n, delta / WITNESSES_N))


def _ridge(kernel: Floats, learn_n: int) -> tuple[Floats, Floats]:
    """Dual weights of a ridge regression of balanced -1 (reference) / +1 (production), and the reference's leave-one-out scores."""
    n = len(kernel)
    y = np.where(np.arange(n) < learn_n, -n / learn_n, n / (n - learn_n))
    inverse = linalg.inv(kernel + _RIDGE * np.eye(n), assume_a="pos", check_finite=False, overwrite_a=True)
    weights = inverse @ y
    return weights, (y - weights / np.diag(inverse))[:learn_n]


def excess(n: int, sums: Floats) -> tuple[float, float, float, str]:
    """How much more often than the reference the recent texts are hit, by the best of the six witnesses; its interval; a sentence."""
    if n == 0:
        return 0.0, 0.0, 1.0, ""
    hits, expected, bound = sums.reshape(3, WITNESSES_N) / n
    best = int(np.argmax(hits - expected))
    each = 0.025 / WITNESSES_N
    value = max(0.0, float(hits[best] - expected[best]))
    low = max(0.0, float(lower_share(hits[best] * n, n, each) - bound[best]))
    high = min(1.0, float(upper_share(hits[best] * n, n, each) - 2.0 * expected[best] + bound[best]))
    says = f"{hits[best]:.0%} of the last {n} look new to a witness to which {expected[best]:.0%} of the reference do"
    return value, min(low, value), max(high, value), says
