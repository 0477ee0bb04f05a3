"""The smallest part of the records that may come from elsewhere and still be seen by a learnt witness within a day: at best.

What a witness learns nobody knows beforehand. The most that it can is to hit each record from elsewhere and none of the others more often
than it hits the reference: then its bets grow by what is computed here; a witness that learns less needs a larger part. It takes the
records that fill the quick one's pool until it knows what it looks for; bounds are those of a month-old epoch, which has learnt often.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.growth import is_reached_by, least_seen
from detectors.sequential.interval import upper_share
from detectors.sequential.row_bets import halves
from detectors.sequential.wager import LEAST_N, log_hit_bets, share_of_delta
from detectors.sequential.witness import CUTS, POOLS_N, Hits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EPOCH_DAYS = 30
"""So many days' learnings have shared delta before."""


@lru_cache(maxsize=256)
def smallest_part(
    *, alpha: float, delta: float, hours: tuple[tuple[int, float], ...], panes_n: float, pools: tuple[int, ...] = POOLS_N
) -> float:
    """In (0, 1], of a day's records in so many panes; infinity where not even records that are all from elsewhere are seen.

    `hours`: (rows of half B, records) of each hour that is bet on; without a rhythm one. `pools`: of the witnesses, the quick one's first.
    """
    n = sum(records for _, records in hours)
    if n <= pools[0]:
        return math.inf
    usual, left = np.tile(1.0 - CUTS, len(pools)), 1.0 - pools[0] / n
    share = share_of_delta(delta, learnings(n, panes_n)) / len(usual)
    bets = [(left * records, *_bet_on_one(usual, upper_share(usual * hold_n, hold_n, share))) for hold_n, records in hours]
    bets_n = len(bets[0][1])
    chance, needed = np.repeat(usual, bets_n // len(usual)), np.full(bets_n, -math.log(alpha / bets_n))

    def is_seen(part: float) -> bool:
        p = part + (1.0 - part) * chance
        mean = sum(records * (p * hit + (1.0 - p) * miss) for records, hit, miss in bets)
        variance = sum(records * p * (1.0 - p) * (hit - miss) ** 2 for records, hit, miss in bets)
        return is_reached_by(np.asarray(mean), np.asarray(variance), needed)

    return least_seen(is_seen, 0.0, 1.0)


def _bet_on_one(usual: Floats, bound: Floats) -> tuple[Floats, Floats]:
    """Logarithm of each bet on one record that is hit, and on one that is not, (bets,) both."""
    hit, miss = (log_hit_bets(Hits(np.full(len(usual), float(is_hit)), usual, bound), 1) for is_hit in (True, False))
    return hit, miss


def half_b(reference_n: int) -> int:
    """Rows of half B of so many, without a rhythm."""
    return int((~halves(reference_n)[1]).sum())


def learnings(n: float, panes_n: float) -> int:
    """How often a witness has learnt at the end of such a month."""
    return max(1, int(EPOCH_DAYS * min(panes_n, n / LEAST_N)))
