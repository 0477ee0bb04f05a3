"""The smallest change that a detector expects to see in so many records: by mean and variance of the logarithm of its bets.

A bet whose logarithm grows to m with a standard deviation of d has come to its part w of 1/alpha in four of five cases when
m - 0.84 d >= log(1 / (w alpha)). One bet is counted at a time: what the others add makes a detector quicker than said here.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from detectors.sequential.bets import STAKES, log_raise, targets_above
from detectors.sequential.category_shares import TIMES_WEIGHTS, UP_WEIGHT, targets_of
from detectors.sequential.gap import curves, log_e_gap, steps_of
from detectors.sequential.scores import SCORE_WEIGHTS, SHIFTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SEEN = 0.8
"""In so many days of such a change there is an alarm within the day, by this reckoning."""
_MARGIN = float(ndtri(SEEN))
_GRID = ndtri((np.arange(400) + 0.5) / 400)
_ENDS = np.geomspace(1.0 / 256.0, 1.0, 20)
_PARTS = list(zip((_ENDS + np.append(0.0, _ENDS[:-1])) / 2.0, np.diff(_ENDS, prepend=0.0), strict=True))
"""(middle, width) of parts of the records: ranks are among reference and past, so that a change becomes its own past and may be seen early
or not at all."""
_EXACT = 0.75
"""Of the stake of `conformal_numeric` is on exact ranks."""
_EXACT_SHARES = 0.45
"""Of that of `conformal_category` is on exact shares."""
_MOST_SHIFT = 8.0


@lru_cache(maxsize=16)
def smallest_shift(*, alpha: float, hours: tuple[tuple[int, float], ...]) -> float:
    """Of a normal column's mean, in standard deviations; infinity where no shift is seen.

    `hours`: (reference rows, new records) of each hour of the rhythm; without one, one.
    """
    needed = -np.log(_EXACT * SCORE_WEIGHTS[: len(SHIFTS)] * alpha)

    def gains(shift: float, reference_n: int, past: float) -> tuple[Floats, Floats]:
        u = (reference_n * ndtr(_GRID + shift) + past * ndtr(_GRID)) / (reference_n + past)
        z = ndtri(np.clip(u, 1e-9, 1.0 - 1e-9))
        return SHIFTS * z.mean() - SHIFTS**2 / 2.0, SHIFTS**2 * z.var()

    def is_seen(shift: float) -> bool:
        return _is_reached_on_the_way(lambda reference_n, past: gains(shift, reference_n, past), hours, needed)

    return _least(is_seen, 0.0, _MOST_SHIFT)


def smallest_share(*, alpha: float, share: float, watched_n: int, hours: Sequence[tuple[int, float]]) -> float:
    """What the share of a category rises to, likewise; infinity where none is seen. `conformal_category` bets on `watched_n` shares."""
    chance = min(max(share, 1e-6), 1.0 - 1e-6)
    target = targets_of(chance)
    needed = -np.log(_EXACT_SHARES * UP_WEIGHT / watched_n * TIMES_WEIGHTS * alpha)

    def gains(risen: float, reference_n: int, past: float) -> tuple[Floats, Floats]:
        own = (reference_n * chance + past * risen) / (reference_n + past)
        hit = risen * min(1.0, chance / own) + (1.0 - risen) * max(0.0, (chance - own) / (1.0 - own))
        return _gains(hit, chance, target)

    def is_seen(risen: float) -> bool:
        return _is_reached_on_the_way(lambda reference_n, past: gains(risen, reference_n, past), hours, needed)

    return _least(is_seen, chance, 1.0 - 1e-6)


def smallest_rise(*, alpha: float, limit: float, n: float) -> float:
    """What a mean loss in [0, 1] rises to above its limit (see `share`), among n that count; infinity where none is seen.

    Of all losses with that mean those of 0 and 1 are seen last (log(1 + s (x - m)) is concave): others are seen sooner.
    """
    target, needed = targets_above(limit), np.full(len(STAKES), -math.log(alpha / len(STAKES)))

    def is_seen(risen: float) -> bool:
        mean, variance = _gains(risen, limit, target)
        return _is_reached(n * mean, n * variance, needed)

    return _least(is_seen, limit, 1.0 - 1e-6)


def smallest_gap(*, alpha: float, maximum: float, weight: float, first_n: float, second_n: float) -> float:
    """Between the rates of two groups (see `gap`), around one half, where it is seen last, at expected counts; infinity where none is."""

    def is_seen(gap: float) -> bool:
        counted = ((first_n, first_n * (0.5 + gap / 2.0)), (second_n, second_n * (0.5 - gap / 2.0)))
        found = curves(np.array([[n, n, n, hits, hits, hits] for n, hits in counted]))
        return bool(log_e_gap(found.above[0], found.below[1], steps_of(maximum)) + math.log(weight) >= -math.log(alpha))

    return _least(is_seen, maximum, 1.0 - 1e-6)


def _gains(hit: float, chance: float, target: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of a bet's logarithm by one record that is a hit with that chance, shape (targets,)."""
    won, lost = log_raise(1, 1, chance, target), log_raise(1, 0, chance, target)
    return hit * won + (1.0 - hit) * lost, hit * (1.0 - hit) * (won - lost) ** 2


def _is_reached_on_the_way(
    gains: Callable[[int, float], tuple[Floats, Floats]], hours: Sequence[tuple[int, float]], needed: Floats
) -> bool:
    """At the end of some part; `gains`: of one record, by reference rows and records before it."""
    mean, variance = np.zeros(len(needed)), np.zeros(len(needed))
    for middle, width in _PARTS:
        for reference_n, n in hours:
            if reference_n:
                one = gains(reference_n, middle * n)
                mean, variance = mean + width * n * one[0], variance + width * n * one[1]
        if _is_reached(mean, variance, needed):
            return True
    return False


def _is_reached(mean: Floats, variance: Floats, needed: Floats) -> bool:
    return bool((mean - _MARGIN * np.sqrt(variance) >= needed).any())


def _least(is_seen: Callable[[float], bool], low: float, high: float) -> float:
    """The least that is seen, within a thousandth."""
    if not is_seen(high):
        return math.inf
    while high - low > 1e-3:  # noqa: PLR2004 (as near as anybody reads it)
        middle = (low + high) / 2.0
        low, high = (low, middle) if is_seen(middle) else (middle, high)
    return high
