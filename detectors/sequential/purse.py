"""An e-process beside an e-detector: the same bets, begun anew at every step with a share of a purse that is handed out once.

V_t = (V_{t-1} + g_t) L_t and E_t = V_t + what is left in the purse, g_t >= 0, sum g_t = 1: a mixture over "the bets begin at step t" of
plain products, so E_t is a martingale of mean 1 wherever E[L_t | past] = 1, and P(ever E_t >= 1/alpha) <= alpha (Ville). Unlike the
e-detector (M + 1) L, whose purse is never empty, it is an e-value at every stopping time and may go to e-BH. A change at step t costs
log(1/g_t), 16 for a month of minutes, where a plain product would have lost everything in quiet times. g_t = 1/log2(t + 1) - 1/log2(t + 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.bets import NOTHING, log10_mean
from detectors.types import EValue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DISCOVERIES = 0.1
"""Of the columns that e-BH names at most this share is named falsely, in the mean."""
_LN10 = math.log(10.0)
_MOST = 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Purse:
    """Natural logarithm of each bet's V, and how much was handed out."""

    log_v: Floats
    step_n: int = 0


def full_purse(bets_n: int) -> Purse:
    """Before any bet: e = 1."""
    return Purse(log_v=np.full(bets_n, NOTHING))


def share_of_step(t: int) -> float:
    """g_t, t from 1: positive, falling, of sum 1."""
    return 1.0 / math.log2(t + 1) - 1.0 / math.log2(t + 2)


def spend(purse: Purse, log_bet: Floats) -> Purse:
    """One step of each bet, shape (k,); the argument does not change."""
    t = purse.step_n + 1
    grown: Floats = np.logaddexp(purse.log_v, math.log(share_of_step(t))) + np.maximum(log_bet, NOTHING)
    return Purse(log_v=np.clip(grown, NOTHING, _MOST), step_n=t)


def emptied(purse: Purse) -> Purse:
    """Without what the bets so far have won: the next begin with what is left in it."""
    return Purse(log_v=np.full(len(purse.log_v), NOTHING), step_n=purse.step_n)


def e_value_of(purse: Purse, weights: Floats | None = None) -> EValue:
    """The bets' weighted mean (None = equal) and what is left in the purse."""
    left = 1.0 / math.log2(purse.step_n + 2)
    log_e = np.logaddexp(log10_mean(purse.log_v, weights) * _LN10, math.log(left))
    return EValue(log10_e=float(log_e) / _LN10, alpha=DISCOVERIES)
