"""What evidence owes to the values, and not to the random order of ties: an alarm of ties alone is held back.

Ranks of equal values are drawn. Where all values are equal they are drawn alone, so that evidence is noise: an alarm as rare as promised,
and about nothing. The bets of a pane are the same for all its records (of one hour), and averaged over the order of ties no such bet gains
more than n KL(where the n fell || the chances of those cells), which is what one gains that knew it beforehand. So their sum since the
evidence last rested is the most that the values can have brought. While that is less than half of the way to an alarm, there is none. Since
rest evidence has grown by three quarters of it or more: the rest is of ties. A column that is constant in reference and production
brings 0. The evidence itself stays, and fewer alarms keep every promise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

OF_TIES = "the last {n} values are as the reference's; what evidence there is comes from the random order of equal values, and is no alarm"
"""What is said of it."""
UNKNOWN = math.inf
"""Of a state that an older release wrote, until its evidence rests: nothing is held back."""
_HELD = 0.5
"""Of the logarithm of 1 / alpha."""
_LEAST = 1e-9
"""Chance of what the reference has none of."""


def most_gain(counts: Floats, chances: Floats) -> float:
    """Most that the logarithm of a bet on a pane's values can be, after `counts` in cells of these chances, both shape (cells,)."""
    there = counts > 0
    found = counts[there]
    return max(0.0, float(found @ np.log(found / (found.sum() * np.maximum(chances[there], _LEAST))))) if there.any() else 0.0


def gained_since_rest(gained: float, more: float, recent: Floats) -> float:
    """Most that values can have brought since the evidence last rested, after a pane that brought at most `more`; `recent` after it."""
    return gained + more if _rests_not(recent) else 0.0


def is_of_ties(gained: float, recent: Floats, alpha: float) -> bool:
    """Whether evidence that does not rest is mostly of ties."""
    return _rests_not(recent) and gained < -_HELD * math.log(alpha)


def _rests_not(recent: Floats) -> bool:
    """By the records since rest (see `recent`)."""
    return bool(recent[2, 0] > 0)
