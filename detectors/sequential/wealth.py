"""Wealth of a martingale that begins anew when something else is proven: an e-detector until then, an e-process from then on.

Nobody knows when a change comes, so until the proof the bets begin anew at every pane (Shiryaev-Roberts). The proof says that it has come:
from then on the purse's mixture of starting times (see `purse`) is an e-process, P(ever 1/level) <= level, which needs far less evidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.bets import NOTHING, log10_mean, restart
from detectors.sequential.purse import Purse, e_value_of, full_purse, spend

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_CAP_FACTOR = 100.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Wealth:
    """Of each bet: natural logarithms."""

    log_m: Floats
    """The e-detector's."""
    purse: Purse
    """The e-process's, once `is_e_process`."""
    is_e_process: bool = False


def no_wealth(bets_n: int, *, is_e_process: bool = False) -> Wealth:
    """Before any bet."""
    return Wealth(log_m=np.full(bets_n, NOTHING), purse=full_purse(bets_n), is_e_process=is_e_process)


def grown(wealth: Wealth, log_bets: Floats, *, alpha: float, level: float) -> Wealth:
    """After a pane's bets. Both kinds are capped at a hundred times what is called, so that what is over is soon forgotten."""
    if not wealth.is_e_process:
        return replace(wealth, log_m=restart(wealth.log_m, log_bets, alpha=alpha))
    purse = spend(wealth.purse, log_bets)
    cap = math.log(_CAP_FACTOR * len(log_bets) / level)
    return replace(wealth, purse=replace(purse, log_v=np.minimum(purse.log_v, cap)))


def log10_of(wealth: Wealth, weights: Floats) -> float:
    """The weighted mean."""
    return e_value_of(wealth.purse, weights).log10_e if wealth.is_e_process else log10_mean(wealth.log_m, weights)
