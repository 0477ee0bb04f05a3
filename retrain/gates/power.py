"""What a paired superiority gate can see with the rows it has. Normal approximation, one-sided.

n = (z_alpha + z_power)^2 (psi - d^2) / d^2, with psi the share of discordant pairs and d the true gain, solved for d: the paired form of
Miller 2024, arXiv:2411.00640.
"""

from __future__ import annotations

import math
from statistics import NormalDist

_NORMAL = NormalDist()

PLANNED_DISCORDANT_RATIO = 0.22
"""Share of rows on which champion and candidate differ, before anything is known: measured on a change of domain."""


def smallest_gain(*, n: int, discordant_ratio: float, alpha: float, power: float) -> float:
    """The smallest true gain that `n` rows find with probability `power` (at most the discordant share: then n is too small to promise)."""
    if n < 1:
        return discordant_ratio
    z2 = (_NORMAL.inv_cdf(1.0 - alpha) + _NORMAL.inv_cdf(power)) ** 2
    return min(discordant_ratio, math.sqrt(z2 * discordant_ratio / (n + z2)))
