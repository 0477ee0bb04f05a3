"""A mean from few labels and many predictions, as exact as both together allow (PPI++)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from detectors.performance.estimated import Estimated, normal_estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Moments:
    """Sums over labelled rows with weights w (1 / inclusion probability, relative): all that the estimate needs of them."""

    n: float
    """(sum w)^2 / sum w^2."""
    y: float
    f: float
    """Weighted means."""
    yy: float
    ff: float
    yf: float
    """Sum w^2 (a - mean a)(b - mean b) / (sum w)^2: variance of the weighted means, and their covariance."""


def moments(y: Floats, f: Floats, weight: Floats | None = None) -> Moments:
    """Of labelled rows: truth, prediction and weight, each (n,), n > 0."""
    w = np.ones(len(y)) if weight is None else weight
    total = float(w.sum())
    mean_y, mean_f = float(w @ y) / total, float(w @ f) / total
    dy, df, share = y - mean_y, f - mean_f, (w / total) ** 2
    return Moments(
        n=1.0 / float(share.sum()),
        y=mean_y,
        f=mean_f,
        yy=float(share @ dy**2),
        ff=float(share @ df**2),
        yf=float(share @ (dy * df)),
    )


def powered(few: Moments, *, mean: float, variance: float, alpha: float = 0.05, least: float = 0.0, most: float = 1.0) -> Estimated:
    """PPI++ mean of y: lambda * mean of f over all + mean over the labelled of (y - lambda f), with its normal interval.

    `mean`, `variance`: of f over the many rows, the variance that of their MEAN (Var(f) / N). lambda minimises the variance, cut to [0, 1]:
    a useless f costs nothing. Guarantee: coverage 1 - alpha as n grows, whatever f is. Assumption: the labelled rows are drawn from the
    many with probabilities 1 / w, known up to a factor. Cost: O(1). [Angelopoulos, Duchi & Zrnic 2023, PPI++, arXiv:2311.01453]
    """
    spread = few.ff + variance
    tuning = min(1.0, max(0.0, few.yf / spread)) if spread > 0.0 else 0.0
    value = tuning * mean + few.y - tuning * few.f
    squared = few.yy - 2.0 * tuning * few.yf + tuning**2 * spread
    return normal_estimate(value, squared, alpha=alpha, n=few.n, least=least, most=most)


def powered_mean(y: Floats, f: Floats, f_all: Floats, weight: Floats | None = None, *, alpha: float = 0.05) -> Estimated:
    """PPI++ for rows: `y`, `f`, `weight` (n,) labelled; `f_all` (N,) of all records; a loss in [0, 1]."""
    spread = float(f_all.var()) / len(f_all)
    return powered(moments(y, f, weight), mean=float(f_all.mean()), variance=spread, alpha=alpha)


def powered_ratio(y: Floats, f: Floats, f_all: Floats, weight: Floats | None = None, *, alpha: float = 0.05) -> Estimated:
    """PPI++ for a ratio of two means, in [0, 1]: columns numerator and denominator; `y`, `f` (n, 2) labelled, `f_all` (N, 2).

    Precision, recall and F1 are such ratios: F1 = mean 2 TP / mean (answered + true). One step of Newton from the ratio of the two PPI++
    means, on the linearised rows (numerator - ratio * denominator) / denominator's mean.
    """
    top, bottom = (
        powered(
            moments(y[:, i], f[:, i], weight),
            mean=float(f_all[:, i].mean()),
            variance=float(f_all[:, i].var()) / len(f_all),
            alpha=alpha,
            least=0.0,
            most=2.0,
        ).value
        for i in (0, 1)
    )
    if bottom <= 0.0:
        return Estimated(value=0.0, low=0.0, high=1.0, n=0.0)
    rows, guessed, guessed_all = ((x[:, 0] - top / bottom * x[:, 1]) / bottom for x in (y, f, f_all))
    spread = float(guessed_all.var()) / len(f_all)
    step = powered(moments(rows, guessed, weight), mean=float(guessed_all.mean()), variance=spread, alpha=alpha, least=-9.0, most=9.0)
    low, value, high = (min(1.0, max(0.0, top / bottom + x)) for x in (step.low, step.value, step.high))
    return Estimated(value=value, low=low, high=high, n=step.n)
