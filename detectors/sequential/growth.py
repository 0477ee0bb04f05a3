"""The smallest change that a detector expects to see in so many records: by mean and variance of the logarithm of its bets.

A bet whose logarithm grows to m with a standard deviation of d has come to its part w of 1/alpha in four of five cases when
m - 0.84 d >= log(1 / (w alpha)). One bet is counted at a time: what the others add makes a detector quicker than said here.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from detectors.sequential.bets import STAKES, log_raise, targets_above
from detectors.sequential.category_shares import UP_WEIGHT, targets_of, times_weights
from detectors.sequential.scores import SCORE_WEIGHTS, SHIFTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SEEN = 0.8
"""In so many days of such a change there is an alarm within the day, by this reckoning."""
MARGIN = float(ndtri(SEEN))
"""Standard deviations: what is below the mean by so many is passed in that share of cases."""
_GRID = ndtri((np.arange(400) + 0.5) / 400)
_ENDS = np.geomspace(1.0 / 256.0, 1.0, 20)
_PARTS = list(zip((_ENDS + np.append(0.0, _ENDS[:-1])) / 2.0, np.diff(_ENDS, prepend=0.0), strict=True))
"""(middle, width) of parts of the records: ranks are among reference and past, so that a change becomes its own past and may be seen early
or not at all."""
_EXACT = 0.6
"""Of the stake of `conformal_numeric` is on scores of exact ranks."""
_EXACT_SHARES = 0.45
"""Of that of `conformal_category` is on exact shares."""
_MOST_SHIFT = 8.0
_MOST_DOUBLINGS = 24


@lru_cache(maxsize=256)
def smallest_shift(*, alpha: float, hours: tuple[tuple[int, float], ...]) -> float:
    """Of a normal column's mean, in standard deviations; infinity where no shift is seen.

    `hours`: (reference rows, new records) of each hour of the rhythm; without one, one.
    """
    needed = -np.log(_EXACT * SCORE_WEIGHTS[: len(SHIFTS)] * alpha)

    def gains(shift: float, reference_n: float, past: float) -> tuple[Floats, Floats]:
        u = (reference_n * ndtr(_GRID + shift) + past * ndtr(_GRID)) / (reference_n + past)
        z = ndtri(np.clip(u, 1e-9, 1.0 - 1e-9))
        return SHIFTS * z.mean() - SHIFTS**2 / 2.0, SHIFTS**2 * z.var()

    def is_seen(shift: float) -> bool:
        return is_reached_on_the_way(lambda reference_n, past: gains(shift, reference_n, past), hours, needed)

    return least_seen(is_seen, 0.0, _MOST_SHIFT)


@lru_cache(maxsize=256)
def smallest_share(*, alpha: float, share: float, watched_n: int, hours: tuple[tuple[int, float], ...]) -> float:
    """What the share of a category rises to, likewise; infinity where none is seen. `conformal_category` bets on `watched_n` shares."""
    chance = min(max(share, 1e-6), 1.0 - 1e-6)
    target = targets_of(chance)
    needed = -np.log(_EXACT_SHARES * UP_WEIGHT / watched_n * times_weights(chance) * alpha)

    def gains(risen: float, reference_n: float, past: float) -> tuple[Floats, Floats]:
        own = (reference_n * chance + past * risen) / (reference_n + past)
        hit = risen * min(1.0, chance / own) + (1.0 - risen) * max(0.0, (chance - own) / (1.0 - own))
        return _gains(hit, chance, target)

    def is_seen(risen: float) -> bool:
        return is_reached_on_the_way(lambda reference_n, past: gains(risen, reference_n, past), hours, needed)

    return least_seen(is_seen, chance, 1.0 - 1e-6)


@lru_cache(maxsize=256)
def smallest_rise(*, alpha: float, hours: tuple[tuple[float, float], ...]) -> float:
    """What a mean loss in [0, 1] rises to above its limit (see `share`); infinity where none is seen.

    `hours`: (limit, how many count); of several it is the mean over them, where all come as far from their limit to 1. Of all losses with
    that mean those of 0 and 1 are seen last (log(1 + s (x - m)) is concave): others are seen sooner.
    """
    limits, ns = np.array(hours).T  # (hours,)
    limit, needed = float(limits @ ns / ns.sum()), np.full(len(STAKES), -math.log(alpha / len(STAKES)))

    def is_seen(risen: float) -> bool:
        part = (risen - limit) / (1.0 - limit)
        gains = [_gains(m + part * (1.0 - m), m, targets_above(m)) for m in limits.tolist()]
        mean, variance = (ns @ np.array(of) for of in zip(*gains, strict=True))
        return is_reached_by(mean, variance, needed)

    return least_seen(is_seen, limit, 1.0 - 1e-6)


class Stake(NamedTuple):
    """What is bet on: a loss, and what is known of it beside."""

    moved: Floats
    """Added to each loss, mean 0, shape (rows,)."""
    reach: float
    """How far below 0 that may come to."""
    stakes: Floats


def smallest_growth(
    losses: Floats, *, alpha: float, limit: float, n: float, stakes: Sequence[Stake] = (), bets_n: int = len(STAKES)
) -> float:
    """The same of losses of any size in [0, 1], shape (rows,), that all grow by one factor: the mean that they come to, at most 1 each.

    Of losses that are smaller than 1 a smaller rise is seen than of as many errors that make the same mean: they scatter less.
    `stakes`: on what, of `bets_n` bets with equal weights; none = on the losses alone.
    """
    found = stakes or (Stake(np.zeros(len(losses)), 0.0, STAKES),)

    def grown(u: float) -> Floats:
        return np.asarray(np.minimum(1.0, losses / (1.0 - u)), dtype=np.float64)

    def is_seen_by(bet: Stake, x: Floats) -> bool:
        gains = np.log1p(np.outer(bet.stakes, (x + bet.moved - limit) / (limit + bet.reach)))  # (stakes, rows)
        return is_reached_by(n * gains.mean(axis=1), n * gains.var(axis=1), np.full(len(gains), -math.log(alpha / bets_n)))

    u = least_seen(lambda u: any(is_seen_by(bet, grown(u)) for bet in found), 0.0, 1.0 - 1e-6)
    return u if math.isinf(u) else float(grown(u).mean())


def _gains(hit: float, chance: float, target: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of a bet's logarithm by one record that is a hit with that chance, shape (targets,)."""
    won, lost = log_raise(1, 1, chance, target), log_raise(1, 0, chance, target)
    return hit * won + (1.0 - hit) * lost, hit * (1.0 - hit) * (won - lost) ** 2


