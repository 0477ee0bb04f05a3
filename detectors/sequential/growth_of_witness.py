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
from detectors.sequential.witness import CUTS, POOLS_N, WITNESSES_N, Hits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EPOCH_DAYS = 30
"""So many days' learnings have shared delta before."""


@lru_cache(maxsize=256)
def smallest_part(*, alpha: float, delta: float, reference_n: int, n: float, panes_n: float) -> float:
    """In (0, 1], of n records in so many panes; infinity where not even records that are all from elsewhere are seen."""
    hold_n = int((~halves(reference_n)[1]).sum())
    if hold_n == 0 or n <= POOLS_N[0]:
        return math.inf
    usual = np.tile(1.0 - CUTS, len(POOLS_N))
    bound = upper_share(usual * hold_n, hold_n, share_of_delta(delta, learnings(n, panes_n)) / WITNESSES_N)
    hit, miss = (log_hit_bets(Hits(np.full(WITNESSES_N, float(is_hit)), usual, bound), 1) for is_hit in (True, False))  # (bets,) each
    chance, needed = np.repeat(usual, len(hit) // WITNESSES_N), np.full(len(hit), -math.log(alpha / len(hit)))

    def is_seen(part: float) -> bool:
        p = part + (1.0 - part) * chance
        return is_reached_by((n - POOLS_N[0]) * (p * hit + (1.0 - p) * miss), (n - POOLS_N[0]) * p * (1.0 - p) * (hit - miss) ** 2, needed)

    return least_seen(is_seen, 0.0, 1.0)


def learnings(n: float, panes_n: float) -> int:
    """How often a witness has learnt at the end of such a month."""
    return max(1, int(EPOCH_DAYS * min(panes_n, n / LEAST_N)))
