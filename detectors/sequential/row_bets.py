"""The bets of detectors that learn a witness on rows of numbers: how a reference is halved, and what a pane's rows are worth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from detectors.sequential.bets import NOTHING, log10_mean, log_raise, restart
from detectors.sequential.kernel_witness import bounded_hits
from detectors.sequential.purse import Purse, full_purse, spend
from detectors.sequential.recent import add_sums, no_sums
from detectors.sequential.witness import POOLS_N, WITNESSES_N

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.sequential.kernel_witness import KernelWitness

    Floats = NDArray[np.float64]

S = TypeVar("S", bound=np.generic)

PANE_N = 2000
"""Rows of a pane that are bet on; the others are left out."""
LEAST_N = 32
"""Rows that are worth a new witness."""
_LEARN_N, _HOLD_N = 512, 1536
_STAKES = np.array([0.1, 0.3, 0.6])


class Wealth(NamedTuple):
    """Of the 18 bets: six hits at three stakes."""

    log_m: Floats
    recent: Floats
    """Sums for the verdict's figures (see `recent`)."""
    purse: Purse


def no_wealth() -> Wealth:
    """Before any bet."""
    return Wealth(np.full(WITNESSES_N * len(_STAKES), NOTHING), no_sums(3 * WITNESSES_N), full_purse(WITNESSES_N * len(_STAKES)))


def halves(n: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(rows of a reference of n that are kept, at most 512 + 1,536 and evenly spread; which of these are half A)."""
    kept = np.linspace(0, n - 1, min(n, _LEARN_N + _HOLD_N)).round().astype(np.int64)
    stride = max(2, math.ceil(len(kept) / _LEARN_N))
    return kept, np.arange(len(kept)) % stride == 0


def latest_rows(*parts: NDArray[S]) -> NDArray[S]:
    """The newest rows that a witness may learn from."""
    return np.concatenate(parts)[-POOLS_N[-1] :]


def bet(wealth: Wealth, witness: KernelWitness, *, hold: Floats, new: Floats, alpha: float, delta: float, learnt_n: int) -> Wealth:
    """One pane's rows, which the witness has not seen: M <- (M + 1) bet for each of the 18.

    A bet: the rows are hit more often than half B's exact upper bound m at 6 delta / (pi^2 k^2) for the k-th learning, shared by the six:
    (q/m)^hits ((1-q)/(1-m))^misses at three q.
    """
    found = bounded_hits(witness, hold, new, 6.0 * delta / (math.pi**2 * learnt_n**2))
    is_open = (found.bound < 1.0)[:, None]  # a bound of 1 leaves nothing to bet on
    bound = np.where(is_open, found.bound[:, None], 0.5)
    log_bets = np.where(is_open, log_raise(len(new), found.hits[:, None], bound, bound + _STAKES * (1.0 - bound)), 0.0)
    log_m = restart(wealth.log_m, log_bets.ravel(), alpha=alpha)
    sums = np.concatenate([found.hits, len(new) * found.expected, len(new) * found.bound])
    return Wealth(
        log_m, add_sums(wealth.recent, len(new), sums, log10_e=log10_mean(log_m), alpha=alpha), spend(wealth.purse, log_bets.ravel())
    )
