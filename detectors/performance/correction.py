"""How far an estimate without labels is off, by all labels so far: the offset stays, or now and then becomes another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CHANGES = np.array([0.01, 0.1, 0.5])
"""Chance that the offset has become another one since the block of labels before: seldom, now and then, all the time. Which of them it is,
is learnt."""
_OPEN, _SCEPTIC = np.array([0.5, 0.25, 0.25]), np.array([0.8, 0.1, 0.1])
"""What is thought of these at first: seldom is as likely as the other two together, or, to the sceptic, four times as likely. The figure is
the sceptic's, whom few labels hardly move; the interval is around it, as wide as for who is open to change."""
SPREADS = np.array([0.01, 0.05, 0.2])
"""Standard deviations of what it then is, around 0, alike likely: a point, five, twenty."""
_MOST_N = 60
"""Hypotheses that are kept: the likeliest."""


@dataclass(frozen=True, kw_only=True)
class Correction:
    """Hypotheses about how often and when last the offset changed, each with a normal distribution of it; all of shape (hypotheses,)."""

    log_p: Floats
    """Logarithm of the probability."""
    rate: NDArray[np.int64]
    """Which of `CHANGES`."""
    mean: Floats
    variance: Floats


def no_correction(variance: float) -> Correction:
    """Before any label the offset is 0 but for what the estimate's own rows leave open: a normal error with this variance."""
    rates = len(CHANGES)
    return Correction(log_p=np.log(_OPEN), rate=np.arange(rates), mean=np.zeros(rates), variance=np.full(rates, variance))


def corrected(before: Correction, offset: float, variance: float) -> Correction:
    """After a block of labels that says `offset` (truth less estimate) with a normal error of this variance > 0. O(100).

    Exact but for the hypotheses that are dropped.
    [Adams & MacKay 2007, Bayesian Online Changepoint Detection, arXiv:0710.3742; Wilson, Nassar & Gold 2010 for learnt rates]
    """
    rate = np.concatenate([before.rate, np.repeat(np.arange(len(CHANGES)), len(SPREADS))])
    shares = np.bincount(before.rate, np.exp(before.log_p), len(CHANGES))
    log_new = np.log(np.maximum(shares * CHANGES / len(SPREADS), 1e-300))
    log_p = np.concatenate([before.log_p + np.log1p(-CHANGES[before.rate]), np.repeat(log_new, len(SPREADS))])
    mean = np.concatenate([before.mean, np.zeros(len(CHANGES) * len(SPREADS))])
    known = np.concatenate([before.variance, np.tile(SPREADS**2, len(CHANGES))])
    of_both = known + variance
    log_p = log_p - 0.5 * (np.log(of_both) + (offset - mean) ** 2 / of_both)
    gain = known / of_both
    kept = np.sort(np.argsort(-log_p, kind="stable")[:_MOST_N])
    log_p = log_p[kept] - np.logaddexp.reduce(log_p[kept])
    after = mean + gain * (offset - mean)
    return Correction(log_p=log_p, rate=rate[kept], mean=after[kept], variance=(known * (1.0 - gain))[kept])


def offset_of(found: Correction) -> tuple[float, float]:
    """(the sceptic's mean, mean square around it for who is open to change).

    A rate never becomes another, so another first opinion of the rates is another weight of all hypotheses of each.
    """
    p = np.exp(found.log_p)
    sceptic = p * (_SCEPTIC / _OPEN)[found.rate]
    mean = float(sceptic @ found.mean / sceptic.sum())
    return mean, float(p @ (found.variance + (found.mean - mean) ** 2))
