"""The witness of `text_witness`: learnt on half A of the reference against recent production, bounded on half B, which it never sees."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import linalg, sparse

from detectors.sequential.interval import lower_share, upper_share
from detectors.sequential.text_features import Texts, matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

POOLS_N = (128, 512)
"""The last so many production texts that each of two witnesses learns from: one is quick, one sees small shifts."""
CUTS = np.array([0.6, 0.85, 0.95])
"""A row is hit when its score is above these quantiles of half A's own."""
_RIDGE = 4.0
WITNESSES_N = len(POOLS_N) * len(CUTS)


class Hits(NamedTuple):
    """Of each witness and cut, shape (WITNESSES_N,)."""

    hits: Floats
    expected: Floats
    """Share of half B that it hits."""
    bound: Floats
    """Upper bound of the share of the reference's distribution that it hits."""


class Witnesses(NamedTuple):
    """One a pool: linear in a text's features."""

    weights: Floats
    """Shape (FEATURES_N, pools)."""
    intercepts: Floats
    """Shape (pools,)."""
    cuts: Floats
    """Scores above which a text is hit, shape (pools, cuts)."""

    def hits(self, texts: Texts) -> Floats:
        """How many texts each witness and cut hits, shape (WITNESSES_N,)."""
        scores = matrix(texts) @ self.weights + self.intercepts  # (texts, pools)
        hits: Floats = (scores[:, :, None] > self.cuts).sum(axis=0).ravel().astype(np.float64)
        return hits


def witness_hits(*, learn: Texts, pool: Texts, hold: Texts, new: Texts, delta: float) -> Hits:
    """Both witnesses, learnt on half A and the pool, on half B and on the new texts; all six bounds hold together with 1 - delta."""
    witnesses, held = _learnt(*(part.tobytes() for texts in (learn, pool, hold) for part in texts))
    return Hits(witnesses.hits(new), held / hold.n, upper_share(held, hold.n, delta / WITNESSES_N))


@lru_cache(maxsize=8)
def _learnt(*parts: bytes) -> tuple[Witnesses, Floats]:
    """The witnesses and how many of half B each hits. Kept by content: panes with few texts ask for the same ones again and again."""
    arrays = [np.frombuffer(part, dtype) for part, dtype in zip(parts, [np.uint16, np.int32] * 3, strict=True)]
    learn, pool, hold = (Texts(*arrays[i : i + 2]) for i in (0, 2, 4))
    witnesses = learn_texts(learn, pool)
    return witnesses, witnesses.hits(hold)


def learn_texts(learn: Texts, pool: Texts, pools: Sequence[int] = POOLS_N) -> Witnesses:
    """From half A and production texts, the newest last; one witness for the last so many of `pools`."""
    known = sparse.vstack([matrix(learn), matrix(pool)]).tocsr()
    kernel = (known @ known.T).toarray() + 1.0  # + 1: the intercept
    found = []
    for most in pools:
        rows = np.r_[: learn.n, learn.n + max(0, pool.n - most) : learn.n + pool.n]
        weights, out = ridge(kernel[np.ix_(rows, rows)], learn.n)
        found.append((known[rows].T @ weights, weights.sum(), np.quantile(out, CUTS)))
    by_feature, intercepts, cuts = zip(*found, strict=True)
    return Witnesses(np.stack(by_feature, axis=1), np.array(intercepts), np.stack(cuts))


def ridge(kernel: Floats, learn_n: int) -> tuple[Floats, Floats]:
    """Dual weights of a ridge regression of balanced -1 (reference) / +1 (production), and the reference's leave-one-out scores."""
    n = len(kernel)
    y = np.where(np.arange(n) < learn_n, -n / learn_n, n / (n - learn_n))
    inverse = linalg.inv(kernel + _RIDGE * np.eye(n), assume_a="pos", check_finite=False, overwrite_a=True)
    weights = inverse @ y
    return weights, (y - weights / np.diag(inverse))[:learn_n]


def excess(n: int, sums: Floats) -> tuple[float, float, float, str]:
    """How much more often than the reference the recent texts are hit, by the best of the witnesses and cuts; its interval; a sentence."""
    if n == 0:
        return 0.0, 0.0, 1.0, ""
    hits, expected, bound = sums.reshape(3, -1) / n
    best = int(np.argmax(hits - expected))
    each = 0.025 / len(hits)
    value = max(0.0, float(hits[best] - expected[best]))
    low = max(0.0, float(lower_share(hits[best] * n, n, each) - bound[best]))
    high = min(1.0, float(upper_share(hits[best] * n, n, each) - 2.0 * expected[best] + bound[best]))
    says = f"{hits[best]:.0%} of the last {n} look new to a witness to which {expected[best]:.0%} of the reference do"
    return value, min(low, value), max(high, value), says
