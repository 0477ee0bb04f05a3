"""How far a figure may be off its claim by chance alone, with that chance stated and computed in log space."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom

LOG_FLAKE = math.log(1e-7)
"""Logarithm of the chance that a valid detector fails one judgement."""


def most_crossings(trials: int, alpha: float) -> int:
    """Smallest c with P(Binomial(trials, alpha) > c) <= the flake probability."""
    counts = np.arange(trials + 1)
    return int(counts[np.argmax(binom.logsf(counts, trials, alpha) <= LOG_FLAKE)])


def least_mean_run(n: int, least: float) -> float:
    """What the mean of n runs falls short of only by that chance, when they are `least` on average and spread like an exponential.

    Chernoff: P(mean <= x least) <= exp(-n (x - 1 - log x)). It does not lean on the spread of the runs seen: the room that four runs'
    own standard deviation gives is too small in one of twenty fours. Runs of few very long and many short ones may miss it; what holds
    for any e-detector is the share that alarms early (see `verdicts.alarms`).
    """
    lowest = math.exp(LOG_FLAKE / n - 1.0)
    return least * float(brentq(lambda x: n * (x - 1.0 - math.log(x)) + LOG_FLAKE, lowest, 1.0))
