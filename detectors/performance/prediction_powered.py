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
    reach = math.sqrt(z2 * max(0.0, own + others + tuning**2 * variance))
    return value, value + shift - reach, value + shift + reach


def _tuning(few: Moments, variance: float) -> float:
    spread = few.ff + variance
    return min(1.0, max(0.0, few.yf / spread)) if spread > 0.0 else 0.0


def powered_mean(y: Floats, f: Floats, f_all: Floats, weight: Floats | None = None, *, alpha: float = 0.05) -> Estimated:
    """PPI++ for rows: `y`, `f`, `weight` (n,) labelled; `f_all` (N,) of all records; a loss in [0, 1]."""
    return powered(moments(y, f, weight), mean=float(f_all.mean()), variance=float(f_all.var()) / len(f_all), alpha=alpha)


def powered_ratio(y: Floats, f: Floats, f_all: Floats, weight: Floats | None = None, *, alpha: float = 0.05) -> Estimated:
    """PPI++ for F1 = mean 2 TP / mean (answered + true), its columns: `y`, `f` (n, 2) of labelled rows, `f_all` (N, 2) of all.

    One step of Newton from the ratio of the two PPI++ means, on the linearised rows (numerator - ratio * denominator) / denominator's mean.
    For the interval z^2/2 rows of a hit (2 of 2) and as many of a mistake (0 of 1) are added.
    """
    top, bottom = (_at(moments(y[:, i], f[:, i], weight), f_all[:, i]) for i in (0, 1))
    if bottom <= 0.0:
        return Estimated(value=0.0, low=0.0, high=1.0, n=0.0)
    ratio, z2 = top / bottom, float(ndtri(alpha / 2.0)) ** 2
    rows, guessed, guessed_all = ((x[:, 0] - ratio * x[:, 1]) / bottom for x in (y, f, f_all))
    few = moments(rows, guessed, weight)
    added = (2.0 * (1.0 - ratio) / bottom, -ratio / bottom)
    of_all = (float(guessed_all.mean()), float(guessed_all.var()) / len(f_all))
    step = _powered(few, of_all, z2, few.n + 1.5 * z2 / bottom, added)
    value, low, high = (min(1.0, max(0.0, ratio + x)) for x in step)
    return Estimated(value=value, low=min(value, low), high=max(value, high), n=few.n)


def _at(few: Moments, f_all: Floats) -> float:
    tuning = _tuning(few, float(f_all.var()) / len(f_all))
    return tuning * float(f_all.mean()) + few.y - tuning * few.f
