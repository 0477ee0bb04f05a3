"""Partial pooling: a small group's rate drawn towards the rates of all groups, the more the fewer pairs it has and the more alike they are.

p_g ~ Beta(m s, (1 - m) s), hits_g ~ Binomial(n_g, p_g); m is the rate of all, s the pairs that it is worth to a group. The prior of
a = m s and b = (1 - m) s is (a + b)^(-5/2), that is, m and s^(-1/2) uniform. [Gelman et al., Bayesian Data Analysis, 3rd edition,
section 5.3, eq. (5.8), as worked out in github.com/bikestra/bdapy; Ji, Smyth & Steyvers, NeurIPS 2020, for fairness with few labels]

What is not known of m and s is averaged over, so that few groups, or groups alike by chance, give no interval that is too narrow. Nothing
is judged by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betainc, betaincinv, betaln, softmax

from detectors.performance.rate import Rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from detectors.sketches.confusion import Tally

    Floats = NDArray[np.float64]

_SPREADS_N, _MEANS_N, _HALVINGS_N = 20, 9, 12
"""Values of s and of m that are averaged over; how often an end of the interval is halved in."""
_LEAST = 1e-4
"""A pair of these that is less probable is left out."""


def shrunk(fractions: Sequence[tuple[Tally, Tally]], alpha: float = 0.05, *, has_ends: Sequence[bool] | None = None) -> list[Rate]:
    """(hits, of) of each group, each with pairs -> the mean of its rate given all groups, with an interval.

    The interval holds with about 1 - alpha over groups that are alike as draws of one distribution are; of one that is unlike all others
    and has few pairs it does not. A group alone is drawn a little towards one half. Weights count by Kish's effective number.
    `has_ends`: of which groups it is wanted (None = of all); the others have 0 to 1.
    Cost: O(groups), up to 180 terms each, 24 times for the interval.
    """
    if not fractions:
        return []
    n = np.array([of.w * of.w / of.w2 for _, of in fractions])  # (groups,)
    k = n * np.array([min(1.0, hits.w / of.w) for hits, of in fractions])  # (groups,)
    w, a, b = _terms(k, n)
    after_a, after_b = a[:, None] + k, b[:, None] + n - k  # (terms, groups)
    mean = w @ (after_a / (after_a + after_b))  # (groups,)
    wanted = np.ones(len(n), dtype=np.bool_) if has_ends is None else np.asarray(has_ends, dtype=np.bool_)
    ends = np.tile([0.0, 1.0], (len(n), 1))  # (groups, 2)
    ends[wanted] = _ends(w, after_a[:, wanted], after_b[:, wanted], alpha)
    return [
        Rate(hits=hits.n, n=of.n, value=float(x), low=low, high=high)
        for (hits, of), x, (low, high) in zip(fractions, mean, ends.tolist(), strict=True)
    ]


def _ends(w: Floats, a: Floats, b: Floats, alpha: float) -> Floats:
    """Of mixtures of Beta distributions, w (terms,), a and b (terms, groups): where alpha / 2 lies below and beyond, (groups, 2)."""
    low, high = np.zeros((2, a.shape[1])), np.ones((2, a.shape[1]))  # (ends, groups)
    for _ in range(_HALVINGS_N if a.shape[1] else 0):
        middle = (low + high) / 2.0
        below = np.tensordot(w, betainc(a[:, None], b[:, None], middle), axes=1)  # (ends, groups)
        is_left = below < np.array([[alpha / 2.0], [1.0 - alpha / 2.0]])
        low, high = np.where(is_left, middle, low), np.where(is_left, high, middle)
    return np.stack([low[0], high[1]], axis=1)


def _terms(k: Floats, n: Floats) -> tuple[Floats, Floats, Floats]:
    """Weights of (a, b) given all groups, and these, each (terms,): s on a grid, m where it probably is given s."""
    root = (np.arange(_SPREADS_N) + 0.5) / _SPREADS_N  # s^(-1/4), (spreads,): finer where groups are alike
    worth = 1.0 / (1.0 / n + root[:, None] ** 4)  # (spreads, groups), pairs that a group's rate is worth for m
    hits, misses = 1.0 + worth @ (k / n), 1.0 + worth @ (1.0 - k / n)  # (spreads,), m is about Beta of these
    m = betaincinv(hits[:, None], misses[:, None], (np.arange(_MEANS_N) + 0.5) / _MEANS_N)  # (spreads, means)
    m = np.clip(m, 1e-9, 1.0 - 1e-9).ravel()  # (terms,)
    root, hits, misses = (np.repeat(x, _MEANS_N) for x in (root, hits, misses))
    a, b = m / root**4, (1.0 - m) / root**4
    log_w = (betaln(a[:, None] + k, b[:, None] + n - k) - betaln(a, b)[:, None]).sum(axis=1) + np.log(root)  # of the groups, of the grid
    log_w -= (hits - 1.0) * np.log(m) + (misses - 1.0) * np.log1p(-m) - betaln(hits, misses)  # of where m was sought
    w = softmax(log_w)
    is_likely = w > _LEAST
    return w[is_likely] / w[is_likely].sum(), a[is_likely], b[is_likely]
