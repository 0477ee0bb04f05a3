"""The smallest gap or ratio between two groups that their e-processes expect to see in so many labels (see `gap`, `fairness_ratio`).

The sums of both groups as they are expected, with the difference of their means lowered by so many standard deviations of its own that it
is passed in four of five cases. Either group may be the one ahead: the harder case counts.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.gap import curves, log_e_gap, steps_of
from detectors.sequential.growth import MARGIN, least_seen
from detectors.sequential.mean_bets import EDGES, log_above, log_below

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def weight_of_first(figures_n: int) -> float:
    """Of the evidence is on one figure of one of the two groups that appear first over the other."""
    return 6.0 / math.pi**2 / (2.0 * figures_n)


@lru_cache(maxsize=256)
def smallest_gap(
    *, alpha: float, maximum: float, weight: float, first_n: float, second_n: float, mean: float = 0.5, spread: float = 1.0
) -> float:
    """Between the means of two groups whose labels have this mean together, values in [0, 1]; infinity where none is seen.

    `spread`: variance of the values in a group over that of zeros and ones of the same mean; with 1/2 and 1 a gap is seen last.
    """
    both, needed = ((first_n, second_n), (second_n, first_n)), -math.log(weight * alpha)

    def is_seen(gap: float) -> bool:
        return all(log_e(_sums(n, _apart(n, mean, gap), spread)) >= needed for n in both)

    def log_e(sums: Floats) -> float:
        found = curves(sums)
        return float(log_e_gap(found.above[0], found.below[1], steps_of(maximum)))

    return least_seen(is_seen, maximum, 1.0 - 1e-6)


@lru_cache(maxsize=256)
def smallest_fall(*, alpha: float, minimum: float, weight: float, first_n: float, second_n: float, mean: float = 0.5) -> float:
    """What the ratio of two groups' rates falls to below its minimum, likewise; infinity where not even 0 is seen."""
    both, needed = ((first_n, second_n), (second_n, first_n)), -math.log(weight * alpha)

    def is_seen(fall: float) -> bool:
        return all(log_e(_sums(n, _times(n, mean, 1.0 - fall), 1.0)) >= needed for n in both)

    def log_e(sums: Floats) -> float:
        above, below = log_above(sums[0], np.minimum(1.0, EDGES / minimum)), log_below(sums[1], EDGES)
        return float((above + below).min())

    found = least_seen(is_seen, 1.0 - minimum, 1.0)
    return math.inf if math.isinf(found) else 1.0 - found


def _sums(sizes: tuple[float, float], means: tuple[float, float], spread: float) -> Floats:
    """Of n values each with weight 1, shape (2, 6), columns as `Sums`: their means nearer to each other by the margin."""
    n, m = np.array(sizes), np.array(means)
    variance = spread * m * (1.0 - m)
    off = variance / n
    m = np.clip(m + np.array([-1.0, 1.0]) * MARGIN * off / math.sqrt(max(float(off.sum()), 1e-300)), 0.0, 1.0)
    return np.stack([n, n, n, n * m, n * m, n * (m * m + variance)], axis=-1)


def _apart(sizes: tuple[float, float], mean: float, gap: float) -> tuple[float, float]:
    """Means of the group ahead and of the other, which both together have this mean."""
    high = min(1.0, max(gap, mean + gap * sizes[1] / sum(sizes)))
    return high, high - gap


def _times(sizes: tuple[float, float], mean: float, ratio: float) -> tuple[float, float]:
    """The same of rates of which one is so many times the other."""
    high = min(1.0, mean * sum(sizes) / (sizes[0] + ratio * sizes[1]))
    return high, ratio * high
