"""Intervals for shares and bounded means: exact at one look (for references), or valid at every look (for production)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv, betaln, xlog1py, xlogy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


_MOST_STAKE = 0.75
"""Of what would lose everything at once."""


def upper_share(k: ArrayLike, n: ArrayLike, delta: float) -> Floats:
    """Upper bound of a share after k hits in n independent draws, wrong with probability <= delta at one look (Clopper & Pearson 1934)."""
    hits, draws = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    bound = betaincinv(np.minimum(hits, draws) + 1.0, np.maximum(draws - hits, 1e-12), 1.0 - delta)
    return np.asarray(np.where(hits >= draws, 1.0, bound), dtype=np.float64)


def lower_share(k: ArrayLike, n: ArrayLike, delta: float) -> Floats:
    """Lower bound of a share, the mirror of `upper_share`."""
    return np.asarray(1.0 - upper_share(np.asarray(n) - np.asarray(k), n, delta), dtype=np.float64)


def upper_mean(x: Floats, delta: float) -> float:
    """Upper bound of the mean of n independent values in [0, 1], shape (n,), wrong with probability <= delta.

    0 and 1 only: exact (Clopper & Pearson 1934). Otherwise the largest m that no moment of the bet prod 1 + l_i (m - x_i) refutes: its mean
    is at most 1 while E[x] >= m, and l_i, the best stake by the variance of the values before, is fixed before x_i is looked at
    (Waudby-Smith & Ramdas 2024, arXiv:2010.09686, section 4.3). They are bet on in a drawn order: of rows that were sorted the small ones
    alone would refute every m above their own mean. O(40 n).
    """
    if not ((x != 0.0) & (x != 1.0)).any():
        return float(upper_share(x.sum(), len(x), delta))
    x = np.random.default_rng(len(x)).permutation(x)
    i = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (i + 1)
    variance = np.concatenate([[0.25], (0.25 + np.cumsum((x - means) ** 2)) / (i + 1)])[:-1]
    wanted = np.sqrt(2.0 * np.log(1.0 / delta) / (len(x) * variance))
    low, high = float(x.mean()), 1.0
    for _ in range(40):
        m = 0.5 * (low + high)
        log_e = np.cumsum(np.log1p(np.minimum(wanted, _MOST_STAKE / max(1.0 - m, 1e-9)) * (m - x)))
        low, high = (low, m) if float(log_e.max()) >= np.log(1.0 / delta) else (m, high)
    return high


def log_mixture(k: ArrayLike, n: ArrayLike) -> Floats:
    """Logarithm of the Beta(1/2, 1/2) mixture likelihood of a 0/1 sequence with k ones in n."""
    hits, draws = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    return np.asarray(betaln(hits + 0.5, draws - hits + 0.5) - betaln(0.5, 0.5), dtype=np.float64)


def log_likelihood(k: ArrayLike, n: ArrayLike, p: ArrayLike) -> Floats:
    """Logarithm of the likelihood of a 0/1 sequence with k ones in n at share p."""
    hits, draws = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    return np.asarray(xlogy(hits, p) + xlog1py(draws - hits, -np.asarray(p)), dtype=np.float64)


def share_sequence(k: float, n: float, alpha: float) -> tuple[float, float]:
    """Confidence sequence of a share: P(ever false) <= alpha while the conditional share stays the same.

    All p at which mixture likelihood / likelihood(p) < 1/alpha: that ratio is a martingale of mean 1 at the true p (Ville's inequality;
    Robbins' method of mixtures, see Waudby-Smith & Ramdas 2024, arXiv:2010.09686). Of values in [0, 1], k their sum, its mean is at most 1
    (a likelihood is convex in the value): it holds, wider than need be. n = 0 gives (0, 1). Cost: 60 halvings.
    """
    if n == 0:
        return 0.0, 1.0
    least = float(log_mixture(k, n)) - math.log(1.0 / alpha)
    return _edge(k, n, least, outside=0.0), _edge(k, n, least, outside=1.0)


def _edge(k: float, n: float, least: float, outside: float) -> float:
    """Where the log-likelihood falls to `least` between the maximum k/n and `outside`."""
    inside = k / n
    if inside == outside:
        return outside
    if k in (0, n):  # the likelihood is that of misses, or of hits, alone
        edge = math.exp(least / n)
        return 1.0 - edge if k == 0 else edge
    for _ in range(60):
        middle = 0.5 * (inside + outside)
        if middle < 1.0 and k * math.log(middle) + (n - k) * math.log1p(-middle) > least:  # an edge within rounding of 1 is 1
            inside = middle
        else:
            outside = middle
    return outside


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanSequence:
    """Confidence sequence of the mean of values in [0, 1], from sums alone: a predictable plug-in empirical Bernstein sequence.

    P(ever false) <= alpha while the conditional mean stays the same; alpha is fixed at the start because the weights depend on it.
    [Waudby-Smith & Ramdas 2024, Thm 2, arXiv:2010.09686] Cost: O(1) a value.
    """

    alpha: float
    n: int = 0
    total: float = 0.0
    spread: float = 0.0
    """Sum of (x_i - mean_i)^2."""
    weight: float = 0.0
    """Sum of lambda_i."""
    weighted: float = 0.0
    """Sum of lambda_i x_i."""
    penalty: float = 0.0
    """Sum of (x_i - mean_{i-1})^2 (-ln(1 - lambda_i) - lambda_i)."""

    def add(self, x: Floats) -> MeanSequence:
        """The values x, shape (n,), one after the other; returns the new sums."""
        if len(x) == 0:
            return self
        i = self.n + np.arange(1, len(x) + 1)
        sums = self.total + np.cumsum(x)
        before = (0.5 + sums - x) / i  # mean_{i-1}
        squares = (x - (0.5 + sums) / (i + 1)) ** 2
        spreads = self.spread + np.cumsum(squares)
        variance = (0.25 + spreads - squares) / i  # sigma^2_{i-1}
        lam = np.minimum(0.5, np.sqrt(2.0 * math.log(2.0 / self.alpha) / (variance * i * np.log1p(i))))
        penalty = float(((x - before) ** 2 * (-np.log1p(-lam) - lam)).sum())
        return replace(
            self,
            n=int(i[-1]),
            total=float(sums[-1]),
            spread=float(spreads[-1]),
            weight=self.weight + float(lam.sum()),
            weighted=self.weighted + float((lam * x).sum()),
            penalty=self.penalty + penalty,
        )

    def interval(self) -> tuple[float, float]:
        """(low, high) inside [0, 1]; (0, 1) without data."""
        if self.n == 0:
            return 0.0, 1.0
        centre, radius = self.weighted / self.weight, (math.log(2.0 / self.alpha) + self.penalty) / self.weight
        return max(0.0, centre - radius), min(1.0, centre + radius)
