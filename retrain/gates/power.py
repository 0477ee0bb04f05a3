"""How many rows a paired gate needs, and what it can see with those it has. Normal approximation, one-sided.

n = (z_alpha + z_power)^2 (psi - d^2) / (d + m)^2, with psi the share of discordant pairs, d the true gain and m the margin
(0 for superiority): the paired form of Miller 2024, arXiv:2411.00640.
"""

from __future__ import annotations

import math
from statistics import NormalDist

_NORMAL = NormalDist()

PLANNED_DISCORDANT_RATIO = 0.22
"""Share of rows on which champion and candidate differ, before anything is known: measured on a change of domain (recipes.md)."""


def rows_needed(*, gain: float, discordant_ratio: float, alpha: float, power: float, margin: float = 0.0) -> int:
    """Rows that find a true `gain` (negative: a loss) with probability `power`; ValueError when no number of rows can."""
    if gain + margin <= 0.0:
        raise ValueError(f"gain + margin must be positive, got {gain} + {margin}; what is not there cannot be shown")
    if not abs(gain) <= discordant_ratio <= 1.0:
        raise ValueError(f"discordant_ratio must be between |gain| and 1, got {discordant_ratio} with gain {gain}")
    z = _NORMAL.inv_cdf(1.0 - alpha) + _NORMAL.inv_cdf(power)
    return max(1, math.ceil(z * z * (discordant_ratio - gain * gain) / (gain + margin) ** 2))


def smallest_gain(*, n: int, discordant_ratio: float, alpha: float, power: float) -> float:
    """The smallest true gain that `n` rows find with probability `power` (at most the discordant share: then n is too small to promise)."""
    if n < 1:
        return discordant_ratio
    z2 = (_NORMAL.inv_cdf(1.0 - alpha) + _NORMAL.inv_cdf(power)) ** 2
    return min(discordant_ratio, math.sqrt(z2 * discordant_ratio / (n + z2)))
