"""How far numbers are off, with the sign: answer less what is right, and by how much its mean moved, with an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.types import Pairs

    Floats = NDArray[np.float64]

SUMS_N = 4
"""Records; their residuals less the centre; the squares of these; the residuals' sizes."""
_LARGEST = float(np.finfo(np.float32).max)
_LEAST = 1e-30
_DIGITS = 12.0
_REACH = 30.0
"""Times half the distance of the quartiles, 20 standard deviations of a normal error: a slip of the unit moves no mean by more."""
_ALPHA = 0.05
_TIGHTEST_N = 256.0
"""Records at which the sequence is narrowest: a block of the latest ones (see `recent`)."""
_RHO2 = (-2.0 * math.log(_ALPHA) + math.log(-2.0 * math.log(_ALPHA)) + 1.0) / _TIGHTEST_N
_BEFORE = 2.0
"""Of the mean before, looked at once: the variance of the mixture over that of the mean. Little is lost where that is well known."""


def residuals(pairs: Pairs) -> Floats:
    """Answer less what is right, shape (n,), in the unit of the value, clipped to the range of float32; NaN = a pair has none.

    To 12 decimal digits of the larger of the two: what a subtraction leaves beyond them is rounding, and would put equal ones in an order.
    """
    if pairs.value is None or pairs.predicted_value is None:
        return np.full(pairs.n, np.nan)
    right, given = (np.clip(x, -_LARGEST, _LARGEST) for x in (pairs.value, pairs.predicted_value))
    largest = np.maximum(np.abs(right), np.abs(given))
    digits = _DIGITS - np.ceil(np.log10(np.where(largest > _LEAST, largest, 1.0)))
    unit = 10.0 ** np.abs(digits)
    found = np.where(digits >= 0.0, np.round((given - right) * unit) / unit, np.round((given - right) / unit) * unit)
    return np.clip(found, -_LARGEST, _LARGEST)


class Moved(NamedTuple):
    """What the latest residuals are beside those of before."""

    by: float
    """Mean of the latest less that of before: above 0 answers are higher."""
    low: float
    high: float
    mean: float
    """Of the latest."""
    was: float
    """Of those before."""
    size: float
    """Mean size of the latest, whatever the sign."""
    size_was: float


@dataclass(frozen=True, kw_only=True)
class Reach:
    """From where, and how far, residuals count in a mean: fixed by the bound rows."""

    centre: float
    """Their median."""
    most: float
    """What is further from the centre counts as this far."""

    @classmethod
    def of(cls, found: Floats) -> Self:
        """Of residuals, shape (n,). Where half of them are equal the one furthest from the median sets it; where all are, nothing does."""
        if not len(found):
            return cls(centre=0.0, most=_LARGEST)
        low, centre, high = (float(x) for x in np.quantile(found, (0.25, 0.5, 0.75)))
        return cls(centre=centre, most=min(_LARGEST, _REACH * (high - low) / 2.0 or float(np.abs(found - centre).max()) or _LARGEST))

    def sums(self, found: Floats) -> Floats:
        """What is added up of residuals, shape (n,): (SUMS_N,)."""
        near = np.clip(found - self.centre, -self.most, self.most)
        return np.array([len(near), near.sum(), (near**2).sum(), np.abs(near + self.centre).sum()])

    def moved(self, latest: Floats, before: Floats) -> Moved:
        """From the sums of both, each of one record or more; [low, high] holds the difference of the means with 95 % as both grow.

        The latest at all looks, those before at one: a product of two normal mixtures is an e-value of both means, and refutes a difference
        that it refutes for every pair of means. The latest have the larger of both variances, so that few equal ones are no certainty.
        [Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, Time-uniform central limit theory, arXiv:2103.06476, theorem 2.2]
        """
        (now, squares, size), (was, squares_was, size_was) = ((sums[1:] / sums[0]).tolist() for sums in (latest, before))
        spread_was = max(0.0, squares_was - was**2)
        n, n_was = float(latest[0]), float(before[0])
        width = _width(n, max(spread_was, squares - now**2), n_was, spread_was)
        by = now - was
        return Moved(by=by, low=by - width, high=by + width, mean=self.centre + now, was=self.centre + was, size=size, size_was=size_was)


def _width(n: float, variance: float, n_was: float, variance_was: float) -> float:
    """Half of the interval: there the least of e^2 / 2a + e_was^2 / 2b over e + e_was = width brings the product to 1 / alpha."""
    scaled = n * _RHO2
    a, b = variance * (scaled + 1.0) / (n * scaled), variance_was * (_BEFORE + 1.0) / (n_was * _BEFORE)
    return math.sqrt(2.0 * (a + b) * (math.log((scaled + 1.0) * (_BEFORE + 1.0)) / 2.0 - math.log(_ALPHA)))
