"""An estimate with its interval: what every estimator of performance gives."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtri


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimated:
    """`value` in [`low`, `high`], finite; `n`: effective number of labelled records behind it, (sum w)^2 / sum w^2."""

    value: float
    low: float
    high: float
    n: float


def normal_estimate(value: float, variance: float, *, alpha: float, n: float, least: float = 0.0, most: float = 1.0) -> Estimated:
    """The value ± z standard errors, cut to [least, most]."""
    reach = -float(ndtri(alpha / 2.0)) * math.sqrt(max(0.0, variance))
    centre = min(most, max(least, value))
    return Estimated(value=centre, low=min(centre, max(least, value - reach)), high=max(centre, min(most, value + reach)), n=n)
