"""How far a figure may be off its claim by chance alone, with that chance stated and computed in log space."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

LOG_FLAKE = math.log(1e-7)
"""Logarithm of the chance that a valid detector fails one judgement."""


def most_crossings(trials: int, alpha: float) -> int:
    """Smallest c with P(Binomial(trials, alpha) > c) <= the flake probability."""
    counts = np.arange(trials + 1)
    return int(counts[np.argmax(binom.logsf(counts, trials, alpha) <= LOG_FLAKE)])


def room_of_runs(runs: NDArray[np.float64], least: float) -> float:
    """How far the mean of these runs may lie below `least` by chance (Gaussian room)."""
    spread = min(float(runs.std(ddof=1)), least)  # a detector that only just keeps its promise has runs spread like their mean
    return spread * math.sqrt(-2.0 * LOG_FLAKE / len(runs))
