"""A mean from few labels and many predictions, as exact as both together allow (PPI++)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from detectors.performance.estimated import Estimated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    _Two = tuple[float, float]


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


def moments(y: Floats, f: Floats, weight: Floats | None = None, squares: Floats | None = None) -> Moments:
    """Of labelled rows: truth, prediction and weight, each (n,), n > 0. `squares`: sum of w^2 where a row stands for several alike."""
    w = np.ones(len(y)) if weight is None else weight
    total = float(w.sum())
    mean_y, mean_f = float(w @ y) / total, float(w @ f) / total
    dy, df, share = y - mean_y, f - mean_f, (w * w if squares is None else squares) / total**2
    return Moments(
        n=1.0 / float(share.sum()),
        y=mean_y,
        f=mean_f,
        yy=float(share @ dy**2),
        ff=float(share @ df**2),
        yf=float(share @ (dy * df)),
    )


def powered(few: Moments, *, mean: float, variance: float, alpha: float = 0.05) -> Estimated:
    """PPI++ mean of y in [0, 1]: lambda * mean of f over all + mean over the labelled of (y - lambda f), with its interval.

    `mean`, `variance`: of f over the many rows, the variance that of their MEAN (Var(f) / N). lambda minimises the variance, cut to [0, 1]:
    a useless f costs nothing. For the interval z^2/2 labelled rows of y = 0 and as many of 1 are added, their f the labelled rows' mean:
    where f is useless it is Agresti & Coull's (1998), and labels that are all right leave it as wide as so many can.
    Guarantee: coverage of about 1 - alpha, whatever f is. Assumption: the labelled rows are drawn from the many with probabilities 1 / w,
    known up to a factor. Cost: O(1). [Angelopoulos, Duchi & Zrnic 2023, PPI++, arXiv:2311.01453]
    """
    z2 = float(ndtri(alpha / 2.0)) ** 2
    value, low, high = _powered(few, (mean, variance), z2, few.n + z2, (0.0, 1.0))
    value = min(1.0, max(0.0, value))
    return Estimated(value=value, low=max(0.0, min(value, low)), high=min(1.0, max(value, high)), n=few.n)


def _powered(few: Moments, of_all: _Two, z2: float, n: float, added: _Two) -> tuple[float, float, float]:
    """(mean, low, high), not cut. `of_all`: mean of f and its variance; z^2/2 rows of each of the `added` values make n of them."""
    mean, variance = of_all
    tuning = _tuning(few, variance)
    value, share = tuning * mean + few.y - tuning * few.f, few.n / n
    shift = share * few.y + 0.5 * z2 / n * sum(added) - few.y
    own = share**2 * (few.yy - 2.0 * tuning * few.yf + tuning**2 * few.ff) + share / n * shift**2
    others = 0.5 * z2 / n**2 * sum((x - few.y - shift) ** 2 for x in added)
    overlap = min(1.0, variance / few.ff) if few.ff > 0.0 else 0.0  # share of the many that is labelled, where the labelled are of them
    common = 2.0 * tuning * overlap * max(0.0, few.yf - tuning * few.ff)  # their means then move together
    reach = math.sqrt(z2 * max(0.0, own + others + tuning**2 * variance + common))
    return value, value + shift - reach, value + shift + reach


def _tuning(few: Moments, variance: float) -> float:
    spread = few.ff + variance
    return min(1.0, max(0.0, few.yf / spread)) if spread > 0.0 else 0.0


def powered_mean(y: Floats, f: Floats, f_all: Floats, weight: Floats | None = None, *, alpha: float = 0.05) -> Estimated:
    """PPI++ for rows: `y`, `f`, `weight` (n,) labelled; `f_all` (N,) of all records; a loss in [0, 1]."""
    mean, variance = _mean(f_all, np.ones(len(f_all)))
    return powered(moments(y, f, weight), mean=mean, variance=variance, alpha=alpha)


def powered_ratio(
    y: Floats,
    f: Floats,
    f_all: Floats,
    weight: Floats | None = None,
    *,
    squares: Floats | None = None,
    count: Floats | None = None,
    hit: float = 2.0,
    alpha: float = 0.05,
) -> Estimated:
    """PPI++ for a ratio of two means in [0, 1], in which a hit adds `hit` to both, a mistake 1 to the denominator (F1, precision, recall).

    Numerator and denominator of a row are the columns of `y`, `f` (n, 2), labelled, and `f_all` (N, 2), of all: of F1 2 TP and answered +
    true, so that `hit` is 2. Rows that are alike may stand there once: `weight`, `squares` (n,) are the sums of their weights and squared
    weights, `count` (N,) is how many they are. One step of Newton from the ratio of the two PPI++ means, on the linearised rows
    (numerator - ratio * denominator) / denominator's mean. For the interval z^2/2 rows of a hit and as many of a mistake are added.
    Without a denominator nothing is known: n = 0. Guarantee and assumption: as of `powered`. Cost: O(n + N).
    """
    most = np.ones(len(f_all)) if count is None else count
    top, bottom = (_at(moments(y[:, i], f[:, i], weight, squares), _mean(f_all[:, i], most)) for i in (0, 1))
    if bottom <= 0.0:
        return Estimated(value=0.0, low=0.0, high=1.0, n=0.0)
    ratio, z2 = top / bottom, float(ndtri(alpha / 2.0)) ** 2
    rows, guessed, guessed_all = ((x[:, 0] - ratio * x[:, 1]) / bottom for x in (y, f, f_all))
    few = moments(rows, guessed, weight, squares)
    added = (hit * (1.0 - ratio) / bottom, -ratio / bottom)
    step = _powered(few, _mean(guessed_all, most), z2, few.n + 0.5 * (hit + 1.0) * z2 / bottom, added)
    value, low, high = (min(1.0, max(0.0, ratio + x)) for x in step)
    return Estimated(value=value, low=min(value, low), high=max(value, high), n=few.n)


def _mean(f: Floats, count: Floats) -> _Two:
    """(mean, variance of the mean)."""
    n = float(count.sum())
    mean = float(count @ f) / n
    return mean, float(count @ (f - mean) ** 2) / n**2


def _at(few: Moments, of_all: _Two) -> float:
    tuning = _tuning(few, of_all[1])
    return tuning * of_all[0] + few.y - tuning * few.f