def is_reached_on_the_way(
    gains: Callable[[float, float], tuple[Floats, Floats]], hours: tuple[tuple[float, float], ...], needed: Floats
) -> bool:
    """At the end of some part; `gains`: of one record, by reference rows and records before it."""
    mean, variance = np.zeros(len(needed)), np.zeros(len(needed))
    for middle, width in _PARTS:
        for reference_n, n in hours:
            if reference_n:
                one = gains(reference_n, middle * n)
                mean, variance = mean + width * n * one[0], variance + width * n * one[1]
        if is_reached_by(mean, variance, needed):
            return True
    return False


def is_reached_by(mean: Floats, variance: Floats, needed: Floats) -> bool:
    """Whether any of the bets, all of shape (bets,), comes to what it needs in so many cases."""
    return bool((mean - MARGIN * np.sqrt(variance) >= needed).any())


def least_seen(is_seen: Callable[[float], bool], low: float, high: float) -> float:
    """The least that is seen, within a thousandth; infinity where not even `high` is."""
    if not is_seen(high):
        return math.inf
    while high - low > 1e-3:  # noqa: PLR2004 (as near as anybody reads it)
        middle = (low + high) / 2.0
        low, high = (low, middle) if is_seen(middle) else (middle, high)
    return high


def least_times(smallest: Callable[[float], float]) -> float:
    """How many times as many records the largest change takes, within a tenth; infinity where no number of them shows it.

    `smallest`: the least change that is seen, by how many times as many.
    """
    high = next((2.0**k for k in range(_MOST_DOUBLINGS) if math.isfinite(smallest(2.0**k))), math.inf)
    if math.isinf(high):
        return high
    low = high / 2.0
    while high - low > 0.1 * high:
        middle = (low + high) / 2.0
        low, high = (middle, high) if math.isinf(smallest(middle)) else (low, middle)
    return high
